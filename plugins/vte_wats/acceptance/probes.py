"""The reports that an acceptance run posts: each is a plain good report but for what it tries."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

from vte_wats.intervals.interval import Interval, whole_second

PART_NUMBER = "VTE-WATS-ACCEPTANCE"
"""Everything an acceptance run posts stands under this part number, and nothing else may."""

LABEL = "vte_wats_acceptance"
"""How the misc info begins by which a run knows its own reports."""

STATION = "vte-wats-acceptance"
"""The station of every report; with the serial number it shows a run its own where headers list no misc infos."""

UNIT_LIMIT = 20
"""The longest unit that a vendor's document allows."""

ATTACHMENT = bytes(range(256))
"""The bytes of the attachment: every value once."""

ATTACHMENT_LIMIT_BYTES = 100 * 1024
"""The largest attachment that the vendor's own client takes."""

_NAMESPACE = UUID("6f0f1f0e-55a2-4d6c-9c2b-5d0c3e5a7f11")
_BEFORE = timedelta(hours=2)  # a start in the future is for the quarantine
_APART = timedelta(seconds=10)
_FRACTION = timedelta(milliseconds=250)
_OWN_SERIAL = re.compile(r"\d{8}-\d{6} ", re.ASCII)
_PART_CHARACTERS = 80_000  # of base64, so 60,000 bytes: below any known limit of an attachment
_LONG_UNIT = "furlongs per fortnight squared"


class Case(StrEnum):
    """What a report tries."""

    PLAIN = "plain"
    COMPARISONS = "comparisons"
    STEP_TYPES = "step_types"
    SKIPPED = "skipped"
    SKIPPED_MEASURED = "skipped_measured"
    FAILED = "failed"
    ERROR = "error"
    TERMINATED = "terminated"
    ATTACHMENT = "attachment"
    LARGE_ATTACHMENT = "large_attachment"
    NON_ASCII = "non_ascii"
    NOT_A_NUMBER = "not_a_number"
    MEASUREMENT_DONE = "measurement_done"
    MEASUREMENT_ERROR = "measurement_error"
    MEASUREMENT_TERMINATED = "measurement_terminated"
    STEP_DONE = "step_done"
    EQUAL_NAMES = "equal_names"
    UNIT_AT_LIMIT = "unit_at_limit"
    UNIT_OVER_LIMIT = "unit_over_limit"
    USER_BLANK = "user_blank"
    USER_MISSING = "user_missing"
    NO_START_UTC = "no_start_utc"
    SAME_SECOND_FIRST = "same_second_first"
    SAME_SECOND_SECOND = "same_second_second"
    EQUAL_KEY_FIRST = "equal_key_first"
    EQUAL_KEY_SECOND = "equal_key_second"
    POSTED_TWICE = "posted_twice"
    POSTED_AGAIN = "posted_again"
    UNKNOWN_PROCESS = "unknown_process"


@dataclass(frozen=True, slots=True)
class Probe:
    """One report to post."""

    case: Case
    report_id: UUID
    start_at: datetime
    content: dict[str, Any]

    @property
    def body(self) -> bytes:
        """The bytes that are posted."""
        return json.dumps(self.content, ensure_ascii=False).encode()

    @property
    def serial(self) -> str:
        """The serial number of its unit."""
        return str(self.content["sn"])


@dataclass(frozen=True, slots=True)
class Plan:
    """What every report of one acceptance run has in common. Another ``started_at`` makes other ids."""

    started_at: datetime
    process_code: int
    unknown_process_code: int

    @property
    def interval(self) -> Interval:
        """When its reports start, in whole seconds."""
        from_at = whole_second(self.started_at) - _BEFORE
        return Interval(from_at, from_at + (len(Case) + 1) * _APART)

    def report_id(self, name: str) -> UUID:
        """Return the id of a report of this run."""
        return uuid5(_NAMESPACE, f"{self.started_at.isoformat()} {name}")


def probes(plan: Plan) -> Iterator[Probe]:
    """Yield every report in the order in which they are posted, the plain one first."""
    yield _probe(plan, Case.PLAIN)
    yield _probe(plan, Case.COMPARISONS, steps=list(_comparisons()))
    yield _probe(plan, Case.STEP_TYPES, steps=_step_types())
    yield _probe(
        plan, Case.SKIPPED, steps=[_number(), {**_step("ET_NLT", "Not measured", "S"), "reportText": "Value: 1.5 V"}]
    )
    yield _probe(plan, Case.SKIPPED_MEASURED, steps=[_number(), _number("Skipped", status="S", measured="S")])
    yield _probe(plan, Case.FAILED, "F", [{**_number(status="F", measured="F", value=3.0), "causedUUTFailure": True}])
    yield _probe(plan, Case.ERROR, "E", [_number(status="E", measured="F")])
    yield _probe(plan, Case.TERMINATED, "T", [_number(), _step("ET_A", "Stopped by the operator", "T")])
    yield _probe(plan, Case.ATTACHMENT, steps=[_number(), _attached()])
    yield _probe(plan, Case.LARGE_ATTACHMENT, steps=[_number(), _attached(bytes(ATTACHMENT_LIMIT_BYTES + 1))])
    yield _probe(
        plan,
        Case.NON_ASCII,
        serial="Ø'测 €",
        steps=[_number("Läsé 电压 Ω", unit="µΩ")],
        uut={"user": "Ærø", "comment": "±5 °C, 测试 😀"},
    )
    yield _probe(plan, Case.NOT_A_NUMBER, steps=[_number(value="NaN", comparison="LOG")])
    yield _probe(plan, Case.MEASUREMENT_DONE, steps=[_number(measured="D", comparison="LOG")])
    yield _probe(plan, Case.MEASUREMENT_ERROR, "E", [_number(status="E", measured="E")])
    yield _probe(plan, Case.MEASUREMENT_TERMINATED, "T", [_number(status="T", measured="T")])
    yield _probe(plan, Case.STEP_DONE, steps=[_number(status="D", comparison="LOG")])
    yield _probe(plan, Case.EQUAL_NAMES, steps=[_number("Gain"), _number("Gain", value=1.6)])
    yield _probe(plan, Case.UNIT_AT_LIMIT, steps=[_number(unit=_LONG_UNIT[:UNIT_LIMIT])])
    yield _probe(plan, Case.UNIT_OVER_LIMIT, steps=[_number(unit=_LONG_UNIT[: UNIT_LIMIT + 1])])
    yield _probe(plan, Case.USER_BLANK, uut={"user": ""})
    yield _probe(plan, Case.USER_MISSING, uut={})
    yield _without_start_utc(_probe(plan, Case.NO_START_UTC))
    second_at = _start_of(plan, Case.SAME_SECOND_FIRST)
    yield _probe(plan, Case.SAME_SECOND_FIRST, serial="same second")
    yield _probe(plan, Case.SAME_SECOND_SECOND, serial="same second", start_at=second_at + timedelta(milliseconds=400))
    yield _probe(plan, Case.EQUAL_KEY_FIRST, serial="equal key")
    yield _probe(plan, Case.EQUAL_KEY_SECOND, serial="equal key", start_at=_start_of(plan, Case.EQUAL_KEY_FIRST))
    twice = _probe(plan, Case.POSTED_TWICE)
    yield twice
    yield Probe(Case.POSTED_AGAIN, twice.report_id, twice.start_at, {**twice.content, "rev": "B"})
    yield _probe(plan, Case.UNKNOWN_PROCESS, process_code=plan.unknown_process_code)


def sized_probe(plan: Plan, size_bytes: int) -> Probe:
    """Return a report whose body has this many bytes: attachments fill it, each of them small enough by itself."""
    name = f"body of {size_bytes} bytes"
    start_at = plan.interval.to_at - _APART + _FRACTION
    parts = [_attached(b"", f"Part {number}") for number in range(1, size_bytes // _PART_CHARACTERS + 2)]
    content = _content(plan, plan.report_id(name), name, start_at, [_number(), *parts])
    probe = Probe(Case.ATTACHMENT, plan.report_id(name), start_at, content)
    each, one_more = divmod((size_bytes - len(probe.body)) // 4, len(parts))
    for index, part in enumerate(parts):
        part["attachment"]["data"] = "AAAA" * (each + (index < one_more))
    return probe


def is_own(header: Any) -> bool:
    """Return whether a header is that of a report which an acceptance run posted."""
    infos = _misc_infos(header)
    if not infos:
        return (
            isinstance(header, dict)
            and header.get("stationName") == STATION
            and _OWN_SERIAL.match(str(header.get("serialNumber"))) is not None
        )
    return any(str(info.get("value") or info.get("text") or "").startswith(LABEL) for info in infos)


def source_id_of(header: Any) -> str | None:
    """Return the misc info by which a header is assigned to the report that was posted, whatever its id."""
    named = (info for info in _misc_infos(header) if info.get("description") == "source_id")
    return next((str(info.get("value") or info.get("text")) for info in named), None)


def source_id(report_id: UUID) -> str:
    """Return the misc info ``source_id`` of a report."""
    return f"VTE:{report_id}"


def _misc_infos(header: Any) -> Sequence[dict[str, Any]]:
    infos = header.get("miscInfo") if isinstance(header, dict) else None
    return [info for info in infos if isinstance(info, dict)] if isinstance(infos, list) else []


def _probe(
    plan: Plan,
    case: Case,
    result: str = "P",
    steps: Sequence[dict[str, Any]] | None = None,
    *,
    serial: str | None = None,
    start_at: datetime | None = None,
    process_code: int | None = None,
    uut: dict[str, Any] | None = None,
) -> Probe:
    report_id, start_at = plan.report_id(case), start_at or _start_of(plan, case)
    content = _content(plan, report_id, serial or case.value, start_at, steps or [_number()], result=result)
    if process_code is not None:
        content["processCode"] = process_code
    if uut is not None:
        content["uut"] = uut
    return Probe(case, report_id, start_at, content)


def _without_start_utc(probe: Probe) -> Probe:
    content = {name: value for name, value in probe.content.items() if name != "startUTC"}
    return Probe(probe.case, probe.report_id, probe.start_at, content)


def _start_of(plan: Plan, case: Case) -> datetime:
    return plan.interval.from_at + list(Case).index(case) * _APART + _FRACTION


def _content(
    plan: Plan, report_id: UUID, name: str, start_at: datetime, steps: Sequence[dict[str, Any]], *, result: str = "P"
) -> dict[str, Any]:
    started = plan.started_at.astimezone(UTC)
    start = start_at.isoformat(timespec="milliseconds")
    return {
        "type": "T",
        "id": str(report_id),
        "pn": PART_NUMBER,
        "sn": f"{started:%Y%m%d-%H%M%S} {name}",
        "rev": "A",
        "processCode": plan.process_code,
        "result": result,
        "machineName": STATION,
        "location": "Acceptance",
        "purpose": "Acceptance",
        "start": start,
        "startUTC": start.replace("+00:00", "Z"),
        "uut": {"user": "acceptance", "execTime": 12.5},
        "miscInfos": [
            {"description": "source", "text": f"{LABEL} {started:%Y-%m-%d %H:%M:%S}"},
            {"description": "source_id", "text": source_id(report_id)},
        ],
        "root": {
            "id": 0,
            "group": "M",
            "stepType": "SequenceCall",
            "name": "MainSequence Callback",
            "status": result,
            "seqCall": {"path": "acceptance", "name": "acceptance", "version": "1"},
            "steps": [{"id": number, **step} for number, step in enumerate(steps, 1)],
        },
    }


def _step(step_type: str, name: str, status: str = "P") -> dict[str, Any]:
    return {"group": "M", "stepType": step_type, "name": name, "status": status}


def _number(
    name: str = "Output voltage",
    *,
    status: str = "P",
    measured: str = "P",
    value: float | str = 1.5,
    unit: str = "V",
    comparison: str = "GELE",
) -> dict[str, Any]:
    return {
        **_step("ET_NLT", name, status),
        "numericMeas": [_measurement(comparison, value=value, unit=unit, status=measured)],
    }


def _measurement(
    comparison: str, *, value: float | str = 1.5, unit: str = "V", status: str = "P", name: str | None = None
) -> dict[str, Any]:
    """Return a numeric measurement; a single limit stands in ``lowLimit``, as in exports of real servers."""
    limits: dict[str, float] = {}
    if comparison != "LOG":
        limits["lowLimit"] = {"LT": 2.0, "LE": 2.0, "EQ": 1.5, "NE": 2.0}.get(comparison, 1.0)
    if len(comparison) == 4:
        limits["highLimit"] = 2.0
    named = {} if name is None else {"name": name}
    return {**named, "compOp": comparison, "status": status, "unit": unit, "value": value, **limits}


def _comparisons() -> Iterator[dict[str, Any]]:
    for comparison in ("LOG", "EQ", "NE", "GT", "GE", "LT", "LE", "GTLT", "GTLE", "GELT", "GELE"):
        yield _number(f"Compared by {comparison}", comparison=comparison)


def _step_types() -> list[dict[str, Any]]:
    return [
        _number("Single number"),
        {
            **_step("ET_MNLT", "Several numbers"),
            "numericMeas": [_measurement("GELE", name="First"), _measurement("LOG", name="Second", value=0.1)],
        },
        {**_step("ET_SVT", "Single text"), "stringMeas": [{"compOp": "LOG", "status": "P", "value": "1.4.0"}]},
        {
            **_step("ET_MSVT", "Several texts"),
            "stringMeas": [
                {"name": "First", "compOp": "LOG", "status": "P", "value": "on"},
                {"name": "Second", "compOp": "LOG", "status": "P", "value": "off"},
            ],
        },
        {**_step("ET_PFT", "Single verdict"), "booleanMeas": [{"status": "P"}]},
        {
            **_step("ET_MPFT", "Several verdicts"),
            "booleanMeas": [{"name": "First", "status": "P"}, {"name": "Second", "status": "P"}],
        },
        {
            **_step("SequenceCall", "Nested"),
            "seqCall": {"path": "acceptance", "name": "nested", "version": "1"},
            "steps": [{"id": 100, **_number("Below")}],
        },
        _step("ET_A", "Action", "D"),
    ]


def _attached(content: bytes = ATTACHMENT, name: str = "Attachment") -> dict[str, Any]:
    data = base64.b64encode(content).decode()
    file = {"name": "bytes.bin", "contentType": "application/octet-stream", "data": data}
    return {**_step("ET_A", name, "D"), "attachment": file}
