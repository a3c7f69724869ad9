"""What Airflow keeps for the tasks has one door each: Variables in ``variables.py``, XCom in ``handover.py``.

There it is typed, and what is damaged or lost is reported. Elsewhere it is allowed only by name, with a reason.
"""

from __future__ import annotations

import ast

import pytest

PACKAGE = "plugins/vte_wats"
VARIABLES = {
    "orchestration/variables.py": "the door",
    "status/access.py": "a row of Airflow's database: may this user change it",
    "status/evidence.py": "a row of Airflow's database: the settings for a hand-over, outside Airflow's processes",
    "status/settings_variable.py": "a row of Airflow's database: compare and write, in one statement",
    "status/site_reader.py": "rows of Airflow's database: all Variables with one statement; parsed by variables.py",
}
XCOM = {
    "orchestration/handover.py": "the door",
    "orchestration/task_context.py": "the name of the key of what a task returned; handover.py pulls it",
    "orchestration/transfer.py": "the address for the button Open in WATS, which no task reads",
    "orchestration/backfill_tasks.py": "a summary for people, which no task reads",
    "status/evidence.py": "rows of Airflow's database: what the tasks of a DAG run returned, for a hand-over",
    "status/site_reader.py": "rows of Airflow's database: what many DAG runs returned, with one statement",
}


def uses(source: str, of: str) -> bool:
    """Return whether the source imports Airflow's ``of`` (``Variable``, ``XCom``), or calls a task's method for it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airflow"):
            if any(of in name.name for name in node.names) or of.lower() in (node.module or "").split("."):
                return True
        elif isinstance(node, ast.Attribute) and node.attr.startswith(f"{of.lower()}_"):
            return True
    return False


@pytest.mark.parametrize(
    ("source", "of"),
    [
        ("from airflow.sdk import Variable", "Variable"),
        ("from airflow.models.variable import Variable as Kept", "Variable"),
        ("def f():\n    from airflow.models.xcom import XComModel", "XCom"),
        ("context['ti'].xcom_pull(task_ids='plan')", "XCom"),
        ("ti.xcom_push(key='a', value=1)", "XCom"),
    ],
)
def test_each_way_to_use_them_is_found(source, of):
    assert uses(source, of)


@pytest.mark.parametrize(("of", "allowed"), [("Variable", VARIABLES), ("XCom", XCOM)])
def test_variables_and_xcom_are_used_only_where_it_is_allowed(repository, of, allowed):
    sources = [*(repository / PACKAGE).rglob("*.py"), *(repository / "dags").glob("*.py")]
    assert len(sources) > 100
    found = {
        str(path.relative_to(repository / PACKAGE if path.is_relative_to(repository / PACKAGE) else repository))
        for path in sources
        if uses(path.read_text(encoding="utf-8"), of)
    }
    assert found == set(allowed)
