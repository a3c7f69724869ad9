"""INSERT, UPDATE and DELETE into DuckDB SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from sandbox.sqlserver.errors import SqlServerError, statement_not_emulated, syntax, unknown_column
from sandbox.sqlserver.sql_types import BINARY, MAX, nvarchar
from sandbox.sqlserver.tsql.catalog import Column, Table, quoted
from sandbox.sqlserver.tsql.conversions import Value, convert, quote
from sandbox.sqlserver.tsql.expressions import ExpressionCompiler
from sandbox.sqlserver.tsql.queries import QueryCompiler
from sandbox.sqlserver.tsql.scope import Scope, Source
from sandbox.sqlserver.tsql.system_views import View

_TRUNCATED = "String or binary data would be truncated."


@dataclass(frozen=True)
class Change:
    """DuckDB SQL that changes rows of one table.

    `columns` are those an UPDATE sets, `rows` is the FROM and WHERE of what an UPDATE or DELETE will change.
    """

    sql: str
    statement: str
    table: Table
    columns: tuple[str, ...] = ()
    rows: str | None = None


def compiled(node: exp.Expr, queries: QueryCompiler) -> Change:
    """Compile the statement."""
    if isinstance(node, exp.Insert):
        return _insert(node, queries)
    if isinstance(node, exp.Update):
        return _update(node, queries)
    if isinstance(node, exp.Delete):
        return _delete(node, queries)
    raise statement_not_emulated(node.key.upper())


def _target(node: exp.Expr, queries: QueryCompiler) -> Table:
    if not isinstance(node, exp.Table):
        raise syntax(node.sql("tsql"))
    found = queries.find(node)
    if isinstance(found, View):
        raise SqlServerError(259, "Ad hoc updates to system catalogs are not allowed.")
    return found


def _insert(node: exp.Insert, queries: QueryCompiler) -> Change:
    prefix = queries.with_clause(node.args.get("with_"))
    target, names = node.this, None
    if isinstance(target, exp.Schema):
        names = [column.name for column in target.expressions]
        target = target.this
    table = _target(target, queries)
    columns = [_own_column(table, name) for name in names] if names else list(table.columns)
    source = node.expression
    if isinstance(source, exp.Values):
        body = _inserted_values(source, columns, queries)
    elif isinstance(source, exp.Query):
        query = queries.query(source, None)
        _check_number(len(query.columns), len(columns))
        items = ", ".join(
            assignable(Value(f'"s"."c{index}"', kind), columns[index]) for index, (_, kind) in enumerate(query.columns)
        )
        labels = ", ".join(f'"c{index}"' for index in range(len(columns)))
        body = f'SELECT {items} FROM ({query.sql}) AS "s"({labels})'
    else:
        raise statement_not_emulated("INSERT without VALUES or SELECT")
    listed = ", ".join(quoted(column.name) for column in columns)
    return Change(f"{prefix}INSERT INTO {table.reference} ({listed}) {body}", "INSERT", table)


def _inserted_values(source: exp.Values, columns: Sequence[Column], queries: QueryCompiler) -> str:
    compiler = ExpressionCompiler(queries, Scope())
    lines: list[str] = []
    for row in source.expressions:
        cells = row.expressions if isinstance(row, exp.Tuple) else [row]
        _check_number(len(cells), len(columns))
        written = (
            "DEFAULT" if _is_default(cell) else assignable(compiler.value(cell), column)
            for cell, column in zip(cells, columns, strict=True)
        )
        lines.append(f"({', '.join(written)})")
    return f"VALUES {', '.join(lines)}"


def _check_number(given: int, wanted: int) -> None:
    if given != wanted:
        raise SqlServerError(213, "Column name or number of supplied values does not match table definition.", state=1)


def _own_column(table: Table, name: str) -> Column:
    column = table.column(name)
    if column is None:
        raise unknown_column(name)
    return column


def _update(node: exp.Update, queries: QueryCompiler) -> Change:
    if node.args.get("from_") is not None:
        raise statement_not_emulated("UPDATE with FROM")
    table = _target(node.this, queries)
    compiler = ExpressionCompiler(queries, _scope_of(table))
    columns = [_own_column(table, assignment.this.name) for assignment in node.expressions]
    settings = ", ".join(
        f"{quoted(column.name)} = {assignable(compiler.value(assignment.expression), column)}"
        for assignment, column in zip(node.expressions, columns, strict=True)
    )
    target, where = f"{table.reference} AS {quoted(table.name)}", _where(node, compiler)
    names = tuple(column.name for column in columns)
    return Change(f"UPDATE {target} SET {settings}{where}", "UPDATE", table, names, f"FROM {target}{where}")


def _delete(node: exp.Delete, queries: QueryCompiler) -> Change:
    targets = node.args.get("tables") or [node.this]
    if len(targets) != 1 or (node.args.get("tables") and node.args.get("this")):
        raise statement_not_emulated("DELETE with FROM")
    table = _target(targets[0], queries)
    where = _where(node, ExpressionCompiler(queries, _scope_of(table)))
    rows = f"FROM {table.reference} AS {quoted(table.name)}{where}"
    return Change(f"DELETE {rows}", "DELETE", table, rows=rows)


def _scope_of(table: Table) -> Scope:
    return Scope([Source(table.name, tuple((column.name, column.kind) for column in table.columns))])


def _where(node: exp.Expr, compiler: ExpressionCompiler) -> str:
    where = node.args.get("where")
    return f" WHERE {compiler.predicate(where.this)}" if where is not None else ""


def _is_default(node: exp.Expr) -> bool:
    return (isinstance(node, exp.Var) and node.name.upper() == "DEFAULT") or (
        isinstance(node, exp.Column) and node.name.upper() == "DEFAULT" and not node.this.args.get("quoted")
    )


def assignable(value: Value, column: Column) -> str:
    """Return the value as the column takes it; text or bytes too long for it are error 8152, never cut."""
    kind = column.kind
    if kind.length == MAX or value.kind is None or not (kind.is_text or kind.name in BINARY):
        return convert(value, kind).sql
    if value.text is not None and kind.is_text and value.kind.is_text and "\x00" not in value.text:
        return quote(_fitting(value.text, kind.length))
    sql = convert(value, replace(kind, length=MAX) if kind.name in BINARY else nvarchar(MAX)).sql
    length = f"octet_length({sql})" if kind.name in BINARY else f"length(rtrim({sql}, ' '))"
    return f"CASE WHEN {length} > {kind.length} THEN error('tsql-8152:{_TRUNCATED}') ELSE {sql} END"


def _fitting(text: str, length: int) -> str:
    """Return a literal without the trailing blanks that are too many; its length is known before anything runs."""
    if len(text) <= length:
        return text
    if len(text.rstrip(" ")) > length:
        raise SqlServerError(8152, _TRUNCATED, aborts_transaction=True)
    return text.rstrip(" ")
