-- The key of every run in the asked ranges, for comparing VTE with WATS.
-- Result: index_guid uniqueidentifier, oldest first.
-- Binds: {ranges}, a condition on [IndexData].[Timestamp] made of half-open ranges.
SELECT [IndexData].[Index_GUID] AS [index_guid]
FROM [dbo].[IndexData] AS [IndexData]
WHERE {ranges}
ORDER BY [IndexData].[Timestamp], [IndexData].[Index_GUID];
