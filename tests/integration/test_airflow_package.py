"""What Airflow itself makes of this repository: its DAGs, its plugin folder, its provider."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from datetime import timedelta
from importlib import import_module
from inspect import iscoroutinefunction
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from airflow._shared.module_loading import import_string
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.serialization.decoders import decode_deadline_alert
from airflow.serialization.encoders import encode_deadline_alert
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.session import create_session

from vte_wats.config.sites import Site
from vte_wats.orchestration.pools import tasks_by_pool
from vte_wats.orchestration.retry import SyncRetryPolicy
from vte_wats.orchestration.timetable import SyncTimetable
from vte_wats.package_folders import package_folder


def run_python(work: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", work], env=os.environ | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def bag(repository: Path) -> DagBag:
    return DagBag(dag_folder=str(repository / "dags"))


def test_every_dag_file_loads(bag):
    assert bag.import_errors == {}
    kinds = {"sync", "reconcile", "monitor", "backfill", "preflight", "acceptance", "survey"}
    assert set(bag.dags) == {f"vte_wats_{kind}" for kind in kinds}


def test_every_named_site_has_dags_pools_and_connections_of_its_own(repository):
    pools = json.loads(
        run_python(
            "import json\n"
            "from airflow.dag_processing.dagbag import DagBag\n"
            f"bag = DagBag({str(repository / 'dags')!r})\n"
            "assert not bag.import_errors, bag.import_errors\n"
            "print(json.dumps({i: sorted({t.pool for t in d.tasks}) for i, d in bag.dags.items()}))",
            AIRFLOW__VTE_WATS__SITES="oslo, bergen",
        )
    )
    kinds = ("sync", "reconcile", "backfill")
    assert pools == {
        f"vte_wats_{kind}_{site}": sorted(
            ["default_pool", f"vte_read_{site}", f"vte_wats_state_{site}", f"wats_api_{site}"]
        )
        for kind in kinds
        for site in ("oslo", "bergen")
    } | {
        f"vte_wats_{kind}_{site}": sorted(pools)
        for site in ("oslo", "bergen")
        for kind, pools in (
            ("monitor", ["default_pool"]),
            (
                "preflight",
                [
                    "default_pool",
                    *(f"{pool}_{site}" for pool in ("vte_read", "vte_survey", "vte_wats_state", "wats_api")),
                ],
            ),
            ("acceptance", [f"wats_api_{site}"]),
            ("survey", [f"vte_survey_{site}", f"wats_api_{site}"]),
        )
    }


def test_the_tasks_of_each_pool_are_those_of_the_dags(bag):
    found: dict[str, dict[str, list[str]]] = {}
    for dag_id, dag in bag.dags.items():
        for task in dag.tasks:
            if task.pool != "default_pool":
                tasks = found.setdefault(task.pool, {}).setdefault(dag_id.removeprefix("vte_wats_"), [])
                tasks.append(task.task_id)
    known = tasks_by_pool(Site())
    assert {pool: {kind: sorted(ids) for kind, ids in kinds.items()} for pool, kinds in found.items()} == {
        pool: {kind: sorted(ids) for kind, ids in kinds.items()} for pool, kinds in known.items()
    }
    assert set(found) == set(json.loads((package_folder("include") / "pools.json").read_text(encoding="utf-8")))


def test_a_check_or_a_survey_whose_pool_is_missing_does_not_wait_for_ever(bag):
    assert bag.dags["vte_wats_preflight"].dagrun_timeout == timedelta(minutes=15)
    assert bag.dags["vte_wats_survey"].dagrun_timeout == timedelta(hours=2)


def test_whoever_reads_vte_waits_for_a_slot_of_its_pool(bag):
    """An upload reads again in its slot of WATS, so that nothing newer is posted meanwhile; the monitor must not wait for anybody.

    Nor must a sync wait for the survey, which has a pool of its own.
    """
    tasks = [(dag_id, task) for dag_id, dag in bag.dags.items() for task in dag.tasks]
    readers = {(dag_id, task.task_id): task.pool for dag_id, task in tasks if names_in(task, "open_vte")}
    uploads = {(f"vte_wats_{kind}", "transfer.upload"): "wats_api" for kind in ("sync", "reconcile", "backfill")}
    others = {("vte_wats_monitor", "watch"): "default_pool", ("vte_wats_survey", "survey"): "vte_survey"}
    assert {reader: pool for reader, pool in readers.items() if pool != "vte_read"} == uploads | others
    assert {task.task_id for _, task in tasks if task.pool == "vte_read"} == {
        task_id for (_, task_id), pool in readers.items() if pool == "vte_read"
    }


def names_in(task: Any, name: str) -> bool:
    """Return whether the body of a task names a function, by way of other functions of the tasks' modules, too."""
    seen: set[CodeType] = set()
    waiting = [inspect.unwrap(task.python_callable)] if hasattr(task, "python_callable") else []
    while waiting:
        function = waiting.pop()
        codes = [function.__code__]
        while codes:
            code = codes.pop()
            if code in seen:
                continue
            seen.add(code)
            if name in code.co_names:
                return True
            codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
            ours = [import_module(module) for module in code.co_names if module.startswith("vte_wats.orchestration.")]
            found = [
                vars(module).get(co_name)
                for module in (inspect.getmodule(function), *ours)
                for co_name in code.co_names
            ]
            waiting += [member for member in found if inspect.isfunction(member) and "vte_wats" in member.__module__]
    return False


def test_the_sync_covers_explicit_five_minute_intervals_and_catches_up(bag):
    dag = bag.dags["vte_wats_sync"]
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    assert type(stored) is type(dag.timetable) is SyncTimetable
    assert stored.serialize() == dag.timetable.serialize()
    assert dag.catchup
    assert dag.max_active_runs == 4
    assert set(dag.params) == {"dry_run", "force", "accept_identity"}
    assert "| you see | it means | do |" in dag.doc_md


def test_every_task_retries_three_times_with_growing_waits_by_the_errors_class(bag):
    for dag_id in ("vte_wats_sync", "vte_wats_reconcile"):
        for task in bag.dags[dag_id].tasks:
            assert task.retries == 3
            assert task.retry_exponential_backoff == 2.0
            assert task.max_retry_delay == timedelta(minutes=10)
            assert isinstance(task.retry_policy, SyncRetryPolicy)


def test_what_a_task_returns_is_one_value_in_xcom_and_not_one_for_each_of_its_keys(bag):
    split = [
        task.task_id for dag in bag.dags.values() for task in dag.tasks if getattr(task, "multiple_outputs", False)
    ]
    assert split == []


def test_uploads_share_one_pool_and_the_state_has_one_writer(bag):
    dag = bag.dags["vte_wats_sync"]
    assert dag.get_task("transfer.upload").pool == "wats_api"
    assert dag.get_task("settle").pool == "vte_wats_state"
    assert dag.get_task("settle").trigger_rule == "all_done"


def test_the_live_sync_goes_before_everything_else_that_waits_for_a_slot(bag):
    found = {
        dag_id: {(task.priority_weight, task.weight_rule) for task in dag.tasks} for dag_id, dag in bag.dags.items()
    }
    ((live, rule),) = found["vte_wats_sync"]
    ((reconcile, _),) = found["vte_wats_reconcile"]
    ((backfill, _),) = found["vte_wats_backfill"]
    assert live > reconcile > backfill
    assert "absolute" in str(rule).lower()


def test_parsing_a_dag_file_opens_nothing_and_loads_no_driver(repository):
    loaded = run_python(
        "import sys, socket\n"
        "def refuse(*_): raise AssertionError('a DAG file opened a connection')\n"
        "socket.socket.connect = refuse\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        f"bag = DagBag({str(repository / 'dags')!r})\n"
        "assert not bag.import_errors, bag.import_errors\n"
        "print([name for name in ('pymssql', 'pywats', 'altair') if name in sys.modules])"
    )
    assert loaded == "[]"


def test_a_missing_start_date_is_an_import_error_that_says_what_to_set(repository):
    errors = run_python(
        "import json\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        f"print(json.dumps(DagBag({str(repository / 'dags')!r}).import_errors))",
        AIRFLOW__VTE_WATS__START_DATE="",
    )
    assert all("AIRFLOW__VTE_WATS__START_DATE" in text for text in json.loads(errors).values())
    assert len(json.loads(errors)) == len(list((repository / "dags").glob("*.py")))


def test_the_plugin_loader_sees_the_entry_and_nothing_of_the_package(repository):
    seen = run_python(
        "import json, sys\n"
        "from airflow import plugins_manager\n"
        "plugins, errors = plugins_manager._get_plugins()\n"
        "strays = [n for n in ('settings', 'model', 'mapping', 'windows', 'hook', '__init__') if n in sys.modules]\n"
        "names = [p.name for p in plugins]\n"
        "print(json.dumps([names.count('vte_wats'), errors, strays]))"
    )
    assert json.loads(seen) == [1, {}, []]


def test_without_the_ignore_file_the_loader_would_run_the_package_as_top_level_modules(repository, tmp_path):
    """The reason for plugins/.airflowignore, shown: this fails when the file does nothing."""
    (tmp_path / "plugins" / "vte_wats").mkdir(parents=True)
    (tmp_path / "plugins" / "vte_wats" / "stray_module.py").write_text("MARK = 1\n")
    probe = (
        "import json, sys\n"
        "from airflow import plugins_manager\n"
        "plugins_manager._get_plugins()\n"
        "print(json.dumps('stray_module' in sys.modules))"
    )
    folder = str(tmp_path / "plugins")
    assert json.loads(run_python(probe, AIRFLOW__CORE__PLUGINS_FOLDER=folder)) is True
    (tmp_path / "plugins" / ".airflowignore").write_bytes((repository / "plugins" / ".airflowignore").read_bytes())
    assert json.loads(run_python(probe, AIRFLOW__CORE__PLUGINS_FOLDER=folder)) is False


@pytest.mark.parametrize(
    ("run_type", "late_s", "has_deadline"),
    [("scheduled", 5, True), ("scheduled", 300, True), ("scheduled", 301, False), ("manual", 5, False),
     ("backfill", 5, False)],
)  # fmt: skip
def test_only_a_scheduled_run_that_is_created_in_time_has_a_deadline(
    bag, metadata, clock, run_type, late_s, has_deadline
):
    alert = decode_deadline_alert(encode_deadline_alert(bag.dags["vte_wats_sync"].deadline[0]))
    run_after = clock() - timedelta(seconds=late_s)
    with create_session() as session:
        session.query(DagRun).delete()
        session.add(
            DagRun(dag_id="vte_wats_sync", run_id="one", run_type=run_type, run_after=run_after, logical_date=run_after)
        )
        session.flush()
        due_at = alert.reference.evaluate_with(
            session=session, interval=alert.interval, dag_id="vte_wats_sync", run_id="one"
        )
        session.rollback()
    assert due_at == (run_after + timedelta(minutes=10) if has_deadline else None)


def test_a_deployment_may_have_no_deadline(repository):
    found = run_python(
        "from airflow.dag_processing.dagbag import DagBag\n"
        f"print(DagBag({str(repository / 'dags')!r}).dags['vte_wats_sync'].deadline)",
        AIRFLOW__VTE_WATS__DEADLINE_S="0",
    )
    assert found in ("None", "[]")


def test_what_runs_when_a_deadline_is_missed_can_be_imported_by_its_name(bag):
    callback = bag.dags["vte_wats_sync"].deadline[0].callback
    assert callback.path == "vte_wats.orchestration.sync_deadline.deadline_missed"
    assert iscoroutinefunction(import_string(callback.path))
