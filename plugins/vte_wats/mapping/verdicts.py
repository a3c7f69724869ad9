"""The results of a run and its steps in WATS. Nothing is ever passed by default."""

from __future__ import annotations

from collections.abc import Iterable

from pywats.domains.report.report_models.common_types import ReportStatus, StepStatus

from vte_wats.config.settings import LoggedResult, RunResult, Settings, StepResult
from vte_wats.domain.errors import HeldError
from vte_wats.domain.run import VteStepResult, VteTestRun
from vte_wats.mapping.numbers import Limits, ScpiSentinel, scpi_sentinel
from vte_wats.mapping.texts import quoted
from vte_wats.messages import VW402, VW403

_REPORT_STATUS = {
    RunResult.PASSED: ReportStatus.Passed,
    RunResult.FAILED: ReportStatus.Failed,
    RunResult.ERROR: ReportStatus.Error,
    RunResult.TERMINATED: ReportStatus.Terminated,
}
_STEP_STATUS = {
    StepResult.PASSED: StepStatus.Passed,
    StepResult.FAILED: StepStatus.Failed,
    StepResult.DONE: StepStatus.Done,
    StepResult.ERROR: StepStatus.Error,
    StepResult.TERMINATED: StepStatus.Terminated,
    StepResult.SKIPPED: StepStatus.Skipped,
}
_LOGGED = {LoggedResult.PASSED: StepStatus.Passed, LoggedResult.DONE: StepStatus.Done}
_MEASUREMENT_STATUS = {
    StepStatus.Error: StepStatus.Failed,
    StepStatus.Terminated: StepStatus.Failed,
    StepStatus.Done: StepStatus.Passed,
}
# Looked up once: a member of an enumeration costs as much as a call.
_PASSED, _FAILED = StepStatus.Passed, StepStatus.Failed
_NOT_A_NUMBER = ScpiSentinel.NOT_A_NUMBER
_WORST_FIRST = (
    StepStatus.Error,
    StepStatus.Terminated,
    StepStatus.Failed,
    StepStatus.Passed,
    StepStatus.Done,
    StepStatus.Skipped,
)


def run_verdict(run: VteTestRun, settings: Settings) -> ReportStatus:
    """Return the result of a run by its own result code; raise :class:`HeldError` when the code is not listed."""
    code = run.result_code
    result = None if code is None else settings.result_codes.get(code)
    if result is None:
        named = "NULL" if code is None else str(code)
        raise HeldError(
            VW402,
            f"IndexData.Result {named} is not in result_codes, so its meaning is not known. "
            + ("Correct it in the VTE database" if code is None else f"Add it: {settings.where_to_change}"),
            f"unlisted result code {named}",
        )
    return _REPORT_STATUS[result]


def step_verdict(step: VteStepResult, settings: Settings) -> StepStatus | None:
    """Return the status of a step by its own result code, ``None`` where the code is NULL.

    Raises :class:`HeldError` when the code is not listed.
    """
    code = step.result_code
    if code is None:
        return None
    result = settings.step_result_codes.get(code)
    if result is None:
        raise HeldError(
            VW403,
            f"TestResultType {code} of step {step.step_number} ({quoted(step.test_name or '')}) is not in "
            f"step_result_codes, so its meaning is not known. Add it: {settings.where_to_change}",
            f"unlisted step result code {code}",
        )
    return _STEP_STATUS[result]


def judged(value: float, limits: Limits, settings: Settings) -> StepStatus:
    """Return the status of a number by its limits; without one it is logged. "Not a number" is never within a limit."""
    if not limits:
        return logged(settings)
    passed = limits.include(value) and scpi_sentinel(value) is not _NOT_A_NUMBER
    return _PASSED if passed else _FAILED


def logged(settings: Settings) -> StepStatus:
    """Return the status of a measured value that nothing judges."""
    return _LOGGED[settings.logged_values]


def measurement_status(status: StepStatus) -> StepStatus:
    """Return what a measurement of a step can say: WATS knows passed, failed and skipped ones only."""
    return _MEASUREMENT_STATUS.get(status, status)


def failing_status(result: ReportStatus) -> tuple[StepStatus, ...]:
    """Return which statuses of a step may have failed a unit with this result, the likeliest first."""
    if result is ReportStatus.Passed:
        return ()
    own = StepStatus[result.name]
    return own, *(status for status in _WORST_FIRST[: _WORST_FIRST.index(StepStatus.Passed)] if status is not own)


def worst(statuses: Iterable[StepStatus]) -> StepStatus:
    """Return the status of a step with several measurements; done and skipped ones do not change a pass."""
    return min(statuses, key=_WORST_FIRST.index)
