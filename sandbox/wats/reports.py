"""A posted report: parsed, and read into the header that WATS makes of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from sandbox.wats.profiles import WatsProfile
from sandbox.wats.report_fields import (
    ReportRefusedError,
    Wsjf,
    child,
    children,
    guid,
    instant,
    integer,
    number,
    one_of,
    required,
    text,
    within,
)
from sandbox.wats.report_rules import MEASUREMENTS, check_report

RESULT_WORDS = {"P": "Passed", "F": "Failed", "E": "Error", "T": "Terminated", "D": "Done", "S": "Skipped"}
_RESULTS = "PFDET"
_VALUES = (*MEASUREMENTS, "chart", "attachment")


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


def without_skipped_values(report: Wsjf, body: bytes) -> bytes:
    """Return the body without what skipped steps measured, drew or attached; ``report`` is what it says."""
    root = report.get("root")
    skipped = [step for _, step in walk_steps(root) if step.get("status") == "S"] if isinstance(root, dict) else []
    values = [(step, name) for step in skipped for name in _VALUES if name in step]
    for step, name in values:
        del step[name]
    return to_json(report) if values else body


def header_of(report: Wsjf, profile: WatsProfile) -> ReportHeader:
    """Validate the whole report and return its header; the first violated rule is raised as ReportRefusedError."""
    uuid = required(report, "id", guid)
    report_type = one_of(report, "type", "TR")
    process_code = required(report, "processCode", integer)
    result = one_of(report, "result", _RESULTS)
    start_ticks = required(report, "start", instant)
    check_report(report, profile)
    is_test = report_type == "T"
    session = child(report, "uut" if is_test else "uur") or {}
    root = (child(report, "root") or {}) if is_test else {}
    call = child(root, "seqCall") or {}
    failed = root.get("status") in {"F", "E", "T"}
    cause = _cause_of_failure(root, session.get("stepIdCausedUUTFailure")) if failed else (None, None)
    return ReportHeader(
        uuid=uuid,
        serial_number=required(report, "sn", text),
        part_number=required(report, "pn", text),
        report_type=report_type,
        start_ticks=start_ticks,
        revision=text(report, "rev"),
        result=RESULT_WORDS[result],
        station_name=required(report, "machineName", text),
        location=text(report, "location"),
        purpose=text(report, "purpose"),
        process_code=process_code,
        sw_filename=text(call, "name"),
        sw_version=text(call, "version"),
        caused_uut_failure=cause[0],
        caused_uut_failure_path=cause[1],
        referenced_uut=None if is_test else within("uur", lambda: guid(session, "refUUT")),
        misc_infos=tuple(_misc_infos(report)),
        **within("uut" if is_test else "uur", lambda: _session_fields(session)),
    )


def _session_fields(session: Wsjf) -> dict[str, Any]:
    return {
        "batch_number": text(session, "batchSN"),
        "user_name": text(session, "user"),
        "comment": text(session, "comment"),
        "execution_time": number(session, "execTime"),
        "test_socket_index": integer(session, "testSocketIndex"),
        "fixture_id": text(session, "fixtureId"),
        "error_code": integer(session, "errorCode"),
        "error_message": text(session, "errorMessage"),
    }


def _misc_infos(report: Wsjf) -> Iterator[tuple[str, str | None]]:
    for path, info in children(report, "miscInfos"):
        try:
            value, numeric = text(info, "text"), number(info, "numeric")
            yield text(info, "description") or "", value if value is not None or numeric is None else f"{numeric:g}"
        except ReportRefusedError as exc:
            raise exc.under(path) from None


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
        path[depth:] = [str(step.get("name"))]
        if step.get("causedUUTFailure") is True or (step_id is not None and step.get("id") == step_id):
            return path[-1], "/".join(path)
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
