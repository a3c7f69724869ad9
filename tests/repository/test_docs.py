"""The documentation is up to date and complete, its links lead somewhere, and what it names exists."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from datetime import date
from pathlib import Path

import pytest
import yaml
from airflow.sdk.configuration import conf

from tests.repository.words import replaced_words
from vte_wats.alerting.monitor_state import Kind
from vte_wats.backfill.progress import Progress
from vte_wats.config.settings import Settings, parse_settings
from vte_wats.config.sites import Site
from vte_wats.vte.sql_errors import SQL_ERRORS
from vte_wats.wats.response_errors import RESPONSE_ERRORS
from vte_wats.wats.wats_connection import WatsOptions

REPOSITORY = Path(__file__).resolve().parents[2]
IGNORED = {".venv", ".git", ".demo", "node_modules"}
PAGES = sorted(
    page
    for page in REPOSITORY.rglob("*.md")
    if not any(part in IGNORED or part.startswith(".") for part in page.relative_to(REPOSITORY).parts)
)
DOCS = REPOSITORY / "docs"
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
BESIDE_PAGES = (
    ".env.example", ".pre-commit-config.yaml", "Dockerfile", "Makefile", "docker-compose.yaml", "pyproject.toml",
)  # fmt: skip
PEOPLE_READ = [*PAGES, *sorted(DOCS.glob("*.yaml")), *(REPOSITORY / name for name in BESIDE_PAGES)]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def table(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    below = text.partition(f"{heading}\n")[2]
    rows = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert rows, heading
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[0].splitlines()[2:]]


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
    assert f"| `{name}` |" in read("docs/configuration.md")


def test_every_test_that_shows_an_assumption_about_wats_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", read("docs/wats.md"))
    assert len(named) > 20
    for path, name in named:
        assert re.search(rf"^def {name}\(", read(path), re.MULTILINE), (path, name)


def test_every_failure_is_described():
    text = read("docs/troubleshooting.md")
    for failure in SQL_ERRORS:
        assert f"| `{failure.message.code}` | {', '.join(map(str, failure.numbers))} |" in text
    for failure in RESPONSE_ERRORS:
        assert f"| `{failure.message.code}` | {failure.message.symptom} |" in text


def test_every_alert_condition_is_described():
    described = {row[0].strip("`").partition(":")[0] for row in table(read("docs/alerts.md"), "## What is watched")}
    assert described == {kind.value for kind in Kind}


def test_every_field_of_the_progress_of_a_backfill_is_described():
    described = {
        name for row in table(read("docs/backfill.md"), "### How far it is") for name in re.findall(r"`(\w+)`", row[0])
    }
    assert described == set(Progress.model_json_schema(mode="serialization")["properties"])


@pytest.mark.slow  # imports Airflow's API server
def test_every_variable_is_named_where_a_backup_is_described():
    page = (REPOSITORY / "docs" / "upgrading.md").read_text(encoding="utf-8")
    backup = page.partition("## Backup")[2].partition("## Uninstall")[0]
    names = [getattr(Site(), name) for name in dir(Site) if name.endswith("_variable")]
    assert len(names) > 10
    assert [name for name in names if f"`{name}`" not in backup] == []


def test_every_address_of_the_status_page_is_described():
    from vte_wats.status.app import create_app  # noqa: PLC0415 - slow

    described = {
        tuple(re.findall(r"(GET|POST) (?:/vte-wats)(/[\w/.-]+)", row[0])[0])
        for row in table(read("docs/operations.md"), "## JSON API")
    }
    paths = create_app().openapi()["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == {route for route in routes if route[1].startswith("/api/")}


def test_the_schema_page_draws_all_tables():
    text = read("docs/schema.md")
    assert "keeps 21 tables" in text
    assert len(re.findall(r"^    \w+(?:\[.+\])? \{$", text, re.MULTILINE)) == 21


@every_page
def test_links_lead_to_files_and_headings(page):
    text = prose(page)
    for target in [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'<img src="([^"]+)"', text)]:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


@every_page
def test_make_commands_have_targets(page):
    targets = set(re.findall(r"^([a-z][a-z-]*):", read("Makefile"), re.MULTILINE))
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


def linked_pages(page: Path) -> list[Path]:
    targets = re.findall(r"\]\(([^)\s#]+\.md)[^)]*\)", prose(page))
    return [(page.parent / target).resolve() for target in targets if not re.match(r"[a-z]+:", target)]


def test_the_index_lists_every_page():
    pages = {page for page in DOCS.rglob("*.md") if page.parent == DOCS and page.name != "README.md"}
    pages |= {REPOSITORY / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}
    pages.add(DOCS / "decisions" / "README.md")
    assert pages - set(linked_pages(DOCS / "README.md")) == set()


def test_the_index_of_the_decisions_lists_each_in_order():
    assert linked_pages(DOCS / "decisions" / "README.md") == DECISIONS
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    dates = [date.fromisoformat(row[1]) for row in table(read("docs/decisions/README.md"), "# Decisions")]
    assert dates == sorted(dates)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_a_title_a_date_its_context_choice_and_price(page):
    title, day, *parts = page.read_text(encoding="utf-8").strip().split("\n\n")
    assert [part.partition(" ")[0] for part in parts] == ["**Context.**", "**Choice.**", "**Price.**"]
    assert f"| {date.fromisoformat(day)} | {title.removeprefix('# ')} |" in read("docs/decisions/README.md")


def test_the_glossary_has_each_term_once_and_in_one_line():
    rows = [line for line in read("docs/glossary.md").splitlines() if line.startswith("| **")]
    terms = [re.sub(r"\W", "", row.split("|")[1]).lower() for row in rows]
    assert len(terms) > 60
    assert sorted(terms) == sorted(set(terms))
    assert all(re.fullmatch(r"\| \*\*[^|]+\*\* \| [^|]+\. \|", row) for row in rows)


def test_the_modules_page_lists_every_folder_of_the_package():
    package = REPOSITORY / "plugins" / "vte_wats"
    folders = {f"`plugins/vte_wats/{path.parent.name}/`" for path in package.glob("*/__init__.py")}
    files = {f"`plugins/vte_wats/{path.name}`" for path in package.glob("*.py") if path.name != "__init__.py"}
    assert folders | files <= {row[0] for row in table(read("docs/architecture.md"), "## The modules")}


def test_the_modules_page_has_the_import_order_that_is_enforced():
    contracts = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    enforced = [{name.strip().removeprefix("vte_wats.") for name in layer.split("|")} for layer in layers]
    drawn = next(text for text in blocks(DOCS / "architecture.md", "text") if "orchestration" in text)
    assert [set(line.split(" · ")) for line in drawn.splitlines()[1:]] == enforced


def test_tests_that_show_a_requirement_exist():
    kept = {path.name for path in (REPOSITORY / "tests").rglob("test_*.py")}
    named = set(re.findall(r"`(test_\w+\.py)`", read("docs/requirements.md")))
    assert len(named) > 30
    assert named - kept == set()


def test_the_changelog_begins_with_what_comes_next_and_then_this_version():
    version = read("VERSION").strip()
    unreleased, released, *_ = re.findall(r"^## \[(.+)\](?: - (.+))?$", read("CHANGELOG.md"), re.MULTILINE)
    assert unreleased == ("Unreleased", "")
    assert released[0] == version
    assert date.fromisoformat(released[1])


def test_the_hooks_run_what_make_check_runs():
    hooks = [hook for repo in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"] for hook in repo["hooks"]]
    run = {re.search(r"\.venv/bin/([\w-]+(?: [\w./]+)?)", hook["entry"])[1] for hook in hooks}
    recipe = re.search(r"^check-code:.*\n((?:\t.*\n)+)", read("Makefile"), re.MULTILINE)[1]
    assert run == set(re.findall(r"\$\(BIN\)/([\w-]+(?: (?!include|\.\s)[\w./]+)?)", recipe))
    assert all(hook["language"] == "system" for hook in hooks)


@pytest.mark.parametrize("path", ["docs/generate.py", "sandbox/wats/profiles.py", "tests/sandbox/test_wats_server.py"])
def test_a_change_of_what_generated_pages_are_made_of_or_name_checks_them(path):
    hooks = [hook for repo in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"] for hook in repo["hooks"]]
    (generated,) = (hook for hook in hooks if "docs/generate.py" in hook["entry"])
    assert re.search(generated["files"], path)


@pytest.mark.parametrize("page", PEOPLE_READ, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_pages_use_the_words_of_the_glossary(page):
    text = page.read_text(encoding="utf-8")
    found = [f"{page.name}:{line}: {what}" for line, what in replaced_words(text, prose=True)]
    assert not found, "\n".join(found)


def test_the_printed_configuration_of_airflow_is_complete_and_every_option_exists():
    """Without these secrets, the same on every machine, no task gets past its first call."""
    blocks = re.findall(r"```ini\n(\[.*?)```", read("docs/installation.md"), re.DOTALL)
    written: dict[str, set[str]] = {}
    for block in blocks:
        parser = ConfigParser(interpolation=None)
        parser.optionxform = str  # systemd's options have capitals
        parser.read_string(block)
        for section in parser.sections():
            written.setdefault(section, set()).update(parser.options(section))
    for section, name in [
        ("core", "fernet_key"),
        ("core", "execution_api_server_url"),
        ("api", "secret_key"),
        ("api_auth", "jwt_secret"),
        ("database", "sql_alchemy_conn"),
    ]:
        assert name in written[section]
    known = conf.configuration_description
    unknown = [
        f"[{section}] {name}"
        for section, names in written.items()
        if section in known
        for name in names
        if name not in known[section]["options"]
    ]
    assert unknown == []
    assert {"core", "database", "api", "api_auth", "dag_processor"} <= written.keys() & known.keys()
