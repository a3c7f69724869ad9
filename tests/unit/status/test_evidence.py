"""The hand-over says what came of what ran, names what is missing, and no secret gets in."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from zipfile import ZipFile

import pytest

from vte_wats.status.evidence import EVIDENCE, PHASES, Found, collect
from vte_wats.survey.stored import SurveyFile

AT = datetime(2026, 3, 2, tzinfo=UTC)
ALL = {evidence.name: Found("it ran\n") for evidence in EVIDENCE}


def packed(folder, found):
    missing = collect(found, folder / "out" / "handover.zip", AT)
    with ZipFile(folder / "out" / "handover.zip") as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}, missing


def phases_of(inside):
    summary = inside["index.md"].partition("## Summary")[2].partition("## What is here")[0]
    return [line.split(": ")[1] for line in summary.splitlines() if line.startswith("- Phase")]


def test_with_nothing_everything_is_missing_and_the_index_says_so(tmp_path):
    inside, missing = packed(tmp_path, {})
    assert inside.keys() == {"index.md", "versions.json"}
    assert [line.partition(":")[0] for line in missing] == [evidence.name for evidence in EVIDENCE]
    assert all(f"- {line}\n" in inside["index.md"].partition("## What is missing")[2] for line in missing)
    assert json.loads(inside["versions.json"])["apache-airflow"].startswith("3.")


def test_what_the_project_measured_shows_no_phase_of_a_site(tmp_path):
    inside, _ = packed(tmp_path, {f"docs/{name}.md": Found("measured") for name in ("benchmarks", "reliability")})
    assert all(said.startswith("lacks ") for said in phases_of(inside))
    assert inside["docs/reliability.md"] == "measured"


def test_a_phase_is_shown_when_each_of_its_parts_ran_at_the_site(tmp_path):
    inside, missing = packed(tmp_path, ALL)
    assert missing == []
    assert phases_of(inside) == ["shown at this site."] * len(PHASES)
    assert inside["index.md"].endswith("## What is missing\n\n- Nothing.\n")


def test_the_summary_says_what_came_of_it_and_a_failure_shows_nothing(tmp_path):
    failed = Found("{}", "failed at 2026-03-01 12:00 UTC: verify 99 equal, 1 altered", is_good=False)
    inside, missing = packed(tmp_path, ALL | {"runs/reconcile.json": failed})
    assert phases_of(inside)[4] == "lacks runs/reconcile.json."
    assert f"  - the last comparison with WATS: {failed.result}\n" in inside["index.md"]
    assert "99 equal, 1 altered" in missing[0]


def test_the_phases_are_those_of_the_check_list(repository):
    page = (repository / "docs" / "handover.md").read_text(encoding="utf-8")
    headings = dict(re.findall(r"^## Phase (\d): (.+)$", page, re.MULTILINE))
    assert {str(phase): about.partition(",")[0] for phase, about in PHASES.items()} == headings


def test_every_file_that_a_survey_writes_is_evidence():
    wanted = {evidence.name.partition("/")[2] for evidence in EVIDENCE if evidence.name.startswith("survey/")}
    assert wanted == {file.value for file in SurveyFile}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("restart.txt", "login with password=hunter2 failed"),
        ("mail.eml", "https://adapter:hunter2@wats.example.com answered"),
        ("acceptance/acceptance.md", "Authorization: Basic hunter2hunter2hunter2"),
    ],
)
def test_no_secret_gets_in(tmp_path, name, text):
    inside, missing = packed(tmp_path, {name: Found(text, text, is_good=False)})
    assert name in inside
    assert "hunter2" not in "".join([*inside.values(), *missing])
