-- Units whose key leads to several serials, so that their runs cannot be read. The preflight and the survey ask, and only
--   where no index rules it out: the whole table is read once. Two serials with one checksum count as one.
-- Result: one row, duplicate_units int, example_guid char(36) or NULL.
-- Binds: none.
SELECT
    COUNT(*) AS [duplicate_units],
    MIN(CONVERT(char(36), [Doubled].[uut_guid])) AS [example_guid]
FROM (
    SELECT [UutData].[Uut_GUID] AS [uut_guid]
    FROM [dbo].[UutData] AS [UutData]
    WHERE [UutData].[Uut_GUID] IS NOT NULL
    GROUP BY [UutData].[Uut_GUID]
    HAVING
        MIN(BINARY_CHECKSUM(CONVERT(nvarchar(4000), [UutData].[Serial])))
        <> MAX(BINARY_CHECKSUM(CONVERT(nvarchar(4000), [UutData].[Serial])))
) AS [Doubled]
ORDER BY [duplicate_units];
