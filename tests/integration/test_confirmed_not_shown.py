"""What WATS confirmed and does not show is posted again by the next syncs, and at last is a dead letter; nobody acts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from upath import UPath

from sandbox.wats.wats_faults import Fault, FaultKind
from tests.site.in_process import Site
from vte_wats.storage.dead_letters import DeadLetters

SYNCS = (5, 10, 15, 20, 25, 30, 35, 40)


@pytest.fixture
def shows_at_once(site: Site, clock, monkeypatch) -> Iterator[Site]:
    """A site whose WATS shows reports at once, and was measured to. No sync reads a run twice for the guard band.

    Each sync and each comparison begins a minute after the one before, when WATS has to show what it confirmed.
    """
    answers = json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"]) | {"guard_band_s": 0}
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(answers))
    sync = site.sync

    def a_minute_later(*args, **how):
        clock.pass_minutes(1)
        return sync(*args, **how)

    monkeypatch.setattr(site, "sync", a_minute_later)
    with site.showing_after(delay_s=0):
        yield site


def put_aside(site: Site, times: int | None) -> str:
    """Let WATS confirm the next reports of one run, and put them into quarantine, so many times; return the run."""
    ((guid,),) = site.plant.db.query('SELECT "Index_GUID" FROM "IndexData" ORDER BY "Timestamp" LIMIT 1')
    site.plant.wats.faults.add(Fault(FaultKind.QUARANTINE, method="POST", body=str(guid), times=times))
    return str(guid).lower()


def sync_all(site: Site) -> None:
    for minute in SYNCS:
        assert site.sync(minute) == "success", site.refusal


def test_a_report_in_quarantine_is_posted_again_until_it_shows(shows_at_once, tmp_path):
    site = shows_at_once
    guid = put_aside(site, 2)
    sync_all(site)
    assert site.plant.receipts[guid] == 1
    assert len(site.plant.receipts) == site.state["totals"]["uploaded"] == 9
    assert site.state["totals"]["replaced"] == 2
    assert not list((tmp_path / "unseen").iterdir())


def test_one_that_is_never_shown_becomes_a_dead_letter(shows_at_once, tmp_path):
    site = shows_at_once
    guid = put_aside(site, None)
    sync_all(site)
    (kept,) = DeadLetters(UPath(tmp_path)).headers()
    assert str(kept.index_guid) == guid
    assert kept.reason.startswith("VW540 ")
    (quarantined,) = site.plant.wats.store.quarantined()
    assert quarantined.receive_count == 3
    assert len(site.plant.receipts) == 8


def compare(site: Site) -> str:
    return site.sync(dag_id="vte_wats_reconcile", days=0, sample=0)


def test_one_that_wats_shows_for_a_time_only_is_posted_so_often_and_tried_again_when_it_shows(shows_at_once, tmp_path):
    site = shows_at_once
    for minute in (15, 20):  # the second one asks WATS, which shows everything
        assert site.sync(minute) == "success", site.refusal
    guid = min(site.plant.receipts)
    report = site.plant.wats.store.report(guid)
    posts = len(site.plant.wats.log.find("POST", "/api/Report/WSJF"))
    for _ in range(5):
        assert site.plant.wats.store.remove(guid) == (guid not in kept(tmp_path))
        assert compare(site) == "success", site.refusal
    assert len(site.plant.wats.log.find("POST", "/api/Report/WSJF")) - posts == 3
    assert kept(tmp_path)[guid].startswith("VW540 ")
    site.plant.wats.store.receive(json.dumps(report).encode())
    assert compare(site) == "success", site.refusal
    assert kept(tmp_path) == {}


def kept(folder) -> dict[str, str]:
    """The reasons of the dead letters, by run."""
    return {str(header.index_guid): header.reason for header in DeadLetters(UPath(folder)).headers()}
