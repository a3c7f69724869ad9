"""Counts what a stream of sampled runs shows. What is kept grows with what is different, never with the runs."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from heapq import nlargest
from itertools import pairwise
from typing import Any
from uuid import UUID

from vte_wats.config.settings import Settings
from vte_wats.domain.run import StepKind, VteStepResult, VteTestRun
from vte_wats.mapping.content_types import file_type, text_in
from vte_wats.mapping.identity import testplan_of
from vte_wats.mapping.numbers import limits_of, scpi_sentinel
from vte_wats.mapping.texts import printable
from vte_wats.survey.sample_findings import (
    CodeFacts,
    ColumnFacts,
    Findings,
    Issue,
    LimitFacts,
    MarkFacts,
    StepCounts,
    UnitFacts,
)

_EXAMPLES = 5
_MOST = 20_000  # different limits, units or names that are counted
_SHOWN = 50  # different units and limits in the findings
_BEYOND_MEASURING = 1e30
_CLASSES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000)
_OVERLAP_S = 1.0
_TEST_TIMES_S = (60, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 172_800)  # and what is beyond these
_BEYOND_S = 1_000_000_000

_RUN_COLUMNS: dict[str, Callable[[VteTestRun], Any]] = {
    "UutData.Serial": lambda run: run.serial,
    "IndexData.ProductName": lambda run: run.product.name,
    "IndexData.TestplanName": lambda run: run.testplan.name,
    "IndexData.Timestamp": lambda run: run.timestamp_local,
    "IndexData.Result": lambda run: run.result_code,
    "IndexData.ExitCode": lambda run: run.exit_code,
    "IndexData.TestTime": lambda run: run.test_time_s,
    "IndexData.TestplanVariant": lambda run: run.testplan.variant,
    "IndexData.TestplanRevision": lambda run: run.testplan.revision,
    "IndexData.Hostname": lambda run: run.hostname,
    "IndexData.Site": lambda run: run.site_name,
    "IndexData.UserName": lambda run: run.operator,
    "IndexData.Info1": lambda run: run.info1,
    "IndexData.Info2": lambda run: run.info2,
    "IndexData.Info3": lambda run: run.info3,
    "IndexData.Product_GUID": lambda run: run.product.product_guid,
    "IndexData.Testplan_GUID": lambda run: run.testplan.testplan_guid,
    "IndexData.TestplanRevision_GUID": lambda run: run.testplan.revision_guid,
    "IndexData.Testsystem_GUID": lambda run: run.testsystem_guid,
    "Products.Name": lambda run: run.product.master_name,
    "Testplans.Name": lambda run: run.testplan.master_name,
    "TestSystems.Name": lambda run: run.testsystem_name,
}
_STEP_COLUMNS: dict[str, Callable[[VteStepResult], Any]] = {
    "TestStepNumber": lambda step: step.step_number,
    "TestName": lambda step: step.test_name,
    "TestDescription": lambda step: step.test_description,
    "TestNumber": lambda step: step.test_number,
    "TestUnits": lambda step: step.units,
    "TestResult": lambda step: step.value,
    "TestResultType": lambda step: step.result_code,
}
_LIMIT_COLUMNS: dict[str, Callable[[VteStepResult], Any]] = {
    "LowLimit": lambda step: step.low_limit,
    "HighLimit": lambda step: step.high_limit,
}
_TABLES = {
    StepKind.NUMERIC: "TestDataNumeric",
    StepKind.TEXT: "TestDataText",
    StepKind.OTHER: "TestDataOther",
}


@dataclass
class _Column:
    rows: int = 0
    nulls: int = 0
    blanks: int = 0
    longest: int | None = None
    lowest: Any = None
    highest: Any = None

    def add(self, value: Any) -> None:
        self.rows += 1
        if value is None:
            self.nulls += 1
        elif isinstance(value, str):
            self.blanks += not value.strip()
            self.longest = max(self.longest or 0, len(value))
        elif isinstance(value, int | float | datetime) and value == value:  # noqa: PLR0124 -- NaN orders nothing
            self.lowest = value if self.lowest is None or value < self.lowest else self.lowest
            self.highest = value if self.highest is None or value > self.highest else self.highest

    def facts(self, name: str) -> ColumnFacts:
        lowest, highest = (v.isoformat(" ") if isinstance(v, datetime) else v for v in (self.lowest, self.highest))
        return ColumnFacts(
            column=name,
            rows=self.rows,
            nulls=self.nulls,
            blanks=self.blanks,
            longest=self.longest,
            lowest=lowest,
            highest=highest,
        )


@dataclass
class _Code:
    seen: int = 0
    judged: int = 0
    outside: int = 0
    exit_codes: Counter[str] = field(default_factory=Counter)

    def add(self, *, has_limits: bool, is_outside: bool) -> None:
        self.seen += 1
        self.judged += has_limits
        self.outside += is_outside

    def facts(self, code: int | None) -> CodeFacts:
        return CodeFacts(
            code=code,
            seen=self.seen,
            judged=self.judged,
            outside=self.outside,
            exit_codes=dict(self.exit_codes.most_common(3)),
        )


@dataclass
class _Limit:
    times: int = 0
    steps: set[str] = field(default_factory=set)
    largest_measured: float = 0.0


@dataclass
class Seen:
    """How many runs something was seen in, with a few of them."""

    runs: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: object) -> None:
        """Count a run."""
        self.runs += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(str(example))

    def issue(self, what: str, consequence: str) -> Issue:
        """Return it as the report has it."""
        return Issue(what=what, seen=self.runs, examples=tuple(self.examples), consequence=consequence)


class Tally:
    """Adds up runs one by one; ``settings`` say how they are read, and which limits mean none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._runs = 0
        self._steps = 0
        self._columns: dict[str, _Column] = {name: _Column() for name in _RUN_COLUMNS}
        self._units: dict[str, tuple[int, float, float]] = {}
        self._classes: Counter[int] = Counter()
        self._most = 0
        self._contents: Counter[str] = Counter()
        self._run_codes: dict[int | None, _Code] = defaultdict(_Code)
        self._step_codes: dict[int | None, _Code] = defaultdict(_Code)
        self._limits: dict[float, _Limit] = {}
        self._busy: dict[UUID, list[tuple[datetime, float]]] = defaultdict(list)
        self._test_times: Counter[int] = Counter()
        self._keys: Counter[tuple[Any, ...]] = Counter()
        self._testplans: Counter[str] = Counter()
        self._issues: dict[tuple[str, str], Seen] = defaultdict(Seen)

    def add(self, run: VteTestRun) -> bool:
        """Count a run; return whether something about it is odd."""
        self._runs += 1
        issues = list(self._issues_of(run))
        for issue in issues:
            self._issues[issue].add(run.index_guid)
        if run.defect is None:
            self._add_header(run)
            self._add_steps(run)
        return bool(issues)

    def findings(self) -> Findings:
        """Return what was counted so far."""
        classes = dict(sorted(self._classes.items()))
        return Findings(
            runs=self._runs,
            steps=self._steps,
            columns=tuple(column.facts(name) for name, column in self._columns.items()),
            units=tuple(
                UnitFacts(units=units, values=values, lowest=lowest, highest=highest)
                for units, (values, lowest, highest) in sorted(self._units.items(), key=lambda item: -item[1][0])[
                    :_SHOWN
                ]
            ),
            step_counts=StepCounts(runs=classes, most=self._most, without=classes.get(0, 0)),
            contents=dict(self._contents.most_common()),
            run_codes=_facts(self._run_codes),
            step_codes=_facts(self._step_codes),
            limits=tuple(
                LimitFacts(limit=limit, times=seen.times, steps=len(seen.steps), largest_measured=seen.largest_measured)
                for limit, seen in nlargest(
                    _SHOWN, self._limits.items(), key=lambda item: (len(item[1].steps), item[1].times)
                )
            ),
            marks=self._marks(),
            test_times=dict(sorted(self._test_times.items())),
            testplans=dict(self._testplans.most_common()),
            issues=tuple(
                seen.issue(what, consequence)
                for (what, consequence), seen in sorted(self._issues.items(), key=lambda item: -item[1].runs)
            ),
        )

    def _add_header(self, run: VteTestRun) -> None:
        for name, value_of in _RUN_COLUMNS.items():
            self._columns[name].add(value_of(run))
        self._testplans[printable(testplan_of(run.testplan))] += 1
        if run.test_time_s is None or not run.test_time_s > 0:
            return
        self._test_times[next((edge for edge in _TEST_TIMES_S if run.test_time_s <= edge), _BEYOND_S)] += 1
        if run.testsystem_guid is not None:
            self._busy[run.testsystem_guid].append((run.timestamp_local, run.test_time_s))

    def _add_steps(self, run: VteTestRun) -> None:
        self._steps += len(run.steps)
        self._most = max(self._most, len(run.steps))
        self._classes[next((edge for edge in _CLASSES if len(run.steps) <= edge), _CLASSES[-1])] += 1
        has_limits = is_outside = False
        for step in run.steps:
            limited, outside = self._add_step(step)
            has_limits |= limited
            is_outside |= outside
        code = self._run_codes[run.result_code]
        code.add(has_limits=has_limits, is_outside=is_outside)
        code.exit_codes["NULL" if run.exit_code is None else str(run.exit_code)] += 1

    def _add_step(self, step: VteStepResult) -> tuple[bool, bool]:
        """Count a step; return whether it has limits, and whether its value is outside of them."""
        table = _TABLES[step.kind]
        columns = _STEP_COLUMNS | (_LIMIT_COLUMNS if step.kind is StepKind.NUMERIC else {})
        for name, value_of in columns.items():
            self._columns.setdefault(f"{table}.{name}", _Column()).add(value_of(step))
        has_limits = is_outside = False
        if step.kind is StepKind.NUMERIC:
            has_limits, is_outside = self._add_number(step)
        elif step.kind is StepKind.OTHER:
            self._contents[content_kind(step)] += 1
        self._step_codes[step.result_code].add(has_limits=has_limits, is_outside=is_outside)
        return has_limits, is_outside

    def _add_number(self, step: VteStepResult) -> tuple[bool, bool]:
        value = step.numeric_value
        is_reading = value is not None and math.isfinite(value) and scpi_sentinel(value) is None
        for limit in {step.low_limit, step.high_limit} - {None}:
            if limit is not None and (limit in self._limits or len(self._limits) < _MOST):
                seen = self._limits.setdefault(limit, _Limit())
                seen.times += 1
                if len(seen.steps) < _SHOWN:
                    seen.steps.add(step.test_name or "")
                if value is not None and is_reading:
                    seen.largest_measured = max(seen.largest_measured, abs(value))
        if value is None or not is_reading:
            return False, False
        units = (step.units or "").strip()
        if units in self._units or len(self._units) < _MOST:
            values, lowest, highest = self._units.get(units, (0, value, value))
            self._units[units] = (values + 1, min(lowest, value), max(highest, value))
        limits = limits_of(step, self._settings)
        limits = limits._replace(low=_measurable(limits.low), high=_measurable(limits.high))
        return bool(limits), bool(limits) and not limits.include(value)

    def _issues_of(self, run: VteTestRun) -> Iterator[tuple[str, str]]:
        if run.defect is not None:
            yield f"cannot be read as it is: {run.defect.signature}", "Each becomes a dead letter with its reason."
            return
        key = (run.serial, run.product.name, testplan_of(run.testplan), run.timestamp_local, run.test_time_s)
        self._keys[key] += 1
        if self._keys[key] > 1:
            yield (
                "same serial, product, test plan and time as another run",
                "To WATS they are one test: the first is uploaded, each other one becomes a dead letter.",
            )
        if not run.steps:
            yield "no steps", "The report has none, and is replaced when steps arrive within near_check_h hours."
        elif any(_has_inverted_limits(step, self._settings) for step in run.steps):
            yield (
                "a LowLimit above its HighLimit",
                "Both are uploaded as they are; the step keeps its own result.",
            )
        if any(step.numeric_value is not None and scpi_sentinel(step.numeric_value) for step in run.steps):
            yield (
                "9.9E37 or 9.91E37 measured: an overload or no number",
                "The value is uploaded as it is, and the step's report text says what it stands for.",
            )

    def _marks(self) -> MarkFacts:
        neighbours = as_end = as_start = 0
        for times in self._busy.values():
            for (earlier, earlier_s), (later, later_s) in pairwise(sorted(times)):
                apart_s = (later - earlier).total_seconds()
                neighbours += 1
                as_end += apart_s < later_s - _OVERLAP_S
                as_start += apart_s < earlier_s - _OVERLAP_S
        return MarkFacts(neighbours=neighbours, overlaps_as_end=as_end, overlaps_as_start=as_start)


def content_kind(step: VteStepResult) -> str:
    """Return what a step of TestDataOther holds, by its first bytes."""
    content = step.bytes_value
    if content is None:
        return "NULL" if step.text_value is None else "text, by the type of the column"
    if not content:
        return "empty"
    return "text" if text_in(content) is not None else file_type(content).content_type


def _measurable(limit: float | None) -> float | None:
    return None if limit is None or abs(limit) >= _BEYOND_MEASURING else limit


def _has_inverted_limits(step: VteStepResult, settings: Settings) -> bool:
    if step.low_limit is None or step.high_limit is None:
        return False
    low, high = limits_of(step, settings)
    return low is not None and high is not None and low > high


def _facts(codes: dict[int | None, _Code]) -> tuple[CodeFacts, ...]:
    return tuple(seen.facts(code) for code, seen in sorted(codes.items(), key=lambda item: -item[1].seen))
