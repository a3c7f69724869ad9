"""The statements whose plans a survey shows are those of a sync: every one, and no others."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from tests.integration.test_backfill import backfill, guids_of
from tests.site.in_process import BEGIN_AT, Site
from vte_wats.config.sites import Site as OneSite
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.orchestration.resources import open_vte, read_settings
from vte_wats.vte.schema_reader import statements_of_a_sync
from vte_wats.vte.statements import statement

_VALUE = re.compile(r"N?'(?:[^']|'')*'|%\(\w+\)s|(?<![\w\]])-?\d+(?:\.\d+)?(?!\w)")
REPEATED_LOCAL = datetime(2026, 10, 25, 2, 30)  # clocks of the plant show it twice
OTHERS = "session_options", "select_source_identity"  # of every connection, and of a backfill of named runs


def without_values(sql: str) -> str:
    """Return a statement with one ? for each value, or list of values."""
    return " ".join(re.sub(r"\?(?:\s*,\s*\?)+", "?", _VALUE.sub("?", sql)).split())


def planned() -> dict[str, str]:
    """What is planned for one range of time, with the name of each."""
    settings = read_settings(OneSite())
    ranges = [LocalRange(REPEATED_LOCAL, REPEATED_LOCAL + timedelta(minutes=5))]
    with open_vte(OneSite(), settings) as vte:
        return {
            without_values(
                statement(
                    planned.select.name,
                    settings,
                    as_they_are=vte._as_they_are(planned.select),  # what the server said of its columns
                    **planned.conditions,
                )
            ): planned.title
            for planned in statements_of_a_sync(ranges, settings)
        }


def sent(site: Site) -> set[str]:
    return {without_values(entry.sql) for entry in site.plant.vte.log if "SELECT" in entry.sql}


def test_the_planned_statements_are_those_of_a_sync(site):
    guids = guids_of(site)[:2]
    site.plant.db.insert_rows({"IndexData": [{"Index_GUID": uuid4(), "Timestamp": REPEATED_LOCAL, "Result": 1}]})
    repeated_at = datetime(2026, 10, 25, 1, 35, tzinfo=UTC)
    by_text = planned()
    site.plant.vte.log.clear()
    assert site.sync(10) == "success"
    assert site.sync((repeated_at - BEGIN_AT) // timedelta(minutes=1)) == "success"  # and a gap to fill
    assert backfill(site, guids=guids) == "success"  # as runs that are tried again are read
    others = {without_values(statement(name, read_settings(OneSite()))) for name in OTHERS}
    assert {by_text[text] for text in by_text.keys() - sent(site)} == set()
    assert sent(site) - by_text.keys() - others == set()
