"""Names in the settings go into SQL text: none of them is ever more than a name."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
import sqlglot
from sqlglot import exp

from tests.unit.builders import GOOD_FACTS, a_settings, column_types
from vte_wats.config.settings import parse_settings
from vte_wats.domain.errors import FatalError
from vte_wats.domain.source import SourceIdentity
from vte_wats.preflight import examine
from vte_wats.vte.statements import statement

CLOSING = ["]; DROP TABLE [IndexData]; --", "x] FROM [Users", "a]]b", "]", "{selection}", "[dbo].[Users]"]


@pytest.mark.parametrize("name", ["100%", "%s", "%(from_0)s", "a\nb", " ", "\x00"])
@pytest.mark.parametrize(
    "answers",
    ['"source_schema": {0}', '"column_overrides": {{"IndexData": {{"table": {0}}}}}',
     '"column_overrides": {{"IndexData": {{"columns": {{"Info1": {0}}}}}}}'],
    ids=["schema", "table", "column"],
)  # fmt: skip
def test_a_name_that_the_driver_would_take_for_a_bind_is_refused(answers, name):
    text = '{"source_timezone": "Europe/Oslo", "process_map": {"*": 100}, ' + answers.format(json.dumps(name)) + "}"
    with pytest.raises(FatalError, match="must be a SQL Server identifier"):
        parse_settings(text)


@pytest.mark.parametrize("name", CLOSING)
@pytest.mark.parametrize("file", ["select_runs", "select_steps", "select_run_sizes", "select_run_times"])
def test_a_bracket_in_a_name_closes_nothing(file, name):
    settings = a_settings(
        source_schema=name, column_overrides={"IndexData": {"table": name, "columns": {"Timestamp": name}}}
    )
    (tree,) = sqlglot.parse(statement(file, settings, selection="1 = 1", ranges="1 = 1"), dialect="tsql")
    assert name in {table.name for table in tree.find_all(exp.Table)}
    assert "Users" not in {table.name for table in tree.find_all(exp.Table)}
    assert not list(tree.find_all(exp.Drop, exp.Command))


@pytest.mark.parametrize("name", CLOSING)
def test_a_bracket_in_a_name_closes_nothing_in_what_an_administrator_is_asked_to_run(name):
    settings = a_settings(source_schema=name)
    identity = SourceIdentity("PLANT-1", name, datetime(2020, 1, 1), column_types(settings))
    odd = type(GOOD_FACTS)(
        **{field: getattr(GOOD_FACTS, field) for field in GOOD_FACTS.__slots__}
        | {"indexes": (), "reads_snapshot": False}
    )
    scripts = [finding.sql for finding in examine(identity, odd, 0.0, settings) if finding.sql]
    assert len(scripts) > 5
    for script in scripts:
        assert len(sqlglot.parse(script, dialect="tsql")) == 1
        assert f"[{name.replace(']', ']]')}]" in script
