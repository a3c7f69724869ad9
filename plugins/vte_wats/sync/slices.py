"""Slices: the part of a window that one mapped task instance handles, how windows are cut into them, and their XCom.

The GUIDs of the runs that a plan names wait in its staging, for XCom holds counts only: one file per plan, one line per
slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from vte_wats.config.settings import Settings
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.storage.staging import Staging

GAP = "gap"  # the names of slices that fill a gap start with it
NEAR = "near"  # and with this those of runs that changed after their transfer
AGAIN = "again"  # and with this those of runs whose report WATS confirmed and does not show
_RUNS_A_REQUEST = 2 / 5  # of a minute: with the questions beside the posts a slice then takes 25 s
SLICE_LIMIT = 1_000  # Airflow maps a task 1,024 times at most by default; a plan adds a few slices of held runs


@dataclass(frozen=True, slots=True)
class Slice:
    """Either wall-clock ranges or named runs, and how many runs were seen there when the slice was planned.

    The GUIDs of named runs do not travel with it (see ``named_runs``).
    """

    name: str
    runs: int
    ranges: tuple[LocalRange, ...] = ()
    guids: tuple[UUID, ...] = ()

    @property
    def names_runs(self) -> bool:
        """Whether it is about named runs, also where their GUIDs are not at hand."""
        return self.runs > 0 and not self.ranges

    @property
    def label(self) -> str:
        """What Airflow shows for the mapped instance."""
        if self.names_runs:
            return f"{self.name} · {self.runs} named runs"
        if not self.ranges:
            return f"{self.name} · asks WATS for what it confirmed"
        first, last = self.ranges[0].from_local, self.ranges[-1].to_local
        return f"{self.name} · {first:%Y-%m-%d %H:%M:%S} to {last:%H:%M:%S} · {self.runs} runs"

    def to_xcom(self) -> dict[str, Any]:
        """Return the slice as plain JSON, without GUIDs."""
        return {
            "slice": self.name,
            "runs": self.runs,
            "ranges": [[r.from_local.isoformat(), r.to_local.isoformat()] for r in self.ranges],
        }

    @classmethod
    def from_xcom(cls, plain: dict[str, Any]) -> Slice:
        """Return the slice that :meth:`to_xcom` wrote; it is without GUIDs."""
        return cls(
            name=plain["slice"],
            runs=plain["runs"],
            ranges=tuple(
                LocalRange(datetime.fromisoformat(from_local), datetime.fromisoformat(to_local))
                for from_local, to_local in plain["ranges"]
            ),
        )


def sized_for_backlog(settings: Settings, requests_per_minute: int) -> Settings:
    """Return settings whose slices keep the current interval from WATS for 25 s at most.

    A slice holds the only slot of WATS until it has sent its requests; what waits for the slot goes by priority.
    """
    most_runs = max(1, int(requests_per_minute * _RUNS_A_REQUEST))
    return settings.model_copy(update={"batch_size": min(settings.batch_size, most_runs)})


def slices_of(
    ranges: Sequence[LocalRange],
    seconds: Sequence[tuple[datetime, int]],
    batch_size: int,
    slice_limit: int = SLICE_LIMIT,
) -> tuple[Slice, ...]:
    """Cut ranges into slices of about ``batch_size`` runs, in order.

    ``seconds`` counts the runs per second, ascending. No second is ever split, together the slices are exactly the
    ranges, and there are at most ``slice_limit`` of them: beyond that they grow. No runs, no slices.
    """
    total = sum(runs for _, runs in seconds)
    if not total:
        return ()
    wanted = max(batch_size, -(-total // slice_limit))
    cuts: list[datetime] = []
    counts: list[int] = [0]
    for second, runs in seconds:
        if counts[-1] >= wanted:  # a slice that closed short of it could make more slices than allowed
            cuts.append(second)
            counts.append(0)
        counts[-1] += runs
    pieces = zip(_cut(ranges, cuts), counts, strict=True)
    return tuple(Slice(f"s{n:04d}", runs, ranges=piece) for n, (piece, runs) in enumerate(pieces, start=1))


def _cut(ranges: Sequence[LocalRange], cuts: Sequence[datetime]) -> list[tuple[LocalRange, ...]]:
    edges = [datetime.min, *cuts, datetime.max]  # noqa: DTZ901 -- wall-clock time is naive by nature
    return [
        tuple(
            LocalRange(max(r.from_local, low), min(r.to_local, high))
            for r in ranges
            if r.from_local < high and r.to_local > low
        )
        for low, high in pairwise(edges)
    ]


PLAN = "plan"  # whose staging it is; no slice is called so
NAMED = "named"


def hand_over(staging: Staging, slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """Return the slices for XCom, and stage the GUIDs of those that name their runs."""
    named = [slice_ for slice_ in slices if slice_.names_runs]
    if named:
        staging.write(NAMED, (" ".join([slice_.name, *map(str, slice_.guids)]) for slice_ in named))
    return [slice_.to_xcom() for slice_ in slices]


def with_runs(staging: Staging, slice_: Slice) -> Slice:
    """Return a slice with the GUIDs that its plan staged; raise StagedFileError when they are missing or damaged."""
    if not slice_.names_runs:
        return slice_

    def of_this_slice(line: bytes) -> tuple[UUID, ...]:
        name, *guids = line.decode().split()
        return tuple(map(UUID, guids)) if name == slice_.name else ()

    guids = next(filter(None, staging.parsed(NAMED, of_this_slice)), ())
    if len(guids) != slice_.runs:
        raise staging.damaged(NAMED, f"{len(guids):,} of the {slice_.runs:,} runs of {slice_.name}", LookupError())
    return replace(slice_, guids=guids)
