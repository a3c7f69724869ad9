"""The files of a survey in the storage: a task writes them, the page reads those of the newest, all by fixed names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime, ValidationError
from upath import UPath

from vte_wats.storage.object_storage import DamagedFileError, create_folder, read_file, storage_errors, write_atomically
from vte_wats.survey.proposal import Proposal

FOLDER = "survey"
_NAME = "%Y%m%dT%H%M%SZ"
_MOST_INCOMPLETE = 10  # folders of surveys that failed while they were written


class SurveyFile(StrEnum):
    """The files of a survey, in the order in which they are written: with the last one it is complete."""

    REPORT = "survey.html"
    FACTS = "survey.json"
    YIELDS = "yields.csv"
    ISSUES = "issues.csv"
    RUNS = "runs.csv"
    STEPS = "steps.csv"
    DIAGRAM = "schema.mmd"


LARGEST_BYTES: Mapping[SurveyFile, int] = {
    SurveyFile.REPORT: 32_000_000,
    SurveyFile.FACTS: 32_000_000,
    SurveyFile.YIELDS: 4_000_000,
    SurveyFile.ISSUES: 4_000_000,
    SurveyFile.RUNS: 64_000_000,
    SurveyFile.STEPS: 64_000_000,
    SurveyFile.DIAGRAM: 4_000_000,
}


class _Open(BaseModel):
    """A part of ``survey.json``; fields that nobody asks for here are left alone."""

    model_config = ConfigDict(frozen=True)


class SampleFacts(_Open):
    """What is shown of the sample."""

    runs: int
    steps: int
    issues: tuple[Any, ...] = ()


class TrialLine(_Open):
    """What would become of one run."""

    outcome: str


class TrialFacts(_Open):
    """What is shown of the trial."""

    lines: tuple[TrialLine, ...] = ()
    issues: tuple[Any, ...] = ()


class StoredSurvey(_Open):
    """What people who do not open the report see of a survey, and what it proposes."""

    package_version: str
    stopped: str
    counted_runs: int
    counted_from_local: NaiveDatetime | None = None
    findings: SampleFacts | None = None
    trial: TrialFacts | None = Field(None, description="None where no run could be read.")
    proposal: Proposal


@dataclass(frozen=True, slots=True)
class SurveyFolder:
    """One complete survey. ``sizes`` has the files that can be read: what is no regular file, or too large, is not."""

    path: UPath
    sizes: Mapping[SurveyFile, int]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.path.name

    @property
    def measured_at(self) -> datetime:
        """When it started."""
        return _time_of(self.name)

    def read(self, file: SurveyFile) -> bytes:
        """Return the content of a file. Raises DamagedFileError for one that is not to be read."""
        if file not in self.sizes:
            raise DamagedFileError(f"{file} is no regular file of at most {LARGEST_BYTES[file]:,} bytes")
        return read_file(self.path / file, LARGEST_BYTES[file])

    def survey(self) -> StoredSurvey:
        """Return what ``survey.json`` holds. Raises DamagedFileError when that is no survey of this version."""
        try:
            return StoredSurvey.model_validate_json(self.read(SurveyFile.FACTS))
        except ValidationError as exc:
            where = ".".join(map(str, exc.errors()[0]["loc"])) or "the whole"
            raise DamagedFileError(f"{SurveyFile.FACTS} is damaged, or of another version: {where}") from None


def survey_folder(storage: UPath, measured_at: datetime) -> UPath:
    """Return the folder of a survey that starts now."""
    return storage / FOLDER / f"{measured_at:{_NAME}}"


def write_survey(folder: UPath, files: Mapping[SurveyFile, str]) -> None:
    """Write the files of a survey, for this account alone."""
    create_folder(folder)
    for file in SurveyFile:
        write_atomically(folder / file, files[file].encode())


def newest_survey(storage: UPath) -> SurveyFolder | None:
    """Return the newest survey that is complete; one that a task is writing is none yet."""
    folder = storage / FOLDER
    names = [name for name, kind, _ in _entries(folder) if kind == "directory" and _is_name(name)]
    for name in sorted(names, reverse=True)[:_MOST_INCOMPLETE]:
        entries = {found: (kind, size) for found, kind, size in _entries(folder / name)}
        if entries.keys() >= set(SurveyFile):
            sizes = {file: entries[file][1] for file in SurveyFile if entries[file][0] == "file"}
            return SurveyFolder(
                folder / name, {file: size for file, size in sizes.items() if size <= LARGEST_BYTES[file]}
            )
    return None


def _time_of(name: str) -> datetime:
    return datetime.strptime(name, _NAME).replace(tzinfo=UTC)


def _is_name(name: str) -> bool:
    try:
        return f"{_time_of(name):{_NAME}}" == name
    except ValueError:
        return False


def _entries(folder: UPath) -> Iterator[tuple[str, str, int]]:
    """Yield name, kind and size of what a folder holds, as it is now; a link is of no kind that anybody opens."""
    fs = folder.fs
    fs.invalidate_cache()
    try:
        with storage_errors(folder):
            found = fs.ls(folder.path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        yield (
            entry["name"].rstrip("/").rpartition("/")[2],
            "link" if entry.get("islink") else entry["type"],
            entry["size"] or 0,
        )
