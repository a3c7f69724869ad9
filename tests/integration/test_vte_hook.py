"""The test button of a connection of the type VTE, against the emulated SQL Server's socket."""

from __future__ import annotations

import pytest
from airflow.models.connection import Connection
from airflow.utils.strings import get_random_string

from sandbox.sqlserver.faults import Fault
from vte_wats.messages import VW545
from vte_wats.vte.vte_hook import VteHook


@pytest.fixture
def tested(emulated, monkeypatch):
    """Press the button Test on a connection with these fields, as Airflow's route does: under a random id."""

    def press(**fields):
        given = emulated.connection | {"conn_type": "vte"} | fields
        connection = Connection(conn_id=get_random_string(), **given)
        monkeypatch.setenv(f"AIRFLOW_CONN_{connection.conn_id.upper()}", connection.get_uri())
        ok, text = connection.test_connection()
        for hidden in (connection.conn_id, "vte_default", given["password"], "not-the-password"):
            assert hidden not in text
        return ok, text

    return press


def test_a_good_connection_names_database_server_and_login(tested, emulated):
    fields = emulated.connection
    where = f"database {fields['schema']} at {fields['host']}:{fields['port']}"
    assert tested() == (True, f"{where} is open to login {fields['login']}")
    assert tested(host=f"tcp:{fields['host']},{fields['port']}", port=None)[0]  # as Management Studio writes it


def test_each_attempt_says_its_own_reason_whatever_failed_before_it_in_the_process(tested):
    """The driver repeats the number of an earlier failed login."""
    for fields, code in [
        ({"port": 1}, "VW207"),
        ({"password": "not-the-password"}, "VW209"),
        ({"port": 1}, "VW207"),
        ({"schema": "NoSuchDatabase"}, "VW208"),
        ({"password": "not-the-password"}, "VW209"),
    ]:
        ok, text = tested(**fields)
        assert (ok, text[:5]) == (False, code), text
        assert "this connection" in text or code == "VW207"
    assert tested()[0]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"schema": ""}, "schema (the database)"),
        ({"host": ""}, "host"),
        ({"extra": '{"TrustServerCertificate": "yes"}'}, "a word of ODBC"),
        ({"extra": '{"encryption": "yes"}'}, "encryption"),
    ],
)
def test_wrong_fields_are_named(tested, fields, words):
    ok, text = tested(**fields)
    assert (ok, text[:5]) == (False, "VW116"), text
    assert words in text
    assert "in this connection" in text


def test_a_server_that_drops_the_connection_is_no_wrong_password(tested, vte):
    vte.faults.add(Fault(kind="refuse"))
    ok, text = tested()
    assert (ok, text[:5]) == (False, "VW207"), text


def test_the_button_answers_whatever_goes_wrong(tested, monkeypatch, caplog):
    def broken(self):
        raise LookupError("a text with not-the-password")

    monkeypatch.setattr(VteHook, "get_conn", broken)
    monkeypatch.setattr("vte_wats.vte.reader.VteSource._connect", broken)  # past its table
    assert tested(password="not-the-password") == (False, f"VW545 VTE cannot be asked: LookupError; {VW545.advice}")
    assert "VW545 VTE cannot be asked: LookupError: a text with ***" in caplog.text
    assert "not-the-password" not in caplog.text
