-- Every column that the login can see, for the comparison with the documented schema. Reads no table.
-- Result: table_name, column_name and data_type nvarchar; max_length int or NULL, characters of a text, -1 for MAX;
--   is_nullable varchar, YES or NO. One row per column, in the order of the table.
-- Binds: schema_name nvarchar, the schema of the VTE tables.
SELECT
    [Columns].[TABLE_NAME] AS [table_name],
    [Columns].[COLUMN_NAME] AS [column_name],
    [Columns].[DATA_TYPE] AS [data_type],
    [Columns].[CHARACTER_MAXIMUM_LENGTH] AS [max_length],
    [Columns].[IS_NULLABLE] AS [is_nullable]
FROM [INFORMATION_SCHEMA].[COLUMNS] AS [Columns]
WHERE [Columns].[TABLE_SCHEMA] = %(schema_name)s
ORDER BY [Columns].[TABLE_NAME], [Columns].[ORDINAL_POSITION];
