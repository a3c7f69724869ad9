-- Whether the login sees every name of the schema, or the names of what it may select alone. Reads no table.
-- Result: sees_every_name int, 1 or 0; one row.
-- Binds: schema_name nvarchar, the schema of the VTE tables.
SELECT
    CASE
        WHEN HAS_PERMS_BY_NAME(%(schema_name)s, 'SCHEMA', 'VIEW DEFINITION') = 1 THEN 1
        WHEN HAS_PERMS_BY_NAME(%(schema_name)s, 'SCHEMA', 'SELECT') = 1 THEN 1
        ELSE 0
    END AS [sees_every_name]
FROM [sys].[databases] AS [Databases]
WHERE [Databases].[name] = DB_NAME()
ORDER BY [Databases].[name];
