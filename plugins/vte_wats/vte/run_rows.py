"""From the rows of a run to the run; what a row holds that no run can hold is noted as the run's defect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from operator import attrgetter
from typing import Any, TypeVar
from uuid import NAMESPACE_OID, UUID, uuid5

from more_itertools import chunked
from pydantic import TypeAdapter, ValidationError

from vte_wats.domain.run import WITHOUT_KEY, DeadLetterKind, Defect, VteStepResult, VteTestRun
from vte_wats.mapping.texts import REPLACEMENT, quoted, width
from vte_wats.messages import VW230, VW231, VW233, VW234, VW550, Message
from vte_wats.vte.rows import RunKeyRow, RunRow, RunSizeRow, StepRow, guid_of

MASTER_TEXT_UNITS = 4_000
"""Where select_runs ends the texts of the master tables."""

_STEPS = TypeAdapter(list[VteStepResult])  # many in one call: half the cost of a call for each
_STEPS_AT_ONCE = 1_000  # of a large run, so that its steps do not stand in memory twice
_GIVEN = set(VteStepResult.model_fields)  # one for all steps: each would have its own, half as large as the step itself
_STEP_TABLES = {"numeric": "TestDataNumeric", "text": "TestDataText", "other": "TestDataOther"}
_COLUMNS = {  # where a field of another type than text comes from
    "index_guid": "IndexData.Index_GUID",
    "timestamp_local": "IndexData.Timestamp",
    "result_code": "IndexData.Result",
    "exit_code": "IndexData.ExitCode",
    "test_time_s": "IndexData.TestTime",
    "product.product_guid": "IndexData.Product_GUID",
    "testplan.testplan_guid": "IndexData.Testplan_GUID",
    "testplan.revision_guid": "IndexData.TestplanRevision_GUID",
    "testsystem_guid": "IndexData.Testsystem_GUID",
}
_STEP_COLUMNS = {
    "step_number": "TestStepNumber",
    "numeric_value": "TestResult",
    "text_value": "TestResult",
    "low_limit": "LowLimit",
    "high_limit": "HighLimit",
    "result_code": "TestResultType",
}
_KeyedRow = TypeVar("_KeyedRow", RunKeyRow, RunSizeRow)
_NO_TIME = datetime(1900, 1, 1)  # noqa: DTZ001 -- SQL Server's own zero, for a run whose Timestamp cannot be read
_CORRECT = "Correct the run in the VTE database, then redrive it"
_NO_TIMESTAMP = Defect(
    reason=f"{VW550} IndexData.Timestamp must be a date and time, given NULL: the run has no start. {VW550.advice}",
    signature="Timestamp is NULL",
    kind=DeadLetterKind.HELD,
)


def run_of(headers: Sequence[RunRow], steps: Iterable[StepRow]) -> VteTestRun:
    """Return the run of its header and steps; several headers are the rows of a key that should be unique."""
    header, *others = headers
    fields = _fields(header)
    if others and (doubled := _doubled(headers)):
        return _defective(fields, doubled)
    if unreadable := _unreadable_text(header):
        return _defective(fields, unreadable)
    if header.timestamp_local is None:
        return _defective(fields, _NO_TIMESTAMP)
    validated: list[VteStepResult] = []
    for plain in chunked(map(_step, steps), _STEPS_AT_ONCE):
        try:
            read = _STEPS.validate_python(plain)
        except ValidationError as exc:
            return _defective(fields, _wrong_step(exc, plain))
        for step in read:
            object.__setattr__(step, "__pydantic_fields_set__", _GIVEN)
        validated += read
    try:
        return VteTestRun(**fields, steps=_in_order(validated))
    except ValidationError as exc:
        return _defective(fields, _wrong_field(exc))


def unread(guid: UUID, timestamp_local: datetime | None, why: Defect) -> VteTestRun:
    """Return a run of which nothing but its key was read."""
    return _defective({"index_guid": guid, "timestamp_local": timestamp_local}, why)


def too_large(steps: int, size_bytes: int, most_steps: int, most_bytes: int) -> Defect | None:
    """Return why a run is not fetched, when it is larger than the settings allow."""
    for name, size, limit in (("max_steps_per_run", steps, most_steps), ("max_run_bytes", size_bytes, most_bytes)):
        if size > limit:
            what = f"{steps} steps and {size_bytes} bytes; {name} = {limit} allows less, so none of it was read"
            advice = f"Raise {name} in the settings if the memory of a worker allows it, then redrive the run"
            return _defect(VW231, f"the run has {what}. {advice}", f"larger than {name}")
    return None


def with_keys(rows: Iterable[_KeyedRow]) -> Iterator[tuple[UUID, _KeyedRow]]:
    """Yield each row with its key, or else with a placeholder.

    It is a GUID made of the row's time and its number among those of that time. Whoever reads all rows of a time finds
    each under the same placeholder.
    """
    without_key = Counter[Any]()
    for row in rows:
        guid = guid_of(row.index_guid)
        if guid is None:
            without_key[row.timestamp_local] += 1
            number = without_key[row.timestamp_local]
            guid = uuid5(NAMESPACE_OID, f"VTE run without Index_GUID {row.timestamp_local} {number}")
        yield guid, row


def is_placeholder(guid: UUID) -> bool:
    """Return whether a key may be a placeholder; the GUIDs that VTE gives are of another version."""
    return guid.version == uuid5(NAMESPACE_OID, "").version


def no_key(placeholder: UUID, row: RunKeyRow | RunSizeRow) -> VteTestRun:
    """Return the run of a row without a key, under its placeholder."""
    what = f"IndexData.Index_GUID must be a GUID, given {quoted(_shown(row.index_guid))}"
    reason = f"{what} in the row of {row.timestamp_local}; {VW234.advice}"
    return unread(placeholder, row.timestamp_local, _defect(VW234, reason, WITHOUT_KEY))


def duplicate_key(guid: UUID, rows: int) -> Defect:
    """Return why a run with several rows in IndexData cannot be read: its steps cannot be distinguished."""
    reason = f"IndexData.Index_GUID must be unique, but {guid} has {rows} rows. {_CORRECT}"
    return _defect(VW233, reason, "Index_GUID is not unique")


def _defect(message: Message, detail: str, signature: str) -> Defect:
    return Defect(reason=f"{message} {detail}", signature=signature)


def _defective(fields: dict[str, Any], why: Defect) -> VteTestRun:
    """Return what can be kept of a run, without its steps."""
    kept = dict(fields)
    if kept["timestamp_local"] is None:
        kept["timestamp_local"] = _NO_TIME
    try:
        return VteTestRun(**kept, defect=why)
    except ValidationError as exc:
        for field in {error["loc"][0] for error in exc.errors(include_url=False)}:
            del kept[str(field)]
        kept.setdefault("timestamp_local", _NO_TIME)
        return VteTestRun(**kept, defect=why)


def _doubled(headers: Sequence[RunRow]) -> Defect | None:
    """Return what differs between rows that should be one; equal ones do no harm."""
    columns = zip(RunRow._fields, zip(*headers, strict=True), strict=True)
    different = {name: values for name, values in columns if len(set(values)) > 1}
    if not different:
        return None
    name, values = next(iter(different.items()))
    shown = " and ".join(quoted(_shown(value)) for value in dict.fromkeys(values))
    return _defect(
        VW233,
        f"{name} must be one value, but a key that should be unique leads to {shown}: UutData, Products, Testplans or "
        f"TestSystems has several rows for it. {_CORRECT}",
        f"several values of {name}",
    )


def _unreadable_text(header: RunRow) -> Defect | None:
    for name in ("serial", "product_master_name", "testplan_master_name", "testsystem_name"):
        text = getattr(header, name)
        if isinstance(text, str) and width(text) >= MASTER_TEXT_UNITS:
            what = f"{name} must be shorter than {MASTER_TEXT_UNITS} characters, given {quoted(text)}"
            return _defect(VW231, f"{what}. {_CORRECT}", f"{name} is too long")
    if isinstance(header.serial, str) and REPLACEMENT in header.serial:
        what = f"serial must be valid Unicode, given {quoted(header.serial)}: two units could become one"
        return _defect(VW230, f"{what}. {_CORRECT}", "serial is no valid Unicode")
    return None


def _wrong_field(exc: ValidationError) -> Defect:
    mistake = exc.errors(include_url=False)[0]
    field = ".".join(map(str, mistake["loc"]))
    return _wrong(_COLUMNS.get(field, field), mistake)


def _wrong_step(exc: ValidationError, steps: Sequence[dict[str, Any]]) -> Defect:
    mistake = exc.errors(include_url=False)[0]
    step, field = steps[int(mistake["loc"][0])], str(mistake["loc"][1])
    return _wrong(f"{_STEP_TABLES[step['kind']]}.{_STEP_COLUMNS.get(field, field)}", mistake)


def _wrong(column: str, mistake: Any) -> Defect:
    given = quoted(_shown(mistake["input"]))
    return _defect(
        VW230,
        f"{column}: {mistake['msg']}, given {given}. {_CORRECT}, or set column_overrides in the settings",
        f"{column}: {mistake['type']}",
    )


def _shown(value: object) -> str:
    return "NULL" if value is None else str(value)


def _fields(run: RunRow) -> dict[str, Any]:
    return {
        "index_guid": run.index_guid,
        "timestamp_local": run.timestamp_local,
        "result_code": run.result_code,
        "exit_code": run.exit_code,
        "test_time_s": run.test_time_s,
        "serial": run.serial,
        "product": {
            "product_guid": run.product_guid,
            "name": run.product_name,
            "master_name": run.product_master_name,
        },
        "testplan": {
            "testplan_guid": run.testplan_guid,
            "revision_guid": run.testplan_revision_guid,
            "name": run.testplan_name,
            "master_name": run.testplan_master_name,
            "variant": run.testplan_variant,
            "revision": run.testplan_revision,
        },
        "testsystem_guid": run.testsystem_guid,
        "testsystem_name": run.testsystem_name,
        "hostname": run.hostname,
        "site_name": run.site,
        "operator": run.operator,
        "info1": run.info1,
        "info2": run.info2,
        "info3": run.info3,
    }


def _step(row: StepRow) -> dict[str, Any]:
    step: dict[str, Any] = {
        "kind": row.kind,
        "step_number": row.step_number,
        "test_name": row.test_name,
        "test_description": row.test_description,
        "test_number": row.test_number,
        "units": row.units,
        "numeric_value": row.numeric_value,
        "text_value": row.text_value,
        "low_limit": row.low_limit,
        "high_limit": row.high_limit,
        "result_code": row.result_code,
    }
    other = row.other_value
    if isinstance(other, bytes):
        step["bytes_value"] = other
    elif other is not None:
        step["text_value"] = _as_text(other)
    return step


def _as_text(value: Any) -> str:
    """Return a value of TestDataOther as text, whatever type the column has at a site; nothing is lost."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(int(value)) if isinstance(value, bool) else str(value)


def _in_order(steps: Sequence[VteStepResult]) -> tuple[VteStepResult, ...]:
    """Order steps by their content alone: the tables have no key, and equal content must give an equal report."""
    numbers = {step.step_number for step in steps}
    if len(numbers) == len(steps) and None not in numbers:  # the usual run; the whole content costs ten times as much
        return tuple(sorted(steps, key=attrgetter("step_number")))
    return tuple(sorted(steps, key=_step_order))


def _step_order(step: VteStepResult) -> tuple[tuple[bool, Any], ...]:
    fields = (
        step.step_number, step.kind, step.test_number, step.test_name, step.test_description, step.units,
        step.numeric_value, step.text_value, step.bytes_value, step.low_limit, step.high_limit, step.result_code,
    )  # fmt: skip
    return tuple((field is None, field if field is not None else 0) for field in fields)
