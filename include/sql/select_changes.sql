-- What shows that a run changed since it was read: per minute a checksum over the columns that select_runs and
--   select_steps read. It saves reading, it proves nothing: two contents may have one checksum. A row's checksum is
--   multiplied by itself, for without that an exchange of values between two rows would leave the sum of all as it was.
--   Of a text the first 4,000 characters count, and the length of those that may be longer; of TestDataOther.TestResult,
--   which may have any type, what BINARY_CHECKSUM itself looks at, and the length.
-- Result: one row per minute with runs, ascending: minute_local char(16) ISO 8601, runs and steps bigint, content int.
-- Binds: {ranges}, a condition on [IndexData].[Timestamp] made of half-open ranges.
SELECT
    [Contents].[minute_local] AS [minute_local],
    SUM([Contents].[run]) AS [runs],
    COUNT_BIG(*) - SUM([Contents].[run]) AS [steps],
    CHECKSUM_AGG(BINARY_CHECKSUM(CONVERT(bigint, [Contents].[content]) * [Contents].[content])) AS [content]
FROM (
    SELECT
        CONVERT(char(16), [IndexData].[Timestamp], 126) AS [minute_local],
        CONVERT(bigint, 1) AS [run],
        BINARY_CHECKSUM(
            [IndexData].[Index_GUID],
            [IndexData].[Timestamp],
            [IndexData].[Result],
            [IndexData].[ExitCode],
            [IndexData].[TestTime],
            CONVERT(nvarchar(4000), [UutData].[Serial]),
            [IndexData].[Product_GUID],
            CONVERT(nvarchar(4000), [IndexData].[ProductName]),
            CONVERT(nvarchar(4000), [Products].[Name]),
            [IndexData].[Testplan_GUID],
            [IndexData].[TestplanRevision_GUID],
            CONVERT(nvarchar(4000), [IndexData].[TestplanName]),
            CONVERT(nvarchar(4000), [Testplans].[Name]),
            CONVERT(nvarchar(4000), [IndexData].[TestplanVariant]),
            CONVERT(nvarchar(4000), [IndexData].[TestplanRevision]),
            [IndexData].[Testsystem_GUID],
            CONVERT(nvarchar(4000), [TestSystems].[Name]),
            CONVERT(nvarchar(4000), [IndexData].[Hostname]),
            CONVERT(nvarchar(4000), [IndexData].[Site]),
            CONVERT(nvarchar(4000), [IndexData].[UserName]),
            CONVERT(nvarchar(4000), [IndexData].[Info1]),
            CONVERT(nvarchar(4000), [IndexData].[Info2]),
            CONVERT(nvarchar(4000), [IndexData].[Info3]),
            DATALENGTH([IndexData].[Info1]),
            DATALENGTH([IndexData].[Info2]),
            DATALENGTH([IndexData].[Info3])
        ) AS [content]
    FROM [dbo].[IndexData] AS [IndexData]
    LEFT JOIN [dbo].[UutData] AS [UutData]
        ON [IndexData].[Uut_GUID] = [UutData].[Uut_GUID]
    LEFT JOIN [dbo].[Products] AS [Products]
        ON [IndexData].[Product_GUID] = [Products].[Product_GUID]
    LEFT JOIN [dbo].[Testplans] AS [Testplans]
        ON [IndexData].[Testplan_GUID] = [Testplans].[Testplan_GUID]
    LEFT JOIN [dbo].[TestSystems] AS [TestSystems]
        ON [IndexData].[Testsystem_GUID] = [TestSystems].[Testsystem_GUID]
    WHERE {ranges}
    UNION ALL
    SELECT
        CONVERT(char(16), [IndexData].[Timestamp], 126) AS [minute_local],
        CONVERT(bigint, 0) AS [run],
        BINARY_CHECKSUM(
            'other',
            [TestDataOther].[Index_GUID],
            [TestDataOther].[TestStepNumber],
            CONVERT(nvarchar(4000), [TestDataOther].[TestName]),
            CONVERT(nvarchar(4000), [TestDataOther].[TestDescription]),
            DATALENGTH([TestDataOther].[TestDescription]),
            CONVERT(nvarchar(4000), [TestDataOther].[TestNumber]),
            CONVERT(nvarchar(4000), [TestDataOther].[TestUnits]),
            [TestDataOther].[TestResult],
            DATALENGTH([TestDataOther].[TestResult]),
            [TestDataOther].[TestResultType]
        ) AS [content]
    FROM [dbo].[IndexData] AS [IndexData]
    INNER JOIN [dbo].[TestDataOther] AS [TestDataOther]
        ON [IndexData].[Index_GUID] = [TestDataOther].[Index_GUID]
    WHERE {ranges}
    UNION ALL
    SELECT
        CONVERT(char(16), [IndexData].[Timestamp], 126) AS [minute_local],
        CONVERT(bigint, 0) AS [run],
        BINARY_CHECKSUM(
            'text',
            [TestDataText].[Index_GUID],
            [TestDataText].[TestStepNumber],
            CONVERT(nvarchar(4000), [TestDataText].[TestName]),
            CONVERT(nvarchar(4000), [TestDataText].[TestDescription]),
            DATALENGTH([TestDataText].[TestDescription]),
            CONVERT(nvarchar(4000), [TestDataText].[TestNumber]),
            CONVERT(nvarchar(4000), [TestDataText].[TestUnits]),
            CONVERT(nvarchar(4000), [TestDataText].[TestResult]),
            DATALENGTH([TestDataText].[TestResult]),
            [TestDataText].[TestResultType]
        ) AS [content]
    FROM [dbo].[IndexData] AS [IndexData]
    INNER JOIN [dbo].[TestDataText] AS [TestDataText]
        ON [IndexData].[Index_GUID] = [TestDataText].[Index_GUID]
    WHERE {ranges}
    UNION ALL
    SELECT
        CONVERT(char(16), [IndexData].[Timestamp], 126) AS [minute_local],
        CONVERT(bigint, 0) AS [run],
        BINARY_CHECKSUM(
            'numeric',
            [TestDataNumeric].[Index_GUID],
            [TestDataNumeric].[TestStepNumber],
            CONVERT(nvarchar(4000), [TestDataNumeric].[TestName]),
            CONVERT(nvarchar(4000), [TestDataNumeric].[TestDescription]),
            DATALENGTH([TestDataNumeric].[TestDescription]),
            CONVERT(nvarchar(4000), [TestDataNumeric].[TestNumber]),
            CONVERT(nvarchar(4000), [TestDataNumeric].[TestUnits]),
            [TestDataNumeric].[TestResult],
            [TestDataNumeric].[LowLimit],
            [TestDataNumeric].[HighLimit],
            [TestDataNumeric].[TestResultType]
        ) AS [content]
    FROM [dbo].[IndexData] AS [IndexData]
    INNER JOIN [dbo].[TestDataNumeric] AS [TestDataNumeric]
        ON [IndexData].[Index_GUID] = [TestDataNumeric].[Index_GUID]
    WHERE {ranges}
) AS [Contents]
GROUP BY [Contents].[minute_local]
ORDER BY [Contents].[minute_local];
