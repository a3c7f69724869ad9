"""The OData texts WATS is asked with."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vte_wats.domain.report import NaturalKey
from vte_wats.wats import queries
from vte_wats.wats.wats_connection import GuidQuoting

START = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)


def encoded_length(query):
    return len(httpx.Request("GET", "http://wats/api", params=dict(query)).url.query)


@pytest.mark.parametrize("form", queries.id_forms(GuidQuoting.AUTO), ids=lambda form: form.quoting)
def test_a_full_batch_of_ids_fits_what_iis_accepts(form):
    ids = [uuid.uuid4() for _ in range(form.max_ids)]
    query = queries.headers_by_id(form, ids)
    assert encoded_length(query) <= queries.QUERY_LIMIT
    assert query["$top"] == str(form.max_ids)
    assert all(str(report_id) in query["$filter"] for report_id in ids)


def test_ids_are_asked_for_bare_then_quoted_then_in_short_or_chains():
    one, other = uuid.UUID(int=1), uuid.UUID(int=2)
    bare, quoted, chain = queries.id_forms(GuidQuoting.AUTO)
    assert bare.condition([one, other]) == f"uuid in ({one},{other})"
    assert quoted.condition([one, other]) == f"uuid in ('{one}','{other}')"
    assert chain.condition([one, other]) == f"uuid eq {one} or uuid eq {other}"
    assert chain.max_ids <= 15


@pytest.mark.parametrize("quoting", [GuidQuoting.BARE, GuidQuoting.QUOTED, GuidQuoting.OR_CHAIN])
def test_a_site_can_fix_the_form(quoting):
    assert [form.quoting for form in queries.id_forms(quoting)] == [quoting]


def test_serials_are_asked_for_with_their_apostrophes_doubled_within_the_span_of_the_starts():
    late = NaturalKey("B", "P", 10, (START + timedelta(minutes=5)).astimezone(timezone(timedelta(hours=5, minutes=30))))
    query = queries.headers_by_serials([NaturalKey("O'Hara", "P", 10, START), late, NaturalKey("B", "Q", 10, START)])
    assert query["$filter"] == (
        "serialNumber in ('O''Hara','B') and start ge 2026-11-23T11:59:59Z and start le 2026-11-23T12:05:02Z"
    )
    assert (query["$top"], query["$orderby"]) == (str(queries.PAGE), "uuid")


keys = st.builds(
    NaturalKey,
    serial=st.text(max_size=100),
    part_number=st.text(max_size=100),
    process_code=st.integers(0, 32_767),
    start_at=st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),
)


@given(st.lists(keys, max_size=60))
def test_batchs_hold_every_key_once_and_fit(all_keys):
    batchs = list(queries.batches_of_keys(all_keys))
    assert sorted(map(repr, all_keys)) == sorted(repr(key) for batch in batchs for key in batch)
    for batch in batchs:
        assert len(batch) == 1 or queries.fits(queries.page(queries.headers_by_serials(batch), 10 * queries.PAGE))


def test_many_keys_are_cut_into_batchs_of_neighbours_in_time():
    many = [NaturalKey(f"SERIAL-{n:012}", "P", 10, START + timedelta(seconds=n)) for n in range(300)]
    batchs = list(queries.batches_of_keys(many[::-1]))
    assert [key for batch in batchs for key in batch] == many
    assert 3 < len(batchs) < 10
    assert all(encoded_length(queries.headers_by_serials(batch)) <= queries.QUERY_LIMIT for batch in batchs)


@given(keys)
def test_a_key_asked_for_by_start_always_fits(key):
    assert queries.fits(queries.page(queries.headers_by_start(key), 10 * queries.PAGE))


@given(st.lists(keys, min_size=1, max_size=5))
def test_the_length_that_is_checked_is_the_length_that_is_sent(some):
    query = queries.headers_by_serials(
        [key for key in some if key.serial.isprintable()] or [NaturalKey("x", "y", 1, START)]
    )
    assert queries.fits(query) == (encoded_length(query) <= queries.QUERY_LIMIT)
