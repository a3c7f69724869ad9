"""The GUIDs of the runs that a plan names: they wait in its staging, for XCom holds counts only.

One file per plan, one line per slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from vte_wats.storage.staging import Staging
from vte_wats.sync.slices import Slice

PLAN = "plan"  # whose staging it is; no slice is called so
NAMED = "named"


def hand_over(staging: Staging, slices: Sequence[Slice]) -> list[dict[str, Any]]:
    """Return the slices for XCom, and stage the GUIDs of those that name their runs."""
    named = [part for part in slices if part.names_runs]
    if named:
        staging.write(NAMED, (" ".join([part.name, *map(str, part.guids)]) for part in named))
    return [part.to_xcom() for part in slices]


def with_runs(staging: Staging, part: Slice) -> Slice:
    """Return a slice with the GUIDs that its plan staged; raise StagedFileError when they are missing or damaged."""
    if not part.names_runs:
        return part

    def of_this_slice(line: bytes) -> tuple[UUID, ...]:
        name, *guids = line.decode().split()
        return tuple(map(UUID, guids)) if name == part.name else ()

    guids = next(filter(None, staging.parsed(NAMED, of_this_slice)), ())
    if len(guids) != part.runs:
        raise staging.damaged(NAMED, f"{len(guids):,} of the {part.runs:,} runs of {part.name}", LookupError())
    return replace(part, guids=guids)
