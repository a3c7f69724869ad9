"""How far a backfill says it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from vte_wats.backfill.progress import Progress
from vte_wats.domain.run import Outcome

NOW_AT = datetime(2026, 6, 16, 12, 0, 0, 500_000, tzinfo=UTC)


def a_progress(**fields):
    started = {"dag_run_id": "manual__1", "asked": "June", "dry_run": False, "force": False, "runs": 1_000, "parts": 2}
    return Progress(**started, estimate_s=600, started_at=NOW_AT, updated_at=NOW_AT, **fields)


def test_progress_goes_from_the_estimate_to_what_was_measured():
    progress = a_progress().with_part(1, NOW_AT)
    assert (progress.transferred, progress.remaining_s) == (0, 600)
    progress = progress.with_slice("s0001", 100, NOW_AT + timedelta(seconds=30))
    assert (progress.transferred, progress.remaining_s) == (100, 270)
    assert "100 of 1,000 runs (10%), part 1 of 2, 4 minutes to go" in str(progress)


def test_what_is_transferred_again_counts_once():
    outcomes = {Outcome.UPLOADED: 399, Outcome.DEAD: 1}
    progress = a_progress().with_slice("s0001", 100, NOW_AT).with_slice("s0001", 100, NOW_AT)
    assert progress.transferred == 100
    progress = progress.with_settled(outcomes, {}, NOW_AT).with_settled(outcomes, {}, NOW_AT)
    assert (progress.transferred, progress.outcomes[Outcome.UPLOADED]) == (400, 399)
    ended = progress.with_part(2, NOW_AT).with_settled({Outcome.UNCHANGED: 500}, {}, NOW_AT)
    assert (ended.transferred, ended.remaining_s, ended.ended_at) == (900, 0, NOW_AT)


def test_progress_survives_the_variable():
    progress = a_progress().with_settled({Outcome.UPLOADED: 400}, {}, NOW_AT)
    assert Progress.model_validate_json(progress.model_dump_json()) == progress
