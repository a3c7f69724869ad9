"""The daily comparison looks into reports: what WATS says is what VTE says. Tasks run in this process."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.models.variable import Variable
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from upath import UPath

from sandbox.wats.profiles import MiscInfos, SkippedSteps, Verdict
from tests.site.in_process import BEGIN_AT, Site
from tests.site.simulated_time import SimulatedTime
from tests.unit.builders import a_run, guid_of
from tests.wats_profiles import every_wats
from vte_wats.config.sites import Site as OneSite
from vte_wats.domain.run import WITHOUT_KEY, DeadLetterKind
from vte_wats.orchestration.variables import PROOF
from vte_wats.state.proof import Cause, OddKind, Proof
from vte_wats.storage.dead_letters import DeadLetters

RECONCILE = "vte_wats_reconcile"


def verified() -> dict[str, int]:
    """What the newest comparison found."""
    with create_session() as session:
        found = session.query(XComModel).filter_by(task_id="verify", key="return_value").order_by(XComModel.timestamp)
        return XComModel.deserialize_value(found.all()[-1])


def compare(site: Site, **conf: int) -> str:
    return site.sync(dag_id=RECONCILE, **{"days": 0, "sample": 100} | conf)


@pytest.fixture(autouse=True)
def clock(monkeypatch) -> SimulatedTime:
    """The tasks' clock, days after the runs: a comparison of everything lists the reports of each day until then."""
    clock = SimulatedTime(BEGIN_AT + timedelta(days=4))
    clock.rule(monkeypatch)
    return clock


@pytest.fixture
def reasons(bag) -> list[str]:
    """What verify failed with."""
    messages: list[str] = []
    verify = bag.dags[RECONCILE].get_task("verify")
    verify.on_failure_callback = [lambda context: messages.append(str(context["exception"]))]
    return messages


@every_wats()
def test_reports_equal_their_runs_after_a_sync_and_are_sent_once(site):
    assert site.sync(15) == "success"
    reports = len(site.plant.wats.store)
    assert reports > 0
    site.plant.wats.show_all()
    assert site.sync(15) == "success"
    assert list(site.plant.receipts.values()) == [1] * reports
    assert compare(site) == "success"
    assert verified() == {"equal": reports, "outdated": 0, "altered": 0, "absent": 9 - reports}


@every_wats()
def test_a_skipped_step_is_equal_and_sent_once_whether_wats_keeps_its_values_or_not(site, monkeypatch):
    codes = {"1": "Passed", "0": "Failed", "2": "Error", "3": "Terminated", "7": "Skipped"}
    answers = json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"]) | {"step_result_codes": codes}
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(answers))
    for table in ("TestDataNumeric", "TestDataText", "TestDataOther"):
        site.plant.db.query(f'UPDATE "{table}" SET "TestResultType" = 7')
    for _ in range(2):
        assert site.sync(15) == "success"
        site.plant.wats.show_all()
    reports = len(site.plant.wats.store)
    assert list(site.plant.receipts.values()) == [1] * reports
    assert compare(site) == "success"
    assert verified() == {"equal": reports, "outdated": 0, "altered": 0, "absent": 9 - reports}
    steps = [step for report in site.plant.wats.store.reports() for step in report["root"]["steps"]]
    steps = [step for step in steps if step["stepType"] in {"ET_NLT", "ET_SVT"}]
    kept = site.plant.wats.profile.skipped_steps is SkippedSteps.KEPT
    assert {bool(step.get("numericMeas") or step.get("stringMeas")) for step in steps} == {kept}
    assert all("Value: " in step["reportText"] for step in steps)


@pytest.mark.parametrize("misc_infos", MiscInfos)
def test_reports_are_equal_and_sent_once_wherever_wats_shows_misc_infos(site, misc_infos):
    site.plant.wats.profile = site.plant.wats.profile.but(misc_infos=misc_infos)
    for _ in range(2):
        assert site.sync(15) == "success"
        site.plant.wats.show_all()
    reports = len(site.plant.wats.store)
    for _ in range(2):
        assert compare(site) == "success"
        assert verified() == {"equal": reports, "outdated": 0, "altered": 0, "absent": 9 - reports}
    assert list(site.plant.receipts.values()) == [1] * reports
    altered = site.plant.wats.store.reports()[0]
    altered["root"]["steps"][0]["reportText"] = "by hand"
    site.plant.wats.store.receive(json.dumps(altered).encode())
    site.plant.wats.show_all()
    assert compare(site) == "failed"
    assert proof().altered == 1


def test_the_comparison_removes_the_dead_letter_of_a_row_that_has_its_guid_by_now_unless_it_is_a_dry_run(
    site, tmp_path
):
    assert site.sync(15) == "success"
    dead_letters = DeadLetters(UPath(tmp_path))
    dead_letters.put(a_run(1), DeadLetterKind.DEAD, "VW234 no GUID", WITHOUT_KEY, BEGIN_AT)
    dead_letters.put(a_run(2), DeadLetterKind.DEAD, "serial is blank", "serial is blank", BEGIN_AT)
    assert compare(site, dry_run=True) == "success"
    assert dead_letters.guids() == {guid_of(1), guid_of(2)}
    assert compare(site) == "success"
    assert dead_letters.guids() == {guid_of(2)}


def test_a_report_that_was_altered_in_wats_fails_the_comparison_by_name(site, reasons):
    assert site.sync(15) == "success"
    site.plant.wats.show_all()
    report = site.plant.wats.store.reports()[0]
    report["result"] = "P" if report["result"] == "F" else "F"
    site.plant.wats.store.receive(json.dumps(report).encode())
    site.plant.wats.show_all()
    assert compare(site) == "failed"
    assert "1 of " in reasons[0]
    assert report["id"] in reasons[0]
    assert "result: " in reasons[0]
    assert "vte_wats_backfill" in reasons[0]
    assert proof().altered == 1


@every_wats()
def test_a_report_that_was_altered_in_wats_is_put_right_where_the_setting_says_so(site, monkeypatch):
    answers = json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"]) | {"repair_altered": True}
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(answers))
    assert site.sync(15) == "success"
    site.plant.wats.show_all()
    report = site.plant.wats.store.reports()[0]
    result = report["result"]
    report["result"] = "P" if result == "F" else "F"
    site.plant.wats.store.receive(json.dumps(report).encode())
    site.plant.wats.show_all()
    assert compare(site, dry_run=True) == "failed"  # it posts nothing, so it says what it found
    assert compare(site) == "success"
    assert verified()["altered"] == 1
    assert proof().altered == 0
    site.plant.wats.show_all()
    repaired = {found["id"]: found["result"] for found in site.plant.wats.store.reports()}
    assert repaired[report["id"]] == result
    assert compare(site) == "success"
    assert verified()["altered"] == 0


def test_an_altered_report_of_a_run_that_is_left_out_stays_as_it_is_and_counts_as_held(site, monkeypatch):
    assert site.sync(15) == "success"
    site.plant.wats.show_all()
    report = site.plant.wats.store.reports()[0]
    result = report["result"] = "P" if report["result"] == "F" else "F"
    site.plant.wats.store.receive(json.dumps(report).encode())
    site.plant.wats.show_all()
    before = site.plant.receipts
    who = {report["id"]: {"by": "quality engineer", "reason": "judged again, ticket 7"}}
    answers = json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"]) | {"repair_altered": True, "excluded_runs": who}
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(answers))
    assert compare(site) == "success"
    site.plant.wats.show_all()
    assert site.plant.receipts == before
    assert {found["id"]: found["result"] for found in site.plant.wats.store.reports()}[report["id"]] == result
    assert verified()["altered"] == 0
    (day,) = (day for day in proof().days.values() if day.in_vte)
    assert (day.held, day.open) == (1, 0)


def test_an_altered_report_that_the_sample_found_stays_known_until_it_is_equal_again(site):
    assert site.sync(15) == "success"
    site.plant.wats.show_all()
    before, report = (site.plant.wats.store.reports()[0] for _ in range(2))
    report["root"]["steps"][0]["name"] += " 2"  # no listing shows it
    site.plant.wats.store.receive(json.dumps(report).encode())
    site.plant.wats.show_all()
    assert compare(site) == "failed"
    for _ in range(2):
        assert compare(site, sample=0) == "failed"
        assert (proof().altered, proof().altered_runs) == (1, (UUID(report["id"]),))
        assert [run.index_guid for day in proof().days.values() for run in day.open_runs] == [report["id"]]
    site.plant.wats.store.receive(json.dumps(before).encode())
    site.plant.wats.show_all()
    assert compare(site, sample=0) == "success"
    assert (proof().altered, proof().altered_runs) == (0, ())
    assert sum(day.open for day in proof().days.values()) == 0


def test_a_changed_header_is_found_in_every_report_whatever_the_sample_holds(site, reasons):
    assert site.sync(15) == "success"
    report = site.plant.wats.store.reports()[0]
    report["sn"] += "0"
    site.plant.wats.store.receive(json.dumps(report).encode())
    site.plant.wats.show_all()
    assert compare(site, sample=0) == "failed"
    assert f"1 of 1 sampled reports were altered in WATS: run {report['id']}: sn: " in reasons[0]
    (today,) = proof().differences.values()
    assert today == {Cause.WATS_CHANGED: 1}


@every_wats()
def test_a_sample_of_none_asks_wats_nothing_about_content(site):
    assert site.sync(15) == "success"
    site.plant.wats.show_all()
    assert compare(site, sample=0) == "success"
    assert site.plant.wats.log.find("GET", "/api/Report/Wsjf/") == []
    with create_session() as session:
        states = {task.task_id: str(task.state) for task in session.query(TaskInstance).filter_by(dag_id=RECONCILE)}
    assert states["verify"] == "success"


def test_a_day_is_closed_by_the_comparison_that_repairs_and_opens_what_was_missing(site, clock):
    with site.showing_after(delay_s=0):
        assert site.sync(15) == "success"
        guid = min(site.plant.receipts)
        for sample, still_open in ((0, [guid]), (100, [])):
            clock.pass_minutes(1)
            site.plant.wats.store.remove(guid)
            assert compare(site, sample=sample) == "success"
            assert [run.index_guid for day in proof().days.values() for run in day.open_runs] == still_open
            assert sum(day.open for day in proof().days.values()) == len(still_open)


@every_wats()
def test_a_sync_that_comes_before_reports_show_sends_none_of_them_again(site, wats_profile):
    site.plant.wats.profile = wats_profile.but(shown_after_s=wats_profile.shown_after_s and 600)
    assert site.sync(15) == "success"
    reports = len(site.plant.wats.store)
    assert reports > 0
    assert site.sync(15) == "success"
    site.plant.wats.show_all()
    assert compare(site) == "success"
    assert list(site.plant.receipts.values()) == [1] * reports


@every_wats()
def test_wats_refuses_nothing_of_what_stations_write(site, tmp_path):
    """Every oddity of a plant is a report that each WATS takes, or a dead letter for a reason of its own."""
    site.plant.factory_data.load(
        site.plant.db, start=BEGIN_AT, end=BEGIN_AT + timedelta(minutes=15), runs=20, steps=None, oddities=True
    )
    assert site.sync(20) == "success"
    dead_letters = [json.loads(path.read_text()) for path in (tmp_path / "dead_letters").glob("*.json")]
    assert {entry["signature"] for entry in dead_letters if entry["signature"].startswith("wats")} == set()
    assert site.plant.wats.log.find("POST", "/api/Report/WSJF", status=400) == []
    assert len(site.plant.wats.store) > 20


def proof() -> Proof:
    """What the comparisons have proven so far."""
    found = PROOF.parse(OneSite(), Variable.get(OneSite().proof_variable))
    assert found is not None
    return found


def test_a_dry_run_of_the_comparison_proves_nothing_and_leaves_its_days_to_the_next_one(site):
    assert site.sync(15) == "success"
    site.plant.wats.show_all()
    assert compare(site, dry_run=True) == "success"
    assert Variable.get(OneSite().proof_variable, default_var=None) is None
    assert compare(site) == "success"
    assert proof().compared_at is not None


@every_wats()
def test_what_changed_in_vte_long_after_its_upload_reaches_wats_and_is_then_proven(site):
    assert site.sync(15) == "success"
    site.plant.wats.show_all()
    runs = sorted(site.plant.receipts)
    before = reports_by_run(site)
    changed = [str(guid) for guid in runs[:2]]
    site.plant.db.query('UPDATE "IndexData" SET "Result" = 1 - "Result" WHERE "Index_GUID" = ?', [changed[0]])
    site.plant.db.query(
        'INSERT INTO "TestDataText" ("Index_GUID", "TestStepNumber", "TestName", "TestResult", "TestResultType") '
        "VALUES (?, 900, 'Late', 'arrived hours later', 1)",
        [changed[1]],
    )
    assert compare(site, sample=0) == "success"
    site.plant.wats.show_all()
    after = reports_by_run(site)
    assert {guid: after[guid] != text for guid, text in before.items()} == {guid: guid in changed for guid in before}
    (day,) = (day for day in proof().days.values() if day.in_vte)
    assert (day.open, day.proven) == (2, len(before) - 2)
    first, *others = sorted(proof().days)
    assert first == BEGIN_AT.date()
    assert others[-1] >= BEGIN_AT.date() + timedelta(days=2)  # the days without runs were compared, too
    assert len(others) == (others[-1] - first).days
    assert set(changed) == {run.index_guid for run in day.open_runs}
    assert list(proof().differences.values()) == [{Cause.VTE_CHANGED: 2}]
    assert compare(site) == "success"
    (day,) = (day for day in proof().days.values() if day.in_vte)
    assert (day.open, day.proven) == (0, len(before))
    assert proof().compared_at is not None


def odd_numbers() -> dict[str, tuple[int, int, int, int]]:
    """Per kind: runs in VTE, proven, held and open."""
    return {
        kind.value: (runs.numbers.in_vte, runs.numbers.proven, runs.numbers.held, runs.open)
        for kind, runs in proof().odd.items()
    }


def set_timestamp(site: Site, guid: UUID, local: datetime | None) -> None:
    site.plant.db.query('UPDATE "IndexData" SET "Timestamp" = ? WHERE "Index_GUID" = ?', [local, guid])


def copy_of(site: Site, guid: UUID, local: datetime | None) -> UUID:
    """Write the run once more, without its steps, under another id and time."""
    copied = uuid4()
    given = 'CAST(? AS UUID) AS "Index_GUID", CAST(? AS TIMESTAMP) AS "Timestamp"'
    sql = f'INSERT INTO "IndexData" SELECT * REPLACE ({given}) FROM "IndexData" WHERE "Index_GUID" = ?'
    site.plant.db.query(sql, [str(copied), local, str(guid)])
    return copied


def runs_in_wats(site: Site) -> set[str]:
    """The runs that reports name, for a WATS may give reports ids of its own."""
    return set(reports_by_run(site))


def reports_by_run(site: Site) -> dict[str, str]:
    """The reports as text, by the run that each names."""
    return {
        info["text"].removeprefix("VTE:"): str(report)
        for report in site.plant.wats.store.reports()
        for info in report["miscInfos"]
        if info["description"] == "source_id"
    }


LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, 997_000)


@every_wats()
def test_runs_that_no_window_holds_reach_wats_as_dated_or_are_held_and_are_then_not_open(site, tmp_path):
    times = (datetime(1753, 1, 1), datetime(1970, 1, 1, 0, 3), datetime(2031, 1, 1), LAST_MOMENT, None)
    assert site.sync(15) == "success"
    odd = {copy_of(site, min(site.plant.receipts), local): local for local in times}
    assert compare(site, sample=0) == "success"
    assert odd_numbers() == {"no_timestamp": (1, 0, 0, 1), "reset_clock": (2, 0, 0, 2), "future": (2, 0, 0, 2)}
    *reset, ahead, _, timeless = odd
    site.plant.wats.show_all()
    assert {str(guid) for guid in odd} & runs_in_wats(site) == {str(guid) for guid in reset}
    starts = {report["start"][:10] for report in site.plant.wats.store.reports()}
    assert {"1752-12-31", "1970-01-01"} <= starts
    kept = json.loads((tmp_path / "dead_letters" / f"{timeless}.json").read_text())
    assert (kept["kind"], kept["signature"]) == ("held", "Timestamp is NULL")
    assert compare(site, sample=0) == "success"
    assert odd_numbers() == {"no_timestamp": (1, 0, 1, 0), "reset_clock": (2, 2, 0, 0), "future": (2, 0, 2, 0)}
    assert [run.timestamp_local for run in proof().odd[OddKind.FUTURE].examples] == [datetime(2031, 1, 1), LAST_MOMENT]
    for minute, guid in enumerate((timeless, ahead)):
        set_timestamp(site, guid, datetime(2026, 3, 2, 0, minute))
    assert compare(site, sample=0) == "success"
    site.plant.wats.show_all()
    assert {str(timeless), str(ahead)} <= runs_in_wats(site)
    assert not (tmp_path / "dead_letters" / f"{timeless}.json").exists()


def test_days_before_the_start_that_have_new_runs_are_transferred_and_the_history_is_not(site):
    assert site.sync(15) == "success"
    site.plant.wats.show_all()
    sent = min(site.plant.receipts)
    history = copy_of(site, sent, datetime(2016, 6, 14))
    week = {"days": 7, "sample": 0}
    assert compare(site, **week) == "success"
    assert proof().never_synced == {datetime(2016, 6, 14).date(): 1}
    late = copy_of(site, sent, datetime(2016, 6, 15))
    assert compare(site, **week) == "success"
    assert odd_numbers() == {"before_start": (1, 0, 0, 1)}
    assert {str(guid) for guid in (history, late)} & runs_in_wats(site) == {str(late)}
    site.plant.wats.show_all()
    assert compare(site, **week) == "success"
    assert odd_numbers() == {"before_start": (1, 1, 0, 0)}


def test_new_runs_between_a_backfilled_month_and_the_start_and_on_its_day_before_its_hour_are_transferred(site):
    month = {"from": "2025-01-01T00:00:00Z", "to": "2025-01-31T00:00:00Z", "guids": [], "batch_size": None}
    assert site.sync(15) == "success"
    sent = min(site.plant.receipts)
    backfilled = copy_of(site, sent, datetime(2025, 1, 20))
    assert site.sync(dag_id="vte_wats_backfill", **month, dead_letters=None, force=False) == "success"
    between, same_day = datetime(2025, 6, 14, 9), datetime(2026, 3, 2, 0, 20)  # the start is at 01:00
    history, _ = (copy_of(site, sent, local) for local in (between, same_day))
    week = {"days": 7, "sample": 0}
    assert compare(site, **week) == "success"
    assert proof().never_synced == {between.date(): 1, same_day.date(): 1}
    late = {copy_of(site, sent, local) for local in (datetime(2025, 6, 15), datetime(2026, 3, 2, 0, 29))}
    assert compare(site, **week) == "success"
    site.plant.wats.show_all()
    assert compare(site, **week) == "success"
    assert {str(guid) for guid in (backfilled, history, *late)} & runs_in_wats(site) == set(
        map(str, (backfilled, *late))
    )
    assert odd_numbers() == {"before_start": (3, 3, 0, 0)}  # of the start's day all that lies before its hour


@every_wats()
def test_runs_that_were_deleted_in_vte_stay_in_wats_and_are_counted(site, wats_profile):
    assert site.sync(15) == "success"
    site.plant.wats.show_all()
    assert compare(site, sample=0) == "success"
    assert proof().gone == {}
    gone = min(site.plant.receipts)
    for table in ("TestDataNumeric", "TestDataText", "TestDataOther", "IndexData"):
        site.plant.db.query(f'DELETE FROM "{table}" WHERE "Index_GUID" = ?', [gone])
    for _ in range(2):
        assert compare(site, sample=0) == "success"
        (found,) = proof().gone.values()
        assert found.runs == 1
        assert found.examples == ((str(gone),) if found.is_listed else ())
    assert found.is_listed is (wats_profile.range_listing is Verdict.TAKEN)
    assert str(gone) in runs_in_wats(site)


def test_a_run_that_is_left_out_is_posted_by_no_dag_and_counts_as_held(site, monkeypatch, tmp_path):
    assert site.sync(15) == "success"
    site.plant.wats.show_all()
    others = set(map(str, site.plant.receipts))
    excluded_runs = str(copy_of(site, UUID(min(others)), datetime(2026, 3, 2, 0, 7)))
    settings = json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"])
    answers = settings | {
        "excluded_runs": {excluded_runs.upper(): {"by": "quality engineer", "reason": "deleted in WATS, ticket 7"}}
    }
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(answers))
    form = {"from": None, "to": None, "guids": [excluded_runs], "batch_size": None, "dead_letters": None, "force": True}
    assert site.sync(dag_id="vte_wats_backfill", **form) == "success"
    assert site.sync(15) == "success"
    assert compare(site, sample=0) == "success"
    site.plant.wats.show_all()
    assert runs_in_wats(site) == others
    kept = json.loads((tmp_path / "dead_letters" / f"{excluded_runs}.json").read_text())
    assert (
        kept["reason"] == "VW552 quality engineer left the run out (setting excluded_runs): deleted in WATS, ticket 7"
    )
    assert compare(site, sample=0) == "success"
    (day,) = (day for day in proof().days.values() if day.in_vte)
    assert (day.proven, day.held, day.open) == (len(others), 1, 0)
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(settings))
    assert compare(site, sample=0) == "success"
    site.plant.wats.show_all()
    assert runs_in_wats(site) == others | {excluded_runs}
