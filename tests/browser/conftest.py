"""A plant, a real Airflow and a real browser that has logged in through Airflow's own form."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, FrameLocator, Page, sync_playwright

from sandbox.airflow_stack import AirflowStack
from sandbox.environment import SandboxEnvironment
from tests.waiting import wait_until

SYNC, RECONCILE, MONITOR, BACKFILL = (f"vte_wats_{kind}" for kind in ("sync", "reconcile", "monitor", "backfill"))
STATE = "vte_wats_state"
INTERVALS = 7
IMAGES = Path(__file__).parents[2] / "docs" / "images"


class Site:
    """A plant and the Airflow that syncs it, without a guard band: what an interval leaves, stays a gap."""

    def __init__(self, plant: SandboxEnvironment, airflow: AirflowStack, started_at: datetime) -> None:
        self.plant, self.airflow, self.started_at = plant, airflow, started_at

    def runs(self, state: str) -> list[str]:
        return [run.dag_run_id for run in self.airflow.runs(SYNC) if run.state == state]

    def ended(self) -> dict[str, str]:
        """Return how every sync ended; nothing while one is queued or running."""
        states = {run.dag_run_id: run.state for run in self.airflow.runs(SYNC)}
        return {} if {"queued", "running"} & set(states.values()) else states

    def sync(self) -> None:
        dag_run_id = self.airflow.trigger(SYNC)
        assert self.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=600) == "success"

    def load(self, runs: int = 5, oddities: tuple[str, ...] = ()) -> set[str]:
        """Commit runs of the last minute at most, after all that was read, before the second that is not over yet."""
        before = self.plant.source
        interval_at = datetime.fromtimestamp(time.time() // 300 * 300, UTC)  # what ended there may be under way
        read_until_at = max(
            datetime.fromisoformat(self.stored(STATE).get("lastSync", "1970-01-01T00:00Z")), interval_at
        )
        wait_until(lambda: self._settled_at() - read_until_at > timedelta(seconds=4), "a time that no sync has read")
        end = self._settled_at()
        start = max(read_until_at + timedelta(seconds=1), end - timedelta(minutes=1))
        self.plant.factory_data.load(self.plant.db, start=start, end=end, runs=runs, steps=3, oddities=list(oddities))
        return self.plant.source - before

    @staticmethod
    def _settled_at() -> datetime:
        return datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)

    def stored(self, variable: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.airflow.variable(variable) or "{}")
        return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no browser: install Chromium, for instance with apt-get install chromium")
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, repository: Path, empty_metadata: Path
) -> Iterator[Site]:
    del browser  # without one nothing is started
    home = tmp_path_factory.mktemp("site")
    started_at = datetime.fromtimestamp(time.time() // 300 * 300, UTC) - INTERVALS * timedelta(minutes=5)
    plant = SandboxEnvironment()
    ended_at = started_at + INTERVALS * timedelta(minutes=5)  # what the clock goes on to has only what a test loads
    plant.factory_data.load(plant.db, start=started_at, end=ended_at, runs=60, steps=3)
    settings = plant.factory_data.settings(storage_path=f"file://{home}/storage", settle_delay_s=0, guard_band_s=0)
    with (
        plant,
        AirflowStack(
            home=home / "airflow",
            template_folder=empty_metadata,
            dags_folder=repository / "dags",
            plugins_folder=repository / "plugins",
            env={
                "AIRFLOW__VTE_WATS__START_DATE": started_at.isoformat(),
                "AIRFLOW__VTE_WATS__RETRIES": "0",
                "AIRFLOW__VTE_WATS__MAX_ACTIVE_RUNS": "1",  # so that an outage leaves one gap
            },
            pools={"wats_api": 1, "vte_wats_state": 1, "vte_read": 2, "vte_survey": 1},
            connections=plant.connections,
            variables={"vte_wats": json.dumps(settings)},
        ) as airflow,
    ):
        assert airflow.import_errors() == []
        yield Site(plant, airflow, started_at)


@pytest.fixture(scope="module")
def logged_in(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """A browser in which somebody has typed name and password into Airflow's form."""
    context = browser.new_context(viewport={"width": 1360, "height": 960}, timezone_id="Europe/Oslo", locale="en-GB")
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(site.airflow.url)
    page.fill("input[name=username]", site.airflow.user)
    page.fill("input[name=password]", site.airflow.password)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Home").first.wait_for()
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(logged_in: BrowserContext, site: Site) -> Iterator[Page]:
    """The status page alone, without Airflow around it; whatever goes wrong in it fails the test."""
    page = logged_in.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if "Content Security" in message.text else None)

    def dismiss(dialog: Dialog) -> None:
        errors.append(f"dialog {dialog.message}")
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.goto(f"{site.airflow.url}/vte-wats/page")
    page.locator("main[aria-busy=false]").wait_for()
    yield page
    page.close()
    assert errors == []


@pytest.fixture
def framed(logged_in: BrowserContext, site: Site) -> Iterator[tuple[Page, FrameLocator]]:
    """The status page as people open it: from Airflow's navigation."""
    page = logged_in.new_page()
    page.goto(site.airflow.url)
    page.get_by_role("link", name="WATS").or_(page.get_by_role("button", name="WATS")).first.click()
    frame = page.frame_locator("iframe")
    frame.locator("main[aria-busy=false]").wait_for()
    yield page, frame
    page.close()
