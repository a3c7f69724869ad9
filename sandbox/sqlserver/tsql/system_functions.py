"""What functions and @@variables say about server, database, session and objects."""

from __future__ import annotations

from sqlglot import exp

from sandbox.sqlserver.errors import SqlServerError, not_emulated
from sandbox.sqlserver.sql_types import GUID, INT, SYSTEM_TYPE_IDS, SqlType, nvarchar
from sandbox.sqlserver.tsql.conversions import Value, quote
from sandbox.sqlserver.tsql.scope import Compiler, ValueRule


def variable(compiler: Compiler, name: str) -> Value:
    facts = compiler.facts
    numbers = {
        "TRANCOUNT": facts.trancount,
        "ROWCOUNT": facts.rowcount,
        "ERROR": facts.error,
        "LOCK_TIMEOUT": facts.lock_timeout_ms,
        "MAX_PRECISION": 38,
        "NESTLEVEL": 0,
    }
    if name == "SPID":
        return Value(str(facts.spid), SqlType("smallint"))
    if name in numbers:
        return Value(str(numbers[name]), INT)
    texts = {
        "VERSION": f"Microsoft SQL Server 2012 (emulated) - {facts.version} (X64)",
        "SERVERNAME": facts.server_name,
        "LANGUAGE": "us_english",
        "SERVICENAME": "MSSQLSERVER",
    }
    if name in texts:
        return Value(quote(texts[name]), nvarchar(300 if name == "VERSION" else 128))
    raise SqlServerError(137, f'Must declare the scalar variable "@@{name}".', 15, 2)


def _newid(_: Compiler, __: exp.Expr) -> Value:
    return Value("uuid()", GUID)


def _user(compiler: Compiler, _: exp.Expr) -> Value:
    return Value(quote(compiler.facts.login), nvarchar(128))


def _schema_name(_: Compiler, __: exp.Expr) -> Value:
    return Value("'dbo'", nvarchar(128))


def _object_id(compiler: Compiler, node: exp.Expr) -> Value:
    return _object_number(compiler, _constant_text(compiler, node.this, "OBJECT_ID"))


def _object_number(compiler: Compiler, name: str) -> Value:
    parts = [part.strip('[]"') for part in name.split(".")]
    table = compiler.queries.visible.find(parts[-1], parts[-2] if len(parts) > 1 and parts[-2] else "dbo")
    return Value(str(table.object_id) if table else "NULL", INT)


def _constant_text(compiler: Compiler, node: exp.Expr, function: str) -> str:
    value = compiler.value(node)
    if value.text is None:
        raise not_emulated(f"{function} with an argument that is not a literal")
    return value.text


def _db_name(compiler: Compiler, node: exp.Expr) -> Value:
    if node.expressions:
        raise not_emulated("DB_NAME with an argument")
    return Value(quote(compiler.facts.database), nvarchar(128))


def _db_id(compiler: Compiler, node: exp.Expr) -> Value:
    if not node.expressions:
        return Value("5" if compiler.facts.database.lower() != "master" else "1", SqlType("smallint"))
    name = _constant_text(compiler, node.expressions[0], "DB_ID").lower()
    number = {"master": "1", compiler.queries.database.name.lower(): "5"}.get(name, "NULL")
    return Value(number, SqlType("smallint"))


def _server_property(compiler: Compiler, node: exp.Expr) -> Value:
    name = _constant_text(compiler, node.expressions[0], "SERVERPROPERTY").lower()
    texts = {
        "productversion": compiler.facts.version,
        "productlevel": "SP4",
        "edition": "Express Edition (64-bit)",
        "servername": compiler.facts.server_name,
        "machinename": compiler.facts.server_name.split("\\")[0],
        "computernamephysicalnetbios": compiler.facts.server_name.split("\\")[0],
        "collation": "SQL_Latin1_General_CP1_CI_AS",
    }
    if name in texts:
        return Value(quote(texts[name]), nvarchar(128))
    numbers = {"engineedition": 4, "isclustered": 0, "isintegratedsecurityonly": 0, "productmajorversion": None}
    if name in numbers:
        number = numbers[name]
        return Value("NULL" if number is None else str(number), INT)
    return Value("NULL", nvarchar(128))


def _database_property(compiler: Compiler, node: exp.Expr) -> Value:
    database = _constant_text(compiler, node.expressions[0], "DATABASEPROPERTYEX").lower()
    name = _constant_text(compiler, node.expressions[1], "DATABASEPROPERTYEX").lower()
    texts = {"collation": "SQL_Latin1_General_CP1_CI_AS", "status": "ONLINE", "updateability": "READ_WRITE"}
    known = database in {compiler.queries.database.name.lower(), "master"} and name in texts
    return Value(quote(texts[name]) if known else "NULL", nvarchar(128))


def _has_perms(compiler: Compiler, node: exp.Expr) -> Value:
    permission = _constant_text(compiler, node.expressions[2], "HAS_PERMS_BY_NAME").upper()
    rights = compiler.queries.rights
    granted = {"CONNECT"} | ({"SELECT"} if rights is None else set())
    if rights is not None and rights.granted.view_definition:
        granted.add("VIEW DEFINITION")
    return Value(str(int(compiler.facts.can_write or permission in granted)), INT)


def _is_member(compiler: Compiler, node: exp.Expr) -> Value:
    role = _constant_text(compiler, node.expressions[0], node.name).lower()
    if role in {"db_datareader", "public"}:
        return Value("1", INT)
    known = {"db_owner", "db_datawriter", "db_ddladmin", "sysadmin", "serveradmin"}
    return Value(str(int(compiler.facts.can_write)) if role in known else "NULL", INT)


def _principal_id(compiler: Compiler, node: exp.Expr) -> Value:
    if not node.expressions:
        return Value("5", INT)
    name = _constant_text(compiler, node.expressions[0], node.name).lower()
    kind = "login" if node.name.upper() == "SUSER_ID" else "user"
    return Value("5" if (kind, name) in compiler.queries.principals else "NULL", INT)


def _app_name(compiler: Compiler, _: exp.Expr) -> Value:
    return Value(quote(compiler.facts.app_name), nvarchar(128))


def _host_name(compiler: Compiler, _: exp.Expr) -> Value:
    return Value(quote(compiler.facts.host_name), nvarchar(128))


def _object_name(compiler: Compiler, node: exp.Expr) -> Value:
    value = compiler.value(node.expressions[0])
    arms = " ".join(f"WHEN {table.object_id} THEN {quote(table.name)}" for table in compiler.queries.visible.tables())
    return Value(f"CASE {value.sql} {arms} END" if arms else "NULL", nvarchar(128))


def _type_name(compiler: Compiler, node: exp.Expr) -> Value:
    arms = " ".join(f"WHEN {number} THEN {quote(name)}" for name, number in SYSTEM_TYPE_IDS.items())
    return Value(f"CASE {compiler.value(node.expressions[0]).sql} {arms} END", nvarchar(128))


VALUES: dict[type[exp.Expr], ValueRule] = {
    exp.Uuid: _newid,
    exp.CurrentUser: _user,
    exp.CurrentSchema: _schema_name,
    exp.ObjectId: _object_id,
}
NAMED: dict[str, ValueRule] = {
    "DB_NAME": _db_name,
    "DB_ID": _db_id,
    "SERVERPROPERTY": _server_property,
    "DATABASEPROPERTYEX": _database_property,
    "HAS_PERMS_BY_NAME": _has_perms,
    "IS_MEMBER": _is_member,
    "IS_ROLEMEMBER": _is_member,
    "IS_SRVROLEMEMBER": _is_member,
    "SUSER_ID": _principal_id,
    "USER_ID": _principal_id,
    "DATABASE_PRINCIPAL_ID": _principal_id,
    "SUSER_NAME": _user,
    "ORIGINAL_LOGIN": _user,
    "USER_NAME": _user,
    "APP_NAME": _app_name,
    "HOST_NAME": _host_name,
    "OBJECT_NAME": _object_name,
    "TYPE_NAME": _type_name,
}
