"""The pages that show what arrived. Everything is escaped, nothing comes from elsewhere, no script runs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sandbox.wats.odata import HeaderQuery
from sandbox.wats.report_fields import Wsjf
from sandbox.wats.report_store import ReportStore
from sandbox.wats.reports import RESULT_WORDS, attachments_of, walk_steps
from sandbox.wats.request_log import RequestLog
from sandbox.wats.responses import LOGIN_PAGE

PAGE_SIZE = 50
_SHOWN_AT_MOST = 500
_POLICY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_GAUGE_WIDTH = 120.0
_UPPER_ONLY = frozenset({"LE", "LT"})


@dataclass(frozen=True)
class Gauge:
    """Where the limits and the value lie on a strip 120 units wide."""

    band_from: float
    band_width: float
    tick: float


@dataclass(frozen=True)
class Line:
    """One line of the step table: a step, or one of several measurements of the step above it."""

    depth: int
    name: str
    status: str
    is_sequence: bool = False
    is_measurement: bool = False
    caused_failure: bool = False
    text: str = ""
    attachment: str = ""
    value: str = ""
    unit: str = ""
    low: str = ""
    high: str = ""
    comparison: str = ""
    gauge: Gauge | None = None
    time: str = ""


def _number(value: object) -> str:
    """Return a value as the report has it: a number with all its digits, and no more."""
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return "" if value is None else str(value)


def _finite(*values: object) -> bool:
    return all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)


def _gauge(value: object, low: object, high: object) -> Gauge | None:
    """Return a gauge for a value with two limits, the band in the middle half of the strip."""
    if not _finite(value, low, high):
        return None
    number, bottom, top = float(value), float(low), float(high)  # type: ignore[arg-type]
    if not bottom < top or not math.isfinite(top - bottom):
        return None
    share = 0.25 + 0.5 * (number - bottom) / (top - bottom)
    tick = min(max(share, 0.0), 1.0) * (_GAUGE_WIDTH - 3)
    return Gauge(band_from=_GAUGE_WIDTH / 4, band_width=_GAUGE_WIDTH / 2, tick=round(tick, 1))


def _measured(measurement: Wsjf) -> dict[str, Any]:
    """Return what a line shows of one measurement. An upper limit shows as one wherever the report has it."""
    comparison = measurement.get("compOp") or ""
    low, high = measurement.get("lowLimit"), measurement.get("highLimit")
    if comparison.upper() in _UPPER_ONLY and high is None:
        low, high = None, low
    if comparison.upper() == "LOG":
        comparison = "log"
    return {
        "value": _number(measurement.get("value")),
        "unit": measurement.get("unit") or "",
        "low": _number(measurement.get("limit") if "limit" in measurement else low),
        "high": _number(high),
        "comparison": comparison,
        "gauge": _gauge(measurement.get("value"), low, high),
    }


def lines_of(root: Wsjf) -> Iterator[Line]:
    """Yield the lines of a report's step table in order."""
    for depth, step in walk_steps(root):
        measurements = [
            measurement
            for field in ("numericMeas", "stringMeas", "booleanMeas")
            for measurement in step.get(field) or []
        ]
        only = measurements[0] if len(measurements) == 1 else None
        total_time = step.get("totTime")
        yield Line(
            depth=depth,
            name=str(step.get("name") or ""),
            status=_status(step),
            is_sequence="steps" in step or step.get("seqCall") is not None,
            caused_failure=step.get("causedUUTFailure") is True,
            text="\n".join(text for text in (step.get("errorMessage"), step.get("reportText")) if text),
            attachment=(step.get("attachment") or {}).get("name") or "",
            time=f"{total_time:.3f} s" if isinstance(total_time, (int, float)) and total_time else "",
            **({} if only is None else _measured(only)),
        )
        if only is None:
            for measurement in measurements:
                yield Line(
                    depth=depth + 1,
                    name=measurement.get("name") or "",
                    status=_status(measurement),
                    is_measurement=True,
                    **_measured(measurement),
                )


def _status(part: Wsjf) -> str:
    """Return a status in words; a lenient server has taken others too."""
    return RESULT_WORDS.get(str(part.get("status")), str(part.get("status") or ""))


def _sub_units(report: Wsjf) -> list[Wsjf]:
    """Return the sub units with every key the page shows."""
    empty = {"partType": None, "sn": None, "pn": None, "rev": None, "failures": None}
    units = [{**empty, **unit} for unit in report.get("subUnits") or []]
    for unit in units:
        unit["failures"] = [{"comRef": None, "comment": None, **failure} for failure in unit["failures"] or []]
    return units


def _moment(text: str) -> str:
    """Shorten an ISO instant in UTC to the second."""
    return text[:19].replace("T", " ")


_FACTS = (
    ("Start (UTC)", "start"),
    ("Station", "stationName"),
    ("Location", "location"),
    ("Purpose", "purpose"),
    ("Operator", "userName"),
    ("Execution time (s)", "executionTime"),
    ("Batch", "batchNumber"),
    ("Sequence", "swFilename"),
    ("Sequence version", "swVersion"),
    ("Fixture", "fixtureId"),
    ("Test socket", "testSocketIndex"),
    ("Error code", "errorCode"),
    ("Error message", "errorMessage"),
    ("Comment", "comment"),
    ("Failed by", "causedUutFailurePath"),
    ("Repaired test", "referencedUut"),
    ("Run", "run"),
    ("Received", "receiveCount"),
    ("Size (KB)", "reportSize"),
)


def create_pages(store: ReportStore, log: RequestLog) -> APIRouter:
    """Return the routes `/`, `/reports/{id}`, `/quarantine`, `/overwrites` and `/requests`."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["moment"] = _moment
    pages = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

    def rendered(template: str, tab: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        counts = store.counts()
        overwritten = counts["overwritten_same_id"] + counts["overwritten_natural_key"]
        tabs = (
            ("reports", "/", "Reports", counts["reports"], False),
            ("quarantine", "/quarantine", "Quarantine", counts["quarantined"], True),
            ("overwrites", "/overwrites", "Overwritten", overwritten, bool(counts["overwritten_natural_key"])),
            ("requests", "/requests", "Requests", log.total, False),
        )
        values = {"refresh_s": 0, **values, "tab": tab, "tabs": tabs, "counts": counts}
        return HTMLResponse(templates.get_template(template).render(values), status, headers=_POLICY)

    @pages.get("/")
    async def reports(q: str = "", result: str = "", page: int = 1, refresh: int = 0) -> HTMLResponse:
        page = min(max(page, 1), 1_000_000)
        total, found = store.page(result=result, text=q, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
        return rendered(
            "reports.html",
            "reports",
            reports=found,
            total=total,
            by_result=store.counts_by_result(),
            q=q,
            result=result,
            query=urlencode({"q": q, "result": result}),
            page=page,
            page_size=PAGE_SIZE,
            refresh_s=min(max(refresh, 0), 3_600),
        )

    @pages.get("/reports/{report_id}")
    async def report(report_id: str) -> HTMLResponse:
        found = store.headers(
            HeaderQuery(where="uuid = ?", values=(report_id.lower(),), expand=("miscInfo", "uurMiscInfo"))
        )
        if not found:
            return rendered(
                "absent.html", "reports", status=404, report_id=report_id, heir=store.replaced_by(report_id)
            )
        header = found[0]
        content = store.report(report_id)
        header["start"] = header["start"].replace("T", " ").removesuffix("Z")
        facts = [(name, _number(header[key])) for name, key in _FACTS if header[key] not in (None, "")]
        return rendered(
            "report.html",
            "reports",
            header=header,
            facts=facts,
            misc_infos=header["miscInfo"] + header["uurMiscInfo"],
            sub_units=_sub_units(content),
            attachments=attachments_of(content),
            lines=list(lines_of(content["root"])) if isinstance(content.get("root"), dict) else [],
        )

    @pages.get("/quarantine")
    async def quarantine() -> HTMLResponse:
        return rendered("quarantine.html", "quarantine", quarantined=store.quarantined()[:_SHOWN_AT_MOST])

    @pages.get("/overwrites")
    async def overwrites() -> HTMLResponse:
        return rendered("overwrites.html", "overwrites", overwrites=store.overwrites()[::-1][:_SHOWN_AT_MOST])

    @pages.get("/requests")
    async def requests() -> HTMLResponse:
        latest = list(log)[: -_SHOWN_AT_MOST - 1 : -1]
        worst = log.requests_in_worst_minute()
        return rendered("requests.html", "requests", requests=latest, total=log.total, worst=worst)

    @pages.get("/login")
    async def login() -> HTMLResponse:
        """Where a scripted redirect leads: 200, and not what was asked for."""
        return HTMLResponse(LOGIN_PAGE)

    return pages
