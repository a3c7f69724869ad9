"""Everything the product asks of VTE, as the login that the grant script makes: it may read eight tables in part."""

from __future__ import annotations

import inspect
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from sandbox.environment import READER, READER_PASSWORD
from sandbox.factory_data.factory import FactoryData
from sandbox.sqlserver.server import Login, SqlServer
from sandbox.vte.vte_database import NAME, open_database
from tests.integration.conftest import hook_to
from tests.unit.builders import a_settings
from vte_wats.domain.errors import FatalError
from vte_wats.intervals.wall_clock import FIRST, LAST, LocalRange
from vte_wats.preflight import Level, examine
from vte_wats.survey.results import SurveyContext, SurveyRequest, take_survey
from vte_wats.survey.schema import DeployedColumn, Likeness
from vte_wats.survey.survey_documents import render
from vte_wats.vte.reader import VteSource

SERIAL = DeployedColumn(name="Serial", data_type="nvarchar")
UUT_GUID = DeployedColumn(name="Uut_GUID", data_type="uniqueidentifier")
ALL_TIME = [LocalRange(FIRST, LAST)]


@pytest.fixture(scope="module", params=["the granted columns", "the granted tables"])
def limited(request):
    """A plant on a server whose login sees the names of what it may select, or of those tables as a whole."""
    database, now = open_database(), datetime.now(UTC)
    FactoryData(seed=7, timezone="Europe/Oslo").load(
        database, start=now - timedelta(days=2), end=now, runs=120, oddities=True
    )
    database.run_script(f"REVOKE VIEW DEFINITION ON SCHEMA::[dbo] FROM [{READER}]")
    login = Login(READER, READER_PASSWORD, reads_all=False, sees_whole_tables=request.param == "the granted tables")
    with SqlServer(database, logins=[login], timezone="Europe/Oslo") as server:
        yield server


@pytest.fixture
def source(limited):
    fields = {"conn_type": "mssql", "host": limited.host, "port": limited.port, "schema": NAME}
    with VteSource(a_settings(), hook_to(fields | {"login": READER, "password": READER_PASSWORD})) as source:
        yield source


def test_whatever_is_asked_of_vte_the_login_may_ask(source):
    guids = [guid for guid, _ in source.run_keys(ALL_TIME)]
    uuts = source.column_values("UutData", SERIAL, UUT_GUID)[:3]
    asked = {
        "identity": source.identity(),
        "identity_and_run_counts": source.identity_and_run_counts(ALL_TIME),
        "facts": source.facts(),
        "schema": source.schema(),
        "sees_every_name": [source.sees_every_name()],
        "time_bounds": source.time_bounds(),
        "run_groups": list(source.run_groups(ALL_TIME)),
        "run_times": source.run_times(ALL_TIME).seconds,
        "waiting_runs": source.waiting_runs(ALL_TIME).runs,
        "day_counts": source.day_counts(ALL_TIME),
        "run_hours": list(source.run_hours(ALL_TIME)),
        "run_keys": guids,
        "existing": source.existing(guids[:5]),
        "testsystems": source.testsystems(),
        "minute_contents": source.minute_contents(ALL_TIME),
        "station_times": list(source.station_times(ALL_TIME)),
        "run_steps": list(source.run_steps(ALL_TIME)),
        "step_keys": list(source.step_keys(UUID(int=0))),
        "column_values": source.column_values("UutData", SERIAL, UUT_GUID),
        "values_in": source.values_in("UutData", UUT_GUID, [guid for guid, _ in uuts]),
        "runs_between": [run for run in source.runs_between(ALL_TIME) if run.steps],
        "runs_by_guid": [run for run in source.runs_by_guid(guids[:20]) if run.steps],
    }
    assert all(asked.values())
    public = {name for name, _ in inspect.getmembers(VteSource, inspect.isfunction) if not name.startswith("_")}
    assert public - asked.keys() == {"rows", "reconnect", "estimated_plans"}
    with pytest.raises(FatalError, match="SHOWPLAN"):
        list(source.estimated_plans(ALL_TIME))


def test_the_preflight_finds_nothing_wrong(source):
    identity, _ = source.identity()
    findings = examine(identity, source.facts(), 0.0, a_settings())
    assert [finding.text for finding in findings if finding.level is Level.WRONG] == []


def test_a_survey_says_what_this_login_does_not_see_and_takes_nothing_for_missing(source, limited):
    known = SurveyContext(
        variable="vte_wats", settings_text=None, measured_at=datetime.now(UTC), package_version="0", processes=None
    )
    survey, runs = take_survey(source, SurveyRequest(sample_runs=100), known)
    assert (survey.stopped, survey.sees_every_name) == ("", False)
    assert runs
    likenesses = Counter(line.likeness for line in survey.comparison if line.column is None)
    assert likenesses == {Likeness.SAME: 8, Likeness.NOT_SEEN: 13}
    assert {line.likeness for line in survey.comparison if line.is_read} == {Likeness.SAME}
    assert Likeness.MISSING not in {line.likeness for line in (*survey.comparison, *survey.foreign_keys)}
    html = render(survey, runs).html
    assert "give it VIEW DEFINITION on the schema" in html
    limited.database.run_script(f"GRANT VIEW DEFINITION ON SCHEMA::[dbo] TO [{READER}]")
    try:
        everything, _ = take_survey(source, SurveyRequest(sample_runs=100), known)
    finally:
        limited.database.run_script(f"REVOKE VIEW DEFINITION ON SCHEMA::[dbo] FROM [{READER}]")
    assert everything.sees_every_name
    likenesses = {line.likeness for line in (*everything.comparison, *everything.foreign_keys)}
    assert likenesses == {Likeness.SAME, Likeness.ADDITIONAL}  # of the columns whose names are not published
    assert everything.counted_runs == survey.counted_runs > 0
