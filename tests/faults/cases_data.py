"""Odd data, damaged state, and everything at once under load."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.faults.accounts import Explained
from tests.faults.case import Case, Play
from tests.faults.cases_sql import HEADERS, STEPS
from tests.faults.cases_wats import POST, QUERY
from tests.faults.site import BACKFILL, STATE, SYNC, Site

DEAD = (
    *("null_serial", "empty_serial", "blank_serial", "overlong_serial", "unknown_product", "overlong_product_name"),
    "natural_key_twins",
)
HELD = (
    *("unmapped_testplan", "unknown_testplan", "null_result", "unlisted_result_code", "unlisted_step_result_code"),
    "future_by_years",  # by the daily comparison
)
STORM_SYNCS = 5
NOT_DUE = ("future_by_minutes",)


def _named(site: Site, names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(guid.lower() for name in names for guid in site.loaded.guids_by_oddity.get(name, ()))


def _explained(site: Site) -> Explained:
    return Explained(dead=_named(site, DEAD), held=_named(site, HELD), not_due=_named(site, NOT_DUE))


def _every_oddity(site: Site, random: Random) -> Explained:
    site.load(20, oddities=True)
    site.sync()
    site.compare_all()
    return _explained(site)


def _half_an_emoji(site: Site, random: Random) -> Explained:
    """Half a surrogate pair in texts of one run; of another one it stands in the serial, which is never altered."""
    guids = site.load(20)
    half = chr(0x10D83D)
    for table, column in (("TestDataText", "TestResult"), ("TestDataNumeric", "TestUnits"), ("IndexData", "Info2")):
        site.plant.db.query(f'UPDATE "{table}" SET "{column}" = ? WHERE "Index_GUID" = ?', [f"cut {half}", guids[0]])
    dead = _of_the_unit_of(site, guids[1])
    site.plant.db.query(
        'UPDATE "UutData" SET "Serial" = ? WHERE "Uut_GUID" = (SELECT "Uut_GUID" FROM "IndexData" WHERE "Index_GUID" = ?)',
        [f"AB12{half}", guids[1]],
    )
    site.sync()
    return Explained(dead=dead)


def _doubled_rows(site: Site, random: Random) -> Explained:
    """One unit has two serials, and one run two rows: each is a dead letter, and their neighbours go through."""
    guids = site.load(20)
    dead = _of_the_unit_of(site, guids[0])
    doubled = next(guid for guid in guids if guid not in dead)
    unit = site.plant.db.query('SELECT "Uut_GUID" FROM "IndexData" WHERE "Index_GUID" = ?', [guids[0]])[0][0]
    site.plant.db.insert_rows({"UutData": [{"Uut_GUID": unit, "Serial": "another"}]})
    site.plant.db.query('INSERT INTO "IndexData" SELECT * FROM "IndexData" WHERE "Index_GUID" = ?', [doubled])
    site.sync()
    return Explained(dead=dead | {doubled})


def _of_the_unit_of(site: Site, guid: str) -> frozenset[str]:
    """Return all runs of the unit that a run tested."""
    runs = site.plant.db.query(
        'SELECT a."Index_GUID" FROM "IndexData" a JOIN "IndexData" b USING ("Uut_GUID") WHERE b."Index_GUID" = ?',
        [guid],
    )
    return frozenset(str(run).lower() for (run,) in runs)


def _template_names(site: Site, random: Random) -> Explained:
    """Test plans are called like templates: held, then transferred by their own names, in which nothing is rendered."""
    names = ("{{ conn.wats_default.password }}", "{{ 7 * 7 }}", "{% raw %}", "x.sql")
    guids = site.load(12)
    for number, guid in enumerate(guids):
        name = names[number % len(names)]
        site.plant.db.query('UPDATE "IndexData" SET "TestplanName" = ? WHERE "Index_GUID" = ?', [name, guid])
    site.sync()
    if set(site.dead_letters) != set(guids):
        site.violations.append(f"held are {len(site.dead_letters)} of {len(guids)}")
    site.set(process_map=site.settings["process_map"] | dict.fromkeys(names, 100))
    _redrive_in_two_parts(site, f"unmapped test plan {names[0]!r}")
    if len(site.dead_letters) != 9:
        site.violations.append(f"held are {len(site.dead_letters)} after the redrive of three")
    site.sync()
    return Explained()


def _redrive_in_two_parts(site: Site, signature: str) -> None:
    """Redrive a group of three, a run per slice and two slices per DAG run: the second part gets its name from the first."""
    site.airflow.unpause(BACKFILL)
    site.start_sync(BACKFILL, dead_letters=signature, batch_size=1)
    site.wait_until(lambda: len(site.airflow.runs(BACKFILL)) == 2, "the DAG run of the second part")
    for part in site.airflow.runs(BACKFILL):
        site.end_sync(part.dag_run_id, "success", BACKFILL)


def _large(site: Site, random: Random) -> Explained:
    site.load(300, steps=300)
    site.sync()
    return Explained()


def _held_go_through(site: Site, random: Random) -> Explained:
    """Held runs wait for a setting and go by themselves once it is there."""
    site.load(6, oddities=("unmapped_testplan", "unlisted_result_code"))
    site.sync()
    if site.dead_letters.keys() != _named(site, HELD):
        site.violations.append(f"held are {sorted(site.dead_letters)}")
    site.set(
        process_map=site.settings["process_map"] | {"*": 100},
        result_codes={"1": "Passed", "0": "Failed", "2": "Error", "3": "Terminated", "7": "Passed"},
    )
    site.sync()
    if site.dead_letters:
        site.violations.append(f"still held: {sorted(site.dead_letters)}")
    site.set(process_map=site.settings["process_map"])
    site.plant.db.query('UPDATE "IndexData" SET "Result" = 1 WHERE "Result" = 7')  # the check knows no code 7
    return Explained()


def _damaged_state(site: Site, random: Random) -> Explained:
    """The state is no state any more: the sync stops, and goes on once a backup is there."""
    site.sync()
    site.load(6)
    good = site.airflow.variable(STATE) or "{}"
    dag_run_id = ""
    for damaged in ('{"since": "never", "coverage": 7}', "{}"):
        site.airflow.set_variable(STATE, damaged)
        dag_run_id = site.start_sync()
        site._watermark = None
        site.end_sync(dag_run_id, "failed")
        if json.loads(site.airflow.variable(STATE) or "null") != json.loads(damaged):
            site.violations.append("a damaged state was written over")
        site.airflow.set_variable(STATE, good)
    site._watermark = site.last_sync
    site.clear_failed(dag_run_id)
    return Explained()


def _refused_then_accepted(site: Site, random: Random) -> Explained:
    site.load(12)
    site._watermark = site.last_sync
    dag_run_id = site.airflow.trigger(SYNC)
    site.end_sync(dag_run_id, "failed")
    site.story.states.append("accepted")
    site._watermark = None
    site.end_sync(site.airflow.trigger(SYNC, conf={"accept_identity": True}), "success")
    return Explained()


def _lost_state(site: Site, random: Random) -> Explained:
    """Somebody deletes the state: the sync stops, begins again when asked to, and uploads nothing twice."""
    site.load(12)
    site.sync()
    with site.metadata() as cursor:
        cursor.execute("DELETE FROM variable WHERE key = %s", (STATE,))
    return _refused_then_accepted(site, random)


def _older_state(site: Site, random: Random) -> Explained:
    """Somebody restores an older state: what was done since is looked at again, and left as it is."""
    site.sync()
    older = site.airflow.variable(STATE) or "{}"
    site.load(12)
    site.sync()
    site.airflow.set_variable(STATE, older)
    site.sync()
    return Explained()


def _foreign(change: Callable[[dict[str, Any]], None], words: str) -> Play:
    """The state is not what was found: plan stops with the choices, and goes on once the right one is back."""

    def play(site: Site, random: Random) -> Explained:
        site.sync()
        site.load(12)
        good = site.airflow.variable(STATE) or "{}"
        changed = json.loads(good)
        change(changed)
        site.airflow.set_variable(STATE, json.dumps(changed))
        dag_run_id = site.sync("failed")
        if words not in site.failure(dag_run_id):
            site.violations.append(f"plan did not say {words!r}: {site.failure(dag_run_id)}")
        if json.loads(site.airflow.variable(STATE) or "{}") != changed or site.posts:
            site.violations.append("something was written although the state was refused")
        site.airflow.set_variable(STATE, good)
        site._watermark = site.last_sync
        site.clear_failed(dag_run_id)
        return Explained()

    return play


def _from_the_future(state: dict[str, Any]) -> None:
    later_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    state["coverage"][-1]["to"] = later_at.isoformat()


def _of_another_wats(site: Site, random: Random) -> Explained:
    """The connection leads to another WATS, which is meant: the sync stops, and goes on when asked to."""
    state = site.state
    site.airflow.set_variable(STATE, json.dumps(state | {"target": "old.wats.example"}))
    return _refused_then_accepted(site, random)


def _regressed(site: Site, random: Random) -> Explained:
    """A state that counts fewer syncs than were settled, with all its coverage: a restored backup."""
    site.sync()
    state = site.state
    site.airflow.set_variable(STATE, json.dumps(state | {"syncs": state["syncs"] - 1}))
    site.load(12)
    site.sync()
    return Explained()


def _wrong_settings(site: Site, random: Random) -> Explained:
    """A setting is wrong: one clear stop, and on once it is fixed."""
    site.load(6)
    site.airflow.set_variable("vte_wats", json.dumps(site.settings | {"source_timezone": "Europe/Olso"}))
    dag_run_id = site.sync("failed")
    site.set()
    site.clear_failed(dag_run_id)
    return Explained()


def _storm(runs: int, faults: int) -> Play:
    """Many faults at once, drawn from the seed, while a thousand runs go through; then all is fixed."""

    def play(site: Site, random: Random) -> Explained:
        guids = site.load(runs)
        site.break_wats("stall", path=POST, delay_s=0.5, times=3)
        for _ in range(faults):
            _draw(site, random, guids)
        for _ in range(STORM_SYNCS):  # with what is left of the faults: a new sync looks back over the failed one
            if site.end_sync(site.start_sync()) == "success":
                break
        site.fix()
        site.sync()
        site.see_what_shows()
        if site.strikes < faults:
            site.violations.append(f"only {site.strikes} strikes of {faults} faults")
        return Explained(again={guid: 1 + times for guid, times in site.spoilt.items()})

    return play


def _draw(site: Site, random: Random, guids: list[str]) -> None:
    """Arm one fault that ends by itself."""
    kinds = ["status", "store_then_status", "store_then_timeout", "store_then_reset", "reset", "close", "reset_inside"]
    kinds += ["html", "empty_200", "wrong_id", "truncated_json", "no_store", "quarantine", "drip"]
    if random.random() < 0.25:
        kind = random.choice(["drop", "deadlock", "lock_timeout", "refuse"])
        match = None if kind == "refuse" else random.choice([HEADERS, STEPS])
        rows = random.choice([0, 5, 50]) if kind == "drop" else 0
        site.break_vte(kind, match=match, times=random.randint(1, 2), after_rows=rows)
        return
    kind = random.choice(kinds)
    asks = kind not in ("no_store", "quarantine", "wrong_id", "empty_200") and random.random() < 0.2
    site.break_wats(
        kind,
        path=QUERY if asks else POST,
        body=None if asks or random.random() < 0.5 else random.choice(guids),
        after=random.randint(0, 100),
        times=random.randint(1, 6),
        status=random.choice([429, 500, 502, 503]),
        retry_after=random.choice([None, 1]),
        delay_s=1.0 if kind == "drip" else None,
    )


CASES = (
    Case("data.every-oddity", "every oddity the plant knows, at once", _every_oddity, short=True),
    Case("data.held", "held runs go through once a setting names them", _held_go_through),
    Case(
        "data.half-an-emoji", "half a surrogate pair in texts of one run and in the serial of another", _half_an_emoji
    ),
    Case("data.doubled-rows", "a unit with two serials, and a run with two rows", _doubled_rows),
    Case("data.template-names", "test plans are called like templates of Airflow", _template_names),
    Case("data.large", "three hundred runs of three hundred steps", _large),
    Case("state.damaged", "the state is damaged twice, and restored", _damaged_state, short=True),
    Case("state.deleted", "the state is deleted", _lost_state, short=True),
    Case("state.older", "an older state is restored", _older_state),
    Case(
        "state.future",
        "the state covers time in the future",
        _foreign(_from_the_future, "covers time in the future"),
        short=True,
    ),
    Case(
        "state.foreign-server",
        "the state is that of a database on another server",
        _foreign(
            lambda state: state["source"].update(server="ELSEWHERE"), "another database than the one synced so far"
        ),
    ),
    Case(
        "state.foreign-database",
        "the state is that of another database",
        _foreign(
            lambda state: state["source"].update(database="VTE9_2"), "another database than the one synced so far"
        ),
    ),
    Case(
        "state.restored-database",
        "the database was made again since the state was written",
        _foreign(
            lambda state: state["source"].update(created_local="2020-01-01T00:00:00"), "restored or created again"
        ),
    ),
    Case("state.foreign-target", "the state is that of another WATS, which is accepted", _of_another_wats),
    Case("state.regressed", "the state counts fewer syncs than there were", _regressed),
    Case("state.settings", "a setting is wrong", _wrong_settings),
    Case("storm.small", "200 runs, eight faults drawn from the seed", _storm(200, 8), short=True),
    Case("storm.thousand", "1,000 runs, twenty faults drawn from the seed", _storm(1000, 20)),
    Case("storm.thousand-again", "1,000 runs, forty faults drawn from the seed", _storm(1000, 40)),
)
