-- Keysight VTE 9.31.1, schema dbo: 21 tables.
--
-- What is documented: the tables, their relations, and the columns of IndexData, UutData, TestDataNumeric, TestDataText
-- and TestDataOther; of the master tables a GUID and a Name (TestplanRevisions: Revision); that Users has a Password.
-- Everything marked "reconstructed" is a stand-in for what is not published. So are, everywhere, the lengths of text
-- columns, which columns refuse NULL, the names of constraints, and the indexes. Nothing may be built on those.
--
-- For SQL Server 2012 and later. Batches end at GO. Run it in an empty database of any name; it creates no database,
-- login or user. The test data tables have no key on purpose: none is documented, and one TestStepNumber may stand in
-- several rows of one run.

-- Master data ---------------------------------------------------------------------------------------------------------

CREATE TABLE [dbo].[Products] (
    [Product_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_Products] PRIMARY KEY,
    [Name] nvarchar(255) NULL,
    [Description] nvarchar(255) NULL,  -- reconstructed
    [Created] datetime NULL  -- reconstructed
);
GO

CREATE TABLE [dbo].[Testplans] (
    [Testplan_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_Testplans] PRIMARY KEY,
    [Name] nvarchar(255) NULL,
    [Description] nvarchar(255) NULL,  -- reconstructed
    [Created] datetime NULL  -- reconstructed
);
GO

CREATE TABLE [dbo].[TestplanRevisions] (
    [TestplanRevision_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_TestplanRevisions] PRIMARY KEY,
    [Testplan_GUID] uniqueidentifier NULL,
    [Revision] nvarchar(255) NULL,
    [Comment] nvarchar(max) NULL,  -- reconstructed
    [Created] datetime NULL  -- reconstructed
);
GO

CREATE TABLE [dbo].[TestSystems] (
    [Testsystem_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_TestSystems] PRIMARY KEY,
    [Name] nvarchar(255) NULL,
    [Hostname] nvarchar(255) NULL,  -- reconstructed
    [Site] nvarchar(255) NULL  -- reconstructed
);
GO

-- TestsystemComponents: every column but Name and Testsystem_GUID is reconstructed.
CREATE TABLE [dbo].[TestsystemComponents] (
    [TestsystemComponent_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_TestsystemComponents] PRIMARY KEY,  -- reconstructed
    [Testsystem_GUID] uniqueidentifier NULL,
    [Name] nvarchar(255) NULL,
    [Model] nvarchar(255) NULL,  -- reconstructed
    [SerialNumber] nvarchar(255) NULL,  -- reconstructed
    [CalibrationDue] datetime NULL  -- reconstructed
);
GO

-- Users: nothing that moves runs may ever read Password.
CREATE TABLE [dbo].[Users] (
    [User_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_Users] PRIMARY KEY,
    [Name] nvarchar(255) NULL,
    [Password] nvarchar(255) NULL,
    [Active] bit NULL  -- reconstructed
);
GO

-- UserRegistrations: reconstructed table.
CREATE TABLE [dbo].[UserRegistrations] (
    [UserRegistration_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_UserRegistrations] PRIMARY KEY,  -- reconstructed
    [User_GUID] uniqueidentifier NULL,  -- reconstructed
    [Testsystem_GUID] uniqueidentifier NULL,  -- reconstructed
    [Name] nvarchar(255) NULL,  -- reconstructed
    [Registered] datetime NULL  -- reconstructed
);
GO

-- ProductRegistrations: reconstructed table.
CREATE TABLE [dbo].[ProductRegistrations] (
    [ProductRegistration_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_ProductRegistrations] PRIMARY KEY,  -- reconstructed
    [Product_GUID] uniqueidentifier NULL,  -- reconstructed
    [Testplan_GUID] uniqueidentifier NULL,  -- reconstructed
    [Name] nvarchar(255) NULL,  -- reconstructed
    [Registered] datetime NULL  -- reconstructed
);
GO

CREATE TABLE [dbo].[RepairActionCodes] (
    [RepairActionCode_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_RepairActionCodes] PRIMARY KEY,  -- reconstructed
    [Name] nvarchar(255) NULL,
    [Code] int NULL  -- reconstructed
);
GO

CREATE TABLE [dbo].[RepairFailureCodes] (
    [RepairFailureCode_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_RepairFailureCodes] PRIMARY KEY,  -- reconstructed
    [Name] nvarchar(255) NULL,
    [Code] int NULL  -- reconstructed
);
GO

-- Results -------------------------------------------------------------------------------------------------------------

-- UutData: one unit under test; its runs and its history hang on it.
CREATE TABLE [dbo].[UutData] (
    [Uut_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_UutData] PRIMARY KEY,
    [Serial] nvarchar(255) NULL,
    [Product_GUID] uniqueidentifier NULL,
    [Testplan_GUID] uniqueidentifier NULL,
    [TestplanRevision_GUID] uniqueidentifier NULL,
    [Testsystem_GUID] uniqueidentifier NULL,
    [User_GUID] uniqueidentifier NULL
);
GO

-- IndexData: one executed test; the names are copies made when it ran.
CREATE TABLE [dbo].[IndexData] (
    [Index_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_IndexData] PRIMARY KEY,
    [Uut_GUID] uniqueidentifier NULL,
    [Product_GUID] uniqueidentifier NULL,
    [Testplan_GUID] uniqueidentifier NULL,
    [TestplanRevision_GUID] uniqueidentifier NULL,
    [Testsystem_GUID] uniqueidentifier NULL,
    [User_GUID] uniqueidentifier NULL,
    [Timestamp] datetime NULL,
    [ExitCode] int NULL,
    [Result] int NULL,
    [TestTime] real NULL,  -- seconds
    [Hostname] nvarchar(255) NULL,
    [Site] nvarchar(255) NULL,
    [UserName] nvarchar(255) NULL,
    [ProductName] nvarchar(255) NULL,
    [TestplanName] nvarchar(255) NULL,
    [TestplanVariant] nvarchar(255) NULL,
    [TestplanRevision] nvarchar(255) NULL,
    [Info1] nvarchar(255) NULL,
    [Info2] nvarchar(255) NULL,
    [Info3] nvarchar(255) NULL
);
GO

CREATE TABLE [dbo].[TestDataNumeric] (
    [Index_GUID] uniqueidentifier NOT NULL,
    [TestStepNumber] int NULL,
    [TestName] nvarchar(255) NULL,
    [TestDescription] nvarchar(max) NULL,
    [TestNumber] nvarchar(255) NULL,
    [TestUnits] nvarchar(255) NULL,
    [TestResult] float NULL,
    [LowLimit] float NULL,
    [HighLimit] float NULL,
    [TestResultType] int NULL  -- the step's result code
);
GO

CREATE TABLE [dbo].[TestDataText] (
    [Index_GUID] uniqueidentifier NOT NULL,
    [TestStepNumber] int NULL,
    [TestName] nvarchar(255) NULL,
    [TestDescription] nvarchar(max) NULL,
    [TestNumber] nvarchar(255) NULL,
    [TestUnits] nvarchar(255) NULL,
    [TestResult] nvarchar(max) NULL,
    [TestResultType] int NULL  -- the step's result code
);
GO

-- TestDataOther: the type of TestResult is reconstructed.
CREATE TABLE [dbo].[TestDataOther] (
    [Index_GUID] uniqueidentifier NOT NULL,
    [TestStepNumber] int NULL,
    [TestName] nvarchar(255) NULL,
    [TestDescription] nvarchar(max) NULL,
    [TestNumber] nvarchar(255) NULL,
    [TestUnits] nvarchar(255) NULL,
    [TestResult] varbinary(max) NULL,
    [TestResultType] int NULL  -- the step's result code
);
GO

-- UutHistory: reconstructed table, but for its relation to UutData.
CREATE TABLE [dbo].[UutHistory] (
    [UutHistory_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_UutHistory] PRIMARY KEY,  -- reconstructed
    [Uut_GUID] uniqueidentifier NULL,
    [Timestamp] datetime NULL,  -- reconstructed
    [UserName] nvarchar(255) NULL,  -- reconstructed
    [Event] nvarchar(255) NULL  -- reconstructed
);
GO

-- AssemblyData: reconstructed table, but for its relation to UutData.
CREATE TABLE [dbo].[AssemblyData] (
    [AssemblyData_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_AssemblyData] PRIMARY KEY,  -- reconstructed
    [Uut_GUID] uniqueidentifier NULL,
    [ComponentName] nvarchar(255) NULL,  -- reconstructed
    [ComponentSerial] nvarchar(255) NULL,  -- reconstructed
    [Quantity] int NULL  -- reconstructed
);
GO

-- RepairData: reconstructed table, but for its relations.
CREATE TABLE [dbo].[RepairData] (
    [RepairData_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_RepairData] PRIMARY KEY,  -- reconstructed
    [Index_GUID] uniqueidentifier NULL,
    [RepairFailureCode_GUID] uniqueidentifier NULL,
    [Timestamp] datetime NULL,  -- reconstructed
    [UserName] nvarchar(255) NULL,  -- reconstructed
    [Comment] nvarchar(max) NULL  -- reconstructed
);
GO

-- RepairActions: reconstructed table, but for its relations.
CREATE TABLE [dbo].[RepairActions] (
    [RepairAction_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_RepairActions] PRIMARY KEY,  -- reconstructed
    [RepairData_GUID] uniqueidentifier NULL,
    [RepairActionCode_GUID] uniqueidentifier NULL,
    [Comment] nvarchar(max) NULL  -- reconstructed
);
GO

-- RepairSyndromes: reconstructed table.
CREATE TABLE [dbo].[RepairSyndromes] (
    [RepairSyndrome_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_RepairSyndromes] PRIMARY KEY,  -- reconstructed
    [Product_GUID] uniqueidentifier NULL,  -- reconstructed
    [Name] nvarchar(255) NULL  -- reconstructed
);
GO

-- RepairSyndromeCauses: reconstructed table, but for its relation to RepairSyndromes.
CREATE TABLE [dbo].[RepairSyndromeCauses] (
    [RepairSyndromeCause_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_RepairSyndromeCauses] PRIMARY KEY,  -- reconstructed
    [RepairSyndrome_GUID] uniqueidentifier NULL,
    [Name] nvarchar(255) NULL  -- reconstructed
);
GO

-- Relations. A run may be committed before its steps, never after them. -----------------------------------------------

ALTER TABLE [dbo].[TestplanRevisions] ADD CONSTRAINT [FK_TestplanRevisions_Testplans]
    FOREIGN KEY ([Testplan_GUID]) REFERENCES [dbo].[Testplans] ([Testplan_GUID]);
GO

ALTER TABLE [dbo].[TestsystemComponents] ADD CONSTRAINT [FK_TestsystemComponents_TestSystems]
    FOREIGN KEY ([Testsystem_GUID]) REFERENCES [dbo].[TestSystems] ([Testsystem_GUID]);
GO

ALTER TABLE [dbo].[UserRegistrations] ADD CONSTRAINT [FK_UserRegistrations_Users]
    FOREIGN KEY ([User_GUID]) REFERENCES [dbo].[Users] ([User_GUID]);
GO

ALTER TABLE [dbo].[ProductRegistrations] ADD CONSTRAINT [FK_ProductRegistrations_Products]
    FOREIGN KEY ([Product_GUID]) REFERENCES [dbo].[Products] ([Product_GUID]);
GO

ALTER TABLE [dbo].[UutData] ADD CONSTRAINT [FK_UutData_Products]
    FOREIGN KEY ([Product_GUID]) REFERENCES [dbo].[Products] ([Product_GUID]);
GO

ALTER TABLE [dbo].[UutData] ADD CONSTRAINT [FK_UutData_Testplans]
    FOREIGN KEY ([Testplan_GUID]) REFERENCES [dbo].[Testplans] ([Testplan_GUID]);
GO

ALTER TABLE [dbo].[UutData] ADD CONSTRAINT [FK_UutData_TestplanRevisions]
    FOREIGN KEY ([TestplanRevision_GUID]) REFERENCES [dbo].[TestplanRevisions] ([TestplanRevision_GUID]);
GO

ALTER TABLE [dbo].[UutData] ADD CONSTRAINT [FK_UutData_TestSystems]
    FOREIGN KEY ([Testsystem_GUID]) REFERENCES [dbo].[TestSystems] ([Testsystem_GUID]);
GO

ALTER TABLE [dbo].[UutData] ADD CONSTRAINT [FK_UutData_Users]
    FOREIGN KEY ([User_GUID]) REFERENCES [dbo].[Users] ([User_GUID]);
GO

ALTER TABLE [dbo].[IndexData] ADD CONSTRAINT [FK_IndexData_Products]
    FOREIGN KEY ([Product_GUID]) REFERENCES [dbo].[Products] ([Product_GUID]);
GO

ALTER TABLE [dbo].[IndexData] ADD CONSTRAINT [FK_IndexData_Testplans]
    FOREIGN KEY ([Testplan_GUID]) REFERENCES [dbo].[Testplans] ([Testplan_GUID]);
GO

ALTER TABLE [dbo].[IndexData] ADD CONSTRAINT [FK_IndexData_TestplanRevisions]
    FOREIGN KEY ([TestplanRevision_GUID]) REFERENCES [dbo].[TestplanRevisions] ([TestplanRevision_GUID]);
GO

ALTER TABLE [dbo].[IndexData] ADD CONSTRAINT [FK_IndexData_TestSystems]
    FOREIGN KEY ([Testsystem_GUID]) REFERENCES [dbo].[TestSystems] ([Testsystem_GUID]);
GO

ALTER TABLE [dbo].[IndexData] ADD CONSTRAINT [FK_IndexData_Users]
    FOREIGN KEY ([User_GUID]) REFERENCES [dbo].[Users] ([User_GUID]);
GO

ALTER TABLE [dbo].[IndexData] ADD CONSTRAINT [FK_IndexData_UutData]
    FOREIGN KEY ([Uut_GUID]) REFERENCES [dbo].[UutData] ([Uut_GUID]);
GO

ALTER TABLE [dbo].[UutHistory] ADD CONSTRAINT [FK_UutHistory_UutData]
    FOREIGN KEY ([Uut_GUID]) REFERENCES [dbo].[UutData] ([Uut_GUID]);
GO

ALTER TABLE [dbo].[AssemblyData] ADD CONSTRAINT [FK_AssemblyData_UutData]
    FOREIGN KEY ([Uut_GUID]) REFERENCES [dbo].[UutData] ([Uut_GUID]);
GO

ALTER TABLE [dbo].[TestDataNumeric] ADD CONSTRAINT [FK_TestDataNumeric_IndexData]
    FOREIGN KEY ([Index_GUID]) REFERENCES [dbo].[IndexData] ([Index_GUID]);
GO

ALTER TABLE [dbo].[TestDataText] ADD CONSTRAINT [FK_TestDataText_IndexData]
    FOREIGN KEY ([Index_GUID]) REFERENCES [dbo].[IndexData] ([Index_GUID]);
GO

ALTER TABLE [dbo].[TestDataOther] ADD CONSTRAINT [FK_TestDataOther_IndexData]
    FOREIGN KEY ([Index_GUID]) REFERENCES [dbo].[IndexData] ([Index_GUID]);
GO

ALTER TABLE [dbo].[RepairData] ADD CONSTRAINT [FK_RepairData_IndexData]
    FOREIGN KEY ([Index_GUID]) REFERENCES [dbo].[IndexData] ([Index_GUID]);
GO

ALTER TABLE [dbo].[RepairData] ADD CONSTRAINT [FK_RepairData_RepairFailureCodes]
    FOREIGN KEY ([RepairFailureCode_GUID]) REFERENCES [dbo].[RepairFailureCodes] ([RepairFailureCode_GUID]);
GO

ALTER TABLE [dbo].[RepairActions] ADD CONSTRAINT [FK_RepairActions_RepairData]
    FOREIGN KEY ([RepairData_GUID]) REFERENCES [dbo].[RepairData] ([RepairData_GUID]);
GO

ALTER TABLE [dbo].[RepairActions] ADD CONSTRAINT [FK_RepairActions_RepairActionCodes]
    FOREIGN KEY ([RepairActionCode_GUID]) REFERENCES [dbo].[RepairActionCodes] ([RepairActionCode_GUID]);
GO

ALTER TABLE [dbo].[RepairSyndromeCauses] ADD CONSTRAINT [FK_RepairSyndromeCauses_RepairSyndromes]
    FOREIGN KEY ([RepairSyndrome_GUID]) REFERENCES [dbo].[RepairSyndromes] ([RepairSyndrome_GUID]);
GO

-- Indexes (reconstructed) ---------------------------------------------------------------------------------------------

CREATE INDEX [IX_IndexData_Timestamp] ON [dbo].[IndexData] ([Timestamp]);
GO

CREATE INDEX [IX_TestDataNumeric_Index_GUID] ON [dbo].[TestDataNumeric] ([Index_GUID]);
GO

CREATE INDEX [IX_TestDataText_Index_GUID] ON [dbo].[TestDataText] ([Index_GUID]);
GO

CREATE INDEX [IX_TestDataOther_Index_GUID] ON [dbo].[TestDataOther] ([Index_GUID]);
GO
