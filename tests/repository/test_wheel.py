"""The wheel: what is in it, what it asks for, and docs/installation.md, step 2b, walked in an Airflow that has another plugin."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
import sysconfig
import tomllib
from datetime import UTC, datetime, timedelta
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sandbox.environment import SandboxEnvironment
from tests.with_constraints import constraints, pinned


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def requirements(project: dict[str, Any]) -> dict[str, Requirement]:
    found = [Requirement(text) for text in project["dependencies"]]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def imported(repository: Path) -> dict[str, Path]:
    """Return every module outside the standard library that the product imports, with a file that does."""
    found: dict[str, Path] = {}
    for file in [*(repository / "plugins").rglob("*.py"), *(repository / "dags").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            found |= {name: file for name in names if name.partition(".")[0] not in sys.stdlib_module_names}
    return found


def distribution_of(module: str) -> str:
    """Return what has to be installed for a module; each of Airflow's providers is one of its own."""
    if module.startswith("airflow.providers."):
        known = packages_distributions_of_providers()
        return next(name for name in sorted(known, reverse=True) if f"{module}.".startswith(f"{known[name]}."))
    if module.startswith("airflow"):
        return "apache-airflow"
    return canonicalize_name(packages_distributions()[module.partition(".")[0]][0])


def packages_distributions_of_providers() -> dict[str, str]:
    providers = ("apprise", "common.io", "microsoft.mssql", "smtp", "standard", "amazon", "celery", "postgres")
    return {f"apache-airflow-providers-{name.replace('.', '-')}": f"airflow.providers.{name}" for name in providers}


@pytest.mark.slow
def test_what_is_imported_is_asked_for(repository, requirements):
    missing = {
        module: file.name
        for module, file in imported(repository).items()
        if not module.startswith("vte_wats") and distribution_of(module) not in requirements
    }
    assert missing == {}


def test_what_is_pinned_for_a_whole_environment_is_inside_the_ranges(requirements):
    outside = {
        name: (version(name), str(requirement.specifier))
        for name, requirement in requirements.items()
        if not requirement.specifier.contains(version(name), prereleases=True)
    }
    assert outside == {}


def test_what_airflows_constraints_pin_is_inside_the_ranges_and_the_rest_is_named(repository, requirements):
    known = pinned(constraints().read_text(encoding="utf-8"))
    outside = {
        name: known[name] for name in requirements.keys() & known if known[name] not in requirements[name].specifier
    }
    assert outside == {}
    page = (repository / "docs" / "installation.md").read_text(encoding="utf-8")
    sentence = next(line for line in page.splitlines() if line.startswith("It adds `"))
    added = {word.strip("`") for word in re.findall(r"`[\w-]+`", sentence)}
    assert added == requirements.keys() - known.keys() - {"apache-airflow"}


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "VERSION", "setup.py", "README.md", "LICENSE"):
        (source / name).write_bytes((repository / name).read_bytes())
    for name in ("plugins", "dags", "include"):
        for file in (repository / name).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                target = source / file.relative_to(repository)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
    command = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run([sys.executable, "-m", *command], check=True, timeout=300)
    return next(folder.glob("vte_wats-*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_code_statements_dags_pools_and_examples_and_nothing_else(repository, wheel):
    with ZipFile(wheel) as packed:
        inside = {name for name in packed.namelist() if ".dist-info/" not in name}
    code = {str(path.relative_to(repository / "plugins")) for path in (repository / "plugins").rglob("*.py")}
    beside = {f"vte_wats/{path.relative_to(repository)}" for path in (repository / "dags").glob("*.py")}
    beside |= {f"vte_wats/{path.relative_to(repository)}" for path in (repository / "include").rglob("*.*")}
    page = {str(path.relative_to(repository / "plugins")) for path in (repository / "plugins").rglob("page/*")}
    mails = {str(path.relative_to(repository / "plugins")) for path in (repository / "plugins").rglob("*.j2")}
    others = {"vte_wats/py.typed", "vte_wats/survey/documented_schema.json"}
    assert inside == code | beside | page | mails | others


PROBE = """
import json
from airflow import plugins_manager
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag
import vte_wats
from vte_wats.vte.statements import statement_text

plugins, errors = plugins_manager._get_plugins()
bundle = DagBundlesManager().get_bundle("vte-wats")
bag = DagBag(str(bundle.path))
print(json.dumps({
    "package": vte_wats.__path__[0],
    "plugins": [plugin.name for plugin in plugins if plugin.name in ("vte_wats", "another")],
    "errors": {**errors, **bag.import_errors},
    "dags": sorted(bag.dags),
    "dag files": str(bundle.path),
    "statement": statement_text("select_runs")[:6],
}))
"""
START_AT = datetime(2026, 3, 2, tzinfo=UTC)
ANOTHER_PLUGIN = """
from airflow.plugins_manager import AirflowPlugin


class Another(AirflowPlugin):
    name = "another"
"""


class ExistingAirflow:
    """An Airflow with a plugin of its own, whose packages are those of these tests without the product."""

    def __init__(self, page: str, folder: Path) -> None:
        self.page, self.folder = page, folder
        venv = folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=120)
        self.packages = Path(sysconfig.get_path("purelib", vars={"base": str(venv), "platbase": str(venv)}))
        others = folder / "others"
        others.mkdir()
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if "vte_wats" not in path.name:
                (others / path.name).symlink_to(path)
        (self.packages / "others.pth").write_text(str(others))
        (folder / "plugins").mkdir()
        (folder / "plugins" / "another.py").write_text(ANOTHER_PLUGIN)
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.python = venv / "bin" / "python"
        for name, module in (("python", ""), ("airflow", "-P -m airflow"), ("pip", "-m pip")):
            program = self.bin / name
            program.write_text(f'#!/bin/sh\nexec {self.python} {module} "$@"\n')
            program.chmod(0o755)
        self.environment = {
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(folder / "plugins"),
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_NO_INDEX": "1",
            "NO_PROXY": "127.0.0.1",
        }

    def run(self, command: str, **environment: str) -> str:
        """Run a command of the shell as a person there does, and return what it says."""
        done = subprocess.run(
            ["sh", "-c", command], env=self.environment | environment, cwd=self.folder, capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        return done.stdout.strip()

    def answer(self, command: str, **environment: str) -> Any:
        """Run a command and return what its last line says in JSON."""
        return json.loads(self.run(command, **environment).rpartition("\n")[2])

    def installed(self) -> dict[str, str]:
        """Return what is installed, by name."""
        probe = (
            "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
        )
        return dict(self.answer(f"python -c '{probe}'"))


@pytest.fixture(scope="module")
def existing_airflow(repository: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> ExistingAirflow:
    """It has followed step 2b: every command and the configuration are those of the page."""
    page = (repository / "docs" / "installation.md").read_text(encoding="utf-8")
    step = page.partition("\n## 2b.")[2].partition("\n## ")[0]
    airflow = ExistingAirflow(step, tmp_path_factory.mktemp("existing"))
    before = airflow.installed()
    constraint = airflow.folder / "constraints.txt"
    constraint.write_text("".join(f"{name}=={version}\n" for name, version in before.items()))
    (airflow.folder / wheel.name).symlink_to(wheel)
    install, pools = re.findall(r"```console\n(.*?)\n```", step, re.DOTALL)
    airflow.run(install.replace("<the constraints of your Airflow>", str(constraint)))
    assert airflow.installed() == before | {"vte-wats": airflow.installed()["vte-wats"]}
    (configuration,) = re.findall(r"```ini\n(.*?)```", step, re.DOTALL)
    (airflow.folder / "airflow").mkdir()
    assert configuration.count("2026-12-01T00:00:00Z") == 1
    configuration = configuration.replace("2026-12-01T00:00:00Z", START_AT.isoformat())
    (airflow.folder / "airflow" / "airflow.cfg").write_text(configuration)
    airflow.run("airflow db migrate")
    airflow.run(pools)
    return airflow


@pytest.mark.slow
@pytest.mark.parametrize("has_plugins_folder", [False, True])
def test_an_airflow_that_exists_already_finds_dags_plugin_and_statements_once(
    repository, existing_airflow, has_plugins_folder
):
    """The wheel is all that is installed of the product, and its plugin is there once beside a folder with it."""
    folder = {"AIRFLOW__CORE__PLUGINS_FOLDER": str(repository / "plugins")} if has_plugins_folder else {}
    answer = existing_airflow.answer(f"python -c {shlex.quote(PROBE)}", **folder)
    theirs = str(existing_airflow.packages)
    assert answer["package"].startswith(theirs)
    assert answer["dag files"].startswith(theirs)
    assert answer["errors"] == {}
    assert sorted(answer["plugins"]) == (["vte_wats"] if has_plugins_folder else ["another", "vte_wats"])
    assert answer["dags"] == sorted(path.stem for path in (repository / "dags").glob("*.py"))
    assert answer["statement"] == "SELECT"


@pytest.mark.slow
def test_the_printed_command_imports_the_pools_of_the_package(repository, existing_airflow):
    there = {pool["pool"] for pool in existing_airflow.answer("airflow pools list --output json")}
    assert there >= set(json.loads((repository / "include" / "pools.json").read_text(encoding="utf-8")))


@pytest.mark.slow
def test_the_preflight_of_an_airflow_that_has_nothing_but_the_wheel_reads_vte_and_asks_wats(existing_airflow):
    plant = SandboxEnvironment()
    plant.factory_data.load(plant.db, start=START_AT, end=START_AT + timedelta(minutes=5), runs=5, steps=2)
    with plant:
        said = existing_airflow.run("airflow dags test vte_wats_preflight 2>&1", **plant.environment_variables)
    assert "WRONG" not in said
    assert "every run has a Timestamp" in said
    assert "WATS answers" in said
    assert re.search(r"Marking run <DagRun vte_wats_preflight .* successful", said)
