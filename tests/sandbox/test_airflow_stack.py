"""One real stack for the whole module: it takes seconds to boot, and the order of the tests is the story of its life."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from sandbox.airflow_stack import AirflowStack, StackError
from sandbox.airflow_stack.guard import Guard
from sandbox.airflow_stack.redis import Redis
from sandbox.airflow_stack.tcp_ports import is_listening
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

REPOSITORY = Path(__file__).resolve().parents[2]
DAG_FILE = """
import os
import pendulum
from airflow.sdk import CronDataIntervalTimetable, DAG, Variable, get_current_context, task

with DAG(
    "intervals",
    schedule=CronDataIntervalTimetable("*/5 * * * *", timezone="UTC"),
    start_date=pendulum.parse(os.environ["STACK_TEST_START"]),
    catchup=True,
    max_active_runs=3,
):
    @task
    def plan():
        return [1, 2]

    @task(map_index_template="{{ label }}")
    def square(number):
        get_current_context()["label"] = f"number {number}"
        print(f"squaring {number}")
        return number * number

    @task
    def settle(squares):
        total = sum(squares)
        Variable.set("total", str(total))
        return total

    settle(square.expand(number=plan()))

with DAG("by_hand", schedule=None):
    @task(retries=0)
    def ask():
        conf = get_current_context()["dag_run"].conf
        if Variable.get("answer") != conf["expected"]:
            raise ValueError("not the answer")
        return conf
    ask()

with DAG("sleepy", schedule=None):
    @task(retries=1, retry_delay=0)
    def doze():
        import time
        time.sleep(0.5 if Variable.get("awake", default=None) else 120)
    doze()
"""
BROKEN_DAG_FILE = "from airflow.sdk import DAG\nraise RuntimeError('broken on purpose')\n"


def processes_of(home):
    """Every process that works in this folder or has it in its arguments."""
    found = []
    for process in psutil.process_iter():
        try:
            about = [process.cwd(), *process.cmdline(), process.environ().get("AIRFLOW_HOME", "")]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(home) in text for text in about):
            found.append(process)
    return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory, empty_metadata):
    folder = tmp_path_factory.mktemp("stack")
    (folder / "dags").mkdir()
    (folder / "plugins").mkdir()
    (folder / "dags" / "intervals.py").write_text(DAG_FILE)
    (folder / "dags" / "broken.py").write_text(BROKEN_DAG_FILE)
    now = datetime.now(UTC)
    start = now - timedelta(minutes=15 + now.minute % 5, seconds=now.second, microseconds=now.microsecond)
    stack = AirflowStack(
        home=folder / "home",
        template_folder=empty_metadata,
        dags_folder=folder / "dags",
        plugins_folder=folder / "plugins",
        env={"STACK_TEST_START": start.isoformat()},
        pools={"wats_api": 2},
        variables={"answer": "forty-two", "settings": json.dumps({"ü": 1})},
        connections={"web": {"conn_type": "http", "host": "127.0.0.1", "password": "pä", "extra": {"a": 1}}},
    )
    with stack as airflow:
        ports = airflow.ports
        pids = list(airflow.pids.values())
        yield airflow
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    wait_until(lambda: processes_of(folder / "home") == [], "their end", timeout_s=60)
    assert not any(is_listening(port) for port in ports)


def test_import_errors_name_the_broken_file(stack):
    (failure,) = stack.import_errors()

    assert failure.filename.endswith("broken.py")
    assert "broken on purpose" in failure.stack_trace


def test_catchup_runs_every_interval_since_the_start(stack):
    stack.unpause("intervals")
    wait_until(lambda: sum(run.state == "success" for run in stack.runs("intervals")) >= 3, "three runs", timeout_s=250)
    runs = stack.runs("intervals")[:3]

    assert {run.run_type for run in runs} == {"scheduled"}
    assert [run.data_interval_end - run.data_interval_start for run in runs] == [timedelta(minutes=5)] * 3
    assert runs[0].data_interval_end == runs[1].data_interval_start


def test_a_mapped_task_shows_its_instances_values_and_log(stack):
    run = stack.runs("intervals")[0]
    tasks = stack.task_instances("intervals", run.dag_run_id)

    assert [(task.task_id, task.map_index, task.state) for task in tasks] == [
        ("plan", -1, "success"),
        ("settle", -1, "success"),
        ("square", 0, "success"),
        ("square", 1, "success"),
    ]
    assert [task.rendered_map_index for task in tasks if task.task_id == "square"] == ["number 1", "number 2"]
    assert stack.xcom("intervals", run.dag_run_id, "square", map_index=1) == 4
    assert stack.xcom("intervals", run.dag_run_id, "plan") == [1, 2]
    assert stack.xcom("intervals", run.dag_run_id, "plan", key="nothing") is None
    assert "squaring 2" in stack.task_log("intervals", run.dag_run_id, "square", map_index=1)


def test_a_task_writes_a_variable_of_the_metadata_database(stack):
    assert stack.variable("total") == "5"
    assert json.loads(stack.variable("settings")) == {"ü": 1}
    assert stack.variable("nothing") is None


def test_a_manual_run_fails_and_succeeds_after_it_was_cleared(stack):
    stack.pause("intervals")
    stack.unpause("by_hand")
    dag_run_id = stack.trigger("by_hand", conf={"expected": "seven"})
    assert stack.wait_for_run("by_hand", dag_run_id, timeout_s=60) == "failed"

    stack.set_variable("answer", "seven")
    stack.clear("by_hand", dag_run_id, only_failed=True)

    assert stack.wait_for_run("by_hand", dag_run_id, timeout_s=60) == "success"
    assert stack.xcom("by_hand", dag_run_id, "ask") == {"expected": "seven"}
    assert stack.runs("by_hand")[0].data_interval_start is None


def test_a_manual_run_with_a_logical_date_keeps_it(stack):
    dag_run_id = stack.trigger("by_hand", conf={"expected": "seven"}, logical_date=datetime(2026, 1, 2, 3, tzinfo=UTC))

    assert stack.wait_for_run("by_hand", dag_run_id, timeout_s=60) == "success"
    assert [run.run_type for run in stack.runs("by_hand")] == ["manual", "manual"]


def test_a_connection_test_reports_the_reason(stack):
    ok, message = stack.test_connection("web")
    stack.set_connection("web", {"conn_type": "smtp", "host": "127.0.0.1", "port": stack.ports[1], "extra": {}})

    assert (ok, bool(message)) == (False, True)
    assert stack.test_connection("web")[1] != message


def test_an_unknown_dag_is_an_error_that_names_it(stack):
    with pytest.raises(StackError, match="There is no DAG 'nobody'"):
        stack.unpause("nobody")


def test_a_run_interrupted_by_a_killed_scheduler_is_finished_by_the_next(stack):
    stack.unpause("sleepy")
    dag_run_id = stack.trigger("sleepy")
    wait_until(
        lambda: [task.state for task in stack.task_instances("sleepy", dag_run_id)] == ["running"],
        "the task to run",
        timeout_s=60,
    )
    killed = stack.pids["scheduler"]

    stack.kill_component("scheduler")
    assert not psutil.pid_exists(killed)
    assert "scheduler" not in stack.pids
    stack.set_variable("awake", "yes")
    stack.start_component("scheduler")

    assert stack.pids["scheduler"] != killed
    assert stack.wait_for_run("sleepy", dag_run_id, timeout_s=90) == "success"


def test_a_component_that_cannot_start_shows_the_end_of_its_log(tmp_path):
    (tmp_path / "dags").mkdir()
    broken = AirflowStack(
        home=tmp_path / "home",
        dags_folder=tmp_path / "dags",
        plugins_folder=tmp_path / "dags",
        env={"AIRFLOW__CORE__EXECUTOR": "NoSuchExecutor", "AIRFLOW__CORE__PARALLELISM": "not a number"},
    )

    with pytest.raises(StackError, match=r"last lines of .*(\n.*)*not a number"), broken:
        pass

    wait_until(lambda: processes_of(tmp_path / "home") == [], "their end", timeout_s=60)


def test_the_guard_ends_what_a_killed_owner_left(tmp_path):
    program = textwrap.dedent(
        f"""
        import subprocess, sys, time, signal
        sys.path.insert(0, {str(REPOSITORY)!r})
        from sandbox.airflow_stack.component import Component
        from sandbox.airflow_stack.guard import Guard
        from pathlib import Path
        folder = Path({str(tmp_path)!r})
        guard = Guard()
        guard.start()
        stubborn = "import os, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)" \\
            "; os.fork() or os.setpgid(0, 0); time.sleep(300)"
        component = Component("stubborn", [sys.executable, "-c", stubborn], env={{}}, folder=folder,
            log_path=folder / "log", guard=guard)
        component.start()
        print(component.pid, flush=True)
        time.sleep(300)
        """
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline()
    wait_until(lambda: len(processes_of(tmp_path)) >= 3, "its processes", timeout_s=250)

    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()

    wait_until(lambda: processes_of(tmp_path) == [], "their end", timeout_s=120)


def test_a_guard_without_entries_ends_with_its_owner():
    before = set(psutil.Process().children())
    guard = Guard()
    guard.start()
    assert len(set(psutil.Process().children()) - before) == 1

    guard.stop()

    assert set(psutil.Process().children()) - before == set()


def test_a_stack_of_workers_without_redis_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    redis = Redis(tmp_path, port=1, log_path=tmp_path / "log", guard=Guard())

    with pytest.raises(StackError, match=r"redis-server is missing.*apt-get install redis-server"):
        redis.start()
