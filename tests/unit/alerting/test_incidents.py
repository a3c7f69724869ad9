from __future__ import annotations

from datetime import UTC, datetime, timedelta

from vte_wats.alerting.incidents import (
    MissedDeadline,
    TaskFailure,
    is_over,
    is_transferred,
    one_line,
    outage_of,
    replaces,
)
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def a_failure(task_id: str, dag_run_id: str = "r1") -> TaskFailure:
    return TaskFailure(
        dag_id="d", dag_run_id=dag_run_id, task_id=task_id, map_index=-1, try_number=1, at=NOW, reason="why"
    )


def test_settle_does_not_hide_the_reason_it_failed_for():
    assert not replaces(a_failure("settle"), a_failure("transfer.upload"))
    assert replaces(a_failure("settle", "r2"), a_failure("transfer.upload"))
    assert replaces(a_failure("settle"), None)
    assert replaces(a_failure("transfer.upload"), a_failure("plan"))


def test_a_reason_is_one_line_that_fits_a_mail():
    assert one_line("a\n  b\tc") == "a b c"
    assert len(one_line("x" * 10_000)) == 500


def test_a_reason_is_redacted_before_it_is_cut():
    assert "hunter" not in one_line("x" * 480 + " password=hunter2")


def covered(until_at: datetime) -> State:
    return State(
        since_at=NOW - timedelta(days=1), coverage=(Interval(from_at=NOW - timedelta(days=1), to_at=until_at),)
    )


def a_miss(minute: int, **fields) -> MissedDeadline:
    to_at = NOW + timedelta(minutes=minute)
    given = {
        "dag_run_id": f"scheduled__{minute}",
        "interval": Interval(to_at - timedelta(minutes=5), to_at),
        "due_at": to_at + timedelta(minutes=10),
        "run_state": "failed",
        "until_at": to_at,
    }
    return MissedDeadline(**given | fields)


def test_deadlines_missed_in_a_row_are_one_outage_until_a_sync_settles_again():
    first = outage_of(a_miss(0), None, covered(NOW - timedelta(minutes=5)), 60)
    notified = first.model_copy(update={"notified_at": NOW})
    second = outage_of(a_miss(5), notified, covered(NOW - timedelta(minutes=5)), 60)
    assert (second.dag_run_id, second.notified_at, second.until_at) == (
        notified.dag_run_id,
        NOW,
        NOW + timedelta(minutes=5),
    )
    settled = covered(NOW + timedelta(minutes=14))
    again = outage_of(a_miss(20), second, settled, 60)
    assert (again.dag_run_id, again.notified_at) == ("scheduled__20", None)


def test_an_interval_counts_as_transferred_when_all_of_it_less_the_settle_delay_is_covered():
    assert is_transferred(a_miss(0), covered(NOW - timedelta(seconds=60)), 60)
    assert not is_transferred(a_miss(0), covered(NOW - timedelta(seconds=61)), 60)
    assert not is_transferred(a_miss(0), None, 60)
    assert not is_transferred(a_miss(0), State(since_at=NOW), 60)


def test_a_later_sync_that_leaves_a_gap_before_it_does_not_transfer_an_interval_but_ends_the_outage():
    gap = State(since_at=NOW, coverage=(Interval(from_at=NOW, to_at=NOW + timedelta(minutes=5)),))
    assert not is_transferred(a_miss(0), gap, 0)
    assert is_over(a_miss(0), gap, 0)
    assert not is_over(a_miss(10), gap, 0)
