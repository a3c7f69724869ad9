-- Sent once per connection, before anything is read.
-- The reader gives way: it loses every deadlock against a test station, and waits for a lock only so long. Where the
-- database allows snapshots it takes no lock at all: each statement sees what was committed when it started.
-- Result: one row; takes_locks int, 1 where neither snapshots nor the versions of READ_COMMITTED_SNAPSHOT are read.
-- Binds: lock_timeout_ms int.
SET DEADLOCK_PRIORITY LOW;
SET LOCK_TIMEOUT %(lock_timeout_ms)s;
IF
    EXISTS (
        SELECT 1 FROM [sys].[databases]
        WHERE [sys].[databases].[name] = DB_NAME() AND [sys].[databases].[snapshot_isolation_state] = 1
    )
    SET TRANSACTION ISOLATION LEVEL SNAPSHOT;
ELSE
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SELECT
    CASE
        WHEN [Sessions].[transaction_isolation_level] = 2 AND [Databases].[is_read_committed_snapshot_on] = 0 THEN 1
        ELSE 0
    END AS [takes_locks]
FROM [sys].[databases] AS [Databases]
INNER JOIN [sys].[dm_exec_sessions] AS [Sessions]
    ON [Sessions].[session_id] = @@SPID
WHERE [Databases].[name] = DB_NAME()
ORDER BY [Databases].[name];
