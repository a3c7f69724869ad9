from __future__ import annotations

from datetime import UTC, timedelta

import pendulum
import pytest

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.orchestration.dag_defaults import DagOptions, Priority, read_dag_options, task_arguments

START_AT = pendulum.datetime(2026, 3, 2, tz="UTC")


@pytest.fixture
def configure(monkeypatch):
    """Set options of section [vte_wats] as an operator does, by environment variables."""
    for option in (
        "SITES",
        "START_DATE",
        "SCHEDULE",
        "RECONCILE_SCHEDULE",
        "MAX_ACTIVE_RUNS",
        "RETRIES",
        "RETRY_DELAY_S",
    ):
        monkeypatch.delenv(f"AIRFLOW__VTE_WATS__{option}", raising=False)

    def set_options(**options: str) -> None:
        for option, text in {"start_date": "2026-03-02T00:00:00Z", **options}.items():
            monkeypatch.setenv(f"AIRFLOW__VTE_WATS__{option.upper()}", text)

    return set_options


def test_only_the_start_date_has_to_be_given(configure):
    configure()
    assert read_dag_options() == DagOptions(
        sites=(Site(),),
        start_date=START_AT,
        schedule="*/5 * * * *",
        reconcile_schedule="30 3 * * *",
        monitor_schedule="*/2 * * * *",
        deadline=timedelta(minutes=10),
        max_active_runs=4,
        backfill_slices=200,
        retries=3,
        retry_delay=timedelta(seconds=30),
    )


def test_every_option_is_read(configure):
    configure(
        sites="oslo, bergen",
        start_date="2026-11-01T02:00:00+02:00",
        schedule="0 * * * *",
        reconcile_schedule="0 5 * * 1",
        monitor_schedule="*/10 * * * *",
        deadline_s="90",
        max_active_runs="2",
        backfill_slices="50",
        retries="0",
        retry_delay_s="300",
    )
    assert read_dag_options() == DagOptions(
        sites=(Site("oslo"), Site("bergen")),
        start_date=pendulum.datetime(2026, 11, 1, tz="UTC"),
        schedule="0 * * * *",
        reconcile_schedule="0 5 * * 1",
        monitor_schedule="*/10 * * * *",
        deadline=timedelta(seconds=90),
        max_active_runs=2,
        backfill_slices=50,
        retries=0,
        retry_delay=timedelta(minutes=5),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2026-03-02", START_AT, id="a-day"),
        pytest.param("2026-03-02T00:00:00", START_AT, id="without-offset-is-utc"),
        pytest.param("2026-03-02T01:00:00+01:00", START_AT, id="with-offset"),
    ],
)
def test_a_start_date_is_an_instant_in_utc(configure, text, expected):
    configure(start_date=text)
    start_date = read_dag_options().start_date
    assert start_date == expected
    assert start_date.tzinfo is UTC


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "P1D", "2026-03-01/2026-03-02"])
def test_a_start_date_that_is_none_names_the_option_the_rule_and_the_value(configure, text):
    configure(start_date=text)
    with pytest.raises(FatalError) as caught:
        read_dag_options()
    message = str(caught.value)
    assert message.startswith("VW106 [vte_wats] start_date: ")
    assert f"given {text!r}" in message
    assert "AIRFLOW__VTE_WATS__START_DATE" in message


@pytest.mark.parametrize("option", ["max_active_runs", "retries", "retry_delay_s", "deadline_s"])
@pytest.mark.parametrize("text", ["-1", "1.5", "three", ""])
def test_a_number_that_is_none_names_the_option_the_rule_and_the_value(configure, option, text):
    configure(**{option: text})
    with pytest.raises(FatalError, match=rf"\[vte_wats\] {option}: a whole number from [01], given '{text}'"):
        read_dag_options()


@pytest.mark.parametrize("option", ["max_active_runs", "retry_delay_s"])
def test_zero_is_too_few(configure, option):
    configure(**{option: "0"})
    with pytest.raises(FatalError, match=f"{option}: a whole number from 1, given '0'"):
        read_dag_options()


def test_more_slices_than_airflow_maps_are_refused(configure):
    configure(backfill_slices="1001")
    with pytest.raises(FatalError, match=r"backfill_slices: a whole number from 1 to 1,000, given '1001'"):
        read_dag_options()


def test_tasks_are_tried_again_ever_more_patiently(configure):
    configure(retries="5", retry_delay_s="10")
    arguments = task_arguments(Site(), read_dag_options(), Priority.LIVE)
    assert arguments["retries"] == 5
    assert arguments["retry_delay"] == timedelta(seconds=10)
    assert arguments["retry_exponential_backoff"]
    assert arguments["max_retry_delay"] == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        pytest.param("Oslo", "lower-case letters and digits", id="capital"),
        pytest.param("oslo_2", "lower-case letters and digits", id="underscore"),
        pytest.param(
            "oslo, state",
            "none of alerts, backfill, budget, deadline, failure, history, learned, profile, proof, seen, state",
            id="taken",
        ),
        pytest.param("oslo, bergen, oslo", "each name once", id="twice"),
    ],
)
def test_a_site_that_cannot_be_kept_apart_names_the_option_and_the_rule(configure, text, rule):
    configure(sites=text)
    with pytest.raises(FatalError, match=r"\[vte_wats\] sites: ") as caught:
        read_dag_options()
    assert rule in str(caught.value)
