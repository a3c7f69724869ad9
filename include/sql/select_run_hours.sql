-- How many runs each hour of the asked ranges holds: what a backfill of months is planned by.
-- Result: hour_local char(13), ISO 8601 up to the hour; runs bigint. Ascending; hours without runs are absent.
-- Binds: {ranges}, a condition on [IndexData].[Timestamp] made of half-open ranges.
SELECT
    CONVERT(char(13), [IndexData].[Timestamp], 126) AS [hour_local],
    COUNT_BIG(*) AS [runs]
FROM [dbo].[IndexData] AS [IndexData]
WHERE {ranges}
GROUP BY CONVERT(char(13), [IndexData].[Timestamp], 126)
ORDER BY [hour_local];
