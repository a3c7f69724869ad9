"""The status page in a real browser, on a real Airflow, while things happen to the plant. The tests follow one day."""

from __future__ import annotations

import os
import random
import re
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FrameLocator, Page, Route, expect

from tests.browser.conftest import BACKFILL, IMAGES, INTERVALS, MONITOR, RECONCILE, SYNC
from tests.waiting import undisturbed, wait_until
from vte_wats.domain.run import Outcome
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State
from vte_wats.state.history import History, Tally
from vte_wats.state.proof import Cause, DayProof, OpenRun, Proof, days_without_runs
from vte_wats.status.api_models import ProofCalendar

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

expect.set_options(timeout=90_000)
HOSTILE = """<img src=x onerror="document.title='taken over'">"""


def figure(page: Page, name: str):
    return page.locator("dl.tile").filter(has_text=name).locator(".figure")


def gaps(page: Page):
    return page.locator("#gaps li")


# Without a login


def test_without_a_login_the_page_and_its_data_are_refused(site):
    for path in ("page", "page/page.js", "api/status", "api/dead-letters", "api/openapi.json"):
        answer = httpx.get(f"{site.airflow.url}/vte-wats/{path}", trust_env=False)
        assert answer.status_code == 401, path
        assert "vte" not in answer.text.lower()


def test_health_is_open_and_fails_before_the_first_sync(site):
    answer = httpx.get(f"{site.airflow.url}/vte-wats/health", trust_env=False)
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "failing", "last_sync": None, "runs_processed": 0, "errors": 0, "runs_per_minute": 0.0,
    }  # fmt: skip


# Before anything was synced


def test_an_empty_site_says_what_to_do(page):
    expect(page.locator("#status")).to_have_text("stopped")
    expect(page.locator("#reason")).to_have_text("The sync is paused in Airflow.")
    expect(page.locator("#coverage")).to_have_text("Nothing has been synced yet.")
    expect(page.locator("#recent")).to_contain_text("Unpause vte_wats_sync")
    expect(page.locator("#dead-letters")).to_contain_text("None")
    assert_accessible(page)


# An outage


def test_a_gap_that_an_outage_of_wats_leaves_closes_by_itself(site, framed):
    outer, frame = framed
    site.airflow.unpause(SYNC)
    wait_until(lambda: len(site.runs("success")) >= 2, "two syncs")
    site.plant.wats.stop()
    wait_until(lambda: site.runs("failed"), "a sync to fail")
    expect(frame.locator("#status")).to_have_text("degraded")
    expect(frame.locator("#reason")).to_contain_text("The last sync did not succeed")
    site.plant.wats.start()
    wait_until(lambda: len(site.runs("success")) + len(site.runs("failed")) >= INTERVALS, "every interval to end")
    wait_until(lambda: len(site.stored("vte_wats_state")["coverage"]) == 1, "the gap to close")
    assert site.runs("failed")  # nobody has cleared it
    outer.reload()
    frame.locator("main[aria-busy=false]").wait_for()
    expect(frame.locator("#gaps li")).to_have_count(0)
    expect(frame.locator("#status")).to_have_text("ok")


def test_a_cleared_run_counts_once_in_the_history(site):
    dag_run_id = site.runs("success")[0]

    def look(_: dict[str, str]) -> None:
        before = days_of(site)
        site.airflow.clear(SYNC, dag_run_id)
        assert site.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=600) == "success"
        assert sum(outcomes.get(Outcome.UPLOADED, 0) for outcomes in before.values()) > 0
        assert days_of(site) == before

    undisturbed(lambda: wait_until(site.ended, "no sync to be under way"), look)  # what the schedule syncs counts too


def days_of(site) -> dict[date, dict[Outcome, int]]:
    """What the history counts, by day."""
    days = History.model_validate_json(site.airflow.variable("vte_wats_history")).days
    return {day: dict(tally.outcomes) for day, tally in days.items() if tally.outcomes}


# Live


def test_the_numbers_move_by_themselves(site, page):
    before = figure(page, "Runs uploaded").inner_text()
    assert before == f"{site.stored('vte_wats_state')['totals']['uploaded']:,}"
    site.load()
    site.sync()
    expect(figure(page, "Runs uploaded")).not_to_have_text(before)
    expect(page.locator("#recent tbody tr").first).to_contain_text("success")
    expect(page.locator("#recent tbody tr").first.locator("a")).to_have_text(re.compile(r"\d\d:\d\d"))
    expect(figure(page, "Upload time")).to_have_text(re.compile(r"\d+ ms|\d\.\d s"))
    expect(page.locator("#chart rect.uploaded").first).to_be_attached()


def test_the_monitor_shows_versions_and_round_trips(site, page):
    expect(page.locator("#connections")).to_contain_text("not checked yet")
    dag_run_id = site.airflow.trigger(MONITOR)
    site.airflow.unpause(MONITOR)
    assert site.airflow.wait_for_run(MONITOR, dag_run_id, timeout_s=600) == "success"
    expect(page.locator("#connections .badge.ok")).to_have_count(2)
    expect(page.locator("#connections")).to_contain_text("SQL Server")
    expect(page.locator("#connections")).not_to_contain_text("not checked yet")
    site.airflow.pause(MONITOR)


def test_a_comparison_is_listed_with_its_state(site, page):
    dag_run_id = site.airflow.trigger(RECONCILE, conf={"days": 0})
    site.airflow.unpause(RECONCILE)
    assert site.airflow.wait_for_run(RECONCILE, dag_run_id, timeout_s=600) == "success"
    expect(page.locator("#comparisons .badge.success")).to_have_count(1)


# Dead letters


def test_a_dead_letter_is_redriven_from_the_page(site, page):
    loaded = site.load(runs=4, oddities=("blank_serial",))
    site.sync()
    group = page.locator("details.group").filter(has_text="serial is blank")
    expect(group).to_be_visible()
    expect(figure(page, "Dead letters")).to_have_text("1")
    units = site.plant.db.query("""SELECT "Uut_GUID" FROM "UutData" WHERE TRIM(COALESCE("Serial", '')) = ''""")
    for number, (unit,) in enumerate(units):
        site.plant.db.query('UPDATE "UutData" SET "Serial" = ? WHERE "Uut_GUID" = ?', [f"SN-CORRECTED-{number}", unit])
    group.locator("summary").click()
    site.airflow.unpause(BACKFILL)
    group.get_by_role("button", name="Redrive").click()
    expect(page.locator("#confirm-text")).to_contain_text("serial is blank")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("dialog")).not_to_be_visible()
    group.get_by_role("button", name="Redrive").click()
    page.locator("#confirm-yes").click()
    expect(page.locator("#redriven a")).to_be_visible()
    expect(group).to_have_count(0, timeout=300_000)
    expect(page.locator("#redriven a")).to_be_visible()
    assert loaded <= site.plant.receipts.keys()


def test_hostile_names_are_shown_as_they_are(site, page):
    site.load(runs=3, oddities=("blank_serial",))
    site.plant.db.query('UPDATE "IndexData" SET "ProductName" = ?', [HOSTILE])
    site.plant.db.query('UPDATE "Products" SET "Name" = ?', [HOSTILE])
    site.sync()
    page.reload()
    group = page.locator("details.group").filter(has_text="serial is blank")
    group.locator("summary").click()
    expect(group.locator(".examples")).to_contain_text(HOSTILE)
    assert page.locator("main img").count() == 0
    assert page.title() == "WATS status"


# For everybody


def test_the_keyboard_reaches_and_works_everything(page):
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.dataset.key ?? document.activeElement.tagName"))
    assert {"day", "fortnight", "year", "uploaded", "unchanged", "dead", "SUMMARY"} <= set(reached)
    page.locator("#spans [data-key=year]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#spans [data-key=year]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#chart svg")).to_have_attribute("aria-label", re.compile("year"))
    assert page.evaluate("document.activeElement.dataset.key") == "year"
    page.locator("#outcomes [data-key=unchanged]").focus()
    page.keyboard.press("Space")
    expect(page.locator("#outcomes [data-key=unchanged]")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#chart rect.unchanged")).to_have_count(0)
    summary = page.locator("details.group summary").first
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator("details.group").first).to_have_attribute("open", "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_stands_in_the_way_of_a_screen_reader(page, scheme):
    page.emulate_media(color_scheme=scheme)
    page.locator("details.group summary").first.click()
    page.locator("#chart-table summary").click()
    assert_accessible(page)


def assert_accessible(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert [
        (violation["id"], violation["help"], [node["html"][:200] for node in violation["nodes"]])
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ] == []


def test_the_frame_follows_airflows_light_and_dark(framed):
    outer, frame = framed
    for theme in ("dark", "light"):
        outer.evaluate(
            "theme => { document.documentElement.classList.remove('light', 'dark'); "
            "document.documentElement.classList.add(theme) }",
            theme,
        )
        expect(frame.locator("html")).to_have_class(theme)


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_sticks_out_on_a_small_screen(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.locator("details.group summary").first.click()
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_when_airflow_does_not_answer_the_page_says_so_and_comes_back(site, page):
    page.route("**/vte-wats/api/**", lambda route: route.abort())
    expect(page.locator("#trouble")).to_contain_text("Airflow does not answer")
    expect(figure(page, "Runs uploaded")).to_have_text(re.compile(r"\d"))
    page.unroute("**/vte-wats/api/**")
    expect(page.locator("#trouble")).to_be_hidden()


def test_a_login_that_ended_is_reported(page):
    page.route("**/vte-wats/api/status**", lambda route: route.fulfill(status=401, body="{}"))
    expect(page.locator("#trouble")).to_contain_text("Sign in to Airflow again")


def test_a_late_answer_of_another_site_is_not_shown(site, page):
    """Of two sites the one that is looked at is shown, also when the other one's answer comes last."""
    real = page.request.get(f"{site.airflow.url}/vte-wats/api/sites").json()[0]
    status = page.request.get(f"{site.airflow.url}/vte-wats/api/status").json()
    assessment = {"status": "stopped", "reason": "The other site has stopped."}
    other = real | {"site": "other", "assessment": assessment}
    late: list[Route] = []

    def keep(route: Route) -> None:
        late.append(route)

    def look_at_the_other() -> None:
        late.clear()
        page.select_option("#site", "other")
        wait_until(lambda: page.wait_for_timeout(50) or late, "the question for the other site")

    page.route("**/vte-wats/api/sites", lambda route: route.fulfill(json=[real, other]))
    page.route(re.compile(r"/api/(history|dead-letters|proof)\?.*site=other"), lambda route: route.abort())
    page.route(re.compile(r"/api/status\?site=other"), keep)
    page.reload()
    page.locator("main[aria-busy=false]").wait_for()
    reason = page.locator("#reason")

    look_at_the_other()
    with page.expect_response(lambda answer: "/api/status" in answer.url and "other" not in answer.url):
        page.select_option("#site", real["site"])
    late[0].fulfill(json=status | {"site": "other", "assessment": assessment})
    page.wait_for_timeout(500)
    assert reason.text_content() != assessment["reason"]

    look_at_the_other()
    late[0].fulfill(json=status | {"site": "other", "assessment": assessment})
    expect(reason).to_have_text(assessment["reason"])
    page.unroute_all(behavior="ignoreErrors")


# A year


def test_a_year_of_data_looks_right(site, page, framed):
    site.airflow.stop_component("scheduler")  # what is made up here is no state that a sync would go on from
    now_at = datetime.now(UTC).replace(microsecond=0)
    site.airflow.set_variable("vte_wats_state", a_year_of_coverage(now_at).model_dump_json(by_alias=True))
    site.airflow.set_variable(
        "vte_wats_history", a_year_of_history(now_at).model_dump_json(by_alias=True, exclude_defaults=True)
    )
    answer = httpx.get(f"{site.airflow.url}/vte-wats/health", trust_env=False)
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    page.reload()
    page.locator("main[aria-busy=false]").wait_for()
    expect(gaps(page)).to_have_count(2)
    expect(page.locator("#chart svg")).to_be_visible()
    for span, bars in {"year": 45, "fortnight": 50, "day": 23}.items():
        page.locator(f"#spans [data-key={span}]").click()
        expect(page.locator("#chart svg")).to_have_attribute("aria-label", re.compile("24 hours|14 days|year"))
        wait_until(lambda bars=bars: page.locator("#chart rect.uploaded").count() >= bars, f"the {span}", timeout_s=60)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1360
    assert_accessible(page)
    if "VTE_WATS_SCREENSHOTS" in os.environ:  # make screenshots
        take_screenshots(page)
        whole = a_year_of_coverage(now_at).model_copy(
            update={"coverage": (Interval(from_at=now_at - timedelta(days=400), to_at=now_at),)}
        )
        site.airflow.set_variable("vte_wats_state", whole.model_dump_json(by_alias=True))
        take_screenshot_inside_airflow(*framed)


def test_the_calendar_says_of_each_day_what_is_proven(site, page):
    undisturbed(lambda: datetime.now(UTC).date(), lambda _: look_at_the_calendar(site, page))


def look_at_the_calendar(site, page: Page) -> None:
    now_at = datetime.now(UTC).replace(microsecond=0)
    yesterday = now_at.date() - timedelta(days=1)
    page.set_viewport_size({"width": 1360, "height": 960})
    site.airflow.set_variable("vte_wats_state", a_year_of_coverage(now_at).model_dump_json(by_alias=True))
    look_at_proof(site, page, Proof())
    expect(page.locator("#proven-through")).to_have_text("not yet proven: no comparison has ended")
    expect(page.locator("#calendar button.not_compared")).to_have_count(365)
    expect(page.locator("dl.tile").filter(has_text="Behind VTE by")).to_contain_text("not yet proven")

    look_at_proof(site, page, a_year_of_proof(now_at))
    expect(page.locator("#calendar button")).to_have_count(365)
    through = f"proven through {said(yesterday - timedelta(days=41))}"
    expect(page.locator("#proven-through")).to_have_text(through)
    expect(page.locator("dl.tile").filter(has_text="Behind VTE by")).to_contain_text(through)
    legend = ["proven: 361 days", "proven except for dead letters: 1 day", "open: 2 days", "not yet proven: 1 day"]
    expect(page.locator("#proof-legend li")).to_have_text(legend)
    page.locator(f"#calendar [data-key='{yesterday}']").click()
    expect(page.locator("#day")).to_contain_text("3 runs in VTE, 1 proven, 0 dead letters, 0 held, 2 open")
    expect(page.locator("#day li").first).to_contain_text(HOSTILE)
    expect(page.locator("#day li").last).to_have_text("and 1 more run")

    expect(page.locator("#differences li")).to_have_text(
        [
            f"{said(yesterday)}: 1,234 changed in VTE",
            f"{said(yesterday)}: 2 altered in WATS",
            f"{said(now_at.date() - timedelta(days=400))}: 1 changed by an unknown cause",
        ]
    )

    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#day")).to_contain_text(f"{said(yesterday - timedelta(days=1))}: not yet proven")
    expect(page.locator("#day")).to_contain_text("No comparison has looked at this day since it ended.")
    expect(page.locator("#calendar [aria-pressed=true]")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.locator(f"#calendar [data-key='{now_at.date() - timedelta(days=365)}']")).to_be_focused()
    assert page.locator("#calendar button[tabindex='0']").count() == 1

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert_accessible(page)
    page.set_viewport_size({"width": 390, "height": 844})
    boxes = [cell.bounding_box() for cell in page.locator("#calendar button").all()]
    assert min(box["width"] for box in boxes) >= 8
    assert max(box["x"] + box["width"] for box in boxes) <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    rows = page.request.get(page.locator("#proof-csv").evaluate("link => link.href")).text().splitlines()
    assert len(rows) == 401
    assert rows[-1].startswith(f"{yesterday},3,1,0,0,2,")


def look_at_proof(site, page: Page, proof: Proof) -> None:
    """Look at the page once requests are no longer given what was read before."""
    site.airflow.set_variable("vte_wats_proof", proof.model_dump_json(exclude_defaults=True))
    address = f"{site.airflow.url}/vte-wats/api/proof"

    def is_read() -> bool:
        found = ProofCalendar.model_validate(page.request.get(address).json())
        return found.compared_at == proof.compared_at and len(found.days) == 365

    wait_until(is_read, "the calendar to be read again")
    page.reload()
    page.locator("main[aria-busy=false]").wait_for()


def said(day: date) -> str:
    return f"{day:%-d %b %Y}".replace("Sep", "Sept")  # as en-GB has it


def a_year_of_proof(now_at: datetime) -> Proof:
    """Make up a proof of 400 days: yesterday and the day forty before it are open, the one between is not compared."""
    first, yesterday = now_at.date() - timedelta(days=400), now_at.date() - timedelta(days=1)
    days = days_without_runs([(first, now_at.date())], now_at)
    days[yesterday] = DayProof(
        in_vte=3, proven=1, verified_at=now_at, open_runs=(OpenRun(index_guid="5c2a17f0", reason=HOSTILE),)
    )
    del days[yesterday - timedelta(days=1)]
    days[yesterday - timedelta(days=40)] = DayProof(in_vte=2, proven=1, verified_at=now_at)
    days[yesterday - timedelta(days=50)] = DayProof(in_vte=2, proven=1, dead=1, verified_at=now_at)
    differences = {first: {Cause.UNKNOWN: 1}, yesterday: {Cause.VTE_CHANGED: 1_234, Cause.WATS_CHANGED: 2}}
    return Proof(days=days, compared_at=now_at, differences=differences)


def take_screenshot_inside_airflow(outer: Page, frame: FrameLocator) -> None:
    outer.set_viewport_size({"width": 1280, "height": 960})
    outer.reload()
    frame.locator("#chart rect.uploaded").first.wait_for()
    IMAGES.mkdir(exist_ok=True)
    outer.screenshot(path=IMAGES / "status.png")


def take_screenshots(page: Page) -> None:
    IMAGES.mkdir(exist_ok=True)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 1180, "height": 1420})
    page.locator("details.group summary").first.click()
    page.wait_for_timeout(500)
    page.screenshot(path=IMAGES / "status-dark.png")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)
    page.screenshot(path=IMAGES / "status-phone.png")


def a_year_of_coverage(now_at: datetime) -> State:
    begin = now_at - timedelta(days=400)
    edges = [begin, now_at - timedelta(days=6, hours=5), now_at - timedelta(days=6, hours=2)]
    edges += [
        now_at - timedelta(days=2, hours=1),
        now_at - timedelta(days=2, minutes=20),
        now_at - timedelta(minutes=3),
    ]
    coverage = tuple(Interval(from_at=edges[n], to_at=edges[n + 1]) for n in range(0, len(edges), 2))
    totals = {Outcome.UPLOADED: 1_482_133, Outcome.UNCHANGED: 2_961_021, Outcome.REPLACED: 30_211, Outcome.DEAD: 1_820}
    return State(since_at=begin, coverage=coverage, totals=totals, syncs=115_200, redriven=1_774)


def a_year_of_history(now_at: datetime) -> History:
    """Make up a year of a plant with two shifts, five days a week."""
    chance = random.Random(7)

    def tally(runs: float) -> Tally:
        uploaded = int(runs * chance.uniform(0.75, 1.15))
        odd = {Outcome.DEAD: chance.choice([0, 0, 0, 2, 5]), Outcome.HELD: chance.choice([0] * 9 + [4])}
        counts = {Outcome.UPLOADED: uploaded, Outcome.UNCHANGED: uploaded * 2, Outcome.REPLACED: uploaded // 40} | odd
        shares = {20: 0.2, 30: 0.45, 50: 0.25, 100: 0.08, 300: 0.02}
        latency_ms = {edge: int(uploaded * share) for edge, share in shares.items() if int(uploaded * share)}
        return Tally(
            outcomes={outcome: runs for outcome, runs in counts.items() if runs},
            requests=uploaded + 30,
            latency_ms=latency_ms,
        )

    hour_at = now_at.replace(minute=0, second=0)
    hours = {hour_at - timedelta(hours=n): hour_at - timedelta(hours=n) for n in range(24 * 14)}
    days = [now_at.date() - timedelta(days=n) for n in range(365)]
    busy = lambda at: at.weekday() < 5 and 5 <= at.hour < 21  # noqa: E731
    return History(
        hours={at: tally(260 if busy(at) else 60) for at in hours},
        days={day: tally((4_600 if day.weekday() < 5 else 1_300) * (1.4 if day.month > 8 else 1)) for day in days},
        settled_at=now_at, interval_s=300, budget_per_minute=500, dead_letters=46, newest_at=now_at - timedelta(seconds=40),
        seen_until_at=now_at - timedelta(minutes=1),
    )  # fmt: skip
