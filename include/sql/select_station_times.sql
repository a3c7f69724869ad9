-- When stations were busy: the evidence for fold 0 or 1 of a repeated hour. Sent only for slices with such an hour.
-- Result: index_guid uniqueidentifier, testsystem_guid uniqueidentifier, timestamp_local datetime, test_time_s real or
--   NULL; one row per run of a known station, ordered by Timestamp and Index_GUID.
-- Binds: {ranges}, a condition on [IndexData].[Timestamp] made of half-open ranges.
SELECT
    [IndexData].[Index_GUID] AS [index_guid],
    [IndexData].[Testsystem_GUID] AS [testsystem_guid],
    [IndexData].[Timestamp] AS [timestamp_local],
    [IndexData].[TestTime] AS [test_time_s]
FROM [dbo].[IndexData] AS [IndexData]
WHERE {ranges} AND [IndexData].[Testsystem_GUID] IS NOT NULL
ORDER BY [IndexData].[Timestamp], [IndexData].[Index_GUID];
