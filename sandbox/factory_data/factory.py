"""A believable plant from a seed: its master data, its history in bulk, and a station that works live."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any
from weakref import ReferenceType, ref
from zoneinfo import ZoneInfo

from sandbox.factory_data.bulk import Load, LoadSummary
from sandbox.factory_data.live import LiveStation
from sandbox.factory_data.masters import Masters
from sandbox.factory_data.oddities import ODDITIES
from sandbox.factory_data.products import PROCESS_MAP
from sandbox.factory_data.seeds import random_for
from sandbox.factory_data.target_database import TargetDatabase

# Which plants' master data each database has.
_furnished: list[tuple[ReferenceType[TargetDatabase], int]] = []


def _utc_now() -> datetime:
    return datetime.now(UTC)


class FactoryData:
    """The data of a plant whose stations write naive local time of one IANA zone; Timestamp marks the end of a test.

    Equal seeds and equal calls give equal rows, GUIDs included, in every process. Master data is written with the
    first load or live station that a process makes for a database.
    """

    def __init__(self, seed: int, timezone: str = "Europe/Oslo") -> None:
        self.seed = seed
        self.timezone = timezone
        self._zone = ZoneInfo(timezone)
        self._masters = Masters(seed)
        self._calls = 0

    @property
    def oddities(self) -> dict[str, str]:
        """Every oddity by name, with what is odd about it."""
        return {name: oddity.description for name, oddity in ODDITIES.items()}

    def master_rows(self) -> dict[str, list[dict[str, Any]]]:
        """Return the rows of the master tables, in an order in which they can be inserted."""
        return {table: [dict(row) for row in rows] for table, rows in self._masters.rows.items()}

    def load(
        self,
        db: TargetDatabase,
        *,
        start: datetime,
        end: datetime,
        runs: int = 600,
        steps: int | None = None,
        oddities: bool | Sequence[str] = False,
    ) -> LoadSummary:
        """Write ``runs`` plain runs that end within [start, end), and the oddities asked for on top of them.

        ``steps`` makes every plain run exactly that long. Odd runs keep their own length; those about clocks and
        late arrivals may lie outside of [start, end), whose end they take for now.
        """
        if start.tzinfo is None or end.tzinfo is None or start >= end:
            raise ValueError(f"start and end must be aware and in this order, not {start!r} and {end!r}")
        if isinstance(oddities, bool):
            oddities = list(ODDITIES) if oddities else []
        names = self._named(oddities)
        self._furnish(db)
        return Load(
            self._random("load", start.timestamp(), end.timestamp(), runs, steps),
            self._masters,
            self._zone,
            start,
            end,
            runs,
            steps,
            names,
        ).write(db)

    def live(
        self,
        db: TargetDatabase,
        *,
        every_s: float = 5.0,
        clock: Callable[[], datetime] = _utc_now,
        child_delay_s: float = 1.0,
        oddity_rate: float = 0.05,
        oddities: Sequence[str] | None = None,
    ) -> LiveStation:
        """Return a station that is not started yet.

        ``oddities`` names those it draws from; without it, all but the wrong clocks, which no window of the present
        would show.
        """
        if oddities is None:
            oddities = [name for name, oddity in ODDITIES.items() if not oddity.wrong_clock]
        names = self._named(oddities)
        self._furnish(db)
        random = self._random("live", clock().timestamp())
        return LiveStation(db, random, self._masters, self._zone, clock, every_s, child_delay_s, oddity_rate, names)

    def settings(self, **overrides: object) -> dict[str, Any]:
        """Return the adapter settings that a site with this plant would write."""
        return {
            "source_timezone": self.timezone,
            "timestamp_marks": "end",
            "process_map": dict(PROCESS_MAP),
            **overrides,
        }

    def _random(self, *key: object) -> Random:
        self._calls += 1
        return random_for(self.seed, self.timezone, self._calls, *key)

    def _named(self, oddities: Sequence[str]) -> list[str]:
        unknown = sorted(set(oddities) - set(ODDITIES))
        if unknown:
            raise ValueError(f"no such oddity: {', '.join(unknown)}. There are: {', '.join(ODDITIES)}")
        return list(oddities)

    def _furnish(self, db: TargetDatabase) -> None:
        if not any(known() is db and seed == self.seed for known, seed in _furnished):
            db.insert_rows(self.master_rows())
            _furnished.append((ref(db), self.seed))
