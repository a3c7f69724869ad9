"""The check sees each kind of damage; each is made by hand in what was right a moment before."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pytest
from airflow.models.variable import Variable

from tests.converge.simulated_site import HOUR, Story, opened
from tests.site.check import Ended, Findings, Kept, check
from tests.site.in_process import BEGIN_AT, PROOF, STATE


@dataclass
class End:
    """What there is at the end of a quiet day."""

    kept: Kept
    proof: dict[str, Any]
    state: dict[str, Any]
    refused: frozenset[str] = frozenset()
    gone: Mapping[str, date] = field(default_factory=dict)

    def check(self) -> Findings:
        return check(self.kept, Ended(self.gone, self.refused, self.proof, self.state), [BEGIN_AT.date()])

    @property
    def guid(self) -> str:
        return min(self.kept.reports)

    def report(self, guid: str, *reports: Any) -> None:
        """Let WATS hold these reports of a run."""
        others = {known: found for known, found in self.kept.reports.items() if known != guid}
        self.kept = replace(self.kept, reports=others | ({guid: reports} if reports else {}))

    @property
    def day(self) -> dict[str, Any]:
        """What the calendar says."""
        return self.proof["days"][BEGIN_AT.date().isoformat()]


@pytest.fixture(scope="module")
def a_day(tmp_path_factory) -> Iterator[End]:
    story = Story(days=1, events=(), every=12 * HOUR, runs=1)
    with pytest.MonkeyPatch.context() as patch, opened(story, tmp_path_factory.mktemp("plant"), patch) as plant:
        plant.live()
        yield End(plant.kept(), json.loads(Variable.get(PROOF)), json.loads(Variable.get(STATE)))


@pytest.fixture
def end(a_day) -> End:
    return copy.deepcopy(a_day)


def _lost(end: End) -> None:
    end.report(end.guid)


def _doubled(end: End) -> None:
    (report,) = end.kept.reports[end.guid]
    end.report(end.guid, report, report | {"id": "other"})


def _dead_as_well(end: End) -> None:
    end.kept = replace(end.kept, dead_letters={end.guid: {}})


def _altered(end: End) -> None:
    end.kept.reports[end.guid][0]["sn"] += "0"


def _changed_in_vte(end: End) -> None:
    end.kept.tables.steps[end.guid].pop()


def _strange(end: End) -> None:
    end.report("somebody's", end.kept.reports[end.guid][0])


def _overwritten(end: End) -> None:
    end.kept = replace(end.kept, overwritten=[end.guid])


def _proven_too_much(end: End) -> None:
    end.day["proven"] += 1


def _day_missing(end: End) -> None:
    end.proof["days"].clear()


def _buried(end: End) -> None:
    guid = end.guid
    end.report(guid)
    end.kept = replace(end.kept, dead_letters={guid: {}})


def _refused(end: End) -> None:
    end.refused = frozenset({end.guid})


def _deleted(end: End) -> None:
    end.gone = {end.guid: BEGIN_AT.date()}
    del end.kept.tables.runs[end.guid]


def _named_as_gone(end: End) -> None:
    end.proof["gone"] = {BEGIN_AT.date().isoformat(): {"runs": 1, "examples": [end.guid]}}


def _stands_still(end: End) -> None:
    covered = end.state["coverage"][-1]
    covered["to"] = covered["from"].replace("2026-03-02", "2026-03-01")


def _gap(end: End) -> None:
    end.state["coverage"] *= 2


DAMAGE: dict[str, Callable[[End], None]] = {
    "lost": _lost,
    "twice in WATS": _doubled,
    "twice in WATS, or there and a dead letter": _dead_as_well,
    "altered: ": _altered,
    "altered": _changed_in_vte,
    "in WATS or a dead letter, but not in VTE": _strange,
    "overwritten by natural key": _overwritten,
    "the calendar says of": _proven_too_much,
    "the calendar says nothing of": _day_missing,
    "coverage has gaps": _gap,
    "a dead letter without a cause": _buried,
    "coverage ends before": _stands_still,
    "refused by WATS, and no dead letter": _refused,
    "gone from VTE on": _deleted,
    "gone from VTE on 2026-03-02 are [], named: 1": _named_as_gone,
}


def test_after_a_quiet_day_nothing_is_wrong(end):
    found = end.check()
    assert found.wrong == ()
    assert found.runs == found.reports > 5


@pytest.mark.parametrize("words", DAMAGE)
def test_each_kind_of_damage_is_found(end, words):
    DAMAGE[words](end)
    assert any(line.startswith(words) for line in end.check().wrong)
