"""What happens to the plant. Each event says by when what it changed must be in WATS, as docs/operations.md promises."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

from airflow.models.variable import Variable

from sandbox.wats.wats_faults import Fault, FaultKind
from tests.converge.simulated_site import DAY, HOUR, Event, SimulatedSite
from tests.site.in_process import BEGIN_AT, STATE

OF_UNIT = 'WHERE "Uut_GUID" = (SELECT "Uut_GUID" FROM "IndexData" WHERE "Index_GUID" = ?)'
TABLES = ("TestDataNumeric", "TestDataText", "TestDataOther", "IndexData")

LATE_STEP = """INSERT INTO "TestDataNumeric" ("Index_GUID", "TestStepNumber", "TestName", "TestResult", "TestResultType")
    SELECT "Index_GUID", 900, 'soak', 1.5, 1 FROM "IndexData" WHERE "Index_GUID" = ?"""
RESULT = 'UPDATE "IndexData" SET "Result" = 0 WHERE "Index_GUID" = ?'
SERIAL = f'UPDATE "UutData" SET "Serial" = \'CORRECTED \' || "Serial" {OF_UNIT}'


def _next_syncs(plant: SimulatedSite) -> timedelta:
    """Return how long two intervals take."""
    return 2 * plant.every + HOUR


# -- outages ----------------------------------------------------------------------------------------------------------
def vte_goes(plant: SimulatedSite) -> None:
    plant.environment.vte.stop()


def vte_comes(plant: SimulatedSite) -> None:
    plant.environment.vte.start()


def wats_goes(plant: SimulatedSite) -> None:
    plant.wats.stop()


def wats_comes(plant: SimulatedSite) -> None:
    plant.wats.start()


def pause(plant: SimulatedSite) -> None:
    plant.is_paused = True


def resume(plant: SimulatedSite) -> None:
    plant.is_paused = False


def another_schedule(plant: SimulatedSite) -> None:
    plant.set_schedule(3 * HOUR)


def older_state(plant: SimulatedSite) -> None:
    """Somebody restores a backup of Airflow's database: the Variable of two days before."""
    before = plant.clock.at - 2 * DAY
    Variable.set(STATE, [text for at, text in plant.states if at <= before][-1])


# -- changes in VTE ---------------------------------------------------------------------------------------------------
def _change(plant: SimulatedSite, sql: str, age: timedelta, within: timedelta, why: str) -> None:
    guid = plant.a_run(age, age + DAY)
    plant.db.query(sql, [guid])
    plant.expect(guid, within, why)


def late_steps(plant: SimulatedSite) -> None:
    _change(plant, LATE_STEP, 6 * HOUR, _next_syncs(plant), "late steps")


def changed_result(plant: SimulatedSite) -> None:
    _change(plant, RESULT, 6 * HOUR, _next_syncs(plant), "changed Result")


def changed_serial(plant: SimulatedSite) -> None:
    _change(plant, SERIAL, 6 * HOUR, _next_syncs(plant), "corrected serial")


def older_changes(plant: SimulatedSite) -> None:
    """What the near check does not reach, the next comparison sees."""
    for sql, why in ((LATE_STEP, "steps two days late"), (RESULT, "Result changed two days later")):
        _change(plant, sql, 2 * DAY, DAY + 5 * HOUR, why)


def changed_history(plant: SimulatedSite) -> None:
    """What is older than the days of each comparison is seen when its day is next."""
    guid = plant.a_run(plant.story.compared_days * DAY + 2 * HOUR, 90 * DAY)
    plant.db.query(RESULT, [guid])
    plant.expect(guid, 3 * DAY, "Result of an old run changed")


def late_rows(plant: SimulatedSite) -> None:
    at = plant.clock.at
    for guid in plant.work(at - 6 * HOUR, at - 5 * HOUR, 3):
        plant.expect(guid, _next_syncs(plant), "a run committed five hours late")


def later_rows(plant: SimulatedSite) -> None:
    at = plant.clock.at
    for guid in plant.work(at - 2 * DAY, at - 2 * DAY + HOUR, 3):
        plant.expect(guid, DAY + 5 * HOUR, "a run committed two days late")


def nine_days_late(plant: SimulatedSite) -> None:
    """Rows of two days before the days of each comparison are seen when their day is next."""
    then = plant.clock.at - (plant.story.compared_days + 2) * DAY
    for guid in plant.work(then, then + HOUR, 2):
        plant.expect(guid, 2 * DAY, "a run committed days after the last comparison of its day")


def deleted_rows(plant: SimulatedSite) -> None:
    for age in (6 * HOUR, 2 * DAY):
        guid = plant.a_run(age, age + DAY)
        ((timestamp_local,),) = plant.db.query('SELECT "Timestamp" FROM "IndexData" WHERE "Index_GUID" = ?', [guid])
        for table in TABLES:
            plant.db.query(f'DELETE FROM "{table}" WHERE "Index_GUID" = ?', [guid])
        plant.gone[guid] = timestamp_local.date()


# -- dead letters -----------------------------------------------------------------------------------------------------
def without_serial(plant: SimulatedSite) -> None:
    """Two runs of now that cannot become reports; one is corrected hours later, one days later."""
    at = plant.clock.at
    for guid, after in zip(plant.work(at - HOUR / 2, at, 2), (6 * HOUR, 2 * DAY), strict=True):
        plant.db.query(f'UPDATE "UutData" SET "Serial" = \'\' {OF_UNIT}', [guid])
        plant.expect(guid, _next_syncs(plant), "a run without a serial")
        plant.later(Event("corrected", at - BEGIN_AT + after, _correction_of(guid)))


def _correction_of(guid: str) -> Callable[[SimulatedSite], None]:
    def correct(plant: SimulatedSite) -> None:
        plant.db.query(f'UPDATE "UutData" SET "Serial" = ? {OF_UNIT}', [f"LATER-{guid[:8]}", guid])
        plant.expect_report(guid, DAY + 5 * HOUR, "a dead letter whose run was corrected")

    return correct


# -- clocks -----------------------------------------------------------------------------------------------------------
def _with_timestamp(plant: SimulatedSite, local: datetime | None) -> str:
    (guid,) = plant.work(plant.clock.at - HOUR / 2, plant.clock.at, 1)
    plant.db.query('UPDATE "IndexData" SET "Timestamp" = ? WHERE "Index_GUID" = ?', [local, guid])
    return guid


def clock_reset(plant: SimulatedSite) -> None:
    guid = _with_timestamp(plant, datetime(2000, 1, 1, 0, 7, 42))
    plant.expect(guid, DAY + 5 * HOUR, "a run of the year 2000")


def no_timestamp(plant: SimulatedSite) -> None:
    plant.expect(_with_timestamp(plant, None), DAY + 5 * HOUR, "a run without a Timestamp")


def before_the_start(plant: SimulatedSite) -> None:
    """A run of the day of the start, of time before its hour and before what the first sync read."""
    local = BEGIN_AT.astimezone(plant.zone).replace(tzinfo=None) - HOUR / 2
    plant.expect(_with_timestamp(plant, local), DAY + 5 * HOUR, "a run dated before the start")


def clock_ahead(plant: SimulatedSite) -> None:
    """Its time comes two days later."""
    local = (plant.clock.at + 2 * DAY).astimezone(plant.zone).replace(tzinfo=None, microsecond=0)
    plant.expect(_with_timestamp(plant, local), 4 * DAY, "a run of the day after tomorrow")


# -- changes in WATS --------------------------------------------------------------------------------------------------
def quarantine(plant: SimulatedSite) -> None:
    """WATS confirms the next reports, and puts them into quarantine."""
    plant.wats.faults.add(Fault(FaultKind.QUARANTINE, method="POST", times=3))


def quarantine_for_ever(plant: SimulatedSite) -> None:
    """WATS confirms each report of one run, and never shows any."""
    (guid,) = plant.work(plant.clock.at - HOUR / 2, plant.clock.at, 1)
    plant.wats.faults.add(Fault(FaultKind.QUARANTINE, method="POST", body=guid, times=None))
    plant.refused.add(guid)
    plant.expect(guid, 8 * plant.every, "a report in quarantine for ever")


def drop_daily(plant: SimulatedSite) -> None:
    """WATS shows a report for hours, and has it no longer; so it is with each one that is posted again.

    The sync after its upload has seen it, so that no check but the comparison's misses it.
    """
    seen_for = max(6 * HOUR, _next_syncs(plant))
    guid = plant.a_run(seen_for, seen_for + DAY)
    plant.refused.add(guid)
    plant.expect(guid, plant.story.days * DAY - (plant.clock.at - BEGIN_AT), "a report that WATS drops daily")

    def drop(plant: SimulatedSite) -> None:
        plant.wats.store.remove(guid)
        plant.later(Event("dropped", plant.clock.at - BEGIN_AT + DAY, drop))

    drop(plant)


def alter(plant: SimulatedSite) -> None:
    """Somebody sets a report to failed, in WATS."""
    guid = plant.a_run(6 * HOUR, 3 * DAY)
    plant.wats.store.receive(json.dumps(plant.wats.store.report(guid) | {"result": "F"}).encode())
    plant.expect(guid, DAY + 5 * HOUR, "a report that was altered in WATS")


def _at(day: int, hour: float) -> timedelta:
    return day * DAY + hour * HOUR


ALL = (
    Event("an hour without VTE", _at(1, 9.5), vte_goes),
    Event("an hour without VTE", _at(1, 10.5), vte_comes),
    Event("a run without a serial", _at(1, 11), without_serial),
    Event("late rows", _at(1, 13), late_rows),
    Event("a report that WATS drops", _at(1, 15), drop_daily),
    Event("late steps", _at(1, 17), late_steps),
    Event("a changed result", _at(1, 19), changed_result),
    Event("a day without WATS", _at(2, 0.5), wats_goes),
    Event("a day without WATS", _at(3, 0.5), wats_comes),
    Event("a corrected serial", _at(3, 9), changed_serial),
    Event("late rows, two days", _at(3, 12.5), later_rows),
    Event("changes two days later", _at(3, 13), older_changes),
    Event("a clock ahead", _at(3, 15), clock_ahead),
    Event("a clock reset", _at(3, 15.5), clock_reset),
    Event("a run dated before the start", _at(3, 16), before_the_start),
    Event("no Timestamp", _at(3, 16.5), no_timestamp),
    Event("quarantine for ever", _at(3, 17.5), quarantine_for_ever),
    Event("deleted rows", _at(4, 15), deleted_rows),
    Event("a paused week-end", _at(4, 22.5), pause),
    Event("a paused week-end", _at(7, 6.5), resume),
    Event("another schedule", _at(7, 12.5), another_schedule),
    Event("quarantined reports", _at(7, 13), quarantine),
    Event("a changed run of the first day", _at(7, 13.5), changed_history),
    Event("an older state", _at(8, 10.5), older_state),
    Event("an altered report", _at(8, 15), alter),
    Event("late rows, nine days", _at(9, 2), nine_days_late),
    Event("late steps", _at(9, 11), late_steps),
    Event("a changed result", _at(9, 13), changed_result),
)


def only(*names: str) -> tuple[Event, ...]:
    """Return the events of these names."""
    unknown = set(names) - {event.name for event in ALL}
    if unknown:
        raise ValueError(f"no such event: {unknown}")
    return tuple(event for event in ALL if event.name in names)
