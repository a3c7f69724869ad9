"""The connection types VTE and WATS as Airflow sees them."""

from importlib.metadata import distribution, entry_points

import pytest
from airflow.providers_manager import ProvidersManager

from vte_wats.config.sites import Site
from vte_wats.provider import get_provider_info
from vte_wats.vte.vte_connection import VteOptions
from vte_wats.vte.vte_hook import VteHook
from vte_wats.wats.hook import WatsHook
from vte_wats.wats.wats_connection import WatsOptions


@pytest.fixture(scope="module")
def manager():
    return ProvidersManager()


def test_the_package_is_an_airflow_provider_under_its_own_name():
    (found,) = [point for point in entry_points(group="apache_airflow_provider") if point.dist.name == "vte-wats"]
    assert found.load()()["package-name"] == distribution("vte-wats").name == "vte-wats"


@pytest.mark.parametrize(
    ("name", "hook", "shown", "attribute"),
    [("vte", VteHook, "VTE (SQL Server)", "mssql_conn_id"), ("wats", WatsHook, "WATS", "wats_conn_id")],
)
def test_airflow_knows_the_connection_types_and_their_hooks(manager, name, hook, shown, attribute):
    known = manager.hooks[name]
    assert known.hook_class_name == f"{hook.__module__}.{hook.__name__}"
    assert (known.hook_name, known.connection_id_attribute_name) == (shown, attribute)
    assert known.connection_testable
    assert known.package_name == "vte-wats"


@pytest.mark.parametrize("hook", [VteHook, WatsHook])
def test_the_hooks_name_themselves_as_the_provider_does(hook):
    declared = {kind["connection-type"]: kind["hook-name"] for kind in get_provider_info()["connection-types"]}
    assert declared[hook.conn_type] == hook.hook_name


def test_the_connections_have_the_names_that_tasks_ask_for():
    assert (VteHook.default_conn_name, Site().source_connection) == ("vte_default", "vte_default")
    assert (WatsHook.conn_name_attr, WatsHook.default_conn_name) == ("wats_conn_id", "wats_default")
    assert WatsHook().wats_conn_id == "wats_default"


def test_the_form_has_every_option_with_its_default_and_rules(manager):
    prefix = "extra__wats__"
    form = {
        name.removeprefix(prefix): widget.field
        for name, widget in manager.connection_form_widgets.items()
        if name.startswith(prefix)
    }
    assert form.keys() == WatsOptions.model_fields.keys()
    assert WatsOptions.model_validate({name: field["value"] for name, field in form.items()}) == WatsOptions()
    assert form["requests_per_minute"]["schema"] == {
        "title": "Requests per minute",
        "type": ["integer", "null"],
        "default": 500,
        "minimum": 1,
        "maximum": 1_000_000,
    }
    assert form["verify_tls"]["schema"]["type"] == ["boolean", "null"]
    assert form["ca_file"]["schema"]["type"] == ["string", "null"]
    assert form["guid_quoting"]["schema"]["enum"] == ["auto", "bare", "quoted", "or_chain"]
    assert all(field["description"] for field in form.values())


def test_the_form_of_vte_is_that_of_a_database_with_its_words(manager):
    behaviour = manager.field_behaviours["vte"]
    assert behaviour["hidden_fields"] == []
    assert behaviour["relabeling"] == {"host": "SQL Server", "schema": "Database"}
    options = VteOptions.model_validate_json(behaviour["placeholders"]["extra"])
    assert options.encryption == "require"


def test_the_form_shows_what_belongs_to_wats_and_hides_the_rest(manager):
    behaviour = manager.field_behaviours["wats"]
    assert behaviour["hidden_fields"] == ["schema", "extra"]
    assert behaviour["relabeling"]["host"] == "WATS server"
    assert "token" in behaviour["relabeling"]["password"]
