-- What the daily summary shows: how many runs of each product ended with each result.
-- Result: product_name varbinary or NULL, its UTF-16 units as in select_runs, result_code int, runs bigint; one row per pair, in order.
-- Binds: {ranges}, a condition on [IndexData].[Timestamp] made of half-open ranges.
SELECT
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [Runs].[product_name])) AS [product_name],
    [Runs].[result_code] AS [result_code],
    COUNT_BIG(*) AS [runs]
FROM (
    SELECT
        [IndexData].[ProductName] AS [product_name],
        [IndexData].[Result] AS [result_code]
    FROM [dbo].[IndexData] AS [IndexData]
    WHERE {ranges}
) AS [Runs]
GROUP BY [Runs].[product_name], [Runs].[result_code]
ORDER BY [Runs].[product_name], [Runs].[result_code];
