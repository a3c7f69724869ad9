"""CREATE, ALTER and DROP: what a script may say about tables, and what becomes of it in DuckDB and in the catalog.

Primary keys, unique constraints and indexes are known to the catalog (sys.indexes tells of them) and speed nothing up;
uniqueness, foreign keys and CHECK are not enforced. NOT NULL and DEFAULT are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import sqlglot
from sqlglot import exp

from sandbox.vte.catalog import Catalog, Column, Index, Table, View, quoted
from sandbox.vte.conversions import convert
from sandbox.vte.errors import SqlServerError, not_emulated, statement_not_emulated, unknown_column
from sandbox.vte.expressions import ExpressionCompiler, Scope, type_of
from sandbox.vte.translate import QueryCompiler


@dataclass(frozen=True)
class NewTable:
    schema: str
    name: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...]
    sql: str


def new_table(node: exp.Create, compiler: QueryCompiler) -> NewTable:
    """Read CREATE TABLE."""
    definition = node.this
    if not isinstance(definition, exp.Schema):
        raise statement_not_emulated("CREATE TABLE without columns")
    name, schema = definition.this.name, definition.this.text("db") or "dbo"
    columns: list[Column] = []
    indexes: list[Index] = []
    for part in definition.expressions:
        if isinstance(part, exp.ColumnDef):
            column, index = _column(part, name)
            columns.append(column)
            indexes += [index] if index else []
        else:
            indexes += _constraint(part, name)
    reference = f"{quoted(schema)}.{quoted(name)}"
    body = ", ".join(_column_sql(column, compiler) for column in columns)
    return NewTable(schema, name, tuple(columns), tuple(indexes), f"CREATE TABLE {reference} ({body})")


def _column_sql(column: Column, compiler: QueryCompiler) -> str:
    default = ""
    if column.default is not None:
        value = ExpressionCompiler(compiler, Scope()).value(sqlglot.parse_one(column.default, read="tsql"))
        default = f" DEFAULT {convert(value, column.kind).sql}"
    return f"{quoted(column.name)} {column.kind.storage}{'' if column.nullable else ' NOT NULL'}{default}"


def _column(node: exp.ColumnDef, table: str) -> tuple[Column, Index | None]:
    if node.kind is None:
        raise not_emulated("a computed column")
    column = Column(node.name, type_of(node.kind, default_length=1))
    index: Index | None = None
    for constraint in node.args.get("constraints") or []:
        kind = constraint.kind
        if isinstance(kind, exp.NotNullColumnConstraint):
            column = replace(column, nullable=bool(kind.args.get("allow_null")))
        elif isinstance(kind, exp.PrimaryKeyColumnConstraint):
            column = replace(column, nullable=False)
            index = Index(
                constraint.name or f"PK_{table}", ((node.name, False),), unique=True, primary=True, clustered=True
            )
        elif isinstance(kind, exp.UniqueColumnConstraint):
            index = Index(constraint.name or f"UQ_{table}_{node.name}", ((node.name, False),), unique=True)
        elif isinstance(kind, exp.DefaultColumnConstraint):
            column = replace(column, default=kind.this.sql("tsql"))
        elif isinstance(kind, (exp.NonClusteredColumnConstraint, exp.ClusteredColumnConstraint)) and index is not None:
            index = replace(index, clustered=isinstance(kind, exp.ClusteredColumnConstraint))
        elif not isinstance(kind, (exp.CheckColumnConstraint, exp.CollateColumnConstraint, exp.Reference)):
            raise not_emulated(type(kind).__name__.removesuffix("ColumnConstraint").upper())
    return column, index


def _constraint(node: exp.Expr, table: str) -> Iterable[Index]:
    """Read a constraint of the table; foreign keys and checks leave nothing behind."""
    name = node.name if isinstance(node, exp.Constraint) else ""
    parts: Sequence[exp.Expr] = node.expressions if isinstance(node, exp.Constraint) else [node]
    index: Index | None = None
    for part in parts:
        if isinstance(part, (exp.PrimaryKey, exp.PrimaryKeyColumnConstraint)):
            index = Index(name or f"PK_{table}", _keys(part), unique=True, primary=True, clustered=True)
        elif isinstance(part, exp.UniqueColumnConstraint):
            index = Index(name or f"UQ_{table}", _keys(part), unique=True)
        elif isinstance(part, (exp.ClusteredColumnConstraint, exp.NonClusteredColumnConstraint)) and index:
            clustered = isinstance(part, exp.ClusteredColumnConstraint)
            index = replace(index, columns=_keys(part), clustered=clustered)
        elif not isinstance(part, (exp.ForeignKey, exp.CheckColumnConstraint)):
            raise not_emulated(part.sql("tsql")[:60])
    return [index] if index is not None else []


def _keys(node: exp.Expr) -> tuple[tuple[str, bool], ...]:
    inner = node.this
    listed = inner if isinstance(inner, list) else node.expressions or getattr(inner, "expressions", None) or []
    return tuple((_key_name(each), bool(each.args.get("desc"))) for each in listed)


def _key_name(node: exp.Expr) -> str:
    while isinstance(node, exp.Ordered):
        node = node.this
    return str(node.name)


def new_index(node: exp.Create, compiler: QueryCompiler) -> tuple[Table, Index]:
    """Read CREATE INDEX."""
    definition = node.this
    table = compiler.find(definition.args["table"])
    if isinstance(table, View):
        raise statement_not_emulated("CREATE INDEX on a view")
    parameters = definition.args["params"]
    if parameters.args.get("where") is not None:
        raise not_emulated("a filtered index")
    columns = tuple((_key_name(each), bool(each.args.get("desc"))) for each in parameters.args["columns"])
    included = tuple(each.name for each in parameters.args.get("include") or [])
    clustered = str(node.args.get("kind")).upper().startswith("CLUSTERED")
    return table, Index(definition.name, columns, included, unique=bool(node.args.get("unique")), clustered=clustered)


def altered(node: exp.Alter, table: Table, catalog: Catalog, compiler: QueryCompiler) -> list[str]:
    """Apply ALTER TABLE to the catalog and return the DuckDB statements that go with it."""
    statements: list[str] = []
    for action in node.args["actions"]:
        if isinstance(action, exp.AddConstraint):
            for constraint in action.expressions:
                for index in _constraint(constraint, table.name):
                    table = catalog.add_index(table, index)
        elif isinstance(action, exp.ColumnDef):
            column, _ = _column(action, table.name)
            if table.column(column.name) is not None:
                raise SqlServerError(
                    2705, f"Column names in each table must be unique. Column name '{column.name}' is there.", state=4
                )
            sql = _column_sql(replace(column, nullable=True), compiler)
            statements.append(f"ALTER TABLE {table.reference} ADD COLUMN {sql}")
            table = replace(table, columns=(*table.columns, column))
            catalog.put(table)
        elif isinstance(action, exp.Drop) and str(action.args.get("kind")).upper() == "COLUMN":
            name = (action.args.get("tables") or action.expressions or [action.this])[0].name
            if table.column(name) is None:
                raise unknown_column(name)
            statements.append(f"ALTER TABLE {table.reference} DROP COLUMN {quoted(name)}")
            kept = tuple(column for column in table.columns if column.name.lower() != name.lower())
            table = replace(table, columns=kept)
            catalog.put(table)
        else:
            raise statement_not_emulated(f"ALTER TABLE … {action.sql('tsql')[:60]}")
    return statements
