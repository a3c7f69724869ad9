"""The WATS hook against a WATS on a socket: what it finds, what it posts, and every way it fails."""

import bisect
import contextlib
import functools
import inspect
import itertools
import json
import logging
import math
import socket
import ssl
import threading
import time
import traceback
import uuid
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.metadata import version
from itertools import pairwise

import httpx
import pytest
from airflow.models.connection import Connection
from airflow.utils.strings import get_random_string
from pywats.core.async_client import AsyncHttpClient

from sandbox.wats.profiles import REPORTED
from sandbox.wats.wats_faults import Fault, FaultKind
from sandbox.wats.wats_server import WatsServer
from tests.certificates import DEFECTS, of_a_private_authority, self_signed
from tests.wats_profiles import every_wats
from vte_wats.config.settings import ExistenceCheck
from vte_wats.domain.errors import FatalError, RejectedError, RetriableError
from vte_wats.domain.report import KeyHit, NaturalKey, Report
from vte_wats.intervals.interval import Interval
from vte_wats.messages import VW545
from vte_wats.wats import response_errors
from vte_wats.wats.client import WatsSession
from vte_wats.wats.hook import WatsHook
from vte_wats.wats.queries import PAGE
from vte_wats.wats.rate_limiter import BudgetUsage
from vte_wats.wats.transport import PlainHttpClient
from vte_wats.wats.wats_connection import WatsConnection

START = datetime(2026, 3, 2, 6, 0, 0, 123_000, tzinfo=UTC)
POST = "/api/Report/WSJF"
QUERY = "/api/Report/Query/Header"
_numbers = itertools.count(1)


@pytest.fixture
def wats(wats_profile):
    with WatsServer(profile=wats_profile, password="a secret of its own") as server:
        yield server


def connected(wats, **options):
    """Return a connection without a noticeable budget and with one try, unless asked for otherwise."""
    extra = {"requests_per_minute": 1_000_000, "concurrent_tasks": 1, "attempts": 1, "timeout_s": 60} | options
    return WatsConnection.parse(
        "wats_default", host=wats.url, port=None, login=None, password=wats.token, extra=json.dumps(extra)
    )


def opened(wats, existence_check=ExistenceCheck.UUID, budget_store=None, window_s=60.0, **options):
    return WatsSession(
        connected(wats, **options), existence_check, budget_store, first_backoff_s=0.01, window_s=window_s
    )


def known_by(wats):
    """Return how a site must look for reports in this WATS."""
    return ExistenceCheck.SOURCE_ID if wats.profile.renames_reports else ExistenceCheck.UUID


@pytest.fixture
def hook(wats, monkeypatch):
    """The hook as a task makes it, over the connection Airflow finds in the environment."""
    extra = {"requests_per_minute": 1_000_000, "attempts": 1}
    fields = {"conn_type": "wats", "host": wats.url, "password": wats.token, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_WATS_DEFAULT", json.dumps(fields))
    return WatsHook()


def a_report(serial=None, start_at=START, *, part="PSU-100", report_id=None, sent_id=None, source_hash="aa11", **more):
    """Build a report; ``sent_id`` stands in the body instead of the id of the run, and ``more`` fields beside the others."""
    report_id = report_id or uuid.uuid4()
    serial = serial or f"SN-{next(_numbers):05}"
    body = {
        "type": "T",
        "id": str(sent_id or report_id),
        "pn": part,
        "sn": serial,
        "rev": "A",
        "processCode": 100,
        "result": "P",
        "machineName": "station-1",
        "location": "Oslo",
        "purpose": "Production",
        "start": start_at.isoformat(),
        "startUTC": start_at.isoformat(),
        "uut": {"user": ""},
        "root": {
            "id": 0,
            "group": "M",
            "stepType": "SequenceCall",
            "name": "MainSequence Callback",
            "status": "P",
            "seqCall": {"path": "p", "name": "n", "version": "1"},
            "steps": [],
        },
        "miscInfos": [
            {"description": "source_id", "text": f"VTE:{report_id}"},
            {"description": "source_hash", "text": source_hash},
        ],
    } | more
    return Report(report_id, source_hash, NaturalKey(serial, part, 100, start_at), "P", json.dumps(body).encode())


def posts(wats):
    return wats.log.find("POST", POST)


def only(submissions):
    (submission,) = submissions
    return submission


# --------------------------------------------------------------------------------------------------------- finding
def test_only_test_operations_are_process_codes(hook):
    with hook.session() as session:
        codes = session.process_codes()
    assert 100 in codes
    assert 500 not in codes


def test_a_list_of_processes_without_any_is_not_an_answer_of_wats(wats, hook):
    wats.store.processes = []
    with hook.session() as session, pytest.raises(RetriableError, match="other content"):
        session.process_codes()


def test_a_hundred_reports_are_all_found_although_wats_returns_ten_unasked(wats, hook):
    reports = [a_report(source_hash=f"hash{n}") for n in range(100)]
    with hook.session() as session:
        list(session.submit(reports[:60]))
        list(session.submit(reports[:5]))
        wats.show_all()
        found = session.find_reports([report.report_id for report in reports])
    assert {stored.report_id: stored.source_hash for stored in found.values()} == {
        report.report_id: report.source_hash for report in reports[:60]
    }
    received = wats.store.receive_counts()
    assert [received[str(report.report_id)] for report in reports[4:6]] == [2, 1]
    assert len(wats.log.find("GET", QUERY)) == 2


@every_wats()
def test_a_report_is_found_as_soon_as_wats_shows_it_although_it_was_absent_before(wats):
    report = a_report()
    with opened(wats, known_by(wats)) as session:
        assert session.find_reports([report.report_id]) == {}
        list(session.submit([report]))
        wats.show_all()
        assert list(session.find_reports([report.report_id, report.report_id])) == [report.report_id]


def test_ids_and_natural_keys_are_asked_for_side_by_side(wats, hook):
    reports = [a_report() for _ in range(180)]
    with hook.session() as session:
        list(session.submit(reports[100:]))
    wats.show_all()
    wats.latency_s = 0.2
    with hook.session() as session:
        assert len(session.find_reports([report.report_id for report in reports])) == 80
        assert len(session._sender.transport._clients) == 3  # of four requests, the first alone
    with hook.session() as session:
        assert len(session.find_natural_keys([report.natural_key for report in reports])) == 80
        assert len(session._sender.transport._clients) > 1


def test_asking_for_nothing_sends_nothing(wats, hook):
    with hook.session() as session:
        assert session.find_reports([]) == {}
        assert session.find_natural_keys([]) == {}
        assert list(session.submit([])) == []
    assert wats.log.total == 0


@pytest.mark.parametrize(
    ("refused", "queries"),
    [("uuid in (0", 3 + 1 + 2), ("uuid in (", 1 + 1 + 2 * 6)],
    ids=["quoted instead", "or-chains instead"],
)
def test_the_form_of_ids_a_server_understands_is_found_once_and_kept(refused, queries):
    ids = [uuid.UUID(int=n) for n in range(1, 81)]  # written bare, each starts with a zero
    with WatsServer(profile=REPORTED.but(guid_form="both", shown_after_s=0)) as wats, opened(wats) as session:
        report = a_report(report_id=ids[77])
        list(session.submit([report]))
        wats.faults.add(Fault(FaultKind.STATUS, status=400, path=refused))
        assert list(session.find_reports(ids)) == [ids[77]]
        assert list(session.find_reports(ids)) == [ids[77]]
        assert len(wats.log.find("GET", QUERY)) <= queries
        assert len(wats.log.find("GET", QUERY, status=400)) == (1 if "0" in refused else 2)


def test_a_server_that_takes_only_quoted_ids_is_served():
    report = a_report()
    with WatsServer(profile=REPORTED.but(guid_form="quoted", shown_after_s=0)) as wats, opened(wats) as session:
        list(session.submit([report]))
        assert list(session.find_reports([report.report_id])) == [report.report_id]


def test_a_server_that_understands_no_form_is_fatal(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=400, path=QUERY))
    with opened(wats) as session, pytest.raises(FatalError, match="guid_quoting"):
        session.find_reports([uuid.uuid4()])


def test_by_source_id_a_report_is_found_that_wats_keeps_under_another_id(wats, hook):
    renamed, absent, kept = (a_report(sent_id=uuid.uuid4(), source_hash="bb22"), a_report(), a_report())
    for report in (renamed, kept, a_report()):
        wats.store.receive(report.body.encode())
    wats.show_all()
    ids = [report.report_id for report in (renamed, absent, kept)]
    with hook.session("source_id") as session:
        found = session.find_reports(ids)
    assert found.keys() == {renamed.report_id, kept.report_id}
    assert found[renamed.report_id].source_hash == "bb22"
    with hook.session("uuid") as session:
        assert session.find_reports(ids).keys() == {kept.report_id}


@pytest.mark.parametrize("later", [-1, 1], ids=["copy first", "copy last"])
def test_by_source_id_the_report_under_the_id_of_the_run_counts_before_a_copy(wats, later):
    own = a_report(source_hash="own")
    copy = a_report(start_at=START + timedelta(hours=later), report_id=own.report_id, sent_id=uuid.uuid4())
    for report in (own, copy):
        wats.store.receive(report.body.encode())
    wats.show_all()
    with opened(wats, ExistenceCheck.SOURCE_ID) as session:
        assert session.find_reports([own.report_id])[own.report_id].source_hash == "own"


def test_by_source_id_a_server_that_ignores_the_value_does_not_mislead(wats):
    stored, absent = a_report(), a_report()
    wats.store.receive(stored.body.encode())
    wats.show_all()
    everything = [{"uuid": str(stored.report_id), "serialNumber": "x"}]
    wats.faults.add(Fault(FaultKind.JSON_200, path="HeaderByMiscInfo", json=everything))
    with opened(wats, ExistenceCheck.SOURCE_ID) as session:
        assert session.find_reports([absent.report_id, stored.report_id]).keys() == {stored.report_id}
        assert session.find_reports([absent.report_id]) == {}


AWKWARD = [
    "O'Hara",
    "''",
    "a+b & c=d",
    "100%",
    "Größe Ω 測試 🙂",
    'say "x"',
    "<b>",
    "x;y#z",
    " and serialNumber eq 'z",
    "x" * 100,
]


@every_wats()
@pytest.mark.parametrize("by_start_only", [False, True], ids=["by serial", "by start where that is refused"])
def test_natural_keys_are_found_whatever_the_serial_holds(wats, by_start_only):
    reports = [a_report(serial, START + timedelta(seconds=n)) for n, serial in enumerate(AWKWARD)]
    for report in reports:
        wats.store.receive(report.body.encode())
    wats.show_all()
    if by_start_only:
        wats.profile = wats.profile.but(range_listing="taken")
        wats.faults.add(Fault(FaultKind.STATUS, status=400, path="serialNumber in"))
    with opened(wats) as session:
        found = session.find_natural_keys([report.natural_key for report in reports])
    assert found == {report.natural_key: (KeyHit(report.report_id),) for report in reports}


@every_wats()
def test_a_natural_key_is_equal_only_in_all_of_its_parts(wats):
    earlier = a_report("SN1")
    wats.store.receive(earlier.body.encode())
    wats.show_all()
    key = earlier.natural_key
    others = [
        NaturalKey("SN2", key.part_number, key.process_code, key.start_at),
        NaturalKey(key.serial, "other", key.process_code, key.start_at),
        NaturalKey(key.serial, key.part_number, 10, key.start_at),
        NaturalKey(key.serial, key.part_number, key.process_code, key.start_at + timedelta(milliseconds=1)),
    ]
    with opened(wats) as session:
        found = session.find_natural_keys([*others, key])
    assert found == {
        others[-1]: (KeyHit(earlier.report_id, is_exact=False),),
        key: (KeyHit(earlier.report_id, is_exact=True),),
    }


@every_wats()
def test_natural_keys_beyond_one_page_are_found(wats):
    reports = [a_report("RETESTED", START + timedelta(seconds=n)) for n in range(PAGE + 40)]
    for report in reports:
        wats.store.receive(report.body.encode())
    wats.show_all()
    with opened(wats) as session:
        found = session.find_natural_keys([report.natural_key for report in reports])
    assert found == {report.natural_key: (KeyHit(report.report_id),) for report in reports}
    assert len(wats.log.find("GET", QUERY)) == 2


@pytest.mark.parametrize(
    "fields", [{"start": "yesterday"}, {"code": math.nan, "uuid": math.nan, "start": math.nan}], ids=["absent", "NaN"]
)
def test_an_answer_without_the_documented_fields_is_retriable(wats, fields):
    wats.faults.add(Fault(FaultKind.JSON_200, path="/api/", json=[{"isTestOperation": True, **fields}]))
    with opened(wats) as session:
        for call in (
            session.process_codes,
            lambda: session.find_reports([uuid.uuid4()]),
            lambda: session.find_natural_keys([a_report().natural_key]),
        ):
            with pytest.raises(RetriableError, match="not what WATS answers"):
                call()


# ------------------------------------------------------------------------------------------------------ submitting
@every_wats()
def test_every_report_gets_one_submission_and_a_rejected_one_stops_nothing(wats):
    reports = [a_report() for _ in range(30)]
    bad = [a_report(root=[]), a_report(root=[])]
    with opened(wats, known_by(wats)) as session:
        submissions = list(session.submit([*reports[:15], *bad, *reports[15:]]))
    assert sorted(submission.report.report_id for submission in submissions) == sorted(
        report.report_id for report in [*reports, *bad]
    )
    failed = [submission for submission in submissions if submission.error is not None]
    errors = {submission.report.report_id: submission.error for submission in failed}
    assert errors.keys() == {report.report_id for report in bad}
    assert len(wats.store) == 30


def test_reports_rejected_for_one_rule_have_one_signature_although_wats_names_their_values(wats):
    with opened(wats) as session:
        submissions = list(session.submit(a_report(serial=character * 101) for character in "xy"))
    assert len({submission.error.signature for submission in submissions}) == 1


def test_reports_are_drawn_only_as_connections_become_free(wats):
    drawn = 0

    def endless():
        nonlocal drawn
        while True:
            drawn += 1
            yield a_report()

    with opened(wats, concurrency=4) as session:
        submissions = session.submit(endless())
        for received in range(1, 40):
            next(submissions)
            assert drawn <= received + 2 * 4
        submissions.close()
    assert len(posts(wats)) <= 40 + 2 * 4


def test_requests_go_out_side_by_side_but_never_more_than_allowed(wats):
    wats.latency_s = 0.1
    with opened(wats, concurrency=5) as session:
        list(session.submit([a_report() for _ in range(20)]))
    arrivals = [request.at.timestamp() for request in posts(wats)]
    together = [sum(at - 0.09 < earlier <= at for earlier in arrivals) for at in arrivals]  # none is answered sooner
    assert 2 <= max(together) <= 5


@every_wats()
@pytest.mark.parametrize(
    "kind",
    [FaultKind.STORE_THEN_RESET, FaultKind.STORE_THEN_STATUS, FaultKind.STORE_THEN_TIMEOUT, FaultKind.RESET_INSIDE],
)
def test_a_report_whose_answer_was_lost_is_sent_again_and_stored_once(wats, kind):
    wats.faults.add(Fault(kind, path=POST, times=1))
    report = a_report()
    with opened(wats, known_by(wats), attempts=3, timeout_s=1) as session:
        assert only(session.submit([report])).error is None
    assert list(wats.store.receive_counts().values()) == [2]


@every_wats()
def test_a_report_is_posted_once_and_confirmed_however_wats_answers(wats):
    reports = [a_report() for _ in range(40)]
    with opened(wats, known_by(wats), attempts=3, concurrency=4) as session:
        assert [submission.error for submission in session.submit(reports)] == [None] * 40
    assert list(wats.store.receive_counts().values()) == [1] * 40


def test_by_source_id_a_report_that_keeps_its_id_is_posted_once_and_confirmed(wats):
    report = a_report()
    with opened(wats, ExistenceCheck.SOURCE_ID, attempts=3) as session:
        assert only(session.submit([report])).error is None
    assert wats.store.receive_counts() == {str(report.report_id): 1}


@every_wats()
def test_a_report_beyond_what_wats_takes_is_about_that_report_alone(wats):
    wats.profile = wats.profile.but(max_body_bytes=20_000)
    reports = [a_report() for _ in range(10)]
    large = a_report(note="x" * 20_000)
    with opened(wats, known_by(wats), concurrency=1) as session:
        submissions = list(session.submit([*reports[:5], large, *reports[5:]]))
    (refused,) = [submission for submission in submissions if submission.error is not None]
    assert refused.report.report_id == large.report_id
    assert isinstance(refused.error, RejectedError)
    assert len(wats.store) == 10


PAGES = (302, 400, 401, 403, 404, 409, 413, 422, 503)


@pytest.mark.parametrize("status", PAGES)
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("has_posted", [True, False])
def test_a_maintenance_page_in_front_of_a_wats_that_worked_passes(wats, status, times, has_posted):
    """It may end between a post and the version."""
    with opened(wats, attempts=4) as session:
        session.version()
        if has_posted:
            assert only(session.submit([a_report()])).error is None
        wats.faults.add(Fault(FaultKind.MAINTENANCE, status=status, times=times))
        assert only(session.submit([a_report()])).error is None


@pytest.mark.parametrize("status", PAGES)
def test_a_page_instead_of_every_other_post_is_no_reason_to_refuse_a_report(wats, status):
    with opened(wats, attempts=2) as session:
        session.version()
        for _ in range(4):
            wats.faults.add(Fault(FaultKind.MAINTENANCE, status=status, path=POST, times=1))
            assert only(session.submit([a_report()])).error is None


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_a_page_that_comes_again_for_a_report_while_wats_answers_is_about_that_report(wats, status):
    with opened(wats, attempts=3) as session:
        assert only(session.submit([a_report()])).error is None
        page = wats.faults.add(Fault(FaultKind.MAINTENANCE, status=status, path=POST))
        error = only(session.submit([a_report()])).error
        wats.faults.remove(page)
        assert only(session.submit([a_report()])).error is None
    assert (type(error), error.code, error.signature) == (RejectedError, "VW347", f"wats: HTTP {status}")
    assert len(posts(wats)) == 4


@pytest.mark.parametrize("status", [302, 401, 403])
def test_a_page_that_is_not_about_a_report_is_an_outage_where_posting_worked(wats, status):
    with opened(wats) as session:
        assert only(session.submit([a_report()])).error is None
        wats.faults.add(Fault(FaultKind.MAINTENANCE, status=status, path=POST))
        assert only(session.submit([a_report()])).error.code == "VW342"


@pytest.mark.parametrize("status", PAGES)
@pytest.mark.parametrize("times", [1, 2])
def test_a_maintenance_page_instead_of_an_answer_to_a_question_passes(wats, status, times):
    wats.profile = wats.profile.but(shown_after_s=0)
    report = a_report()
    with opened(wats, attempts=4) as session:
        assert only(session.submit([report])).error is None
        assert list(session.find_reports([report.report_id])) == [report.report_id]
        for ask in (
            session.processes,
            lambda: session.find_reports([report.report_id]),
            lambda: session.fetch([report.report_id]),
            lambda: session.find_natural_keys([report.natural_key]),
        ):
            wats.faults.add(Fault(FaultKind.MAINTENANCE, status=status, times=times))
            assert ask()
            wats.faults.clear()


@pytest.mark.parametrize("status", sorted({*PAGES} - {503}))
def test_a_maintenance_page_is_no_refusal_to_list_reports(wats, status):
    day = Interval(START, START + timedelta(days=1))
    with opened(wats) as session:
        session.version()
        wats.faults.add(Fault(FaultKind.MAINTENANCE, status=status, times=1))
        assert session.listed_reports(day) is not None


def test_a_report_is_absent_where_the_answer_is_a_page_of_wats_itself(wats):
    with opened(wats) as session:
        session.version()
        wats.faults.add(Fault(FaultKind.MAINTENANCE, status=404, path="/api/Report/Wsjf/"))
        assert session.fetch([uuid.uuid4()]) == {}


def test_when_wats_last_took_a_report_is_known_as_long_as_it_answers(wats):
    with opened(wats, attempts=3) as session:
        assert session.last_taken_at_s() == 0.0
        assert [submission.error for submission in session.submit([a_report()])] == [None]
        assert session.last_taken_at_s() > datetime(2026, 1, 1, tzinfo=UTC).timestamp()
        wats.faults.add(Fault(FaultKind.MAINTENANCE, status=404))
        assert session.last_taken_at_s() is None
    assert len(wats.log.find("GET", "App/Version")) == 3


@pytest.mark.parametrize(("status", "code"), [(400, "VW547"), (413, "VW547"), (401, "VW548"), (404, "VW317")])
def test_a_page_at_first_contact_is_fatal(wats, status, code):
    wats.faults.add(Fault(FaultKind.MAINTENANCE, status=status))
    with opened(wats) as session, pytest.raises(FatalError, match=code):
        session.version()


@pytest.mark.parametrize("result", [[], [{}], [[]], {}, [{"ID": str(uuid.UUID(int=1))}] * 2], ids=repr)
def test_an_answer_that_confirms_nothing_is_ambiguous_and_no_sign_that_wats_is_down(wats, result):
    wats.faults.add(Fault(FaultKind.JSON_200, path=POST, json=result))
    reports = [a_report() for _ in range(30)]
    with opened(wats, attempts=1, concurrency=4) as session:
        errors = [submission.error for submission in session.submit(reports)]
    assert {type(error) for error in errors} == {RetriableError}
    assert {error.code for error in errors} == {"VW302"}
    assert len(posts(wats)) == 30


@pytest.mark.parametrize("existence_check", ExistenceCheck)
def test_an_id_that_stays_beside_another_uuid_confirms_the_report_where_wats_may_rename(wats, existence_check):
    """A server that renames changes ``uuid`` alone."""
    report = a_report()
    result = {"ID": str(report.report_id), "uuid": str(uuid.uuid4()), "Report_ID": 1}
    wats.faults.add(Fault(FaultKind.JSON_200, path=POST, json=[result]))
    with opened(wats, existence_check) as session:
        submission = only(session.submit([report]))
    if existence_check is ExistenceCheck.SOURCE_ID:
        assert (submission.error, str(submission.stored_as)) == (None, result["uuid"])
    else:
        assert submission.error.code == "VW302"


@pytest.mark.parametrize("existence_check", ExistenceCheck)
def test_another_id_confirms_nothing_whatever_the_uuid(wats, existence_check):
    report = a_report()
    result = {"ID": str(uuid.uuid4()), "uuid": str(report.report_id), "Report_ID": 1}
    wats.faults.add(Fault(FaultKind.JSON_200, path=POST, json=[result]))
    with opened(wats, existence_check) as session:
        assert only(session.submit([report])).error.code == "VW302"


@pytest.fixture
def renaming(wats):
    """A WATS that keeps every report under an id of its own and shows it at once."""
    wats.profile = wats.profile.but(renames_reports=True, shown_after_s=0)
    return wats


def test_by_source_id_a_report_that_wats_renames_is_posted_once_and_confirmed(renaming):
    reports = [a_report() for _ in range(40)]
    with opened(renaming, ExistenceCheck.SOURCE_ID, attempts=3, concurrency=4) as session:
        assert [submission.error for submission in session.submit(reports)] == [None] * 40
        found = session.find_reports([report.report_id for report in reports])
    assert {stored.stored_as for stored in found.values()} == {
        uuid.UUID(stored_id) for stored_id in renaming.store.ids()
    }
    assert renaming.store.receive_counts().keys().isdisjoint(str(report.report_id) for report in reports)
    assert set(renaming.store.receive_counts().values()) == {1}
    assert len(posts(renaming)) == 40


def test_by_uuid_a_report_that_wats_renames_is_not_confirmed(renaming):
    with opened(renaming) as session:
        error = only(session.submit([a_report()])).error
    assert isinstance(error, RetriableError)
    assert "VW302" in str(error)


def test_what_a_session_costs_is_counted_failed_tries_included(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=503, times=1))
    with opened(wats, attempts=2) as session:
        assert session.request_stats().requests == 0
        list(session.submit([a_report() for _ in range(5)]))
        request_stats = session.request_stats()
    assert request_stats.requests == len(wats.log) == 6
    assert sum(request_stats.latency_ms.values()) == 5


def test_attempts_are_counted(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=503, path=POST))
    with opened(wats, attempts=3) as session:
        assert isinstance(only(session.submit([a_report()])).error, RetriableError)
    assert len(posts(wats)) == 3


def test_a_server_that_is_down_is_given_up_early_and_the_rest_comes_back_unsent(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=503, path=POST, after=6, times=20))
    reports = [a_report() for _ in range(100)]
    with opened(wats, concurrency=4) as session:
        submissions = list(session.submit(reports))
        assert len(submissions) == 100
        failed = [submission for submission in submissions if submission.error is not None]
        assert len(failed) == 94
        assert all(isinstance(submission.error, RetriableError) for submission in failed)
        assert sum("not sent" in str(submission.error) for submission in failed) >= 94 - 2 * 4
        assert len(posts(wats)) <= 6 + 2 * 4
        wats.faults.clear()
        assert only(session.submit([failed[0].report])).error is None


def test_single_failures_between_successes_do_not_count_as_down(wats):
    reports = [a_report() for _ in range(40)]
    for report in reports[::4]:
        wats.faults.add(Fault(FaultKind.RESET, body=str(report.report_id)))
    with opened(wats, concurrency=4) as session:
        failed = [submission.report for submission in session.submit(reports) if submission.error is not None]
    assert {report.report_id for report in failed} == {report.report_id for report in reports[::4]}
    assert len(posts(wats)) == 40


def test_after_a_fatal_answer_nothing_more_is_sent_and_what_was_stored_is_reported(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=401, path=POST, after=10))
    confirmed = []
    with opened(wats, concurrency=4) as session:
        with pytest.raises(FatalError, match="HTTP 401"):
            confirmed.extend(session.submit(a_report() for _ in range(100)))
        assert {str(submission.report.report_id) for submission in confirmed} == set(wats.store.ids())
        assert len(confirmed) == 10
        sent = wats.log.total
        assert sent <= 10 + 4
        for call in (lambda: list(session.submit([a_report()])), session.process_codes):
            with pytest.raises(FatalError, match="HTTP 401"):
                call()
        assert wats.log.total == sent


def test_a_generator_that_fails_ends_the_upload_with_its_own_error(wats):
    def failing():
        yield a_report()
        raise OSError("staging is gone")

    with opened(wats) as session, pytest.raises(OSError, match="staging is gone"):
        list(session.submit(failing()))


# ----------------------------------------------------------------------------------------------- budget and pauses
@pytest.mark.parametrize("form", ["seconds", "HTTP date"])
def test_a_429_pauses_every_request_until_retry_after_has_passed(wats, form):
    date_at = (datetime.now(UTC) + timedelta(seconds=3)).replace(microsecond=0)
    until = "1" if form == "seconds" else format_datetime(date_at, usegmt=True)
    wats.faults.add(Fault(FaultKind.STATUS, status=429, retry_after=until, path=POST, after=8, times=1))
    with opened(wats, concurrency=4, attempts=2) as session:
        submissions = list(session.submit([a_report() for _ in range(30)]))
    assert all(submission.error is None for submission in submissions)
    refused_at = wats.log.find("POST", POST, status=429)[0].at
    until_at = refused_at + timedelta(seconds=0.95) if form == "seconds" else date_at - timedelta(seconds=1)
    times = sorted(post.at for post in posts(wats) if post.at >= refused_at)
    _, resumed_at = max(pairwise(times), key=lambda pair: pair[1] - pair[0])  # what was in flight is before the pause
    assert resumed_at >= until_at


def test_a_pause_longer_than_a_task_can_wait_is_an_error_at_once(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=429, retry_after=3_600, path=POST))
    with opened(wats, concurrency=2, attempts=3) as session:
        submissions = list(session.submit([a_report() for _ in range(20)]))
    assert [submission.error.retry_after_s for submission in submissions] == pytest.approx([3_600] * 20, abs=5)
    assert len(posts(wats)) <= 2


def test_requests_leave_at_the_share_of_the_budget(wats):
    with opened(wats, requests_per_minute=1_200, concurrent_tasks=2) as session:
        list(session.submit([a_report() for _ in range(10)]))
        session.process_codes()
    times = [request.at.timestamp() for request in wats.log]
    assert len(times) == 11
    assert times[-1] - times[0] >= 10 * 0.1 * 0.8  # the way there may take the first one longer


def test_a_server_with_the_same_budget_never_has_to_refuse():
    with WatsServer(requests_per_minute=15) as wats, opened(wats, requests_per_minute=900) as session:
        submissions = list(session.submit([a_report() for _ in range(15)]))
    assert all(submission.error is None for submission in submissions)
    assert wats.log.find(status=429) == []


class KeptBudget:
    """A budget store that one session leaves to the next."""

    usage = BudgetUsage()

    def load(self):
        return self.usage

    def save(self, usage):
        self.usage = usage


def worst_window(wats, seconds):
    """Return the most requests that arrived within any window of so many seconds."""
    times = sorted(request.at.timestamp() for request in wats.log)
    return max(bisect.bisect_left(times, start + seconds) - at for at, start in enumerate(times))


def test_at_the_door_of_wats_no_window_of_a_chain_of_uploads_holds_more_than_the_budget(wats):
    """Process list, existence checks, natural keys and posts together; one task in five is killed."""
    wats.latency_s, store = 0.02, KeptBudget()
    for task in range(15):
        reports = [a_report() for _ in range(25)]
        session = opened(wats, budget_store=store, window_s=3, requests_per_minute=100)
        with session:
            session.process_codes()
            session.find_reports([report.report_id for report in reports])
            session.find_natural_keys([report.natural_key for report in reports])
            assert all(submission.error is None for submission in session.submit(reports))
            usage = store.usage
        if task % 5 == 4:
            store.usage = usage  # as if the task had been killed before it saved what it sent
        time.sleep(0.05)
    assert len(posts(wats)) == 15 * 25
    assert worst_window(wats, 3) <= 100  # how near it comes is in test_rate_limiter: here it is the machine's speed


def test_a_pause_that_wats_asked_for_holds_the_next_session_too(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=429, retry_after=2, path=POST, times=1))
    store = KeptBudget()
    with opened(wats, budget_store=store, requests_per_minute=60_000) as session:
        assert only(session.submit([a_report()])).error.retry_after_s == 2
    with opened(wats, budget_store=store, requests_per_minute=60_000) as session:
        session.process_codes()
    first, second = (request.at for request in wats.log)
    assert (second - first).total_seconds() >= 1.95


def test_a_429_without_retry_after_pauses_every_request_too(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=429, path=POST, times=1))
    with opened(wats) as session:
        assert only(session.submit([a_report()])).error.retry_after_s == 5


def test_with_neighbours_a_task_neither_reads_nor_writes_the_usage(wats):
    with opened(wats, budget_store=object(), concurrent_tasks=2) as session:
        session.process_codes()  # an object can do neither


# ------------------------------------------------------------------------------------------- the table of failures
def _status(status):
    return lambda wats: wats.faults.add(Fault(FaultKind.STATUS, status=status, path=POST))


def _fault(kind, **more):
    return lambda wats: wats.faults.add(Fault(kind, path=POST, **more))


ON_THE_WIRE = [
    *((f"HTTP {n}", _status(n), RejectedError, "refuses the content") for n in (400, 409, 413, 422)),
    *((f"HTTP {n}", _status(n), FatalError, "not the address") for n in (405, 410)),
    ("HTTP 404", _status(404), RejectedError, "not the address of the WATS API (HTTP 404"),
    *((f"HTTP {n}", _status(n), RetriableError, "busy") for n in (408, 425, 503)),
    *((f"HTTP {n}", _status(n), RetriableError, "the server failed") for n in (500, 502, 504, 507)),
    ("HTTP 401", _status(401), FatalError, "credentials"),
    ("HTTP 403", _status(403), FatalError, "right"),
    ("HTTP 429", _status(429), RetriableError, "too many requests"),
    ("redirect", _fault(FaultKind.REDIRECT), FatalError, "redirects elsewhere"),
    ("login page", _fault(FaultKind.HTML), RetriableError, "not what WATS answers"),
    ("empty 200", _fault(FaultKind.EMPTY_200), RetriableError, "not what WATS answers"),
    ("truncated JSON", _fault(FaultKind.TRUNCATED_JSON), RetriableError, "not what WATS answers"),
    ("empty list", _fault(FaultKind.JSON_200, json=[]), RetriableError, "does not confirm"),
    ("two results", _fault(FaultKind.JSON_200, json=[{"ID": str(uuid.UUID(int=n))} for n in (1, 2)]), RetriableError, "does not confirm"),
    ("no id", _fault(FaultKind.JSON_200, json={}), RetriableError, "does not confirm"),
    ("NaN", _fault(FaultKind.JSON_200, json=math.nan), RetriableError, "not what WATS answers"),
    ("NaN id", _fault(FaultKind.JSON_200, json={"ID": math.nan}), RetriableError, "does not confirm"),
    ("deaf", _fault(FaultKind.DEAF, delay_s=3), RetriableError, "no answer in time"),
    ("null id", _fault(FaultKind.JSON_200, json={"ID": None}), RetriableError, "does not confirm"),
    ("wrong id", _fault(FaultKind.WRONG_ID), RetriableError, "does not confirm"),
    ("reset", _fault(FaultKind.RESET), RetriableError, "connection was lost"),
    ("close", _fault(FaultKind.CLOSE), RetriableError, "connection was lost"),
    ("reset inside the answer", _fault(FaultKind.RESET_INSIDE), RetriableError, "connection was lost"),
    ("stall", _fault(FaultKind.STALL), RetriableError, "no answer in time"),
    ("slow drip", _fault(FaultKind.DRIP, delay_s=3), RetriableError, "no answer in time"),
    ("server stopped", lambda wats: wats.stop(), RetriableError, "no connection"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arm", "kind", "meaning"), [case[1:] for case in ON_THE_WIRE], ids=[case[0] for case in ON_THE_WIRE]
)
def test_a_failure_on_the_wire_has_the_class_of_the_table(wats, arm, kind, meaning):
    report = a_report()
    arm(wats)
    with opened(wats, timeout_s=0.6 if "in time" in meaning else 10) as session:
        if kind is FatalError:
            with pytest.raises(FatalError) as raised:
                list(session.submit([report]))
            error = raised.value
        else:
            error = only(session.submit([report])).error
    assert type(error) is kind
    assert meaning in str(error)
    assert f"POST {wats.url}{POST}" in str(error)
    assert str(report.report_id) not in str(error)
    assert wats.token not in "".join(traceback.format_exception(error))


def test_an_unknown_host_is_retriable():
    with opened(_Address("https://wats.invalid")) as session:
        error = only(session.submit([a_report()])).error
    assert type(error) is RetriableError
    assert "cannot be resolved" in str(error)


def test_an_untrusted_certificate_is_fatal_and_ca_file_or_verify_tls_fix_it(tmp_path):
    with _tls_server(tmp_path) as (url, ca_file):
        with opened(_Address(url)) as session, pytest.raises(FatalError, match="certificate") as raised:
            session.version()
        assert "ca_file" in str(raised.value)
        for options in ({"ca_file": ca_file}, {"verify_tls": False}):
            with opened(_Address(url), **options) as session:
                assert session.version() == "2025.3.9.824"


@pytest.mark.report("P8")
@pytest.mark.parametrize("defects", [DEFECTS, DEFECTS[:1], DEFECTS[1:2], DEFECTS[2:], ()], ids=" and ".join)
def test_a_private_authority_is_taken_with_the_defects_that_newer_pythons_refuse(tmp_path, monkeypatch, defects):
    create = ssl.create_default_context

    def as_in_python_3_13(*args, **kwargs):
        context = create(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_in_python_3_13)
    certify = functools.partial(of_a_private_authority, defects=defects)
    with _tls_server(tmp_path, certify) as (url, ca_file), opened(_Address(url), ca_file=ca_file) as session:
        assert session.version() == "2025.3.9.824"


def test_a_ca_file_without_certificates_is_fatal(tmp_path):
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("not a certificate")
    with (
        opened(_Address("https://127.0.0.1:9"), ca_file=str(ca_file)) as session,
        pytest.raises(FatalError, match="ca_file: must hold"),
    ):
        session.version()


def test_https_to_a_plain_port_is_retriable_and_names_the_address(wats):
    with (
        opened(_Address(wats.url.replace("http:", "https:"))) as session,
        pytest.raises(RetriableError, match="says https and the right port"),
    ):
        session.version()


def test_an_address_that_cannot_be_dialled_is_fatal():
    with opened(_Address("https://xn--zzzzzz-.example")) as session, pytest.raises(FatalError, match="check the host"):
        session.version()


def test_every_entry_of_the_table_is_shown_by_a_test():
    shown_elsewhere = {
        "the certificate of the server is not trusted",
        "the name of the server cannot be resolved",
        "no TLS connection could be made",
        "the request cannot be formed",
        "the answer is larger than any answer of WATS",  # test_wats_as_it_answers.py
        "the request could not be sent",  # unit/test_wats_answers.py
        "something in front of WATS answers",  # test_a_page_at_first_contact_is_fatal
        "the credentials are refused, by WATS or by something in front of it",  # the same
    }
    shown = {meaning.partition(" (")[0] for *_, meaning in ON_THE_WIRE}
    for failure in response_errors.RESPONSE_ERRORS:
        assert failure.message.meaning in shown_elsewhere or any(part in failure.message.meaning for part in shown), (
            failure.message.symptom
        )


class _Address:
    """An address that is not the sandbox's, with a token that fits nothing."""

    def __init__(self, url):
        self.url = url
        self.token = "dnRlOm5vdGhpbmc="


@contextlib.contextmanager
def _tls_server(folder, certify=self_signed):
    """Answer every request over TLS with a version, under a certificate that no public authority signed."""
    pem, context = certify(folder)
    body = b'"2025.3.9.824"'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(65_536)
                    connection.sendall(head % len(body) + body)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{listener.getsockname()[1]}", str(pem)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


# ------------------------------------------------------------------------------------------ secrets, life, contract
def test_the_token_is_nowhere_in_logs_errors_or_representations(wats, hook, caplog):
    for name in (None, "httpx", "httpcore", "pywats"):
        caplog.set_level(logging.DEBUG, logger=name)
    seen = [repr(hook), repr(hook.read_connection()), str(vars(hook))]
    wats.faults.add(Fault(FaultKind.STATUS, status=400, path=POST, times=1, message=f"Bad token {wats.token}"))
    wats.faults.add(Fault(FaultKind.RESET, path=POST, times=1))
    wats.faults.add(Fault(FaultKind.STATUS, status=403, path=POST, times=2, message=f"Basic {wats.token}"))
    with hook.session() as session:
        seen.append(repr(session))
        session.find_natural_keys([a_report("CANARY-SERIAL").natural_key])
        errors = [only(session.submit([a_report()])).error for _ in range(2)]
        with pytest.raises(FatalError) as raised:
            list(session.submit([a_report()]))
    for error in [*errors, raised.value]:
        seen += [repr(error), "".join(traceback.format_exception(error))]
    seen.append(caplog.text)
    assert not any(secret in text for text in seen for secret in (wats.token, "a secret of its own"))
    assert "CANARY-SERIAL" not in caplog.text


def test_a_login_works_as_well_as_a_token_and_is_not_shown_either(wats, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    fields = {"conn_type": "wats", "host": wats.url, "login": "vte", "password": "a secret of its own"}
    monkeypatch.setenv("AIRFLOW_CONN_WATS_LOGIN", json.dumps(fields))
    hook = WatsHook("wats_login")
    assert hook.test_connection()[0]
    assert "a secret of its own" not in caplog.text + repr(hook.read_connection())


def test_nothing_is_dialled_before_something_is_asked(wats, hook):
    with hook.session():
        pass
    wats.stop()
    with hook.session():
        pass
    assert wats.log.total == 0


def test_a_session_closes_its_connections_even_when_its_block_fails(wats):
    session = opened(wats)

    def fail():
        with session:
            next(session.submit([a_report() for _ in range(5)]))
            assert len(session._sender.transport._clients) == 5
            assert any(client._client is not None for client in session._sender.transport._clients)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert all(client._client is None for client in session._sender.transport._clients)
    assert session._sender._runner._state.name == "CLOSED"


def test_pywats_still_has_the_private_parts_that_the_client_replaces(wats):
    assert version("pywats-api") == "0.5.0b6"
    sending = inspect.getsource(AsyncHttpClient._execute_request)
    assert "await self._get_client()" in sending
    assert "client.request(**kwargs)" in sending
    assert "self._client" in inspect.getsource(AsyncHttpClient.close)
    client = PlainHttpClient(connected(wats), verification=True)
    assert client._headers["Authorization"] == f"Basic {wats.token}"
    assert (client._client, client.cache, client._circuit_breaker) == (None, None, None)
    assert not client.retry_config.enabled
    assert not client.rate_limiter.enabled


def test_the_client_follows_no_redirect_and_speaks_one_request_per_connection(wats):
    transports = []

    class Observed(PlainHttpClient):
        async def _get_client(self):
            transports.append(await super()._get_client())
            return transports[-1]

    with opened(wats) as session:
        session._sender.transport._idle.append(Observed(connected(wats), verification=True))
        session.version()
    assert isinstance(transports[0], httpx.AsyncClient)
    assert transports[0].follow_redirects is False
    assert transports[0]._transport._pool._http2 is False
    assert transports[0]._transport._pool._max_connections == 1


def test_requests_one_after_the_other_share_a_connection_and_those_side_by_side_do_not(wats):
    with opened(wats, concurrency=3) as session:
        for _ in range(3):
            session.version()
        assert len(session._sender.transport._clients) == 1
        wats.latency_s = 0.05
        list(session.submit([a_report() for _ in range(7)]))
        assert len(session._sender.transport._clients) == 3


# ------------------------------------------------------------------------------------------------- test connection
@pytest.fixture
def tested(wats, monkeypatch):
    """Press the button Test on a connection with these fields, as Airflow's route does: under a random id."""

    def press(**fields):
        given = {"conn_type": "wats", "host": wats.url, "password": wats.token} | fields
        connection = Connection(conn_id=get_random_string(), **given)
        monkeypatch.setenv(f"AIRFLOW_CONN_{connection.conn_id.upper()}", connection.get_uri())
        ok, text = connection.test_connection()
        assert connection.conn_id not in text
        return ok, text

    return press


def test_a_good_connection_reports_version_operations_and_round_trip(tested):
    ok, text = tested()
    assert ok
    assert "2025.3" in text
    assert "6 test operations" in text
    assert " ms" in text


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"host": "https://wats.invalid"}, "cannot be resolved"),
        ({"host": "http://127.0.0.1:9"}, "no connection"),
        ({"password": "dnRlOndyb25n"}, "HTTP 401"),
        ({"password": "wrong\ntoken"}, "password: must be one API token"),
        ({"host": ""}, "host: required"),
        ({"extra": {"attempts": 0}}, "attempts: "),
    ],
    ids=["unknown host", "refused", "wrong token", "broken token", "no host", "wrong option"],
)
def test_a_wrong_connection_gives_its_reason(tested, fields, reason):
    ok, text = tested(**fields)
    assert not ok
    assert reason in text


def test_a_wrong_field_of_a_tested_connection_is_changed_in_this_connection(tested, tmp_path):
    ok, text = tested(extra={"attempts": "many"})
    assert not ok
    assert text.splitlines() == [
        "VW108 1 field(s) of the WATS connection are wrong. Change them in this connection",
        "- attempts: Input should be a valid integer, unable to parse string as an integer, given 'many'",
    ]
    (tmp_path / "no.pem").write_text("nothing")
    ok, text = tested(extra={"ca_file": str(tmp_path / "no.pem")})
    assert not ok
    assert text.endswith("Change it in this connection")
    assert "ca_file: must hold certificates in PEM form" in text


def test_a_wrong_path_gives_its_reason(tested, wats):
    ok, text = tested(host=f"{wats.url}/elsewhere")
    assert not ok
    assert "HTTP 404" in text
    assert "/elsewhere/api/App/Version" in text


@pytest.mark.parametrize("path", ["App/Version", "App/Processes"])
def test_a_login_page_in_place_of_wats_is_not_a_good_connection(tested, wats, path):
    wats.faults.add(Fault(FaultKind.HTML, path=path))
    ok, text = tested()
    assert not ok
    assert "login page" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NO_PROXY", "localhost,fd00::/8"),
        ("SSL_CERT_FILE", "/is/not/there.pem"),
        ("ALL_PROXY", "socks5://proxy.example:1080"),
    ],
)
def test_a_variable_that_keeps_wats_from_being_asked_is_named(tested, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    ok, text = tested()
    assert not ok
    assert f"check {name} " in text


def test_the_button_answers_whatever_happens_and_shows_no_secret(tested, wats, monkeypatch, caplog):
    def fail(_: WatsSession) -> str:
        raise RuntimeError(f"the header was {wats.token}, token=dnRlOmNhbmFyeQ")

    monkeypatch.setattr(WatsSession, "version", fail)
    ok, text = tested()
    assert not ok
    assert text == f"VW545 WATS cannot be asked: RuntimeError; {VW545.advice}"
    assert "VW545 WATS cannot be asked: RuntimeError: the header was ***" in caplog.text
    assert not any(secret in caplog.text for secret in (wats.token, "dnRlOmNhbmFyeQ"))


def test_a_connection_is_tested_again_each_time(tested, wats):
    assert tested()[0]
    wats.faults.add(Fault(FaultKind.STATUS, status=503))
    assert not tested()[0]
    assert len(wats.log.find(status=503)) == 1  # a person waits for the answer: no further tries


@every_wats()
def test_whole_reports_come_back_as_they_were_sent_and_absent_ones_not_at_all(wats):
    sent, absent = [a_report() for _ in range(3)], uuid.uuid4()
    with opened(wats, known_by(wats)) as session:
        assert [submission.error for submission in session.submit(sent)] == [None] * 3
        wats.show_all()
        found = session.find_reports([report.report_id for report in sent])
        stored_as = {report.report_id: found[report.report_id].stored_as for report in sent}
        stored = session.fetch([absent, *stored_as.values()])
    assert stored == {
        stored_as[report.report_id]: json.loads(report.body) | {"id": str(stored_as[report.report_id])}
        for report in sent
    }


@pytest.mark.parametrize("answer", [{}, {"id": str(uuid.uuid4())}, []])
def test_another_report_than_was_asked_for_is_not_taken_for_it(wats, answer):
    with opened(wats) as session:
        list(session.submit([report := a_report()]))
        wats.faults.add(Fault(FaultKind.JSON_200, path="/api/Report/Wsjf/", json=answer))
        with pytest.raises(RetriableError, match="not what WATS answers"):
            session.fetch([report.report_id])
