"""The documentation is up to date, its links lead somewhere, and the commands in it exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vte_wats.config.settings import Settings, parse_settings
from vte_wats.vte.sql_errors import SQL_ERRORS
from vte_wats.wats.connection import WatsOptions
from vte_wats.wats.response_errors import RESPONSE_ERRORS

REPOSITORY = Path(__file__).resolve().parents[2]
IGNORED = {".venv", ".git", ".demo", "node_modules"}
PAGES = sorted(
    page
    for page in REPOSITORY.rglob("*.md")
    if not any(part in IGNORED or part.startswith(".") for part in page.relative_to(REPOSITORY).parts)
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that headings get: lower case, punctuation dropped, blanks to hyphens."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.slow  # make check asks the same of docs/generate.py
def test_generated_pages_are_up_to_date():
    command = [sys.executable, str(REPOSITORY / "docs/generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [*Settings.model_fields, *WatsOptions.model_fields])
def test_every_setting_is_described(name):
    assert f"| `{name}` |" in (REPOSITORY / "docs/configuration.md").read_text(encoding="utf-8")


def test_every_failure_is_described():
    text = (REPOSITORY / "docs/failures.md").read_text(encoding="utf-8")
    for failure in SQL_ERRORS:
        assert all(str(number) in text for number in failure.numbers), failure
    assert all(failure.message.symptom in text for failure in RESPONSE_ERRORS)


def test_the_schema_page_draws_all_tables():
    text = (REPOSITORY / "docs/schema.md").read_text(encoding="utf-8")
    assert "keeps 21 tables" in text
    assert len(re.findall(r"^    \w+(?:\[.+\])? \{$", text, re.MULTILINE)) == 21


@every_page
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


@every_page
def test_make_commands_have_targets(page):
    targets = set(re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    code = "\n".join(blocks(page, "", "console", "bash", "sh")) + "\n".join(re.findall(r"`([^`\n]+)`", prose(page)))
    for target in re.findall(r"\bmake ([a-z][a-z-]*)", code):
        assert target in targets, target


@every_page
def test_settings_shown_in_json_pass_validation(page):
    for text in blocks(page, "json"):
        if "source_timezone" in text:
            parse_settings(text)
        else:
            json.loads(text)


@every_page
def test_files_named_in_prose_exist(page):
    roots = "benchmarks|dags|docs|include|plugins|sandbox|tests"
    for name in re.findall(rf"`((?:{roots})/[\w./-]*)`", prose(page)):
        assert (REPOSITORY / name).exists(), name


@every_page
def test_pages_hold_no_marks_of_a_conflict(page):
    assert not re.findall(r"^(?:<{7}|={7}|>{7})(?: .*)?$", page.read_text(encoding="utf-8"), re.MULTILINE)
