from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from tests.unit.builders import NOON_LOCAL, a_run, a_settings, guid_of
from tests.unit.fakes import FakeSource, FakeWats
from tests.unit.mapping_builders import a_number, a_text
from vte_wats.domain.errors import FatalError, RejectedError
from vte_wats.domain.report import Report, ReportHeader
from vte_wats.domain.run import DeadLetterKind, run_hash
from vte_wats.intervals.wall_clock import LAST, LocalRange
from vte_wats.mapping.report_builder import map_run
from vte_wats.messages import VW417
from vte_wats.reconcile.compare import (
    Comparison,
    Expected,
    refuse_altered,
    repair,
    sample_of,
    stage_expected,
    staged_expected,
    verify,
)
from vte_wats.reconcile.keys import OutsideWindows, stage_keys
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.staging import Staging, staging_of
from vte_wats.sync.extract import extract
from vte_wats.sync.map_runs import map_runs
from vte_wats.sync.slices import Slice
from vte_wats.sync.staged_reports import staged_mappings

WRITTEN_AT = datetime(2026, 6, 16, tzinfo=UTC)


def expected(number: int, *, is_changed: bool = False) -> Expected:
    report = map_run(a_run(number), a_settings(), None)
    header = ReportHeader(
        f"sn-{number}", "pn-1", 100, {1: "2026-06-15T09:59:48", 3: "2026-06-15T09:59:50"}[number], "P"
    )
    return Expected(report.source_hash, run_hash(a_run(number)), header, is_changed)


def test_each_run_has_the_hash_of_its_report_or_none_and_a_run_that_is_gone_is_absent(tmp_path):
    source = FakeSource(a_run(1), a_run(2, serial=""), a_run(3), a_run(4, serial=""))
    dead_letters = DeadLetters(UPath(tmp_path))
    dead_letters.put(a_run(2, serial=""), DeadLetterKind.DEAD, "serial is blank", "serial is blank", WRITTEN_AT)
    dead_letters.put(a_run(3, serial=""), DeadLetterKind.DEAD, "serial is blank", "serial is blank", WRITTEN_AT)
    staged = staging_of(UPath(tmp_path), "reconcile", "run", "k0001")
    stage_keys(source, lambda _: staged, [LocalRange(NOON_LOCAL, NOON_LOCAL + timedelta(days=1))], OutsideWindows(LAST))
    source.runs = source.runs[:3]
    assert stage_expected(source, staged, dead_letters, a_settings(batch_size=2)) == 3
    assert staged_expected(staged) == {
        guid_of(1): expected(1),
        guid_of(2): Expected(None, run_hash(a_run(2, serial="")), is_changed=False),
        guid_of(3): expected(3, is_changed=True),
    }


GUIDS = [UUID(int=n) for n in range(1, 5)]
STEPS = (a_number(1.5, low_limit=1.0, high_limit=2.0, units="V"), a_text("1.0.3", step_number=2))


class Scene:
    """Four staged runs and a WATS that has their reports, unless a test says otherwise."""

    def __init__(self, folder: UPath) -> None:
        self.staging = Staging(folder)
        runs = [a_run(index_guid=guid, serial=f"SN-{guid.int}", steps=STEPS) for guid in GUIDS]
        extract(FakeSource(*runs), self.staging, Slice("g0001", 4, guids=tuple(GUIDS)), a_settings())
        map_runs(self.staging, a_settings())
        self.wats = FakeWats(*(mapped for mapped in staged_mappings(self.staging) if isinstance(mapped, Report)))

    def alter(self, guid: UUID, change) -> None:
        body = json.loads(self.wats.reports[guid].body)
        change(body)
        self.wats.reports[guid] = replace(self.wats.reports[guid], document=json.dumps(body).encode())

    def verify(self) -> Comparison:
        return verify(self.staging, self.wats)


@pytest.fixture
def scene(tmp_path) -> Scene:
    return Scene(UPath(tmp_path))


def test_reports_that_stand_as_they_were_sent_are_equal(scene):
    assert scene.verify() == Comparison(equal=tuple(GUIDS), absent=(), outdated=(), altered={})


def test_a_report_that_wats_keeps_under_another_id_is_compared_all_the_same(scene):
    scene.wats.renamed[GUIDS[0]] = UUID(int=77)
    assert scene.verify() == Comparison(equal=tuple(GUIDS), absent=(), outdated=(), altered={})
    scene.alter(GUIDS[0], set_value)
    assert scene.verify().altered.keys() == {GUIDS[0]}


def set_value(body):
    body["root"]["steps"][0]["numericMeas"][0]["value"] = 1.6


def set_limit(body):
    body["root"]["steps"][0]["numericMeas"][0]["lowLimit"] = 0.9


def set_status(body):
    body["root"]["steps"][1]["status"] = "F"


def set_result(body):
    body["result"] = "F"


def move_start(body):
    body["start"] = body["start"].replace("T11:", "T10:")


def drop_step(body):
    del body["root"]["steps"][1]


def drop_info(body):
    body["miscInfos"] = [info for info in body["miscInfos"] if info["description"] != "source"]


@pytest.mark.parametrize(
    ("change", "line_start"),
    [
        pytest.param(set_value, "root.steps[0].numericMeas[0].value: 1.5 in VTE, 1.6 in WATS", id="value"),
        pytest.param(set_limit, "root.steps[0].numericMeas[0].lowLimit: 1.0 in VTE, 0.9 in WATS", id="limit"),
        pytest.param(set_status, 'root.steps[1].status: "P" in VTE, "F" in WATS', id="status"),
        pytest.param(set_result, 'result: "P" in VTE, "F" in WATS', id="result"),
        pytest.param(move_start, 'start: "2026-06-15T11:', id="start"),
        pytest.param(drop_step, "root.steps: 2 in VTE, 1 in WATS", id="step"),
        pytest.param(drop_info, "miscInfos: ", id="misc-info"),
    ],
)
def test_whatever_was_altered_is_named_with_both_values(scene, change, line_start):
    scene.alter(GUIDS[1], change)
    found = scene.verify()
    assert (found.equal, found.outdated, list(found.altered)) == ((GUIDS[0], *GUIDS[2:]), (), [GUIDS[1]])
    assert any(line.startswith(line_start) for line in found.altered[GUIDS[1]])


def test_a_run_that_changed_since_is_outdated_and_one_without_a_report_absent(scene):
    scene.alter(
        GUIDS[0],
        lambda body: [info.update(text="other") for info in body["miscInfos"] if info["description"] == "source_hash"],
    )
    del scene.wats.reports[GUIDS[3]]
    assert scene.verify() == Comparison(equal=tuple(GUIDS[1:3]), absent=(GUIDS[3],), outdated=(GUIDS[0],), altered={})


@pytest.mark.parametrize("known", ["", "0:0123456789abcdef"], ids=["none", "of another run"])
def test_a_report_is_equal_whatever_it_says_of_the_run_it_was_made_from(scene, known):
    def change(body):
        body["miscInfos"] = [info for info in body["miscInfos"] if info["description"] != "run_hash"]
        body["miscInfos"] += [{"description": "run_hash", "text": known}] if known else []

    scene.alter(GUIDS[0], change)
    assert scene.verify() == Comparison(equal=tuple(GUIDS), absent=(), outdated=(), altered={})


def test_where_wats_shows_no_misc_infos_reports_are_compared_without_them(scene):
    scene.wats.lists_misc_infos = scene.wats.keeps_misc_infos = False
    assert scene.verify().outdated == tuple(GUIDS)  # it has shown some before
    scene.wats.known = replace(scene.wats.known, lists_misc_infos=False)
    assert scene.verify() == Comparison(equal=tuple(GUIDS), absent=(), outdated=(), altered={})
    scene.alter(GUIDS[1], set_value)
    found = scene.verify()
    assert (found.outdated, list(found.altered)) == ((), [GUIDS[1]])
    assert found.altered[GUIDS[1]] == ("root.steps[0].numericMeas[0].value: 1.5 in VTE, 1.6 in WATS",)


def test_altered_reports_are_posted_again_and_what_wats_refuses_stays_altered(scene, caplog):
    for guid in GUIDS[:2]:
        scene.alter(guid, set_value)
    scene.wats.fail_next[GUIDS[1]] = [RejectedError(VW417, "too long", "too long")]
    found = scene.verify()
    left_over = repair(scene.staging, scene.wats, found)
    assert left_over.altered == {GUIDS[1]: found.altered[GUIDS[1]]}
    assert sorted(scene.wats.posted) == GUIDS[:2]
    assert f"VW417 Run {GUIDS[1]} is not repaired: too long" in caplog.messages
    assert scene.verify().altered.keys() == {GUIDS[1]}


def test_an_altered_report_of_a_run_that_is_left_out_is_not_posted_and_does_not_stop(scene):
    for guid in GUIDS[:2]:
        scene.alter(guid, set_value)
    found = verify(scene.staging, scene.wats, excluded_runs={GUIDS[0]})
    assert (found.equal, list(found.altered)) == (tuple(GUIDS[2:]), [GUIDS[1]])
    refuse_altered(repair(scene.staging, scene.wats, found), "vte_wats_backfill")
    assert scene.wats.posted == [GUIDS[1]]


def test_an_altered_report_stops_and_names_run_difference_and_remedy(scene):
    refuse_altered(scene.verify(), "vte_wats_backfill")
    scene.alter(GUIDS[1], set_value)
    with pytest.raises(FatalError) as caught:
        refuse_altered(scene.verify(), "vte_wats_backfill")
    for words in ("1 of 4 sampled reports", str(GUIDS[1]), "1.5 in VTE, 1.6 in WATS", "vte_wats_backfill", "force"):
        assert words in str(caught.value)


@given(st.lists(st.uuids(), unique=True), st.integers(0, 20), st.text(max_size=5))
def test_a_sample_depends_on_its_seed_alone(guids, size, seed):
    sample = sample_of(guids, size, seed)
    assert len(sample) == len(set(sample)) == min(size, len(guids))
    assert sample == sample_of(reversed(guids), size, seed)
    assert set(sample) <= set(guids)
