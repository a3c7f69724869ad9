from __future__ import annotations

import json
import logging
from datetime import datetime
from uuid import UUID

import pytest
from upath import UPath

from tests.unit.builders import NOON_LOCAL, a_run, a_settings, guid_of
from tests.unit.fakes import FakeSource
from vte_wats.domain.errors import RetriableError
from vte_wats.domain.run import VteStepResult, VteTestRun
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.messages import VW392
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import RUNS, extract
from vte_wats.sync.map_runs import map_runs, read_again
from vte_wats.sync.slices import Slice
from vte_wats.sync.staged_reports import staged_mappings

STEP = VteStepResult(kind="numeric", step_number=1, test_name="Gain", numeric_value=1.5, result_code=1)
FIRST_TEN = LocalRange(NOON_LOCAL, NOON_LOCAL.replace(second=10))


@pytest.fixture
def staging(tmp_path) -> Staging:
    return Staging(UPath(tmp_path))


def staged(staging: Staging) -> list[VteTestRun]:
    return [VteTestRun.model_validate_json(line) for line in staging.parsed(RUNS, bytes.decode)]


def test_extract_stages_the_runs_of_the_slice_with_two_statements_however_many_there_are(staging, caplog):
    caplog.set_level(logging.INFO)
    runs = [a_run(n, steps=(STEP,) * n) for n in range(20)]
    source = FakeSource(*runs)
    assert extract(source, staging, Slice("s0001", 10, ranges=(FIRST_TEN,)), a_settings()) == 10
    assert source.statements == ["select_runs", "select_steps"]
    assert staged(staging) == runs[:10]
    assert "s0001: 10 runs read" in caplog.text


def test_extract_stages_named_runs_and_leaves_out_those_that_are_gone(staging):
    source = FakeSource(*(a_run(n) for n in range(5)))
    guids = (guid_of(1), guid_of(3), guid_of(99))
    assert extract(source, staging, Slice("g0001", 3, guids=guids), a_settings()) == 2
    assert staged(staging) == [a_run(1), a_run(3)]
    assert source.statements == ["select_runs", "select_steps"]


def test_another_try_of_extract_stages_what_is_there_then(staging):
    part = Slice("s0001", 2, ranges=(FIRST_TEN,))
    extract(FakeSource(a_run(1), a_run(2)), staging, part, a_settings())
    extract(FakeSource(a_run(1, steps=(STEP,))), staging, part, a_settings())
    assert staged(staging) == [a_run(1, steps=(STEP,))]


class BrokenSource(FakeSource):
    """Loses the connection after the first run."""

    def runs_between(self, ranges):
        yield next(super().runs_between(ranges))
        raise RetriableError(VW392, "the connection was lost")


def test_runs_of_a_repeated_hour_are_judged_by_what_their_station_did_around_it(staging):
    station = UUID(int=7)
    local = datetime(2026, 10, 25, 2, 10)
    runs = [
        a_run(1, timestamp_local=local, test_time_s=3600.0, testsystem_guid=station),
        a_run(2, timestamp_local=local, test_time_s=3600.0),
        a_run(3, timestamp_local=local.replace(hour=1, minute=50), test_time_s=300.0, testsystem_guid=station),
    ]
    source = FakeSource(*runs)
    assert extract(source, staging, Slice("g0001", 2, guids=(guid_of(1), guid_of(2))), a_settings()) == 2
    assert source.statements == ["select_runs", "select_steps", "select_station_times"]
    map_runs(staging, a_settings())
    first, second = (json.loads(report.body) for report in staged_mappings(staging))
    assert (first["start"], second["start"]) == ("2026-10-25T02:10:00+02:00", "2026-10-25T01:10:00+02:00")
    noted = [next(i["text"] for i in r["miscInfos"] if i["description"] == "start_ambiguous") for r in (first, second)]
    assert noted == [
        "later pass (UTC+01:00) by the station's other runs",
        "earlier pass (UTC+02:00) by setting ambiguous_time",
    ]


def test_a_run_that_is_read_again_is_judged_by_what_its_station_has_done_by_now():
    station, local = UUID(int=7), datetime(2026, 10, 25, 2, 10)
    run = a_run(1, timestamp_local=local, test_time_s=3600.0, testsystem_guid=station)
    before = a_run(3, timestamp_local=local.replace(hour=1, minute=50), test_time_s=300.0, testsystem_guid=station)
    starts = []
    for source in (FakeSource(run), FakeSource(run, before)):
        (report,) = read_again(source, a_settings(), [guid_of(1), guid_of(2)])
        starts.append(json.loads(report.body)["start"])
    assert starts == ["2026-10-25T01:10:00+02:00", "2026-10-25T02:10:00+02:00"]


def test_the_same_rows_give_the_same_report_in_whatever_slice_a_run_is_read(staging, tmp_path):
    station, local = UUID(int=7), datetime(2026, 10, 25, 2, 10)
    source = FakeSource(
        a_run(1, timestamp_local=local, test_time_s=3600.0, testsystem_guid=station),
        a_run(2, timestamp_local=local.replace(hour=7), test_time_s=18000.0, testsystem_guid=station),
        a_run(3, timestamp_local=local.replace(hour=1, minute=50), test_time_s=300.0, testsystem_guid=station),
    )
    hour = LocalRange(local.replace(minute=0), local.replace(hour=3, minute=0))
    minute = LocalRange(local, local.replace(minute=11))
    slices = [Slice("g1", 1, guids=(guid_of(1),)), Slice("s1", 1, ranges=(hour,)), Slice("s2", 1, ranges=(minute,))]
    bodies = set()
    for part in slices:
        there = Staging(UPath(tmp_path) / part.name)
        extract(source, there, part, a_settings())
        map_runs(there, a_settings())
        bodies |= {report.body for report in staged_mappings(there)}
    assert len(bodies) == 1


def test_a_connection_lost_while_reading_fails_the_extract(staging):
    with pytest.raises(RetriableError):
        extract(BrokenSource(a_run(1), a_run(2)), staging, Slice("s0001", 2, ranges=(FIRST_TEN,)), a_settings())
