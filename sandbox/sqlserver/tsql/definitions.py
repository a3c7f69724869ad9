"""CREATE, ALTER, DROP and TRUNCATE: what becomes of them in DuckDB and in the catalog.

Primary keys, unique constraints and indexes are known to the catalog (sys.indexes shows them) and speed nothing up;
uniqueness and CHECK are not enforced. NOT NULL, DEFAULT and foreign keys are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import duckdb
import sqlglot
from sqlglot import exp

from sandbox.sqlserver.errors import (
    SqlServerError,
    not_emulated,
    statement_not_emulated,
    syntax,
    unknown_column,
    unknown_table,
)
from sandbox.sqlserver.tsql.catalog import Catalog, Column, ForeignKey, Index, Table, quoted
from sandbox.sqlserver.tsql.conversions import convert
from sandbox.sqlserver.tsql.expressions import ExpressionCompiler
from sandbox.sqlserver.tsql.foreign_keys import ForeignKeyChecks, declared
from sandbox.sqlserver.tsql.queries import QueryCompiler
from sandbox.sqlserver.tsql.scope import Scope
from sandbox.sqlserver.tsql.system_views import View
from sandbox.sqlserver.tsql.type_rules import type_of


@dataclass
class Definitions:
    """Takes out definitions on one connection; the caller lets in one at a time."""

    catalog: Catalog
    cursor: duckdb.DuckDBPyConnection
    queries: QueryCompiler

    def run(self, node: exp.Expr) -> None:
        """Take the statement out; what is not emulated is an error naming it."""
        if isinstance(node, exp.Create):
            self._create(node)
        elif isinstance(node, exp.Alter):
            self._alter(node, self._table(node.this))
        elif isinstance(node, exp.Drop):
            self._drop(node)
        elif isinstance(node, exp.TruncateTable):
            for target in node.expressions:
                self._truncate(self._table(target))
        else:
            raise statement_not_emulated(node.sql("tsql")[:40])

    def _table(self, node: exp.Table) -> Table:
        found = self.queries.find(node)
        if isinstance(found, View):
            raise unknown_table(node.name)
        return found

    def _create(self, node: exp.Create) -> None:
        kind = str(node.args.get("kind")).upper()
        if kind == "TABLE":
            self._create_table(node)
        elif kind.endswith("INDEX"):
            self.catalog.add_index(self._table(node.this.args["table"]), new_index(node))
        else:
            raise statement_not_emulated(f"CREATE {kind}")

    def _create_table(self, node: exp.Create) -> None:
        new = new_table(node)
        body = ", ".join(_column_sql(column, self.queries) for column in new.columns)
        created_local = self.queries.facts.local.replace(tzinfo=None).isoformat()
        table = self.catalog.add(new.schema, new.name, new.columns, new.constraints.indexes, created_local)
        try:
            self._add_foreign_keys(table, new.constraints.foreign_keys)
            self.cursor.execute(f"CREATE TABLE {table.reference} ({body})")
        except (duckdb.Error, SqlServerError):
            self.catalog.drop(table)
            raise

    def _add_foreign_keys(self, table: Table, keys: Sequence[ForeignKey]) -> Table:
        for key in declared(table, keys, self.catalog):
            table = self.catalog.add_foreign_key(table, key)
        return table

    def _alter(self, node: exp.Alter, table: Table) -> None:
        for action in node.args["actions"]:
            if isinstance(action, exp.AddConstraint):
                for constraint in action.expressions:
                    table = self._add_constraint(table, constraint)
            elif isinstance(action, exp.ColumnDef):
                table = self._add_column(table, action)
            elif isinstance(action, exp.Drop) and str(action.args.get("kind")).upper() == "COLUMN":
                name = (action.args.get("tables") or action.expressions or [action.this])[0].name
                table = self._drop_column(table, name)
            else:
                raise statement_not_emulated(f"ALTER TABLE … {action.sql('tsql')[:60]}")

    def _add_constraint(self, table: Table, node: exp.Expr) -> Table:
        constraints = Constraints()
        _constraint(node, table.name, constraints)
        for index in constraints.indexes:
            table = self.catalog.add_index(table, index)
        checks = ForeignKeyChecks(self.cursor, self.catalog, self.queries.database.name)
        for key in declared(table, constraints.foreign_keys, self.catalog):
            checks.verify("ALTER TABLE", table, key)
            table = self.catalog.add_foreign_key(table, key)
        return table

    def _add_column(self, table: Table, node: exp.ColumnDef) -> Table:
        constraints = Constraints()
        column = _column(node, table.name, constraints)
        if constraints.indexes or constraints.foreign_keys:
            raise not_emulated("a constraint of a column that ALTER TABLE adds")
        if table.column(column.name) is not None:
            raise SqlServerError(
                2705, f"Column names in each table must be unique. Column name '{column.name}' is there.", state=4
            )
        sql = _column_sql(replace(column, nullable=True), self.queries)
        self.cursor.execute(f"ALTER TABLE {table.reference} ADD COLUMN {sql}")
        table = replace(table, columns=(*table.columns, column))
        self.catalog.put(table)
        return table

    def _drop_column(self, table: Table, name: str) -> Table:
        if table.column(name) is None:
            raise unknown_column(name)
        if used := list(self._dependent_on(table, name)):
            failed = f"ALTER TABLE DROP COLUMN {name} failed because one or more objects access this column."
            errors = [SqlServerError(5074, f"The {thing} is dependent on column '{name}'.") for thing in used]
            raise replace(errors[0], followed_by=(*errors[1:], SqlServerError(4922, failed, state=9)))
        self.cursor.execute(f"ALTER TABLE {table.reference} DROP COLUMN {quoted(name)}")
        table = replace(table, columns=tuple(column for column in table.columns if column.name.lower() != name.lower()))
        self.catalog.put(table)
        return table

    def _dependent_on(self, table: Table, name: str) -> Iterator[str]:
        """Yield the indexes and the foreign keys of both sides that have a column."""
        for index in table.indexes:
            if _has(name, (*(column for column, _ in index.columns), *index.included)):
                yield f"{'object' if index.primary else 'index'} '{index.name}'"
        keys = [(key, key.columns) for key in table.foreign_keys]
        keys += [(key, key.parent_columns) for _, key in self.catalog.references_to(table)]
        yield from (f"object '{key.name}'" for key, columns in keys if _has(name, columns))

    def _drop(self, node: exp.Drop) -> None:
        if str(node.args.get("kind")).upper() != "TABLE":
            raise statement_not_emulated(f"DROP {node.args.get('kind')}")
        if node.args.get("exists"):
            raise syntax("IF")  # newer than SQL Server 2012
        for target in node.args["tables"]:
            table = self.catalog.find(target.name, target.text("db") or "dbo")
            if table is None:
                raise SqlServerError(
                    3701,
                    f"Cannot drop the table '{target.name}', because it does not exist or you do not have permission.",
                    11,
                    5,
                )
            if self._is_referred_to(table):
                raise SqlServerError(
                    3726, f"Could not drop object '{target.name}' because it is referenced by a FOREIGN KEY constraint."
                )
            self.cursor.execute(f"DROP TABLE {table.reference}")
            self.catalog.drop(table)

    def _truncate(self, table: Table) -> None:
        if self._is_referred_to(table):
            raise SqlServerError(
                4712,
                f"Cannot truncate table '{table.name}' because it is being referenced by a FOREIGN KEY constraint.",
            )
        self.cursor.execute(f"TRUNCATE {table.reference}")

    def _is_referred_to(self, table: Table) -> bool:
        return any(child.key != table.key for child, _ in self.catalog.references_to(table))


@dataclass
class Constraints:
    """What the constraints of one table amount to. A foreign key still has its parent as it was written."""

    indexes: list[Index] = field(default_factory=list)
    foreign_keys: list[ForeignKey] = field(default_factory=list)


@dataclass(frozen=True)
class NewTable:
    schema: str
    name: str
    columns: tuple[Column, ...]
    constraints: Constraints


def new_table(node: exp.Create) -> NewTable:
    """Read CREATE TABLE."""
    definition = node.this
    if not isinstance(definition, exp.Schema):
        raise statement_not_emulated("CREATE TABLE without columns")
    name, schema = definition.this.name, definition.this.text("db") or "dbo"
    columns: list[Column] = []
    constraints = Constraints()
    for part in definition.expressions:
        if isinstance(part, exp.ColumnDef):
            columns.append(_column(part, name, constraints))
        else:
            _constraint(part, name, constraints)
    return NewTable(schema, name, tuple(columns), constraints)


def _has(name: str, columns: Iterable[str]) -> bool:
    return name.lower() in {column.lower() for column in columns}


def _column_sql(column: Column, compiler: QueryCompiler) -> str:
    default = ""
    if column.default is not None:
        value = ExpressionCompiler(compiler, Scope()).value(sqlglot.parse_one(column.default, read="tsql"))
        default = f" DEFAULT {convert(value, column.kind).sql}"
    return f"{quoted(column.name)} {column.kind.storage}{'' if column.nullable else ' NOT NULL'}{default}"


def _column(node: exp.ColumnDef, table: str, constraints: Constraints) -> Column:
    """Read a column and add the constraints written behind it."""
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
        elif isinstance(kind, (exp.Reference, exp.ForeignKey)):
            reference = kind if isinstance(kind, exp.Reference) else kind.args["reference"]
            constraints.foreign_keys.append(_foreign_key(constraint.name, table, (node.name,), reference))
        elif not isinstance(kind, (exp.CheckColumnConstraint, exp.CollateColumnConstraint)):
            raise not_emulated(type(kind).__name__.removesuffix("ColumnConstraint").upper())
    if index is not None:
        constraints.indexes.append(index)
    return column


def _constraint(node: exp.Expr, table: str, constraints: Constraints) -> None:
    """Read a constraint of the table; a check leaves nothing behind."""
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
        elif isinstance(part, exp.ForeignKey):
            columns = tuple(column.name for column in part.expressions)
            constraints.foreign_keys.append(_foreign_key(name, table, columns, part.args["reference"]))
        elif not isinstance(part, exp.CheckColumnConstraint):
            raise not_emulated(part.sql("tsql")[:60])
    if index is not None:
        constraints.indexes.append(index)


def _foreign_key(name: str, table: str, columns: tuple[str, ...], reference: exp.Reference) -> ForeignKey:
    for option in reference.args.get("options") or []:
        if not str(option).upper().endswith("NO ACTION"):
            raise not_emulated(str(option).upper())
    target = reference.this
    parent_columns = tuple(column.name for column in target.expressions) if isinstance(target, exp.Schema) else ()
    parent = target.this if isinstance(target, exp.Schema) else target
    key = f"{parent.text('db') or 'dbo'}.{parent.name}".lower()
    return ForeignKey(name or f"FK__{table}__{'_'.join(columns)}", columns, key, parent_columns)


def _keys(node: exp.Expr) -> tuple[tuple[str, bool], ...]:
    inner = node.this
    listed = inner if isinstance(inner, list) else node.expressions or getattr(inner, "expressions", None) or []
    return tuple((_key_name(column), bool(column.args.get("desc"))) for column in listed)


def _key_name(node: exp.Expr) -> str:
    while isinstance(node, exp.Ordered):
        node = node.this
    return str(node.name)


def new_index(node: exp.Create) -> Index:
    """Read CREATE INDEX."""
    definition = node.this
    parameters = definition.args["params"]
    if parameters.args.get("where") is not None:
        raise not_emulated("a filtered index")
    columns = tuple((_key_name(column), bool(column.args.get("desc"))) for column in parameters.args["columns"])
    included = tuple(column.name for column in parameters.args.get("include") or [])
    clustered = str(node.args.get("kind")).upper().startswith("CLUSTERED")
    return Index(definition.name, columns, included, unique=bool(node.args.get("unique")), clustered=clustered)
