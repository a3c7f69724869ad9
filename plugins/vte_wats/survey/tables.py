"""Yields, data quality and the kept runs as CSV, for a spreadsheet: texts that would be formulas stay texts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from vte_wats.domain.run import VteStepResult, VteTestRun
from vte_wats.survey.sample_findings import Distribution, Issue
from vte_wats.survey.tally import content_kind
from vte_wats.survey.trial import TrialLine

_RUN_COLUMNS = (
    "Index_GUID", "Timestamp", "Result", "ExitCode", "TestTime", "Serial", "ProductName", "TestplanName",
    "TestplanVariant", "TestplanRevision", "Station", "Hostname", "Site", "UserName", "Info1", "Info2", "Info3",
    "Steps", "outcome", "reason",
)  # fmt: skip
_STEP_COLUMNS = (
    "Index_GUID", "table", "TestStepNumber", "TestName", "TestDescription", "TestNumber", "TestUnits", "TestResult",
    "LowLimit", "HighLimit", "TestResultType",
)  # fmt: skip
_YIELD_COLUMNS = ("by", "name", "runs", "first runs", "first-pass yield %", "total yield %")
_ISSUE_COLUMNS = ("what", "seen", "what happens", "such as")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


def yields_csv(distributions: Iterable[Distribution]) -> str:
    """Return a line per month, product, test plan and station; a yield without a run of a known code is empty."""
    return _csv(
        _YIELD_COLUMNS, (_yield(distribution, name) for distribution in distributions for name in distribution.runs)
    )


def issues_csv(issues: Iterable[Issue]) -> str:
    """Return a line per issue of data quality, as the report has them."""
    return _csv(
        _ISSUE_COLUMNS, ((issue.what, issue.seen, issue.consequence, " ".join(issue.examples)) for issue in issues)
    )


def runs_csv(runs: Iterable[VteTestRun], lines: Iterable[TrialLine]) -> str:
    """Return a line per run with what would become of it."""
    trial: Mapping[UUID, TrialLine] = {line.index_guid: line for line in lines}
    return _csv(_RUN_COLUMNS, (_run(run, trial[run.index_guid]) for run in runs))


def steps_csv(runs: Iterable[VteTestRun]) -> str:
    """Return a line per step; of binary values it says what they are."""
    return _csv(_STEP_COLUMNS, (_step(run, step) for run in runs for step in run.steps))


def safe_cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula. Numbers stay numbers; NULL is empty."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _yield(distribution: Distribution, name: str) -> Sequence[Any]:
    counts = (sum(runs.get(name, {}).values()) for runs in (distribution.runs, distribution.first_runs))
    shares = (yields.get(name) for yields in (distribution.first_pass_yields, distribution.yields))
    return (distribution.of, name, *counts, *(None if share is None else round(100 * share, 2) for share in shares))


def _run(run: VteTestRun, line: TrialLine) -> Sequence[Any]:
    return (
        run.index_guid, run.timestamp_local.isoformat(" "), run.result_code, run.exit_code, run.test_time_s, run.serial,
        run.product.name, run.testplan.name, run.testplan.variant, run.testplan.revision, run.testsystem_name,
        run.hostname, run.site_name, run.operator, run.info1, run.info2, run.info3, len(run.steps), line.outcome,
        line.reason,
    )  # fmt: skip


def _step(run: VteTestRun, step: VteStepResult) -> Sequence[Any]:
    content = step.bytes_value
    value = step.value if content is None else f"{content_kind(step)}, {len(content)} bytes"
    return (
        run.index_guid, step.kind.value, step.step_number, step.test_name, step.test_description, step.test_number,
        step.units, value, step.low_limit, step.high_limit, step.result_code,
    )  # fmt: skip


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return text.getvalue()
