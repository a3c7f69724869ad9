"""What a report must say, read again from the VTE tables: nothing here comes from the product's own mapping."""

from __future__ import annotations

import base64
import fnmatch
import math
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]
Report = dict[str, Any]

RESULTS = {1: "P", 0: "F", 2: "E", 3: "T"}
NO_LIMIT = (9.9e37, -9.9e37, 1e308, -1e308)
NOT_A_NUMBER = 9.91e37
LONGEST = 100
LONGEST_UNIT = 20
ROOT = "MainSequence Callback"
LONG_TEXT = "text/plain; charset=utf-8"  # a description that found no room in the report text
KINDS = ("Numeric", "Text", "Other")
_SHOWN = {code: chr(0x2400 + code) for code in range(32) if code not in (9, 10, 13)}
_SHOWN |= dict.fromkeys(range(0x10D800, 0x10E000), "\ufffd")  # half surrogate pairs, as the emulated VTE keeps them

Query = Callable[..., list[tuple[Any, ...]]]


def clean(text: str | None) -> str:
    """Return a text as XML can transfer it."""
    return "" if text is None else text.translate(_SHOWN).strip()


def cut(text: str, longest: int = LONGEST) -> str:
    """Return the first UTF-16 units of a text, the last of them an ellipsis where something is missing."""
    units = text.encode("utf-16-le")
    if len(units) <= 2 * longest:
        return text
    return units[: 2 * (longest - 1)].decode("utf-16-le", errors="ignore") + "…"


class Tables:
    """The rows of VTE by run, as the database holds them."""

    def __init__(self, query: Query) -> None:
        self.runs: dict[str, Row] = {
            str(row["Index_GUID"]).lower(): row
            for row in _rows(
                query,
                'SELECT i.*, u."Serial", p."Name" AS "MasterProduct", t."Name" AS "MasterTestplan", '
                's."Name" AS "Station" FROM "IndexData" i '
                'LEFT JOIN "UutData" u ON u."Uut_GUID" = i."Uut_GUID" '
                'LEFT JOIN "Products" p ON p."Product_GUID" = i."Product_GUID" '
                'LEFT JOIN "Testplans" t ON t."Testplan_GUID" = i."Testplan_GUID" '
                'LEFT JOIN "TestSystems" s ON s."Testsystem_GUID" = i."Testsystem_GUID"',
            )
        }
        self.steps: dict[str, list[Row]] = {guid: [] for guid in self.runs}
        for kind in KINDS:
            for row in _rows(query, f'SELECT * FROM "TestData{kind}"'):
                self.steps[str(row["Index_GUID"]).lower()].append(row | {"kind": kind})


def _rows(query: Query, sql: str) -> Iterator[Row]:
    names = [name for name, *_ in query(f"DESCRIBE {sql}")]
    for values in query(sql):
        yield dict(zip(names, values, strict=True))


def differences(
    run: Row, steps: list[Row], report: Report, *, zone: ZoneInfo, processes: dict[str, int], is_renamed: bool = False
) -> list[str]:
    """Compare a run with its report, field by field; return one line per field that is not equal.

    ``is_renamed`` says that WATS keeps reports under ids of its own.
    """
    plan = clean(run["TestplanName"]) or clean(run["MasterTestplan"])
    infos = {info["description"]: info.get("text") for info in report["miscInfos"]}
    expected = {
        "id": report["id"].lower() if is_renamed else str(run["Index_GUID"]).lower(),
        "serial": clean(run["Serial"]),
        "part": clean(run["ProductName"]) or clean(run["MasterProduct"]),
        "process": _process(plan, processes),
        "result": RESULTS.get(run["Result"]),
        "station": cut(clean(run["Station"]) or clean(run["Hostname"])),
        "operator": cut(clean(run["UserName"])),
        "source_id": f"VTE:{str(run['Index_GUID']).lower()}",
        "exit_code": None if run["ExitCode"] is None else str(run["ExitCode"]),
        "info1": cut(clean(run["Info1"])) or None,
    }
    found = {
        "id": report["id"].lower(),
        "serial": report["sn"],
        "part": report["pn"],
        "process": report["processCode"],
        "result": report["result"],
        "station": report["machineName"],
        "operator": report["uut"].get("user") or "",
        "source_id": infos.get("source_id"),
        "exit_code": infos.get("exit_code"),
        "info1": infos.get("info1"),
    }
    lines = [f"{name}: {expected[name]!r} became {found[name]!r}" for name in expected if expected[name] != found[name]]
    start_at, starts = datetime.fromisoformat(report["start"]).astimezone(UTC), sorted(_starts(run, zone))
    if start_at not in starts:
        lines.append(f"start: {starts} became {start_at}")
    if datetime.fromisoformat(report["startUTC"]) != start_at:
        lines.append(f"startUTC: {report['startUTC']} is not {start_at}")
    if (report["root"]["name"], report["root"]["seqCall"]["name"]) != (ROOT, cut(plan) or "-"):
        lines.append(f"test plan: {plan!r} became {report['root']['name']}, {report['root']['seqCall']}")
    lines += _unclear_steps(report)
    reported = (infos.get("start_ambiguous") or "").partition(" ")[0]
    if reported != ("" if len(starts) == 1 else "earlier" if start_at == starts[0] else "later"):
        lines.append(f"start_ambiguous: {reported!r} is said of {start_at} among {starts}")
    wanted, received = Counter(map(_wanted, steps)), Counter(_received(report))
    lines += [f"missing in the report: {known_entry}" for known_entry in wanted - received]
    lines += [f"not in VTE: {found_entry}" for found_entry in received - wanted]
    numbers = [row["TestStepNumber"] for row in steps if row["TestStepNumber"] is not None]
    if len(set(numbers)) == len(numbers) == len(steps):
        in_order = [_wanted(row) for row in sorted(steps, key=lambda row: row["TestStepNumber"])]
        if in_order != list(_received(report)):
            lines.append("the steps stand in another order")
    return lines


def _unclear_steps(report: Report) -> Iterator[str]:
    """Yield what keeps a person from seeing the steps apart, or from finding the one that failed the unit."""
    steps = report["root"].get("steps", [])
    for field in ("name", "id"):
        values = [step[field] for step in steps if field in step]
        if len(set(values)) < len(values):
            yield f"steps share a {field}: {[value for value, n in Counter(values).items() if n > 1]}"
    causes = [step for step in steps if step.get("causedUUTFailure")]
    bad = [step for step in steps if step["status"] in "FET"]
    if (report["result"] == "P" or not bad) != (not causes) or len(causes) > 1:
        yield f"{len(causes)} steps failed the unit, whose result is {report['result']}"


def refusal(run: Row, steps: list[Row], *, processes: dict[str, int]) -> str | None:
    """Tell whether a run must become a dead letter by itself, and of which kind: ``dead``, ``held`` or None."""
    serial, part = clean(run["Serial"]), clean(run["ProductName"]) or clean(run["MasterProduct"])
    for text in (serial, part):
        if not text or len(text.encode("utf-16-le")) > 2 * LONGEST:
            return "dead"
    if _process(clean(run["TestplanName"]) or clean(run["MasterTestplan"]), processes) is None:
        return "held"
    if run["Result"] not in RESULTS:
        return "held"
    if not (clean(run["Station"]) or clean(run["Hostname"])):
        return "dead"
    if any(row["TestResultType"] is not None and row["TestResultType"] not in RESULTS for row in steps):
        return "held"
    return None


def _process(plan: str, processes: dict[str, int]) -> int | None:
    return processes.get(
        plan, next((code for like, code in processes.items() if fnmatch.fnmatchcase(plan, like)), None)
    )


def _starts(run: Row, zone: ZoneInfo) -> set[datetime]:
    """Return when the run may have started: once, or twice where its clock showed that time twice."""
    local = run["Timestamp"].replace(tzinfo=zone)
    first, second = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    instants = {first, second} if first < second else {first}  # a skipped time is read as if the clock was not changed
    took = run["TestTime"]
    if took is None or took < 0:
        return instants
    try:
        return {at - timedelta(milliseconds=round(took * 1000)) for at in instants}
    except OverflowError:
        return instants


def _limit(row: Row, side: str) -> float | None:
    value = row.get(f"{side}Limit")
    if value is None or any(math.isclose(value, none, rel_tol=1e-6) for none in NO_LIMIT):
        return None
    return float(value)


def _status(row: Row, low: float | None, high: float | None) -> str:
    if row["TestResultType"] is not None:
        return RESULTS[row["TestResultType"]]
    value = row["TestResult"]
    if value is None or _is_file(value):
        return "D"
    if row["kind"] != "Numeric" or (low is None and high is None):
        return "P"
    inside = (low is None or value >= low) and (high is None or value <= high) and value != NOT_A_NUMBER
    return "P" if inside else "F"


def _is_file(value: object) -> bool:
    return isinstance(value, bytes | bytearray) and _text(bytes(value)) is None


def _measured(status: str) -> str:
    """Return what a measurement of a step with a status says."""
    return {"D": "P", "E": "F", "T": "F"}.get(status, status)


def _wanted(row: Row) -> tuple[object, ...]:
    """Return what must stand in WATS for one row: kind, value, limits, unit, status."""
    value = row["TestResult"]
    low, high = _limit(row, "Low"), _limit(row, "High")
    status = _status(row, low, high)
    if row["kind"] == "Numeric" and value is not None:
        return ("number", repr(float(value)), low, high, cut(clean(row["TestUnits"]), LONGEST_UNIT), _measured(status))
    if isinstance(value, bytes | bytearray):
        text = _text(bytes(value))
        value = bytes(value) if text is None else text
    if isinstance(value, str):
        return ("text", cut(clean(value)), _measured(status))
    if value:
        return ("file", hash(bytes(value)), status)
    return ("nothing", status)


def _text(content: bytes) -> str | None:
    """Return what bytes say as text: UTF-8, UTF-16 with a mark or of Latin dead letters; None for a file."""
    if content.startswith((b"\x89PNG", b"\xff\xd8\xff", b"%PDF-", b"PK\x03\x04")):
        return None
    latin = len(content) % 2 == 0 and set(content[1::2]) <= {0}
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "utf-16-le"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "utf-16-le" or latin:
            controls = {entry for entry in text if entry < " " or "\x7f" <= entry <= "\x9f" or entry in "\ufffe\uffff"}
            if text and controls <= set("\t\r\n"):
                return text
    return None


def _received(report: Report) -> Iterator[tuple[object, ...]]:
    for step in report["root"].get("steps", []):
        for number in step.get("numericMeas", []):
            low, high = number.get("lowLimit"), number.get("highLimit")
            if number["compOp"] == "LE":
                low, high = None, low
            value = repr(float(number["value"]))
            yield ("number", value, low, high, number.get("unit") or "", number["status"])
        for text in step.get("stringMeas", []):
            yield ("text", text.get("value") or "", text["status"])
        if "numericMeas" in step or "stringMeas" in step:
            continue
        file = step.get("attachment")
        if file is not None and not file["contentType"].startswith(LONG_TEXT):
            yield ("file", hash(base64.b64decode(file["data"])), step["status"])
        else:
            yield ("nothing", step["status"])
