"""The report of a survey: one HTML page that needs nothing else, data as JSON, runs as CSV, a diagram as Mermaid."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment

from vte_wats.document_templates import document_templates
from vte_wats.domain.run import VteTestRun
from vte_wats.survey.plots import distribution_svg, relations_svg, steps_svg, week_svg
from vte_wats.survey.proposal import Answer, Origin, known_results
from vte_wats.survey.results import Survey
from vte_wats.survey.sample_findings import Distribution
from vte_wats.survey.schema import Comparison, DeployedTable, Likeness, documented_schema
from vte_wats.survey.stored import SurveyFile
from vte_wats.survey.tables import runs_csv, steps_csv, yields_csv

_MERMAID_NAME = str.maketrans(dict.fromkeys(" -.[](){}\"'`$#@/\\:;,|<>", "_"))


@dataclass(frozen=True, slots=True)
class Documents:
    """The files of a survey."""

    html: str
    json: str
    yields_csv: str
    runs_csv: str
    steps_csv: str
    diagram: str

    def files(self) -> dict[SurveyFile, str]:
        """Return each file by its name."""
        return {
            SurveyFile.REPORT: self.html,
            SurveyFile.FACTS: self.json,
            SurveyFile.YIELDS: self.yields_csv,
            SurveyFile.RUNS: self.runs_csv,
            SurveyFile.STEPS: self.steps_csv,
            SurveyFile.DIAGRAM: self.diagram,
        }


def render(survey: Survey, runs: Sequence[VteTestRun]) -> Documents:
    """Lay out a survey, with the runs that were kept."""
    results = known_results(survey.proposal)
    differing = [line for line in survey.comparison if line.likeness is not Likeness.SAME]
    counts = survey.findings.step_counts if survey.findings else None
    values = {
        "survey": survey,
        "differing": [line for line in differing if line.is_read or line.column is None],
        "unread": [line for line in differing if not line.is_read and line.column is not None],
        "same": sum(line.likeness is Likeness.SAME for line in survey.comparison),
        "plots": [(distribution, distribution_svg(distribution, results)) for distribution in _in_order(survey)],
        "keys": [line for line in survey.foreign_keys if line.likeness is not Likeness.SAME],
        "same_keys": sum(line.likeness is Likeness.SAME for line in survey.foreign_keys),
        "relations": _relations(survey.tables),
        "week": week_svg(survey.hours_of_week) if survey.hours_of_week else None,
        "steps": steps_svg(counts) if counts is not None and counts.runs else None,
        "answers": [answer for answer in survey.proposal.answers if _says_something(answer)],
        "defaults": [answer for answer in survey.proposal.answers if not _says_something(answer)],
    }
    html = _templates().get_template("survey.html.j2").render(values)
    lines = survey.trial.lines if survey.trial else ()
    return Documents(
        html=html,
        json=survey.model_dump_json(indent=1),
        yields_csv=yields_csv(_in_order(survey)),
        runs_csv=runs_csv(runs, lines),
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


def _says_something(answer: Answer) -> bool:
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
    return f"{size_bytes / 1_048_576:,.1f} MB"


def _plain(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _named(line: Comparison) -> str:
    return line.table if line.column is None else f"{line.table}.{line.column}"
