-- Which database this is, how its columns look, and the server's own clock. Shows when the database is not the one that
-- was synced so far, or was moved, restored or altered. Reads no table; the login sees the columns of what it may select.
-- Result: database_name nvarchar; table_name, column_name and data_type nvarchar; server_name nvarchar; server_utc
--   datetime2; created_local char(19) ISO 8601, the server's wall clock when the database was created, restored or
--   renamed. One row per column, its three names NULL in a single row when there is none; the rest is the same in all.
-- Binds: schema_name nvarchar, the schema of the VTE tables.
SELECT
    [Databases].[name] AS [database_name],
    [Columns].[TABLE_NAME] AS [table_name],
    [Columns].[COLUMN_NAME] AS [column_name],
    [Columns].[DATA_TYPE] AS [data_type],
    CONVERT(nvarchar(128), SERVERPROPERTY('ServerName')) AS [server_name],
    SYSUTCDATETIME() AS [server_utc],
    CONVERT(char(19), [Databases].[create_date], 126) AS [created_local]
FROM [sys].[databases] AS [Databases]
LEFT JOIN [INFORMATION_SCHEMA].[COLUMNS] AS [Columns]
    ON [Columns].[TABLE_SCHEMA] = %(schema_name)s
WHERE [Databases].[name] = DB_NAME()
ORDER BY [Columns].[TABLE_NAME], [Columns].[COLUMN_NAME];
