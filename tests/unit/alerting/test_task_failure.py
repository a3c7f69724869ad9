from __future__ import annotations

from datetime import UTC, datetime

from vte_wats.alerting.task_failure import TaskFailure, one_line, replaces

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
