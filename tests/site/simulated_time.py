"""The time of a simulated plant: the tasks, SQL Server and WATS see the same moment, and it moves when it is set."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import datetime, timedelta, tzinfo
from typing import Self

import pytest

import vte_wats.orchestration


class SimulatedTime:
    """A clock that stands still until it is set."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def pass_minutes(self, minutes: int) -> None:
        """Move on."""
        self.at += timedelta(minutes=minutes)

    def rule(self, patch: pytest.MonkeyPatch) -> None:
        """Let every task ask this clock: only the orchestration asks for the time at all."""
        clock = self

        class AnyDatetime(type):
            def __instancecheck__(cls, instance: object) -> bool:
                return isinstance(instance, datetime)

        class Simulated(datetime, metaclass=AnyDatetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                return clock.at.astimezone(tz)  # type: ignore[return-value]

        for found in pkgutil.iter_modules(vte_wats.orchestration.__path__, "vte_wats.orchestration."):
            module = importlib.import_module(found.name)
            if getattr(module, "datetime", None) is datetime:
                patch.setattr(module, "datetime", Simulated)
