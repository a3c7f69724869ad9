"""Steps whose run is not in IndexData, in a sample by key: to look for all of them would read whole tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from vte_wats.config.settings import Settings
from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.domain.source import StepKey
from vte_wats.survey.sample_findings import Closed, Issue
from vte_wats.survey.schema import DeployedTable, name_at_site

_TABLES = {"numeric": "TestDataNumeric", "text": "TestDataText", "other": "TestDataOther"}
_SEEKS = ("IndexData", *_TABLES.values())
_PLACES = 10  # of the known runs after whose keys it is looked
_FIRST = UUID(int=0)
_EXAMPLES = 5
_NEVER = (
    "They never reach WATS, for steps are read by their run in IndexData. Ask whoever keeps the database to restore "
    "the runs from a backup, or to remove these steps."
)


class StepSample(Closed):
    """The steps of one table that were looked at, of how many runs, and how many of these are not in IndexData."""

    table: str
    steps: int
    runs: int
    missing_runs: int = 0
    examples: tuple[str, ...] = ()


class StepKeys(Closed):
    """What the sample shows; ``unavailable`` says why there is none."""

    samples: tuple[StepSample, ...] = ()
    unavailable: str = ""

    def issues(self) -> Iterator[Issue]:
        """Yield an issue for each table that has such steps."""
        for sample in self.samples:
            if sample.missing_runs:
                of = f"of {sample.runs} that a sample by key of {sample.steps} steps has"
                what = f"runs of steps in {sample.table} that are not in IndexData: {of}"
                yield Issue(what=what, seen=sample.missing_runs, examples=sample.examples, consequence=_NEVER)


class StepKeySource(Protocol):
    """What is asked of VTE."""

    def step_keys(self, after: UUID) -> Iterator[StepKey]:
        """Yield which runs the next steps of each table name, in the order of their keys."""


def sample_step_keys(
    source: StepKeySource, tables: Sequence[DeployedTable], settings: Settings, known: Sequence[UUID]
) -> StepKeys:
    """Look at the steps with the lowest keys, and at those that follow the keys of some ``known`` runs.

    Keys that follow each other are those of any runs where keys are drawn by lot, and of neighbours in time where they
    are counted up. A sample that fails, as by a lock of a station, stops no survey.
    """
    without = [name for name in _SEEKS if not _is_sought_by_key(name, tables, settings)]
    if without:
        return StepKeys(
            unavailable=f"no index on {', '.join(without)} starts with Index_GUID, so whole tables would be read"
        )
    try:
        found = _looked_at(source, known)
    except (RetriableError, FatalError) as error:
        return StepKeys(unavailable=str(error))
    return StepKeys(samples=tuple(_sample(table, list(found[kind].values())) for kind, table in _TABLES.items()))


def _looked_at(source: StepKeySource, known: Sequence[UUID]) -> Mapping[str, Mapping[str, StepKey]]:
    """Return what is found of each kind by its keys, each once."""
    found: dict[str, dict[str, StepKey]] = defaultdict(dict)
    for guid in (_FIRST, *known[:: max(1, len(known) // _PLACES)][:_PLACES]):
        for step_key in source.step_keys(guid):
            seen = found[step_key.kind].get(step_key.key)
            if seen is None or seen.steps < step_key.steps:  # the last run of a look may be cut
                found[step_key.kind][step_key.key] = step_key
    return found


def _is_sought_by_key(name: str, tables: Sequence[DeployedTable], settings: Settings) -> bool:
    here = str(settings.name_here(name, "Index_GUID")).split(".", 1)[1].casefold()
    table = next((table for table in tables if table.name.casefold() == name_at_site(name, settings).casefold()), None)
    return table is not None and any(index.columns[0].casefold() == here for index in table.indexes)


def _sample(table: str, keys: Sequence[StepKey]) -> StepSample:
    missing = sorted(step_key.key for step_key in keys if not step_key.has_run)
    return StepSample(
        table=table,
        steps=sum(step_key.steps for step_key in keys),
        runs=len(keys),
        missing_runs=len(missing),
        examples=tuple(missing[:_EXAMPLES]),
    )
