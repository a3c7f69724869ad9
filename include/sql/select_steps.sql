-- The steps of the selected runs, from the three result tables together.
-- Result: one row per measurement, columns as below; the rows of one run stand together, in the order of its steps.
--   Texts are their UTF-16 units, as in select_runs. other_value has the type of TestDataOther.TestResult at this site,
--   unless that is text: its branch comes first and the others give an untyped NULL.
-- Binds: {selection}, as in select_runs.
SELECT
    [Steps].[index_guid] AS [index_guid],
    [Steps].[kind] AS [kind],
    [Steps].[step_number] AS [step_number],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [Steps].[test_name])) AS [test_name],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [Steps].[test_description])) AS [test_description],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [Steps].[test_number])) AS [test_number],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [Steps].[units])) AS [units],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [Steps].[other_value])) AS [other_value],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [Steps].[text_value])) AS [text_value],
    [Steps].[numeric_value] AS [numeric_value],
    [Steps].[low_limit] AS [low_limit],
    [Steps].[high_limit] AS [high_limit],
    [Steps].[result_code] AS [result_code]
FROM (
    SELECT
        [IndexData].[Index_GUID] AS [index_guid],
        'other' AS [kind],
        [TestDataOther].[TestStepNumber] AS [step_number],
        [TestDataOther].[TestName] AS [test_name],
        [TestDataOther].[TestDescription] AS [test_description],
        [TestDataOther].[TestNumber] AS [test_number],
        [TestDataOther].[TestUnits] AS [units],
        [TestDataOther].[TestResult] AS [other_value],
        CONVERT(nvarchar(MAX), NULL) AS [text_value],
        CONVERT(float, NULL) AS [numeric_value],
        CONVERT(float, NULL) AS [low_limit],
        CONVERT(float, NULL) AS [high_limit],
        [TestDataOther].[TestResultType] AS [result_code]
    FROM [dbo].[IndexData] AS [IndexData]
    INNER JOIN [dbo].[TestDataOther] AS [TestDataOther]
        ON [IndexData].[Index_GUID] = [TestDataOther].[Index_GUID]
    WHERE {selection}
    UNION ALL
    SELECT
        [IndexData].[Index_GUID] AS [index_guid],
        'text' AS [kind],
        [TestDataText].[TestStepNumber] AS [step_number],
        [TestDataText].[TestName] AS [test_name],
        [TestDataText].[TestDescription] AS [test_description],
        [TestDataText].[TestNumber] AS [test_number],
        [TestDataText].[TestUnits] AS [units],
        NULL AS [other_value],
        [TestDataText].[TestResult] AS [text_value],
        CONVERT(float, NULL) AS [numeric_value],
        CONVERT(float, NULL) AS [low_limit],
        CONVERT(float, NULL) AS [high_limit],
        [TestDataText].[TestResultType] AS [result_code]
    FROM [dbo].[IndexData] AS [IndexData]
    INNER JOIN [dbo].[TestDataText] AS [TestDataText]
        ON [IndexData].[Index_GUID] = [TestDataText].[Index_GUID]
    WHERE {selection}
    UNION ALL
    SELECT
        [IndexData].[Index_GUID] AS [index_guid],
        'numeric' AS [kind],
        [TestDataNumeric].[TestStepNumber] AS [step_number],
        [TestDataNumeric].[TestName] AS [test_name],
        [TestDataNumeric].[TestDescription] AS [test_description],
        [TestDataNumeric].[TestNumber] AS [test_number],
        [TestDataNumeric].[TestUnits] AS [units],
        NULL AS [other_value],
        CONVERT(nvarchar(MAX), NULL) AS [text_value],
        CONVERT(float, [TestDataNumeric].[TestResult]) AS [numeric_value],
        CONVERT(float, [TestDataNumeric].[LowLimit]) AS [low_limit],
        CONVERT(float, [TestDataNumeric].[HighLimit]) AS [high_limit],
        [TestDataNumeric].[TestResultType] AS [result_code]
    FROM [dbo].[IndexData] AS [IndexData]
    INNER JOIN [dbo].[TestDataNumeric] AS [TestDataNumeric]
        ON [IndexData].[Index_GUID] = [TestDataNumeric].[Index_GUID]
    WHERE {selection}
) AS [Steps]
ORDER BY [Steps].[index_guid], [Steps].[step_number];
