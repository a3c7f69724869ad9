-- How much space each table takes that the login can see, as SQL Server keeps account of its pages of 8 KB: no table is
-- read. Pages of a partition that the login may not see count nothing; needs no right beyond that to see the table.
-- Result: table_name nvarchar; data_pages and index_pages bigint, the used pages of the rows (with long values) and of the
--   other indexes, NULL where none is visible. One row per table, in order.
-- Binds: schema_name nvarchar, the schema of the VTE tables.
SELECT
    [Tables].[name] AS [table_name],
    SUM(CASE WHEN [Partitions].[index_id] <= 1 THEN [Allocations].[used_pages] END) AS [data_pages],
    SUM(CASE WHEN [Partitions].[index_id] > 1 THEN [Allocations].[used_pages] END) AS [index_pages]
FROM [sys].[tables] AS [Tables]
INNER JOIN [sys].[schemas] AS [Schemas]
    ON [Tables].[schema_id] = [Schemas].[schema_id]
INNER JOIN [sys].[partitions] AS [Partitions]
    ON [Tables].[object_id] = [Partitions].[object_id]
LEFT JOIN [sys].[allocation_units] AS [Allocations]
    ON
        ([Allocations].[type] IN (1, 3) AND [Partitions].[hobt_id] = [Allocations].[container_id])
        OR ([Allocations].[type] = 2 AND [Partitions].[partition_id] = [Allocations].[container_id])
WHERE [Schemas].[name] = %(schema_name)s
GROUP BY [Tables].[name]
ORDER BY [Tables].[name];
