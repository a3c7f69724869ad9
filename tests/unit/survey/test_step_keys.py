"""Steps whose run is not in IndexData, in a sample by key."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from tests.unit.builders import a_settings, guid_of
from vte_wats.config.settings import Settings
from vte_wats.domain.errors import RetriableError
from vte_wats.domain.source import StepKey
from vte_wats.survey.schema import DeployedIndex, DeployedTable
from vte_wats.survey.step_keys import StepKeys, sample_step_keys
from vte_wats.vte.sql_errors import VW207

NAMES = ("IndexData", "TestDataNumeric", "TestDataText", "TestDataOther")


class Steps:
    """Steps by the number of their run, two at a time; every third run is not in IndexData."""

    def __init__(self, *runs: int, fails: bool = False) -> None:
        self.runs = sorted(runs)
        self.fails = fails
        self.asked: list[UUID] = []

    def step_keys(self, after: UUID) -> Iterator[StepKey]:
        self.asked.append(after)
        if self.fails:
            raise RetriableError(VW207, "the connection was lost")
        following = [run for run in self.runs if guid_of(run) > after][:2]
        return (StepKey("text", str(guid_of(run)), 5, has_run=bool(run % 3)) for run in following)


def tables(*without: str, column: str = "Index_GUID") -> list[DeployedTable]:
    index = DeployedIndex(name="IX", columns=(column, "More"))
    return [DeployedTable(name=name, columns=(), indexes=() if name in without else (index,)) for name in NAMES]


def sampled(source: Steps, *known: int, settings: Settings | None = None) -> StepKeys:
    return sample_step_keys(source, tables(), settings or a_settings(), [guid_of(run) for run in known])


def test_missing_runs_are_counted_once_with_examples_and_what_happens_to_their_steps():
    found = sampled(Steps(*range(1, 10)), 1, 2, 4)
    sample = next(sample for sample in found.samples if sample.table == "TestDataText")
    assert (sample.steps, sample.runs, sample.missing_runs) == (30, 6, 2)  # 1 and 2, 2 and 3, 3 and 4, 5 and 6
    (issue,) = found.issues()
    assert issue.what == (
        "runs of steps in TestDataText that are not in IndexData: of 6 that a sample by key of 30 steps has"
    )
    assert (issue.seen, issue.examples) == (2, (str(guid_of(3)), str(guid_of(6))))
    assert issue.consequence.startswith("They never reach WATS")
    assert "backup" in issue.consequence


def test_without_such_steps_it_says_what_was_looked_at_and_there_is_no_issue():
    found = sampled(Steps(1, 2))
    assert [(sample.table, sample.steps) for sample in found.samples] == [
        ("TestDataNumeric", 0), ("TestDataText", 10), ("TestDataOther", 0),
    ]  # fmt: skip
    assert list(found.issues()) == []


def test_a_run_that_one_look_cut_counts_with_the_steps_that_another_saw():
    class Cut(Steps):
        def step_keys(self, after: UUID) -> Iterator[StepKey]:
            return iter([StepKey("text", str(guid_of(9)), 5 if after == guid_of(4) else 2, has_run=True)])

    (sample,) = [sample for sample in sampled(Cut(), 4, 5).samples if sample.table == "TestDataText"]
    assert (sample.steps, sample.runs) == (5, 1)


def test_however_many_runs_are_known_it_is_asked_a_few_times_from_places_spread_over_them():
    source = Steps(1)
    sampled(source, *range(1, 101))
    assert source.asked == [UUID(int=0), *(guid_of(run) for run in range(1, 101, 10))]


@pytest.mark.parametrize("name", NAMES)
def test_without_an_index_that_starts_with_the_key_nothing_is_asked(name):
    source = Steps(1)
    found = sample_step_keys(source, tables(name), a_settings(), [])
    assert (found.samples, source.asked) == ((), [])
    assert found.unavailable == f"no index on {name} starts with Index_GUID, so whole tables would be read"
    other = sample_step_keys(source, tables(column="More"), a_settings(), [])
    assert (other.samples, source.asked) == ((), [])


def test_tables_and_keys_are_known_by_the_names_of_the_site():
    overrides = {"TestDataText": {"table": "testdatatext", "columns": {"Index_GUID": "Run"}}}
    found = sample_step_keys(Steps(1), tables(), a_settings(column_overrides=overrides), [])
    assert found.unavailable.startswith("no index on TestDataText ")
    overrides["TestDataText"]["columns"]["Index_GUID"] = "index_guid"
    assert sample_step_keys(Steps(1), tables(), a_settings(column_overrides=overrides), []).unavailable == ""


def test_a_sample_that_fails_stops_no_survey():
    found = sampled(Steps(1, fails=True))
    assert (found.samples, list(found.issues())) == ((), [])
    assert "VW207" in found.unavailable
