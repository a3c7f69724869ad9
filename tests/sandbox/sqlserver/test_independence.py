"""The emulator can be taken out of this repository as it is."""

import sys
import tomllib

import grimp
import pytest

PACKAGE = "sandbox.sqlserver"
LIBRARIES = {"duckdb", "pyarrow", "sqlglot"}


@pytest.fixture(scope="module")
def imports():
    """Every import of the emulator: (importer, imported)."""
    graph = grimp.build_graph("sandbox", include_external_packages=True, cache_dir=None)
    modules = {PACKAGE} | graph.find_descendants(PACKAGE)
    return {(module, found) for module in modules for found in graph.find_modules_directly_imported_by(module)}


def test_it_imports_itself_the_standard_library_and_three_others(imports):
    outside = {found for _, found in imports if not found.startswith(f"{PACKAGE}.")}
    assert outside - set(sys.stdlib_module_names) == LIBRARIES


def test_its_import_contract_names_all_the_rest_of_the_sandbox(repository):
    settings = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "forbidden" and contract["source_modules"] == [PACKAGE]
    )
    rest = grimp.build_graph("sandbox", cache_dir=None).find_children("sandbox") - {PACKAGE}
    assert set(contract["forbidden_modules"]) == rest | {"vte_wats"}


def test_the_wire_and_t_sql_do_not_know_each_other(imports):
    crossing = [
        (importer, found)
        for importer, found in imports
        if {"protocol", "tsql"} <= {importer.split(".")[2], (found.split(".") + [""] * 3)[2]}
    ]
    assert crossing == []


def test_its_text_does_not_mention_the_product(repository):
    files = [*(repository / "sandbox/sqlserver").rglob("*.py"), repository / "sandbox/sqlserver/README.md"]
    assert [file.name for file in files if "vte" in file.read_text(encoding="utf-8").lower()] == []
