"""The report page of the WATS sandbox as a browser lays it out."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Browser

from sandbox.wats.example import example_report
from sandbox.wats.wats_server import WatsServer


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
