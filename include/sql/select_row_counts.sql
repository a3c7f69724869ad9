-- How many rows each table holds that the login can see, as SQL Server keeps count of them: no table is read.
-- Result: table_name nvarchar, row_count bigint; one row per table, in order.
-- Binds: schema_name nvarchar, the schema of the VTE tables.
SELECT
    [Tables].[name] AS [table_name],
    SUM([Partitions].[rows]) AS [row_count]
FROM [sys].[tables] AS [Tables]
INNER JOIN [sys].[schemas] AS [Schemas]
    ON [Tables].[schema_id] = [Schemas].[schema_id]
INNER JOIN [sys].[partitions] AS [Partitions]
    ON [Tables].[object_id] = [Partitions].[object_id]
WHERE
    [Schemas].[name] = %(schema_name)s
    AND [Partitions].[index_id] IN (0, 1)
GROUP BY [Tables].[name]
ORDER BY [Tables].[name];
