-- The login of the adapter: it may read eight tables of one database, and nothing else. Run once by an administrator;
-- running it again is harmless. The password of an existing login stays as it is.
--
--   sqlcmd -S SERVER -E -b -i include/sql/grant_read_only.sql -v VTE_DATABASE="VTE9_3" VTE_ADAPTER_PASSWORD="..."
--
-- sqlcmd also takes both variables from environment variables of these names, which keeps the password out of the
-- shell's history. Write a single quote in the password twice. The server must allow SQL Server logins ("mixed mode").
--
-- Table and schema names are the documented ones; change them here where Variable vte_wats changes them
-- (source_schema, column_overrides). Users is not granted: the adapter reads the operator's name from IndexData.
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

GRANT SELECT ON [dbo].[IndexData] TO [vte_adapter_readonly];
GRANT SELECT ON [dbo].[UutData] TO [vte_adapter_readonly];
GRANT SELECT ON [dbo].[TestDataNumeric] TO [vte_adapter_readonly];
GRANT SELECT ON [dbo].[TestDataText] TO [vte_adapter_readonly];
GRANT SELECT ON [dbo].[TestDataOther] TO [vte_adapter_readonly];
GRANT SELECT ON [dbo].[Products] TO [vte_adapter_readonly];
GRANT SELECT ON [dbo].[Testplans] TO [vte_adapter_readonly];
GRANT SELECT ON [dbo].[TestSystems] TO [vte_adapter_readonly];
GO
