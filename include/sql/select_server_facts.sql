-- What the preflight reports about server, database and login. Reads no table of VTE.
-- Result: one row; compatibility_level tinyint; read_committed_snapshot bit; isolation_level smallint of this very session
--   (2 READ COMMITTED, 5 SNAPSHOT); product_version and edition nvarchar; is_sysadmin, is_owner and is_writer int, 1 where
--   the login is a member.
-- Binds: none.
SELECT
    [Databases].[compatibility_level] AS [compatibility_level],
    [Databases].[is_read_committed_snapshot_on] AS [read_committed_snapshot],
    [Sessions].[transaction_isolation_level] AS [isolation_level],
    CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')) AS [product_version],
    CONVERT(nvarchar(128), SERVERPROPERTY('Edition')) AS [edition],
    IS_SRVROLEMEMBER('sysadmin') AS [is_sysadmin],
    IS_MEMBER('db_owner') AS [is_owner],
    IS_MEMBER('db_datawriter') AS [is_writer]
FROM [sys].[databases] AS [Databases]
INNER JOIN [sys].[dm_exec_sessions] AS [Sessions]
    ON [Sessions].[session_id] = @@SPID
WHERE [Databases].[name] = DB_NAME()
ORDER BY [Databases].[name];
