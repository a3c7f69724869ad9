"""What a dry run says before anything is posted."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from upath import UPath

from tests.unit.builders import a_run, a_settings, guid_of
from tests.unit.fakes import FakeSource, FakeWats
from vte_wats.backfill.dry_run_report import PreviewedRuns, lines, merge_previews, preview
from vte_wats.domain.run import VteProduct
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.in_flight_keys import InFlightKeys
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import extract
from vte_wats.sync.map_runs import map_runs
from vte_wats.sync.slices import Slice
from vte_wats.sync.upload import UploadOptions, upload

NOW_AT = datetime(2026, 6, 16, 12, 0, 0, 500_000, tzinfo=UTC)


def test_a_dry_run_says_what_would_be_shortened_taken_rejected_and_held(tmp_path):
    long = VteProduct(name="PN-1")
    runs = [
        a_run(1),
        a_run(2, operator="O" * 101, product=long),
        a_run(3, operator="O" * 150, info1="I" * 101),
        a_run(4, serial=" "),
        a_run(5, result_code=77, info2="Lot 47 #3"),
    ]
    staging, settings = (
        Staging(UPath(tmp_path)),
        a_settings(text_rules=[{"source": "info2", "pattern": "Lot {batch} #{socket}"}]),
    )
    part = Slice("g0001", len(runs), guids=tuple(run.index_guid for run in runs))
    extract(FakeSource(*runs), staging, part, settings)
    map_runs(staging, settings)
    wats, dead_letters = FakeWats(), DeadLetters(UPath(tmp_path))
    with InFlightKeys(UPath(tmp_path), "backfill", lambda: NOW_AT) as in_flight:
        upload(
            staging,
            wats,
            dead_letters,
            settings,
            UploadOptions(NOW_AT, dry_run=True),
            read=len(runs),
            in_flight=in_flight,
            read_again=lambda _: [],
        )
    found = preview(staging, settings)
    assert found["shortened"]["operator"] == PreviewedRuns(runs=2, examples=(str(guid_of(2)), str(guid_of(3))))
    assert found["shortened"]["info1"].runs == 1
    assert found["dead"] == {"serial is blank": PreviewedRuns(runs=1, examples=(str(guid_of(4)),))}
    assert [seen.examples for seen in found["held"].values()] == [(str(guid_of(5)),)]
    rule = "info2 Lot {batch} #{socket}"
    assert found["taken"] == {rule: PreviewedRuns(runs=1, examples=(f"{guid_of(5)}: batch 47, socket 3",))}
    assert found["not taken"][rule].runs == 4
    assert not wats.posted
    assert not dead_letters.guids()
    both = merge_previews([found, found])
    assert both["shortened"]["operator"].runs == 4
    assert len(both["shortened"]["operator"].examples) == 3
    assert f"dead: 2 runs · serial is blank · such as {guid_of(4)}, {guid_of(4)}" in list(lines(both))


def test_a_preview_stays_small_whatever_it_counts():
    many = [{"dead": {f"reason {n}": PreviewedRuns(runs=n, examples=(str(UUID(int=n)),) * 9)}} for n in range(1, 200)]
    found = merge_previews(many)["dead"]
    assert len(found) == 50
    assert max(len(seen.examples) for seen in found.values()) == 3
    assert next(iter(found)) == "reason 199"
