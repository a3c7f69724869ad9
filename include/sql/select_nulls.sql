-- Runs that no window can ever read, because they have no Timestamp, and runs without a key. Only the preflight asks.
-- Result: one row, null_times int, null_keys int.
-- Binds: none.
SELECT
    COUNT(CASE WHEN [IndexData].[Timestamp] IS NULL THEN 1 END) AS [null_times],
    COUNT(CASE WHEN [IndexData].[Index_GUID] IS NULL THEN 1 END) AS [null_keys]
FROM [dbo].[IndexData] AS [IndexData]
WHERE [IndexData].[Timestamp] IS NULL OR [IndexData].[Index_GUID] IS NULL
ORDER BY [null_times];
