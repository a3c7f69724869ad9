"""The plan of a backfill, kept in a file: its DAG runs hand each other a reference to it, and no text of the plant."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from upath import UPath

from vte_wats.backfill.request import Part
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW623
from vte_wats.storage.object_storage import create_folder, read_file, write_atomically
from vte_wats.storage.retention import PLANS

_REFERENCE = re.compile(r"[0-9a-f]{32}")
_LARGEST_BYTES = 256_000_000  # six million named runs


class BackfillPlan(BaseModel):
    """All parts of a backfill, and what is the same for each of them.

    ``dag_run_id`` is the DAG run that planned them; ``runs`` are the named runs, ``None`` for an interval of time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dag_run_id: str
    asked: str
    batch_size: int
    parts: tuple[Part, ...]
    runs: tuple[UUID, ...] | None = None


class PartReference(BaseModel):
    """Which part of which plan a DAG run processes, from 1. It is all that one DAG run hands the next."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    plan: str
    part: int

    @classmethod
    def first(cls, dag_id: str, dag_run_id: str, run_after: datetime) -> PartReference:
        """Return the reference to the first part of the backfill that a DAG run plans."""
        name = f"{dag_id} {dag_run_id} {run_after.isoformat()}"
        return cls(plan=hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:32], part=1)

    def following(self) -> PartReference:
        """Return the reference to the next part."""
        return self.model_copy(update={"part": self.part + 1})


class BackfillPlans:
    """The folder of plans, local or in a bucket."""

    def __init__(self, storage: UPath) -> None:
        self._folder = storage / PLANS

    def save(self, reference: PartReference, plan: BackfillPlan) -> None:
        """Write a plan; its first DAG run does so once."""
        create_folder(self._folder)
        write_atomically(self._path(reference), plan.model_dump_json().encode())

    def load(self, reference: PartReference) -> BackfillPlan | None:
        """Return a plan that was saved, ``None`` when there is none. Raises FatalError for a damaged one."""
        path = self._path(reference)
        try:
            return BackfillPlan.model_validate_json(read_file(path, _LARGEST_BYTES))
        except FileNotFoundError:
            return None
        except ValueError as exc:
            problem = str(exc).partition("\n")[0]
            raise FatalError(VW623, f"the plan of the backfill in {path} is damaged: {problem}. {_AGAIN}") from exc

    def load_part(self, reference: PartReference) -> tuple[BackfillPlan, Part]:
        """Return a plan and the part that is referred to. Raises FatalError when there is no such plan or part."""
        plan = self.load(reference)
        if plan is None:
            path = self._path(reference)
            raise FatalError(VW623, f"the plan of the backfill is not in {path}: it was removed. {_AGAIN}")
        if not 1 <= reference.part <= len(plan.parts):
            parts = f"this backfill has parts 1 to {len(plan.parts)}, given {reference.part}"
            raise FatalError(VW623, f"continued.part: {parts}. {_AGAIN}")
        return plan, plan.parts[reference.part - 1]

    def _path(self, reference: PartReference) -> UPath:
        if not _REFERENCE.fullmatch(reference.plan):
            raise FatalError(VW623, f"continued.plan: 32 hexadecimal digits, given {reference.plan[:40]!r}. {_AGAIN}")
        return self._folder / f"{reference.plan}.json"


_AGAIN = "Trigger the backfill again with its form; runs that are in WATS are skipped"
