from __future__ import annotations

import math
from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.documented_run import documented_run
from tests.unit.builders import a_run, guid_of
from tests.unit.mapping_builders import a_number
from vte_wats.domain.run import StepKind, VteProduct, VteStepResult, VteTestplan, VteTestRun, is_comparable, run_hash

# What SQL Server can hand out: any text of whole characters, any 64-bit number that is one.
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.none() | st.floats(allow_nan=False)
whole = st.none() | st.integers(-(2**31), 2**31 - 1)
guids = st.none() | st.uuids()

steps = st.builds(
    VteStepResult,
    kind=st.sampled_from(StepKind),
    step_number=whole,
    test_name=texts,
    test_description=texts,
    test_number=texts,
    units=texts,
    numeric_value=numbers,
    text_value=texts,
    bytes_value=st.none() | st.binary(max_size=50),
    low_limit=numbers,
    high_limit=numbers,
    result_code=whole,
)
runs = st.builds(
    VteTestRun,
    index_guid=st.uuids(),
    timestamp_local=st.datetimes(datetime(1753, 1, 1), datetime(9999, 12, 31)),
    result_code=whole,
    exit_code=whole,
    test_time_s=numbers,
    serial=texts,
    product=st.builds(VteProduct, product_guid=guids, name=texts, master_name=texts),
    testplan=st.builds(VteTestplan, testplan_guid=guids, name=texts, variant=texts, revision=texts),
    testsystem_guid=guids,
    hostname=texts,
    site_name=texts,
    operator=texts,
    info1=texts,
    steps=st.lists(steps, max_size=4).map(tuple),
)


@given(runs)
@settings(max_examples=150, deadline=None)
def test_any_run_comes_back_equal_from_json_in_a_single_line(run):
    line = run.model_dump_json()
    assert "\n" not in line
    assert VteTestRun.model_validate_json(line) == run


def test_not_a_number_comes_back_as_such():
    step = VteStepResult(kind=StepKind.NUMERIC, numeric_value=math.nan, low_limit=-math.inf, high_limit=math.inf)
    again = VteStepResult.model_validate_json(step.model_dump_json())
    assert math.isnan(again.numeric_value)
    assert (again.low_limit, again.high_limit) == (-math.inf, math.inf)


@pytest.mark.parametrize("number", [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 9.91e37], ids=repr)
def test_floats_keep_every_bit(number):
    step = VteStepResult(kind=StepKind.NUMERIC, numeric_value=number)
    assert repr(VteStepResult.model_validate_json(step.model_dump_json()).numeric_value) == repr(number)


@pytest.mark.parametrize(
    ("step", "value"),
    [
        pytest.param(VteStepResult(kind="numeric", numeric_value=0.0), 0.0, id="number"),
        pytest.param(VteStepResult(kind="numeric"), None, id="null-number"),
        pytest.param(VteStepResult(kind="text", text_value=""), "", id="empty-text"),
        pytest.param(VteStepResult(kind="other", bytes_value=b"\xff"), b"\xff", id="bytes"),
        pytest.param(VteStepResult(kind="other", text_value="<x/>"), "<x/>", id="other-as-text"),
        pytest.param(VteStepResult(kind="other"), None, id="null-other"),
    ],
)
def test_a_step_has_the_one_value_of_its_row(step, value):
    assert step.value == value


def test_numbers_in_text_columns_become_text():
    assert VteStepResult(kind="text", test_number=7, text_value=1.5).test_number == "7"


def test_a_run_cannot_be_changed_and_takes_no_unknown_field():
    with pytest.raises(ValidationError, match="frozen"):
        a_run().serial = "other"
    with pytest.raises(ValidationError, match="Extra inputs"):
        VteTestRun(index_guid=guid_of(1), timestamp_local=datetime(2026, 1, 1), colour="red")


def test_a_run_names_itself_without_its_steps():
    run = a_run(steps=(VteStepResult(kind="text", text_value="secret-looking"),) * 2)
    for text in (str(run), repr(run), f"{[run]}"):
        assert str(UUID(int=1)) in text
        assert "'SN-1'" in text
        assert "2 steps" in text
        assert "secret-looking" not in text


def test_the_hash_of_a_run_is_the_same_in_each_version_of_one_format():
    """Where it is another one, what is read or how it is written changed: raise the number of the format with it."""
    assert run_hash(documented_run()) == "1:0fcaff7bac79c93c"


@pytest.mark.parametrize(
    "changed",
    [{"info1": "x"}, {"steps": (a_number(),)}, {"product": VteProduct(name="PN-1", master_name="x")}],
    ids=lambda fields: next(iter(fields)),
)
def test_whatever_changes_in_vte_changes_the_hash(changed):
    assert run_hash(a_run(**changed)) != run_hash(a_run())


def test_what_a_setting_decides_when_a_run_is_read_does_not_change_the_hash():
    assert run_hash(a_run(operator="Kari")) == run_hash(a_run(operator="op-0123456789abcdef"))


@pytest.mark.parametrize("operator", [None, "", "Kari", 'Ø "K" \\ \u2028\n\x00', ',"operator":"x"'])
def test_the_text_of_a_run_has_the_hash_of_the_run_without_its_operator(operator):
    texts = {"hostname": ',"operator":"Kari"', "info1": '","operator":"Kari'}
    unnamed, named = a_run(operator=None, **texts), a_run(operator=operator, **texts)
    assert run_hash(named, named.as_json()) == run_hash(named) == run_hash(unnamed)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("1:a", "1:b", True), ("1:a", "2:a", False), (None, "1:a", False), ("1:a", None, False), (None, None, False)],
)
def test_hashes_of_one_format_alone_are_comparable(one, other, expected):
    assert is_comparable(one, other) is expected
