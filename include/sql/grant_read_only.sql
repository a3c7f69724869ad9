-- The login of the adapter: of eight tables of one database it may read the columns that the adapter uses, and nothing
-- else. Run once by an administrator; running it again is harmless. The password of an existing login stays as it is.
--
--   sqlcmd -S SERVER -E -b -i include/sql/grant_read_only.sql -v VTE_DATABASE="VTE9_3" VTE_ADAPTER_PASSWORD="..."
--
-- sqlcmd also takes both variables from environment variables of these names, which keeps the password out of the
-- shell's history. Write a single quote in the password twice. The server must allow SQL Server logins ("mixed mode").
--
-- Names of tables, columns and schema are the documented ones; change them here where Variable vte_wats changes them
-- (source_schema, column_overrides), and leave out columns that it sets to null. Users is not granted: the adapter reads the operator's name from IndexData.
-- Binds: VTE_DATABASE, VTE_ADAPTER_PASSWORD, both sqlcmd variables. SQL Server 2012 and later.
USE [$(VTE_DATABASE)];
GO

IF SUSER_ID(N'vte_adapter_readonly') IS NULL
    CREATE LOGIN [vte_adapter_readonly] WITH PASSWORD = N'$(VTE_ADAPTER_PASSWORD)';
GO

IF USER_ID(N'vte_adapter_readonly') IS NULL
    CREATE USER [vte_adapter_readonly] FOR LOGIN [vte_adapter_readonly];
GO

-- A database restored from another server holds a user without a login; this joins the two again.
ALTER USER [vte_adapter_readonly] WITH LOGIN = [vte_adapter_readonly];
GO

-- A grant on a whole table, as earlier versions of this script gave it, would include columns that are not read.
REVOKE SELECT ON [dbo].[IndexData] FROM [vte_adapter_readonly];
REVOKE SELECT ON [dbo].[UutData] FROM [vte_adapter_readonly];
REVOKE SELECT ON [dbo].[TestDataNumeric] FROM [vte_adapter_readonly];
REVOKE SELECT ON [dbo].[TestDataText] FROM [vte_adapter_readonly];
REVOKE SELECT ON [dbo].[TestDataOther] FROM [vte_adapter_readonly];
REVOKE SELECT ON [dbo].[Products] FROM [vte_adapter_readonly];
REVOKE SELECT ON [dbo].[Testplans] FROM [vte_adapter_readonly];
REVOKE SELECT ON [dbo].[TestSystems] FROM [vte_adapter_readonly];
GO

GRANT SELECT (
    [Index_GUID], [Product_GUID], [Result], [Testplan_GUID], [Testsystem_GUID], [Timestamp],
    [Uut_GUID], [ExitCode], [Hostname], [Info1], [Info2], [Info3], [ProductName], [Site],
    [TestTime], [TestplanName], [TestplanRevision], [TestplanRevision_GUID], [TestplanVariant],
    [UserName]
) ON [dbo].[IndexData] TO [vte_adapter_readonly];
GRANT SELECT (
    [Serial], [Uut_GUID]
) ON [dbo].[UutData] TO [vte_adapter_readonly];
GRANT SELECT (
    [Index_GUID], [TestResult], [TestStepNumber], [HighLimit], [LowLimit], [TestDescription],
    [TestName], [TestNumber], [TestResultType], [TestUnits]
) ON [dbo].[TestDataNumeric] TO [vte_adapter_readonly];
GRANT SELECT (
    [Index_GUID], [TestResult], [TestStepNumber], [TestDescription], [TestName], [TestNumber],
    [TestResultType], [TestUnits]
) ON [dbo].[TestDataText] TO [vte_adapter_readonly];
GRANT SELECT (
    [Index_GUID], [TestResult], [TestStepNumber], [TestDescription], [TestName], [TestNumber],
    [TestResultType], [TestUnits]
) ON [dbo].[TestDataOther] TO [vte_adapter_readonly];
GRANT SELECT (
    [Product_GUID], [Name]
) ON [dbo].[Products] TO [vte_adapter_readonly];
GRANT SELECT (
    [Testplan_GUID], [Name]
) ON [dbo].[Testplans] TO [vte_adapter_readonly];
GRANT SELECT (
    [Testsystem_GUID], [Name]
) ON [dbo].[TestSystems] TO [vte_adapter_readonly];
GO

-- Optional, and not needed by any sync: what a survey shows more of (docs/survey.md). By hand, for the time of a survey.
-- The names of all tables and columns, without a right to read one of them: shows what is renamed or additional.
--   GRANT VIEW DEFINITION ON SCHEMA::[dbo] TO [vte_adapter_readonly];
--   REVOKE VIEW DEFINITION ON SCHEMA::[dbo] FROM [vte_adapter_readonly];
-- The estimated plans of the statements.
--   GRANT SHOWPLAN TO [vte_adapter_readonly];
--   REVOKE SHOWPLAN FROM [vte_adapter_readonly];
