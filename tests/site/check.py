"""Whether VTE = WATS ∪ dead letters, by content: own SQL on the database, own reading of the store and of the files.

Nothing here comes from the product but the two texts it leaves for people: the proof and the state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Self
from zoneinfo import ZoneInfo

from sandbox.environment import SandboxEnvironment
from sandbox.wats.report_store import Cause
from tests.site.content import Report, Tables, differences, refusal


@dataclass(frozen=True)
class Kept:
    """What the two systems and the folder of dead letters hold. ``reports`` are by run, of some there may be several."""

    tables: Tables
    reports: Mapping[str, Sequence[Report]]
    dead_letters: Mapping[str, Mapping[str, Any]]
    overwritten: Sequence[str]
    zone: ZoneInfo
    processes: dict[str, int]

    @classmethod
    def read(cls, plant: SandboxEnvironment, dead_letters: Mapping[str, Any], processes: dict[str, int]) -> Self:
        """Read both systems as they are now."""
        reports: dict[str, list[Report]] = {}
        for report in plant.wats.store.reports():
            infos = {info["description"]: info.get("text") or "" for info in report["miscInfos"]}
            reports.setdefault(infos["source_id"].removeprefix("VTE:").lower(), []).append(report)
        overwritten = [found.old_id.lower() for found in plant.wats.store.overwrites(Cause.NATURAL_KEY)]
        zone = ZoneInfo(plant.factory_data.timezone)
        return cls(Tables(plant.db.query), reports, dead_letters, overwritten, zone, processes)


@dataclass(frozen=True)
class Findings:
    """The accounts. ``wrong`` has one line per thing that is not as it must be."""

    runs: int
    reports: int
    dead_letters: int
    lost: int
    doubled: int
    altered: int
    days: int
    wrong: tuple[str, ...]

    def with_lines(self, lines: Iterable[str]) -> Findings:
        """Return these with more that is wrong."""
        return replace(self, wrong=(*self.wrong, *lines))

    def __str__(self) -> str:
        return (
            f"{self.days} days, {self.runs} runs: {self.reports} reports, {self.dead_letters} dead letters; {self.lost} "
            f"lost, {self.doubled} doubled, {self.altered} altered, {len(self.wrong)} wrong"
        )


@dataclass(frozen=True)
class Ended:
    """What is known beside the two systems: runs that were deleted in VTE or refused by WATS, and the product's texts.

    ``gone`` says of each deleted run on which day it was.
    """

    gone: Mapping[str, date]
    refused: AbstractSet[str]
    proof: Mapping[str, Any]
    state: Mapping[str, Any]


def check(kept: Kept, ended: Ended, days: Sequence[date]) -> Findings:
    """Compare everything. The calendar must say of each day what is found."""
    runs, reports, dead = kept.tables.runs.keys(), kept.reports.keys(), kept.dead_letters.keys()
    lost = runs - reports - dead
    doubled = {guid for guid, found in kept.reports.items() if len(found) > 1} | (reports & dead)
    strange = (reports | dead) - runs - ended.gone.keys()
    altered = {guid: lines for guid in sorted(runs & reports) if (lines := _altered(kept, guid))}
    wrong = (
        *_lines("lost", lost),
        *_lines("twice in WATS, or there and a dead letter", doubled),
        *_lines("overwritten by natural key", kept.overwritten),
        *_lines("in WATS or a dead letter, but not in VTE", strange),
        *_lines("a dead letter without a cause", _without_cause(kept, (runs & dead) - ended.refused, days)),
        *_lines("refused by WATS, and no dead letter", ended.refused - dead),
        *(f"altered: {guid}: {'; '.join(lines[:2])}" for guid, lines in altered.items()),
        *_calendar(kept, altered.keys(), days, ended),
        *_gone(kept, ended),
        *_gaps(ended.state, days[-1]),
    )
    return Findings(
        runs=len(runs),
        reports=len(reports),
        dead_letters=len(dead),
        lost=len(lost),
        doubled=len(doubled) + len(kept.overwritten),
        altered=len(altered),
        days=len(days),
        wrong=wrong,
    )


def differing(kept: Kept, guid: str) -> list[str]:
    """Return what is not in WATS of one run as VTE has it; nothing of a dead letter."""
    if guid in kept.dead_letters:
        return []
    return _altered(kept, guid) if guid in kept.reports else ["neither in WATS nor a dead letter"]


def _altered(kept: Kept, guid: str) -> list[str]:
    run, steps = kept.tables.runs[guid], kept.tables.steps[guid]
    return differences(run, steps, kept.reports[guid][0], zone=kept.zone, processes=kept.processes)


def _calendar(kept: Kept, altered: AbstractSet[str], days: Sequence[date], ended: Ended) -> Iterator[str]:
    """Yield each number of the calendar, which begins with the start, that is another one than the one counted here."""
    named = ended.proof.get("days", {})
    start_local = datetime.fromisoformat(ended.state["since"]).astimezone(kept.zone).replace(tzinfo=None)
    times = {guid: run["Timestamp"] for guid, run in kept.tables.runs.items() if run["Timestamp"] is not None}
    dates = {guid: local.date() for guid, local in times.items() if local >= start_local}
    in_vte = Counter(dates.values())
    dead = Counter(day for guid, day in dates.items() if guid in kept.dead_letters)
    equal = Counter(day for guid, day in dates.items() if guid in kept.reports and guid not in altered)
    for day in days:
        found = named.get(day.isoformat())
        if found is None:
            yield f"the calendar says nothing of {day}"
            continue
        counted = {"in_vte": in_vte[day], "proven": equal[day], "dead or held": dead[day]}
        numbers = {
            "in_vte": found["in_vte"],
            "proven": found.get("proven", 0),
            "dead or held": found.get("dead", 0) + found.get("held", 0),
        }
        if numbers != counted:
            yield f"the calendar says of {day} {numbers}, counted: {counted}"
        if in_vte[day] != equal[day] + dead[day]:
            yield f"{day} is not proven: {counted}"


def _gone(kept: Kept, ended: Ended) -> Iterator[str]:
    """Yield each day for which others are named as gone than those that were deleted in VTE and are in WATS."""
    named = ended.proof.get("gone", {})
    deleted: dict[str, list[str]] = {}
    for guid in sorted(ended.gone.keys() & kept.reports.keys()):
        deleted.setdefault(ended.gone[guid].isoformat(), []).append(guid)
    for day in sorted(named.keys() | deleted.keys()):
        runs, examples = named.get(day, {}).get("runs", 0), named.get(day, {}).get("examples", [])
        expected = deleted.get(day, [])
        if (runs, sorted(examples)) != (len(expected), expected):
            yield f"gone from VTE on {day} are {expected}, named: {runs}, {examples}"


def _without_cause(kept: Kept, dead: Iterable[str], days: Sequence[date]) -> Iterator[str]:
    """Yield the dead letters of runs that WATS could hold: nothing is wrong with them, nor with their clock."""
    for guid in dead:
        run, steps = kept.tables.runs[guid], kept.tables.steps[guid]
        is_dated = run["Timestamp"] is not None and run["Timestamp"].date() <= days[-1]
        if is_dated and refusal(run, steps, processes=kept.processes) is None:
            yield guid


def _gaps(state: Mapping[str, Any], last_day: date) -> Iterator[str]:
    if len(state["coverage"]) != 1:
        yield f"coverage has gaps: {state['coverage']}"
    if datetime.fromisoformat(state["coverage"][-1]["to"]).date() < last_day:
        yield f"coverage ends before {last_day}: {state['coverage'][-1]}"


def _lines(text: str, guids: Iterable[str]) -> Iterator[str]:
    return (f"{text}: {guid}" for guid in sorted(guids))
