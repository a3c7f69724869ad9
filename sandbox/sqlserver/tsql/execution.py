"""Statements run against the store: one `Execution` is what one connection may do and where it stands."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp

from sandbox.sqlserver.errors import (
    FOREIGN_KEY_CONFLICT,
    SqlServerError,
    no_such_database,
    not_emulated,
    permission_denied,
    readpast_refused,
    showplan_denied,
    showplan_not_alone,
    statement_not_emulated,
    syntax,
    well_known,
)
from sandbox.sqlserver.sql_types import MAX, nvarchar
from sandbox.sqlserver.tsql import batches, changes
from sandbox.sqlserver.tsql.batches import Statement
from sandbox.sqlserver.tsql.catalog import Table, quoted
from sandbox.sqlserver.tsql.conversions import Value
from sandbox.sqlserver.tsql.definitions import Definitions
from sandbox.sqlserver.tsql.duckdb_errors import from_duckdb
from sandbox.sqlserver.tsql.foreign_keys import ForeignKeyChecks
from sandbox.sqlserver.tsql.locks import Locked, Reading, passes_over, reading_past, relations
from sandbox.sqlserver.tsql.options import SessionOptions
from sandbox.sqlserver.tsql.outcomes import Affected, DatabaseChanged, Outcome, Quiet, Rows, TransactionChanged
from sandbox.sqlserver.tsql.permissions import apply_right
from sandbox.sqlserver.tsql.queries import QueryCompiler
from sandbox.sqlserver.tsql.scope import Query, SessionFacts
from sandbox.sqlserver.tsql.showplan import COLUMN, Plan
from sandbox.sqlserver.tsql.store import Store, transaction

logger = logging.getLogger(__name__)

ROWS_PER_BATCH = 4096
_LOOK_AGAIN_S = 0.02


_PERMISSION_OF_WORD = {"EXECUTE": "EXECUTE", "EXEC": "EXECUTE", "TRUNCATE": "ALTER", "MERGE": "UPDATE"}
_SECURITY_WORDS = frozenset({"GRANT", "REVOKE", "DENY"})
_SECURITY_OBJECTS = frozenset({"LOGIN", "USER", "ROLE", "AUTHORIZATION", "CERTIFICATE"})
_QUERY_WORDS = frozenset({"SELECT", "WITH", "(", "INSERT", "UPDATE", "DELETE"})


@dataclass
class Identity:
    """Who runs the statements, and where from."""

    login: str = "sa"
    can_write: bool = True
    may_showplan: bool = True
    reads_all: bool = True
    sees_whole_tables: bool = False
    app_name: str = ""
    host_name: str = ""
    server_name: str = "SANDBOX"
    spid: int = 51
    logins: frozenset[str] = frozenset()
    to_local: Callable[[datetime], datetime] = field(default=lambda moment: moment)
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    wait: Callable[[float], None] = time.sleep


class Execution:
    """Runs statements one after the other for one connection. Not thread-safe."""

    def __init__(self, store: Store, identity: Identity | None = None) -> None:
        self.store = store
        self.identity = identity or Identity()
        self.current_database = store.name
        self.cursor = store.cursor()
        self.trancount = 0
        self.options = SessionOptions()
        self.rowcount = 0
        self.last_error = 0
        self._descriptor = 0
        self._reader: pa.RecordBatchReader | None = None

    def close(self) -> None:
        self.finish_rows()
        self.cursor.close()
        self.store.locks.release(self)

    # -- batches -------------------------------------------------------------------------------------------------------

    def run(self, sql: str, parameters: dict[str, Value] | None = None) -> Iterator[Outcome]:
        """Run a batch and yield what each statement answers. The first error ends the batch.

        Everything is split and parsed before the first statement runs, so that a syntax error runs nothing.
        """
        statements = batches.split_batch(sql)
        parsed: dict[int, exp.Expr] = {}
        self._parse(statements, parsed)
        if len(statements) > 1 and any(map(_sets_plans, statements)):
            raise showplan_not_alone()
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
            elif statement.word == "IF" and not self.options.plans_only:
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

    def _compiler(self, parameters: dict[str, Value], utc: datetime | None = None) -> QueryCompiler:
        identity = self.identity
        utc = utc or identity.clock()
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
            lock_timeout_ms=self.options.lock_timeout_ms,
            isolation=self.options.isolation,
            can_write=identity.can_write,
            parameters=parameters,
        )
        known = {(kind, name) for kind in ("login", "user") for name in identity.logins} | self.store.principals
        rights = None if identity.reads_all else self.store.rights_of(identity.login, identity.sees_whole_tables)
        return QueryCompiler(self.store.catalog, self.store.facts, facts, frozenset(known), rights)

    # -- statements ----------------------------------------------------------------------------------------------------

    def _run(self, statement: Statement, node: exp.Expr | None, parameters: dict[str, Value]) -> Outcome:
        word, words = statement.word, statement.words
        if self.options.plans_only and not _sets_plans(statement):
            return self._plan(statement, node, parameters)
        if word == "SET":
            self.options.set(words)
            return Quiet()
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
        raise permission_denied(permission, target or " ".join(statement.words[1:3]), self.store.name)

    def _select(self, node: exp.Query, parameters: dict[str, Value]) -> Outcome:
        into = node.args.get("into")
        if into is not None:
            if not self.identity.can_write:
                raise permission_denied("CREATE TABLE", into.this.name, self.store.name)
            raise statement_not_emulated("SELECT INTO")
        compiler = self._compiler(parameters)
        query = compiler.result(node)
        if self.options.isolation == "SNAPSHOT" and not self.store.facts.snapshot_isolation:
            raise SqlServerError(
                3952,
                f"Snapshot isolation transaction failed accessing database '{self.store.name}' because snapshot "
                "isolation is not allowed in this database. Use ALTER DATABASE to allow snapshot isolation.",
                aborts_transaction=True,
            )
        query = self._past_locks(query, node, parameters, compiler)
        self._reader = self.cursor.sql(query.sql).to_arrow_reader(ROWS_PER_BATCH)
        assert self._reader is not None
        return Rows(tuple((name, kind) for name, kind in query.columns if kind is not None), self._reader)

    # -- locks ---------------------------------------------------------------------------------------------------------

    def _past_locks(
        self, query: Query, node: exp.Query, parameters: dict[str, Value], compiler: QueryCompiler
    ) -> Query:
        """Wait for the locks that the query meets, and return it without the rows that it passes over."""
        isolation, facts = self.options.isolation, self.store.facts
        reads_versions = isolation == "SNAPSHOT" or (isolation == "READ COMMITTED" and facts.read_committed_snapshot)
        if any(reading_past(node)) and (reads_versions or isolation not in {"READ COMMITTED", "REPEATABLE READ"}):
            raise readpast_refused()
        if reads_versions or isolation == "READ UNCOMMITTED":
            return query
        until = time.monotonic() + self.options.lock_timeout_ms / 1000
        while locked := {
            table: held for table, held in self.store.locks.of_others(self).items() if table in compiler.tables_read
        }:
            compiler = self._compiler(parameters, compiler.facts.utc)
            compiler.reading = Reading(locked)
            query = compiler.result(node)
            if not self._meets(query, locked, node, parameters, compiler):
                return query
            if self.options.lock_timeout_ms >= 0 and time.monotonic() >= until:
                raise well_known(1222)
            self.identity.wait(_LOOK_AGAIN_S)
        return query

    def _meets(
        self,
        query: Query,
        locked: dict[str, Locked],
        node: exp.Query,
        parameters: dict[str, Value],
        compiler: QueryCompiler,
    ) -> bool:
        for table in Plan(self.store.name, self._base_table, lambda _: 0).scanned(node):
            known = self._base_table(table)
            if known is not None and known.key in locked and not passes_over(table):
                return True
        if any(lock.whole_table for lock in locked.values()):
            return True
        with self._registered(locked) as names:
            doubling = self._compiler(parameters, compiler.facts.utc)
            doubling.reading = Reading(locked, names)
            doubled = doubling.result(node)
            plain, more = f"({query.sql})", f"({doubled.sql})"
            differences = f"({plain} EXCEPT ALL {more}) UNION ALL ({more} EXCEPT ALL {plain})"
            return bool(self.cursor.execute(f"SELECT 1 FROM ({differences}) LIMIT 1").fetchall())

    @contextmanager
    def _registered(self, locked: dict[str, Locked]) -> Iterator[dict[str, str]]:
        named = relations(locked)
        for name, rows in named.values():
            self.cursor.register(name, rows)
        try:
            yield {table: name for table, (name, _) in named.items()}
        finally:
            for name, _ in named.values():
                self.cursor.unregister(name)

    def _plan(self, statement: Statement, node: exp.Expr | None, parameters: dict[str, Value]) -> Outcome:
        """Answer with what would be done; names and types are looked up as if it were."""
        if statement.word == "IF" or not isinstance(node, exp.Query):
            raise not_emulated(f"SHOWPLAN_XML of {statement.word}")
        compiler = self._compiler(parameters)
        compiler.result(node)
        if not self.identity.may_showplan:
            raise showplan_denied(self.store.name)
        plan = Plan(self.store.name, self._base_table, self._rows_of).xml(node, statement.text)
        self._reader = pa.table({COLUMN: [plan]}).to_reader()
        return Rows(((COLUMN, nvarchar(MAX)),), self._reader)

    def _base_table(self, node: exp.Table) -> Table | None:
        return self.store.catalog.find(node.name, node.text("db") or "dbo")

    def _rows_of(self, table: Table) -> int:
        return int(self.cursor.execute(f"SELECT count(*) FROM {table.reference}").fetchall()[0][0])

    def _change(self, node: exp.Expr, parameters: dict[str, Value]) -> Outcome:
        change = changes.compiled(node, self._compiler(parameters))
        if node.args.get("returning") is not None:
            raise not_emulated("OUTPUT")
        checks = ForeignKeyChecks(self.cursor, self.store.catalog, self.store.name)
        if not self.trancount:
            with transaction(self.cursor):
                return Affected(checks.run(change), change.statement)
        table, hold = change.table, self.store.locks.hold
        if change.rows is not None:
            before = self.cursor.sql(f"SELECT rowid AS row_id, * {change.rows}").to_arrow_table()
            hold(self, table.key, before.drop_columns("row_id"), before["row_id"].to_pylist())
        count = checks.run(change, lambda rows: hold(self, table.key, rows))
        return Affected(count, change.statement)

    def _define(self, statement: Statement, parameters: dict[str, Value]) -> Outcome:
        words = statement.words
        if words[0] == "CREATE" and words[1] == "SCHEMA" and len(words) == 3:
            self.cursor.execute(f"CREATE SCHEMA {quoted(words[2])}")
            return Quiet()
        if not {"TABLE", "INDEX"} & set(" ".join(words[1:4]).split()):
            raise statement_not_emulated(" ".join(words[:3]))
        node = batches.parse(statement)
        with self.store.defining:
            Definitions(self.store.catalog, self.cursor, self._compiler(parameters)).run(node)
            self.store.save_catalog()
        return Quiet()

    def _security(self, statement: Statement) -> Outcome:
        """Apply rights to select and see names; accept the rest without effect: logins are given to the server."""
        words = statement.words
        if apply_right(statement.text, self.store.granted):
            return Quiet()
        if words[:2] in {("CREATE", "LOGIN"), ("CREATE", "USER")}:
            self.store.principals.add((words[1].lower(), words[2].strip("[]").lower()))
        note = f"{' '.join(words[:2])}: accepted without effect; the logins of this server are fixed when it starts."
        logger.info("%s", note)
        return Quiet(note)

    # -- session state -------------------------------------------------------------------------------------------------

    def _use(self, statement: Statement) -> Outcome:
        node = batches.parse(statement)
        name = node.this.name if isinstance(node, exp.Use) else ""
        return self.use(name)

    def use(self, name: str) -> DatabaseChanged:
        known = {database.lower(): database for database in (self.store.name, "master")}
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
        self._descriptor = self.store.next_transaction()
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
        self.store.locks.release(self)
        ended = TransactionChanged(change, self.descriptor)
        self._descriptor = 0
        return ended


def _sets_plans(statement: Statement) -> bool:
    return statement.words[:2] == ("SET", "SHOWPLAN_XML")


class _translated:  # noqa: N801  # reads as a phrase: with _translated(self)
    """Turns DuckDB's and sqlglot's errors into SQL Server's."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, duckdb.Error):
            raise translated(error, self._execution) from error
        if isinstance(error, SqlServerError) and error.number == FOREIGN_KEY_CONFLICT:
            raise _undone(error, self._execution) from error
        if isinstance(error, sqlglot.errors.SqlglotError):
            raise syntax(str(error).splitlines()[0][:60]) from error
        if isinstance(error, RecursionError):
            raise SqlServerError(
                191, "Some part of your SQL statement is nested too deeply. Rewrite the query.", 15
            ) from error


def translated(error: duckdb.Error, execution: Execution) -> SqlServerError:
    return _undone(from_duckdb(error), execution)


def _undone(problem: SqlServerError, execution: Execution) -> SqlServerError:
    """Roll back the whole transaction: DuckDB cannot undo one of its statements alone, as SQL Server does."""
    return replace(problem, aborts_transaction=True) if execution.trancount else problem
