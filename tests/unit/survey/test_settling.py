"""How old runs are when their last step is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from vte_wats.domain.errors import RetriableError
from vte_wats.domain.source import RunSteps
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.survey.settling import StepDelay, StepDelayProbe
from vte_wats.vte.sql_errors import VW207

NOON = datetime(2026, 3, 2, 12)


class Runs:
    """Runs with their ages in seconds at noon and their steps, which a test changes between two looks."""

    def __init__(self, **runs: tuple[int, int]) -> None:
        self.runs = runs
        self.fails = False

    def run_steps(self, ranges: Sequence[LocalRange]) -> Iterator[RunSteps]:
        if self.fails:
            raise RetriableError(VW207, "the connection was lost")
        for key, (age_s, steps) in self.runs.items():
            at = NOON - timedelta(seconds=age_s)
            if any(time_range.from_local <= at < time_range.to_local for time_range in ranges):
                yield RunSteps(key, at, steps)


def looks(source: Runs) -> StepDelayProbe:
    seconds = iter((100.0, 190.5))
    return StepDelayProbe(source, NOON, lambda: next(seconds))


def test_runs_that_got_steps_between_two_looks_are_counted_by_the_minute_of_their_age_at_the_first():
    source = Runs(a=(59, 0), b=(60, 5), c=(119, 2), d=(700, 9), gone=(300, 3))
    taken = looks(source)
    del source.runs["gone"]
    source.runs |= {"a": (59, 4), "c": (119, 3)}
    assert taken.compared() == StepDelay(apart_s=90, runs={0: 1, 60: 2, 660: 1}, growing={0: 1, 60: 1}, appearing={})


def test_runs_that_came_between_two_looks_are_counted_apart():
    source = Runs(a=(30, 5))
    taken = looks(source)
    source.runs |= {"late": (250, 5), "new": (-5, 5)}
    found = taken.compared()
    assert (found.runs, found.growing, found.appearing) == ({0: 1}, {}, {240: 1})


def test_runs_older_than_a_quarter_of_an_hour_and_those_of_the_future_are_not_looked_at():
    found = looks(Runs(old=(901, 1), edge=(900, 1), ahead=(-1, 1))).compared()
    assert found.runs == {900: 1}


def test_a_look_that_fails_stops_no_survey():
    source = Runs(a=(30, 5))
    taken = looks(source)
    source.fails = True
    assert taken.compared() is None
    assert looks(source).compared() is None
