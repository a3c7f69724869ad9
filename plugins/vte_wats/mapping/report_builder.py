"""From a VTE test run to its WATS report: every report is made here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pywats.domains.report.report_models.common_types import ReportStatus, SequenceCallInfo, StepStatus
from pywats.domains.report.report_models.misc_info import MiscInfo
from pywats.domains.report.report_models.uut.steps import SequenceCall
from pywats.domains.report.report_models.uut.uut_info import UUTInfo
from pywats.models import UUTReport

from vte_wats.config.settings import Settings
from vte_wats.domain.errors import RejectedError
from vte_wats.domain.report import NaturalKey, Report
from vte_wats.domain.run import VteTestRun, run_hash, short_hash
from vte_wats.intervals.wall_clock import Fold
from vte_wats.mapping.attachments import keep_long_text
from vte_wats.mapping.identity import (
    misc_infos_in,
    part_number_of,
    process_code_of,
    serial_of,
    socket_of,
    station_of,
    taken_values,
    testplan_of,
    text_of,
)
from vte_wats.mapping.numbers import seconds
from vte_wats.mapping.start_time import StartTime, is_duration, start_of
from vte_wats.mapping.steps import MappedStep, arrange, map_steps, mark_cause
from vte_wats.mapping.texts import Remarks, quoted
from vte_wats.mapping.verdicts import run_verdict
from vte_wats.messages import VW417

_ROOT = "MainSequence Callback"  # as every test system calls it; WATS leaves it out of the paths of steps
_BLANK = "-"
_PLACEHOLDER_NAME = "-"
_VERSION_LIMIT = 30
_PATH_LIMIT = 500
_MISC_INFOS = b'"miscInfos":['
_KNOWN_PLANS = 256  # more than the test plans, revisions and variants of one slice
_KNOWN_INFOS = 4_096  # each run has two of its own; the others are those of its test plan


class _Report(UUTReport):
    """A report that also sends its start in UTC, which pyWATS works out and keeps to itself."""

    model_config = ConfigDict(title=UUTReport.__name__)

    start_utc: datetime | None = Field(default=None, serialization_alias="startUTC")


_REPORT = TypeAdapter(_Report)  # for model_dump_json makes a text


def map_run(run: VteTestRun, settings: Settings, fold: Fold | None = None, hash_of_run: str | None = None) -> Report:
    """Return the report of a run: equal arguments give equal bytes, anywhere and at any time.

    ``fold`` says which of the two instants a Timestamp in a repeated hour stands for, when the station's other runs
    showed it. ``hash_of_run`` is its :func:`run_hash`, where it is at hand.

    Raises :class:`RejectedError` for a run WATS can never take as it is, and :class:`HeldError` for one that waits
    for a setting; both name the field, the rule, the value and what to do.
    """
    hash_of_run = hash_of_run or run_hash(run)  # first: the text that it is over is as large as the report
    remarks = Remarks()
    serial = serial_of(run, settings, remarks)
    part_number = part_number_of(run, settings, remarks)
    process_code = process_code_of(run, settings)
    verdict = run_verdict(run, settings)
    start = start_of(run.timestamp_local, run.test_time_s, settings, fold)
    values = taken_values(run, settings)
    try:
        steps = map_steps(run.steps, settings, remarks)
        cause = mark_cause(steps, verdict)
        report = _Report(
            id=run.index_guid,
            pn=_PLACEHOLDER_NAME,
            sn=_PLACEHOLDER_NAME,
            rev=_part_revision(run, settings, values, remarks),
            process_code=process_code,
            result=verdict,
            station_name=station_of(run, settings, remarks),
            location=remarks.fit("location", run.site_name) or settings.default_location,
            purpose=settings.purpose,
            start=start.at,
            misc_infos=_misc_infos(run, start, values, remarks),
            root=_root(run, verdict, steps, settings, remarks),
        )
        report.info = _info(run, verdict, values, settings, remarks)
        report.info.step_id_caused_uut_failure = cause
        report.info.comment, report.root.attachment = keep_long_text(str(remarks), "comment.txt")
    except ValidationError as exc:
        raise _rejected(exc) from exc
    # pyWATS checks serial and part number when a report is made, never when they are set; its own ways around that
    # check warn process-wide and cut a leading "SUPPRESS:" off the value.
    report.sn = serial
    report.pn = part_number
    unmarked = _REPORT.dump_json(report, by_alias=True, exclude_none=True)
    del report, steps  # they are several times as large as the document
    source_hash = short_hash(unmarked)
    return Report(
        report_id=run.index_guid,
        source_hash=source_hash,
        natural_key=NaturalKey(serial, part_number, process_code, start.at),
        result=verdict.value,
        document=_marked(unmarked, source_hash=source_hash, run_hash=hash_of_run),
    )


def _part_revision(run: VteTestRun, settings: Settings, values: Mapping[str, str], remarks: Remarks) -> str:
    rule = settings.part_revision
    text = values.get("part_revision") or (None if rule.source is None else text_of(run, rule.source))
    return remarks.fit("part revision", text) or rule.constant


def _root(
    run: VteTestRun, verdict: ReportStatus, steps: Sequence[MappedStep], settings: Settings, remarks: Remarks
) -> SequenceCall:
    """Return the root step, which calls the test plan; the run's own verdict counts over its steps."""
    name = remarks.fit("test plan", testplan_of(run.testplan)) or _BLANK
    variant = remarks.fit("test plan variant", run.testplan.variant, _PATH_LIMIT)
    path = remarks.fit("test plan and variant", f"{name} ({variant})" if variant else name, _PATH_LIMIT)
    version = remarks.fit("test plan revision", run.testplan.revision, _VERSION_LIMIT) or _BLANK
    root = SequenceCall(name=_ROOT, status=StepStatus[verdict.name], sequence=_sequence(name, path, version))
    # Not add_step, which ties each step to its parent: such rings wait for the garbage collector.
    root.steps.extend(arrange(steps, settings, lambda called: _sequence(called, path, version)))
    return root


def _misc_infos(run: VteTestRun, start: StartTime, values: Mapping[str, str], remarks: Remarks) -> list[MiscInfo]:
    infos = (
        ("source", "VTE"),
        ("source_id", f"VTE:{run.index_guid}"),
        ("source_system", "" if run.testsystem_guid is None else str(run.testsystem_guid)),
        ("source_timestamp", _raw(run.timestamp_local)),
        ("testplan", remarks.fit("test plan", testplan_of(run.testplan))),
        ("testplan_variant", remarks.fit("test plan variant", run.testplan.variant)),
        ("testplan_revision", remarks.fit("test plan revision", run.testplan.revision)),
        ("exit_code", "" if run.exit_code is None else str(run.exit_code)),
        ("info1", remarks.fit("info1", run.info1)),
        ("info2", remarks.fit("info2", run.info2)),
        ("info3", remarks.fit("info3", run.info3)),
        *misc_infos_in(values, remarks),
        *start.notes,
    )
    return [_misc_info(description, text) for description, text in infos if text]


# What runs of one test plan have in common is made once, and shared by their reports: nothing changes it.
@lru_cache(_KNOWN_PLANS)
def _sequence(name: str, path: str, version: str) -> SequenceCallInfo:
    return SequenceCallInfo(name=name, path=path, version=version)


@lru_cache(_KNOWN_INFOS)
def _misc_info(description: str, text: str) -> MiscInfo:
    return MiscInfo(description=description, string_value=text)


def _raw(timestamp_local: datetime) -> str:
    """Return the column's own value: milliseconds, or microseconds where a site's column has them."""
    return timestamp_local.isoformat(timespec="microseconds" if timestamp_local.microsecond % 1000 else "milliseconds")


def _info(
    run: VteTestRun, verdict: ReportStatus, values: Mapping[str, str], settings: Settings, remarks: Remarks
) -> UUTInfo:
    test_time_s = run.test_time_s
    if test_time_s is not None and not is_duration(test_time_s):
        remarks.add(f"TestTime {test_time_s!r} is no duration and was left out")
        test_time_s = None
    error_code, error_message = _error(run, verdict, settings)
    return UUTInfo(
        operator=remarks.fit("operator", run.operator) or settings.default_operator,
        exec_time=None if test_time_s is None else seconds(test_time_s, settings),
        batch_number=remarks.fit("batch", values.get("batch")) or None,
        fixture_id=remarks.fit("fixture", values.get("fixture")) or None,
        socket_index=socket_of(values, remarks),
        error_code=error_code,
        error_message=error_message,
    )


def _error(run: VteTestRun, verdict: ReportStatus, settings: Settings) -> tuple[int | None, str | None]:
    """Return the error of a run that did not pass: WATS shows a code only beside a message."""
    code = run.exit_code
    if code is None or verdict is ReportStatus.Passed:
        return None, None
    message = settings.error_messages.get(code, f"ExitCode {code}")
    return (None, None) if message is None else (code, message)


def _marked(unmarked: bytes, **hashes: str) -> bytes:
    """Put the hashes first among the misc infos; quotes inside texts are escaped, so the place is found exactly."""
    marks = (f'{{"description":"{name}","text":"{value}"}},'.encode() for name, value in hashes.items())
    return unmarked.replace(_MISC_INFOS, b"".join((_MISC_INFOS, *marks)), 1)


def _rejected(exc: ValidationError) -> RejectedError:
    mistake = exc.errors(include_url=False)[0]
    field = ".".join(str(part) for part in mistake["loc"])
    return RejectedError(
        VW417,
        f"{field or exc.title}: {mistake['msg']}, given {quoted(str(mistake['input']))}. "
        "Correct the run in the VTE database",
        f"{exc.title} {field}: {mistake['type']}",
    )
