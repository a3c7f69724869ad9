"""No report is refused for its form, even by a WATS that refuses everything that any source refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from sandbox.environment import SandboxEnvironment
from sandbox.wats.profiles import PROFILES, ProfileName
from tests.site.content import Tables, refusal
from tests.unit.mapping_builders import a_number, a_run, a_text
from tests.unit.same_bytes import runs, variants
from vte_wats.config.settings import parse_settings
from vte_wats.domain.errors import RejectedError
from vte_wats.mapping.report_builder import map_run
from vte_wats.vte.reader import VteSource

END_AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def strict_site() -> Iterator[SandboxEnvironment]:
    """A plant with every oddity, and the strictest WATS."""
    with SandboxEnvironment(profile=PROFILES[ProfileName.STRICT]) as site, pytest.MonkeyPatch.context() as patch:
        for name, text in site.environment_variables.items():
            patch.setenv(name, text)
        site.factory_data.load(
            site.db, start=END_AT - timedelta(minutes=9), end=END_AT, runs=40, steps=12, oddities=True
        )
        yield site


def client_of(site: SandboxEnvironment) -> httpx.Client:
    headers = {"Authorization": f"Basic {site.wats.token}", "Content-Type": "application/json"}
    return httpx.Client(base_url=site.wats.url, headers=headers)


@pytest.mark.parametrize("nesting", ["flat", "test_number"])
def test_every_oddity_is_taken_by_the_strictest_wats(strict_site, nesting):
    answers = strict_site.factory_data.settings(step_nesting=nesting)
    settings = parse_settings(json.dumps(answers))
    tables = Tables(strict_site.db.query)
    refused, taken = [], 0
    with VteSource(settings) as source, client_of(strict_site) as wats:
        for run in source.runs_by_guid([UUID(guid) for guid in tables.runs]):
            guid = str(run.index_guid)
            try:
                body = map_run(run, settings).body
            except RejectedError:
                assert refusal(tables.runs[guid], tables.steps[guid], processes=answers["process_map"]) is not None
                continue
            answer = wats.post("/api/Report/WSJF", content=body)
            taken += answer.is_success
            if not answer.is_success:
                refused.append((guid, answer.status_code, answer.text[:300]))
    assert refused == []
    assert taken > 60


def test_whatever_a_run_holds_its_report_is_taken_by_the_strictest_wats(strict_site):
    by_default, _, nested = variants()
    long_units = tuple(make(units="V" * 30, step_number=n) for n, make in enumerate((a_number, a_text)))
    refused, taken = [], 0
    with client_of(strict_site) as wats:
        for run in (*runs(), a_run(steps=long_units)):
            for settings in (by_default, nested):
                try:
                    body = map_run(run, settings).body
                except RejectedError:
                    continue
                answer = wats.post("/api/Report/WSJF", content=body)
                taken += answer.is_success
                if not answer.is_success:
                    refused.append((str(run.index_guid), answer.status_code, answer.text[:300]))
    assert refused == []
    assert taken > 100
