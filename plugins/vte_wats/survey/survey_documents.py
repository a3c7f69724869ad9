"""The report of a survey: one HTML page that needs nothing else, data as JSON, a diagram as Mermaid, tables as CSV.

The tables are for a spreadsheet: texts that would be formulas stay texts.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from humanize import naturalsize
from jinja2 import Environment

from vte_wats.domain.run import VteStepResult, VteTestRun
from vte_wats.survey.plots import distribution_svg, relations_svg, steps_svg, week_svg
from vte_wats.survey.proposal import Origin, ProposedSetting, known_results
from vte_wats.survey.results import Survey
from vte_wats.survey.sample_findings import Distribution, Issue
from vte_wats.survey.schema import Comparison, DeployedTable, Likeness, documented_schema
from vte_wats.survey.stored import SurveyFile
from vte_wats.survey.tally import content_kind
from vte_wats.survey.trial import TrialLine
from vte_wats.wording import document_templates

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


_MERMAID_NAME = str.maketrans(dict.fromkeys(" -.[](){}\"'`$#@/\\:;,|<>", "_"))


@dataclass(frozen=True, slots=True)
class Documents:
    """The files of a survey."""

    html: str
    json: str
    yields_csv: str
    issues_csv: str
    runs_csv: str
    steps_csv: str
    diagram: str

    def files(self) -> dict[SurveyFile, str]:
        """Return each file by its name."""
        return {
            SurveyFile.REPORT: self.html,
            SurveyFile.FACTS: self.json,
            SurveyFile.YIELDS: self.yields_csv,
            SurveyFile.ISSUES: self.issues_csv,
            SurveyFile.RUNS: self.runs_csv,
            SurveyFile.STEPS: self.steps_csv,
            SurveyFile.DIAGRAM: self.diagram,
        }


def render(survey: Survey, runs: Sequence[VteTestRun]) -> Documents:
    """Lay out a survey, with the runs that were kept."""
    results = known_results(survey.proposal)
    differing = [line for line in survey.comparison if line.likeness is not Likeness.SAME]
    counts = survey.findings.step_counts if survey.findings else None
    lines = {line.index_guid: line for line in survey.trial.lines} if survey.trial else {}
    values = {
        "survey": survey,
        "settings_text": json.dumps(survey.proposal.settings, indent=1, ensure_ascii=False),
        "differing": [line for line in differing if line.is_read or line.column is None],
        "unread": [line for line in differing if not line.is_read and line.column is not None],
        "same": sum(line.likeness is Likeness.SAME for line in survey.comparison),
        "plots": [(distribution, distribution_svg(distribution, results)) for distribution in _in_order(survey)],
        "keys": [line for line in survey.foreign_keys if line.likeness is not Likeness.SAME],
        "same_keys": sum(line.likeness is Likeness.SAME for line in survey.foreign_keys),
        "relations": _relations(survey.tables),
        "week": week_svg(survey.hours_of_week) if survey.hours_of_week else None,
        "steps": steps_svg(counts) if counts is not None and counts.runs else None,
        "kept": {str(run.index_guid): (run, lines[run.index_guid]) for run in runs},
        "answers": [answer for answer in survey.proposal.answers if _says_something(answer)],
        "defaults": [answer for answer in survey.proposal.answers if not _says_something(answer)],
    }
    html = _templates().get_template("survey.html.j2").render(values)
    return Documents(
        html=html,
        json=survey.model_dump_json(indent=1),
        yields_csv=yields_csv(_in_order(survey)),
        issues_csv=issues_csv(survey.issues),
        runs_csv=runs_csv(runs, lines.values()),
        steps_csv=steps_csv(runs),
        diagram="\n".join(_diagram(survey.tables)) + "\n",
    )


def _relations(tables: Sequence[DeployedTable]) -> dict[str, str]:
    """Return the pictures of the deployed and of the documented tables and foreign keys, with their captions."""
    names = {name.casefold(): name for name in documented_schema()}
    deployed = {
        names.get(table.name.casefold(), table.name): sorted(
            {names.get(key.parent.casefold(), key.parent) for key in table.foreign_keys}
        )
        for table in tables
    }
    documented = {name: sorted(set(table.references.values())) for name, table in documented_schema().items()}
    if not deployed:
        return {}
    return {
        "Deployed here": relations_svg(deployed, documented),
        "Documented for VTE 9.31.1": relations_svg(documented, deployed),
    }


def _in_order(survey: Survey) -> Iterator[Distribution]:
    for of in ("month", "product", "test plan", "station"):
        yield from (
            distribution for distribution in survey.distributions if distribution.of == of and distribution.runs
        )


def _says_something(answer: ProposedSetting) -> bool:
    return answer.origin in {Origin.DATA, Origin.ASKED} or answer.differs or answer.setting in {
        "source_timezone", "process_map",
    }  # fmt: skip


def _diagram(tables: Iterable[DeployedTable]) -> Iterator[str]:
    """Yield the deployed schema as an entity-relationship diagram in Mermaid's language."""
    yield "erDiagram"
    for table in tables:
        for key in table.foreign_keys:
            yield f"    {_name(key.parent)} ||--o{{ {_name(table.name)} : {_name(', '.join(key.columns))}"
    for table in tables:
        yield f"    {_name(table.name)} {{"
        for column in table.columns:
            mark = " PK" if column.name in table.key else ""
            yield f"        {_name(column.data_type)} {_name(column.name)}{mark}"
        yield "    }"


def _name(text: str) -> str:
    return text.translate(_MERMAID_NAME) or "_"


@cache
def _templates() -> Environment:
    templates = document_templates("vte_wats.survey")
    templates.filters |= {"percent": _percent, "number": _number, "size": _size, "plain": _plain}
    templates.globals["named"] = _named
    return templates


def _percent(part: int, whole: int) -> str:
    """Return a share as a person reads it: little is not nothing, and nearly all is not all."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if 99.9 < share < 100 else f"{share:.1f} %"


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "not visible"
    return naturalsize(size_bytes, binary=True)


def _plain(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _named(line: Comparison) -> str:
    return line.table if line.column is None else f"{line.table}.{line.column}"
