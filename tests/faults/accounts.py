"""The one check every case ends with: nothing lost, nothing twice, nothing altered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sandbox.wats.report_store import Cause
from tests.faults.site import Site
from tests.site.content import Tables, differences


@dataclass(frozen=True)
class Explained:
    """What a case says will be there at its end; everything else is an error.

    ``dead`` and ``held`` are the runs that must have a dead letter. ``again`` are the runs whose report may have been
    received more than once, with the most receipts that the case explains. ``not_due`` are runs that no window reaches.
    """

    dead: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    again: Mapping[str, int] = field(default_factory=dict)
    not_due: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Accounts:
    """How VTE, WATS and the dead letters compare. ``wrong`` has one line per thing that is not as it must be."""

    runs: int
    reports: int
    dead_letters: int
    lost: int
    doubled: int
    altered: int
    wrong: tuple[str, ...]


def balance(site: Site, explained: Explained) -> Accounts:
    """Compare every run of the source with WATS and the dead letters, and every report with the rows it stands for."""
    tables = Tables(site.plant.db.query)
    store = site.plant.wats.store
    receipts = site.plant.receipts
    dead_letters = site.dead_letters
    due = tables.runs.keys() - explained.not_due
    lost = due - receipts.keys() - dead_letters.keys()
    both = receipts.keys() & dead_letters.keys()
    impostor_servers = (receipts.keys() | dead_letters.keys()) - due
    too_often = {guid for guid, count in receipts.items() if count > explained.again.get(guid, 1)}
    overwritten = store.overwrites(Cause.NATURAL_KEY)
    reports = site.plant.reports
    altered: dict[str, list[str]] = {}
    for guid in receipts.keys() & tables.runs.keys():
        found = differences(
            tables.runs[guid],
            tables.steps[guid],
            reports[guid],
            zone=site.zone,
            processes=site.settings["process_map"],
            is_renamed=site.plant.wats.profile.renames_reports,
        )
        if found:
            altered[guid] = found
    wrong = [
        *_lines("lost", lost),
        *_lines("in WATS and a dead letter", both),
        *_lines("not of this source", impostor_servers),
        *_lines("received more often than explained", too_often),
        *_lines("overwritten by natural key", (found_entry.old_id for found_entry in overwritten)),
        *_lines("in quarantine", (entry.id for entry in store.quarantined())),
        *_lines("should be a dead letter", explained.dead - _of_kind(dead_letters, "dead")),
        *_lines("should be held", explained.held - _of_kind(dead_letters, "held")),
        *_lines("a dead letter nobody explains", dead_letters.keys() - explained.dead - explained.held),
        *(f"altered: {guid}: {'; '.join(found[:3])}" for guid, found in altered.items()),
        *site.violations,
    ]
    return Accounts(
        runs=len(due),
        reports=len(receipts),
        dead_letters=len(dead_letters),
        lost=len(lost),
        doubled=len(too_often | both | impostor_servers) + len(overwritten),
        altered=len(altered),
        wrong=tuple(wrong),
    )


def _of_kind(dead_letters: Mapping[str, Mapping[str, object]], kind: str) -> frozenset[str]:
    return frozenset(guid for guid, dead_letter in dead_letters.items() if dead_letter["kind"] == kind)


def _lines(what: str, guids: Iterable[str]) -> list[str]:
    named = sorted(guids)
    return [f"{what}: {len(named)} ({', '.join(named[:3])})"] if named else []
