"""The hand-over holds what ran, names what is missing, and no secret gets in."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pytest

from vte_wats.orchestration.evidence import EVIDENCE, PHASES, SETTINGS, collect
from vte_wats.survey.stored import SurveyFile

AT = datetime(2026, 3, 2, tzinfo=UTC)
GOOD = {"source_timezone": "Europe/Oslo", "process_map": {"*": 100}}


def packed(folder: Path, files: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    missing = collect(folder, folder / "out" / "handover.zip", AT)
    with ZipFile(folder / "out" / "handover.zip") as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}, missing


def test_with_nothing_everything_is_missing_and_the_index_says_so(tmp_path):
    inside, missing = packed(tmp_path, {})
    assert inside.keys() == {"index.md", "versions.json"}
    assert [line.partition(":")[0] for line in missing] == [evidence.path for evidence in EVIDENCE]
    assert all(f"- {line}\n" in inside["index.md"].partition("## What is missing")[2] for line in missing)
    assert json.loads(inside["versions.json"])["apache-airflow"].startswith("3.")


def test_what_exists_is_inside_and_not_missing(tmp_path):
    inside, missing = packed(
        tmp_path, {evidence.path: "it ran\n" for evidence in EVIDENCE} | {SETTINGS: json.dumps(GOOD)}
    )
    assert missing == []
    assert inside["docs/reliability.md"] == "it ran\n"
    assert json.loads(inside[SETTINGS]) == GOOD
    assert inside["index.md"].endswith("## What is missing\n\n- Nothing.\n")


def test_the_summary_says_for_each_phase_what_it_lacks(tmp_path):
    inside, _ = packed(
        tmp_path, {evidence.path: "it ran\n" for evidence in EVIDENCE if "reconcile" not in evidence.path}
    )
    summary = inside["index.md"].partition("## Summary")[2].partition("## What is here")[0]
    said = {line.split(":")[0]: line.split(": ")[1] for line in summary.splitlines() if line.startswith("- Phase")}
    assert list(said) == [f"- Phase {phase}, {about}" for phase, about in PHASES.items()]
    assert list(said.values()) == [
        "every file is here.", f"lacks {SETTINGS}.", "every file is here.", "every file is here.",
        "lacks dist/reconcile.txt.",
    ]  # fmt: skip


def test_the_phases_are_those_of_the_check_list(repository):
    page = (repository / "docs" / "handover.md").read_text(encoding="utf-8")
    headings = dict(re.findall(r"^## Phase (\d): (.+)$", page, re.MULTILINE))
    assert {str(phase): about.partition(",")[0] for phase, about in PHASES.items()} == headings


def test_every_file_that_a_survey_writes_is_evidence():
    assert {Path(evidence.path).name for evidence in EVIDENCE if "/survey/" in evidence.path} == {
        file.value for file in SurveyFile
    }


def test_only_files_of_the_site_have_a_date(tmp_path):
    inside, _ = packed(tmp_path, {evidence.path: "it ran\n" for evidence in EVIDENCE})
    here = inside["index.md"].partition("## What is here")[2].partition("## What is missing")[0]
    dated = [line for line in here.splitlines() if "File of" in line]
    assert len(dated) > 5
    assert all(line.startswith("- dist/") for line in dated)


def test_an_empty_file_is_no_evidence(tmp_path):
    inside, missing = packed(tmp_path, {"dist/preflight.txt": "\n"})
    assert "dist/preflight.txt" not in inside
    assert "the file is empty" in missing[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dist/preflight.txt", "login with password=hunter2 failed"),
        ("dist/reconcile.txt", "https://adapter:hunter2@wats.example.com answered"),
        ("dist/acceptance/acceptance.md", "Authorization: Basic hunter2hunter2hunter2"),
        (SETTINGS, json.dumps(GOOD | {"wats_login": "hunter2"})),
        (SETTINGS, json.dumps(GOOD | {"storage_path": "s3://key:hunter2@bucket/vte"})),
        (SETTINGS, '{"password": "hunter2"'),
    ],
)
def test_no_secret_gets_in(tmp_path, name, text):
    inside, missing = packed(tmp_path, {name: text})
    assert "hunter2" not in "".join([*inside.values(), *missing])
    assert name in inside["index.md"]
