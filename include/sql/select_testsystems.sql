-- The test systems of this database: shows which reports in WATS were made from it.
-- Result: testsystem_guid uniqueidentifier; one row per test system.
-- Binds: none.
SELECT [TestSystems].[Testsystem_GUID] AS [testsystem_guid]
FROM [dbo].[TestSystems] AS [TestSystems]
ORDER BY [TestSystems].[Testsystem_GUID];
