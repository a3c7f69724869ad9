"""``python -m vte_wats.status.evidence``: what ran at a site in one ZIP, with a summary of it and of what is missing.

It asks Airflow's database and the site's storage, and takes what lies in a folder. Nothing is written by hand. Each
text is redacted, and settings go in only when they pass validation.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from airflow.models.dagrun import DagRun
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from upath import UPath

from vte_wats.backfill.progress import Progress
from vte_wats.config.settings import parse_settings
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.domain.redaction import redact
from vte_wats.messages import VW631
from vte_wats.orchestration.resources import storage_of
from vte_wats.status.settings_variable import read_settings_text
from vte_wats.status.site_reader import read_site, returned_values
from vte_wats.status.site_summary import site_status
from vte_wats.storage.object_storage import read_file
from vte_wats.survey.proposal import settings_to_survey_with
from vte_wats.survey.stored import StoredSurvey, SurveyFile, newest_survey

log = logging.getLogger(__name__)

PACKAGES = (
    "vte-wats", "apache-airflow", "apache-airflow-providers-microsoft-mssql", "pymssql", "pywats-api", "pydantic",
)  # fmt: skip
PHASES = {
    1: "database and schema, R1 to R6",
    2: "data access, R7 to R13",
    3: "mapping and upload, R14 to R20",
    4: "production, R21 to R26",
    5: "validation, R27 to R30",
}
SETTINGS = "settings.json"
DOCUMENTS = ("benchmarks.md", "reliability.md", "requirements.md", "handover.md")
_LARGEST_REPORT = 8_000_000


@dataclass(frozen=True, slots=True)
class Evidence:
    """One file of the hand-over: for which phase, what it shows, and what makes it."""

    name: str
    phase: int
    shows: str
    made_by: str


EVIDENCE = (
    Evidence("runs/preflight.json", 1, "the last preflight", "trigger vte_wats_preflight"),
    *(Evidence(f"survey/{file}", 1, "what the database holds", "trigger vte_wats_survey") for file in SurveyFile),
    Evidence(SETTINGS, 2, "the answers of this site", "set the Variable vte_wats"),
    Evidence("runs/sync.json", 2, "the last sync", "unpause vte_wats_sync"),
    Evidence("status.json", 2, "lastSync, coverage and totals, as the status page has them", "unpause vte_wats_sync"),
    Evidence("acceptance/acceptance.md", 3, "how WATS answers", "trigger vte_wats_acceptance"),
    Evidence("backfill.json", 3, "the last backfill", "trigger vte_wats_backfill for the last seven days"),
    Evidence("runs/monitor.json", 4, "the last check of the monitor", "unpause vte_wats_monitor"),
    Evidence("restart.txt", 4, "what was seen after a restart", "docs/handover.md, phase 4"),
    Evidence("mail.eml", 4, "a mail that came", "docs/handover.md, phase 4"),
    Evidence("runs/reconcile.json", 5, "the last comparison with WATS", "trigger vte_wats_reconcile"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What is there of one file: its text, what came of it in a few words, and whether that shows what it should."""

    text: str
    result: str = ""
    is_good: bool = True


def gather(session: Session, site: Site, folder: Path, at: datetime) -> dict[str, Found]:
    """Return what is there by name; what lies in the folder takes the place of what the storage holds."""
    found = dict(_stored(session, site, at)) | {
        f"runs/{kind}.json": run
        for kind in ("preflight", "sync", "monitor", "reconcile")
        if (run := _last_run(session, site.dag_id(kind)))
    }
    try:
        settings = settings_to_survey_with(read_settings_text(session, site).text, site.settings_variable)
        found |= _in_storage(storage_of(site, settings))
    except Exception as exc:  # noqa: BLE001 -- whatever keeps the storage from being read: the rest is collected
        log.warning("%s The storage cannot be read: %s", VW631, redact(str(exc)))
    return found | _handed(folder)


def collect(found: Mapping[str, Found], archive: Path, at: datetime) -> list[str]:
    """Write the ZIP; return what is missing or does not show what it should, a line for each."""
    lacks = {evidence: reason for evidence in EVIDENCE if (reason := _lack(found.get(evidence.name)))}
    lines = {
        evidence: f"{evidence.name}: {evidence.shows}: {reason}. Made by: {evidence.made_by}"
        for evidence, reason in lacks.items()
    }
    archive.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(archive, "w", ZIP_DEFLATED) as packed:
        for name, file in found.items():
            packed.writestr(name, redact(file.text))
        packed.writestr("versions.json", json.dumps(versions(), indent=1))
        packed.writestr("index.md", _index(found, lines, at))
    return list(lines.values())


def versions() -> dict[str, str]:
    """Return what is installed where this runs."""
    return {"python": platform.python_version(), "platform": platform.platform()} | {
        name: _version_of(name) for name in PACKAGES
    }


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _settings(session: Session, site: Site) -> Found | None:
    """Return the settings, if there are any. What does not pass validation stays out: a wrong field may be a secret."""
    try:
        text = read_settings_text(session, site).text
    except FatalError as exc:
        return Found("", str(exc), is_good=False)
    if text is None:
        return None
    try:
        parse_settings(text)
    except Exception:  # noqa: BLE001 -- not even the reason goes in: it may repeat a value
        return Found("", "they do not pass validation; trigger vte_wats_preflight", is_good=False)
    return Found(text, "they pass validation")


def _stored(session: Session, site: Site, at: datetime) -> Iterator[tuple[str, Found]]:
    """Yield what Variables say."""
    if settings := _settings(session, site):
        yield SETTINGS, settings
    snapshot = read_site(session, site, at)
    status = site_status(site, snapshot, at)
    if state := snapshot.stored.state:
        totals = ", ".join(f"{count} {outcome}" for outcome, count in status.totals.items())
        said = f"{status.assessment.status}, lastSync {state.last_sync:%Y-%m-%d %H:%M} UTC, {totals or 'no run yet'}"
        yield "status.json", Found(status.model_dump_json(indent=1), said)
    if snapshot.backfill:
        yield "backfill.json", _backfill(snapshot.backfill)


def _backfill(done: Progress) -> Found:
    kind = "dry run" if done.dry_run else "ended" if done.ended_at else "not ended"
    is_good = kind == "ended" and done.transferred >= done.runs
    said = f"{kind}, {done.asked}: {done.transferred} of {done.runs} runs"
    return Found(done.model_dump_json(indent=1), said, is_good=is_good)


def _last_run(session: Session, dag_id: str) -> Found | None:
    """Return the last DAG run that ended, with the numbers that its tasks returned."""
    ended = select(DagRun).where(DagRun.dag_id == dag_id, DagRun.end_date.is_not(None))
    run = session.scalar(ended.order_by(DagRun.end_date.desc()).limit(1))
    if run is None:
        return None
    counts = {}
    for row, value in returned_values(session, XComModel.dag_id == dag_id, XComModel.run_id == run.run_id):
        if numbers := _numbers(value):
            counts[f"{row.task_id} {row.map_index}".removesuffix(" -1")] = numbers
    is_dry_run = bool((run.conf or {}).get("dry_run"))
    compared = "; ".join(f"{task} {_in_words(counts[task])}" for task in ("settle", "verify") if task in counts)
    result = f"{run.state}{' (a dry run)' if is_dry_run else ''} at {run.end_date:%Y-%m-%d %H:%M} UTC"
    text = {"dag_run_id": run.run_id, "state": run.state, "ended_at": run.end_date.isoformat(), "returned": counts}
    return Found(
        json.dumps(text, indent=1),
        f"{result}: {compared}" if compared else result,
        is_good=run.state == "success" and not is_dry_run,
    )


def _numbers(value: Any) -> dict[str, int]:
    """Return the counts of what a task returned; its texts may hold values of runs."""
    return {name: count for name, count in value.items() if type(count) is int} if isinstance(value, dict) else {}


def _in_words(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in numbers.items())


def _in_storage(storage: UPath) -> dict[str, Found]:
    """Return the newest survey and the newest report of an acceptance run."""
    survey = newest_survey(storage)
    found = {f"survey/{file}": survey.read(file).decode() for file in survey.sizes} if survey else {}
    reports = storage / "acceptance"
    names = [path.name for path in reports.iterdir()] if reports.exists() else []
    for suffix in ("html", "md"):
        if of_kind := [name for name in names if name.endswith(f".{suffix}")]:
            found[f"acceptance/acceptance.{suffix}"] = read_file(reports / max(of_kind), _LARGEST_REPORT).decode()
    return {name: _judged(name, text) for name, text in found.items()}


def _handed(folder: Path) -> dict[str, Found]:
    """Return what lies in the folder, also by the names under which the page gives the files of a survey."""
    names = [*(evidence.name for evidence in EVIDENCE), "acceptance/acceptance.html"]
    names = [name for name in names if name.startswith(("survey/", "acceptance/")) or name.endswith((".txt", ".eml"))]
    found = {}
    for name in names:
        files = [folder / name, *sorted(folder.glob(f"vte-wats-survey-*-{Path(name).name}"), reverse=True)]
        file = next((file for file in files if file.is_file()), None)
        if file is not None and (text := file.read_text(encoding="utf-8", errors="replace")).strip():
            found[name] = _judged(name, text)
    documents = [file for name in DOCUMENTS if (file := folder / "docs" / name).is_file()]
    return found | {f"docs/{file.name}": Found(file.read_text(encoding="utf-8")) for file in documents}


def _judged(name: str, text: str) -> Found:
    """Return what a report says came of it."""
    if name == "acceptance/acceptance.md":
        said = re.search(r"^\| result \| (.+) \|$", text, re.MULTILINE)
        return Found(text, said[1] if said else "no result in it", is_good=said is not None)
    if name == f"survey/{SurveyFile.FACTS}":
        try:
            survey = StoredSurvey.model_validate_json(text)
        except ValueError:
            return Found(text, "damaged, or of another version", is_good=False)
        counted = f"{survey.counted_runs} runs counted, {len(survey.proposal.questions)} questions"
        return Found(text, survey.stopped or counted, is_good=not survey.stopped)
    return Found(text)


def _lack(found: Found | None) -> str:
    if found is None:
        return "is missing"
    return "" if found.is_good else redact(found.result)


def _index(found: Mapping[str, Found], lacks: Mapping[Evidence, str], at: datetime) -> str:
    lines = [f"# Hand-over of VTE → WATS {_version_of('vte-wats')}, {at:%Y-%m-%d %H:%M} UTC", "", "## Summary", ""]
    for phase, subject in PHASES.items():
        names = [evidence.name for evidence in lacks if evidence.phase == phase]
        stands = f"lacks {', '.join(names)}" if names else "shown at this site"
        lines.append(f"- Phase {phase}, {subject}: {stands}.")
        wanted = [evidence for evidence in EVIDENCE if evidence.phase == phase]
        lines += [
            f"  - {evidence.shows}: {redact(found[evidence.name].result)}"
            for evidence in wanted
            if evidence.name in found and found[evidence.name].result
        ]
    lines += ["", "Files in docs/ are what the project measured and promises; they show nothing of this site.", ""]
    lines += ["## What is here", "", *(f"- {name}" for name in (*found, "versions.json"))]
    lines += ["", "## What is missing", "", *(f"- {redact(line)}" for line in lacks.values() or ("Nothing.",))]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Collect it; a hand-over with missing parts is written all the same, and says so.

    Return what the process ends with: 0, or 2 with the reason on standard error when Airflow's database cannot be read.
    """
    parser = argparse.ArgumentParser(
        prog="python -m vte_wats.status.evidence", description="Collect what ran at a site in one ZIP."
    )
    parser.add_argument("--site", default="", help="the site, where there are several")
    parser.add_argument("--folder", default=".", type=Path, help="where files lie that Airflow does not have")
    parser.add_argument("--archive", default="vte-wats-handover.zip", type=Path, help="the ZIP to write")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    # As Airflow's own commands do: its database holds the connection of the storage.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    at = datetime.now(UTC)
    try:
        with create_session() as session:
            found = gather(session, Site(given.site), given.folder, at)
    except DBAPIError as exc:
        reason = redact(str(exc.orig).partition("\n")[0])
        sys.stderr.write(
            f"Airflow's database cannot be read: {reason}. Set AIRFLOW_HOME, and AIRFLOW__DATABASE__SQL_ALCHEMY_CONN "
            "where it is set, as the scheduler of the site has them\n"
        )
        return 2
    for line in collect(found, given.archive, at):
        log.info("MISSING %s", line)
    log.info("%s is written; begin with index.md in it", given.archive)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
