-- The key of every run in the asked ranges, or of those that no range can find; for comparing VTE with WATS.
-- Result: index_guid uniqueidentifier, timestamp_local datetime or NULL, ordered by both.
-- Binds: {selection}, a condition on [IndexData].[Timestamp].
SELECT
    [IndexData].[Index_GUID] AS [index_guid],
    [IndexData].[Timestamp] AS [timestamp_local]
FROM [dbo].[IndexData] AS [IndexData]
WHERE {selection}
ORDER BY [IndexData].[Timestamp], [IndexData].[Index_GUID];
