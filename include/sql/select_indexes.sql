-- The indexes that the login can see, key columns only, for the advice of the preflight and for the survey.
-- Result: table_name, index_name and column_name nvarchar; is_primary_key and is_unique bit; one row per key column,
--   ordered by table, index and the column's place in the key. Heaps, disabled and filtered indexes are left out.
-- Binds: schema_name nvarchar, the schema of the VTE tables.
SELECT
    [Tables].[name] AS [table_name],
    [Indexes].[name] AS [index_name],
    [Columns].[name] AS [column_name],
    [Indexes].[is_primary_key] AS [is_primary_key],
    [Indexes].[is_unique] AS [is_unique]
FROM [sys].[tables] AS [Tables]
INNER JOIN [sys].[schemas] AS [Schemas]
    ON [Tables].[schema_id] = [Schemas].[schema_id]
INNER JOIN [sys].[indexes] AS [Indexes]
    ON [Tables].[object_id] = [Indexes].[object_id]
INNER JOIN [sys].[index_columns] AS [Keys]
    ON
        [Indexes].[object_id] = [Keys].[object_id]
        AND [Indexes].[index_id] = [Keys].[index_id]
INNER JOIN [sys].[columns] AS [Columns]
    ON
        [Keys].[object_id] = [Columns].[object_id]
        AND [Keys].[column_id] = [Columns].[column_id]
WHERE
    [Schemas].[name] = %(schema_name)s
    AND [Keys].[key_ordinal] > 0
    AND [Indexes].[is_disabled] = 0
    AND [Indexes].[has_filter] = 0
ORDER BY [Tables].[name], [Indexes].[name], [Keys].[key_ordinal];
