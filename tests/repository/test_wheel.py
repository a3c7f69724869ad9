"""The wheel: what is in it, what it asks for, and that an Airflow which exists already finds all of it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
import json, sys
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
    "plugins": [plugin.name for plugin in plugins if plugin.name == "vte_wats"],
    "errors": {**errors, **bag.import_errors},
    "dags": sorted(bag.dags),
    "dag files": str(bundle.path),
    "statement": statement_text("select_runs")[:6],
}))
"""
BUNDLES = [
    {"name": "dags-folder", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {}},
    {"name": "vte-wats", "classpath": "vte_wats.orchestration.dag_bundle.VteWatsDagBundle", "kwargs": {}},
]


@pytest.mark.slow
@pytest.mark.parametrize("has_plugins_folder", [False, True])
def test_an_airflow_that_exists_already_finds_dags_plugin_and_statements_once(
    repository, wheel, tmp_path, has_plugins_folder
):
    """Its environment is this one's, without the repository: the wheel is all that is installed of the product."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=120)
    theirs = Path(sysconfig.get_path("purelib", vars={"base": str(venv), "platbase": str(venv)}))
    target = ["--no-deps", "--no-index", "--target", str(theirs), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *target], check=True, timeout=300)
    others = tmp_path / "others"
    others.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "vte_wats" not in path.name:
            (others / path.name).symlink_to(path)
    (theirs / "others.pth").write_text(str(others))
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "another.py").write_text(
        "from airflow.plugins_manager import AirflowPlugin\n\n\nclass Another(AirflowPlugin):\n    name = 'another'\n"
    )
    folder = repository / "plugins" if has_plugins_folder else plugins
    environment = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(folder),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(BUNDLES),
        "AIRFLOW__VTE_WATS__START_DATE": "2026-03-02T00:00:00Z",
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [str(venv / "bin" / "python"), "-c", PROBE], env=environment, cwd=tmp_path, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    assert answer["package"].startswith(str(theirs))
    assert answer["dag files"].startswith(str(theirs))
    assert answer["errors"] == {}
    assert answer["plugins"] == ["vte_wats"]
    assert answer["dags"] == sorted(path.stem for path in (repository / "dags").glob("*.py"))
    assert answer["statement"] == "SELECT"
