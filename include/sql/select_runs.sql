-- The headers of the selected runs with their unit and the names in the master tables today.
-- Result: one row per run, columns as below, ordered by Timestamp and Index_GUID.
-- Binds: {selection}, either half-open ranges of [IndexData].[Timestamp] or a list of [IndexData].[Index_GUID].
SELECT
    [IndexData].[Index_GUID] AS [index_guid],
    [IndexData].[Timestamp] AS [timestamp_local],
    [IndexData].[Result] AS [result_code],
    [IndexData].[ExitCode] AS [exit_code],
    [IndexData].[TestTime] AS [test_time_s],
    [UutData].[Serial] AS [serial],
    [IndexData].[Product_GUID] AS [product_guid],
    [IndexData].[ProductName] AS [product_name],
    [Products].[Name] AS [product_master_name],
    [IndexData].[Testplan_GUID] AS [testplan_guid],
    [IndexData].[TestplanRevision_GUID] AS [testplan_revision_guid],
    [IndexData].[TestplanName] AS [testplan_name],
    [Testplans].[Name] AS [testplan_master_name],
    [IndexData].[TestplanVariant] AS [testplan_variant],
    [IndexData].[TestplanRevision] AS [testplan_revision],
    [IndexData].[Testsystem_GUID] AS [testsystem_guid],
    [TestSystems].[Name] AS [testsystem_name],
    [IndexData].[Hostname] AS [hostname],
    [IndexData].[Site] AS [site],
    [IndexData].[UserName] AS [operator],
    [IndexData].[Info1] AS [info1],
    [IndexData].[Info2] AS [info2],
    [IndexData].[Info3] AS [info3]
FROM [dbo].[IndexData] AS [IndexData]
LEFT JOIN [dbo].[UutData] AS [UutData]
    ON [IndexData].[Uut_GUID] = [UutData].[Uut_GUID]
LEFT JOIN [dbo].[Products] AS [Products]
    ON [IndexData].[Product_GUID] = [Products].[Product_GUID]
LEFT JOIN [dbo].[Testplans] AS [Testplans]
    ON [IndexData].[Testplan_GUID] = [Testplans].[Testplan_GUID]
LEFT JOIN [dbo].[TestSystems] AS [TestSystems]
    ON [IndexData].[Testsystem_GUID] = [TestSystems].[Testsystem_GUID]
WHERE {selection}
ORDER BY [IndexData].[Timestamp], [IndexData].[Index_GUID];
