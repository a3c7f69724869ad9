"""The benchmarks' pages say what their results and their commands say; fifty sites are counted right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from benchmarks import memory, page
from benchmarks.fifty_sites import AS_INSTALLED, PAGE, REMEDIED, Fleet, Line, lines, measured, written
from tests.unit.builders import NOON_LOCAL, a_settings, guid_of
from vte_wats.config.settings import Settings
from vte_wats.mapping.identity import Operators
from vte_wats.vte.rows import RUN_SIZES, RunSizeRow
from vte_wats.vte.run_reader import read_runs
from vte_wats.wats.queries import id_forms
from vte_wats.wats.wats_connection import GuidQuoting, WatsOptions

HOURLY = Fleet(sites=2, runs_a_day=2_400, steps=10, peak=1.0, interval_min=60, guard_band_min=0, batch_size=100)


def found(fleet: Fleet, name: str, unit: str) -> Line:
    return next(line for line in lines(fleet) if (line.name, line.unit) == (name, unit))


@pytest.mark.parametrize(
    ("name", "unit", "of_one_site"),
    [
        # 100 posts, two queries of 50 ids, two of 60 keys, one list of processes, in an hour
        pytest.param("requests to WATS", "a minute", (100 + 2 + 2 + 1) / 60, id="requests"),
        pytest.param("rows read from SQL Server", "a day", 2_400 * 11, id="rows"),
        pytest.param("task instances", "a day", 24 * (2 + 3), id="task-instances"),
        pytest.param("DAG runs", "a day", 24, id="dag-runs"),
    ],
)
def test_a_small_fleet_is_counted_as_one_would_by_hand(name, unit, of_one_site):
    line = found(HOURLY, name, unit)
    assert line.one_site == pytest.approx(of_one_site)
    assert line.all_sites == pytest.approx(2 * of_one_site)


def test_the_guard_band_is_read_again_and_posted_once():
    again = replace(HOURLY, guard_band_min=60)
    assert found(again, "rows read from SQL Server", "a day").one_site == 2 * 2_400 * 11
    posts = found(again, "requests to WATS", "a minute").one_site * 60
    assert posts == pytest.approx(100 + 4 + 2 + 2)


def test_every_remedy_brings_what_it_is_for_below_its_limit():
    assert [line.name for line in lines(AS_INSTALLED) if line.load > 1]
    assert [(line.name, line.load) for line in lines(REMEDIED) if line.load > 1] == []
    assert all(line.remedy for line in lines(AS_INSTALLED) if line.limit)


def test_it_starts_from_the_defaults_of_the_package():
    defaults = Settings(source_timezone="UTC", process_map={"*": 1})
    assert AS_INSTALLED.batch_size == defaults.batch_size
    assert AS_INSTALLED.guard_band_min * 60 == defaults.guard_band_s
    assert AS_INSTALLED.requests_per_minute == WatsOptions().requests_per_minute
    assert id_forms(GuidQuoting.AUTO)[0].max_ids == measured().ids_a_query


class OneRun:
    """A server that knows the size of one run, and counts what it is sent."""

    takes_locks = False

    def __init__(self) -> None:
        self.sent = 0

    def rows(self, select: Any, binds: dict[str, Any], **_: str) -> Iterator[Any]:
        self.sent += 1
        if select is RUN_SIZES:
            yield RunSizeRow(guid_of(1), NOON_LOCAL, 50, 10_000)

    def reconnect(self) -> None:
        raise AssertionError


def test_fifty_sites_and_the_pages_count_the_statements_of_a_slice_as_they_are_sent(repository):
    server = OneRun()
    list(read_runs(server, "1 = 1", {}, settings := a_settings(), Operators(settings)))
    assert server.sent == measured().statements_a_slice == 3
    assert "Three short statements per slice" in (repository / "README.md").read_text(encoding="utf-8")
    assert 'vte -- "3 statements" --> extract' in (repository / "docs/architecture.md").read_text(encoding="utf-8")


def test_the_largest_run_whose_memory_is_measured_is_the_largest_that_is_transferred():
    run, settings = memory.LARGEST, a_settings()
    assert run.steps + run.attachments == settings.max_steps_per_run
    assert 0.85 < run.attached_bytes * run.attachments / settings.max_run_bytes < 1


def test_the_page_of_the_benchmarks_is_the_one_that_the_results_make():
    assert page.PAGE.read_text(encoding="utf-8") == page.page_of(page.read_results())


def test_fifty_sites_are_counted_with_what_table_5_says_of_a_task_instance():
    costs = measured()
    assert (
        f"One task instance takes {costs.task_core_s:.2f} CPU s, Airflow's part included, and each run "
        f"{costs.run_core_s * 1e3:.1f} ms more; {costs.api_calls:.0f} calls of the API server; {costs.rows:.1f} rows"
    ) in page.PAGE.read_text(encoding="utf-8")


def test_the_page_of_fifty_sites_holds_what_the_command_writes():
    text = PAGE.read_text(encoding="utf-8")
    assert written(text) == text, "run: python -m benchmarks.fifty_sites"
