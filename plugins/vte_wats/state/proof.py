"""What is proven, per day: how many runs VTE has, and for how many of them a query found the equal report in WATS.

The Variable ``vte_wats_proof`` holds it. The daily comparison writes it for people to look at, and goes on through the
history where it says. Days are those of the Timestamps, by the wall clock of the stations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime

from vte_wats.intervals.interval import Instant
from vte_wats.intervals.wall_clock import wall_clock
from vte_wats.state.coverage import State
from vte_wats.wording import duration

_DAYS_KEPT = 4_000
_MOST_EXAMPLES = 20  # of each day
_EXAMPLES_KEPT = 500  # of all days, the newest
_DAYS_OF_DIFFERENCES = 366
_MOST_OPEN_DAYS = 7  # that one comparison looks at again
_MOST_ALTERED = 1_000
_MOST_AS_LISTED = 3_000


class _SparseModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class DayStatus(StrEnum):
    """What is known of one day."""

    PROVEN = "proven"
    DEAD_LETTERS = "dead_letters"
    OPEN = "open"
    NOT_COMPARED = "not_compared"


class OpenRun(_SparseModel):
    """A run that is neither proven nor a dead letter, and why."""

    index_guid: str
    reason: str


class OddKind(StrEnum):
    """Why no window holds a run."""

    NO_TIMESTAMP = "no_timestamp"
    RESET_CLOCK = "reset_clock"
    BEFORE_START = "before_start"
    FUTURE = "future"

    @property
    def words(self) -> str:
        """What is odd about the run's Timestamp."""
        return _ODD_WORDS[self]


_ODD_WORDS = {
    OddKind.NO_TIMESTAMP: "without a Timestamp",
    OddKind.RESET_CLOCK: "dated before 2002",
    OddKind.BEFORE_START: "new in time that was never synced",
    OddKind.FUTURE: "dated more than a day ahead",
}


class OddRun(_SparseModel):
    """A run that no window holds."""

    index_guid: str
    timestamp_local: NaiveDatetime | None


class DayProof(_SparseModel):
    """The numbers of one day, as of ``verified_at``: runs in VTE = proven + dead letters + held + open.

    ``open_runs`` are examples; what a comparison transfers is open until the next one finds it, or its sample does.
    """

    in_vte: int
    proven: int = 0
    dead: int = 0
    held: int = 0
    verified_at: Instant
    open_runs: tuple[OpenRun, ...] = ()

    @property
    def open(self) -> int:
        """Runs whose report was not found with equal content, and that are no dead letter."""
        return max(self.in_vte - self.proven - self.dead - self.held, 0)

    @property
    def status(self) -> DayStatus:
        """What the numbers say of the day; held runs count as dead letters."""
        if self.open:
            return DayStatus.OPEN
        return DayStatus.DEAD_LETTERS if self.dead or self.held else DayStatus.PROVEN

    def found_equal(self, guids: Collection[str]) -> DayProof:
        """Return this after these runs were found equal to their reports; of the open ones only examples are known."""
        still_open = tuple(run for run in self.open_runs if run.index_guid not in guids)
        proven = self.proven + len(self.open_runs) - len(still_open)
        return self.model_copy(update={"proven": proven, "open_runs": still_open})

    def joined(self, other: DayProof) -> DayProof:
        """Return the sum of two parts of one day."""
        return DayProof(
            in_vte=self.in_vte + other.in_vte,
            proven=self.proven + other.proven,
            dead=self.dead + other.dead,
            held=self.held + other.held,
            verified_at=min(self.verified_at, other.verified_at),
            open_runs=(*self.open_runs, *other.open_runs)[:_MOST_EXAMPLES],
        )


class OddRuns(_SparseModel):
    """The runs of one kind that no window holds: their numbers, and the first of them.

    ``known`` are runs that were there before, on the days where others are new; they may stay out of WATS.
    """

    numbers: DayProof
    examples: tuple[OddRun, ...] = ()
    known: int = 0

    @property
    def open(self) -> int:
        """Runs that are neither in WATS nor a dead letter."""
        return max(self.numbers.open - self.known, 0)

    def found_equal(self, guids: Collection[str]) -> OddRuns:
        """Return this after these runs were found equal to their reports."""
        return self.model_copy(update={"numbers": self.numbers.found_equal(guids)})

    def joined(self, other: OddRuns) -> OddRuns:
        """Return the sum of two parts."""
        return OddRuns(
            numbers=self.numbers.joined(other.numbers),
            examples=(*self.examples, *other.examples)[:_MOST_EXAMPLES],
            known=self.known + other.known,
        )


class GoneRuns(_SparseModel):
    """Reports in WATS of runs that VTE no longer has, with the first of them.

    ``is_listed`` is false where WATS does not list them: it is then by how much the number of runs in VTE fell.
    """

    runs: int
    is_listed: bool = True
    examples: tuple[str, ...] = ()


def joined_days(parts: Iterable[tuple[date, DayProof]]) -> dict[date, DayProof]:
    """Return the numbers of each day, of whatever parts they were found in."""
    days: dict[date, DayProof] = {}
    for day, proof in parts:
        days[day] = days[day].joined(proof) if day in days else proof
    return days


def days_without_runs(compared: Iterable[tuple[date, date]], verified_at: datetime) -> dict[date, DayProof]:
    """Return the numbers of each day from every first one up to its end, as if there was no run in any of them."""
    return {
        first + timedelta(days=n): DayProof(in_vte=0, verified_at=verified_at)
        for first, end in compared
        for n in range((end - first).days)
    }


class Cause(StrEnum):
    """Why a report in WATS has other content than is made of its run now.

    It is not known of a report that says nothing of the run it was made from, as those of earlier versions.
    """

    VTE_CHANGED = "vte_changed"
    MAPPING_CHANGED = "mapping_changed"
    WATS_CHANGED = "altered"
    UNKNOWN = "outdated"

    @property
    def words(self) -> str:
        """What is different."""
        return _CAUSE_WORDS[self]


_CAUSE_WORDS = {
    Cause.VTE_CHANGED: "changed in VTE",
    Cause.MAPPING_CHANGED: "changed by mapping or settings",
    Cause.WATS_CHANGED: "altered in WATS",
    Cause.UNKNOWN: "changed by an unknown cause",
}


class Proof(_SparseModel):
    """What all comparisons so far have proven."""

    days: dict[date, DayProof] = {}
    differences: dict[date, dict[Cause, int]] = Field(
        {}, description="Reports with other content by cause, by the day of the comparison that found them."
    )
    compared_at: Instant | None = Field(None, description="When a comparison ended last.")
    altered: int = Field(0, ge=0, description="Reports that were found altered in WATS, and are not put right.")
    altered_runs: tuple[UUID, ...] = Field(
        (), description="Their runs, those first that were looked into longest ago; each comparison opens some again."
    )
    equal_as_listed: tuple[str, ...] = Field(
        (),
        description="Digests of how WATS lists reports otherwise than their runs are, that were opened and are equal.",
    )
    cycle_day: date | None = Field(None, description="Where the next comparison goes on through the whole history.")
    odd: dict[OddKind, OddRuns] = Field({}, description="Runs that no window holds, as the last comparison found them.")
    gone: dict[date, GoneRuns] = Field({}, description="Runs that are in WATS and no longer in VTE, by day.")
    never_synced: dict[date, int] | None = Field(
        None,
        description="Runs in VTE per day of the time before the start that nothing covered, as counted first; null "
        "before that. What earlier versions counted as history left some of that time out.",
    )

    def compared_day(self, day: date, zone: ZoneInfo) -> DayProof | None:
        """Return the numbers of a day, ``None`` when it was not compared since it ended."""
        found = self.days.get(day)
        return found if found is not None and wall_clock(found.verified_at, zone).date() > day else None

    def proven_through(self, since: date, zone: ZoneInfo) -> date | None:
        """Return the last day up to which, from ``since`` on, each day was compared and nothing is open."""
        day, last = since, None
        while (found := self.compared_day(day, zone)) is not None and not found.open:
            last, day = day, day + timedelta(days=1)
        return last

    def unproven(self, zone: ZoneInfo) -> int:
        """Return how many runs are open in the days that were compared after they ended."""
        compared = (self.compared_day(day, zone) for day in self.days)
        return sum(found.open for found in compared if found is not None)

    def grown_days(self, counts: Mapping[date, int]) -> dict[date, int]:
        """Return the days that have runs they did not have in time that was never synced, and how many they had.

        Nothing is known of them before they were counted once.
        """
        known = self.never_synced if self.never_synced is not None else counts
        return {day: known.get(day, 0) for day, runs in counts.items() if runs > known.get(day, 0)}

    def with_history(self, counts: Mapping[date, int]) -> Proof:
        """Return this with what was counted of the time that was never synced; new runs do not become known."""
        known = self.never_synced if self.never_synced is not None else counts
        history = {day: min(runs, known[day]) for day, runs in sorted(counts.items()) if day in known}
        return self.model_copy(update={"never_synced": history})

    @property
    def odd_open(self) -> dict[OddKind, int]:
        """Return how many runs of each kind no window holds, and are neither in WATS nor a dead letter."""
        return {kind: runs.open for kind, runs in self.odd.items() if runs.open}

    def overdue(self, state: State, now_at: datetime, limit_h: int) -> str | None:
        """Return what to say when no comparison has ended for too long, ``None`` otherwise; 0 hours are no limit.

        While none has ever ended, the time counts from the start date, or from the first sync if that came later.
        """
        age = now_at - (self.compared_at or state.at_work_since_at)
        if not limit_h or age <= timedelta(hours=limit_h):
            return None
        if self.compared_at is None:
            return f"no comparison with WATS has ended since the sync started {duration(age)} ago"
        return f"the last comparison with WATS ended {duration(age)} ago"

    def rotating_part(self, first: date, end: date, cycle_days: int) -> tuple[date, date] | None:
        """Return the days from ``first`` up to ``end`` that are next, so that all are looked at in ``cycle_days``.

        ``end`` is a day later each day, and the parts come round in time all the same: n // c + 1 days, for c lengths
        one day longer each time, add up to as many days as there are by then. A comparison that was missed delays the
        others; none of the days is left out.
        """
        if not cycle_days or first >= end:
            return None
        from_day = self.cycle_day if self.cycle_day is not None and first <= self.cycle_day < end else first
        days = (end - first).days // cycle_days + 1
        return from_day, min(from_day + timedelta(days=days), end)

    def open_days(self, first: date, end: date) -> list[date]:
        """Return the days from ``first`` up to ``end`` that are open: some that were compared longest ago."""
        still_open = [day for day, found in self.days.items() if first <= day < end and found.open]
        return sorted(still_open, key=lambda day: (self.days[day].verified_at, day))[:_MOST_OPEN_DAYS]

    def with_days(
        self,
        days: Mapping[date, DayProof],
        compared_on: date,
        causes: Mapping[Cause, int],
        odd: Mapping[OddKind, OddRuns],
    ) -> Proof:
        """Return this with what a comparison found of some days, and outside of them; other days keep their numbers."""
        return self.model_copy(
            update={
                "days": _bounded(self.days | dict(days)),
                "odd": dict(odd),
                "gone": self.gone | self._fallen(days),
                "differences": self._with_causes(compared_on, causes),
            }
        )

    def _fallen(self, days: Mapping[date, DayProof]) -> dict[date, GoneRuns]:
        """Return how many runs the days have lost since they were compared before, where WATS does not list them."""
        fallen: dict[date, GoneRuns] = {}
        for day in self.days.keys() & days.keys():
            known = self.gone.get(day, GoneRuns(runs=0, is_listed=False))
            lost = known.runs + self.days[day].in_vte - days[day].in_vte
            if not known.is_listed and (lost > 0 or day in self.gone):
                fallen[day] = GoneRuns(runs=max(lost, 0), is_listed=False)
        return fallen

    def found_equal(self, guids: Iterable[UUID], as_listed: Iterable[str] = ()) -> Proof:
        """Return this after the reports of these runs were opened, and say the same as the runs.

        ``as_listed`` are digests of how WATS lists those that it lists otherwise: as long as it does, they are equal.
        """
        listed = tuple(dict.fromkeys((*self.equal_as_listed, *as_listed)))[-_MOST_AS_LISTED:]
        equal = frozenset(map(str, guids))
        days = {day: found.found_equal(equal) if found.open_runs else found for day, found in self.days.items()}
        odd = {kind: runs.found_equal(equal) for kind, runs in self.odd.items()}
        return self.model_copy(update={"days": days, "odd": odd, "equal_as_listed": listed})

    def looked_into(self, guids: Collection[UUID], altered: Collection[UUID], unclear: Collection[UUID]) -> Proof:
        """Return this after a comparison opened the reports of these runs, and left some of them altered.

        Of ``unclear`` runs WATS has no report now, or one of other content: what was altered of them stays known.
        """
        known = [guid for guid in self.altered_runs if guid not in altered]
        others = [guid for guid in known if guid not in guids]
        runs = (*others, *(guid for guid in known if guid in guids and guid in unclear), *altered)[-_MOST_ALTERED:]
        return self.model_copy(update={"altered": len(runs), "altered_runs": runs})

    def with_gone(self, days: Iterable[date], found: Mapping[date, GoneRuns]) -> Proof:
        """Return this with what was listed of some days; the others keep what is known of them."""
        listed = frozenset(days)
        gone = {day: runs for day, runs in self.gone.items() if day not in listed} | dict(found)
        return self.model_copy(update={"gone": dict(sorted(gone.items())[-_DAYS_KEPT:])})

    def ended(self, at: Instant, compared_on: date, altered: int, cycle_day: date | None) -> Proof:
        """Return this after a comparison that found so many altered reports."""
        causes = {**self.differences.get(compared_on, {}), Cause.WATS_CHANGED: altered}
        return self.model_copy(
            update={
                "compared_at": at,
                "cycle_day": cycle_day or self.cycle_day,
                "differences": self._with_causes(compared_on, causes),
            }
        )

    def _with_causes(self, compared_on: date, causes: Mapping[Cause, int]) -> dict[date, dict[Cause, int]]:
        """Return the differences of the last year with those of one day, which stand instead of earlier ones."""
        counted = {cause: causes[cause] for cause in Cause if causes.get(cause)}
        return dict(sorted((self.differences | {compared_on: counted}).items())[-_DAYS_OF_DIFFERENCES:])


def _bounded(days: Mapping[date, DayProof]) -> dict[date, DayProof]:
    """Return the newest days; the examples of older ones go first."""
    kept, examples = dict(sorted(days.items())[-_DAYS_KEPT:]), 0
    for day in reversed(kept):
        examples += len(kept[day].open_runs)
        if examples > _EXAMPLES_KEPT:
            kept[day] = kept[day].model_copy(update={"open_runs": ()})
    return kept
