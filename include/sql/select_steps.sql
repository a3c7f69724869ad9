-- The steps of the selected runs, from the three result tables together.
-- Result: one row per measurement, columns as below; the rows of one run stand together, in the order of its steps.
--   other_value has the type of TestDataOther.TestResult at this site: its branch comes first and the others give an
--   untyped NULL.
-- Binds: {selection}, as in select_runs.
SELECT
    [IndexData].[Index_GUID] AS [index_guid],
    'other' AS [kind],
    [TestDataOther].[TestStepNumber] AS [step_number],
    [TestDataOther].[TestName] AS [test_name],
    [TestDataOther].[TestDescription] AS [test_description],
    [TestDataOther].[TestNumber] AS [test_number],
    [TestDataOther].[TestUnits] AS [units],
    [TestDataOther].[TestResult] AS [other_value],
    CAST(NULL AS nvarchar(max)) AS [text_value],
    CAST(NULL AS float) AS [numeric_value],
    CAST(NULL AS float) AS [low_limit],
    CAST(NULL AS float) AS [high_limit],
    [TestDataOther].[TestResultType] AS [result_code]
FROM [dbo].[IndexData] AS [IndexData]
INNER JOIN [dbo].[TestDataOther] AS [TestDataOther]
    ON [IndexData].[Index_GUID] = [TestDataOther].[Index_GUID]
WHERE {selection}
UNION ALL
SELECT
    [IndexData].[Index_GUID],
    'text',
    [TestDataText].[TestStepNumber],
    [TestDataText].[TestName],
    [TestDataText].[TestDescription],
    [TestDataText].[TestNumber],
    [TestDataText].[TestUnits],
    NULL,
    [TestDataText].[TestResult],
    CAST(NULL AS float),
    CAST(NULL AS float),
    CAST(NULL AS float),
    [TestDataText].[TestResultType]
FROM [dbo].[IndexData] AS [IndexData]
INNER JOIN [dbo].[TestDataText] AS [TestDataText]
    ON [IndexData].[Index_GUID] = [TestDataText].[Index_GUID]
WHERE {selection}
UNION ALL
SELECT
    [IndexData].[Index_GUID],
    'numeric',
    [TestDataNumeric].[TestStepNumber],
    [TestDataNumeric].[TestName],
    [TestDataNumeric].[TestDescription],
    [TestDataNumeric].[TestNumber],
    [TestDataNumeric].[TestUnits],
    NULL,
    CAST(NULL AS nvarchar(max)),
    CAST([TestDataNumeric].[TestResult] AS float),
    CAST([TestDataNumeric].[LowLimit] AS float),
    CAST([TestDataNumeric].[HighLimit] AS float),
    [TestDataNumeric].[TestResultType]
FROM [dbo].[IndexData] AS [IndexData]
INNER JOIN [dbo].[TestDataNumeric] AS [TestDataNumeric]
    ON [IndexData].[Index_GUID] = [TestDataNumeric].[Index_GUID]
WHERE {selection}
ORDER BY [index_guid], [step_number];
