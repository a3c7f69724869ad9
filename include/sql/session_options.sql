-- Sent once per connection, before anything is read.
-- The reader gives way: it loses every deadlock against a test station, and waits for a lock only so long. Where the
-- database allows snapshots it takes no lock at all: each statement sees what was committed when it started.
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
