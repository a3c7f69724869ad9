"""SET SHOWPLAN_XML: what this server says it would do with a query, in the form in which SQL Server says it.

It is no optimizer. Each table of the FROM clause is sought by the first index whose first column the query compares
with a value, or with a table before it; otherwise all of the table is read, and the columns compared are the index
that is missing. Tables are joined in the order in which they are written. Row counts are the tables' own; of those
sought a fixed share is guessed, and the costs follow from the rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from xml.etree import ElementTree as ET

from sqlglot import exp

from sandbox.sqlserver.tsql.catalog import Index, Table

NAMESPACE = "http://schemas.microsoft.com/sqlserver/2004/07/showplan"
COLUMN = "Microsoft SQL Server 2005 XML Showplan"
_SHARE_OF_A_RANGE = 0.09
_COST_OF_A_START, _COST_OF_A_ROW = 0.0032831, 0.0001581
_JOINS = {
    "": "Inner Join",
    "LEFT": "Left Outer Join",
    "RIGHT": "Right Outer Join",
    "FULL": "Full Outer Join",
}
_EQUAL = (exp.EQ, exp.In, exp.Is)
_RANGE = (exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between)


@dataclass(frozen=True)
class _Compared:
    """The columns of one table that every row asked for must match, in lower case."""

    equal: frozenset[str] = frozenset()
    within: frozenset[str] = frozenset()

    @property
    def every(self) -> frozenset[str]:
        return self.equal | self.within

    def and_(self, other: _Compared) -> _Compared:
        return _Compared(self.equal | other.equal, self.within | other.within)

    def or_(self, other: _Compared) -> _Compared:
        """Return the columns that both branches compare, of which a range is the less."""
        shared, equal = self.every & other.every, self.equal & other.equal
        return _Compared(shared & equal, shared - equal)


@dataclass
class _Operator:
    """A RelOp: what it is called, what it yields, what it reads from."""

    physical: str
    logical: str
    element: str
    rows: float
    own_cost: float
    inputs: Sequence[_Operator] = ()
    described: dict[str, str] | None = None

    @property
    def cost(self) -> float:
        return self.own_cost + sum(operator.cost for operator in self.inputs)


@dataclass
class Plan:
    """Plans one query against the tables that ``find`` knows; ``rows_of`` counts the rows of a table."""

    database: str
    find: Callable[[exp.Table], Table | None]
    rows_of: Callable[[Table], int]
    _missing: dict[tuple[Table, _Compared], None] = field(default_factory=dict)
    _sought: set[int] = field(default_factory=set)

    def xml(self, query: exp.Query, text: str) -> str:
        """Return the plan as one document."""
        root = self._query(query)
        document = ET.Element("ShowPlanXML", {"xmlns": NAMESPACE, "Version": "1.1", "Build": "11.0.7001.0"})
        parent = document
        for element in ("BatchSequence", "Batch", "Statements"):
            parent = ET.SubElement(parent, element)
        statement = ET.SubElement(
            parent,
            "StmtSimple",
            {
                "StatementText": text,
                "StatementId": "1",
                "StatementCompId": "1",
                "StatementType": "SELECT",
                "StatementSubTreeCost": f"{root.cost:.6g}",
                "StatementEstRows": f"{root.rows:.6g}",
            },
        )
        plan = ET.SubElement(statement, "QueryPlan")
        if self._missing:
            groups = ET.SubElement(plan, "MissingIndexes")
            for table, compared in self._missing:
                self._add_missing(groups, table, compared)
        self._add(plan, root, iter(range(1_000_000)))
        return ET.tostring(document, encoding="unicode")

    def scanned(self, query: exp.Query) -> list[exp.Table]:
        """Return the tables of the query that are not sought by an index."""
        self._query(query)
        return [table for table in query.find_all(exp.Table) if id(table) not in self._sought]

    # -- operators -----------------------------------------------------------------------------------------------------

    def _query(self, node: exp.Expr) -> _Operator:
        if isinstance(node, exp.SetOperation):
            branches = [self._query(node.this), self._query(node.expression)]
            found = _over(branches, "Concatenation", "Concatenation", "Concat", sum(branch.rows for branch in branches))
        elif isinstance(node, exp.Subquery):
            found = self._query(node.this)
        else:
            found = self._select(node)
        if node.args.get("order") is not None:
            found = _over([found], "Sort", "Sort", "Sort", found.rows)
        return found

    def _select(self, node: exp.Expr) -> _Operator:
        start, joins = node.args.get("from_"), node.args.get("joins") or []
        if start is None:
            return _Operator("Constant Scan", "Constant Scan", "ConstantScan", 1.0, 0.0)
        sources = [(start.this, None, "")]
        sources += [(join.this, join.args.get("on"), str(join.args.get("side") or "").upper()) for join in joins]
        names = [source.alias_or_name.lower() for source, _, _ in sources]
        where = node.args["where"].this if node.args.get("where") is not None else None
        found: _Operator | None = None
        for place, (source, condition, side) in enumerate(sources):
            later = frozenset(names[place + 1 :])
            compared = _columns(where, names[place], later).and_(_columns(condition, names[place], later))
            here = self._source(source, compared, is_outer=found is None)
            found = here if found is None else _joined(found, here, _JOINS[side])
        assert found is not None
        if node.args.get("group") is not None or any(expression.find(exp.AggFunc) for expression in node.expressions):
            rows = 1.0 if node.args.get("group") is None else math.sqrt(found.rows)
            found = _over([found], "Hash Match", "Aggregate", "Hash", rows)
        return found

    def _source(self, node: exp.Expr, compared: _Compared, *, is_outer: bool) -> _Operator:
        if not isinstance(node, exp.Table):
            return self._query(node)
        table = self.find(node)
        if table is None:  # a system view, or the name of a CTE
            return _Operator("Constant Scan", "Constant Scan", "ConstantScan", 1.0, 0.0)
        rows = float(self.rows_of(table))
        seekable = (known for known in table.indexes if known.columns[0][0].lower() in compared.every)
        index = next(seekable, None)
        if index is None:
            if compared.every:
                self._missing[table, compared] = None
            heap = not any(known.clustered for known in table.indexes)
            name = "Table Scan" if heap else "Clustered Index Scan"
            whole = next((known for known in table.indexes if known.clustered), None)
            return _reading(name, "TableScan" if heap else "IndexScan", rows, self._object(table, whole, node))
        self._sought.add(id(node))
        one_each = not is_outer and index.unique and len(index.columns) == 1
        equal = index.columns[0][0].lower() in compared.equal
        sought = 1.0 if one_each else max(1.0, math.sqrt(rows) if equal else rows * _SHARE_OF_A_RANGE)
        name = "Clustered Index Seek" if index.clustered else "Index Seek"
        return _reading(name, "IndexScan", sought, self._object(table, index, node))

    def _object(self, table: Table, index: Index | None, node: exp.Table) -> dict[str, str]:
        named = {"Index": f"[{index.name}]"} if index is not None else {}
        return {
            "Database": f"[{self.database}]",
            "Schema": f"[{table.schema}]",
            "Table": f"[{table.name}]",
            **named,
            "Alias": f"[{node.alias_or_name}]",
        }

    # -- XML -----------------------------------------------------------------------------------------------------------

    def _add(self, parent: ET.Element, operator: _Operator, numbers: Iterator[int]) -> None:
        element = ET.SubElement(
            parent,
            "RelOp",
            {
                "NodeId": str(next(numbers)),
                "PhysicalOp": operator.physical,
                "LogicalOp": operator.logical,
                "EstimateRows": f"{operator.rows:.6g}",
                "EstimatedTotalSubtreeCost": f"{operator.cost:.6g}",
            },
        )
        inside = ET.SubElement(element, operator.element)
        if operator.described is not None:
            ET.SubElement(inside, "Object", operator.described)
        for child in operator.inputs:
            self._add(inside, child, numbers)

    def _add_missing(self, groups: ET.Element, table: Table, compared: _Compared) -> None:
        group = ET.SubElement(groups, "MissingIndexGroup", {"Impact": "90"})
        described = {"Database": f"[{self.database}]", "Schema": f"[{table.schema}]", "Table": f"[{table.name}]"}
        missing = ET.SubElement(group, "MissingIndex", described)
        for usage, names in (("EQUALITY", compared.equal), ("INEQUALITY", compared.within - compared.equal)):
            columns = [(n, column.name) for n, column in enumerate(table.columns, 1) if column.name.lower() in names]
            if columns:
                listed = ET.SubElement(missing, "ColumnGroup", {"Usage": usage})
                for number, name in columns:
                    ET.SubElement(listed, "Column", {"Name": f"[{name}]", "ColumnId": str(number)})


def _columns(node: exp.Expr | None, alias: str, later: frozenset[str]) -> _Compared:
    """Return which columns of a table the condition compares as they are, with what is known before it is read."""
    if isinstance(node, exp.Paren):
        return _columns(node.this, alias, later)
    if isinstance(node, (exp.And, exp.Or)):
        join = _Compared.and_ if isinstance(node, exp.And) else _Compared.or_
        return reduce(join, (_columns(part, alias, later) for part in node.flatten(unnest=False)))
    if not isinstance(node, (*_EQUAL, *_RANGE)):
        return _Compared()
    sides = [node.this, node.expression] if isinstance(node, exp.Binary) else [node.this]
    own = [side for side in sides if isinstance(side, exp.Column) and side.text("table").lower() in {alias, ""}]
    others = {column.text("table").lower() for column in node.find_all(exp.Column) if column not in own}
    if len(own) != 1 or others & (later | {alias}):
        return _Compared()
    names = frozenset({own[0].name.lower()})
    return _Compared(equal=names) if isinstance(node, _EQUAL) else _Compared(within=names)


def _over(inputs: Sequence[_Operator], physical: str, logical: str, element: str, rows: float) -> _Operator:
    handled = sum(operator.rows for operator in inputs)
    return _Operator(physical, logical, element, rows, handled * _COST_OF_A_ROW, inputs)


def _reading(name: str, element: str, rows: float, described: dict[str, str]) -> _Operator:
    return _Operator(name, name, element, rows, _COST_OF_A_START + rows * _COST_OF_A_ROW, described=described)


def _joined(outer: _Operator, inner: _Operator, logical: str) -> _Operator:
    """Join by seeking once per row where the inner side is sought, else by a hash of all of it."""
    seeks = inner.physical.endswith("Seek")
    rows = outer.rows * inner.rows if seeks else max(outer.rows, inner.rows)
    physical, element = ("Nested Loops", "NestedLoops") if seeks else ("Hash Match", "Hash")
    return _over([outer, inner], physical, logical, element, rows)
