"""The part of a window that one mapped task instance handles, and its form in XCom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from vte_wats.domain.ports import TimeRange


@dataclass(frozen=True, slots=True)
class Slice:
    """Either wall-clock ranges or named runs, and how many runs were seen there when the slice was planned."""

    name: str
    runs: int
    ranges: tuple[TimeRange, ...] = ()
    guids: tuple[UUID, ...] = ()

    @property
    def label(self) -> str:
        """What Airflow shows for the mapped instance."""
        if self.guids:
            return f"{self.name} · {self.runs} named runs"
        first, last = self.ranges[0].from_local, self.ranges[-1].to_local
        return f"{self.name} · {first:%Y-%m-%d %H:%M:%S} to {last:%H:%M:%S} · {self.runs} runs"

    def to_xcom(self) -> dict[str, Any]:
        """Return the slice as plain JSON."""
        return {
            "slice": self.name,
            "runs": self.runs,
            "ranges": [[r.from_local.isoformat(), r.to_local.isoformat()] for r in self.ranges],
            "guids": [str(guid) for guid in self.guids],
        }

    @classmethod
    def from_xcom(cls, plain: dict[str, Any]) -> Slice:
        """Return the slice that :meth:`to_xcom` wrote."""
        return cls(
            name=plain["slice"],
            runs=plain["runs"],
            ranges=tuple(
                TimeRange(datetime.fromisoformat(from_local), datetime.fromisoformat(to_local))
                for from_local, to_local in plain["ranges"]
            ),
            guids=tuple(UUID(guid) for guid in plain["guids"]),
        )
