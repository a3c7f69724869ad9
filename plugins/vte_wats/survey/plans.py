"""The estimated plans of the statements that a sync sends: what the server would read, and which index it misses.

A plan is XML of the database server, and is taken as a text from outside: bounded in size, without a document type,
and of its content only what is named here, shortened.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol
from xml.etree import ElementTree as ET

from pydantic import Field

from vte_wats.config.settings import quoted_name
from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.messages import VW566
from vte_wats.preflight import Finding, Level
from vte_wats.survey.sample_findings import Closed

log = logging.getLogger(__name__)

LARGEST_PLAN = 4_000_000
"""Characters of one plan; what is larger is not read. A plan of these statements has some 100,000."""

_PLAN = "{http://schemas.microsoft.com/sqlserver/2004/07/showplan}"
_MOST = 40  # names of one kind that are kept per plan
_LONGEST_NAME = 128  # as SQL Server's own
_SCANS = frozenset({"Table Scan", "Clustered Index Scan", "Index Scan", "Columnstore Index Scan"})


class MissingIndex(Closed):
    """An index that the server would have used; ``impact`` is the share of the statement's cost it would save, in %."""

    table: str
    table_schema: str
    equal: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    included: tuple[str, ...] = ()
    impact: float | None = None

    @property
    def sql(self) -> str:
        """The statement that creates it."""
        key = [*self.equal, *self.within]
        included = f" INCLUDE ({', '.join(map(quoted_name, self.included))})" if self.included else ""
        name = "_".join(["IX", self.table, *key])[:_LONGEST_NAME]
        return (
            f"CREATE NONCLUSTERED INDEX {quoted_name(name)} ON {quoted_name(self.table_schema)}."
            f"{quoted_name(self.table)} ({', '.join(map(quoted_name, key))}){included};"
        )


class ExecutionPlan(Closed):
    """What the server would do for one statement of ``include/sql``; with ``unreadable`` nothing else is known.

    ``cost`` has the server's own unit. ``scanned`` are tables of which every row would be read.
    """

    statement: str
    cost: float | None = None
    rows: float | None = None
    operators: dict[str, int] = Field(default_factory=dict)
    scanned: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    missing: tuple[MissingIndex, ...] = ()
    warnings: tuple[str, ...] = ()
    unreadable: str = ""


class Plans(Closed):
    """The plans that the server showed; ``unavailable`` says why there are not more."""

    statements: tuple[ExecutionPlan, ...] = ()
    unavailable: str = ""


class PlanSource(Protocol):
    """What shows plans."""

    def estimated_plans(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[str, str]]:
        """Yield each statement that a sync sends for such ranges, by name, with its plan as XML. None of them runs."""


def ask_for_plans(source: PlanSource, ranges: Sequence[LocalRange]) -> Plans:
    """Return what the server shows. That it shows none stops no survey."""
    found: list[ExecutionPlan] = []
    try:
        for statement, text in source.estimated_plans(ranges):
            found.append(read_plan(statement, text))
    except (FatalError, RetriableError) as error:
        log.warning("%s", error)
        return Plans(statements=tuple(found), unavailable=str(error))
    return Plans(statements=tuple(found))


def read_plan(statement: str, text: str) -> ExecutionPlan:
    """Read a plan; one that cannot be read says so."""
    try:
        root = _parsed(text)
    except ValueError as error:
        log.warning("%s %s: %s", VW566, statement, error)
        return ExecutionPlan(statement=statement, unreadable=f"{VW566} {error}")
    operators = list(root.iter(f"{_PLAN}RelOp"))
    named = [(operator, thing) for operator in operators for thing in operator.findall(f"*/{_PLAN}Object")]
    tables = [(operator, thing) for operator, thing in named if _name(thing, "Schema").casefold() != "sys"]
    counts = Counter(_short(operator.get("PhysicalOp", "")) for operator in operators)
    simple = root.find(f".//{_PLAN}StmtSimple")
    return ExecutionPlan(
        statement=statement,
        cost=None if simple is None else _number(simple.get("StatementSubTreeCost")),
        rows=None if simple is None else _number(simple.get("StatementEstRows")),
        operators=dict(counts.most_common(_MOST)),
        scanned=_distinct(_name(thing, "Table") for operator, thing in tables if _reads_all(operator)),
        indexes=_distinct(
            f"{_name(thing, 'Table')}.{_name(thing, 'Index')}"
            for operator, thing in tables
            if thing.get("Index") and not _reads_all(operator)
        ),
        missing=tuple(dict.fromkeys(_missing(root)))[:_MOST],
        warnings=_distinct(
            " ".join(filter(None, (_short(warning.tag.removeprefix(_PLAN)), _short(warning.get("ConvertIssue", "")))))
            for warnings in root.iter(f"{_PLAN}Warnings")
            for warning in warnings
        ),
    )


def index_advice(plans: Plans) -> list[Finding]:
    """Return the indexes that the server misses, the one that would save most first, each once for all statements."""
    wanted: dict[tuple[str, ...], list[tuple[str, MissingIndex]]] = {}
    for plan in plans.statements:
        for missing in plan.missing:
            key = (missing.table_schema, missing.table, *missing.equal, "", *missing.within)
            wanted.setdefault(key, []).append((plan.statement, missing))
    ordered = sorted(wanted.values(), key=lambda found: -max(missing.impact or 0.0 for _, missing in found))
    return [_advice(found) for found in ordered]


def _advice(found: Sequence[tuple[str, MissingIndex]]) -> Finding:
    statements = ", ".join(dict.fromkeys(statement for statement, _ in found))
    included = dict.fromkeys(column for _, missing in found for column in missing.included)
    index = found[0][1].model_copy(update={"included": tuple(included)})
    impact = max(missing.impact or 0.0 for _, missing in found)
    return Finding(
        Level.ADVICE,
        f"the server itself misses an index on {index.table} for {statements}: it estimates {impact:.0f} % less cost. "
        "It looks at one statement at a time; compare with the indexes there are before you create one:",
        index.sql,
    )


def _parsed(text: str) -> ET.Element:
    """Parse a plan. Raises ValueError.

    Neither a document type, nor an entity, nor CDATA can be written without ``<!``, and no plan has one.
    """
    if len(text) > LARGEST_PLAN:
        raise ValueError(f"the plan has {len(text):,} characters; at most {LARGEST_PLAN:,} are read")
    if "<!" in text:
        raise ValueError("the plan has a declaration (<!), which no plan of SQL Server has")
    try:
        root = ET.fromstring(text)  # noqa: S314 -- no declarations, so no entities; see above
    except ET.ParseError as error:
        raise ValueError(f"the plan is no XML: {error}") from error
    if root.tag != f"{_PLAN}ShowPlanXML":
        raise ValueError(f"the plan is {_short(root.tag)}, not ShowPlanXML")
    return root


def _missing(root: ET.Element) -> Iterator[MissingIndex]:
    for group in root.iter(f"{_PLAN}MissingIndexGroup"):
        for index in group.findall(f"{_PLAN}MissingIndex"):
            columns = {
                columns.get("Usage"): _distinct(_name(column, "Name") for column in columns)
                for columns in index.findall(f"{_PLAN}ColumnGroup")
            }
            found = MissingIndex(
                table=_name(index, "Table"),
                table_schema=_name(index, "Schema"),
                equal=columns.get("EQUALITY", ()),
                within=columns.get("INEQUALITY", ()),
                included=columns.get("INCLUDE", ()),
                impact=_number(group.get("Impact")),
            )
            if found.equal or found.within:
                yield found


def _reads_all(operator: ET.Element) -> bool:
    return operator.get("PhysicalOp") in _SCANS


def _name(element: ET.Element, attribute: str) -> str:
    """Return a name as it is, which the plan writes in brackets."""
    written = element.get(attribute, "")
    if written.startswith("[") and written.endswith("]"):
        written = written[1:-1].replace("]]", "]")
    return _short(written)


def _short(text: str) -> str:
    return text[:_LONGEST_NAME]


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in dict.fromkeys(names) if name)[:_MOST]


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
