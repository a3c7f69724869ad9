"""A wheel that could not be tested is a failure, unless the index is known to lack versions, and lacks one."""

from __future__ import annotations

import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.with_constraints import LACKS_VERSIONS, Environment, not_installed


class ThisPython(Environment):
    """The pip that these tests run with; nothing of what is asked for here can be installed."""

    def __init__(self) -> None:
        self.python = Path(sys.executable)


@pytest.fixture
def said(tmp_path, monkeypatch):
    """Return what pip says when it cannot install something; it knows two versions of one package."""
    for version in ("1.0", "2.0"):
        with ZipFile(tmp_path / f"made_up-{version}-py3-none-any.whl", "w") as wheel:
            folder = f"made_up-{version}.dist-info"
            wheel.writestr(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: made-up\nVersion: {version}\n")
            wheel.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{folder}/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    constraint = tmp_path / "constraints.txt"

    def refused(requirement, constraints=""):
        constraint.write_text(constraints)
        answer = ThisPython().install(requirement, constraint=constraint)
        assert answer
        return answer

    return refused


@pytest.fixture
def lacks_versions(monkeypatch):
    monkeypatch.setenv(LACKS_VERSIONS, "1")


def test_a_version_that_does_not_exist_is_a_failure(said, monkeypatch, capsys):
    monkeypatch.delenv(LACKS_VERSIONS, raising=False)
    assert not_installed("made-up", said("made-up==3.0")) == 1
    assert capsys.readouterr().out.startswith("NOT TESTED with Airflow's constraints: made-up ")


def test_a_version_that_an_index_is_known_to_lack_is_none(said, lacks_versions, capsys):
    assert not_installed("made-up", said("made-up==3.0")) == 0
    assert capsys.readouterr().out.startswith("NOT TESTED with Airflow's constraints: made-up ")


@pytest.mark.parametrize("package", ["made-up", "another-made-up"])
def test_no_network_is_a_failure(said, lacks_versions, monkeypatch, capsys, package):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    assert not_installed(package, said(f"{package}==3.0")) == 1
    assert not capsys.readouterr().out


def test_versions_that_exclude_each_other_are_a_failure(said, lacks_versions):
    assert not_installed("made-up", said("made-up==1.0", constraints="made-up==2.0")) == 1


def test_a_broken_wheel_is_a_failure(said, lacks_versions, tmp_path):
    wheel = tmp_path / "broken-1.0-py3-none-any.whl"
    wheel.write_text("no archive")
    assert not_installed("broken", said(str(wheel))) == 1
