"""``make handover``: the evidence that exists, in one ZIP with an index page that says what is missing.

Only files go in that something which ran has written; each is redacted, and settings only when they pass validation.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from vte_wats.config.settings import parse_settings
from vte_wats.domain.errors import FatalError
from vte_wats.domain.redaction import redact

log = logging.getLogger(__name__)

PACKAGES = (
    "vte-wats", "apache-airflow", "apache-airflow-providers-microsoft-mssql", "pymssql", "pywats-api", "pydantic",
)  # fmt: skip
SETTINGS = "dist/settings.json"


PHASES = {
    1: "database and schema, R1 to R6",
    2: "data access, R7 to R13",
    3: "mapping and upload, R14 to R20",
    4: "production, R21 to R26",
    5: "validation, R27 to R30",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One file of the hand-over: where it is, for which phases, what it shows, and the command that makes it."""

    path: str
    phases: tuple[int, ...]
    shows: str
    made_by: str


_SURVEY = 'make survey VTE=env OPTIONS="--folder dist/survey"'
_RELEASE = "comes with the release"
EVIDENCE = (
    Evidence("dist/preflight.txt", (1,), "login, columns, indexes, clocks", "docs/handover.md, phase 1"),
    Evidence("dist/survey/survey.html", (1,), "what the database holds", _SURVEY),
    Evidence("dist/survey/survey.json", (1,), "the same as data", _SURVEY),
    Evidence("dist/survey/schema.mmd", (1,), "the tables that are deployed, as a diagram", _SURVEY),
    Evidence("dist/survey/runs.csv", (1,), "100 runs", _SURVEY),
    Evidence("dist/survey/steps.csv", (1,), "their steps", _SURVEY),
    Evidence("dist/survey/yields.csv", (1,), "yields by month, product, test plan and station", _SURVEY),
    Evidence("dist/survey/issues.csv", (1,), "what is odd about the data, and what happens to it", _SURVEY),
    Evidence(SETTINGS, (2,), "the answers of this site", f"airflow variables get vte_wats > {SETTINGS}"),
    Evidence("dist/acceptance/acceptance.html", (3,), "how WATS answers", "make acceptance WATS=…"),
    Evidence("dist/acceptance/acceptance.md", (3,), "the same as text", "make acceptance WATS=…"),
    Evidence("docs/benchmarks.md", (4, 5), "throughput and the peak", "make bench"),
    Evidence("docs/reliability.md", (4, 5), "every failure that was tried", "make faults"),
    Evidence("dist/reconcile.txt", (5,), "100 reports compared value by value", "docs/handover.md, phase 5"),
    Evidence("docs/requirements.md", (5,), "R1 to R30: where each is, and which test shows it", _RELEASE),
    Evidence("docs/handover.md", (5,), "the check-list", _RELEASE),
    Evidence("CHANGELOG.md", (5,), "what each release changed", _RELEASE),
)


def collect(folder: Path, archive: Path, at: datetime) -> list[str]:
    """Write the ZIP from the files below ``folder``; return what is missing, a line for each."""
    found: list[str] = []
    missing: dict[Evidence, str] = {}
    archive.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(archive, "w", ZIP_DEFLATED) as packed:
        for evidence in EVIDENCE:
            file = folder / evidence.path
            try:
                text = _text_of(evidence, file)
            except (OSError, ValueError, FatalError) as exc:
                reason = "there is no such file" if isinstance(exc, FileNotFoundError) else redact(str(exc))
                missing[evidence] = f"{evidence.path}: {evidence.shows}. Made by: {evidence.made_by}. Reason: {reason}"
                continue
            packed.writestr(evidence.path, text)
            found.append(f"{evidence.path}: {evidence.shows}{_date_of(file, evidence)}")
        packed.writestr("versions.json", json.dumps(versions(), indent=1))
        packed.writestr("index.md", _index(found, missing, at))
    return list(missing.values())


def _date_of(file: Path, evidence: Evidence) -> str:
    """Return when a file of this site was written; those of the release have the time at which it was unpacked."""
    if not evidence.path.startswith("dist/"):
        return ""
    return f". File of {datetime.fromtimestamp(file.stat().st_mtime, UTC):%Y-%m-%d %H:%M} UTC"


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


def _text_of(evidence: Evidence, file: Path) -> str:
    """Return the text of a file without credentials; raises FatalError for settings that do not pass validation."""
    text = file.read_text(encoding="utf-8")
    if not text.strip():
        raise ValueError("the file is empty")
    if evidence.path == SETTINGS:
        parse_settings(text)  # what stands in a field that does not exist may be anything, a secret too
    return redact(text)


def _index(found: Sequence[str], missing: Mapping[Evidence, str], at: datetime) -> str:
    lines = [f"# Hand-over of VTE → WATS {_version_of('vte-wats')}, {at:%Y-%m-%d %H:%M} UTC", "", "## Summary", ""]
    for phase, about in PHASES.items():
        lacks = [evidence.path for evidence in missing if phase in evidence.phases]
        stands = f"lacks {', '.join(lacks)}" if lacks else "every file is here"
        lines.append(f"- Phase {phase}, {about}: {stands}.")
    lines += ["", "What each requirement is, where, and which test shows it: docs/requirements.md.", ""]
    lines += ["## What is here", ""]
    lines += [f"- {line}" for line in (*found, "versions.json: what is installed on this machine")]
    lines += ["", "## What is missing", "", *(f"- {line}" for line in missing.values() or ("Nothing.",))]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Collect it; a hand-over with missing parts is written all the same, and says so."""
    parser = argparse.ArgumentParser(description="Collect the evidence of the hand-over in one ZIP.")
    parser.add_argument("--folder", default=".", type=Path, help="the folder with docs/ and dist/")
    parser.add_argument("--archive", default="dist/handover.zip", type=Path, help="the ZIP to write")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    for line in collect(given.folder, given.archive, datetime.now(UTC)):
        log.info("MISSING %s", line)
    log.info("%s is written; begin with index.md in it", given.archive)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
