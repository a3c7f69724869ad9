-- The headers of the selected runs with their unit and the names in the master tables today.
-- Result: one row per run, columns as below, ordered by Timestamp and Index_GUID; more than one where a key that should
--   be unique is not. Texts are their UTF-16 units: the driver cuts or alters what is no valid text. Those of the master
--   tables, whose size nobody asked for before, end after 4,000 units.
-- Binds: {selection}, either half-open ranges of [IndexData].[Timestamp] or a list of [IndexData].[Index_GUID].
SELECT
    [IndexData].[Index_GUID] AS [index_guid],
    [IndexData].[Timestamp] AS [timestamp_local],
    [IndexData].[Result] AS [result_code],
    [IndexData].[ExitCode] AS [exit_code],
    [IndexData].[TestTime] AS [test_time_s],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(4000), [UutData].[Serial])) AS [serial],
    [IndexData].[Product_GUID] AS [product_guid],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [IndexData].[ProductName])) AS [product_name],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(4000), [Products].[Name])) AS [product_master_name],
    [IndexData].[Testplan_GUID] AS [testplan_guid],
    [IndexData].[TestplanRevision_GUID] AS [testplan_revision_guid],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [IndexData].[TestplanName])) AS [testplan_name],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(4000), [Testplans].[Name])) AS [testplan_master_name],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [IndexData].[TestplanVariant])) AS [testplan_variant],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [IndexData].[TestplanRevision])) AS [testplan_revision],
    [IndexData].[Testsystem_GUID] AS [testsystem_guid],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(4000), [TestSystems].[Name])) AS [testsystem_name],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [IndexData].[Hostname])) AS [hostname],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [IndexData].[Site])) AS [site],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [IndexData].[UserName])) AS [operator],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [IndexData].[Info1])) AS [info1],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [IndexData].[Info2])) AS [info2],
    CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [IndexData].[Info3])) AS [info3]
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
