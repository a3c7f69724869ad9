"""Statements run against the store: one `Execution` is what one connection may do and where it stands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp

from sandbox.vte import batches, definitions
from sandbox.vte.batches import Statement
from sandbox.vte.catalog import View, quoted
from sandbox.vte.conversions import Value
from sandbox.vte.errors import (
    SqlServerError,
    from_duckdb,
    no_such_database,
    not_emulated,
    permission_denied,
    statement_not_emulated,
    syntax,
    unknown_set_option,
    unknown_table,
)
from sandbox.vte.expressions import SessionFacts
from sandbox.vte.translate import Change, QueryCompiler
from sandbox.vte.tsql_types import SqlType

if TYPE_CHECKING:
    from sandbox.vte.database import VteDatabase

logger = logging.getLogger(__name__)

ROWS_PER_BATCH = 4096


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SWITCHES = _words(
    "ARITHABORT ARITHIGNORE CONCAT_NULL_YIELDS_NULL ANSI_NULLS ANSI_NULL_DFLT_ON ANSI_NULL_DFLT_OFF "
    "ANSI_PADDING ANSI_WARNINGS ANSI_DEFAULTS CURSOR_CLOSE_ON_COMMIT QUOTED_IDENTIFIER NOCOUNT XACT_ABORT "
    "NUMERIC_ROUNDABORT"
)
_OFF_ONLY = _words("IMPLICIT_TRANSACTIONS FMTONLY NOEXEC PARSEONLY SHOWPLAN_ALL SHOWPLAN_XML")
_LEVELS = frozenset({"READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SNAPSHOT", "SERIALIZABLE"})
_PERMISSION_OF_WORD = {"EXECUTE": "EXECUTE", "EXEC": "EXECUTE", "TRUNCATE": "ALTER", "MERGE": "UPDATE"}
_SECURITY_WORDS = frozenset({"GRANT", "REVOKE", "DENY"})
_SECURITY_OBJECTS = frozenset({"LOGIN", "USER", "ROLE", "AUTHORIZATION", "CERTIFICATE"})
_QUERY_WORDS = frozenset({"SELECT", "WITH", "(", "INSERT", "UPDATE", "DELETE"})


@dataclass(frozen=True)
class Rows:
    """A result to be read once; `batches` must be exhausted or closed before the next statement."""

    columns: tuple[tuple[str, SqlType], ...]
    reader: pa.RecordBatchReader


@dataclass(frozen=True)
class Affected:
    """A change of so many rows; `command` is the code DONE carries."""

    count: int
    command: int


@dataclass(frozen=True)
class Quiet:
    """A statement that answers with nothing but DONE; `note` is an INFO message."""

    note: str | None = None


@dataclass(frozen=True)
class DatabaseChanged:
    new: str
    old: str


@dataclass(frozen=True)
class TransactionChanged:
    """`change` is begin, commit or rollback of the outermost transaction."""

    change: str
    descriptor: bytes


Outcome = Rows | Affected | Quiet | DatabaseChanged | TransactionChanged

_COMMANDS = {"INSERT": 0xC3, "DELETE": 0xC4, "UPDATE": 0xC5}


@dataclass
class Identity:
    """Who runs the statements, and where from."""

    login: str = "sa"
    can_write: bool = True
    app_name: str = ""
    host_name: str = ""
    server_name: str = "SANDBOX"
    spid: int = 51
    logins: frozenset[str] = frozenset()
    to_local: Callable[[datetime], datetime] = field(default=lambda moment: moment)
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


class Execution:
    """Runs statements one after the other for one connection. Not thread-safe."""

    def __init__(self, database: VteDatabase, identity: Identity | None = None) -> None:
        self.database = database
        self.identity = identity or Identity()
        self.current_database = database.name
        self.cursor = database.cursor()
        self.trancount = 0
        self.lock_timeout_ms = -1
        self.isolation = "READ COMMITTED"
        self.no_count = False
        self.rowcount = 0
        self.last_error = 0
        self._descriptor = 0
        self._reader: pa.RecordBatchReader | None = None

    def close(self) -> None:
        self.finish_rows()
        self.cursor.close()

    # -- batches -------------------------------------------------------------------------------------------------------

    def run(self, sql: str, parameters: dict[str, Value] | None = None) -> Iterator[Outcome]:
        """Run a batch and yield what each statement answers. The first error ends the batch.

        Everything is cut and parsed before the first statement runs, so that a syntax error runs nothing.
        """
        statements = batches.split_batch(sql)
        parsed: dict[int, exp.Expr] = {}
        self._parse(statements, parsed)
        yield from self._each(statements, parsed, parameters or {})

    def _parse(self, statements: Sequence[Statement], parsed: dict[int, exp.Expr]) -> None:
        for statement in statements:
            if statement.condition is not None:
                parsed[id(statement)] = batches.parse(
                    Statement("SELECT", f"SELECT 1 WHERE {statement.condition}", ("SELECT",))
                )
            if statement.word not in batches.STATEMENT_WORDS | {"(", "BLOCK"}:
                raise syntax(statement.words[1] if len(statement.words) > 1 else statement.word)
            if statement.word in _QUERY_WORDS:
                parsed[id(statement)] = batches.parse(statement)
            self._parse(statement.then, parsed)
            self._parse(statement.otherwise, parsed)

    def _each(
        self, statements: Sequence[Statement], parsed: dict[int, exp.Expr], parameters: dict[str, Value]
    ) -> Iterator[Outcome]:
        for statement in statements:
            if statement.word == "BLOCK":
                yield from self._each(statement.then, parsed, parameters)
            elif statement.word == "IF":
                condition = parsed[id(statement)].args["where"].this
                sql = self._compiler(parameters).condition(condition)
                with _translated(self):
                    holds = self.cursor.execute(sql).fetchall()[0][0]
                yield from self._each(statement.then if holds else statement.otherwise, parsed, parameters)
            else:
                with _translated(self):
                    outcome = self._run(statement, parsed.get(id(statement)), parameters)
                self.last_error = 0
                if isinstance(outcome, Affected):
                    self.rowcount = outcome.count
                yield outcome
                self.finish_rows()

    def finish_rows(self) -> None:
        """Give up what is left of the current result, if any."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def failed(self, problem: SqlServerError) -> TransactionChanged | None:
        """Take note of an error; return the rollback it caused, if it caused one."""
        self.last_error = problem.number
        self.finish_rows()
        if problem.aborts_transaction and self.trancount:
            return self.rollback()
        return None

    def _compiler(self, parameters: dict[str, Value]) -> QueryCompiler:
        identity = self.identity
        utc = identity.clock()
        facts = SessionFacts(
            utc=utc,
            local=identity.to_local(utc),
            database=self.current_database,
            login=identity.login,
            app_name=identity.app_name,
            host_name=identity.host_name,
            server_name=identity.server_name,
            spid=identity.spid,
            trancount=self.trancount,
            rowcount=self.rowcount,
            error=self.last_error,
            lock_timeout_ms=self.lock_timeout_ms,
            isolation=self.isolation,
            can_write=identity.can_write,
            parameters=parameters,
        )
        known = {(kind, name) for kind in ("login", "user") for name in identity.logins} | self.database.principals
        return QueryCompiler(self.database.catalog, self.database.facts, facts, frozenset(known))

    # -- statements ----------------------------------------------------------------------------------------------------

    def _run(self, statement: Statement, node: exp.Expr | None, parameters: dict[str, Value]) -> Outcome:
        word, words = statement.word, statement.words
        if word == "SET":
            return self._set(words)
        if word == "USE":
            return self._use(statement)
        if word == "BEGIN":
            return self.begin()
        if word == "COMMIT":
            return self.commit()
        if word == "ROLLBACK":
            return self.rollback()
        if word in {"SELECT", "WITH", "("} and node is not None and isinstance(node, exp.Query):
            return self._select(node, parameters)
        self._check_permission(statement, node)
        if node is not None:
            return self._change(node, parameters)
        if word in _SECURITY_WORDS or (word in {"CREATE", "ALTER", "DROP"} and words[1] in _SECURITY_OBJECTS):
            return self._security(statement)
        if word in {"CREATE", "ALTER", "DROP", "TRUNCATE"}:
            return self._define(statement, parameters)
        if word in {"EXEC", "EXECUTE"}:
            name = ([*statement.text.split(), ""])[1]
            raise SqlServerError(2812, f"Could not find stored procedure '{name}'.", state=62)
        if word.isalpha() and word in {"DECLARE", "PRINT", "WHILE", "RAISERROR", "THROW", "WAITFOR", "MERGE", "SAVE"}:
            raise statement_not_emulated(word)
        raise syntax(words[0] if words else word)

    def _check_permission(self, statement: Statement, node: exp.Expr | None) -> None:
        if self.identity.can_write:
            return
        target = next((table.name for table in node.find_all(exp.Table)), "") if node is not None else ""
        permission = _PERMISSION_OF_WORD.get(statement.word, statement.word)
        if isinstance(node, (exp.Insert, exp.Update, exp.Delete)):
            permission = type(node).__name__.upper()
        raise permission_denied(permission, target or " ".join(statement.words[1:3]), self.database.name)

    def _select(self, node: exp.Query, parameters: dict[str, Value]) -> Outcome:
        into = node.args.get("into")
        if into is not None:
            if not self.identity.can_write:
                raise permission_denied("CREATE TABLE", into.this.name, self.database.name)
            raise statement_not_emulated("SELECT INTO")
        query = self._compiler(parameters).result(node)
        if self.isolation == "SNAPSHOT" and not self.database.facts.snapshot_isolation:
            raise SqlServerError(
                3952,
                f"Snapshot isolation transaction failed accessing database '{self.database.name}' because snapshot "
                "isolation is not allowed in this database. Use ALTER DATABASE to allow snapshot isolation.",
                aborts_transaction=True,
            )
        self._reader = self.cursor.sql(query.sql).to_arrow_reader(ROWS_PER_BATCH)
        assert self._reader is not None
        return Rows(tuple((name, kind) for name, kind in query.columns if kind is not None), self._reader)

    def _change(self, node: exp.Expr, parameters: dict[str, Value]) -> Outcome:
        compiler = self._compiler(parameters)
        change: Change
        if isinstance(node, exp.Insert):
            change = compiler.insert(node)
        elif isinstance(node, exp.Update):
            change = compiler.update(node)
        elif isinstance(node, exp.Delete):
            change = compiler.delete(node)
        else:
            raise statement_not_emulated(node.key.upper())
        if node.args.get("returning") is not None:
            raise not_emulated("OUTPUT")
        counted = self.cursor.execute(change.sql).fetchall()
        return Affected(int(counted[0][0]) if counted else 0, _COMMANDS[change.permission])

    def _define(self, statement: Statement, parameters: dict[str, Value]) -> Outcome:
        words = statement.words
        if words[0] == "CREATE" and words[1] == "SCHEMA" and len(words) == 3:
            self.cursor.execute(f"CREATE SCHEMA {quoted(words[2])}")
            return Quiet()
        if not {"TABLE", "INDEX"} & set(" ".join(words[1:4]).split()):
            raise statement_not_emulated(" ".join(words[:3]))
        node = batches.parse(statement)
        compiler = self._compiler(parameters)
        with self.database.defining:
            if isinstance(node, exp.Create):
                self._create(node, compiler)
            elif isinstance(node, exp.Alter):
                table = compiler.find(node.this)
                if isinstance(table, View):
                    raise unknown_table(node.this.name)
                for sql in definitions.altered(node, table, self.database.catalog, compiler):
                    self.cursor.execute(sql)
            elif isinstance(node, exp.Drop):
                self._drop(node, compiler)
            elif isinstance(node, exp.TruncateTable):
                for each in node.expressions:
                    table = compiler.find(each)
                    if isinstance(table, View):
                        raise unknown_table(each.name)
                    self.cursor.execute(f"TRUNCATE {table.reference}")
            else:
                raise statement_not_emulated(" ".join(words[:3]))
            self.database.keep_catalog()
        return Quiet()

    def _create(self, node: exp.Create, compiler: QueryCompiler) -> None:
        catalog = self.database.catalog
        kind = str(node.args.get("kind")).upper()
        if kind == "TABLE":
            new = definitions.new_table(node, compiler)
            table = catalog.add(
                new.schema, new.name, new.columns, new.indexes, compiler.facts.local.replace(tzinfo=None).isoformat()
            )
            try:
                self.cursor.execute(new.sql)
            except duckdb.Error:
                catalog.drop(table)
                raise
        elif kind.endswith("INDEX"):
            catalog.add_index(*definitions.new_index(node, compiler))
        else:
            raise statement_not_emulated(f"CREATE {kind}")

    def _drop(self, node: exp.Drop, compiler: QueryCompiler) -> None:
        if str(node.args.get("kind")).upper() != "TABLE":
            raise statement_not_emulated(f"DROP {node.args.get('kind')}")
        if node.args.get("exists"):
            raise syntax("IF")  # newer than SQL Server 2012
        for each in node.args["tables"]:
            table = self.database.catalog.find(each.name, each.text("db") or "dbo")
            if table is None:
                raise SqlServerError(
                    3701,
                    f"Cannot drop the table '{each.name}', because it does not exist or you do not have permission.",
                    11,
                    5,
                )
            self.cursor.execute(f"DROP TABLE {table.reference}")
            self.database.catalog.drop(table)
        assert compiler

    def _security(self, statement: Statement) -> Outcome:
        """Accept logins, users and grants without effect: logins are given to the server, not made by T-SQL."""
        words = statement.words
        if words[:2] in {("CREATE", "LOGIN"), ("CREATE", "USER")}:
            self.database.principals.add((words[1].lower(), words[2].strip("[]").lower()))
        note = f"{' '.join(words[:2])}: accepted without effect; the logins of this server are fixed when it starts."
        logger.info("%s", note)
        return Quiet(note)

    # -- session state -------------------------------------------------------------------------------------------------

    def _set(self, words: Sequence[str]) -> Outcome:
        if words[1:4] == ("TRANSACTION", "ISOLATION", "LEVEL"):
            level = " ".join(words[4:])
            if level not in _LEVELS:
                raise syntax(words[4] if len(words) > 4 else "LEVEL")
            self.isolation = level
            return Quiet()
        option, value = words[1] if len(words) > 1 else "", " ".join(words[2:])
        if option == "LOCK_TIMEOUT":
            self.lock_timeout_ms = _number(value)
        elif option == "DEADLOCK_PRIORITY":
            if value not in {"LOW", "NORMAL", "HIGH"}:
                _number(value)
        elif option in {"TEXTSIZE", "DATEFIRST", "ROWCOUNT"}:
            if option != "TEXTSIZE" and _number(value) != {"DATEFIRST": 7, "ROWCOUNT": 0}[option]:
                raise not_emulated(f"SET {option} {value}")
        elif option in {"LANGUAGE", "DATEFORMAT"}:
            if value.lower() not in {"us_english", "english", "mdy", "ymd"}:
                raise not_emulated(f"SET {option} {value}")
        elif option in _SWITCHES or option in _OFF_ONLY:
            if value not in {"ON", "OFF"}:
                raise syntax(value or option)
            if option in _OFF_ONLY and value == "ON":
                raise not_emulated(f"SET {option} ON")
            if option == "NOCOUNT":
                self.no_count = value == "ON"
        else:
            raise unknown_set_option(option)
        return Quiet()

    def _use(self, statement: Statement) -> Outcome:
        node = batches.parse(statement)
        name = node.this.name if isinstance(node, exp.Use) else ""
        return self.use(name)

    def use(self, name: str) -> DatabaseChanged:
        known = {each.lower(): each for each in (self.database.name, "master")}
        if name.lower() not in known:
            raise no_such_database(name)
        old, self.current_database = self.current_database, known[name.lower()]
        return DatabaseChanged(self.current_database, old)

    @property
    def descriptor(self) -> bytes:
        return self._descriptor.to_bytes(8, "little")

    def begin(self) -> Outcome:
        self.trancount += 1
        if self.trancount > 1:
            return Quiet()
        self.cursor.execute("BEGIN TRANSACTION")
        self._descriptor = self.database.next_transaction()
        return TransactionChanged("begin", self.descriptor)

    def commit(self) -> Outcome:
        if not self.trancount:
            raise SqlServerError(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        self.trancount -= 1
        if self.trancount:
            return Quiet()
        self.cursor.execute("COMMIT")
        return self._ended("commit")

    def rollback(self) -> TransactionChanged:
        if not self.trancount:
            raise SqlServerError(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        self.trancount = 0
        try:
            self.cursor.execute("ROLLBACK")
        except duckdb.Error as exc:  # DuckDB ends some transactions by itself
            logger.debug("rollback: %s", exc)
        return self._ended("rollback")

    def _ended(self, change: str) -> TransactionChanged:
        ended = TransactionChanged(change, self.descriptor)
        self._descriptor = 0
        return ended


class _translated:  # noqa: N801  # reads as a phrase: with _translated(self)
    """Turns DuckDB's and sqlglot's errors into SQL Server's."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, duckdb.Error):
            raise translated(error, self._execution) from error
        if isinstance(error, sqlglot.errors.SqlglotError):
            raise syntax(str(error).splitlines()[0][:60]) from error
        if isinstance(error, RecursionError):
            raise SqlServerError(
                191, "Some part of your SQL statement is nested too deeply. Rewrite the query.", 15
            ) from error


def translated(error: duckdb.Error, execution: Execution) -> SqlServerError:
    problem = from_duckdb(error)
    if execution.trancount and not problem.aborts_transaction:
        # DuckDB gives up the whole transaction where SQL Server gives up the statement; say so by rolling back.
        return SqlServerError(problem.number, problem.message, problem.severity, problem.state, aborts_transaction=True)
    return problem


def _number(text: str) -> int:
    try:
        return int(text.replace(" ", ""))
    except ValueError:
        raise syntax(text) from None
