"""Table 11: what a survey takes of a small database and of one with ten million steps."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from benchmarks import emulated_servers
from benchmarks.measure import Goal, Worker, timed

TITLE = "Survey of a large database"
_MOST_MB = 350
_MOST_GROWTH = 1.25
_HISTORY = timedelta(days=364)


@dataclass(frozen=True, slots=True)
class Size:
    """How many runs each database holds, ascending, in a year, and how many steps each run has."""

    runs: tuple[int, ...]
    steps: int


FULL = Size(runs=(2_000, 20_000, 200_000), steps=50)
TINY = Size(runs=(30, 60), steps=3)


def measure(size: Size = FULL) -> dict[str, Any]:
    """Survey each database as the task does, in a process of its own; every form field has its default."""
    from vte_wats.vte.vte_connection import VteOptions

    databases = [_measured(runs, size.steps) for runs in size.runs]
    return {"statement_limit_s": VteOptions().timeout, "databases": databases}


def _measured(runs: int, steps: int) -> dict[str, Any]:
    with Worker() as servers:
        os.environ |= servers.call(emulated_servers.start, 0, steps)
        newest_at = emulated_servers.START
        servers.call(emulated_servers.load, runs, steps, newest_at - _HISTORY, newest_at)
        servers.call(emulated_servers.forget_statements)
        with Worker() as worker:
            found = worker.call(survey)
            if found["counted"] != runs:
                raise AssertionError(f"{runs} runs were to be counted, the survey says {found['counted']}")
            return {
                "runs": runs,
                "steps": runs * steps,
                **found,
                "peak_mb": worker.peak_mb(),
                "statements": servers.call(emulated_servers.statements),
                "longest_statement_s": servers.call(emulated_servers.longest_statement_s),
            }


def survey() -> dict[str, Any]:
    """Survey what the environment names, documents included."""
    import logging
    from datetime import UTC, datetime

    from vte_wats.config.sites import Site
    from vte_wats.orchestration.survey_run import run_survey
    from vte_wats.survey.results import SurveyContext, SurveyRequest

    logging.disable(logging.INFO)
    known = SurveyContext(
        variable="vte_wats",
        settings_text=os.environ["AIRFLOW_VAR_VTE_WATS"],
        measured_at=datetime.now(UTC),
        package_version="0",
    )
    taken: list[Any] = []
    seconds = timed(lambda: taken.append(run_survey(Site(), SurveyRequest(), known)))
    ((result, documents),) = taken
    return {
        "counted": result.counted_runs,
        "sampled_runs": result.findings.runs,
        "sampled_steps": result.findings.steps,
        "document_bytes": sum(len(text.encode()) for text in documents.files().values()),
        "seconds": seconds,
    }


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return what was aimed at, of the largest database."""
    smallest, largest = result["databases"][0], result["databases"][-1]
    limit_s, label = result["statement_limit_s"], f"survey of {largest['steps']:,} steps"
    return [
        Goal(f"{label}: memory, MB", f"at most {_MOST_MB}", largest["peak_mb"], _MOST_MB, at_most=True),
        Goal(
            f"{label}: memory, of that for {smallest['steps']:,}",
            f"at most {_MOST_GROWTH}",
            largest["peak_mb"] / smallest["peak_mb"],
            _MOST_GROWTH,
            at_most=True,
        ),
        Goal(
            f"{label}: longest statement, s",
            f"at most {limit_s}, the `timeout` of the connection",
            largest["longest_statement_s"],
            limit_s,
            at_most=True,
        ),
    ]


def page(result: dict[str, Any]) -> list[str]:
    """Return the table."""
    return [
        "A year of history with the defaults of the form, report and files included, in a process of its own.",
        "",
        "| steps | runs | sampled runs | sampled steps | statements | longest, s | all, s | peak, MB | files, MB |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(_row(found) for found in result["databases"]),
    ]


def _row(found: dict[str, Any]) -> str:
    return (
        f"| {found['steps']:,} | {found['runs']:,} | {found['sampled_runs']:,} | {found['sampled_steps']:,} | "
        f"{found['statements']} | {found['longest_statement_s']:.2f} | {found['seconds']:.1f} | "
        f"{found['peak_mb']:.0f} | {found['document_bytes'] / 1e6:.1f} |"
    )
