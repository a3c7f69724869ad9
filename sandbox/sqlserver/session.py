"""One connection: the login, then requests and their responses until the client goes."""

from __future__ import annotations

import logging
import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import duckdb
import pyarrow as pa

from sandbox.sqlserver.database import Database
from sandbox.sqlserver.errors import SqlServerError, cannot_open_database, login_failed, statement_not_emulated
from sandbox.sqlserver.faults import Fault, Faults
from sandbox.sqlserver.protocol import login, packets, rpc, tokens
from sandbox.sqlserver.protocol.packets import ConnectionClosedError, PacketStream
from sandbox.sqlserver.protocol.rows import RowEncoder
from sandbox.sqlserver.protocol.tls import TlsSocket
from sandbox.sqlserver.tsql.conversions import Value
from sandbox.sqlserver.tsql.execution import Execution, Identity, translated
from sandbox.sqlserver.tsql.outcomes import Affected, DatabaseChanged, Outcome, Quiet, Rows, TransactionChanged
from sandbox.sqlserver.tsql.parameters import parameter

logger = logging.getLogger(__name__)

_STATEMENT_FAULTS = frozenset({"drop", "stall", "error", "deadlock", "lock_timeout"})
_CANNOT_OPEN_DATABASE = 4060
_ALWAYS_OPEN = frozenset({"", "master"})
_BEGIN, _COMMIT, _ROLLBACK = 5, 7, 8


@dataclass(frozen=True)
class Login:
    """A name that may connect. Without `can_write` it may SELECT and gets 229 on anything else.

    With `may_showplan`, or if it may write, it sees plans of its queries; others get 262 for them. Where it does not
    `reads_all`, it may select and see what scripts granted to it alone: 229 and 230 for the rest. Of a table that it
    may select in part, it sees the other columns' names only if it `sees_whole_tables`.
    """

    name: str
    password: str
    can_write: bool = False
    may_showplan: bool = False
    reads_all: bool = True
    sees_whole_tables: bool = False


@dataclass
class LogEntry:
    """One request: a batch, a call of sp_executesql, or a login that failed (then `sql` is empty).

    Rows, duration and error are filled in while it is answered.
    """

    login: str
    app_name: str
    sql: str
    rows: int = 0
    duration_s: float = 0.0
    error: int | None = None


@dataclass(frozen=True)
class ServerContext:
    """What a session needs of its server."""

    database: Database
    logins: Mapping[str, Login]
    faults: Faults
    note: Callable[[LogEntry], None]
    latency_s: Callable[[], float]
    clock: Callable[[], datetime]
    to_local: Callable[[datetime], datetime]
    server_name: Callable[[], str]
    tls: ssl.SSLContext | None


class _Done(Protocol):
    """Builds the DONE of a statement once it is known whether more follows in the response."""

    def __call__(self, *, more: bool) -> bytes: ...


class _AttentionError(Exception):
    """The client wants no more of the current response."""


class _DroppedError(Exception):
    """A fault broke the connection."""


class Session:
    """Serves one connection in the thread that calls `serve`."""

    def __init__(self, sock: socket.socket, context: ServerContext, spid: int) -> None:
        self._stream = PacketStream(sock)
        self._context = context
        self._spid = spid
        self._execution: Execution | None = None
        self._identity = Identity()
        self._entry = LogEntry("", "", "")
        self._done: _Done | None = None
        self._in_procedure = False

    def serve(self) -> None:
        """Answer until the client goes or a fault or an unreadable message ends the connection."""
        try:
            if self._log_in():
                while True:
                    kind, body = self._stream.read_message()
                    self._answer(kind, body)
        except (ConnectionClosedError, _DroppedError, OSError) as exc:
            logger.debug("session %d ends: %s", self._spid, exc)
        finally:
            if self._execution is not None:
                self._execution.close()

    # -- login ---------------------------------------------------------------------------------------------------------

    def _log_in(self) -> bool:
        stream = self._stream
        kind, body = stream.read_message()
        if kind == packets.PRELOGIN:
            options, tls = login.read_prelogin(body), self._context.tls
            stream.write(login.prelogin_answer(encrypted=tls is not None))
            stream.end_message()
            if login.refuses_encryption(options) if tls else login.requires_encryption(options):
                return False
            if tls is not None:
                stream.encrypt(TlsSocket(stream.sock, tls))
            kind, body = stream.read_message()
        if kind != packets.LOGIN7:
            return False
        request = login.read_login7(body)
        self._entry = LogEntry(request.user, request.app_name, "")
        problems = self._login_problems(request)
        if problems:
            self._entry.error = problems[0].number
            self._context.note(self._entry)
            stream.write(*(tokens.error(problem, self._context.server_name()) for problem in problems))
            stream.write(tokens.done(tokens.DONE_ERROR))
            stream.end_message()
            return False
        self._welcome(request)
        return True

    def _login_problems(self, request: login.LoginRequest) -> list[SqlServerError]:
        fault = self._context.faults.find(frozenset({"login_failed"}))
        closed = fault is not None and fault.number == _CANNOT_OPEN_DATABASE
        if fault is not None and not closed and self._context.faults.strike(fault):
            return [fault.problem() if fault.number or fault.message else login_failed(request.user)]
        known = self._context.logins.get(request.user.lower())
        if known is None or known.password != request.password:
            return [login_failed(request.user)]
        may_be_closed = request.database.lower() not in _ALWAYS_OPEN
        if fault is not None and closed and may_be_closed and self._context.faults.strike(fault):
            return [fault.problem(), login_failed(request.user)]
        if request.database and request.database.lower() not in {self._context.database.name.lower(), "master"}:
            return [cannot_open_database(request.database), login_failed(request.user)]
        self._identity = Identity(
            login=known.name,
            can_write=known.can_write,
            may_showplan=known.can_write or known.may_showplan,
            reads_all=known.can_write or known.reads_all,
            sees_whole_tables=known.sees_whole_tables,
            app_name=request.app_name,
            host_name=request.host_name,
            server_name=self._context.server_name(),
            spid=self._spid,
            logins=frozenset(self._context.logins),
            to_local=self._context.to_local,
            clock=self._context.clock,
            wait=self._wait,
        )
        return []

    def _welcome(self, request: login.LoginRequest) -> None:
        self._execution = Execution(self._context.database, self._identity)
        opened = self._execution.use(request.database or "master")
        name = self._context.server_name()
        stream = self._stream
        stream.write(
            tokens.env_database(opened.new, "master"),
            tokens.info(5701, f"Changed database context to '{opened.new}'.", name, 2),
            tokens.env_language("us_english"),
            tokens.info(5703, "Changed language setting to us_english.", name),
            tokens.env_collation(),
            tokens.login_ack(),
            tokens.env_packet_size(request.packet_size, packets.DEFAULT_PACKET_SIZE),
            tokens.done(),
        )
        stream.end_message()
        stream.packet_size = request.packet_size
        stream.set_spid(self._spid)

    # -- requests ------------------------------------------------------------------------------------------------------

    def _answer(self, kind: int, body: bytes) -> None:
        started = time.monotonic()
        if kind == packets.ATTENTION:
            self._write_attention()
            return
        sql, run = self._request(kind, body)
        self._entry = LogEntry(self._identity.login, self._identity.app_name, sql)
        self._context.note(self._entry)
        self._done = None
        fault: Fault | None = None
        try:
            self._wait(self._context.latency_s())
            try:
                fault = self._fault_before(sql)
                run(fault)
            except SqlServerError as problem:
                self._write_error(problem)
            except duckdb.Error as exc:
                assert self._execution
                self._write_error(translated(exc, self._execution))
            self._flush_done(last=True)
        except _AttentionError:
            assert self._execution
            self._execution.finish_rows()
            self._done = None
            self._entry.duration_s = time.monotonic() - started
            kind, _ = self._stream.read_message()
            if kind != packets.ATTENTION:
                raise ConnectionClosedError("a request arrived before the last one was answered") from None
            self._write_attention()
            return
        self._entry.duration_s = time.monotonic() - started
        self._stream.end_message()
        if fault is not None and fault.kind == "drop" and fault.after_rows is None and self._strike(fault):
            self._drop()

    def _request(self, kind: int, body: bytes) -> tuple[str, Callable[[Fault | None], None]]:
        """Return the SQL text for log and faults, and what answers it."""
        self._in_procedure = False
        if kind == packets.SQL_BATCH:
            sql = body[rpc.headers_size(body) :].decode("utf-16-le", "surrogatepass")
            return sql, lambda fault: self._run(sql, {}, fault)
        if kind == packets.RPC:
            self._in_procedure = True
            return self._procedure(body)
        if kind == packets.TRANSACTION_MANAGER:
            start = rpc.headers_size(body)
            (request,) = struct.unpack_from("<H", body, start)
            return {_BEGIN: "BEGIN TRAN", _COMMIT: "COMMIT TRAN", _ROLLBACK: "ROLLBACK TRAN"}.get(
                request, f"transaction request {request}"
            ), lambda _: self._transaction(request, body[start + 2 :])
        raise ConnectionClosedError(f"packets of type 0x{kind:02X} are not emulated")

    def _procedure(self, body: bytes) -> tuple[str, Callable[[Fault | None], None]]:
        try:
            name, parameters = rpc.read_request(body)
        except SqlServerError as exc:
            problem = exc
            return "", lambda _: self._raise(problem)
        if name.lower().removeprefix("sys.") != "sp_executesql" or not parameters:
            return f"EXEC {name}", lambda _: self._no_procedure(name)
        sql = str(parameters[0].value or "")
        values = {given.name: parameter(given.kind, given.value) for given in parameters[2:]}
        return sql, lambda fault: self._run(sql, values, fault)

    @staticmethod
    def _raise(problem: SqlServerError) -> None:
        raise problem

    def _no_procedure(self, name: str) -> None:
        if not self._identity.can_write:
            raise SqlServerError(
                229,
                f"The EXECUTE permission was denied on the object '{name}', database "
                f"'{self._context.database.name}', schema 'dbo'.",
                14,
                5,
            )
        raise SqlServerError(2812, f"Could not find stored procedure '{name}'.", state=62)

    def _transaction(self, request: int, rest: bytes) -> None:
        assert self._execution
        if request == _BEGIN:
            self._write(self._execution.begin())
        elif request in {_COMMIT, _ROLLBACK}:
            self._write(self._execution.commit() if request == _COMMIT else self._execution.rollback())
            name_length = rest[0] if rest else 0
            if len(rest) > 1 + name_length and rest[1 + name_length] & 1:
                self._write(self._execution.begin())
        else:
            raise statement_not_emulated(f"transaction manager request {request}")

    def _run(self, sql: str, parameters: dict[str, Value], fault: Fault | None) -> None:
        assert self._execution
        for outcome in self._execution.run(sql, parameters):
            if isinstance(outcome, Rows):
                fault = self._write_rows(outcome, fault)
            else:
                self._write(outcome)

    # -- responses -----------------------------------------------------------------------------------------------------

    def _flush_done(self, *, last: bool) -> None:
        """Write the DONE of the statement before, now that it is known whether another one follows."""
        done, self._done = self._done, None
        if self._in_procedure:
            if done is not None:
                self._stream.write(done(more=True))
            if last:
                failed = tokens.DONE_ERROR if self._entry.error else 0
                if not failed:
                    self._stream.write(tokens.return_status(0))
                self._stream.write(tokens.done(failed, 0xE0, token=tokens.DONE_PROC))
        elif done is not None:
            self._stream.write(done(more=not last))
        elif last:
            self._stream.write(tokens.done())

    def _next_statement(self) -> None:
        if self._done is not None:
            self._flush_done(last=False)

    def _set_done(self, status: int = 0, command: int = 0, rows: int = 0) -> None:
        token = tokens.DONE_IN_PROC if self._in_procedure else tokens.DONE
        self._done = lambda *, more: tokens.done(status | (tokens.DONE_MORE if more else 0), command, rows, token)

    def _write(self, outcome: Outcome) -> None:
        self._next_statement()
        assert self._execution
        stream, name = self._stream, self._context.server_name()
        if isinstance(outcome, Affected):
            counted = 0 if self._execution.options.no_count else tokens.DONE_COUNT
            self._entry.rows += outcome.count
            self._set_done(counted, tokens.COMMANDS[outcome.statement], outcome.count)
            return
        if isinstance(outcome, DatabaseChanged):
            stream.write(
                tokens.env_database(outcome.new, outcome.old),
                tokens.info(5701, f"Changed database context to '{outcome.new}'.", name, 2),
            )
        elif isinstance(outcome, TransactionChanged):
            self._write_transaction(outcome)
        elif isinstance(outcome, Quiet) and outcome.note:
            stream.write(tokens.info(0, outcome.note, name))
        self._set_done()

    def _write_transaction(self, outcome: TransactionChanged) -> None:
        change = {
            "begin": tokens.env_begin_transaction,
            "commit": tokens.env_commit_transaction,
            "rollback": tokens.env_rollback_transaction,
        }[outcome.change]
        self._stream.write(change(outcome.descriptor))

    def _write_error(self, problem: SqlServerError) -> None:
        assert self._execution
        self._entry.error = problem.number
        self._next_statement()
        rolled_back = self._execution.failed(problem)
        server = self._context.server_name()
        self._stream.write(*(tokens.error(error, server) for error in (problem, *problem.followed_by)))
        if rolled_back is not None:
            self._write_transaction(rolled_back)
        if not self._in_procedure:
            self._set_done(tokens.DONE_ERROR)

    def _write_attention(self) -> None:
        self._stream.write(tokens.done(tokens.DONE_ATTENTION))
        self._stream.end_message()

    def _write_rows(self, rows: Rows, fault: Fault | None) -> Fault | None:
        """Stream a result; return the fault that is still waiting for enough rows."""
        assert self._execution
        self._next_statement()
        stream = self._stream
        stream.write(tokens.column_metadata(rows.columns))
        encoder = RowEncoder([kind for _, kind in rows.columns])
        count = 0
        try:
            for batch in rows.reader:
                for encoded in encoder.encode(batch):
                    start, size = 0, len(encoded)
                    if fault is not None and fault.after_rows is not None and count + size > fault.after_rows:
                        start = fault.after_rows - count
                        stream.write(encoded.cut(0, start))
                        self._entry.rows += start
                        self._strike_inside(fault)
                        fault = None
                    stream.write(encoded.cut(start, size))
                    count += size
                    self._entry.rows += size - start
                    if stream.readable():
                        raise _AttentionError
        except pa.ArrowException as exc:
            raise translated(duckdb.Error(str(exc)), self._execution) from exc
        self._execution.rowcount = count
        self._set_done(0 if self._execution.options.no_count else tokens.DONE_COUNT, tokens.COMMANDS["SELECT"], count)
        return fault

    # -- faults --------------------------------------------------------------------------------------------------------

    def _strike(self, fault: Fault) -> bool:
        return self._context.faults.strike(fault)

    def _fault_before(self, sql: str) -> Fault | None:
        """Do what the faults say before anything runs; return the one that strikes later."""
        while True:
            fault = self._context.faults.find(_STATEMENT_FAULTS, sql)
            if fault is None or fault.after_rows != 0:
                return fault
            if not self._strike(fault):
                continue
            if fault.kind == "drop":
                self._drop()
            if fault.kind == "stall":
                self._wait(fault.seconds)
                return None
            raise fault.problem()

    def _strike_inside(self, fault: Fault) -> None:
        if not self._strike(fault):
            return
        if fault.kind == "drop":
            self._stream.push()
            self._drop()
        if fault.kind == "stall":
            self._stream.push()
            self._wait(fault.seconds)
            return
        raise fault.problem()

    def _wait(self, seconds: float) -> None:
        """Wait, but no longer than the client does."""
        if seconds > 0 and self._stream.readable(seconds):
            raise _AttentionError

    def _drop(self) -> None:
        """Break the connection with a reset, so that the client cannot take it for an orderly end."""
        self._stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._stream.sock.close()
        raise _DroppedError
