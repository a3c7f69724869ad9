"""The shortened matrix: every kind of fault once, on a real Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.canary import leaks
from tests.faults.case import Case
from tests.faults.matrix import run_case, selected
from tests.faults.run import SEED
from tests.faults.site import Site, open_site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, empty_metadata: Path) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("faults"), SEED, template=empty_metadata) as opened:
        yield opened


@pytest.mark.parametrize("case", selected(short=True), ids=lambda case: case.name)
def test_nothing_is_lost_doubled_or_altered(site: Site, case: Case) -> None:
    assert run_case(site, case, SEED).accounts.wrong == ()


def test_no_secret_stands_anywhere(site: Site) -> None:
    site.let_people_know()
    assert leaks(site) == []
