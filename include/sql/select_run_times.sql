-- How many runs each second of the asked ranges holds, beside the server's own clock, in one statement.
-- Result: server_utc datetime2 (the same in every row), second_local char(19) ISO 8601 or NULL, runs bigint.
--   Always at least one row: without runs it holds the clock alone.
-- Binds: {ranges}, a condition on [IndexData].[Timestamp] made of half-open ranges.
SELECT
    [Clock].[server_utc] AS [server_utc],
    [Seconds].[second_local] AS [second_local],
    [Seconds].[runs] AS [runs]
FROM (SELECT SYSUTCDATETIME() AS [server_utc]) AS [Clock]
LEFT JOIN (
    SELECT
        CONVERT(char(19), [IndexData].[Timestamp], 126) AS [second_local],
        COUNT_BIG(*) AS [runs]
    FROM [dbo].[IndexData] AS [IndexData]
    WHERE {ranges}
    GROUP BY CONVERT(char(19), [IndexData].[Timestamp], 126)
) AS [Seconds] ON 1 = 1
ORDER BY [Seconds].[second_local];
