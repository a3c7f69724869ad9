"""Real time as half-open intervals: windows, coverage, gaps, charts, what a plan saw: all are of this one type."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


def in_utc(at: datetime) -> datetime:
    """Return an aware instant in the standard library's UTC: Airflow hands out pendulum's datetimes and zones."""
    if at.tzinfo is None:
        raise ValueError(f"an instant is aware, given {at!r}")
    at = at.astimezone(UTC)
    return datetime(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, UTC)


def whole_second(at: datetime) -> datetime:
    """Return an aware instant in UTC without its fraction of a second."""
    return in_utc(at).replace(microsecond=0)


Instant = Annotated[AwareDatetime, AfterValidator(in_utc)]


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """Real time ``[from_at, to_at)``: aware UTC, half-open, possibly empty. In JSON ``{"from": …, "to": …}``."""

    from_at: datetime
    to_at: datetime

    def __post_init__(self) -> None:
        for edge in (self.from_at, self.to_at):
            if edge.tzinfo is not UTC:
                raise ValueError(f"the edges of an interval are aware UTC, given {edge!r}")
        if self.from_at > self.to_at:
            raise ValueError(f"an interval ends after it starts, given {self.from_at} to {self.to_at}")

    @property
    def is_empty(self) -> bool:
        """Whether there is no time in it."""
        return self.from_at == self.to_at

    def __contains__(self, at: datetime) -> bool:
        return self.from_at <= at < self.to_at

    def covers(self, other: Interval) -> bool:
        """Return whether all of another interval lies in this one."""
        return self.from_at <= other.from_at and other.to_at <= self.to_at

    def intersection(self, other: Interval) -> Interval | None:
        """Return the time that both have in common, ``None`` when there is none."""
        from_at, to_at = max(self.from_at, other.from_at), min(self.to_at, other.to_at)
        return Interval(from_at, to_at) if from_at < to_at else None

    def minus(self, others: Iterable[Interval]) -> tuple[Interval, ...]:
        """Return the gaps that other intervals leave in this one, ascending."""
        gaps, at = [], self.from_at
        for other in merge_intervals(others):
            if other.from_at > at and at < self.to_at:
                gaps.append(Interval(at, min(other.from_at, self.to_at)))
            at = max(at, other.to_at)
        if at < self.to_at:
            gaps.append(Interval(at, self.to_at))
        return tuple(gaps)

    def shifted(self, by: timedelta) -> Interval:
        """Return the interval as much later as ``by`` says, or earlier when that is negative."""
        return Interval(self.from_at + by, self.to_at + by)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        edge = handler.generate_schema(Instant)
        written = core_schema.typed_dict_schema(
            {"from": core_schema.typed_dict_field(edge), "to": core_schema.typed_dict_field(edge)},
            extra_behavior="forbid",
        )
        parsed = core_schema.no_info_after_validator_function(lambda edges: cls(edges["from"], edges["to"]), written)
        return core_schema.json_or_python_schema(
            json_schema=parsed,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), parsed]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda interval: {"from": interval.from_at, "to": interval.to_at}, return_schema=written
            ),
        )


def merge_intervals(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return the same time as ascending, disjoint intervals that do not touch and are not empty."""
    merged: list[Interval] = []
    for interval in sorted(intervals):
        if interval.is_empty:
            continue
        if merged and interval.from_at <= merged[-1].to_at:
            merged[-1] = Interval(merged[-1].from_at, max(merged[-1].to_at, interval.to_at))
        else:
            merged.append(interval)
    return tuple(merged)
