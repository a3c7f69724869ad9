-- All that an interval without runs needs, in one statement: which database this is and how its columns look, as in
-- select_source_identity, and how many runs each second of the asked ranges holds, as in select_run_times.
-- Result: database_name, table_name, column_name and data_type nvarchar; second_local char(19) ISO 8601 and runs bigint;
--   server_name nvarchar, server_utc datetime2 and created_local char(19). A row is a column or a second: what belongs to
--   the other is NULL. At least one row; database, server and their times are the same in all.
-- Binds: schema_name nvarchar, the schema of the VTE tables; {ranges}, a condition on [IndexData].[Timestamp] made of
--   half-open ranges.
SELECT
    [Databases].[name] AS [database_name],
    [Found].[table_name] AS [table_name],
    [Found].[column_name] AS [column_name],
    [Found].[data_type] AS [data_type],
    [Found].[second_local] AS [second_local],
    [Found].[runs] AS [runs],
    CONVERT(nvarchar(128), SERVERPROPERTY('ServerName')) AS [server_name],
    SYSUTCDATETIME() AS [server_utc],
    CONVERT(char(19), [Databases].[create_date], 126) AS [created_local]
FROM [sys].[databases] AS [Databases]
LEFT JOIN (
    SELECT
        [Columns].[TABLE_NAME] AS [table_name],
        [Columns].[COLUMN_NAME] AS [column_name],
        [Columns].[DATA_TYPE] AS [data_type],
        CONVERT(char(19), NULL) AS [second_local],
        CONVERT(bigint, NULL) AS [runs]
    FROM [INFORMATION_SCHEMA].[COLUMNS] AS [Columns]
    WHERE [Columns].[TABLE_SCHEMA] = %(schema_name)s
    UNION ALL
    SELECT
        NULL AS [table_name],
        NULL AS [column_name],
        NULL AS [data_type],
        CONVERT(char(19), [IndexData].[Timestamp], 126) AS [second_local],
        COUNT_BIG(*) AS [runs]
    FROM [dbo].[IndexData] AS [IndexData]
    WHERE {ranges}
    GROUP BY CONVERT(char(19), [IndexData].[Timestamp], 126)
) AS [Found] ON 1 = 1
WHERE [Databases].[name] = DB_NAME()
ORDER BY [Found].[second_local], [Found].[table_name], [Found].[column_name];
