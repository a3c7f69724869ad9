from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import vte_wats.orchestration.backfill_tasks as backfill_tasks
import vte_wats.orchestration.sync_tasks as sync_tasks
import vte_wats.orchestration.transfer as transfer

START = "from airflow.listeners.listener import get_listener_manager; get_listener_manager().hook.on_starting(component=None)"
BROKEN = "import sys; sys.modules['pymssql'] = None"
STORAGE_OF_BUCKETS = {  # where its provider is installed
    "airflow.providers.amazon.aws.fs.s3"
    for package in distributions()
    if package.name == "apache-airflow-providers-amazon"
}
LOADED = "import sys; print(*sys.modules, sep='\\n')"


def modules_after(*statements: str) -> set[str]:
    found = subprocess.run([sys.executable, "-c", "\n".join(statements)], capture_output=True, text=True, check=True)
    return set(found.stdout.splitlines())


def imported_in_bodies(module) -> set[str]:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    bodies = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    imports = [node for body in bodies for node in ast.walk(body) if isinstance(node, ast.ImportFrom)]
    return {node.module for node in imports if node.module}


def test_a_component_that_starts_loads_what_the_tasks_of_a_transfer_import():
    loaded = modules_after(START, LOADED)
    wanted = imported_in_bodies(transfer) | imported_in_bodies(sync_tasks) | imported_in_bodies(backfill_tasks)
    assert len(wanted) > 20
    assert wanted | {"pywats", "pymssql", "httpx"} | STORAGE_OF_BUCKETS <= loaded


def test_the_plugin_alone_loads_neither_drivers_nor_pywats():
    loaded = modules_after("import vte_wats_plugin", LOADED)
    assert not {"pywats", "pymssql"} & loaded


def test_a_component_starts_although_a_library_cannot_be_loaded():
    loaded = modules_after(BROKEN, START, LOADED)
    assert "vte_wats.orchestration.preload" in loaded
    assert "vte_wats.wats.client" not in loaded
