"""What people and Airflow do to what Airflow keeps: tasks marked by hand, other keys, DAG runs and XComs that are gone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pendulum
import pytest
from airflow.models.connection import Connection
from airflow.models.dagrun import DagRun
from airflow.models.variable import Variable
from airflow.models.xcom import XComModel
from airflow.utils.db_cleanup import run_cleanup
from airflow.utils.session import create_session
from cryptography.fernet import Fernet

from tests.integration.fernet_keys import hide
from tests.site.in_process import DEFAULTS, HISTORY, STATE, Site, store_dags
from vte_wats.orchestration.handover import KEY


def marked_by_hand(site: Site, task_id: str) -> str:
    """Sync the first interval; the instances of one task do not run, and count as success."""
    dag = site.bag.dags["vte_wats_sync"]
    return str(dag.test(logical_date=site.at(5), run_conf=DEFAULTS, mark_success_pattern=task_id).state)


@pytest.mark.report("P10")
def test_uploads_marked_success_by_hand_are_named_and_the_interval_stays_open(site):
    assert marked_by_hand(site, "transfer.upload") == "failed"
    assert "VW625 transfer.upload[0]" in site.refusal
    assert "Clear them with the tasks after them" in site.refusal
    assert Variable.get(STATE, default_var=None) is None
    assert site.sync(5) == "success"
    assert len(site.state["coverage"]) == 1


@pytest.mark.report("P10")
@pytest.mark.parametrize("task_id", ["transfer.extract", "transfer.map_runs"])
def test_what_comes_before_an_upload_and_was_marked_success_is_named_too(site, task_id):
    assert marked_by_hand(site, task_id) == "failed"
    assert Variable.get(STATE, default_var=None) is None


@pytest.mark.report("P10")
def test_a_plan_marked_success_by_hand_settles_nothing(site):
    assert marked_by_hand(site, "plan") == "failed"
    assert "VW501" in site.refusal
    assert Variable.get(STATE, default_var=None) is None


@pytest.mark.report("P11")
@pytest.mark.usefixtures("encrypted")
def test_a_state_under_another_fernet_key_is_not_called_lost(site):
    assert site.sync(5) == "success"
    text = Variable.get(STATE)
    hide(STATE, text)
    assert site.sync(10) == "failed"
    assert f"VW627 the Variable {STATE} cannot be read: it was encrypted with another key" in site.refusal
    Variable.set(STATE, text)
    assert site.sync(10) == "success"


@pytest.mark.report("P11")
@pytest.mark.usefixtures("encrypted")
def test_a_history_under_another_fernet_key_starts_over(site, caplog):
    assert site.sync(5) == "success"
    hide(HISTORY, Variable.get(HISTORY))
    assert site.sync(10) == "success"
    assert site.history["settled_at"]
    assert "VW627 the Variable vte_wats_history cannot be read" in caplog.text


@pytest.fixture(params=["vte_default", "wats_default"])
def hidden_connection(request, site, monkeypatch) -> Iterator[str]:
    """A connection in Airflow's database whose password an earlier key encrypted."""
    name = f"AIRFLOW_CONN_{request.param.upper()}"
    row = Connection(conn_id=request.param, **json.loads(site.plant.environment_variables[name]))
    row._password, row.is_encrypted = Fernet(Fernet.generate_key()).encrypt(b"secret").decode(), True
    with create_session() as session:
        session.add(row)
    monkeypatch.delenv(name)
    yield request.param
    with create_session() as session:
        session.query(Connection).filter(Connection.conn_id == request.param).delete()


@pytest.mark.report("P11")
@pytest.mark.usefixtures("encrypted")
def test_a_connection_under_another_fernet_key_is_not_only_called_absent(site, hidden_connection):
    assert site.sync(5) == "failed"
    assert f"VW114 the connection {hidden_connection} does not exist, or was encrypted with another" in site.refusal
    assert "set both keys" in site.refusal


def test_the_sync_goes_on_when_its_dag_runs_were_deleted(site):
    assert site.sync(5) == "success"
    with create_session() as session:
        session.query(DagRun).delete()
    assert site.sync(10) == "success"
    assert site.state["syncs"] == 2


def test_the_sync_goes_on_after_airflow_db_clean(site):
    assert site.sync(5) == "success"
    run_cleanup(clean_before_timestamp=pendulum.now("UTC").add(days=1), confirm=False, skip_archive=True)
    store_dags()  # as the DAG processor does again and again; the versions of DAGs were cleaned, too
    assert site.sync(10) == "success"
    assert site.state["syncs"] == 2


@pytest.mark.report("P9")
@pytest.mark.parametrize(
    "left", ["s3://xcom/lost.json", {"receipt": 1}, {"receipt": {"started": "x", "syncs": 1}}, [1]]
)
def test_a_receipt_that_an_xcom_backend_lost_or_another_version_wrote_counts_as_none(site, left):
    assert site.sync(5) == "success"
    with create_session() as session:
        found = session.query(XComModel).filter(XComModel.task_id == "settle", XComModel.key == KEY).all()
        assert found
        for row in found:
            row.value = json.dumps(left)
    assert site.sync(10) == "success"
    assert site.state["syncs"] == 2
