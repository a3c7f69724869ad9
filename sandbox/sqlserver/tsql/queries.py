"""T-SQL queries into DuckDB SQL, with the T-SQL type of every result column.

Names are resolved here against the catalog, so that a missing table is error 208 and a missing column 207 before
DuckDB sees anything. Query options, and table hints but READPAST and NOLOCK, are read and have no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from sandbox.sqlserver.errors import (
    SqlServerError,
    column_denied,
    cross_database,
    not_emulated,
    permission_denied,
    statement_not_emulated,
    syntax,
    unknown_table,
)
from sandbox.sqlserver.sql_types import INT, SqlType
from sandbox.sqlserver.tsql.aggregates import sort_key
from sandbox.sqlserver.tsql.catalog import Catalog, DatabaseFacts, Table, quoted
from sandbox.sqlserver.tsql.conversions import Value, convert, unified
from sandbox.sqlserver.tsql.expressions import ExpressionCompiler
from sandbox.sqlserver.tsql.locks import Reading
from sandbox.sqlserver.tsql.permissions import Rights
from sandbox.sqlserver.tsql.scope import Query, Scope, SessionFacts, Source
from sandbox.sqlserver.tsql.system_views import View, system_view, view_sql
from sandbox.sqlserver.tsql.type_rules import unify

_KNOWN_PARTS = frozenset(
    {"expressions", "from_", "joins", "where", "group", "having", "order", "limit", "offset", "distinct", "with_",
     "options", "hint", "laterals", "kind"}
)  # fmt: skip


@dataclass
class QueryCompiler:
    """Compiles the statements of one batch as one login sees the database at one moment."""

    catalog: Catalog
    database: DatabaseFacts
    facts: SessionFacts
    principals: frozenset[tuple[str, str]] = frozenset()
    rights: Rights | None = None
    reading: Reading = field(default_factory=Reading)
    tables_read: set[str] = field(default_factory=set)
    _ctes: dict[str, tuple[tuple[str, SqlType | None], ...]] = field(default_factory=dict)

    @property
    def visible(self) -> Catalog:
        """The part of the catalog whose names the login sees."""
        return self.catalog if self.rights is None else self.rights.visible(self.catalog)

    def result(self, node: exp.Expr) -> Query:
        """Compile a statement that answers with rows."""
        query = self.query(node, None)
        return replace(query, columns=tuple((name, kind or INT) for name, kind in query.columns))

    def condition(self, node: exp.Expr) -> str:
        """Compile the condition of IF into a query of one truth value."""
        return f"SELECT coalesce({ExpressionCompiler(self, Scope()).predicate(node)}, false)"

    def subquery(self, node: exp.Expr, scope: Scope) -> Query:
        if isinstance(node, exp.Subquery):
            node = node.this
        if node.args.get("order") is not None and not (node.args.get("limit") or node.args.get("offset")):
            raise SqlServerError(
                1033,
                "The ORDER BY clause is invalid in views, inline functions, derived tables, subqueries, and common "
                "table expressions, unless TOP, OFFSET or FOR XML is also specified.",
                15,
            )
        return self.query(node, scope)

    # -- queries -------------------------------------------------------------------------------------------------------

    def query(self, node: exp.Expr, parent: Scope | None) -> Query:
        outside = dict(self._ctes)
        try:
            prefix = self.with_clause(node.args.get("with_"))
            if isinstance(node, exp.SetOperation):
                query = self._set_operation(node, parent)
            elif isinstance(node, exp.Select):
                query = self._select(node, parent)
            elif isinstance(node, exp.Subquery) and not node.alias:
                query = self.query(node.this, parent)
            else:
                raise syntax(node.key.upper())
        finally:
            self._ctes = outside
        return replace(query, sql=prefix + query.sql)

    def with_clause(self, node: exp.Expr | None) -> str:
        if node is None:
            return ""
        if node.args.get("recursive"):
            raise not_emulated("RECURSIVE")
        parts: list[str] = []
        for cte in node.expressions:
            query = self.subquery(cte.this, Scope())
            given = [column.name for column in cte.args["alias"].args.get("columns") or []]
            columns = self._named(query.columns, given, cte.alias)
            names = ", ".join(quoted(name) for name, _ in columns)
            parts.append(f"{quoted(cte.alias)}({names}) AS ({query.sql})")
            self._ctes[cte.alias.lower()] = columns
        return f"WITH {', '.join(parts)} "

    @staticmethod
    def _named(
        columns: Sequence[tuple[str, SqlType | None]], given: Sequence[str], alias: str
    ) -> tuple[tuple[str, SqlType | None], ...]:
        """Give the columns of a derived table their names; each must have one and all must differ."""
        if given and len(given) != len(columns):
            word = "more" if len(given) > len(columns) else "fewer"
            raise SqlServerError(
                8158 if word == "fewer" else 8159, f"'{alias}' has {word} columns than were specified."
            )
        named = tuple((given[index] if given else name, kind) for index, (name, kind) in enumerate(columns))
        seen: set[str] = set()
        for number, (name, _) in enumerate(named, 1):
            if not name:
                raise SqlServerError(8155, f"No column name was specified for column {number} of '{alias}'.", state=2)
            if name.lower() in seen:
                raise SqlServerError(8156, f"The column '{name}' was specified multiple times for '{alias}'.")
            seen.add(name.lower())
        return named

    def _set_operation(self, node: exp.SetOperation, parent: Scope | None) -> Query:
        operator = {exp.Union: "UNION", exp.Except: "EXCEPT", exp.Intersect: "INTERSECT"}[type(node)]
        if not node.args.get("distinct"):
            operator += " ALL"
            if not isinstance(node, exp.Union):
                raise syntax("ALL")
        left, right = self.query(node.this, parent), self.query(node.expression, parent)
        if len(left.columns) != len(right.columns):
            raise SqlServerError(
                205,
                "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of "
                "expressions in their target lists.",
            )
        columns: list[tuple[str, SqlType | None]] = []
        for (name, first), (_, second) in zip(left.columns, right.columns, strict=True):
            columns.append((name, unify(first, second) if first and second else first or second))
        sql = f"{self._branch(left, columns)} {operator} {self._branch(right, columns)}"
        return self._finished(node, sql, tuple(columns))

    @staticmethod
    def _branch(query: Query, columns: Sequence[tuple[str, SqlType | None]]) -> str:
        """Bring the columns of one branch to the types all branches share."""
        wanted = [kind for _, kind in columns]
        if wanted == [kind for _, kind in query.columns]:
            return f"({query.sql})"
        values = [Value(f'"b"."c{index}"', kind) for index, (_, kind) in enumerate(query.columns)]
        items = ", ".join(
            f'{(convert(value, kind) if kind else value).sql} AS "c{index}"'
            for index, (value, kind) in enumerate(zip(values, wanted, strict=True))
        )
        names = ", ".join(f'"c{index}"' for index in range(len(wanted)))
        return f'(SELECT {items} FROM ({query.sql}) AS "b"({names}))'

    def _finished(self, node: exp.Expr, sql: str, columns: tuple[tuple[str, SqlType | None], ...]) -> Query:
        """Sort and limit what is already a whole result, by its own columns."""
        order = node.args.get("order")
        if order is None and not node.args.get("limit") and not node.args.get("offset"):
            return Query(sql, columns)
        names = ", ".join(f'"c{index}"' for index in range(len(columns)))
        keys: list[str] = []
        for term in order.expressions if order is not None else []:
            index = self._output_index(term.this, columns)
            if index is None:
                raise SqlServerError(
                    104,
                    "ORDER BY items must appear in the select list if the statement contains a UNION, INTERSECT or "
                    "EXCEPT operator, or SELECT DISTINCT is specified.",
                    15,
                )
            keys.append(sort_key(Value(f'"u"."c{index}"', columns[index][1]), descending=bool(term.args.get("desc"))))
        tail = f" ORDER BY {', '.join(keys)}" if keys else ""
        return Query(f'SELECT * FROM ({sql}) AS "u"({names}){tail}{self._limited(node)}', columns)

    @staticmethod
    def _output_index(node: exp.Expr, columns: Sequence[tuple[str, SqlType | None]]) -> int | None:
        if isinstance(node, exp.Literal) and not node.is_string:
            position = int(node.name)
            if not 1 <= position <= len(columns):
                raise SqlServerError(
                    108, f"The ORDER BY position number {position} is out of range of the number of items.", 15
                )
            return position - 1
        if isinstance(node, exp.Column) and not node.text("table"):
            for index, (name, _) in enumerate(columns):
                if name.lower() == node.name.lower():
                    return index
        return None

    def _limited(self, node: exp.Expr) -> str:
        """Compile TOP, or OFFSET with FETCH."""
        sql = ""
        limit, offset = node.args.get("limit"), node.args.get("offset")
        if limit is not None:
            options = limit.args.get("limit_options")
            for word in ("percent", "with_ties"):
                if options is not None and options.args.get(word):
                    raise not_emulated(f"TOP {word.replace('_', ' ').upper()}")
            count = limit.args["count"] if isinstance(limit, exp.Fetch) else limit.expression
            sql += f" LIMIT {ExpressionCompiler(self, Scope()).value(count).sql}"
        if offset is not None:
            if node.args.get("order") is None:
                raise syntax("OFFSET")
            sql += f" OFFSET {ExpressionCompiler(self, Scope()).value(offset.expression).sql}"
        return sql

    def _select(self, node: exp.Select, parent: Scope | None) -> Query:
        for part, value in node.args.items():
            if value and part not in _KNOWN_PARTS:
                if part == "into":
                    raise statement_not_emulated("SELECT INTO")
                raise not_emulated(part.strip("_").upper())
        scope = Scope(parent=parent)
        clauses = self._from(node, scope)
        compiler = ExpressionCompiler(self, scope)
        if node.args.get("where") is not None:
            clauses += f" WHERE {compiler.predicate(node.args['where'].this)}"
        group = node.args.get("group")
        if group is not None:
            if any(value for part, value in group.args.items() if part != "expressions"):
                raise not_emulated("GROUP BY with ROLLUP, CUBE or GROUPING SETS")
            clauses += " GROUP BY " + ", ".join(compiler.value(expression).sql for expression in group.expressions)
        if node.args.get("having") is not None:
            clauses += f" HAVING {compiler.predicate(node.args['having'].this)}"
        items = list(self._items(node, compiler))
        columns = tuple((value.name or "", value.kind) for value in items)
        select = ", ".join(f'{value.sql} AS "c{index}"' for index, value in enumerate(items))
        if node.args.get("distinct") is not None:
            if node.args["distinct"].args.get("on") is not None:
                raise syntax("ON")
            return self._finished(self._by_output(node, items, compiler), f"SELECT DISTINCT {select}{clauses}", columns)
        order = node.args.get("order")
        if order is not None:
            clauses += " ORDER BY " + ", ".join(self._order_keys(order, items, columns, compiler))
        return Query(f"SELECT {select}{clauses}{self._limited(node)}", columns)

    def _by_output(self, node: exp.Select, items: Sequence[Value], compiler: ExpressionCompiler) -> exp.Select:
        """Rewrite ORDER BY of a DISTINCT query to positions, for the expressions that are in its list."""
        if node.args.get("order") is None:
            return node
        node = node.copy()
        for term in node.args["order"].expressions:
            if self._output_index(term.this, [(value.name or "", value.kind) for value in items]) is None:
                sql = compiler.value(term.this).sql
                place = next((index for index, value in enumerate(items, 1) if value.sql == sql), None)
                if place is not None:
                    term.set("this", exp.Literal.number(place))
        return node

    def _order_keys(
        self,
        order: exp.Expr,
        items: Sequence[Value],
        columns: Sequence[tuple[str, SqlType | None]],
        compiler: ExpressionCompiler,
    ) -> Iterable[str]:
        for term in order.expressions:
            index = self._output_index(term.this, columns)
            value = items[index] if index is not None else compiler.value(term.this)
            if not value.constant:
                yield sort_key(value, descending=bool(term.args.get("desc")))
            elif len(order.expressions) == 1:
                yield "NULL"

    def _items(self, node: exp.Select, compiler: ExpressionCompiler) -> Iterable[Value]:
        for item in node.expressions:
            star = isinstance(item, exp.Star)
            if star or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
                wanted = "" if star else item.text("table").lower()
                sources = [source for source in compiler.scope.sources if wanted in {"", source.alias.lower()}]
                if not sources:
                    raise SqlServerError(107, f"The column prefix '{wanted}' does not match with a table name.", 15)
                for source in sources:
                    for denied in source.denied.values():
                        raise denied
                    for name, kind in source.columns:
                        yield Value(f"{quoted(source.alias)}.{quoted(name)}", kind, name=name)
            elif isinstance(item, exp.Alias):
                yield replace(compiler.value(item.this), name=item.alias)
            else:
                value = compiler.value(item)
                yield value if isinstance(item, exp.Column) else replace(value, name="")

    # -- sources -------------------------------------------------------------------------------------------------------

    def _from(self, node: exp.Expr, scope: Scope) -> str:
        start = node.args.get("from_")
        if start is None:
            return ""
        sql = f" FROM {self._source(start.this, scope)}"
        for join in [*(start.this.args.get("joins") or []), *(node.args.get("joins") or [])]:
            sql += self._join(join, scope)
        return sql

    def _join(self, join: exp.Expr, scope: Scope) -> str:
        if join.args.get("using") or join.args.get("method"):
            raise syntax("USING" if join.args.get("using") else str(join.args["method"]))
        side, kind = str(join.args.get("side") or "").upper(), str(join.args.get("kind") or "").upper()
        source = self._source(join.this, scope)
        condition = join.args.get("on")
        if condition is None:
            if side or kind not in {"", "CROSS"}:
                raise syntax("JOIN")
            return f" CROSS JOIN {source}"
        if kind not in {"", "INNER", "OUTER"}:
            raise not_emulated(f"{kind} JOIN")
        return f" {side or 'INNER'} JOIN {source} ON {ExpressionCompiler(self, scope).predicate(condition)}"

    def _source(self, node: exp.Expr, scope: Scope) -> str:
        if isinstance(node, exp.Table):
            return self._table_source(node, scope)
        alias = node.alias
        given = [column.name for column in (node.args["alias"].args.get("columns") or [])] if alias else []
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query):
            query = self.subquery(node, Scope(parent=scope.parent))
        elif isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table) and not alias:
            sql = self._table_source(node.this, scope)
            for join in node.this.args.get("joins") or []:
                sql += self._join(join, scope)
            return f"({sql})"
        elif isinstance(node, exp.Values):
            query = self._values(node.expressions)
        else:
            raise not_emulated("APPLY" if isinstance(node, exp.Lateral) else node.key.upper())
        if not alias:
            raise syntax(")")
        columns = self._named(query.columns, given, alias)
        scope.sources.append(self._distinct_alias(scope, Source(alias, columns)))
        names = ", ".join(quoted(name) for name, _ in columns)
        return f"({query.sql}) AS {quoted(alias)}({names})"

    @staticmethod
    def _distinct_alias(scope: Scope, source: Source) -> Source:
        if any(known.alias.lower() == source.alias.lower() for known in scope.sources):
            raise SqlServerError(
                1011, f"The correlation name '{source.alias}' is specified multiple times in a FROM clause."
            )
        return source

    def _values(self, rows: Sequence[exp.Expr]) -> Query:
        compiler = ExpressionCompiler(self, Scope())
        lines = [compiler.values(row.expressions if isinstance(row, exp.Tuple) else [row]) for row in rows]
        if len({len(line) for line in lines}) != 1:
            raise SqlServerError(
                10709,
                "The number of columns for each row in a table value constructor must be the same.",
                state=1,
            )
        typed = [unified(column) for column in zip(*lines, strict=True)]
        kinds = [kind for _, kind in typed]
        cells = zip(*(values for values, _ in typed), strict=True)
        body = ", ".join("(" + ", ".join(cell.sql for cell in line) + ")" for line in cells)
        return Query(f"VALUES {body}", tuple(("", kind) for kind in kinds))

    def _table_source(self, node: exp.Table, scope: Scope) -> str:
        schema, name, alias = node.text("db"), node.name, node.alias or node.name
        if not isinstance(node.this, exp.Identifier):
            raise not_emulated("a function in FROM")
        given = node.args["alias"].args.get("columns") if node.args.get("alias") is not None else None
        if given:
            raise syntax("(")
        if not schema and name.lower() in self._ctes:
            columns = self._ctes[name.lower()]
            scope.sources.append(self._distinct_alias(scope, Source(alias, columns)))
            return f"{quoted(name)} AS {quoted(alias)}"
        table = self.find(node)
        if isinstance(table, View):
            scope.sources.append(self._distinct_alias(scope, Source(alias, table.columns)))
            return f"({view_sql(table)}) AS {quoted(alias)}"
        self.tables_read.add(table.key)
        kinds: tuple[tuple[str, SqlType | None], ...] = tuple((column.name, column.kind) for column in table.columns)
        hidden = frozenset[str]() if self.rights is None else self.rights.denied(table)
        denied = {name: column_denied(name, table.name, self.database.name) for name in hidden}
        scope.sources.append(self._distinct_alias(scope, Source(alias, kinds, denied)))
        return f"{self.reading.source(table.key, table.reference, node)} AS {quoted(alias)}"

    def find(self, node: exp.Table) -> Table | View:
        """Return the table or system view of that name; 208 when there is none, 40515 in another database."""
        written = ".".join(part for part in (node.text("catalog"), node.text("db"), node.name) if part)
        catalog = node.text("catalog").lower()
        schema = node.text("db") or "dbo"
        if catalog and catalog not in {self.database.name.lower(), "master"}:
            raise cross_database(written)
        if isinstance(node.this, exp.Identifier) and node.this.args.get("temporary"):
            raise unknown_table(f"#{node.name}")
        view = system_view(schema, node.name, self.visible, self.database, self.facts)
        if view is not None:
            return view
        found = self.catalog.find(node.name, schema)
        if found is None or catalog == "master" or (not catalog and self.facts.database.lower() == "master"):
            raise unknown_table(written)
        if self.rights is not None and not self.rights.may_select_of(found):
            raise permission_denied("SELECT", found.name, self.database.name)
        return found
