-- Between which Timestamps the runs lie, with the server's clocks: the frame of the survey, and what shows the time zone.
-- Result: one row; server_utc datetime2; server_local char(19), ISO 8601, what the server's wall clock shows;
--   oldest_local and newest_local char(19), ISO 8601 to the second, or NULL where there is no run.
-- Binds: none.
SELECT
    SYSUTCDATETIME() AS [server_utc],
    CONVERT(char(19), GETDATE(), 126) AS [server_local],
    CONVERT(char(19), MIN([IndexData].[Timestamp]), 126) AS [oldest_local],
    CONVERT(char(19), MAX([IndexData].[Timestamp]), 126) AS [newest_local]
FROM [dbo].[IndexData] AS [IndexData]
ORDER BY [server_utc];
