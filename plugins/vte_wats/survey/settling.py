"""How old runs are when their last step is there: a survey looks at the newest ones twice."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.domain.source import RunSteps
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.survey.sample_findings import Closed

log = logging.getLogger(__name__)

CLASS_S = 60
_SPAN = timedelta(minutes=15)


class StepDelay(Closed):
    """The runs that were a quarter of an hour old or newer at the first look, by their age then.

    The keys are the lower edges of classes of ``CLASS_S``. ``growing`` had more steps at the second look, ``apart_s``
    later; ``appearing`` were not there before.
    """

    apart_s: int
    runs: dict[int, int]
    growing: dict[int, int]
    appearing: dict[int, int]


class RecentSource(Protocol):
    """What is asked of VTE."""

    def run_steps(self, ranges: Sequence[LocalRange]) -> Iterator[RunSteps]:
        """Yield how many steps each run of the ranges has by now."""


class StepDelayProbe:
    """The first look is taken at once; ``server_local`` is what the server's clock shows then."""

    def __init__(
        self, source: RecentSource, server_local: datetime, clock: Callable[[], float] = time.monotonic
    ) -> None:
        now_local = server_local.replace(microsecond=0)
        self._source = source
        self._clock = clock
        self._now_local = now_local
        self._range = LocalRange(now_local - _SPAN, now_local)
        self._first = self._look()
        self._first_s = clock()

    def compared(self) -> StepDelay | None:
        """Look again, and compare; ``None`` where a look failed, as by a lock of a station."""
        second = self._look()
        if self._first is None or second is None:
            return None
        before = self._first
        return StepDelay(
            apart_s=int(self._clock() - self._first_s),
            runs=self._by_age(run for key, run in second.items() if key in before),
            growing=self._by_age(run for key, run in second.items() if key in before and run.steps > before[key].steps),
            appearing=self._by_age(run for key, run in second.items() if key not in before),
        )

    def _look(self) -> Mapping[str, RunSteps] | None:
        try:
            return {run.key: run for run in self._source.run_steps([self._range])}
        except (RetriableError, FatalError) as error:
            log.warning("%s; how old runs are when their last step is there stays unknown", error)
            return None

    def _by_age(self, runs: Iterator[RunSteps]) -> dict[int, int]:
        ages_s = (int((self._now_local - run.timestamp_local).total_seconds()) for run in runs)
        return dict(sorted(Counter(age_s // CLASS_S * CLASS_S for age_s in ages_s).items()))
