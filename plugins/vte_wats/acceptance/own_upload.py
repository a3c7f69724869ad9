"""One run the way of every run: mapped, posted and looked up by the package itself, with everything awkward in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC

from vte_wats.acceptance.observe import Clock
from vte_wats.acceptance.probes import LABEL, PART_NUMBER, STATION, Plan
from vte_wats.config.settings import Settings
from vte_wats.domain.ports import Wats
from vte_wats.domain.report import SOURCE_HASH, misc_info
from vte_wats.domain.run import StepKind, VteProduct, VteStepResult, VteTestplan, VteTestRun
from vte_wats.mapping.report_builder import map_run

_TEST_PLAN = "VTE-WATS acceptance"
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class OwnUpload:
    """What became of the run: ``error`` of the upload, and whether the report was found with its content."""

    error: str | None
    is_proven: bool


def upload_own(wats: Wats, clock: Clock, plan: Plan, *, longest_delay_s: float) -> OwnUpload:
    """Upload a run, and look for its report until it shows or ``longest_delay_s`` have passed."""
    report = map_run(_run(plan), Settings(source_timezone="UTC", process_map={_TEST_PLAN: plan.process_code}))
    (submission,) = wats.submit([report])
    if submission.error is not None:
        return OwnUpload(str(submission.error), is_proven=False)
    since_s = clock.now_s()
    while True:
        found = wats.find_reports([report.report_id]).get(report.report_id)
        if found is not None:
            document = {} if found.source_hash else wats.fetch([found.stored_as]).get(found.stored_as, {})
            found_hash = found.source_hash or misc_info(document, SOURCE_HASH)
            return OwnUpload(None, is_proven=found_hash == report.source_hash)
        if clock.now_s() - since_s > longest_delay_s:
            return OwnUpload(None, is_proven=False)
        clock.wait(_POLL_S)


def _run(plan: Plan) -> VteTestRun:
    """Return a run with equal step names, a long unit, steps without limits, a file, and no operator."""
    return VteTestRun(
        index_guid=plan.report_id("own upload"),
        timestamp_local=plan.interval.to_at.replace(tzinfo=None),
        result_code=1,
        test_time_s=12.5,
        serial=f"{plan.started_at.astimezone(UTC):%Y%m%d-%H%M%S} own upload",
        product=VteProduct(name=PART_NUMBER),
        testplan=VteTestplan(name=_TEST_PLAN),
        testsystem_name=STATION,
        info1=LABEL,
        steps=(
            _step(StepKind.NUMERIC, 1, "Gain", numeric_value=1.5, low_limit=1.0, high_limit=2.0, units="V"),
            _step(StepKind.NUMERIC, 2, "Gain", numeric_value=0.1, units="furlongs per fortnight squared"),
            _step(StepKind.NUMERIC, 3, "Only a low limit", numeric_value=1.5, low_limit=1.0, units="V"),
            _step(StepKind.NUMERIC, 4, "Only a high limit", numeric_value=1.5, high_limit=2.0, units="V"),
            _step(StepKind.TEXT, 5, "Firmware", text_value="1.4.0 Ø'测"),
            _step(StepKind.OTHER, 6, "Trace", bytes_value=bytes(range(256))),
        ),
    )


def _step(kind: StepKind, number: int, name: str, **fields: object) -> VteStepResult:
    return VteStepResult.model_validate(
        {"kind": kind, "step_number": number, "test_name": name, "result_code": 1, **fields}
    )
