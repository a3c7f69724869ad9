"""What a WSJF report must look like to be accepted, by the profile of the server.

The OpenAPI description has no schema for the body of a report. What is called the description here is what the
published sample reports, the published limits and pyWATS's own model agree on; the vendor's rules and the single
switches come on top. Where nobody knows the verdict of a real server (a start without UTC offset, a measured text over
100 characters), the description refuses: better here than in production.
"""

import binascii
from collections.abc import Callable
from typing import Any

from sandbox.wats.profiles import MeasurementStatus, Validation, Verdict, WatsProfile
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
    shown,
    text,
    within,
)

MAX_NAME = 100
MAX_COMMENT = 5_000
MAX_SEQUENCE_VERSION = 30
MAX_SEQUENCE_NAME = 200
MAX_SEQUENCE_PATH = 500
MAX_FILE_NAME = 256
MAX_UNIT = 20
MAX_STEP_DEPTH = 100
MAX_ATTACHMENT_BYTES = 100 * 1024
MEASUREMENTS = ("numericMeas", "stringMeas", "booleanMeas")

_STATUSES = "PFDETS"
_GROUPS = "SMC"
_ONE_LIMIT = frozenset({"EQ", "EQT", "NE", "LT", "LE", "GT", "GE"})
_TWO_LIMITS = frozenset({"GTLT", "GTLE", "GELT", "GELE", "LTGT", "LTGE", "LEGT", "LEGE"})
_NUMERIC_OPERATORS = _ONE_LIMIT | _TWO_LIMITS | {"LOG"}
_STRING_OPERATORS = frozenset({"LOG", "EQ", "NE", "LT", "LE", "GT", "GE", "CASESENSIT", "IGNORECASE"})
_SINGLE = {"ET_NLT": "numericMeas", "ET_SVT": "stringMeas", "ET_PFT": "booleanMeas"}
_MULTIPLE = {"ET_MNLT": "numericMeas", "ET_MSVT": "stringMeas", "ET_MPFT": "booleanMeas"}


def check_report(report: Wsjf, profile: WatsProfile) -> None:
    """Raise the first rule that the report violates as ReportRefusedError."""
    session_name = "uut" if report["type"] == "T" else "uur"
    if profile.validation is Validation.JSON:
        _shape(report)
    else:
        _described_report(report, session_name)
    if profile.validation is Validation.VENDOR:
        required(report, "startUTC", instant)
    if profile.missing_user is Verdict.REFUSED:
        within(session_name, lambda: required(child(report, session_name) or {}, "user", text))
    if profile.large_attachments is Verdict.REFUSED:
        _each(report, "binaryData", _small_attachment)
    if (root := child(report, "root")) is not None:
        within("root", lambda: _check_step(root, 0, profile))


# ------------------------------------------------------------------------------------------------------ field rules
def _limited(part: Wsjf, field: str, limit: int = MAX_NAME) -> str | None:
    value = text(part, field)
    if value is not None and len(value) > limit:
        raise ReportRefusedError(field, f"has {len(value)} characters; the maximum length is {limit}: {shown(value)}")
    return value


def _filled(part: Wsjf, field: str, limit: int = MAX_NAME) -> str:
    value = required(part, field, lambda part, field: _limited(part, field, limit))
    if not value.strip():
        raise ReportRefusedError(field, f"must not be empty, as {shown(value)} is")
    return value


def _each(part: Wsjf, field: str, check: Callable[[Wsjf], Any]) -> None:
    for path, entry in children(part, field):
        try:
            check(entry)
        except ReportRefusedError as exc:
            raise exc.under(path) from None


# ------------------------------------------------------------------------------------------- the report by itself
def _shape(report: Wsjf) -> None:
    """Refuse a list that is none, as any reader of JSON into objects must."""
    for field in ("subUnits", "assets"):
        _each(report, field, lambda _: None)
    _each(report, "binaryData", lambda blob: text(blob, "data"))


def _described_report(report: Wsjf, session_name: str) -> None:
    for field in ("pn", "sn", "rev", "machineName", "location", "purpose"):
        _filled(report, field)
    for field in ("productName", "processName", "processCodeFormat", "origin"):
        _limited(report, field)
    instant(report, "startUTC")
    _each(report, "miscInfos", _misc_info)
    _each(report, "subUnits", _sub_unit)
    _each(report, "assets", lambda asset: _filled(asset, "assetSN"))
    _each(report, "binaryData", _attachment)
    session = required(report, session_name, child)
    within(session_name, lambda: _session(session))
    if session_name == "uur":
        within(session_name, lambda: _repair(session))
    else:
        root = required(report, "root", child)
        within("root", lambda: required(root, "seqCall", child))


def _misc_info(info: Wsjf) -> None:
    _filled(info, "description")
    _limited(info, "text")
    number(info, "numeric")


def _session(session: Wsjf) -> None:
    for field in ("batchSN", "user", "fixtureId"):
        _limited(session, field)
    for field in ("comment", "errorMessage"):
        _limited(session, field, MAX_COMMENT)


def _repair(session: Wsjf) -> None:
    required(session, "processCode", integer)
    for field in ("confirmDate", "finalizeDate"):
        instant(session, field)
    guid(session, "refUUT")


def _sub_unit(sub_unit: Wsjf) -> None:
    for field in ("partType", "pn", "rev", "sn"):
        _limited(sub_unit, field)
    _each(sub_unit, "failures", _failure)


def _failure(failure: Wsjf) -> None:
    _filled(failure, "category")
    _filled(failure, "code")
    _limited(failure, "comment", MAX_COMMENT)


def _attachment(attachment: Wsjf) -> None:
    _filled(attachment, "name", MAX_FILE_NAME)
    _limited(attachment, "contentType")
    encoded = text(attachment, "data")
    if encoded is None:
        return
    try:
        binascii.a2b_base64(encoded.encode("ascii"), strict_mode=True)
    except ValueError as exc:
        raise ReportRefusedError("data", f"must be base64, not {shown(encoded)}: {exc}") from None


# ----------------------------------------------------------------------------------------------------------- steps
def _check_step(step: Wsjf, depth: int, profile: WatsProfile) -> None:
    """Validate one step and everything below it; paths in refusals are relative to the step."""
    if depth > MAX_STEP_DEPTH:
        raise ReportRefusedError("steps", f"is nested deeper than {MAX_STEP_DEPTH} levels")
    attachment = child(step, "attachment")
    if profile.validation is Validation.JSON:
        text(attachment or {}, "data")
    else:
        _described_step(step)
        if attachment is not None:
            within("attachment", lambda: _attachment(attachment))
    _switched_step(step, profile)
    names: dict[object, str] = {}
    for path, substep in children(step, "steps"):
        try:
            if profile.equal_step_names is Verdict.REFUSED:
                _unique_name(substep, names.setdefault(substep.get("name"), path), path)
            _check_step(substep, depth + 1, profile)
        except ReportRefusedError as exc:
            raise exc.under(path) from None


def _unique_name(step: Wsjf, first: str, path: str) -> None:
    if first != path:
        raise ReportRefusedError("name", f"must be unique under its parent, and {shown(step.get('name'))} is {first}")


def _described_step(step: Wsjf) -> None:
    _filled(step, "name")
    kind = _filled(step, "stepType")
    one_of(step, "status", _STATUSES)
    if step.get("group") is not None:
        one_of(step, "group", _GROUPS)
    _limited(step, "reportText", MAX_COMMENT)
    _limited(step, "errorMessage", MAX_COMMENT)
    number(step, "totTime")
    if (call := child(step, "seqCall")) is not None:
        within("seqCall", lambda: _sequence_call(call))
    found = [field for field in MEASUREMENTS if step.get(field)]
    if found:
        _measured_step(step, kind, found)


def _sequence_call(call: Wsjf) -> None:
    _limited(call, "path", MAX_SEQUENCE_PATH)
    _limited(call, "name", MAX_SEQUENCE_NAME)
    _limited(call, "version", MAX_SEQUENCE_VERSION)


def _measured_step(step: Wsjf, kind: str, found: list[str]) -> None:
    field = found[0]
    if len(found) > 1:
        raise ReportRefusedError(found[1], f"a step holds measurements of one kind, and this one has {field} already")
    expected = _SINGLE.get(kind) or _MULTIPLE.get(kind)
    if expected not in {None, field}:
        raise ReportRefusedError(field, f"a step of type {shown(kind)} holds {expected}")
    for path, measurement in children(step, field):
        try:
            one_of(measurement, "status", _STATUSES)
            (_filled if kind in _MULTIPLE else _limited)(measurement, "name")
            if field == "numericMeas":
                _numeric(measurement)
            elif field == "stringMeas":
                _string(measurement)
        except ReportRefusedError as exc:
            raise exc.under(path) from None
    if kind in _SINGLE and len(step[field]) > 1:
        raise ReportRefusedError(field, f"a step of type {shown(kind)} holds one measurement, not {len(step[field])}")


def _numeric(measurement: Wsjf) -> None:
    operator = _operator(measurement, _NUMERIC_OPERATORS)
    _limited(measurement, "unit")
    for field in ("value", "lowLimit", "highLimit"):
        number(measurement, field)
    if operator in _ONE_LIMIT or operator in _TWO_LIMITS:
        _there(measurement, "lowLimit", operator)
    if operator in _TWO_LIMITS:
        _there(measurement, "highLimit", operator)


def _string(measurement: Wsjf) -> None:
    operator = _operator(measurement, _STRING_OPERATORS)
    _limited(measurement, "value")
    _limited(measurement, "limit")
    if operator not in {None, "LOG"}:
        _there(measurement, "limit", operator)


def _there(measurement: Wsjf, field: str, operator: str | None) -> None:
    if measurement.get(field) is None:
        raise ReportRefusedError(field, f"is required with compOp {shown(operator)}")


def _operator(measurement: Wsjf, accepted: frozenset[str]) -> str | None:
    operator = measurement.get("compOp")
    if operator is None:
        return None
    if not isinstance(operator, str) or operator.upper() not in accepted:
        raise ReportRefusedError("compOp", f"{shown(operator)} is not a comparison WATS knows for this measurement")
    return operator.upper()


# -------------------------------------------------------------------------------------------------------- switches
def _small_attachment(attachment: Wsjf) -> None:
    encoded = (text(attachment, "data") or "").rstrip("=")
    if (size_bytes := len(encoded) * 3 // 4) > MAX_ATTACHMENT_BYTES:
        raise ReportRefusedError("data", f"has {size_bytes} bytes; an attachment has at most {MAX_ATTACHMENT_BYTES}")


def _switched_step(step: Wsjf, profile: WatsProfile) -> None:
    if profile.large_attachments is Verdict.REFUSED and (attachment := child(step, "attachment")) is not None:
        within("attachment", lambda: _small_attachment(attachment))
    for field in MEASUREMENTS:
        if not step.get(field):
            continue
        if profile.done_on_measured_step is Verdict.REFUSED and step.get("status") == "D":
            raise ReportRefusedError("status", f"must not be 'D' on a step with {field}")
        _each(step, field, lambda measurement: _switched_measurement(measurement, profile))


def _switched_measurement(measurement: Wsjf, profile: WatsProfile) -> None:
    if profile.measurement_status is MeasurementStatus.P_F_S:
        one_of(measurement, "status", "PFS")
    if profile.long_units is Verdict.REFUSED:
        _limited(measurement, "unit", MAX_UNIT)
