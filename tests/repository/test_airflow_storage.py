"""What Airflow keeps for the tasks has one door each: Variables in ``variables.py``, XCom in ``handover.py``.

There it is typed, and what is damaged or lost is reported. Elsewhere it is allowed only by name, with a reason.
"""

from __future__ import annotations

import ast

import pytest

PACKAGE = "plugins/vte_wats"
VARIABLES = {
    "orchestration/variables.py": "the door",
    "status/access.py": "no value: which team owns it, for the question whether this user may change it",
    "status/settings_variable.py": "a row of Airflow's database: compare and write, in one statement",
    "status/site_reader.py": "rows of Airflow's database: all Variables with one statement; parsed by variables.py",
}
XCOM = {
    "orchestration/handover.py": "the door",
    "status/evidence.py": "rows of Airflow's database: what the tasks of a DAG run returned, for a hand-over",
    "status/site_reader.py": "rows of Airflow's database: what many DAG runs returned, with one statement",
}


def uses(source: str, of: str) -> bool:
    """Return whether the source imports Airflow's ``of`` (``Variable``, ``XCom``), or names a task's method for it."""
    return any(_uses(node, of) for node in ast.walk(ast.parse(source)))


def _uses(node: ast.AST, of: str) -> bool:
    match node:
        case ast.ImportFrom(module=str(module), names=names) if module.startswith("airflow"):
            return any(of in name.name for name in names) or of.lower() in module.split(".")
        case ast.Import(names=names):
            return any(name.name.startswith("airflow.") and of.lower() in name.name.split(".") for name in names)
        case ast.Attribute(attr=name) | ast.Constant(value=str(name)):
            is_attribute = isinstance(node, ast.Attribute)
            return (is_attribute and name == of) or name in (f"{of.lower()}_pull", f"{of.lower()}_push")
    return False


@pytest.mark.parametrize(
    ("source", "of"),
    [
        ("from airflow.sdk import Variable", "Variable"),
        ("from airflow.models.variable import Variable as Kept", "Variable"),
        ("def f():\n    from airflow.models.xcom import XComModel", "XCom"),
        ("context['ti'].xcom_pull(task_ids='plan')", "XCom"),
        ("ti.xcom_push(key='a', value=1)", "XCom"),
        ("import airflow.models.xcom", "XCom"),
        ("import airflow.sdk as sdk\nsdk.Variable.get('a')", "Variable"),
        ("getattr(ti, 'xcom_pull')(task_ids='plan')", "XCom"),
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
