-- The foreign keys that the login can see, for the diagram of the deployed schema. Reads no table.
-- Result: table_name, key_name, column_name, parent_table and parent_column nvarchar; one row per column of a key, in order.
-- Binds: schema_name nvarchar, the schema of the VTE tables.
SELECT
    [Tables].[name] AS [table_name],
    [Keys].[name] AS [key_name],
    [Columns].[name] AS [column_name],
    [Parents].[name] AS [parent_table],
    [ParentColumns].[name] AS [parent_column]
FROM [sys].[foreign_keys] AS [Keys]
INNER JOIN [sys].[foreign_key_columns] AS [KeyColumns]
    ON [Keys].[object_id] = [KeyColumns].[constraint_object_id]
INNER JOIN [sys].[tables] AS [Tables]
    ON [KeyColumns].[parent_object_id] = [Tables].[object_id]
INNER JOIN [sys].[schemas] AS [Schemas]
    ON [Tables].[schema_id] = [Schemas].[schema_id]
INNER JOIN [sys].[columns] AS [Columns]
    ON
        [KeyColumns].[parent_object_id] = [Columns].[object_id]
        AND [KeyColumns].[parent_column_id] = [Columns].[column_id]
INNER JOIN [sys].[tables] AS [Parents]
    ON [KeyColumns].[referenced_object_id] = [Parents].[object_id]
INNER JOIN [sys].[columns] AS [ParentColumns]
    ON
        [KeyColumns].[referenced_object_id] = [ParentColumns].[object_id]
        AND [KeyColumns].[referenced_column_id] = [ParentColumns].[column_id]
WHERE [Schemas].[name] = %(schema_name)s
ORDER BY [Tables].[name], [Keys].[name], [KeyColumns].[constraint_column_id];
