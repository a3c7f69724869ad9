"""The first day at a site in a real browser: survey, report, a proposal that is taken over, and the sync that uses it."""

from __future__ import annotations

import json
import os

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import IMAGES, INTERVALS, SYNC
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

expect.set_options(timeout=90_000)
SURVEY = "vte_wats_survey"
HOSTILE = """<img src=x onerror="document.title='taken over'">"""
UNKNOWN = "Sensor Board Retest" if "VTE_WATS_SCREENSHOTS" in os.environ else HOSTILE  # a test plan
BURN_IN = {"PSU Burn In": 120}


@pytest.fixture(scope="module")
def surveyed(site):
    """A site whose settings lack the process of a test plan, surveyed before its first sync."""
    for n, testplan in enumerate([UNKNOWN, *BURN_IN]):
        site.plant.db.query(
            """UPDATE "IndexData" SET "TestplanName" = ? WHERE "Index_GUID" IN
            (SELECT "Index_GUID" FROM "IndexData" ORDER BY "Index_GUID" LIMIT 6 OFFSET ?)""",
            [testplan, 6 * n],
        )
    answers = site.stored("vte_wats")
    for testplan in BURN_IN:
        del answers["process_map"][testplan]
    site.airflow.set_variable("vte_wats", json.dumps(answers))
    dag_run_id = site.airflow.trigger(SURVEY)
    site.airflow.unpause(SURVEY)
    assert site.airflow.wait_for_run(SURVEY, dag_run_id, timeout_s=600) == "success"
    return site


def the_survey(page: Page):
    return page.locator("section[aria-labelledby=survey-title]")


def test_before_the_first_survey_the_page_says_how_to_get_one(page):
    expect(page.locator("#survey")).to_contain_text("Trigger vte_wats_survey")


@pytest.mark.usefixtures("surveyed")
def test_the_report_opens_from_inside_airflow_with_its_plots_and_no_script(framed):
    outer, frame = framed
    with outer.context.expect_page() as opened:
        frame.get_by_role("link", name="Open the report").click()
    report = opened.value
    expect(report.get_by_role("heading", level=1)).to_contain_text("Survey of")
    expect(report.locator("figure svg").first).to_be_visible()
    expect(report.locator("body")).to_have_css("margin-top", "0px")  # its own style is let in
    closed = report.locator("details:not([open]) > :not(summary)").first
    expect(closed).not_to_be_visible()
    report.emulate_media(media="print")
    expect(closed).to_be_visible()
    answer = report.request.get(report.url)
    assert "sandbox" in answer.headers["content-security-policy"]
    report.close()


def test_the_files_are_there_to_download(surveyed, page):
    for name in ("survey.json", "yields.csv", "issues.csv", "runs.csv", "steps.csv", "schema.mmd"):
        with page.expect_download() as download:
            page.locator(f"#survey [data-key='{name}']").click()
        assert download.value.suggested_filename.endswith(f"-{name}")
        assert download.value.path().stat().st_size > 100


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_questions_and_proposal_are_for_everybody(surveyed, page, scheme):
    page.emulate_media(color_scheme=scheme)
    expect(the_survey(page).locator("dl.tile")).to_have_count(4)
    expect(the_survey(page).locator(".examples")).to_contain_text(f"{json.dumps(UNKNOWN)}: 0,")
    assert page.locator("main img").count() == 0
    for details in the_survey(page).locator("summary").all():
        details.click()
    found = Axe().run(page).response["violations"]
    assert [
        (violation["id"], [node["html"][:200] for node in violation["nodes"]])
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ] == []


@pytest.mark.parametrize("width", [320, 390, 768])
def test_the_proposal_does_not_stick_out_on_a_small_screen(surveyed, page, width):
    page.set_viewport_size({"width": width, "height": 800})
    expect(page.locator(".proposed tbody tr").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_is_ticked_is_taken_over_and_the_next_sync_uses_it(surveyed, page):
    before = surveyed.stored("vte_wats")
    assert before["process_map"].items().isdisjoint(BURN_IN.items())
    row = page.locator(".proposed tbody tr").filter(has_text="process_map")
    expect(row.locator("td").nth(2).locator(".differs")).to_have_text("PSU Burn In: 120")
    button = page.get_by_role("button", name="Take over what is ticked")
    expect(button).to_be_disabled()
    if "VTE_WATS_SCREENSHOTS" in os.environ:  # make screenshots
        row.get_by_role("checkbox").check()
        page.set_viewport_size({"width": 1180, "height": 1400})
        the_survey(page).screenshot(path=IMAGES / "survey.png")
        row.get_by_role("checkbox").uncheck()

    row.get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    button.click()
    expect(page.locator("#confirm-text")).to_contain_text("process_map")
    page.locator("#confirm-no").click()
    button.click()
    page.locator("#confirm-yes").click()
    expect(page.locator("#taken-over")).to_have_text("Taken over: process_map.")
    expect(row).to_contain_text("as proposed")
    expect(row.get_by_role("checkbox")).to_have_count(0)
    after = surveyed.stored("vte_wats")
    assert after == before | {"process_map": before["process_map"] | BURN_IN}

    surveyed.airflow.unpause(SYNC)
    wait_until(lambda: len(surveyed.runs("success")) >= INTERVALS, "every interval to end", timeout_s=600)
    burnt_in = surveyed.plant.db.query("""SELECT "Index_GUID" FROM "IndexData" WHERE "TestplanName" = 'PSU Burn In'""")
    assert burnt_in
    assert {str(guid) for (guid,) in burnt_in} <= surveyed.plant.receipts.keys()


def test_settings_that_somebody_else_changes_meanwhile_are_not_overwritten(surveyed, page):
    row = page.locator(".proposed tbody tr").filter(has=page.get_by_role("checkbox")).first
    setting = row.get_by_role("checkbox").evaluate("box => box.dataset.key").removeprefix("tick ")
    row.get_by_role("checkbox").check()
    others = surveyed.stored("vte_wats") | {"batch_size": 77}
    surveyed.airflow.set_variable("vte_wats", json.dumps(others))
    page.get_by_role("button", name="Take over what is ticked").click()
    page.locator("#confirm-yes").click()
    expect(page.locator("#taken-over")).to_contain_text("VW563")
    assert surveyed.stored("vte_wats") == others
    assert setting not in others
