"""What WATS answers to a posted report, in the forms that servers use."""

from __future__ import annotations

import math
from uuid import UUID

import pytest

from vte_wats.wats.responses import InsertResult

SOURCE, STORED = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize("form", [lambda result: result, lambda result: [result]], ids=["object", "array of one"])
@pytest.mark.parametrize(
    ("fields", "stored_id"),
    [
        pytest.param({"ID": str(SOURCE), "uuid": str(SOURCE), "Report_ID": 7}, SOURCE, id="kept under its id"),
        pytest.param({"ID": str(SOURCE), "uuid": str(STORED), "Report_ID": 7}, STORED, id="renamed"),
        pytest.param({"ID": str(SOURCE)}, SOURCE, id="without uuid"),
        pytest.param({"ID": str(SOURCE), "uuid": None}, SOURCE, id="uuid null"),
        pytest.param({"ID": f"{{{str(SOURCE).upper()}}}"}, SOURCE, id="in braces"),
    ],
)
def test_the_id_of_the_source_and_the_id_it_is_stored_under_are_read(form, fields, stored_id):
    result = InsertResult.read(form(fields))
    assert (result.source_id, result.stored_id) == (SOURCE, stored_id)


@pytest.mark.parametrize(
    "answer",
    [
        None, "", "<html>", 7, math.nan, [], {}, [{}], [[]], [None], [[{"ID": str(SOURCE)}]],
        [{"ID": str(SOURCE)}, {"ID": str(STORED)}], {"ID": None}, {"ID": 5}, {"ID": math.nan}, {"ID": "no id"},
        {"uuid": str(SOURCE)}, {"ID": str(SOURCE), "uuid": "no id"}, {"ID": str(SOURCE), "uuid": math.nan},
    ],
    ids=repr,
)  # fmt: skip
def test_anything_else_is_no_result(answer):
    with pytest.raises(ValueError):
        InsertResult.read(answer)
