"""What WATS should hold of a batch is made of what VTE says now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from upath import UPath

from tests.unit.builders import NOON_LOCAL, a_run, a_settings, guid_of
from tests.unit.fakes import FakeSource
from vte_wats.domain.outcome import DeadLetterKind
from vte_wats.domain.report import ReportHeader
from vte_wats.intervals.wall_clock import LAST, LocalRange
from vte_wats.mapping.report_builder import map_run
from vte_wats.mapping.run_hash import run_hash
from vte_wats.reconcile.expected import Expected, stage_expected, staged_expected
from vte_wats.reconcile.keys import OutsideWindows, stage_keys
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.staging import staging_of

NOW_AT = datetime(2026, 6, 16, tzinfo=UTC)


def expected(number: int, *, is_changed: bool = False) -> Expected:
    report = map_run(a_run(number), a_settings(), None)
    header = ReportHeader(
        f"sn-{number}", "pn-1", 100, {1: "2026-06-15T09:59:48", 3: "2026-06-15T09:59:50"}[number], "P"
    )
    return Expected(report.source_hash, run_hash(a_run(number)), header, is_changed)


def test_each_run_has_the_hash_of_its_report_or_none_and_a_run_that_is_gone_is_absent(tmp_path):
    source = FakeSource(a_run(1), a_run(2, serial=""), a_run(3), a_run(4, serial=""))
    dead_letters = DeadLetters(UPath(tmp_path))
    dead_letters.put(a_run(2, serial=""), DeadLetterKind.DEAD, "serial is blank", "serial is blank", NOW_AT)
    dead_letters.put(a_run(3, serial=""), DeadLetterKind.DEAD, "serial is blank", "serial is blank", NOW_AT)
    staged = staging_of(UPath(tmp_path), "reconcile", "run", "k0001")
    stage_keys(source, lambda _: staged, [LocalRange(NOON_LOCAL, NOON_LOCAL + timedelta(days=1))], OutsideWindows(LAST))
    source.runs = source.runs[:3]
    assert stage_expected(source, staged, dead_letters, a_settings(batch_size=2)) == 3
    assert staged_expected(staged) == {
        guid_of(1): expected(1),
        guid_of(2): Expected(None, run_hash(a_run(2, serial="")), is_changed=False),
        guid_of(3): expected(3, is_changed=True),
    }
