"""What two uploads at once learn of each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from upath import UPath

from tests.unit.builders import a_natural_key, a_report, guid_of
from vte_wats.storage.in_flight_keys import InFlightKeys

NOW_AT = datetime(2026, 6, 15, 11, tzinfo=UTC)
KEY = a_natural_key(1)


@pytest.fixture
def storage(tmp_path) -> UPath:
    return UPath(tmp_path)


def claims(storage: UPath, name: str, now_at: datetime = NOW_AT) -> InFlightKeys:
    return InFlightKeys(storage, f"vte_wats_sync manual__2026-06-15T11:00:00+00:00 {name}", now_at)


def claimed(one: InFlightKeys, number: int, *, aloud: bool = True) -> set:
    return one.claim([a_report(number, natural_key=KEY)], aloud=aloud)[KEY.identity]


def test_the_second_of_two_uploads_sees_the_first(storage):
    with claims(storage, "s1") as first, claims(storage, "s2") as second:
        assert claimed(first, 1) == {guid_of(1)}
        assert claimed(second, 2) == {guid_of(1), guid_of(2)}


def test_a_claim_goes_when_its_upload_ends(storage):
    with claims(storage, "s1") as first:
        claimed(first, 1)
    with claims(storage, "s2") as second:
        assert claimed(second, 2) == {guid_of(2)}
    assert list((storage / "uploading").iterdir()) == []


def test_a_claim_grows_with_each_portion_of_one_upload(storage):
    with claims(storage, "s1") as first, claims(storage, "s2") as second:
        claimed(first, 1)
        first.claim([a_report(3)], aloud=True)
        assert claimed(first, 4) == {guid_of(1), guid_of(4)}
        assert claimed(second, 2) == {guid_of(1), guid_of(2), guid_of(4)}


def test_another_try_takes_the_claim_of_a_killed_one_over(storage):
    killed = claims(storage, "s1")
    claimed(killed, 1)
    with claims(storage, "s1") as again:
        assert claimed(again, 2) == {guid_of(2)}
    with claims(storage, "s2") as other:
        assert claimed(other, 3) == {guid_of(3)}


def test_the_claim_of_a_killed_upload_that_never_came_back_fades(storage):
    claimed(claims(storage, "s1"), 1)
    with claims(storage, "s2", NOW_AT + timedelta(hours=5)) as soon:
        assert claimed(soon, 2) == {guid_of(1), guid_of(2)}
    with claims(storage, "s3", NOW_AT + timedelta(hours=7)) as later:
        assert claimed(later, 3) == {guid_of(3)}


def test_what_is_not_claimed_aloud_is_seen_by_no_other(storage):
    with claims(storage, "s1") as first, claims(storage, "s2") as second:
        assert claimed(first, 1, aloud=False) == {guid_of(1)}
        assert claimed(second, 2) == {guid_of(2)}
        assert claimed(first, 1, aloud=False) == {guid_of(1), guid_of(2)}


@pytest.mark.parametrize("_", range(20))
def test_of_uploads_that_begin_at_the_same_moment_all_but_one_see_another(storage, _):
    number_of_uploads = 4
    barrier = Barrier(number_of_uploads)

    def upload(number: int) -> set:
        with claims(storage, f"s{number}") as own:
            barrier.wait()
            seen = claimed(own, number)
            barrier.wait()
            return seen

    with ThreadPoolExecutor(number_of_uploads) as pool:
        seen = list(pool.map(upload, range(1, number_of_uploads + 1)))
    assert sum(1 for one in seen if len(one) == 1) <= 1
