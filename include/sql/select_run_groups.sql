-- What the survey counts: the runs of the ranges by product, test plan, station and result.
-- Result: product_name, testplan_name and station_name varbinary or NULL, their UTF-16 units as in select_runs;
--   result_code int; runs bigint; first_runs bigint, those of them that are the first of their unit under the test plan
--   within the ranges; newest_local char(19), ISO 8601, the group's newest Timestamp. One row per group, in order.
-- Binds: {ranges}, a condition on [IndexData].[Timestamp] made of half-open ranges.
SELECT
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [Runs].[product_name])) AS [product_name],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [Runs].[testplan_name])) AS [testplan_name],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [Runs].[station_name])) AS [station_name],
    [Runs].[result_code] AS [result_code],
    COUNT_BIG(*) AS [runs],
    COUNT_BIG(CASE WHEN [Runs].[attempt] = 1 AND [Runs].[unit_guid] IS NOT NULL THEN 1 END) AS [first_runs],
    CONVERT(char(19), MAX([Runs].[timestamp_local]), 126) AS [newest_local]
FROM (
    SELECT
        [IndexData].[ProductName] AS [product_name],
        [IndexData].[TestplanName] AS [testplan_name],
        [TestSystems].[Name] AS [station_name],
        [IndexData].[Result] AS [result_code],
        [IndexData].[Timestamp] AS [timestamp_local],
        [IndexData].[Uut_GUID] AS [unit_guid],
        ROW_NUMBER() OVER (
            PARTITION BY [IndexData].[Uut_GUID], [IndexData].[Testplan_GUID]
            ORDER BY [IndexData].[Timestamp], [IndexData].[Index_GUID]
        ) AS [attempt]
    FROM [dbo].[IndexData] AS [IndexData]
    LEFT JOIN [dbo].[TestSystems] AS [TestSystems]
        ON [IndexData].[Testsystem_GUID] = [TestSystems].[Testsystem_GUID]
    WHERE {ranges}
) AS [Runs]
GROUP BY [Runs].[product_name], [Runs].[testplan_name], [Runs].[station_name], [Runs].[result_code]
ORDER BY [Runs].[product_name], [Runs].[testplan_name], [Runs].[station_name], [Runs].[result_code];
