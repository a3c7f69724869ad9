-- What the monitor asks: how many runs the given ranges hold, the newest of them, the server's own clock and version.
-- Result: one row: server_utc datetime2, server_version nvarchar, newest_local char(19) ISO 8601 or NULL, runs bigint.
-- Binds: {ranges}, a condition on [IndexData].[Timestamp] made of half-open ranges.
SELECT
    SYSUTCDATETIME() AS [server_utc],
    CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')) AS [server_version],
    CONVERT(char(19), MAX([IndexData].[Timestamp]), 126) AS [newest_local],
    COUNT_BIG(*) AS [runs]
FROM [dbo].[IndexData] AS [IndexData]
WHERE {ranges}
ORDER BY [runs];
