"""What the parts of an expression compiler share: the names in scope, the session, and the compiler itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlglot import exp

from sandbox.sqlserver.errors import SqlServerError, ambiguous_column, unbound, unknown_column
from sandbox.sqlserver.sql_types import SqlType
from sandbox.sqlserver.tsql.catalog import Catalog, DatabaseFacts, quoted
from sandbox.sqlserver.tsql.conversions import Value
from sandbox.sqlserver.tsql.permissions import Rights


@dataclass(frozen=True)
class SessionFacts:
    """What functions and @@variables say about the connection, the server and the moment."""

    utc: datetime
    local: datetime
    database: str
    login: str
    app_name: str
    host_name: str
    server_name: str
    spid: int
    trancount: int = 0
    rowcount: int = 0
    error: int = 0
    lock_timeout_ms: int = -1
    isolation: str = "READ COMMITTED"
    can_write: bool = False
    version: str = "11.0.7001.0"
    parameters: Mapping[str, Value] = field(default_factory=dict)


@dataclass
class Source:
    """What one name in FROM stands for: its columns in order."""

    alias: str
    columns: tuple[tuple[str, SqlType | None], ...]
    denied: Mapping[str, SqlServerError] = field(default_factory=dict)
    """The error for each column that the login may not select, by its name in lower case."""


@dataclass
class Scope:
    """The names an expression can see, here and in the queries around it."""

    sources: list[Source] = field(default_factory=list)
    parent: Scope | None = None

    def find(self, name: str, table: str) -> Value:
        scope: Scope | None = self
        alias_known = False
        while scope is not None:
            hits = [
                (source, known, kind)
                for source in scope.sources
                if not table or source.alias.lower() == table.lower()
                for known, kind in source.columns
                if known.lower() == name.lower()
            ]
            if len(hits) > 1:
                raise ambiguous_column(name)
            if hits:
                source, known, kind = hits[0]
                if known.lower() in source.denied:
                    raise source.denied[known.lower()]
                return Value(f"{quoted(source.alias)}.{quoted(known)}", kind, name=known)
            alias_known |= any(source.alias.lower() == table.lower() for source in scope.sources)
            scope = scope.parent
        raise unbound(f"{table}.{name}") if table and not alias_known else unknown_column(name)


@dataclass(frozen=True)
class Query:
    """DuckDB SQL and the result columns in order. A column that is NULL and nothing else has no type inside."""

    sql: str
    columns: tuple[tuple[str, SqlType | None], ...]


class Queries(Protocol):
    """What an expression needs of the statement around it."""

    @property
    def visible(self) -> Catalog: ...

    @property
    def rights(self) -> Rights | None: ...

    @property
    def database(self) -> DatabaseFacts: ...

    @property
    def facts(self) -> SessionFacts: ...

    @property
    def principals(self) -> frozenset[tuple[str, str]]: ...

    def subquery(self, node: exp.Expr, scope: Scope) -> Query: ...


class Compiler(Protocol):
    """Compiles the expressions of one scope; what a rule calls for the parts of its own expression."""

    @property
    def queries(self) -> Queries: ...

    @property
    def facts(self) -> SessionFacts: ...

    @property
    def scope(self) -> Scope: ...

    def value(self, node: exp.Expr) -> Value: ...

    def predicate(self, node: exp.Expr) -> str: ...

    def values(self, nodes: Sequence[exp.Expr]) -> list[Value]: ...


# How one kind of expression becomes a value or a condition. The nodes are of the kind the rule is listed under.
ValueRule = Callable[[Compiler, Any], Value]
ConditionRule = Callable[[Compiler, Any], str]
