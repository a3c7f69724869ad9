"""WATS goes wrong: it is away, refuses, lies, or answers too late."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from random import Random
from typing import Any

from sandbox.wats.profiles import REPORTED, STRICT
from tests.faults.accounts import Explained
from tests.faults.case import Case, Play, passing, stopping, until_fixed
from tests.faults.impostor_servers import NO_SUCH_NAME, a_full_house, an_untrusted_server
from tests.faults.site import WATS_TIMEOUT_S, Site

POST = "/api/report/wsjf"
QUERY = "query/header"


def _posts(kind: str, **how: Any) -> Callable[[Site], object]:
    return lambda site: site.break_wats(kind, method="POST", path=POST, **how)


def _one(kind: str, *, times: int, **how: Any) -> Callable[[Site, list[str]], object]:
    """Spoil the post of one run, so many times."""
    return lambda site, guids: site.break_wats(kind, method="POST", path=POST, body=guids[0], times=times, **how)


def _some(kind: str, *, times: int | None, path: str = POST, **how: Any) -> Callable[[Site, list[str]], object]:
    """Spoil so many requests, whichever they are."""
    return lambda site, _guids: site.break_wats(kind, path=path, times=times, **how)


def _refused_for_good(status: int) -> Play:
    """WATS refuses one report for what it says: a dead letter, and the rest goes on."""

    def play(site: Site, random: Random) -> Explained:
        guids = site.load(6)
        bad = random.choice(guids)
        site.break_wats("status", status=status, method="POST", body=bad, message="the report is not acceptable")
        site.sync()
        return Explained(dead=frozenset({bad}))

    return play


def _failing_for_good(site: Site, random: Random) -> Explained:
    """WATS fails for one report whenever it comes: a dead letter, and the rest goes on."""
    bad = random.choice(site.load(6))
    site.break_wats("status", status=500, method="POST", body=bad)
    site.sync()
    return Explained(dead=frozenset({bad}))


def _failing_alone(site: Site, random: Random) -> Explained:
    """No other report is in its slice: a dead letter after two syncs between which WATS took another."""
    site.set(failing_report_tries=2, batch_size=1)
    (bad,) = site.load(1)
    site.break_wats("status", status=500, method="POST", body=bad)
    site.sync("failed")
    site.load(1)
    if site.end_sync(site.start_sync()) == "failed":  # the other one was posted last
        site.sync()
    return Explained(dead=frozenset({bad}))


def _away(site: Site, random: Random) -> Explained:
    site.load(6)
    site.plant.wats.stop()
    dag_run_id = site.sync("failed")
    site.plant.wats.start()
    site.clear_failed(dag_run_id)
    return Explained()


def _away_between_tries(site: Site, random: Random) -> Explained:
    """WATS restarts while reports are being posted: what it had is kept, the rest comes with the next try."""
    guids = site.load(40)
    number = site.break_wats("stall", method="POST", path=POST, after=10, times=1)
    dag_run_id = site.start_sync()
    site.wait_for_wats_fault(number)
    site.plant.wats.stop()
    site.plant.wats.start()
    site.end_sync(dag_run_id, "success")
    return Explained(again=dict.fromkeys(guids, 2))


def _unseen(kind: str) -> Play:
    """WATS says yes and shows nothing; a sync looks back and sends what should show by then and does not."""

    def play(site: Site, random: Random) -> Explained:
        site.know_wats(visibility_delay_s=site.plant.wats.profile.shown_after_s)
        guids = site.load(6)
        site.break_wats(kind, method="POST", body=random.choice(guids), times=1)
        site.sync()
        site.sync()  # too early to look
        site.wait_for_the_delay()
        site.wait_until(
            lambda: site.sync() and site.plant.source <= site.plant.receipts.keys(), "the report to be there"
        )
        return Explained()

    return play


def _dead_letter_redriven(site: Site, random: Random) -> Explained:
    """A dead letter goes away by itself when its run reaches WATS after all."""
    guids = site.load(6)
    site.break_wats("status", status=400, method="POST", body=guids[0])
    site.sync()
    if guids[0] not in site.dead_letters:
        site.violations.append("the refused run is no dead letter")
    site.fix()
    site.sync()
    return Explained()


def _elsewhere(address: Callable[[Site], AbstractContextManager[str]]) -> Play:
    """The address of WATS leads elsewhere from the moment the sync has planned; then the connection is put right."""

    def play(site: Site, random: Random) -> Explained:
        site.load(6)
        with address(site) as host:
            site.redirect_uploads(host)
            dag_run_id = site.running
            site.end_sync(dag_run_id, "failed")
        if site.posts or site.dead_letters:
            site.violations.append("something was posted or buried although WATS was never reached")
        site.connect()
        site.clear_failed(dag_run_id)
        return Explained()

    return play


def _deaf(site: Site, random: Random) -> Explained:
    """WATS accepts a request and reads nothing of a report of twelve megabytes, so that sending it never ends."""
    guids = site.load(6)
    large = random.choice(guids)
    row = {"Index_GUID": large, "TestStepNumber": 99, "TestName": "Trace", "TestResult": b"\xff" * 9_000_000}
    site.plant.db.insert_rows({"TestDataOther": [row | {"TestResultType": 1}]})
    site.break_wats("deaf", method="POST", path=POST, times=12, delay_s=60)
    site.sync()
    return Explained()


def _maintenance(status: int) -> Play:
    """WATS works, then a page stands in front of everything for some requests, then it works again."""

    def play(site: Site, random: Random) -> Explained:
        site.load(6)
        site.sync()
        site.load(6)
        site.break_wats("maintenance", status=status, times=6)
        site.sync()
        return Explained()

    return play


def _by_source_id(site: Site, random: Random) -> Explained:
    """Reports are looked for by their misc info, as for a server that gives ids of its own; answers get lost."""
    site.set(existence_check="source_id")
    guids = site.load(12)
    site.break_wats("store_then_reset", method="POST", path=POST, times=4)
    site.break_wats("status", path="HeaderByMiscInfo", status=503, times=3)
    site.sync()
    asked = sum(1 for wat in site.plant.wats.log if "headerbymiscinfo" in wat.path.lower())
    if asked < len(guids):
        site.violations.append(f"{asked} questions by misc info for {len(guids)} runs")
    before = len(site.posts)
    site.sync()
    if len(site.posts) != before:
        site.violations.append("a second sync posted again")
    return Explained(again=dict.fromkeys(guids, 2))


_CASES = (
    Case("wats.dns", "the name of WATS does not resolve", _elsewhere(lambda _: nullcontext(NO_SUCH_NAME))),
    Case("wats.connect-timeout", "no connection comes about in time", _elsewhere(lambda _: a_full_house())),
    Case(
        "wats.certificate",
        "the certificate is not trusted",
        _elsewhere(lambda site: an_untrusted_server(site.home)),
    ),
    Case("wats.write-timeout", "a large report cannot be sent in time: nobody reads it", _deaf),
    Case("wats.source-id", "existence_check source_id, while answers and questions fail", _by_source_id),
    Case("wats.refused", "WATS is down; it is up again when the operator clears the sync", _away, short=True),
    Case("wats.restart", "WATS restarts while reports are posted", _away_between_tries),
    Case("wats.400-one", "400 for one report", _refused_for_good(400), short=True),
    Case("wats.400-all", "400 for every report", until_fixed(_posts("status", status=400), runs=30), short=True),
    Case("wats.400-fixed", "400 for one report, which WATS takes later", _dead_letter_redriven),
    Case(
        "wats.401",
        "the token is refused from the fourth report on",
        stopping(_posts("status", status=401, after=3)),
    ),
    Case("wats.403", "the token lacks the right to post", stopping(_posts("status", status=403))),
    Case("wats.404-all", "404 for every report", until_fixed(_posts("status", status=404), runs=30)),
    Case("wats.409", "409 for one report", _refused_for_good(409)),
    Case("wats.413", "413 for one report", _refused_for_good(413)),
    Case(
        "wats.429-seconds",
        "429 five times, with Retry-After in seconds",
        passing(_some("status", times=5, status=429, retry_after=2)),
    ),
    Case(
        "wats.429-date",
        "429 twice, with a date that is over by now",
        passing(_some("status", times=2, status=429, retry_after="Mon, 02 Mar 2026 10:00:00 GMT")),
    ),
    Case("wats.429-bare", "429 five times, without Retry-After", passing(_some("status", times=5, status=429))),
    Case("wats.500", "500 for one report, four times", passing(_one("status", times=4, status=500)), short=True),
    Case("wats.500-one", "500 for one report, for good", _failing_for_good),
    Case("wats.500-alone", "500 for one report, for good, and no other is in its slice", _failing_alone),
    Case(
        "wats.500-stored",
        "500 after the report was stored, three times",
        passing(_one("store_then_status", times=3, status=500), again=2),
    ),
    Case("wats.502", "502 three times", passing(_some("status", times=3, status=502))),
    Case("wats.503-long", "503 for longer than all tries", until_fixed(_posts("status", status=503))),
    Case(
        "wats.503-queries",
        "503 for the question what is there, four times",
        passing(_some("status", times=4, path=QUERY, status=503)),
    ),
    Case(
        "wats.stored-then-timeout",
        "the report is stored, the answer never comes, three times",
        passing(_one("store_then_timeout", times=3), again=2),
        short=True,
    ),
    Case(
        "wats.stored-then-reset",
        "the report is stored, the connection reset, three times",
        passing(_one("store_then_reset", times=3), again=2),
        short=True,
    ),
    Case(
        "wats.stored-then-reset-all",
        "every report is stored, every connection reset",
        passing(_some("store_then_reset", times=None), runs=20, again=4),
    ),
    Case("wats.reset", "the connection is reset before the answer, four times", passing(_some("reset", times=4))),
    Case("wats.close", "the connection is closed before the answer, four times", passing(_some("close", times=4))),
    Case(
        "wats.reset-inside",
        "the connection is reset inside the answer, three times",
        passing(_one("reset_inside", times=3), again=2),
    ),
    Case("wats.html", "a login page instead of the answer", until_fixed(_posts("html"))),
    Case(
        "wats.html-queries",
        "a login page instead of what is there, three times",
        passing(_some("html", times=3, path=QUERY)),
    ),
    Case("wats.redirect", "a redirect to a login page", stopping(_posts("redirect"))),
    Case("wats.empty-200", "200 and nothing, nothing stored, three times", passing(_one("empty_200", times=3))),
    Case(
        "wats.truncated",
        "half the JSON, the report stored, three times",
        passing(_one("truncated_json", times=3), again=2),
    ),
    Case(
        "wats.truncated-queries",
        "half the list of what is there, three times",
        passing(_some("truncated_json", times=3, path=QUERY)),
    ),
    Case(
        "wats.wrong-id",
        "200 with the id of another report, nothing stored, three times",
        passing(_one("wrong_id", times=3)),
        short=True,
    ),
    Case(
        "wats.wrong-id-stored",
        "200 with the id of another report, ours stored, three times",
        passing(_one("wrong_id", times=3, store=True), again=2),
    ),
    Case(
        "wats.drip",
        "the answer drips, slower than the timeout, three times",
        passing(_one("drip", times=3, delay_s=3.0 * WATS_TIMEOUT_S), again=2),
    ),
    Case("wats.not-stored", "200 with our id, and nothing stored", _unseen("no_store")),
    Case("wats.quarantine", "200, and the report is in quarantine", _unseen("quarantine"), short=True),
    *(
        Case(
            f"wats.maintenance-{status}",
            f"a maintenance page of status {status} in front of a WATS that worked",
            _maintenance(status),
            short=status == 404,
        )
        for status in (302, 400, 401, 403, 404, 409, 413, 422, 503)
    ),
)
_STRICT = STRICT.but(shown_after_s=REPORTED.shown_after_s)  # a minute would only make the matrix longer
_SHORT_AND_STRICT = frozenset({"wats.400-one", "wats.stored-then-reset", "wats.wrong-id"})

CASES = (
    *_CASES,
    *(
        replace(
            case,
            name=f"{case.name}@strict",
            what=f"{case.what}; WATS is strict",
            wats=_STRICT,
            short=case.name in _SHORT_AND_STRICT,
        )
        for case in _CASES
    ),
)
