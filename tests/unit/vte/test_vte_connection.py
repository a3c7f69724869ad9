"""The connection to VTE as a person fills it in."""

import json

import pytest
from airflow.providers.microsoft.mssql.hooks.mssql import MsSqlHook

from vte_wats.domain.errors import FatalError
from vte_wats.vte.vte_connection import check_connection, driver_verifies_servers

GOOD = {"conn_type": "mssql", "host": "vte", "schema": "VTE9_3", "login": "reader", "password": "canary"}


@pytest.fixture
def checked(monkeypatch):
    def check(**fields):
        monkeypatch.setenv("AIRFLOW_CONN_VTE_CHECKED", json.dumps(GOOD | fields))
        hook = MsSqlHook(mssql_conn_id="vte_checked")
        check_connection(hook, "vte_checked")
        return hook.connection

    return check


def refused(checked, **fields):
    with pytest.raises(FatalError) as raised:
        checked(**fields)
    assert raised.value.code == "VW116"
    assert "Connections › vte_checked" in str(raised.value)
    assert "canary" not in str(raised.value)
    return str(raised.value)


def test_address_and_login_alone_have_every_default(checked):
    connection = checked()
    assert (connection.host, connection.port) == ("vte", 1433)
    assert connection.extra_dejson["timeout"] == 120
    assert connection.extra_dejson["charset"] == "UTF-8"
    assert "encryption" not in connection.extra_dejson


def test_what_the_driver_takes_is_kept_and_text_from_the_environment_is_converted(checked):
    extra = checked(
        extra={"timeout": "30", "encryption": "require", "read_only": "true", "tds_version": ""}
    ).extra_dejson
    assert (extra["timeout"], extra["encryption"], extra["read_only"]) == (30, "require", True)
    assert "tds_version" not in extra


@pytest.mark.report("P13")
@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("vte,1444", None),
        (" vte , 1444 ", None),
        ("vte,1444", 1444),
        ("tcp:vte,1444", None),
        ("TCP: vte", 1444),
        ("vte\\SQLEXPRESS,1444", None),
    ],
)
def test_a_port_behind_the_host_is_understood_as_management_studio_writes_it(checked, host, port):
    connection = checked(host=host, port=port)
    assert (connection.host, connection.port) == ("vte", 1444)


@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        ({"host": ""}, ["host: "]),
        ({"schema": " "}, ["schema (the database): "]),
        ({"host": "vte,1444", "port": 1433}, ["port: differs"]),
        ({"host": "vte,abc"}, ["port: "]),
        ({"host": "np:vte"}, ["host: ", "TCP"]),
        ({"host": "lpc:vte,1444"}, ["host: ", "TCP"]),
        ({"host": "admin:vte"}, ["host: ", "TCP"]),
        ({"host": "tcp:,1444"}, ["host: "]),
        ({"extra": {"encryption": "yes"}}, ["encryption: ", "'require'"]),
        ({"extra": {"TrustServerCertificate": "yes"}}, ["TrustServerCertificate: ", "ODBC"]),
        ({"extra": {"Encrypt": "yes", "Driver": "18"}}, ["2 field(s)", "Encrypt: ", "Driver: "]),
        ({"extra": {"autocommit": True}}, ["autocommit: "]),
        ({"extra": {"tds_version": "7.9"}}, ["tds_version: "]),
        ({"extra": {"timeout": "canary"}}, ["timeout: "]),
        ({"extra": {"appname": 5}}, ["appname: "]),
        ({"extra": "[1]"}, ["extra: "]),
    ],
)
def test_every_mistake_is_named_by_field_and_rule_without_its_value(checked, fields, rules):
    text = refused(checked, **fields)
    assert [rule for rule in rules if rule not in text] == []


def test_a_connection_that_does_not_exist_is_named():
    with pytest.raises(
        FatalError, match=r"vte_nowhere does not exist, or was encrypted with another \[core\] fernet_key\. "
    ) as raised:
        check_connection(MsSqlHook(mssql_conn_id="vte_nowhere"), "vte_nowhere")
    assert raised.value.code == "VW114"


@pytest.mark.parametrize(
    ("text", "verifies"),
    [
        ("[global]\n\tca file = /etc/ssl/ca.pem\n", True),
        ("; a comment\n[global]\nca file = system ; as the machine has it\n", True),
        ("[global]\nca file = /etc/ssl/ca.pem\ncheck certificate hostname = no\n", False),
        ("[global]\ntds version = 7.4\n", False),
        ("[other]\nca file = /etc/ssl/ca.pem\n", False),
        ("no section at all", False),
    ],
)
def test_freetds_checks_servers_where_its_own_file_says_so(tmp_path, text, verifies):
    conf = tmp_path / "freetds.conf"
    conf.write_text(text)
    assert driver_verifies_servers({"FREETDSCONF": str(conf)}) is verifies


def test_without_a_file_freetds_checks_nothing(tmp_path):
    assert not driver_verifies_servers({"FREETDSCONF": str(tmp_path / "none")})
