"""Estimated plans: what is read of the server's XML, what is refused, and the advice that follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from vte_wats.domain.errors import FatalError
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.messages import VW110
from vte_wats.survey.plans import (
    LARGEST_PLAN,
    ExecutionPlan,
    MissingIndex,
    Plans,
    ask_for_plans,
    index_advice,
    read_plan,
)

PLANS = Path(__file__).parents[2] / "data" / "showplan"
EMPTY = '<ShowPlanXML xmlns="http://schemas.microsoft.com/sqlserver/2004/07/showplan">{}</ShowPlanXML>'


def plan_of(name: str) -> str:
    return (PLANS / f"{name}.xml").read_text(encoding="utf-8")


def test_a_plan_says_its_cost_its_operators_and_which_tables_are_read_as_a_whole():
    plan = read_plan("select_runs", plan_of("missing_index"))
    assert (plan.cost, plan.rows) == (12.8074, 171.4)
    assert plan.operators == {"Sort": 1, "Nested Loops": 1, "Clustered Index Scan": 1, "Clustered Index Seek": 1}
    assert plan.scanned == ("IndexData",)
    assert plan.indexes == ("UutData.PK_UutData",)
    assert plan.unreadable == ""


def test_the_index_that_the_server_misses_becomes_the_statement_that_creates_it():
    (missing,) = read_plan("select_runs", plan_of("missing_index")).missing
    assert missing.impact == 91.3287
    assert missing.sql == (
        "CREATE NONCLUSTERED INDEX [IX_IndexData_Timestamp] ON [dbo].[IndexData] ([Timestamp]) "
        "INCLUDE ([Index_GUID], [Uut_GUID]);"
    )


def test_warnings_are_named_heaps_are_tables_and_the_servers_own_tables_are_left_out():
    plan = read_plan("select_runs", plan_of("warnings_and_heap"))
    assert plan.cost == 153.0
    assert plan.scanned == ("Odd]Name",)
    assert plan.indexes == ()
    assert plan.warnings == ("PlanAffectingConvert Seek Plan", "ColumnsWithNoStatistics")


BOMB = '<!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY c "&a;&a;">]>' + EMPTY.format("&c;")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(BOMB, "declaration", id="entities"),
        pytest.param('<!DOCTYPE b SYSTEM "file:///etc/passwd">' + EMPTY.format(""), "declaration", id="document-type"),
        pytest.param(EMPTY.format("")[:-3], "no XML", id="cut"),
        pytest.param("", "no XML", id="empty"),
        pytest.param("<html/>", "not ShowPlanXML", id="something-else"),
        pytest.param(EMPTY.format(" " * LARGEST_PLAN), "at most 4,000,000", id="too-large"),
    ],
)
def test_what_is_no_plan_is_not_read_and_says_why(text, why):
    plan = read_plan("select_steps", text)
    assert plan.unreadable.startswith("VW566 ")
    assert why in plan.unreadable
    assert (plan.cost, plan.operators) == (None, {})


def test_numbers_that_are_none_are_not_shown_and_names_have_an_end():
    text = plan_of("missing_index").replace('"12.8074"', '"1.#INF"').replace("[IndexData]", f"[{'x' * 5_000}]")
    plan = read_plan("select_runs", text)
    assert plan.cost is None
    assert plan.scanned == ("x" * 128,)


def test_one_index_for_several_statements_is_advised_once_with_all_their_columns():
    serial = MissingIndex(table="T", table_schema="dbo", equal=("A",), included=("B",), impact=40.0)
    other = serial.model_copy(update={"included": ("B", "C"), "impact": 95.0})
    more = MissingIndex(table="U", table_schema="dbo", within=("D",), impact=99.0)
    plans = Plans(
        statements=(
            ExecutionPlan(statement="first", missing=(serial,)),
            ExecutionPlan(statement="second", missing=(other, more)),
        )
    )
    largest, shared = index_advice(plans)
    assert "on U for second" in largest.text
    assert "on T for first, second: it estimates 95 % less" in shared.text
    assert shared.sql == "CREATE NONCLUSTERED INDEX [IX_T_A] ON [dbo].[T] ([A]) INCLUDE ([B], [C]);"


def test_names_in_advice_cannot_leave_their_brackets():
    index = MissingIndex(table="T]; DROP TABLE [X", table_schema="dbo", equal=("a]b",))
    assert "[T]]; DROP TABLE [X]" in index.sql
    assert "([a]]b])" in index.sql


class Denied:
    """Shows one plan, then refuses."""

    def estimated_plans(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[str, str]]:
        yield "select_runs", plan_of("missing_index")
        raise FatalError(VW110, "SHOWPLAN permission denied")


def test_a_server_that_refuses_stops_nothing_and_what_it_showed_is_kept():
    plans = ask_for_plans(Denied(), [])
    assert [plan.statement for plan in plans.statements] == ["select_runs"]
    assert plans.unavailable == "VW110 SHOWPLAN permission denied"
