"""Airflow goes wrong: processes are killed, disks fill up, the database is away, people clear what is running."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import psutil
from cryptography.fernet import Fernet

from tests.faults.accounts import Explained
from tests.faults.case import Case, Play
from tests.faults.cases_sql import HEADERS, PLAN, STEPS
from tests.faults.cases_wats import POST, QUERY
from tests.faults.site import STATE, SYNC, UPLOAD, Site

MAP = "transfer.map_runs"
REPORTS = "reports.jsonl.gz"
ORDER = ("plan", "transfer.extract", MAP, UPLOAD, "settle")


def _killed_while_vte_stalls(task_id: str, match: str, after_rows: int = 0) -> Play:
    """Kill a task while it waits for SQL Server."""

    def play(site: Site, random: Random) -> Explained:
        site.load(12)
        fault = site.break_vte("stall", match=match, after_rows=after_rows, seconds=3)
        dag_run_id = site.start_sync()
        site.wait_for_vte_fault(fault)
        site.kill_task(dag_run_id, task_id)
        site.end_sync(dag_run_id, "success")
        return Explained()

    return play


def _killed_while_wats_stalls(path: str, after: int = 0, *, stored: bool = False) -> Play:
    """Kill the upload while it waits for WATS, before or inside its loop, with or without the report stored."""

    def play(site: Site, random: Random) -> Explained:
        guids = site.load(30)
        number = site.break_wats("store_then_timeout" if stored else "stall", path=path, after=after, store=stored)
        dag_run_id = site.start_sync()
        site.wait_for_wats_fault(number)
        site.kill_task(dag_run_id, UPLOAD)
        site.fix()
        site.end_sync(dag_run_id, "success")
        return Explained(again=dict.fromkeys(guids, 2 if stored else 1))

    return play


def _killed_before_map_writes(site: Site, random: Random) -> Explained:
    """Kill map_runs as soon as it runs, while it still loads its code."""
    site.load(12)
    dag_run_id = site.start_sync()
    site.wait_for_task(dag_run_id, MAP, "running")
    site.kill_task(dag_run_id, MAP)
    site.end_sync(dag_run_id, "success")
    return Explained()


def _killed_while_map_writes(site: Site, random: Random) -> Explained:
    """Kill map_runs in the middle of its loop: its result has a name of its own until it is complete."""
    site.load(150, steps=200)
    dag_run_id = site.start_sync()
    folder = site.staging(dag_run_id)
    site.wait_until(lambda: any(folder.glob(f"{REPORTS}.*.part")), "map_runs to write")
    site.kill_task(dag_run_id, MAP)
    site.end_sync(dag_run_id, "success")
    return Explained()


def _killed_before_its_work(task_id: str) -> Play:
    """Kill a task that has started and cannot read its settings yet."""

    def play(site: Site, random: Random) -> Explained:
        site.load(12)
        dag_run_id = site.start_sync()
        before = ORDER[ORDER.index(task_id) - 1] if task_id != "plan" else None
        if before is not None:
            site.wait_for_task(dag_run_id, before, "success")
        with site.locked("variable", "ACCESS EXCLUSIVE"):
            site.kill_task(dag_run_id, task_id)
        site.end_sync(dag_run_id, "success")
        return Explained()

    return play


def _killed_while_it_reports(task_id: str) -> Play:
    """Kill a task whose work is done and which cannot say so: what it returns has no place to go.

    A lock keeps it from beginning until that place is taken.
    """

    def play(site: Site, random: Random) -> Explained:
        site.load(12)
        dag_run_id = site.start_sync()
        if task_id != ORDER[0]:
            site.wait_for_task(dag_run_id, ORDER[ORDER.index(task_id) - 1], "success")
        with ExitStack() as held:
            with site.locked("variable", "ACCESS EXCLUSIVE"):
                site.wait_for_lock("variable", f"{task_id} to read its settings")
                held.enter_context(site.locked("xcom"))
            site.wait_for_lock("xcom", f"{task_id} to report")
            site.kill_task(dag_run_id, task_id)
        site.end_sync(dag_run_id, "success")
        return Explained()

    return play


def _upload_killed_while_it_reports(site: Site, random: Random) -> Explained:
    """Kill the upload when everything is posted and it cannot say so."""
    site.load(12)
    number = site.break_wats("stall", path=POST, after=5, times=1, delay_s=2.0)
    dag_run_id = site.start_sync()
    site.wait_for_wats_fault(number)
    with site.locked("xcom"):
        site.wait_for_lock("xcom", "upload to report")
        if len(site.plant.wats.store.receive_counts()) != 12:
            site.violations.append("upload had not posted everything")
        site.kill_task(dag_run_id, UPLOAD)
    site.end_sync(dag_run_id, "success")
    return Explained(again=dict.fromkeys(site.plant.source, 2))


def _killed_at_a_pipe(place: Callable[[Site, str, str], Path]) -> Play:
    """Kill the upload as it opens a file for writing, which is a pipe that nobody reads from."""

    def play(site: Site, random: Random) -> Explained:
        site.load(12, oddities=("blank_serial",))
        (dead,) = site.loaded.guids_by_oddity["blank_serial"]
        number = site.break_wats("stall", path=POST, after=5, times=1, delay_s=2.0)
        dag_run_id = site.start_sync()
        site.wait_for_wats_fault(number)
        pipe = place(site, dag_run_id, dead)
        pipe.parent.mkdir(parents=True, exist_ok=True)
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
        site.wait_until(lambda: len(site.plant.wats.store.receive_counts()) == 12, "every report to be posted")
        time.sleep(2)
        site.kill_task(dag_run_id, UPLOAD)
        pipe.unlink()
        site.end_sync(dag_run_id, "success")
        return Explained(dead=frozenset({dead}))

    return play


def _killed_in_settle(site: Site, random: Random) -> Explained:
    """Kill settle after staging is gone and before the state is written: a lock holds it exactly there."""
    site.sync()
    site.load(12)
    with site.locked_variable(STATE):
        dag_run_id = site.start_sync()
        site.wait_for_lock("variable", "settle to write")
        site.kill_task(dag_run_id, "settle")
    site.end_sync(dag_run_id, "success")
    return Explained()


def _killed_after_the_state(site: Site, random: Random) -> Explained:
    """Kill settle when the state is written and it cannot say so: what it adds up is added up once."""
    site.sync()
    site.load(12)
    before, watermark = site.uploaded, site.last_sync
    with ExitStack() as held:
        with site.locked_variable(STATE):
            dag_run_id = site.start_sync()
            site.wait_for_lock("variable", "settle to write")
            held.enter_context(site.locked("xcom"))
        site.wait_for_lock("xcom", "settle to report")
        if site.last_sync == watermark:
            site.violations.append("settle had not written the state")
        site.kill_task(dag_run_id, "settle")
    site._watermark = watermark
    site.end_sync(dag_run_id, "success")
    if site.uploaded - before != 12:
        site.violations.append(f"the totals count {site.uploaded - before} uploads of 12")
    return Explained()


def _scheduler_killed(site: Site, random: Random) -> Explained:
    """Kill the scheduler and every task under it, in the middle of an upload, and start it again."""
    guids = site.load(40)
    number = site.break_wats("store_then_timeout", path=POST, after=10)
    dag_run_id = site.start_sync()
    site.wait_for_wats_fault(number)
    site.airflow.kill_component("scheduler")
    site.fix()
    site.airflow.start_component("scheduler")
    site.end_sync(dag_run_id, "success")
    return Explained(again=dict.fromkeys(guids, 2))


def _cleared_when_done(site: Site, random: Random) -> Explained:
    site.load(12)
    dag_run_id = site.sync()
    site.story.states.append("all cleared")
    site.airflow.clear(SYNC, dag_run_id)
    if site.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=600) != "success":
        site.violations.append("the cleared sync failed")
    counts = site.airflow.xcom(SYNC, dag_run_id, "settle") or {}
    if counts.get("uploaded") or counts.get("replaced"):
        site.violations.append(f"a cleared sync uploaded again: {counts}")
    return Explained()


def _cleared_while_running(site: Site, random: Random) -> Explained:
    """An operator clears everything in the middle of an upload."""
    guids = site.load(30)
    number = site.break_wats("store_then_timeout", path=POST, after=10, times=8)
    dag_run_id = site.start_sync()
    site.wait_for_wats_fault(number)
    site.story.states.append("all cleared while running")
    site.airflow.clear(SYNC, dag_run_id)
    site.fix()
    site.end_sync(dag_run_id, "success")
    return Explained(again=dict.fromkeys(guids, 3))


def _marked_by_hand(site: Site, random: Random) -> Explained:
    """Somebody marks a failed upload success: settle names it and stays open, and nothing is lost once it is cleared."""
    site.load(12)
    site.break_wats("status", status=403, path=POST)
    dag_run_id = site.sync("failed")
    site.fix()
    with site.metadata() as cursor:
        cursor.execute(
            "UPDATE task_instance SET state = 'success' WHERE run_id = %s AND task_id = %s", (dag_run_id, UPLOAD)
        )
    site.story.states.append("upload marked success")
    site.clear_failed(dag_run_id, "failed")
    if "VW625" not in site.failure(dag_run_id):
        site.violations.append(f"settle did not say what was marked: {site.failure(dag_run_id)}")
    site.story.states.append("all cleared")
    site.airflow.clear(SYNC, dag_run_id)
    site.end_sync(dag_run_id, "success")
    return Explained()


def _another_key(site: Site, random: Random) -> Explained:
    """The state was encrypted with a key that is gone: the sync stops and says so, and writes nothing over it."""
    site.sync()
    site.load(12)
    good = site.airflow.variable(STATE) or "{}"
    hidden = Fernet(Fernet.generate_key()).encrypt(good.encode()).decode()
    site._watermark = site.last_sync
    with site.metadata() as cursor:
        cursor.execute("UPDATE variable SET val = %s, is_encrypted = true WHERE key = %s", (hidden, STATE))
    dag_run_id = site.airflow.trigger(SYNC)
    state = site.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=600)
    site.story.states.append(state)
    if state != "failed" or "VW627" not in site.failure(dag_run_id):
        site.violations.append(f"another key was not named: {state}: {site.failure(dag_run_id)}")
    with site.metadata() as cursor:
        cursor.execute("SELECT val FROM variable WHERE key = %s", (STATE,))
        if cursor.fetchone() != (hidden,):
            site.violations.append("a state that cannot be read was written over")
    site.airflow.set_variable(STATE, good)
    site.clear_failed(dag_run_id)
    return Explained()


def _odd_xcoms(site: Site, random: Random) -> Explained:
    """What settle left in XCom is of another shape each time, as after another XCom backend: it counts as none."""
    for value in ('"s3://xcom/lost.json"', '{"receipt": 1}', "[1]", "null"):
        site.load(3)
        site.sync()
        with site.metadata() as cursor:
            cursor.execute("UPDATE xcom SET value = %s WHERE task_id = 'settle'", (value,))
            if not cursor.rowcount:
                site.violations.append("there was no XCom of settle to change")
    site.load(3)
    site.sync()
    return Explained()


def _metadata_away(site: Site, random: Random) -> Explained:
    """Airflow's own database answers nobody for some seconds, in the middle of an upload."""
    guids = site.load(30)
    number = site.break_wats("stall", path=POST, after=5, times=8, delay_s=2.0)
    dag_run_id = site.start_sync()
    site.wait_for_wats_fault(number)
    postgres = psutil.Process(site.airflow.pids["postgres"])
    processes = [postgres, *postgres.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(6)
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)
    site.end_sync(dag_run_id, "success")
    return Explained(again=dict.fromkeys(guids, 2))


def _metadata_gone(site: Site, random: Random) -> Explained:
    """Airflow's own database is stopped in the middle of an upload and started again; what it took along restarts."""
    guids = site.load(30)
    number = site.break_wats("stall", path=POST, after=5, times=8, delay_s=2.0)
    dag_run_id = site.start_sync()
    site.wait_for_wats_fault(number)
    site.airflow._postgres.stop()
    time.sleep(4)
    site.airflow._postgres.start()
    site.restart_what_ended()
    site.end_sync(dag_run_id, "success")
    return Explained(again=dict.fromkeys(guids, 2))


def _api_server_killed(site: Site, random: Random) -> Explained:
    """The API server, which every running task reports to, is killed in the middle of an upload."""
    guids = site.load(30)
    number = site.break_wats("stall", path=POST, after=5, times=8, delay_s=2.0)
    dag_run_id = site.start_sync()
    site.wait_for_wats_fault(number)
    site.airflow.kill_component("api-server")
    site.airflow.start_component("api-server")
    site.end_sync(dag_run_id, "success")
    return Explained(again=dict.fromkeys(guids, 2))


def _in_the_way(place: Callable[[Site], Path]) -> Play:
    """A folder cannot be made: something else stands there, as on a disk that may only be read."""

    def play(site: Site, random: Random) -> Explained:
        guids = site.load(6, oddities=("blank_serial",))
        dead = frozenset(site.loaded.guids_by_oddity["blank_serial"])
        path = place(site)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not a folder")
        dag_run_id = site.sync("failed")
        path.unlink()
        site.clear_failed(dag_run_id)
        return Explained(dead=dead, again=dict.fromkeys(guids, 1))

    return play


def _read_only(folder: str) -> Play:
    """A folder is there and may only be read, as after a disk that failed was mounted again."""

    def play(site: Site, random: Random) -> Explained:
        guids = site.load(6, oddities=("blank_serial",))
        dead = frozenset(site.loaded.guids_by_oddity["blank_serial"])
        path = site.storage / folder
        path.mkdir(parents=True, exist_ok=True)
        with read_only(path):
            dag_run_id = site.sync("failed")
        site.clear_failed(dag_run_id)
        return Explained(dead=dead, again=dict.fromkeys(guids, 1))

    return play


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nothing be written into a folder: by its mode, or for root, who may all, by a mount."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(0o755)
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(folder)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Put a file system in the place of a folder on which files can be made, and nothing fits. It takes root."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,mode=0700", "none", str(folder)], check=True)
    try:
        (folder / "what takes all the room").write_bytes(bytes(4_096))
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _no_room(name: str) -> Play:
    """One folder of the storage is on a disk that is full."""

    def play(site: Site, random: Random) -> Explained:
        site.load(6, oddities=("blank_serial",))
        (dead,) = site.loaded.guids_by_oddity["blank_serial"]
        folder = site.storage / name
        folder.mkdir(parents=True)
        with full_disk(folder):
            dag_run_id = site.sync("failed")
        site.clear_failed(dag_run_id)
        return Explained(dead=frozenset({dead}))

    return play


CASES = (
    Case("airflow.kill-plan", "SIGKILL of plan while it counts", _killed_while_vte_stalls("plan", PLAN)),
    Case(
        "airflow.kill-extract",
        "SIGKILL of extract before the headers",
        _killed_while_vte_stalls("transfer.extract", HEADERS),
    ),
    Case(
        "airflow.kill-extract-inside",
        "SIGKILL of extract inside the steps",
        _killed_while_vte_stalls("transfer.extract", STEPS, 20),
        short=True,
    ),
    *(
        Case(
            f"airflow.kill-{task_id.removeprefix('transfer.')}-early",
            f"SIGKILL of {task_id.removeprefix('transfer.')} before it has read its settings",
            _killed_before_its_work(task_id),
        )
        for task_id in ORDER
    ),
    Case(
        "airflow.kill-plan-reporting",
        "SIGKILL of plan when all is counted, before it can say so",
        _killed_while_it_reports("plan"),
    ),
    Case(
        "airflow.kill-extract-reporting",
        "SIGKILL of extract when all is staged, before it can say so",
        _killed_while_it_reports("transfer.extract"),
    ),
    Case(
        "airflow.kill-map-reporting",
        "SIGKILL of map_runs when all is mapped, before it can say so",
        _killed_while_it_reports(MAP),
    ),
    Case(
        "airflow.kill-upload-reporting",
        "SIGKILL of upload when all is posted, before it can say so",
        _upload_killed_while_it_reports,
    ),
    Case(
        "airflow.kill-upload-noting",
        "SIGKILL of upload as it notes what it achieved",
        _killed_at_a_pipe(lambda site, dag_run_id, _: site.staging(dag_run_id) / "outcomes.jsonl.gz"),
    ),
    Case(
        "airflow.kill-upload-burying",
        "SIGKILL of upload as it writes a dead letter",
        _killed_at_a_pipe(lambda site, _, dead: site.storage / "dead_letters" / f"{dead}.part"),
    ),
    Case(
        "airflow.kill-settle-after",
        "SIGKILL of settle when the state is written, before it can say so",
        _killed_after_the_state,
        short=True,
    ),
    Case("airflow.kill-map", "SIGKILL of map_runs as it opens its result", _killed_before_map_writes),
    Case(
        "airflow.kill-map-inside",
        "SIGKILL of map_runs in the middle of its result",
        _killed_while_map_writes,
    ),
    Case(
        "airflow.kill-upload-asking", "SIGKILL of upload while it asks what is there", _killed_while_wats_stalls(QUERY)
    ),
    Case("airflow.kill-upload-posting", "SIGKILL of upload after ten reports", _killed_while_wats_stalls(POST, 10)),
    Case(
        "airflow.kill-upload-stored",
        "SIGKILL of upload with reports stored and not confirmed",
        _killed_while_wats_stalls(POST, 10, stored=True),
        short=True,
    ),
    Case("airflow.kill-settle", "SIGKILL of settle just before it writes the state", _killed_in_settle, short=True),
    Case("airflow.kill-scheduler", "SIGKILL of the scheduler and all tasks in mid upload", _scheduler_killed),
    Case("airflow.kill-api-server", "SIGKILL of the API server in mid upload", _api_server_killed),
    Case("airflow.database-away", "Airflow's database stands still for six seconds", _metadata_away),
    Case("airflow.database-gone", "Airflow's database is stopped for four seconds and started again", _metadata_gone),
    Case("airflow.staging-read-only", "the staging folder may only be read", _read_only("staging")),
    Case("airflow.dead-letters-read-only", "the folder of dead letters may only be read", _read_only("dead_letters")),
    Case("airflow.in-flight-keys-read-only", "the folder of in-flight keys may only be read", _read_only("uploading")),
    Case("airflow.marked-by-hand", "a failed upload is marked success by hand, then cleared", _marked_by_hand),
    Case("airflow.another-key", "the state is encrypted with a Fernet key that is gone", _another_key),
    Case("airflow.odd-xcoms", "what settle left in XCom comes back in other shapes", _odd_xcoms),
    Case("airflow.cleared", "everything is cleared after a success", _cleared_when_done, short=True),
    Case("airflow.cleared-running", "everything is cleared in mid upload", _cleared_while_running),
    Case(
        "airflow.staging-unwritable",
        "the staging folder cannot be made",
        _in_the_way(lambda site: site.storage / "staging"),
        short=True,
    ),
    Case(
        "airflow.dead-letters-unwritable",
        "the folder of dead letters cannot be made",
        _in_the_way(lambda site: site.storage / "dead_letters"),
    ),
    Case("airflow.disk-full-staging", "no room for staged runs", _no_room("staging")),
    Case("airflow.disk-full-dead-letter", "no room for a dead letter", _no_room("dead_letters")),
)
