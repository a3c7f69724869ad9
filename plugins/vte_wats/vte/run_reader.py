"""Reading runs so that what is wrong with one of them costs that one alone.

How much each run holds is asked first; one that is larger than the settings allow is not fetched, and the others are
read in groups that are bounded in bytes, for texts and attachments fill the memory, and in steps, which keep a
statement long. When reading fails in a way that the content of a row may cause, the runs of the group that are still
missing are read in halves, and those in halves again, until the failure stands with the runs that cause it. Each of
these is a run with a defect.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Protocol
from uuid import UUID

from more_itertools import constrained_batches

from vte_wats.config.settings import Settings
from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.domain.run import Defect, VteTestRun
from vte_wats.mapping.identity import Operators
from vte_wats.messages import VW232, VW299
from vte_wats.vte.rows import RUN_SIZES, RUNS, STEPS, Row, RunRow, RunSizeRow, Select, guid_of
from vte_wats.vte.run_rows import duplicate_key, no_key, run_of, too_large, unread, with_keys
from vte_wats.vte.sql_errors import VW207, VW214
from vte_wats.vte.statements import Binds, among_guids, except_guids

log = logging.getLogger(__name__)

_Failure = RetriableError | FatalError
_BY_CONTENT = frozenset(
    {VW207, VW214, VW299}
)  # what the content of a row may cause: the driver may lose the connection
_OF_A_VALUE = (ValueError, ArithmeticError, TypeError, LookupError)  # what Python says of what it cannot hold
_TIMES_ALONE = 3  # how often a run must fail alone, be it the only one from the start
_MOST_BEFORE_ONE_IS_READ = 3  # runs that fail alone; then it is the server or the network
_BYTES_AT_ONCE = 20_000_000  # of texts and values, as SQL Server counts them; one larger run is read alone
_STEPS_AT_ONCE = 100_000  # a second or two of one statement
_RUNS_AT_ONCE = 1_000  # what a condition names


class Server(Protocol):
    """What runs statements; where it ``takes_locks``, those by time pass over runs whose header is locked."""

    takes_locks: bool

    def rows(self, select: Select[Row], binds: Binds, **conditions: str) -> Iterator[Row]:
        """Yield the rows as the server sends them."""

    def reconnect(self) -> None:
        """Connect again; raises RetriableError or FatalError where that fails."""


def read_runs(
    server: Server, selection: str, binds: Binds, settings: Settings, operators: Operators
) -> Iterator[VteTestRun]:
    """Yield every run of a selection, complete with steps or with its defect: three statements for an ordinary slice.

    Holds the headers of one group and the steps of one run at a time. A run that is committed meanwhile is read the
    next time. Where the server takes locks, runs are named: by time, a header that is locked between two statements
    would leave a run without some of its steps.
    """
    sizes = list(server.rows(RUN_SIZES, binds, selection=selection))
    excluded_runs = {run.index_guid: run for run in _not_to_read(sizes, settings)}
    yield from excluded_runs.values()
    to_read = [row for row in sizes if (guid := guid_of(row.index_guid)) not in excluded_runs and guid]
    groups = list(_groups(to_read))
    named, more_binds = except_guids(list(excluded_runs.keys() & {guid_of(row.index_guid) for row in sizes}))
    whole = (f"{selection}{named}", binds | more_binds)
    reading = _Reading(server, operators, settings.rejections_that_stop(len(sizes)))
    for group in groups:
        by_name = server.takes_locks or len(groups) > 1
        yield from reading.runs(group, among_guids(list(group)) if by_name else whole)
    yield from reading.unreadable()


def _groups(sizes: Sequence[RunSizeRow]) -> Iterator[dict[UUID, Any]]:
    """Yield the runs to be read together, each with its Timestamp."""
    by_steps = constrained_batches(sizes, _STEPS_AT_ONCE, _RUNS_AT_ONCE, get_len=attrgetter("steps"), strict=False)
    for batch in by_steps:
        for group in constrained_batches(batch, _BYTES_AT_ONCE, get_len=attrgetter("size_bytes"), strict=False):
            yield {guid: row.timestamp_local for row in group if (guid := guid_of(row.index_guid))}


def _not_to_read(sizes: Sequence[RunSizeRow], settings: Settings) -> Iterator[VteTestRun]:
    """Yield the runs that have no key of their own, or are too large."""
    rows_of = Counter(guid_of(row.index_guid) for row in sizes)
    seen: set[UUID] = set()
    for guid, row in with_keys(sizes):
        if guid_of(row.index_guid) is None:
            yield no_key(guid, row)
        elif rows_of[guid] > 1:
            if guid not in seen:
                yield unread(guid, row.timestamp_local, duplicate_key(guid, rows_of[guid]))
            seen.add(guid)
        elif why := too_large(row.steps, row.size_bytes, settings.max_steps_per_run, settings.max_run_bytes):
            yield unread(guid, row.timestamp_local, why)


def _complete(server: Server, selection: str, binds: Binds, operators: Operators) -> Iterator[VteTestRun]:
    """Yield runs with their steps, in two statements; runs without steps come last."""
    headers: dict[UUID, list[RunRow]] = {}
    for header in server.rows(RUNS, binds, selection=selection):
        if (guid := guid_of(header.index_guid)) is not None:
            operator = operators.kept(None if header.operator is None else str(header.operator))
            headers.setdefault(guid, []).append(header._replace(operator=operator))
    for key, steps in groupby(server.rows(STEPS, binds, selection=selection), key=attrgetter("index_guid")):
        found = headers.pop(guid, None) if (guid := guid_of(key)) else None
        if found is not None:
            yield run_of(found, steps)
    for found in headers.values():
        yield run_of(found, ())


class _Reading:
    """Reads runs, in ever smaller parts where that fails; gives up at ``limit`` runs that cannot be read."""

    def __init__(self, server: Server, operators: Operators, limit: int) -> None:
        self._server = server
        self._operators = operators
        self._limit = limit
        self._read = 0
        self._failed: dict[UUID, tuple[Any, _Failure]] = {}

    def runs(self, times: Mapping[UUID, Any], selection: tuple[str, Binds]) -> Iterator[VteTestRun]:
        """Yield the runs of a group, which ``selection`` finds; ``times`` are their Timestamps.

        Those that cannot be read are left for :meth:`unreadable`.
        """
        parts = [list(times)]
        attempts = Counter[UUID]()
        while parts:
            missing = dict.fromkeys(parts.pop())
            try:
                for run in _complete(self._server, *selection, self._operators):
                    if run.index_guid in missing:
                        del missing[run.index_guid]
                        self._read += 1
                        yield run
            except (RetriableError, FatalError) as error:
                if error.message not in _BY_CONTENT:
                    raise
                log.warning("%s; %d runs are still to be read, now in halves", error, len(missing))
                self._server.reconnect()
                parts += self._next_parts(list(missing), times, attempts, error)
            if parts:
                selection = among_guids(parts[-1])

    def unreadable(self) -> Iterator[VteTestRun]:
        """Yield the runs that failed alone, with their defects.

        Raises their error when no run could be read and it may be the server's or the network's as well.
        """
        for guid, (timestamp_local, error) in self._failed.items():
            if not self._read and not _is_of_a_value(error):
                raise error
            yield unread(guid, timestamp_local, _unreadable(error))

    def _next_parts(
        self, missing: list[UUID], times: Mapping[UUID, Any], attempts: Counter[UUID], error: _Failure
    ) -> list[list[UUID]]:
        if len(missing) != 1:
            return _halves(missing)
        (guid,) = missing
        attempts[guid] += 1
        if attempts[guid] < _TIMES_ALONE:
            return [missing]
        self._failed[guid] = times[guid], error
        by_rows = self._read or _is_of_a_value(error)
        if len(self._failed) >= (self._limit if by_rows else _MOST_BEFORE_ONE_IS_READ):
            raise error
        return []


def _is_of_a_value(error: _Failure) -> bool:
    """Return whether a value in a row is the cause, as SQL Server says or Python, which cannot hold what arrived."""
    return error.message is VW214 or isinstance(error.__cause__, _OF_A_VALUE)


def _halves(guids: list[UUID]) -> list[list[UUID]]:
    middle = len(guids) // 2
    return [half for half in (guids[middle:], guids[:middle]) if half]


def _unreadable(error: _Failure) -> Defect:
    reason = (
        f"{VW232} the run cannot be read from the VTE database while its neighbours can: {error.detail}. Look at its "
        "rows in IndexData and the three tables of steps, correct them, then redrive the run"
    )
    return Defect(reason=reason, signature=f"cannot be read: {error.code}")
