"""What a WSJF report must look like to be accepted, and the header that WATS makes of it.

The rules are those of the public interface and of its published limits. Where the real server's verdict is not known
(a start without UTC offset, a measured text over 100 characters), this one refuses: better here than in production.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from pydantic_core import from_json

from sandbox.wats.odata_datetimes import ticks_of

Wsjf: TypeAlias = dict[str, Any]
"""A parsed report or a part of one."""

MAX_NAME = 100
MAX_COMMENT = 5_000
MAX_SEQUENCE_VERSION = 30
MAX_SEQUENCE_NAME = 200
MAX_SEQUENCE_PATH = 500
MAX_FILE_NAME = 256
MAX_STEP_DEPTH = 100

RESULT_WORDS = {"P": "Passed", "F": "Failed", "E": "Error", "T": "Terminated", "D": "Done", "S": "Skipped"}
_RESULTS = frozenset("PFDET")
_STATUSES = frozenset("PFDETS")
_GROUPS = frozenset("SMC")
_ONE_LIMIT = frozenset({"EQ", "EQT", "NE", "LT", "LE", "GT", "GE"})
_TWO_LIMITS = frozenset({"GTLT", "GTLE", "GELT", "GELE", "LTGT", "LTGE", "LEGT", "LEGE"})
_NUMERIC_OPERATORS = _ONE_LIMIT | _TWO_LIMITS | {"LOG"}
_STRING_OPERATORS = frozenset({"LOG", "EQ", "NE", "LT", "LE", "GT", "GE", "CASESENSIT", "IGNORECASE"})
_NUMBER_WORDS = frozenset({"NaN", "Infinity", "-Infinity", "INF", "-INF"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class ReportRefusedError(ValueError):
    """A report answered with 400. `field` is the path of the offending field, such as `root.steps[2].name`."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(field, rule)
        self.field = field
        self.rule = rule

    def __str__(self) -> str:
        return f"{self.field}: {self.rule}" if self.field else self.rule

    def under(self, parent: str) -> "ReportRefusedError":
        """Return the same refusal with the path of the enclosing object put in front."""
        return ReportRefusedError(f"{parent}.{self.field}", self.rule)


@dataclass(frozen=True)
class ReportHeader:
    """The searchable part of a report, in the order of the columns of table `reports`."""

    uuid: str
    serial_number: str
    part_number: str
    report_type: str
    start_ticks: int
    revision: str | None
    result: str
    batch_number: str | None
    user_name: str | None
    station_name: str
    location: str | None
    purpose: str | None
    process_code: int
    comment: str | None
    execution_time: float | None
    sw_filename: str | None
    sw_version: str | None
    test_socket_index: int | None
    fixture_id: str | None
    error_code: int | None
    error_message: str | None
    caused_uut_failure: str | None
    caused_uut_failure_path: str | None
    referenced_uut: str | None
    misc_infos: tuple[tuple[str, str | None], ...]


def parse_report(body: bytes) -> Wsjf:
    """Parse a posted body; ReportRefusedError if it is not one JSON object."""
    try:
        report = from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise ReportRefusedError("", f"The request body is not valid JSON: {exc}") from None
    if not isinstance(report, dict):
        raise ReportRefusedError("", "The request body is not a JSON object.")
    return report


def header_of(report: Wsjf) -> ReportHeader:
    """Validate the whole report and return its header; the first violated rule is raised as ReportRefusedError."""
    uuid = _guid(report, "id", required=True)
    report_type = report.get("type")
    if report_type not in ("T", "R"):
        raise ReportRefusedError("type", f"must be 'T' (test) or 'R' (repair), not {_shown(report_type)}")
    for field in ("pn", "sn", "machineName"):
        _text(report, field, required=True)
    for field in ("rev", "location", "purpose", "productName", "processName", "processCodeFormat", "origin"):
        _text(report, field)
    process_code = _integer(report, "processCode", required=True)
    result = report.get("result")
    if not isinstance(result, str) or result not in _RESULTS:
        raise ReportRefusedError("result", f"must be one of P F D E T, not {_shown(result)}")
    start_ticks = _instant(report, "start", required=True)
    if "startUTC" in report:
        _instant(report, "startUTC")
    misc_infos = tuple(_misc_infos(report))
    for path, sub_unit in _objects(report, "subUnits"):
        _sub_unit(path, sub_unit)
    for path, asset in _objects(report, "assets"):
        _within(path, lambda asset=asset: _text(asset, "assetSN", required=True))
    for path, blob in _objects(report, "binaryData"):
        _within(path, lambda blob=blob: _attachment(blob))
    session = _object(report, "uut" if report_type == "T" else "uur", required=report_type == "R")
    session_name = "uut" if report_type == "T" else "uur"
    sw_filename = sw_version = None
    cause: tuple[str | None, str | None] = (None, None)
    if report_type == "T":
        root = _object(report, "root", required=True)
        try:
            check_step(root, 0)
        except ReportRefusedError as exc:
            raise exc.under("root") from None
        call = root.get("seqCall") or {}
        sw_filename, sw_version = call.get("name"), call.get("version")
        if root.get("status") in {"F", "E", "T"}:
            cause = _cause_of_failure(root, session.get("stepIdCausedUUTFailure"))
    return ReportHeader(
        uuid=str(uuid),
        serial_number=report["sn"],
        part_number=report["pn"],
        report_type=str(report_type),
        start_ticks=start_ticks or 0,
        revision=report.get("rev"),
        result=RESULT_WORDS[result],
        batch_number=_within(session_name, lambda: _text(session, "batchSN")),
        user_name=_within(session_name, lambda: _text(session, "user")),
        station_name=report["machineName"],
        location=report.get("location"),
        purpose=report.get("purpose"),
        process_code=process_code or 0,
        comment=_within(session_name, lambda: _text(session, "comment", MAX_COMMENT)),
        execution_time=_within(session_name, lambda: _number(session, "execTime")),
        sw_filename=sw_filename,
        sw_version=sw_version,
        test_socket_index=_within(session_name, lambda: _integer(session, "testSocketIndex")),
        fixture_id=_within(session_name, lambda: _text(session, "fixtureId")),
        error_code=_within(session_name, lambda: _integer(session, "errorCode")),
        error_message=_within(session_name, lambda: _text(session, "errorMessage", MAX_COMMENT)),
        caused_uut_failure=cause[0],
        caused_uut_failure_path=cause[1],
        referenced_uut=_repair(session) if report_type == "R" else None,
        misc_infos=misc_infos,
    )


# ------------------------------------------------------------------------------------------------------ field rules
def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _within(parent: str, check: Any) -> Any:
    """Run the check, and put the parent's path in front of what it refuses."""
    try:
        return check()
    except ReportRefusedError as exc:
        raise exc.under(parent) from None


def _text(part: Wsjf, field: str, limit: int = MAX_NAME, *, required: bool = False) -> str | None:
    value = part.get(field)
    if value is None:
        if required:
            raise ReportRefusedError(field, "is required")
        return None
    if not isinstance(value, str):
        raise ReportRefusedError(field, f"must be a text, not {_shown(value)}")
    if required and not value.strip():
        raise ReportRefusedError(field, "must not be empty")
    if len(value) > limit:
        raise ReportRefusedError(field, f"has {len(value)} characters; the maximum length is {limit}")
    return value


def _integer(part: Wsjf, field: str, *, required: bool = False) -> int | None:
    value = part.get(field)
    if value is None and not required:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**31) <= value < 2**31:
        raise ReportRefusedError(field, f"must be a 32-bit integer, not {_shown(value)}")
    return value


def _number(part: Wsjf, field: str) -> float | None:
    """Accept a finite number, or a text that names one (as .NET writes NaN and infinities)."""
    value = part.get(field)
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            if math.isfinite(value):
                return float(value)
        except OverflowError:
            pass
        raise ReportRefusedError(field, f"must be a finite number, not {_shown(value)}")
    if isinstance(value, str) and (value in _NUMBER_WORDS or _NUMBER.fullmatch(value)):
        number = float(value)
        return number if math.isfinite(number) else None
    raise ReportRefusedError(field, f"must be a number, not {_shown(value)}")


def _guid(part: Wsjf, field: str, *, required: bool = False) -> str | None:
    value = part.get(field)
    if value is None:
        if required:
            raise ReportRefusedError(field, "is required")
        return None
    try:
        return str(UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise ReportRefusedError(field, f"must be a GUID, not {_shown(value)}") from None


def _instant(part: Wsjf, field: str, *, required: bool = False) -> int | None:
    value = part.get(field)
    if value is None:
        if required:
            raise ReportRefusedError(field, "is required")
        return None
    if not isinstance(value, str):
        raise ReportRefusedError(field, f"must be a date and time, not {_shown(value)}")
    try:
        return ticks_of(value)
    except ValueError as exc:
        raise ReportRefusedError(field, f"must be a date and time, not {_shown(value)}: {exc}") from None


def _object(part: Wsjf, field: str, *, required: bool = False) -> Wsjf:
    value = part.get(field)
    if value is None and not required:
        return {}
    if not isinstance(value, dict):
        raise ReportRefusedError(field, "is required" if value is None else f"must be an object, not {_shown(value)}")
    return value


def _objects(part: Wsjf, field: str) -> Iterator[tuple[str, Wsjf]]:
    """Yield the objects of a list with their paths; an absent or null list is empty."""
    values = part.get(field)
    if values is None:
        return
    if not isinstance(values, list):
        raise ReportRefusedError(field, f"must be a list, not {_shown(values)}")
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise ReportRefusedError(f"{field}[{index}]", f"must be an object, not {_shown(value)}")
        yield f"{field}[{index}]", value


# ------------------------------------------------------------------------------------------------------------ parts
def _misc_infos(report: Wsjf) -> Iterator[tuple[str, str | None]]:
    for path, info in _objects(report, "miscInfos"):
        try:
            description = _text(info, "description", required=True) or ""
            text = _text(info, "text")
            numeric = _number(info, "numeric")
        except ReportRefusedError as exc:
            raise exc.under(path) from None
        yield description, text if text is not None or numeric is None else f"{numeric:g}"


def _sub_unit(path: str, sub_unit: Wsjf) -> None:
    try:
        for field in ("partType", "pn", "rev", "sn"):
            _text(sub_unit, field)
        for failure_path, failure in _objects(sub_unit, "failures"):
            try:
                _text(failure, "category", required=True)
                _text(failure, "code", required=True)
                _text(failure, "comment", MAX_COMMENT)
            except ReportRefusedError as exc:
                raise exc.under(failure_path) from None
    except ReportRefusedError as exc:
        raise exc.under(path) from None


def _repair(session: Wsjf) -> str | None:
    try:
        _integer(session, "processCode", required=True)
        for field in ("confirmDate", "finalizeDate"):
            _instant(session, field)
        return _guid(session, "refUUT")
    except ReportRefusedError as exc:
        raise exc.under("uur") from None


def _attachment(attachment: Wsjf) -> None:
    _text(attachment, "name", MAX_FILE_NAME, required=True)
    _text(attachment, "contentType")
    if not isinstance(attachment.get("data"), str | None):
        raise ReportRefusedError("data", "must be base64 text")


def check_step(step: Wsjf, depth: int) -> None:
    """Validate one step and everything below it; paths in refusals are relative to the step."""
    if depth > MAX_STEP_DEPTH:
        raise ReportRefusedError("steps", f"is nested deeper than {MAX_STEP_DEPTH} levels")
    _text(step, "name", required=True)
    _text(step, "stepType", required=True)
    _status(step)
    group = step.get("group")
    if group is not None and (not isinstance(group, str) or group not in _GROUPS):
        raise ReportRefusedError("group", f"must be one of S M C, not {_shown(group)}")
    if "reportText" in step:
        _text(step, "reportText", MAX_COMMENT)
    if "errorMessage" in step:
        _text(step, "errorMessage", MAX_COMMENT)
    if "totTime" in step:
        _number(step, "totTime")
    if (call := step.get("seqCall")) is not None:
        _sequence_call(call)
    if "numericMeas" in step:
        _measurements(step, "numericMeas")
    if "stringMeas" in step:
        _measurements(step, "stringMeas")
    if "booleanMeas" in step:
        _measurements(step, "booleanMeas")
    if step.get("attachment") is not None:
        attachment = _object(step, "attachment")
        _within("attachment", lambda: _attachment(attachment))
    for path, child in _objects(step, "steps"):
        try:
            check_step(child, depth + 1)
        except ReportRefusedError as exc:
            raise exc.under(path) from None


def _sequence_call(call: object) -> None:
    if not isinstance(call, dict):
        raise ReportRefusedError("seqCall", f"must be an object, not {_shown(call)}")
    try:
        _text(call, "path", MAX_SEQUENCE_PATH)
        _text(call, "name", MAX_SEQUENCE_NAME)
        _text(call, "version", MAX_SEQUENCE_VERSION)
    except ReportRefusedError as exc:
        raise exc.under("seqCall") from None


def _status(part: Wsjf) -> None:
    status = part.get("status")
    if not isinstance(status, str) or status not in _STATUSES:
        raise ReportRefusedError("status", f"must be one of P F D E T S, not {_shown(status)}")


def _measurements(step: Wsjf, field: str) -> None:
    for path, measurement in _objects(step, field):
        try:
            _status(measurement)
            _text(measurement, "name")
            if field == "numericMeas":
                _numeric(measurement)
            elif field == "stringMeas":
                _operator(measurement, _STRING_OPERATORS)
                _text(measurement, "value")
                _text(measurement, "limit")
        except ReportRefusedError as exc:
            raise exc.under(path) from None


def _numeric(measurement: Wsjf) -> None:
    _operator(measurement, _NUMERIC_OPERATORS)
    _text(measurement, "unit")
    for field in ("value", "lowLimit", "highLimit"):
        value = measurement.get(field)
        if type(value) is not float or value != value or value in (math.inf, -math.inf):  # noqa: PLR0124 - NaN
            _number(measurement, field)


def _operator(measurement: Wsjf, accepted: frozenset[str]) -> None:
    operator = measurement.get("compOp")
    if operator is None or operator in accepted:
        return
    if not isinstance(operator, str) or operator.upper() not in accepted:
        raise ReportRefusedError("compOp", f"{_shown(operator)} is not a comparison WATS knows for this measurement")


# ---------------------------------------------------------------------------------------------------------- reading
def walk_steps(root: Wsjf) -> Iterator[tuple[int, Wsjf]]:
    """Yield (depth, step) in the order of the report, the root first."""
    stack: list[tuple[int, Wsjf]] = [(0, root)]
    while stack:
        depth, step = stack.pop()
        yield depth, step
        stack.extend((depth + 1, child) for child in reversed(step.get("steps") or []))


def _cause_of_failure(root: Wsjf, step_id: object) -> tuple[str | None, str | None]:
    """Return name and path of the step that failed the unit: marked as such, or named by its id."""
    path: list[str] = []
    for depth, step in walk_steps(root):
        path[depth:] = [step["name"]]
        if step.get("causedUUTFailure") is True or (step_id is not None and step.get("id") == step_id):
            return step["name"], "/".join(path)
    return None, None


def attachments_of(report: Wsjf) -> list[dict[str, Any]]:
    """List the attachments of a report: `stepId` (None for the report itself), `filename`, content type and size."""
    found: list[dict[str, Any]] = []
    if isinstance(report.get("root"), dict):
        for position, (_, step) in enumerate(walk_steps(report["root"]), 1):
            if isinstance(attachment := step.get("attachment"), dict):
                found.append(_attachment_entry(attachment, step.get("id") or position))
    found.extend(_attachment_entry(blob, None) for blob in report.get("binaryData") or [])
    return found


def _attachment_entry(attachment: Mapping[str, Any], step_id: object) -> dict[str, Any]:
    encoded = attachment.get("data") or ""
    return {
        "stepId": step_id,
        "filename": attachment.get("name"),
        "contentType": attachment.get("contentType"),
        "size_bytes": len(encoded) * 3 // 4 - encoded[-2:].count("="),
    }
