-- The key of every run in the asked ranges, to compare VTE with WATS, and its time, to see how late it appeared.
-- Result: index_guid uniqueidentifier, timestamp_local datetime or NULL; oldest first.
-- Binds: {ranges}, a condition on [IndexData].[Timestamp] made of half-open ranges; or that it is NULL, too.
SELECT
    [IndexData].[Index_GUID] AS [index_guid],
    [IndexData].[Timestamp] AS [timestamp_local]
FROM [dbo].[IndexData] AS [IndexData]
WHERE {ranges}
ORDER BY [IndexData].[Timestamp], [IndexData].[Index_GUID];
