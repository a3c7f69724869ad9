-- Which runs are there to be read, and how much each of them holds: asked before any of it is fetched.
-- Result: index_guid uniqueidentifier or NULL, timestamp_local datetime, steps bigint, size_bytes bigint (its texts and
--   values of variable length, headers included); one row per row of IndexData, ordered by Timestamp and Index_GUID.
-- Binds: {selection}, as in select_runs.
SELECT
    [IndexData].[Index_GUID] AS [index_guid],
    [IndexData].[Timestamp] AS [timestamp_local],
    COALESCE([Sizes].[steps], 0) AS [steps],
    COALESCE([Sizes].[size_bytes], 0)
    + COALESCE(DATALENGTH([IndexData].[ProductName]), 0)
    + COALESCE(DATALENGTH([IndexData].[TestplanName]), 0)
    + COALESCE(DATALENGTH([IndexData].[TestplanVariant]), 0)
    + COALESCE(DATALENGTH([IndexData].[TestplanRevision]), 0)
    + COALESCE(DATALENGTH([IndexData].[Hostname]), 0)
    + COALESCE(DATALENGTH([IndexData].[Site]), 0)
    + COALESCE(DATALENGTH([IndexData].[UserName]), 0)
    + COALESCE(DATALENGTH([IndexData].[Info1]), 0)
    + COALESCE(DATALENGTH([IndexData].[Info2]), 0)
    + COALESCE(DATALENGTH([IndexData].[Info3]), 0) AS [size_bytes]
FROM [dbo].[IndexData] AS [IndexData]
LEFT JOIN (
    SELECT
        [Steps].[index_guid] AS [index_guid],
        COUNT_BIG(*) AS [steps],
        SUM(CONVERT(bigint, [Steps].[size_bytes])) AS [size_bytes]
    FROM (
        SELECT
            [IndexData].[Index_GUID] AS [index_guid],
            COALESCE(DATALENGTH([TestDataOther].[TestName]), 0)
            + COALESCE(DATALENGTH([TestDataOther].[TestDescription]), 0)
            + COALESCE(DATALENGTH([TestDataOther].[TestNumber]), 0)
            + COALESCE(DATALENGTH([TestDataOther].[TestUnits]), 0)
            + COALESCE(DATALENGTH([TestDataOther].[TestResult]), 0) AS [size_bytes]
        FROM [dbo].[IndexData] AS [IndexData]
        INNER JOIN [dbo].[TestDataOther] AS [TestDataOther]
            ON [IndexData].[Index_GUID] = [TestDataOther].[Index_GUID]
        WHERE {selection}
        UNION ALL
        SELECT
            [IndexData].[Index_GUID] AS [index_guid],
            COALESCE(DATALENGTH([TestDataText].[TestName]), 0)
            + COALESCE(DATALENGTH([TestDataText].[TestDescription]), 0)
            + COALESCE(DATALENGTH([TestDataText].[TestNumber]), 0)
            + COALESCE(DATALENGTH([TestDataText].[TestUnits]), 0)
            + COALESCE(DATALENGTH([TestDataText].[TestResult]), 0) AS [size_bytes]
        FROM [dbo].[IndexData] AS [IndexData]
        INNER JOIN [dbo].[TestDataText] AS [TestDataText]
            ON [IndexData].[Index_GUID] = [TestDataText].[Index_GUID]
        WHERE {selection}
        UNION ALL
        SELECT
            [IndexData].[Index_GUID] AS [index_guid],
            COALESCE(DATALENGTH([TestDataNumeric].[TestName]), 0)
            + COALESCE(DATALENGTH([TestDataNumeric].[TestDescription]), 0)
            + COALESCE(DATALENGTH([TestDataNumeric].[TestNumber]), 0)
            + COALESCE(DATALENGTH([TestDataNumeric].[TestUnits]), 0)
            + COALESCE(DATALENGTH([TestDataNumeric].[TestResult]), 0) AS [size_bytes]
        FROM [dbo].[IndexData] AS [IndexData]
        INNER JOIN [dbo].[TestDataNumeric] AS [TestDataNumeric]
            ON [IndexData].[Index_GUID] = [TestDataNumeric].[Index_GUID]
        WHERE {selection}
    ) AS [Steps]
    GROUP BY [Steps].[index_guid]
) AS [Sizes]
    ON [IndexData].[Index_GUID] = [Sizes].[index_guid]
WHERE {selection}
ORDER BY [IndexData].[Timestamp], [IndexData].[Index_GUID];
