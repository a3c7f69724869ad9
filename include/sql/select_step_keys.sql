-- Steps in the order of their keys, and whether IndexData has their run: the survey asks it from a few keys on, and only where
--   all four tables have an index that starts with Index_GUID. Of each table of steps a thousand rows are looked at.
-- Result: kind varchar, 'numeric', 'text' or 'other'; index_guid as the column is; steps bigint, how many of the thousand
--   have that key; has_run int, 1 or 0; one row per kind and key.
-- Binds: guid_after, the key that the looked-at ones are greater than.
SELECT
    [Found].[kind] AS [kind],
    [Found].[index_guid] AS [index_guid],
    [Found].[steps] AS [steps],
    CASE
        WHEN
            EXISTS (
                SELECT 1
                FROM [dbo].[IndexData] AS [IndexData]
                WHERE [IndexData].[Index_GUID] = [Found].[index_guid]
            )
            THEN 1
        ELSE 0
    END AS [has_run]
FROM (
    SELECT
        'numeric' AS [kind],
        [Steps].[index_guid] AS [index_guid],
        COUNT_BIG(*) AS [steps]
    FROM (
        SELECT TOP (1000) [TestDataNumeric].[Index_GUID] AS [index_guid]
        FROM [dbo].[TestDataNumeric] AS [TestDataNumeric]
        WHERE [TestDataNumeric].[Index_GUID] > %(guid_after)s
        ORDER BY [TestDataNumeric].[Index_GUID]
    ) AS [Steps]
    GROUP BY [Steps].[index_guid]
    UNION ALL
    SELECT
        'text' AS [kind],
        [Steps].[index_guid] AS [index_guid],
        COUNT_BIG(*) AS [steps]
    FROM (
        SELECT TOP (1000) [TestDataText].[Index_GUID] AS [index_guid]
        FROM [dbo].[TestDataText] AS [TestDataText]
        WHERE [TestDataText].[Index_GUID] > %(guid_after)s
        ORDER BY [TestDataText].[Index_GUID]
    ) AS [Steps]
    GROUP BY [Steps].[index_guid]
    UNION ALL
    SELECT
        'other' AS [kind],
        [Steps].[index_guid] AS [index_guid],
        COUNT_BIG(*) AS [steps]
    FROM (
        SELECT TOP (1000) [TestDataOther].[Index_GUID] AS [index_guid]
        FROM [dbo].[TestDataOther] AS [TestDataOther]
        WHERE [TestDataOther].[Index_GUID] > %(guid_after)s
        ORDER BY [TestDataOther].[Index_GUID]
    ) AS [Steps]
    GROUP BY [Steps].[index_guid]
) AS [Found]
ORDER BY [Found].[kind], [Found].[index_guid];
