"""What every test shares: an Airflow home of its own, set before anything imports Airflow."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from sandbox.wats.profiles import DEFAULT_NAME, PROFILES, WatsProfile
from tests.unit.builders import a_settings
from tests.warning_codes import only_warnings_with_a_code
from vte_wats.config.sites import Site

if TYPE_CHECKING:
    from upath import UPath

    from tests.bucket import Bucket

# Two of three workers wait, for a schedule or a server, while the third computes: so the files take turns, the longest first.
LONGEST_FIRST = (
    "tests/e2e/test_alerts_on_a_real_scheduler.py",
    "tests/integration/test_verify.py",
    "tests/faults/test_matrix.py",
    "tests/integration/test_benchmarks.py",
    "tests/integration/test_monitor.py",
    "tests/browser/test_status_page.py",
    "tests/integration/test_near_check.py",
    "tests/e2e/test_backfill_on_a_real_scheduler.py",
    "tests/integration/test_survey.py",
    "tests/e2e/test_installation.py",
    "tests/integration/test_state.py",
    "tests/e2e/test_sync_on_celery.py",
    "tests/integration/test_backfill.py",
    "tests/e2e/test_sync_on_a_real_scheduler.py",
    "tests/converge/test_days.py",
    "tests/browser/test_survey_on_the_page.py",
    "tests/integration/test_converging.py",
    "tests/sandbox/test_airflow_stack.py",
)

# Whose lines count as covered: tracing nearly doubles what a test computes, also in code that is not the product's. Left
# out is what tests the product in other processes, and what plays once more at length what other files have covered.
COVERING = ("tests/unit/", "tests/integration/", "tests/security/")
NOT_COVERING = (
    "tests/integration/test_backfill.py",
    "tests/integration/test_benchmarks.py",
    "tests/integration/test_confirmed_not_shown.py",
    "tests/integration/test_converging.py",
    "tests/integration/test_history_in_airflow.py",
    "tests/integration/test_near_check.py",
    "tests/integration/test_state.py",
    "tests/integration/test_survey.py",
    "tests/integration/test_two_sites.py",
    "tests/integration/test_upgrade.py",
    "tests/integration/test_verify.py",
    "tests/integration/test_what_airflow_gives_back.py",
    "tests/security/test_hostile_text.py",
)

# A busy machine is no failure: what a test says never depends on how long it took.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

REPOSITORY = Path(__file__).resolve().parents[1]
_HOME = Path(tempfile.mkdtemp(prefix="vte-wats-tests-"))

os.environ.update(
    AIRFLOW_HOME=str(_HOME),
    AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT="300",
    AIRFLOW__CORE__DAGS_FOLDER=str(REPOSITORY / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(REPOSITORY / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__TEST_CONNECTION="Enabled",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{_HOME}/airflow.db",
    AIRFLOW__VTE_WATS__START_DATE="2026-03-02T00:00:00Z",
)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder this project stands in."""
    return REPOSITORY


@pytest.fixture(autouse=True)
def _every_warning_begins_with_its_code() -> Iterator[None]:
    """Fail a test that makes the product log another one, itself or by its fixtures."""
    with only_warnings_with_a_code():
        yield


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    """A bucket behind a socket; the Airflow connection to it is in the environment."""
    from tests.bucket import CONN_ID, Bucket  # noqa: PLC0415 - slow, and few tests need it

    with Bucket() as bucket:
        os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = bucket.connection
        yield bucket
        del os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"]


@pytest.fixture
def wats_profile(request: pytest.FixtureRequest) -> WatsProfile:
    """How the WATS of a test behaves: as people report it, unless ``every_wats`` asks for each of the four sets."""
    return PROFILES[getattr(request, "param", DEFAULT_NAME)]


@pytest.fixture
def bucket_storage(bucket: Bucket) -> UPath:
    """Storage in that bucket, opened the way a task opens it."""
    from vte_wats.orchestration.resources import storage_of  # noqa: PLC0415 - Airflow must find its home first

    return storage_of(Site(), a_settings(storage_path=bucket.a_place()))


@pytest.fixture(scope="session")
def empty_metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first Airflow of a test session leaves its empty database for all later ones, also those of other workers."""
    folder = tmp_path_factory.getbasetemp()
    return (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "empty-metadata"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that the workers of pytest-xdist end together."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.location[0], len(place)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Trace the lines of tests whose coverage counts, and of their fixtures; what pytest-cov offers leaves fixtures out."""
    measured = getattr(item.config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    file = item.location[0]
    if measured is None or (file.startswith(COVERING) and file not in NOT_COVERING):
        return (yield)
    measured.pause()
    try:
        return (yield)
    finally:
        measured.resume()


def pytest_unconfigure() -> None:
    """Remove the Airflow home of this process; pytest-xdist's main process has one too."""
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name at the very end what this machine could not test, and why."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reasons[report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)] += 1
    if reasons:
        terminalreporter.section("not tested on this machine")
        for reason, tests in reasons.items():
            terminalreporter.line(f"{tests} tests: {reason.removeprefix('Skipped: ')}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep how the tests ended: ``tests.once_more`` tries nothing again that was not run to its end."""
    if not hasattr(session.config, "workerinput") and (cache := getattr(session.config, "cache", None)) is not None:
        cache.set("vte_wats/exit_code", int(exitstatus))
