"""The lock files: what a site installs holds all that the package asks for, as it was developed and tested."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SITE = "requirements.lock"
DEVELOPMENT = "requirements-dev.lock"


def entries(file: Path) -> list[str]:
    """Return what a lock says of each package: its requirement and its hashes, on one line."""
    lines = re.sub(r"\\\n\s*", "", file.read_text(encoding="utf-8")).splitlines()
    return [line for line in lines if line and not line.lstrip().startswith("#")]


def locked(file: Path) -> dict[str, set[str]]:
    """Return the versions that a lock pins of each package; where they differ by platform or Python there are more."""
    found: dict[str, set[str]] = {}
    for entry in entries(file):
        one = Requirement(entry.partition(" --hash")[0])
        found.setdefault(canonicalize_name(one.name), set()).add(str(one.specifier))
    return found


def asked_for(repository: Path) -> set[str]:
    """Return every package that the project asks for itself."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (repository / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.partition("#")[0].strip() for line in lines]
    texts = [*project["dependencies"], *filter(None, pins)]
    return {canonicalize_name(Requirement(text).name) for text in texts}


def test_every_package_that_is_asked_for_is_in_the_lock_of_a_site(repository):
    assert asked_for(repository) - locked(repository / SITE).keys() == set()


def test_a_site_gets_the_versions_that_development_has(repository):
    site, development = locked(repository / SITE), locked(repository / DEVELOPMENT)
    both = site.keys() & development.keys()
    assert {name: (site[name], development[name]) for name in both if not site[name] <= development[name]} == {}


@pytest.mark.parametrize("lock", [SITE, DEVELOPMENT])
def test_every_package_of_a_lock_has_one_version_and_hashes_and_no_address(repository, lock):
    pin = re.compile(r"[\w.-]+(\[[\w,-]+\])?==[\w.+!]+( ; [^@#]+?)?( *--hash=sha256:[0-9a-f]{64})+")
    found = entries(repository / lock)
    assert found
    assert [entry for entry in found if not pin.fullmatch(entry)] == []
    assert "://" not in (repository / lock).read_text(encoding="utf-8")
