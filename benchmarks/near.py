"""Table 8: the near check, at plants of several sizes: what its statement takes, and what is kept of its answer."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from benchmarks import emulated_servers
from benchmarks.measure import Goal, Worker

TITLE = "Near check"

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Size:
    """Plants by their runs a day, steps of a run, and how many checks are made one after the other."""

    runs_a_day: tuple[int, ...] = (20, 1_000, 10_000, 100_000)
    steps: int = 20
    checks: int = 8


FULL = Size()
TINY = Size(runs_a_day=(5, 40), steps=2, checks=3)


def measure(size: Size = FULL) -> dict[str, Any]:
    """Return what each plant's checks took, from the first one of a new site on."""
    plants = []
    for runs in size.runs_a_day:
        with Worker() as servers:
            os.environ |= servers.call(emulated_servers.start, runs, size.steps, None, _DAY_S)
            with Worker() as reader:
                plants.append({"runs": runs} | reader.call(checks, size.checks))
    return {"steps": size.steps, "checks": size.checks, "plants": plants}


def checks(number: int) -> dict[str, Any]:
    """Make that many checks of the day, each as far as the one before was fast; return seconds and what is kept."""
    from pydantic import TypeAdapter

    from vte_wats.config.settings import Settings
    from vte_wats.intervals.interval import Interval
    from vte_wats.state.seen_content import NearPlan, SeenContent, minute_key
    from vte_wats.sync.near_check import question
    from vte_wats.vte.reader import VteSource

    settings = Settings.model_validate(json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"]))
    from_at, to_at = emulated_servers.first(_DAY_S)
    window, covered = Interval(to_at - timedelta(minutes=15), to_at), Interval(from_at, to_at)
    seen, looks = SeenContent(), []
    with VteSource(settings) as source:
        source.identity()
        for _ in range(number):
            asked = question(seen, window, (covered,), settings)
            began_s = time.monotonic()
            contents = source.minute_contents(asked.ranges)
            look = asked.look(seen, to_at, time.monotonic() - began_s)
            near = NearPlan(
                look=look, live={minute_key(content.minute_local): content.fingerprint for content in contents}
            )
            seen = seen.after(near, is_live_settled=True, is_gap_settled=False, settled=(), kept_h=24, now_at=to_at)
            looks.append([look.asked_min, look.took_s])
    stored = TypeAdapter(SeenContent).dump_json(seen, by_alias=True, exclude_defaults=True)
    return {"looks": looks, "minutes": len(seen.minutes), "stored_bytes": len(stored)}


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return what was aimed at: once the length is known, the statement stays below a second, what is kept small."""
    return [
        goal
        for plant in result["plants"]
        for goal in (
            Goal(
                f"near check at {plant['runs']:,} runs a day, median of the seconds",
                "at most 1",
                max(_median([took_s for _, took_s in plant["looks"][1:]]), 0.001),
                1,
                at_most=True,
            ),
            Goal(
                f"what it keeps at {plant['runs']:,} runs a day, kB",
                "at most 100",
                plant["stored_bytes"] / 1_000,
                100,
                at_most=True,
            ),
        )
    ]


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def page(result: dict[str, Any]) -> list[str]:
    """Return the table."""
    rows = [
        f"| {plant['runs']:,} | "
        + ", ".join(f"{minutes:,} in {took_s:.2f} s" for minutes, took_s in plant["looks"])
        + f" | {plant['minutes']:,} | {plant['stored_bytes'] / 1_000:.1f} kB |"
        for plant in result["plants"]
    ]
    return [
        (
            f"The first {result['checks']} checks of a new site over a day of runs with {result['steps']} steps each: "
            "how many minutes each asked for, and how long its statement took. The seconds of the one before "
            "decide how many."
        ),
        "",
        "| runs a day | minutes asked for, and seconds | minutes kept | Variable |",
        "|---:|---|---:|---:|",
        *rows,
    ]
