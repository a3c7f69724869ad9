"""The ZIP that a site gets: all that is needed to run, nothing that is only for changing it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from vte_wats.config.settings import parse_settings


@pytest.fixture(scope="module")
def unpacked(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the files as they are now, committed or not, unpacked."""
    folder = tmp_path_factory.mktemp("release")
    nobody = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
    tree = subprocess.run(
        ["git", *nobody, "stash", "create"], cwd=repository, capture_output=True, text=True, check=True
    )
    what = tree.stdout.strip() or "HEAD"
    subprocess.run(["make", "package", f"DIST={folder}", f"TREE={what}"], cwd=repository, check=True)
    (archive,) = folder.glob("vte-wats-*.zip")
    with ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder / archive.stem


def test_the_archive_holds_what_a_site_installs_and_nothing_else(unpacked):
    inside = {path.name for path in unpacked.iterdir()}
    assert {"README.md", "CHANGELOG.md", "dags", "docs", "include", "plugins", "pyproject.toml"} <= inside
    assert {"docker-compose.yaml", "Dockerfile", ".env.example", "requirements.lock", "Makefile"} <= inside
    assert not {"tests", "benchmarks", ".ci", ".gitignore", ".venv"} & inside
    assert (unpacked / "plugins" / ".airflowignore").is_file()


def test_two_builds_of_one_version_have_different_names(repository, unpacked):
    commit = subprocess.run(
        ["git", "rev-parse", "--short=9", "HEAD"], cwd=repository, capture_output=True, text=True, check=True
    )
    released = (repository / "VERSION").read_text(encoding="utf-8").strip()
    build = f"{released}+g{commit.stdout.strip()}"
    assert (unpacked / "VERSION").read_text(encoding="utf-8") == build
    assert unpacked.name == f"vte-wats-{build}"


def test_the_images_of_two_builds_have_different_names(repository, unpacked):
    tag = (unpacked / "VERSION").read_text(encoding="utf-8").replace("+", "-")
    assert re.fullmatch(r"[\w][\w.-]{0,127}", tag), "what Docker takes as a tag"
    for name in ("docker-compose.yaml", ".env.example"):
        committed, packed = ((folder / name).read_text(encoding="utf-8") for folder in (repository, unpacked))
        changed = [
            (old, new) for old, new in zip(committed.splitlines(), packed.splitlines(), strict=True) if old != new
        ]
        assert changed
        for old, new in changed:
            assert "VTE_WATS_BUILD" in old
            assert new == old.replace("0.1.0", tag)
        assert "0.1.0}" not in packed
    assert sorted(path.name for path in unpacked.glob("docker-compose*")) == [
        "docker-compose.tls.yaml", "docker-compose.users.yaml", "docker-compose.yaml",
    ]  # fmt: skip


CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)")


def test_every_link_of_the_archive_leads_somewhere(unpacked):
    dead = [
        f"{page.relative_to(unpacked)}: {target}"
        for page in unpacked.rglob("*.md")
        for target in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))
        if ":" not in target and not (page.parent / target).exists()
    ]
    assert dead == []


@pytest.mark.slow
def test_the_wheel_made_of_the_archive_has_its_version(unpacked, tmp_path):
    command = ["make", "wheel", f"DIST={tmp_path}", f"VENV={sys.prefix}", "--assume-old", f"{sys.prefix}/.ready"]
    subprocess.run(command, cwd=unpacked, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"vte_wats-{(unpacked / 'VERSION').read_text(encoding='utf-8')}-")


@pytest.mark.slow
def test_the_dags_of_the_archive_load_with_the_package_beside_them(unpacked):
    probe = (
        "import sys\n"
        f"sys.path.insert(0, {str(unpacked / 'plugins')!r})\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        f"bag = DagBag({str(unpacked / 'dags')!r})\n"
        "import vte_wats\n"
        "print(bag.import_errors, sorted(bag.dags), vte_wats.__path__)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=120, check=False)
    answer = done.stdout.strip().splitlines()[-1]
    assert answer.startswith("{} ['vte_wats_"), done.stderr[-2000:]
    assert str(unpacked) in answer


def test_the_sample_settings_are_an_answer_that_passes(unpacked):
    text = (unpacked / "include" / "settings.example.json").read_text(encoding="utf-8")
    assert parse_settings(text).process_code("RF final") == 110
    assert set(json.loads(text)) >= {"source_timezone", "process_map"}
