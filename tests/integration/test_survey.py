"""The survey on the emulated server: what it sees of a schema and of a factory, and what it proposes."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.unit.builders import a_settings
from vte_wats.survey.schema import Likeness, compare_schema, documented_schema
from vte_wats.vte.reader import VteSource

# A login of a real server sees the tables alone that it may read.
emulated_alone = pytest.mark.parametrize("served", ["emulated"], indirect=True)


@emulated_alone
def test_the_reference_schema_is_read_with_keys_relations_indexes_and_row_counts(hook, served, add_run):
    settings = a_settings()
    add_run(datetime(2026, 3, 2, 12), numeric=[{"TestStepNumber": 1, "TestResult": 1.0}] * 3)
    with VteSource(settings, hook) as source:
        tables = {table.name: table for table in source.schema()}
    assert set(tables) == set(documented_schema())
    assert (tables["IndexData"].rows, tables["TestDataNumeric"].rows, tables["Users"].rows) == (1, 3, 0)
    assert tables["IndexData"].key == ("Index_GUID",)
    relations = {key.columns: key.parent for key in tables["IndexData"].foreign_keys}
    assert relations[("Uut_GUID",)] == "UutData"
    for name, documented in documented_schema().items():
        found = {key.columns[0]: key.parent for key in tables[name].foreign_keys}
        assert documented.references.items() <= found.items()
    differences = [line for line in compare_schema(list(tables.values()), settings) if line.is_read]
    assert {line.likeness for line in differences} == {Likeness.SAME}
