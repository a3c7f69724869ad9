"""Table 3: bringing reports to WATS, against raw posts of finished bytes and against the obvious pyWATS loop."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks import emulated_servers
from benchmarks.measure import Goal, Worker, best_of

TITLE = "Upload"
ROUTE = "/api/Report/WSJF"
NO_BUDGET = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """Reports per latency; the loop sends ``loop_reports``. Under a budget each sends for more than two minutes."""

    steps: int = 50
    reports_by_latency_ms: tuple[tuple[int, int], ...] = ((0, 1_000), (20, 1_000), (100, 600))
    loop_reports: tuple[int, ...] = (300, 60, 25)
    rounds: int = 3
    budget_per_minute: int = 600
    budget_reports: int = 1_200
    budget_loop_reports: int = 620


FULL = Size()
TINY = Size(
    steps=3, reports_by_latency_ms=((0, 6), (2, 6)), loop_reports=(2, 2), rounds=1,
    budget_per_minute=6_000, budget_reports=6, budget_loop_reports=3,
)  # fmt: skip


def measure(size: Size = FULL) -> dict[str, Any]:
    """Return seconds per contender and latency, and what a budget lets through."""
    most = max(reports for _, reports in size.reports_by_latency_ms)
    latencies = []
    with Worker() as servers:
        environment = servers.call(emulated_servers.start, most, size.steps)
        with Worker() as sender:
            sender.call(prepare, environment, most)
            for (latency_ms, reports), loop_reports in zip(size.reports_by_latency_ms, size.loop_reports, strict=True):
                servers.call(emulated_servers.delay, wats_ms=latency_ms)
                contenders = {
                    "ours": partial(_sent, servers, sender, verb, reports),
                    "posts": partial(_sent, servers, sender, our_posts, reports),
                    "raw": partial(_sent, servers, sender, raw_posts, reports),
                    "loop": partial(_sent, servers, sender, obvious_loop, loop_reports),
                }
                counts = {"ours": reports, "posts": reports, "raw": reports, "loop": loop_reports}
                seconds = best_of(size.rounds, contenders)
                latencies.append({"latency_ms": latency_ms, "reports": counts, "seconds": seconds})
    return {"rounds": size.rounds, "steps": size.steps, "latencies": latencies, "budget": _under_a_budget(size)}


def _sent(servers: Worker, sender: Worker, contender: Callable[[int], float], reports: int) -> float:
    """Let a contender send so many reports to an empty WATS; raise when they are not there afterwards."""
    servers.call(emulated_servers.forget_reports)
    seconds = float(sender.call(contender, reports))
    stored = servers.call(emulated_servers.requests)["reports"]
    if stored != reports:
        raise AssertionError(f"{contender.__name__} sent {reports} reports, and WATS holds {stored}")
    return seconds


def _under_a_budget(size: Size) -> dict[str, Any]:
    """Send under a budget that the minute before has used up evenly, so that nobody begins with a burst.

    WATS itself grants a tenth more: pyWATS's limiter oversteps by a request now and then, and gives up when refused.
    """
    reports = max(size.budget_reports, size.budget_loop_reports)
    found: dict[str, Any] = {"per_minute": size.budget_per_minute}
    with Worker() as servers:
        environment = servers.call(emulated_servers.start, reports, size.steps, size.budget_per_minute * 11 // 10)
        servers.call(emulated_servers.delay, wats_ms=20)
        with Worker() as sender:
            sender.call(prepare, environment, reports)
            for name, contender, count in (
                ("ours", budgeted_verb, size.budget_reports),
                ("loop", budgeted_loop, size.budget_loop_reports),
            ):
                seconds = _sent(servers, sender, partial_named(contender, size.budget_per_minute), count)
                found[name] = {"reports": count, "seconds": seconds} | servers.call(emulated_servers.requests)
    return found


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return what was aimed at: the speed of raw posts, and several loops' worth."""
    found = [
        Goal(
            f"posts against raw posts, {latency['latency_ms']} ms",
            "at least 0.9",
            _against(latency, "posts", "raw"),
            0.9,
        )
        for latency in result["latencies"]
    ]
    far = result["latencies"][-1]
    per_minute = _per_minute(result["budget"])
    return [
        *found,
        Goal(f"upload against the loop, {far['latency_ms']} ms", "at least 6", _against(far, "ours", "loop"), 6),
        Goal("upload against the loop, under a budget", "at least 1.9", per_minute["ours"] / per_minute["loop"], 1.9),
        Goal("use of the budget", "at least 0.97", _use(result["budget"], "ours"), 0.97),
    ]


def _against(latency: dict[str, Any], mine: str, other: str) -> float:
    rate = {name: latency["reports"][name] / seconds for name, seconds in latency["seconds"].items()}
    return float(rate[mine] / rate[other])


def _per_minute(budget: dict[str, Any]) -> dict[str, float]:
    return {name: 60 * budget[name]["reports"] / budget[name]["seconds"] for name in ("ours", "loop")}


def page(result: dict[str, Any]) -> list[str]:
    """Return both tables."""
    names = {
        "ours": "this package: ask, compare, post, note",
        "posts": "its posts alone",
        "raw": "raw posts of finished bytes, 8 at a time",
        "loop": "pyWATS loop: ask, then `submit_report`",
    }
    rows = []
    for latency in result["latencies"]:
        rate = {name: latency["reports"][name] / seconds for name, seconds in latency["seconds"].items()}
        rows += [
            f"| {latency['latency_ms']} ms | {label} | **{rate[name] / rate['raw']:.2f}** | "
            f"{rate[name] / rate['loop']:.1f} | {rate[name]:,.0f} |"
            for name, label in names.items()
        ]
    budget = result["budget"]
    per_minute = _per_minute(budget)
    for_budget = [
        f"| {names[name]} | **{per_minute[name] / per_minute['loop']:.2f}** | {per_minute[name]:,.0f} | "
        f"{budget[name]['total'] / budget[name]['reports']:.2f} | {_use(budget, name):.1%} | "
        f"{budget[name]['worst_minute']} | {budget[name]['refused']} |"
        for name in ("ours", "loop")
    ]
    return [
        (
            f"Reports of {result['steps']} steps; best of {result['rounds']}. Raw posts and this package use the "
            "same HTTP client (httpx, HTTP/1.1) with eight requests in flight. The loop holds finished "
            "`UUTReport` objects and has pyWATS's own limiter switched off."
        ),
        "",
        "| latency | contender | × raw posts | × loop | reports/s |",
        "|---:|---|---:|---:|---:|",
        *rows,
        "",
        (
            f"Under a budget of {budget['per_minute']} requests a minute, 20 ms away, after a minute that used it "
            "up; both keep to it by themselves:"
        ),
        "",
        "| contender | × loop | reports/min | requests per report | budget used | worst minute | refused |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *for_budget,
    ]


def _use(budget: dict[str, Any], name: str) -> float:
    return float(budget[name]["total"] / budget[name]["seconds"] * 60 / budget["per_minute"])


# ---------------------------------------------------------------------- what runs in the sender's process
_prepared: dict[str, Any] = {}


def partial_named(contender: Callable[[int, int], float], budget_per_minute: int) -> Callable[[int], float]:
    """Return a contender with its budget, which keeps its name for messages."""
    bound = partial(contender, budget_per_minute)
    bound.__name__ = contender.__name__  # type: ignore[attr-defined]
    return bound


def prepare(environment: dict[str, str], runs: int, batch_size: int | None = None) -> int:
    """Read and map the runs into staging; return how many slices there are."""
    import logging

    from upath import UPath

    from vte_wats.config.settings import Settings
    from vte_wats.intervals.interval import Interval
    from vte_wats.storage.staging import Staging
    from vte_wats.sync.extract import extract
    from vte_wats.sync.map_runs import map_runs
    from vte_wats.sync.plan import plan
    from vte_wats.sync.staged_reports import staged_mappings
    from vte_wats.vte.reader import VteSource

    logging.disable(logging.WARNING)
    os.environ |= environment
    answers = json.loads(environment["AIRFLOW_VAR_VTE_WATS"])
    settings = Settings.model_validate(answers | ({} if batch_size is None else {"batch_size": batch_size}))
    folder = tempfile.TemporaryDirectory()
    slices = []
    with VteSource(settings) as source:
        for part in plan(source, settings, Interval(*emulated_servers.first(runs))).slices:
            staging = Staging(UPath(folder.name) / part.name)
            extract(source, staging, part, settings)
            map_runs(staging, settings)
            slices.append(staging)
    reports = [report for staging in slices for report in staged_mappings(staging)]
    _prepared.update(folder=folder, settings=settings, slices=slices, reports=reports)
    return len(slices)


def connection(requests_per_minute: int = NO_BUDGET, concurrency: int = 8) -> Any:
    """Return the WATS connection of the environment with another budget."""
    from vte_wats.wats.wats_connection import WatsConnection

    fields = json.loads(os.environ["AIRFLOW_CONN_WATS_DEFAULT"])
    extra = {"requests_per_minute": requests_per_minute, "concurrency": concurrency}
    return WatsConnection.parse(
        "wats_default", host=fields["host"], port=None, login=None, password=fields["password"], extra=json.dumps(extra)
    )


class KeptUsage:
    """The usage of the budget between two sessions of this process; a ``rate_limiter.BudgetStore``."""

    def __init__(self, budget_per_minute: int | None = None) -> None:
        from vte_wats.wats.rate_limiter import BudgetUsage

        now_s, used = time.time(), budget_per_minute or 0
        self.usage = BudgetUsage(answered=tuple((now_s - 60 + 60 * (n + 1) / used, 1) for n in range(used)))

    def load(self) -> Any:
        """Return what was used."""
        return self.usage

    def save(self, usage: Any) -> None:
        """Keep it."""
        self.usage = usage


def verb(reports: int) -> float:
    """Upload slice by slice with a session each, as the tasks do."""
    return _verb(reports, connection(), KeptUsage())


def budgeted_verb(budget_per_minute: int, reports: int) -> float:
    """Upload under a budget, of which the minute before has used everything."""
    return _verb(reports, connection(budget_per_minute), KeptUsage(budget_per_minute))


def _verb(reports: int, wats_connection: Any, budget_store: KeptUsage) -> float:
    from upath import UPath

    from vte_wats.storage.in_flight_keys import FOLDER

    slices = _the_first(reports)
    storage = UPath(_prepared["folder"].name)
    shutil.rmtree(Path(storage.path) / FOLDER, ignore_errors=True)  # this WATS is empty: what it confirmed is gone
    began_s = time.perf_counter()
    for number, staging in enumerate(slices):
        upload_slice(staging, storage, str(number), wats_connection, budget_store, settings=_prepared["settings"])
    return time.perf_counter() - began_s


def upload_slice(
    staging: Any, storage: Any, name: str, wats_connection: Any, budget_store: KeptUsage, *, settings: Any
) -> None:
    """Upload one slice with a session of its own, as the task does."""
    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.storage.in_flight_keys import InFlightKeys
    from vte_wats.sync.extract import RUNS
    from vte_wats.sync.upload import UploadOptions, upload
    from vte_wats.wats.client import WatsSession

    options = UploadOptions(datetime.now(UTC))
    with (
        WatsSession(wats_connection, budget_store=budget_store) as wats,
        InFlightKeys(storage, name, partial(datetime.now, UTC), wats.behaviour().shown_after_s) as keys,
    ):
        dead_letters = DeadLetters(storage)
        read = sum(1 for _ in staging.parsed(RUNS, bytes.decode))
        upload(staging, wats, dead_letters, settings, options, read=read, in_flight=keys, read_again=lambda _: [])


def _the_first(reports: int) -> list[Any]:
    """Return slices of exactly so many reports that no upload has seen yet; the last one is cut to fit."""
    from upath import UPath

    from vte_wats.storage.staging import Staging
    from vte_wats.sync.extract import RUNS
    from vte_wats.sync.staged_reports import stage_mapped, staged_mappings

    fresh, left = [], reports
    place = Path(tempfile.mkdtemp(dir=_prepared["folder"].name))
    for number, staging in enumerate(_prepared["slices"]):
        runs = list(islice(staging.parsed(RUNS, bytes.decode), left))
        if runs:
            fresh.append(Staging(UPath(place) / f"{number}"))
            fresh[-1].write(RUNS, runs)
            stage_mapped(fresh[-1], islice(staged_mappings(staging), left))
        left -= len(runs)
    return fresh


def our_posts(reports: int) -> float:
    """Post through one session and nothing else."""
    return submitted(reports, concurrency=8)


def submitted(reports: int, concurrency: int) -> float:
    """Post so many reports with so many requests in flight."""
    from vte_wats.wats.client import WatsSession

    with WatsSession(connection(concurrency=concurrency), budget_store=KeptUsage()) as wats:
        began_s = time.perf_counter()
        failures = [sent.error for sent in wats.submit(_prepared["reports"][:reports]) if sent.error is not None]
        seconds = time.perf_counter() - began_s
    if failures:
        raise failures[0]
    return seconds


def raw_posts(reports: int) -> float:
    """Post bytes that lie ready, with the client that pyWATS uses, eight at a time, and look at the status alone."""
    return post_bytes([report.document for report in _prepared["reports"][:reports]])


def post_bytes(bodies: Iterable[bytes]) -> float:
    """Post these bodies, eight at a time; return the seconds it took."""
    import httpx

    here = connection()
    headers = {"Authorization": f"Basic {here.token.get_secret_value()}", "Content-Type": "application/json"}
    limits = httpx.Limits(max_connections=8, max_keepalive_connections=8)

    async def post_all() -> float:
        async with httpx.AsyncClient(base_url=here.url, headers=headers, limits=limits) as client:
            waiting = iter(bodies)

            async def post() -> None:
                for body in waiting:
                    (await client.post(ROUTE, content=body)).raise_for_status()

            began_s = time.perf_counter()
            await asyncio.gather(*(post() for _ in range(8)))
            return time.perf_counter() - began_s

    return asyncio.run(post_all())


def obvious_loop(reports: int) -> float:
    """Ask for each report, submit it when it is not there: what the examples of pyWATS lead to."""
    from pywats.core.throttle import configure_throttling

    return _loop(reports, lambda: configure_throttling(enabled=False))


def budgeted_loop(budget_per_minute: int, reports: int) -> float:
    """Run the same loop under pyWATS's own limiter, of which the minute before has used everything."""
    from pywats.core.throttle import configure_throttling

    def throttle() -> None:
        limiter = configure_throttling(max_requests=budget_per_minute)
        now_s = time.monotonic()
        spread = [now_s - 60 + 60 * (n + 1) / budget_per_minute for n in range(budget_per_minute)]
        limiter._timestamps.extend(spread)  # noqa: SLF001 -- the only other way to a used-up minute is to wait for it

    return _loop(reports, throttle)


def _loop(reports: int, throttle: Callable[[], object]) -> float:
    from pywats import pyWATS
    from pywats.models import UUTReport

    here = connection()
    models = [UUTReport.model_validate_json(report.document) for report in _prepared["reports"][:reports]]
    throttle()  # the client takes up the limiter when it is made
    api = pyWATS(base_url=here.url, token=here.token.get_secret_value())  # type: ignore[call-arg]  # a stale stub
    try:
        began_s = time.perf_counter()
        for model in models:
            if not api.report.query_uut_headers(odata_filter=f"uuid eq {model.id}", top=1):
                api.report.submit_report(model)
        return time.perf_counter() - began_s
    finally:
        api.close()
