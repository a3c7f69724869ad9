"""The report page of the WATS sandbox as a browser lays it out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator

from sandbox.wats.example import example_report
from sandbox.wats.wats_server import WatsServer
from tests.documented_run import documented_run, documented_settings
from vte_wats.mapping.report_builder import map_run

IMAGES = Path(__file__).parents[2] / "docs" / "images"


@pytest.mark.parametrize("width", [pytest.param(1280, id="desktop"), pytest.param(390, id="phone")])
def test_step_names_are_readable_beside_a_long_value(browser: Browser, width: int):
    report = example_report(steps=3)
    value = {"compOp": "LOG", "status": "P", "value": "0123456789" * 10}
    steps = report["root"]["steps"]
    steps.append({"stepType": "ET_SVT", "name": "Programmer log", "status": "P", "stringMeas": [value]})
    with WatsServer() as wats:
        sent = httpx.post(f"{wats.url}/api/Report/WSJF", json=report, headers={"Authorization": f"Basic {wats.token}"})
        assert sent.status_code == 200
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(f"{wats.url}/reports/{report['id']}")
        names = page.locator(".steps .name")
        widths = names.evaluate_all("names => names.map(name => name.getBoundingClientRect().width)")
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        page.close()
    assert len(widths) == 5
    assert min(widths) >= 150
    assert overflow <= 0


def nested(depth: int, step: dict[str, Any]) -> dict[str, Any]:
    """Return a step below so many sequences."""
    if not depth:
        return step
    call = {"stepType": "SequenceCall", "name": f"Sequence {depth}", "status": "P", "seqCall": {"path": "p"}}
    return call | {"steps": [nested(depth - 1, step)]}


def text_widths(names: Locator) -> list[float]:
    """Return how wide the text of each name is laid out."""
    return names.evaluate_all(
        """names => names.map(name => {
            const range = document.createRange(); range.selectNodeContents(name);
            return range.getBoundingClientRect().width; })"""
    )


@pytest.mark.parametrize("width", [pytest.param(1280, id="desktop"), pytest.param(390, id="phone")])
@pytest.mark.parametrize("name", ["W" * 100, "a b " * 25], ids=["one-word", "words"])
def test_long_names_of_deeply_nested_steps_are_readable(browser: Browser, width: int, name: str):
    report = example_report(steps=1)
    step = report["root"]["steps"][0] | {"name": name.strip(), "id": 99, "reportText": "r" * 200}
    report["root"]["steps"].append(nested(9, step))
    with WatsServer() as wats:
        sent = httpx.post(f"{wats.url}/api/Report/WSJF", json=report, headers={"Authorization": f"Basic {wats.token}"})
        assert sent.status_code == 200
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(f"{wats.url}/reports/{report['id']}")
        names = page.locator(".steps .name")
        assert names.count() == 12
        assert text_widths(names)[-1] >= 150
        assert names.last.evaluate("name => name.scrollWidth <= name.clientWidth")
        lines = names.last.evaluate("name => name.firstChild.textContent.trim().length / (name.clientHeight / 21)")
        assert lines >= 4  # characters of a line
        assert names.last.evaluate("name => name.getBoundingClientRect().right") <= width
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        value = page.locator(".steps .value").last
        value.scroll_into_view_if_needed()
        assert value.is_visible()
        page.close()


def test_the_report_of_the_documented_run_shows_what_its_page_says(browser: Browser):
    body = map_run(documented_run(), documented_settings()).body
    with WatsServer() as wats:
        headers = {"Authorization": f"Basic {wats.token}", "Content-Type": "application/json"}
        sent = httpx.post(f"{wats.url}/api/Report/WSJF", content=body, headers=headers)
        assert sent.status_code == 200
        page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
        page.goto(f"{wats.url}/reports/{json.loads(body)['id']}")
        failed = page.locator("tr", has_text="failed the unit")
        assert failed.count() == 1
        assert failed.locator(".name").inner_text().startswith("Output voltage (2)")
        assert failed.locator(".value").inner_text() == "23.4"
        facts = page.locator(".facts").inner_text()
        assert all(text in facts for text in ("17", "Output voltage out of limits", "FX-9", "47", "Kari"))
        if "VTE_WATS_SCREENSHOTS" in os.environ:  # make screenshots
            IMAGES.mkdir(exist_ok=True)
            page.screenshot(path=IMAGES / "report.png", full_page=True)
        page.close()
