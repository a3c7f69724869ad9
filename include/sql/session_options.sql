-- Sent once per connection, before anything is read.
-- The reader gives way: it loses every deadlock against a test station, and waits for a lock only so long.
-- Binds: lock_timeout_ms int.
SET DEADLOCK_PRIORITY LOW;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET LOCK_TIMEOUT %(lock_timeout_ms)s;
