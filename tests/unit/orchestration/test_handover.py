"""What tasks leave for each other comes back as it was, through the plain JSON of XCom."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from airflow.sdk.execution_time.xcom import XCom

from tests.unit.builders import a_settings
from vte_wats.domain.run import Outcome
from vte_wats.domain.source import SourceIdentity
from vte_wats.intervals.interval import Interval
from vte_wats.orchestration.handover import KEY, Handover, Planned
from vte_wats.orchestration.wats_link import OpenInWats
from vte_wats.state.coverage import LateArrivals, State
from vte_wats.state.history import PlanSnapshot

START_AT = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = Interval(START_AT, START_AT + timedelta(hours=1))
STATE = State(
    since_at=START_AT,
    coverage=(HOUR,),
    totals={Outcome.UPLOADED: 7},
    settled=("a",),
    syncs=3,
    started_at=START_AT,
    source=SourceIdentity("PLANT-1", "VTE9_3", datetime(2020, 1, 1), {"IndexData.Result": "int"}),
    target="wats.example",
    timezone="Europe/Oslo",
    late_arrivals=LateArrivals(until_at=START_AT, seen={60: 2, 600: 0}, late={60: 1}),
    clock_skew_s=-0.3,
)


class Tasks:
    """The XComs of one DAG run: plain JSON by task, key and map index."""

    def __init__(self) -> None:
        self.texts: dict[tuple[str, str, int], str] = {}

    def context(self, task_id: str, map_index: int = -1, try_number: int = 1) -> dict[str, Any]:
        def push(key: str, value: Any) -> None:
            self.texts[task_id, key, map_index] = json.dumps(value)

        return {"ti": SimpleNamespace(try_number=try_number, xcom_push=push, xcom_pull=self._pull)}

    def _pull(self, *, task_ids: str, key: str, map_indexes: list[int] | None = None) -> Any:
        found = [self.texts.get((task_ids, key, index)) for index in map_indexes or [-1]]
        values = [None if text is None else json.loads(text) for text in found]
        return values[0] if map_indexes is None else values


@pytest.fixture
def tasks() -> Tasks:
    return Tasks()


def planned(tasks: Tasks, **others: Any) -> Planned:
    return Planned.by(tasks.context("plan", try_number=2), STATE, a_settings(), **others)


@pytest.mark.parametrize(
    "left",
    [
        Handover(sample=(UUID(int=1), UUID(int=2)), coverage=State(since_at=START_AT, coverage=(HOUR,))),
        Handover(late={600: 3, 1_800: 1}),
        Handover(preview={"dead": {"serial is blank": {"runs": 2, "examples": [str(UUID(int=1))]}}}),
        Handover(receipt=STATE.receipt()),
        Handover(),
    ],
    ids=["comparison", "late", "preview", "receipt", "nothing"],
)
def test_what_a_task_leaves_is_what_a_later_task_pulls(tasks, left):
    left.push(tasks.context("plan"))
    assert Handover.pull(tasks.context("settle"), "plan") == left


def test_a_plan_comes_back_with_its_window_and_what_it_saw(tasks):
    left = Handover(
        planned=planned(tasks, window=HOUR, snapshot=PlanSnapshot(interval=HOUR, runs=4, newest_at=START_AT))
    )
    left.push(tasks.context("plan"))
    found = Handover.pull(tasks.context("settle"), "plan")
    assert found == left
    assert found is not None
    assert found.planned is not None
    assert found.planned.window == HOUR
    assert found.planned.attempt == 2
    assert found.planned.settings_hash == a_settings().fingerprint


def test_a_plan_hands_over_whose_the_state_is_but_nothing_that_grows(tasks):
    state = planned(tasks).state
    assert (state.coverage, state.totals, state.settled) == ((), {}, ())
    assert state.receipt() == STATE.receipt()
    assert STATE.verified_as(state) == STATE


def test_a_repeated_try_replaces_what_the_one_before_left(tasks):
    Handover(late={600: 3}, sample=(UUID(int=1),)).push(tasks.context("plan"))
    Handover(late={600: 4}).push(tasks.context("plan"))
    assert Handover.pull(tasks.context("settle"), "plan") == Handover(late={600: 4})


def test_what_mapped_tasks_leave_is_pulled_together_without_gaps(tasks):
    for index in (0, 2):
        Handover(late={index: 1}).push(tasks.context("transfer.upload", index))
    assert Handover.pull_mapped(tasks.context("settle"), "transfer.upload", 3) == [
        Handover(late={0: 1}),
        Handover(late={2: 1}),
    ]


def test_nothing_left_is_none(tasks):
    assert Handover.pull(tasks.context("settle"), "plan") is None
    assert Handover.pull_mapped(tasks.context("settle"), "transfer.upload", 2) == []


@pytest.mark.parametrize(
    "text",
    [
        '"s3://xcom/vte_wats_sync/plan/5f.json"',
        "[1, 2]",
        '{"planned": {"state": 3}}',
        '{"field_of_a_later_version": 1}',
        '{"receipt": {"started": "yesterday", "syncs": 3}}',
        '{"receipt": {"started": "2026-06-01T00:00:00", "syncs": 3}}',
        '{"receipt": {"syncs": 3}}',
        '{"preview": {"dead": {"serial is blank": 2}}}',
    ],
)
def test_a_value_of_another_shape_is_as_good_as_none_and_reported(tasks, text, caplog):
    tasks.texts["plan", KEY, -1] = text
    assert Handover.pull(tasks.context("settle"), "plan") is None
    assert "VW626" in caplog.text


def test_values_of_another_shape_are_left_out_of_those_of_mapped_tasks(tasks, caplog):
    Handover(late={0: 1}).push(tasks.context("transfer.upload", 0))
    tasks.texts["transfer.upload", KEY, 1] = '"/xcom/lost.json"'
    assert Handover.pull_mapped(tasks.context("settle"), "transfer.upload", 2) == [Handover(late={0: 1})]
    assert "VW626" in caplog.text


def test_a_list_that_is_none_leaves_nothing():
    context = {"ti": SimpleNamespace(xcom_pull=lambda **_: "/xcom/lost.json")}
    assert Handover.pull_mapped(context, "transfer.upload", 2) == []


@pytest.mark.report("P9")
@pytest.mark.parametrize(
    ("left", "address"),
    [
        ("https://wats.example/report/1?a=b", "https://wats.example/report/1?a=b"),
        ("http://127.0.0.1:8080/reports/1", "http://127.0.0.1:8080/reports/1"),
        (None, ""),
        ({"__uri__": "/xcom/lost.json"}, ""),
        (7, ""),
        (["https://wats.example"], ""),
        ("/xcom/lost.json", ""),
        ("javascript:alert(1)", ""),
        ("https://wats.example/\x1b[6n", ""),
        ("https://wats.example/ x", ""),
    ],
)
def test_the_button_leads_to_an_address_or_nowhere(monkeypatch, caplog, left, address):
    monkeypatch.setattr(XCom, "get_value", lambda *, ti_key, key: left)
    assert OpenInWats().get_link(None, ti_key=None) == address
    assert ("VW626" in caplog.text) == (left is not None and not address)
