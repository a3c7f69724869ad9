-- Runs that no window can ever read, because they have no Timestamp. Only the preflight asks.
-- Result: one row, runs bigint.
-- Binds: none.
SELECT COUNT_BIG(*) AS [runs]
FROM [dbo].[IndexData] AS [IndexData]
WHERE [IndexData].[Timestamp] IS NULL
ORDER BY [runs];
