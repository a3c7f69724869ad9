"""A survey from its first statement to its result: schema, counts, growth, sampled runs, proposal, trial."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from more_itertools import chunked
from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime

from vte_wats.config.settings import OddTimestamps, RunResult, Settings
from vte_wats.domain.run import VteTestRun
from vte_wats.domain.source import RunGroup, RunSteps, SourceFacts, SourceIdentity, StepKey, TimeBounds
from vte_wats.intervals.interval import Instant
from vte_wats.intervals.wall_clock import AHEAD, FIRST, LAST, OLDEST_CLOCK, LocalRange
from vte_wats.preflight import Level, examine, examine_indexes
from vte_wats.survey.clocks import ClockFacts, read_clocks
from vte_wats.survey.content import ContentSource, look_at_content
from vte_wats.survey.plans import Plans, ask_for_plans, index_advice
from vte_wats.survey.proposal import (
    Evidence,
    Proposal,
    known_results,
    propose,
    settings_for_trial,
    settings_to_survey_with,
)
from vte_wats.survey.sample_findings import BusyHour, Closed, Distribution, Findings, Issue
from vte_wats.survey.sampling import Sampler, months, newest_interval, sampled_ranges
from vte_wats.survey.schema import (
    Comparison,
    DeployedTable,
    KeyComparison,
    compare_foreign_keys,
    compare_schema,
    key_not_seen,
    name_at_site,
    not_seen,
    possible_names,
    suggested_overrides,
)
from vte_wats.survey.settling import StepDelay, StepDelayProbe
from vte_wats.survey.step_keys import StepKeys, sample_step_keys
from vte_wats.survey.tally import Tally
from vte_wats.survey.trial import Refusals, Trial, try_mapping

_GROWING = ("IndexData", "TestDataNumeric", "TestDataText", "TestDataOther")


class MonthGrowth(Closed):
    """What the runs of one month take: rows and bytes are the shares of these runs in what the tables hold now."""

    month: str
    runs: int
    rows: int
    size_bytes: int | None


def stored_runs_of(tables: Sequence[DeployedTable], settings: Settings) -> int | None:
    """Return how many runs there are by the server's own count, ``None`` where that is not visible."""
    name = name_at_site("IndexData", settings).casefold()
    return next((table.rows for table in tables if table.name.casefold() == name), None)


def growth_of(tables: Sequence[DeployedTable], month_runs: Mapping[str, int], settings: Settings) -> list[MonthGrowth]:
    """Return the growth of each month by the tables of runs and steps; nothing where one of them has no count."""
    by_name = {table.name.casefold(): table for table in tables}
    growing = [by_name.get(name_at_site(name, settings).casefold()) for name in _GROWING]
    counts = [table.rows if table else None for table in growing]
    runs_now = counts[0]
    if not runs_now or None in counts:
        return []
    sizes = [table.size_bytes if table else None for table in growing]
    rows_now = sum(count for count in counts if count is not None)
    size_now = None if None in sizes else sum(size for size in sizes if size is not None)
    return [
        MonthGrowth(
            month=month,
            runs=runs,
            rows=round(rows_now * runs / runs_now),
            size_bytes=None if size_now is None else round(size_now * runs / runs_now),
        )
        for month, runs in month_runs.items()
    ]


log = logging.getLogger(__name__)

OTHERS = "(others)"
_MOST_NAMES = 200
_EXAMPLES = 5
_RANGES_AT_ONCE = 20
_RUNS_AT_ONCE = 100


class SurveyRequest(BaseModel):
    """What a person asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int = Field(365, ge=1, le=3_650, description="Days of history that are counted, from the newest run back.")
    sample_runs: int = Field(2_000, ge=100, le=20_000, description="Runs that are read with their steps.")
    kept_runs: int = Field(100, ge=10, le=1_000, description="Runs that become CSV and are mapped.")


class Survey(Closed):
    """All that was found. What a survey could not look at is ``None``: see ``stopped``.

    ``indexes`` is what the preflight finds of each index that a slice seeks by.
    """

    database: str
    measured_at: Instant
    package_version: str
    operator: str
    request: SurveyRequest
    stopped: str = ""
    advice: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    plans: Plans | None = None
    sees_every_name: bool = True
    tables: tuple[DeployedTable, ...]
    comparison: tuple[Comparison, ...]
    foreign_keys: tuple[KeyComparison, ...] = ()
    oldest_local: NaiveDatetime | None = None
    newest_local: NaiveDatetime | None = None
    counted_from_local: NaiveDatetime | None = None
    counted_runs: int = 0
    distributions: tuple[Distribution, ...] = ()
    growth: tuple[MonthGrowth, ...] = ()
    hours_of_week: tuple[BusyHour, ...] = ()
    clocks: ClockFacts | None = None
    findings: Findings | None = None
    settling: StepDelay | None = None
    step_keys: StepKeys | None = None
    trial: Trial | None = None
    proposal: Proposal

    @property
    def issues(self) -> tuple[Issue, ...]:
        """What a person should know about the data, whatever showed it."""
        return (self.findings.issues if self.findings else ()) + (self.trial.issues if self.trial else ())


class SurveySource(ContentSource, Protocol):
    """What a survey asks VTE."""

    def identity(self) -> tuple[SourceIdentity, datetime]:
        """Return which database this is, and the server's clock."""

    def facts(self) -> SourceFacts:
        """Return what the preflight looks at."""

    def schema(self) -> list[DeployedTable]:
        """Return the tables that the login can see."""

    def sees_every_name(self) -> bool:
        """Return whether it sees all names, or those alone of what it may select."""

    def estimated_plans(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[str, str]]:
        """Yield the statements that a sync sends for such ranges, by name, with their plans; see ``PlanSource``."""

    def time_bounds(self) -> TimeBounds:
        """Return between which Timestamps the runs lie."""

    def run_groups(self, ranges: Sequence[LocalRange]) -> Iterator[RunGroup]:
        """Count the runs of the ranges by product, test plan, station and result."""

    def run_hours(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[datetime, int]]:
        """Count the runs per hour of the ranges."""

    def runs_between(self, ranges: Sequence[LocalRange]) -> Iterator[VteTestRun]:
        """Stream the runs of the ranges with their steps."""

    def runs_by_guid(self, guids: Sequence[UUID]) -> Iterator[VteTestRun]:
        """Stream the named runs with their steps."""

    def run_steps(self, ranges: Sequence[LocalRange]) -> Iterator[RunSteps]:
        """Yield how many steps each run of the ranges has by now."""

    def step_keys(self, after: UUID) -> Iterator[StepKey]:
        """Yield which runs the next steps of each table name, in the order of their keys."""


@dataclass(frozen=True, slots=True)
class SurveyContext:
    """What a survey knows from elsewhere than VTE.

    ``settings_text`` is the Variable ``variable``, ``None`` where there is none. ``processes`` are the test operations
    of WATS, ``None`` where it was not reached. ``guard_band_s`` and ``measured_late_arrivals`` are as in
    :class:`Evidence`.
    """

    variable: str
    settings_text: str | None
    measured_at: datetime
    package_version: str
    processes: Mapping[int, str] | None = None
    guard_band_s: int | None = None
    measured_late_arrivals: bool = False

    def settings(self) -> Settings:
        """Return what VTE is read with; without settings the documented names. Raises FatalError for wrong settings."""
        return settings_to_survey_with(self.settings_text, self.variable)

    def given(self) -> dict[str, Any] | None:
        """Return the answers that are set, as they stand there."""
        return None if self.settings_text is None else json.loads(self.settings_text)


def take_survey(source: SurveySource, request: SurveyRequest, known: SurveyContext) -> tuple[Survey, list[VteTestRun]]:
    """Survey a database; return the result, and the runs that were chosen, in the order of the trial."""
    settings = known.settings()
    identity, server_now_at = source.identity()
    tables, sees_every_name = source.schema(), source.sees_every_name()
    comparison = compare_schema(tables, settings, look_at_content(source, tables, settings))
    foreign_keys = compare_foreign_keys(tables, settings)
    if not sees_every_name:
        comparison, foreign_keys = [*map(not_seen, comparison)], [*map(key_not_seen, foreign_keys)]
    log.info("%s: %d tables seen, %d lines compared", identity, len(tables), len(comparison))
    evidence = Evidence(
        given=known.given(),
        processes=known.processes,
        overrides=suggested_overrides(comparison),
        possible_names=possible_names(comparison),
        guard_band_s=known.guard_band_s,
        measured_late_arrivals=known.measured_late_arrivals,
    )
    survey_of = partial(
        Survey,
        database=str(identity),
        measured_at=known.measured_at,
        package_version=known.package_version,
        operator=settings.operator.value,
        request=request,
        tables=tuple(tables),
        comparison=tuple(comparison),
        sees_every_name=sees_every_name,
        foreign_keys=tuple(foreign_keys),
    )
    stopping = [line for line in comparison if line.stops]
    if stopping:
        names = ", ".join(f"{line.table}.{line.column}" if line.column else line.table for line in stopping)
        stopped = f"No run can be read before these are found or named in column_overrides: {names}"
        return survey_of(stopped=stopped, proposal=propose(evidence, known.variable)), []
    skew_s = (server_now_at - known.measured_at).total_seconds()
    facts = source.facts()
    advice = [finding for finding in examine(identity, facts, skew_s, settings) if finding.level is not Level.GOOD]
    bounds = source.time_bounds()
    looks = StepDelayProbe(source, bounds.server_local)
    counts = _Counts(source, request, bounds)
    plans = ask_for_plans(source, [newest_interval(counts.bounds)])
    refusals = Refusals(settings)
    findings, chosen, read_s = _read_sample(source, request, Tally(settings), refusals, counts)
    given_zone = None if known.settings_text is None else settings.source_timezone
    clocks = read_clocks(counts.bounds, counts.groups, counts.hours, given_zone)
    counted_runs = sum(runs_then for _, runs_then in counts.hours)
    stored_runs = max(counted_runs, stored_runs_of(tables, settings) or 0)
    settling = looks.compared()
    evidence = replace(
        evidence, clocks=clocks, findings=findings, settling=settling, read_s=read_s, stored_runs=stored_runs
    )
    proposal = propose(evidence, known.variable)
    runs = _kept(source, chosen)
    proposed = settings_for_trial(proposal, known.variable)
    wrong_clocks = tuple(odd_times(source, counts.bounds, proposed))
    step_keys = sample_step_keys(source, tables, settings, chosen)
    issues = (*refusals.issues(proposed), *wrong_clocks, *step_keys.issues())
    survey = survey_of(
        advice=tuple(str(finding) for finding in (*advice, *index_advice(plans))),
        indexes=tuple(str(finding) for finding in examine_indexes(facts, settings)),
        plans=plans,
        oldest_local=counts.bounds.oldest_local,
        newest_local=counts.bounds.newest_local,
        counted_from_local=counts.months[0].from_local if counts.months else None,
        counted_runs=counted_runs,
        distributions=tuple(counts.distributions(known_results(proposal))),
        growth=tuple(growth_of(tables, counts.month_runs(), settings)),
        hours_of_week=tuple(counts.hours_of_week()),
        clocks=clocks,
        findings=findings,
        settling=settling,
        step_keys=step_keys,
        trial=try_mapping(runs, proposed, issues),
        proposal=proposal,
    )
    return survey, runs


class _Counts:
    """The runs of the history, counted by the server month by month."""

    def __init__(self, source: SurveySource, request: SurveyRequest, bounds: TimeBounds) -> None:
        self.bounds = bounds
        self.months = months(self.bounds, request.days)
        self.hours: list[tuple[datetime, int]] = []
        self.groups: list[RunGroup] = []
        self._runs: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self._first: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for month in self.months:
            self.hours += source.run_hours([month])
            groups = list(source.run_groups([month]))
            self.groups = _newest_of([*self.groups, *groups])
            for group in groups:
                self._add(f"{month.from_local:%Y-%m}", group)
            log.info("%s: %d runs", f"{month.from_local:%Y-%m}", sum(group.runs for group in groups))

    def _add(self, month: str, group: RunGroup) -> None:
        code = "NULL" if group.result_code is None else str(group.result_code)
        names = {
            "month": month,
            "product": group.product_name,
            "test plan": group.testplan_name,
            "station": group.station_name,
        }
        for kind, name in names.items():
            self._runs[kind][_shown(name)][code] += group.runs
            self._first[kind][_shown(name)][code] += group.first_runs

    def distributions(self, results: Mapping[str, str]) -> Iterator[Distribution]:
        """Yield the distributions; names beyond the most frequent ones are one. ``results`` says what codes mean."""
        for kind, runs in self._runs.items():
            names = list(runs) if kind == "month" else sorted(runs, key=lambda name: -runs[name].total())
            every, first = _most_frequent(runs, names), _most_frequent(self._first[kind], names)
            yield Distribution(
                of=kind,
                runs=every,
                yields=yields_of(every, results),
                first_runs=first,
                first_pass_yields=yields_of(first, results),
            )

    def month_runs(self) -> dict[str, int]:
        """Return how many runs each month has."""
        return {month: runs.total() for month, runs in self._runs["month"].items()}

    def hours_of_week(self) -> Iterator[BusyHour]:
        """Yield every hour of the week in which a run ended."""
        runs: Counter[tuple[int, int]] = Counter()
        for hour, count in self.hours:
            runs[hour.weekday(), hour.hour] += count
        for (weekday, hour_of_day), count in sorted(runs.items()):
            yield BusyHour(weekday=weekday, hour=hour_of_day, runs=count)


def _most_frequent(runs: Mapping[str, Counter[str]], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the runs of the first of these names, and of all others together."""
    shown = {name: dict(runs[name]) for name in names[:_MOST_NAMES]}
    others: Counter[str] = sum((runs[name] for name in names[_MOST_NAMES:]), Counter())
    return {**shown, **({OTHERS: dict(others)} if others else {})}


def yields_of(runs: Mapping[str, Mapping[str, int]], results: Mapping[str, str]) -> dict[str, float]:
    """Return the passed share of each name's runs whose code is known; names without such runs are absent."""
    known = {name: {code: count for code, count in found.items() if code in results} for name, found in runs.items()}
    return {
        name: sum(count for code, count in found.items() if results[code] == RunResult.PASSED) / sum(found.values())
        for name, found in known.items()
        if sum(found.values())
    }


def _newest_of(groups: Iterable[RunGroup]) -> list[RunGroup]:
    """Return one group for each, the newest: a history of years holds few groups, many times."""
    newest: dict[tuple[object, ...], RunGroup] = {}
    for group in groups:
        key = (group.product_name, group.testplan_name, group.station_name, group.result_code)
        if key not in newest or newest[key].newest_local < group.newest_local:
            newest[key] = group
    return list(newest.values())


def _read_sample(
    source: SurveySource, request: SurveyRequest, tally: Tally, refusals: Refusals, counts: _Counts
) -> tuple[Findings, list[UUID], float]:
    """Return what the sample shows, the GUIDs of runs to keep, and in how many seconds its runs arrived."""
    chooser, read_s = Sampler(request.kept_runs), 0.0
    for ranges in chunked(sampled_ranges(counts.hours, counts.groups, request.sample_runs), _RANGES_AT_ONCE):
        asked_at = time.monotonic()
        for run in source.runs_between(ranges):
            read_s += time.monotonic() - asked_at
            is_odd, refused = tally.add(run), refusals.add(run)
            chooser.add(run, oddness=f"{refused} odd" if is_odd else refused)
            asked_at = time.monotonic()
    findings = tally.findings()
    log.info("%d runs with %d steps were read in %.1f s", findings.runs, findings.steps, read_s)
    return findings, chooser.chosen(), read_s


def _kept(source: SurveySource, chosen: Sequence[UUID]) -> list[VteTestRun]:
    """Read the chosen runs again: one that is gone, or has no key of its own, is left out."""
    runs = {run.index_guid: run for guids in chunked(chosen, _RUNS_AT_ONCE) for run in source.runs_by_guid(guids)}
    return [runs[guid] for guid in chosen if guid in runs]


def odd_times(source: SurveySource, bounds: TimeBounds, settings: Settings) -> Iterator[Issue]:
    """Yield how many runs a wrong clock dated, with the first hours that have some; without any nothing is asked."""
    late_local = bounds.server_local.replace(microsecond=0) + AHEAD
    if bounds.oldest_local is not None and bounds.oldest_local < OLDEST_CLOCK:
        is_held = settings.odd_timestamps is OddTimestamps.HOLD
        follows = "They wait as held runs" if is_held else "The daily comparison uploads them as they are dated"
        hours = list(source.run_hours([LocalRange(FIRST, OLDEST_CLOCK)]))
        yield _of_hours("dated before 2002: a clock that was reset", hours, f"{follows} (odd_timestamps).")
    if bounds.newest_local is not None and bounds.newest_local >= late_local:
        hours = list(source.run_hours([LocalRange(late_local, LAST)]))
        follows = "They wait until their time has come, and the daily comparison counts them."
        yield _of_hours("dated more than a day ahead of the server's clock", hours, follows)


def _of_hours(what: str, hours: Sequence[tuple[datetime, int]], consequence: str) -> Issue:
    examples = tuple(f"{hour:%Y-%m-%d %H:00} ({runs})" for hour, runs in hours[:_EXAMPLES])
    return Issue(what=what, seen=sum(runs for _, runs in hours), examples=examples, consequence=consequence)


def _shown(name: str | None) -> str:
    if name is None:
        return "NULL"
    return name.strip() or "(blank)"
