"""What changes in VTE after its transfer reaches WATS with the next sync. Tasks run in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from airflow.models.variable import Variable
from upath import UPath

from sandbox.wats.profiles import ProfileName
from tests.integration.test_converging import configure, load
from tests.site.in_process import Site
from tests.wats_profiles import every_wats
from vte_wats.domain.errors import RetriableError
from vte_wats.messages import VW230
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.vte.reader import VteSource

SEEN = "vte_wats_seen"
OF_UNIT = 'WHERE "Uut_GUID" = (SELECT "Uut_GUID" FROM "IndexData" WHERE "Index_GUID" = ?)'
CHANGES = {
    "late steps": """INSERT INTO "TestDataNumeric" ("Index_GUID", "TestStepNumber", "TestName", "TestResult", "TestResultType")
        SELECT "Index_GUID", 90, 'soak', 1.5, 1 FROM "IndexData" WHERE "Index_GUID" = ?""",
    "changed Result": 'UPDATE "IndexData" SET "Result" = 1 - "Result" WHERE "Index_GUID" = ?',
    "corrected serial": f'UPDATE "UutData" SET "Serial" = \'CORRECTED\' {OF_UNIT}',
    "changed limit": 'UPDATE "TestDataNumeric" SET "LowLimit" = "TestResult" - 9 WHERE "Index_GUID" = ?',
}
OTHERS = [name for name in ProfileName if name is not ProfileName.REPORTED]


@pytest.fixture
def site(site, monkeypatch) -> Iterator[Site]:
    """A site that asks for all of the day at once, for its statements take no time, however busy this machine is."""
    monkeypatch.setattr("vte_wats.orchestration.sync_tasks.time", SimpleNamespace(monotonic=lambda: 0.0))
    Variable.set(SEEN, json.dumps({"asked_min": 1_440}))
    load(site, 20, 60, runs=12)
    yield site
    Variable.delete(SEEN)


def seen() -> dict:
    return json.loads(Variable.get(SEEN))


def sync_all(site: Site, last: int) -> None:
    """Sync all that the plant has made, the older part as a gap, then look at it hours later."""
    for minute in (70, last):
        assert site.sync(minute) == "success"


def a_run(site: Site) -> str:
    """Return a run of the plant that WATS has, not one of the newest."""
    rows = site.plant.db.query('SELECT "Index_GUID" FROM "IndexData" ORDER BY "Timestamp"')
    steps = {str(guid) for (guid,) in site.plant.db.query('SELECT "Index_GUID" FROM "TestDataNumeric"')}
    return next(str(guid) for (guid,) in rows if str(guid) in site.plant.receipts and str(guid) in steps)


def outcomes(site: Site) -> dict[str, int]:
    return site.state["totals"]


@pytest.mark.parametrize(
    ("change", "wats_profile"),
    [*((change, ProfileName.REPORTED) for change in CHANGES), *(("changed Result", name) for name in OTHERS)],
    indirect=["wats_profile"],
)
def test_what_changed_hours_after_its_transfer_reaches_wats_with_the_next_sync(site, change):
    sync_all(site, 200)
    before, guid = site.plant.receipts, a_run(site)
    site.plant.db.query(CHANGES[change], [guid])
    assert site.sync(205) == "success"
    after = site.plant.receipts
    of_unit = f'SELECT "Index_GUID" FROM "IndexData" {OF_UNIT}'
    changed = {key for key in after if after[key] != before[key]}
    assert (
        guid in changed <= {str(run_guid) for (run_guid,) in site.plant.db.query(of_unit, [guid])}
    )  # a unit is tested again
    assert seen().get("behind_since") is None
    assert site.sync(210) == "success"
    assert site.plant.receipts == after


def test_without_a_change_nothing_is_read_again(site):
    sync_all(site, 200)
    before = outcomes(site)
    assert site.sync(205) == "success"
    assert outcomes(site) == before


def test_the_minutes_of_a_gap_that_a_sync_fills_are_not_read_again(site):
    for minute in (5, 70):
        assert site.sync(minute) == "success"
    transferred = {
        local.isoformat(timespec="minutes")
        for (local,) in site.plant.db.query('SELECT "Timestamp" FROM "IndexData"')
        if local is not None
    }
    assert len(transferred) > 12
    assert transferred <= seen()["minutes"].keys()


def sent(site: Site, minute: int) -> list[str]:
    """Sync, and return the statements that VTE got for it."""
    before = len(site.plant.vte.log)
    assert site.sync(minute) == "success"
    return [entry.sql for entry in site.plant.vte.log[before:] if "[IndexData]" in entry.sql]


def test_an_interval_without_runs_costs_one_statement_more(site, monkeypatch):
    sync_all(site, 200)
    with_it = sent(site, 205)
    configure(monkeypatch, near_check_h=0)
    assert len(with_it) - len(sent(site, 210)) == 1


def test_a_deleted_run_is_forgotten_and_read_by_nobody(site):
    sync_all(site, 200)
    guid, minutes = a_run(site), seen()["minutes"]
    for table in ("TestDataNumeric", "TestDataText", "TestDataOther", "IndexData"):
        site.plant.db.query(f'DELETE FROM "{table}" WHERE "Index_GUID" = ?', [guid])
    assert site.sync(205) == "success"
    after = seen()
    assert after["minutes"] != minutes
    assert after.get("behind_since") is None
    assert guid in site.plant.receipts  # nothing is ever deleted in WATS


@every_wats()
def test_a_dead_letter_whose_run_is_corrected_is_tried_again(site):
    guid = str(site.plant.db.query('SELECT "Index_GUID" FROM "IndexData" ORDER BY "Timestamp"')[5][0])
    (serial,) = site.plant.db.query(f'SELECT "Serial" FROM "UutData" {OF_UNIT}', [guid])[0]
    site.plant.db.query(f'UPDATE "UutData" SET "Serial" = \'\' {OF_UNIT}', [guid])
    sync_all(site, 200)
    storage = UPath(json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"])["storage_path"])
    assert guid in {str(run_guid) for run_guid in DeadLetters(storage).guids()}
    site.plant.db.query(f'UPDATE "UutData" SET "Serial" = ? {OF_UNIT}', [serial, guid])
    assert site.sync(205) == "success"
    assert guid in site.plant.receipts
    assert guid not in {str(run_guid) for run_guid in DeadLetters(storage).guids()}


def test_a_failing_near_check_is_skipped_and_said(site, monkeypatch):
    sync_all(site, 200)
    site.plant.db.query(CHANGES["changed Result"], [a_run(site)])
    before = site.plant.receipts
    with monkeypatch.context() as broken:
        broken.setattr(VteSource, "minute_contents", _refused)
        assert site.sync(205) == "success"
    assert site.plant.receipts == before
    assert seen()["behind_since"]
    assert site.sync(210) == "success"
    assert site.plant.receipts != before
    assert seen().get("behind_since") is None


def _refused(*_: object) -> None:
    raise RetriableError(VW230, "no right to see it")


def test_a_near_slice_that_fails_leaves_the_current_interval_alone_and_is_tried_again(site, monkeypatch):
    sync_all(site, 200)
    site.plant.db.query(CHANGES["changed Result"], [a_run(site)])
    before = site.plant.receipts
    with monkeypatch.context() as broken:
        broken.setattr(VteSource, "runs_between", _refused)
        assert site.sync(205) == "success"
    assert site.state["lastSync"] == "2026-03-02T03:24:00Z"
    assert seen()["behind_since"]
    assert len(seen()["failed"]) == 1
    assert site.sync(210) == "success"
    assert site.plant.receipts != before
    assert seen().get("behind_since") is None


def test_nothing_is_looked_for_while_other_syncs_are_at_work(site, monkeypatch):
    sync_all(site, 200)
    site.plant.db.query(CHANGES["changed Result"], [a_run(site)])
    receipts = site.plant.receipts
    monkeypatch.setattr("vte_wats.orchestration.task_context.other_syncs_are_at_work", lambda _: True)
    before = seen()["looked_at"]
    assert site.sync(205) == "success"
    assert seen()["looked_at"] == before
    assert seen()["behind_since"]
    assert site.plant.receipts == receipts


def test_what_a_sync_beside_others_transferred_is_not_read_again(site, monkeypatch):
    monkeypatch.setattr("vte_wats.orchestration.task_context.other_syncs_are_at_work", lambda _: True)
    for minute in (35, 50, 65):
        assert site.sync(minute) == "success"
    rows = site.plant.db.query('SELECT "Index_GUID", "Timestamp" FROM "IndexData" WHERE "Timestamp" IS NOT NULL')
    transferred = {local.isoformat(timespec="minutes") for guid, local in rows if str(guid) in site.plant.receipts}
    assert len(transferred) > 6
    assert transferred <= seen()["minutes"].keys()


def test_what_a_sync_by_hand_transferred_is_not_read_again(site):
    sync_all(site, 200)
    load(site, 220, 280, runs=9)
    Variable.set(SEEN, json.dumps(seen() | {"asked_min": 1_000_000}))  # from the spring of the plant until now
    assert site.sync() == "success"
    before = outcomes(site)
    assert before["uploaded"] > 18
    assert site.sync(305) == "success"
    assert outcomes(site) == before


def test_a_dry_run_looks_at_nothing(site):
    sync_all(site, 200)
    before = seen()
    assert site.sync(205, dry_run=True) == "success"
    assert seen() == before
