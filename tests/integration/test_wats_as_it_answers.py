"""What a session with WATS makes of servers that differ, change, stand behind a page, or send too much."""

import gzip
import json
import socketserver
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from upath import UPath

from sandbox.wats.profiles import DESCRIBED, HeaderStart
from sandbox.wats.wats_faults import Fault, FaultKind
from sandbox.wats.wats_server import WatsServer
from vte_wats.config.settings import ExistenceCheck, Settings
from vte_wats.domain.errors import FatalError, RejectedError, RetriableError
from vte_wats.domain.report import NaturalKey, Report
from vte_wats.intervals.interval import Interval
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.in_flight_keys import InFlightKeys
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import RUNS
from vte_wats.sync.staged_reports import stage_mapped
from vte_wats.sync.upload import UploadOptions, upload
from vte_wats.wats.client import WatsSession
from vte_wats.wats.learned_server import LearnedServer
from vte_wats.wats.profile import WatsProfile
from vte_wats.wats.queries import LISTING
from vte_wats.wats.responses import MOST_ANSWER_BYTES
from vte_wats.wats.wats_connection import GuidQuoting, WatsConnection

START = datetime(2026, 3, 2, 6, 0, 0, 123_000, tzinfo=UTC)
POST = "/api/Report/WSJF"
QUERY = "/api/Report/Query/Header"
PLAIN = DESCRIBED.but(header_start=HeaderStart.FRACTION, guid_form="both")
"""A WATS that takes either form of ids and shows at once what it was sent, to the fraction of a second."""


@pytest.fixture
def wats():
    with WatsServer(profile=PLAIN) as server:
        yield server


class KeptLearned:
    """What one session leaves to the next, kept here."""

    def __init__(self, learned=None):
        self.learned = learned or LearnedServer()
        self.saved = 0

    def load(self):
        return self.learned

    def save(self, learned):
        self.learned = learned
        self.saved += 1


def opened(wats, existence_check=ExistenceCheck.UUID, learned=None, profile=None, **options):
    """Return a session without a noticeable budget and with one try, unless asked for otherwise."""
    extra = {"requests_per_minute": 1_000_000, "attempts": 1, "timeout_s": 60} | options
    connection = WatsConnection.parse(
        "wats_default", host=wats.url, port=None, login=None, password=wats.token, extra=json.dumps(extra)
    )
    return WatsSession(connection, existence_check, profile=profile, learned_store=learned, first_backoff_s=0.01)


def a_report(number=1, start_at=START, *, report_id=None):
    guid = report_id or uuid.UUID(int=number)
    key = NaturalKey(f"SN-{number:05}", "PSU-100", 100, start_at)
    body = {
        "type": "T",
        "id": str(guid),
        "pn": key.part_number,
        "sn": key.serial,
        "rev": "A",
        "processCode": 100,
        "result": "P",
        "machineName": "station-1",
        "location": "Oslo",
        "purpose": "Production",
        "start": start_at.isoformat(),
        "root": {
            "id": 0,
            "group": "M",
            "stepType": "SequenceCall",
            "name": "MainSequence Callback",
            "status": "P",
            "seqCall": {"path": "p", "name": "n", "version": "1"},
            "steps": [],
        },
        "uut": {"user": ""},
        "miscInfos": [
            {"description": "source_id", "text": f"VTE:{guid}"},
            {"description": "source_hash", "text": "aa11"},
        ],
    }
    return Report(guid, "aa11", key, "P", json.dumps(body).encode())


def posts(wats):
    return wats.log.find("POST", POST)


def queries(wats, **how):
    return wats.log.find("GET", QUERY, **how)


def errors_of(session, *reports):
    return [submission.error for submission in session.submit(reports)]


# ------------------------------------------------------------------------------------------------- outage or setting
PAGES = [
    pytest.param(Fault(FaultKind.REDIRECT), id="302"),
    *[pytest.param(Fault(FaultKind.STATUS, status=status), id=str(status)) for status in (301, 403, 404, 410, 503)],
    pytest.param(Fault(FaultKind.HTML), id="200 with HTML"),
]


def worked(wats, ago_s, *methods):
    """Return the learned of a connection that last worked so many seconds ago."""
    return KeptLearned(LearnedServer(url=wats.url, worked_at_s=dict.fromkeys(methods, time.time() - ago_s)))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_in_front_of_a_wats_that_worked_within_the_hour_is_an_outage(wats, page):
    wats.faults.add(page)
    with opened(wats, learned=worked(wats, 3_500, "GET", "POST")) as session:
        with pytest.raises(RetriableError):
            session.process_codes()
        with pytest.raises(RetriableError):
            session.find_reports([uuid.uuid4()])
        assert [type(error) for error in errors_of(session, a_report())] == [RetriableError]
        wats.faults.clear()
        assert 100 in session.process_codes()
        assert errors_of(session, a_report()) == [None]


@pytest.mark.parametrize("page", [page for page in PAGES if page.id not in {"503", "200 with HTML"}])
@pytest.mark.parametrize("learned", ["none", "an hour ago", "of another WATS"])
def test_at_first_contact_or_after_an_hour_it_is_about_a_setting(wats, page, learned):
    wats.faults.add(page)
    known = worked(wats, 3_700, "GET", "POST")
    if learned == "of another WATS":
        known.learned = LearnedServer(url="https://other.example", worked_at_s={"GET": time.time()})
    with (
        opened(wats, learned=None if learned == "none" else known) as session,
        pytest.raises(FatalError),
    ):
        session.process_codes()


def test_a_refused_token_is_fatal_however_well_it_worked_before(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=401))
    with opened(wats, learned=worked(wats, 10, "GET", "POST")) as session, pytest.raises(FatalError, match="VW314"):
        session.process_codes()


def test_a_token_that_may_read_but_never_posted_lacks_a_right(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=403, path=POST))
    with opened(wats, learned=worked(wats, 10, "GET")) as session:
        session.process_codes()
        with pytest.raises(FatalError, match="VW315"):
            errors_of(session, a_report())


def test_one_session_lets_the_next_know_that_wats_worked(wats):
    learned = KeptLearned()
    with opened(wats, learned=learned) as session:
        session.process_codes()
        assert errors_of(session, a_report()) == [None]
    assert learned.learned.worked_at_s.keys() == {"GET", "POST"}
    with opened(wats, learned=learned) as session:
        session.process_codes()
    assert learned.saved == 1  # nothing that matters is new within five minutes


# --------------------------------------------------------------------------------------------------- one bad report
def test_a_404_for_a_report_is_about_that_report_while_wats_answers(wats):
    """IIS answers so when a body is too large."""
    reports = [a_report(number) for number in range(1, 31)]
    wats.faults.add(Fault(FaultKind.STATUS, status=404, body=reports[7].body[20:70]))
    with opened(wats, concurrency=4) as session:
        submissions = list(session.submit(reports))
    (failed,) = [submission for submission in submissions if submission.error is not None]
    assert failed.report is reports[7]
    assert isinstance(failed.error, RejectedError)
    assert failed.error.code == "VW347"
    assert f"The report has {len(reports[7].body):,} bytes, its largest parts: " in str(failed.error)
    assert len(wats.store) == 29
    assert len(posts(wats)) == 31


def test_a_404_for_everything_is_not_about_the_report(wats):
    with opened(wats) as session:
        session.process_codes()
        wats.faults.add(Fault(FaultKind.STATUS, status=404))
        assert [type(error) for error in errors_of(session, a_report())] == [RetriableError]
    with opened(wats) as session, pytest.raises(FatalError, match="VW317"):
        errors_of(session, a_report())


@pytest.mark.parametrize("kind", [FaultKind.HTML, FaultKind.TRUNCATED_JSON, FaultKind.EMPTY_200])
def test_responses_that_are_no_json_do_not_make_a_wats_that_answers_look_down(wats, kind):
    wats.faults.add(Fault(kind, path=POST, times=20))
    with opened(wats, concurrency=4) as session:
        errors = errors_of(session, *map(a_report, range(1, 41)))
    assert len(posts(wats)) == 40
    assert {error.code for error in errors if error is not None} == {"VW301"}
    assert errors.count(None) == 20


def test_a_page_that_answers_everything_is_an_outage_and_is_not_flooded(wats):
    wats.faults.add(Fault(FaultKind.HTML))
    with opened(wats, concurrency=4) as session:
        errors = errors_of(session, *map(a_report, range(1, 101)))
    assert len(posts(wats)) <= 8
    assert {type(error) for error in errors} == {RetriableError}


# ------------------------------------------------------------------------------------------------ the form of ids
@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_the_form_of_ids_is_found_out_once_for_all_sessions_whatever_the_wrong_one_gets(wats, status):
    wats.faults.add(Fault(FaultKind.STATUS, status=status, path="uuid in (0"))  # written bare, they begin with a zero
    learned = KeptLearned()
    ids = [uuid.UUID(int=number) for number in range(1, 101)]
    with opened(wats, learned=learned) as session:
        errors_of(session, *map(a_report, range(1, 11)))
        assert len(session.find_reports(ids)) == 10
    refused = len(queries(wats, status=status))
    assert refused == (1 if status == 400 else 2)  # what may pass gives that form a second chance
    for _ in range(3):
        with opened(wats, learned=learned) as session:
            assert len(session.find_reports(ids)) == 10
    assert len(queries(wats, status=status)) == refused
    assert learned.learned.id_form is GuidQuoting.QUOTED


def test_a_server_error_that_passes_decides_nothing_about_the_form_of_ids(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=500, path=QUERY, times=1))
    learned = KeptLearned()
    with opened(wats, learned=learned) as session:
        assert session.find_reports([uuid.uuid4()]) == {}
    assert learned.learned.id_form is GuidQuoting.BARE


def test_a_server_error_for_every_form_is_tried_again(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=500, path=QUERY, times=3))
    with opened(wats, attempts=2) as session:
        assert session.find_reports([uuid.uuid4()]) == {}
    wats.faults.add(Fault(FaultKind.STATUS, status=500, path=QUERY))
    with opened(wats) as session, pytest.raises(RetriableError):
        session.find_reports([uuid.uuid4()])


def test_a_known_form_is_not_doubted_because_the_server_fails(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=500, path=QUERY))
    with opened(wats, profile=WatsProfile(id_form=GuidQuoting.QUOTED)) as session, pytest.raises(RetriableError):
        session.find_reports([uuid.uuid4()])
    assert len(queries(wats)) == 1


def test_a_wats_that_changed_its_mind_about_ids_is_understood_again(wats):
    wats.faults.add(Fault(FaultKind.STATUS, status=400, path="uuid in ('"))
    learned = KeptLearned(LearnedServer(url=wats.url, id_form=GuidQuoting.QUOTED))
    with opened(wats, learned=learned) as session:
        errors_of(session, a_report(7))
        assert session.find_reports([uuid.UUID(int=7)]).keys() == {uuid.UUID(int=7)}
    assert learned.learned.id_form is GuidQuoting.BARE


# ------------------------------------------------------------------------------------------------ listing by range
def stored(wats, number_of_reports, first=1):
    """Store reports that start a second apart; return their runs and when they started."""
    reports = [
        a_report(number, START + timedelta(seconds=number)) for number in range(first, first + number_of_reports)
    ]
    for report in reports:
        wats.store.receive(report.body.encode())
    from_at = reports[0].natural_key.start_at.replace(microsecond=0)
    return [report.report_id for report in reports], Interval(from_at, from_at + timedelta(seconds=number_of_reports))


@pytest.mark.parametrize("existence_check", ExistenceCheck)
def test_what_started_in_a_range_is_listed_at_once_and_the_rest_asked_for_by_id(wats, existence_check):
    ids, started = stored(wats, 300)
    late, _ = stored(wats, 3, first=5_000)
    absent = [uuid.uuid4() for _ in range(4)]
    with opened(wats, existence_check) as session:
        found = session.find_reports([*ids, *late, *absent], started)
    assert found.keys() == {*ids, *late}
    assert {report.source_hash for report in found.values()} == {"aa11"}
    by_misc = len(wats.log.find("GET", "HeaderByMiscInfo"))
    assert by_misc == (7 if existence_check is ExistenceCheck.SOURCE_ID else 0)
    assert len(wats.log) == 1 + by_misc + 1


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_wats_that_refuses_to_list_a_range_is_asked_by_id_and_never_for_one_again(wats, status):
    wats.faults.add(Fault(FaultKind.STATUS, status=status, path="start lt"))
    ids, started = stored(wats, 100)
    learned = KeptLearned()
    for _ in range(2):
        with opened(wats, learned=learned) as session:
            assert session.find_reports(ids, started).keys() == set(ids)
            assert session.find_reports(ids, started).keys() == set(ids)
    assert len(queries(wats, status=status)) == (1 if status == 400 else 2)  # a page in front of WATS may pass
    assert learned.learned.range_listing is False


def test_a_wats_known_to_refuse_ranges_is_not_asked_for_one(wats):
    ids, started = stored(wats, 60)
    with opened(wats, profile=WatsProfile(range_listing=False)) as session:
        assert session.find_reports(ids, started).keys() == set(ids)
    assert not [query for query in queries(wats) if "start" in query.path]


def test_a_range_full_of_reports_of_others_is_not_listed_to_its_end(wats):
    ids, started = stored(wats, 2 * LISTING)
    with opened(wats) as session:
        assert session.find_reports(ids[::100], started).keys() == set(ids[::100])
    assert len(queries(wats)) == 2


# ------------------------------------------------------------------------------------------------- runs of one unit
def test_of_two_starts_within_a_second_only_the_equal_one_is_the_same(wats):
    report = a_report()
    wats.store.receive(report.body.encode())
    near = NaturalKey("SN-00001", "PSU-100", 100, START + timedelta(milliseconds=500))
    with opened(wats) as session:
        found = session.find_natural_keys([report.natural_key, near])
    assert {key: [hit.is_exact for hit in hits] for key, hits in found.items()} == {
        report.natural_key: [True],
        near: [False],
    }
    assert {hit.guid for hits in found.values() for hit in hits} == {report.report_id}


def test_a_header_that_cuts_the_fraction_is_checked_on_the_report_itself(wats):
    report = a_report()
    wats.store.receive(report.body.encode())
    header = {
        "uuid": str(report.report_id),
        "serialNumber": "SN-00001",
        "partNumber": "PSU-100",
        "processCode": 100,
        "start": "2026-03-02T06:00:00Z",
    }
    wats.faults.add(Fault(FaultKind.JSON_200, path=QUERY, json=[header]))
    near = NaturalKey("SN-00001", "PSU-100", 100, START + timedelta(milliseconds=500))
    with opened(wats) as session:
        found = session.find_natural_keys([report.natural_key, near])
        assert [hits[0].is_exact for hits in found.values()] == [True, False]
        asked = len(wats.log.find("GET", f"{POST}/"))
        assert asked == 1
        session.find_natural_keys([near], own=[report.report_id])
    assert len(wats.log.find("GET", f"{POST}/")) == asked


def test_a_report_in_the_same_second_that_cannot_be_fetched_counts_as_equal(wats):
    header = {
        "uuid": str(uuid.uuid4()),
        "serialNumber": "SN-00001",
        "partNumber": "PSU-100",
        "processCode": 100,
        "start": "2026-03-02T06:00:00Z",
    }
    wats.faults.add(Fault(FaultKind.JSON_200, path=QUERY, json=[header]))
    with opened(wats) as session:
        ((hit,),) = session.find_natural_keys([a_report().natural_key]).values()
    assert hit.is_exact


def test_where_wats_cuts_the_fraction_two_runs_within_a_second_are_kept_apart():
    first, second = a_report(), a_report(start_at=START + timedelta(milliseconds=500), report_id=uuid.UUID(int=2))
    with WatsServer(profile=PLAIN.but(header_start=HeaderStart.WHOLE_SECONDS)) as wats, opened(wats) as session:
        assert errors_of(session, first) == [None]
        ((hit,),) = session.find_natural_keys([second.natural_key]).values()
        assert (hit.guid, hit.is_exact) == (first.report_id, False)
        ((hit,),) = session.find_natural_keys([first.natural_key]).values()
        assert (hit.guid, hit.is_exact) == (first.report_id, True)


# ----------------------------------------------------------------------------------------------- posted, not shown
def uploaded(wats, folder, name, reports, **answers):
    """Upload a slice as its task does, by the server's clock."""
    settings = Settings(source_timezone="Europe/Oslo", process_map={"*": 100}, **answers)
    staging, storage = Staging(UPath(folder / name)), UPath(folder)
    staging.write(RUNS, [])
    stage_mapped(staging, reports)
    with (
        opened(wats, settings.existence_check, attempts=3) as session,
        InFlightKeys(storage, name, wats.now, session.behaviour().shown_after_s) as keys,
    ):
        counts = upload(
            staging,
            session,
            DeadLetters(storage),
            settings,
            UploadOptions(wats.now()),
            read=len(reports),
            in_flight=keys,
            read_again=lambda guids: [report for report in reports if report.report_id in guids],
        )
    return {outcome: runs for outcome, runs in counts.items() if runs}


@pytest.mark.parametrize("existence_check", ExistenceCheck)
def test_a_thousand_runs_have_one_receipt_each_although_wats_shows_them_a_minute_later(tmp_path, existence_check):
    """Each slice reads the end of the one before again, as the guard band does."""
    renames = existence_check is ExistenceCheck.SOURCE_ID
    profile = PLAIN.but(
        renames_reports=renames, shown_after_s=60, guid_form="quoted", wrong_guid_status=500, post_answer="array"
    )
    reports = [a_report(number, START + timedelta(seconds=number)) for number in range(1_000)]
    with WatsServer(profile=profile) as wats:
        for end in range(200, 1_001, 200):
            again = min(100, end - 200)
            part = reports[end - 200 - again : end]
            counts = uploaded(wats, tmp_path, f"s{end}", part, existence_check=existence_check)
            assert counts == {"read": 200 + again, "uploaded": 200} | ({"unchanged": again} if again else {})
            wats.skip(15)
        assert len(wats.store) == 1_000
        assert set(wats.store.receive_counts().values()) == {1}
        wats.skip(600)
        counts = uploaded(wats, tmp_path, "later", reports, existence_check=existence_check)
        assert counts == {"read": 1_000, "unchanged": 1_000}
        assert len(posts(wats)) == 1_000


# -------------------------------------------------------------------------------------------------- huge answers
class _Answering(socketserver.StreamRequestHandler):
    def handle(self):
        while (line := self.rfile.readline()) not in {b"\r\n", b"", b"\n"}:
            del line
        self.wfile.write(self.server.answer)


@pytest.fixture
def answering():
    """Serve one raw answer to every request."""

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        token = "dnRlOm5vdGhpbmc="
        answer = b""

        @property
        def url(self):
            return f"http://127.0.0.1:{self.server_address[1]}"

        def answers(self, body, *headers):
            head = "".join(f"{header}\r\n" for header in ("HTTP/1.1 200 OK", "Connection: close", *headers))
            self.answer = head.encode() + b"\r\n" + body

    with Server(("127.0.0.1", 0), _Answering) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("packed", [True, False], ids=["compressed", "plain"])
def test_an_answer_that_never_ends_is_not_read_to_its_end(answering, packed):
    zeros = b"0" * (MOST_ANSWER_BYTES + 1)
    if packed:
        answering.answers(gzip.compress(zeros, 9), "Content-Encoding: gzip")
        assert len(answering.answer) < MOST_ANSWER_BYTES / 500
    else:
        answering.answers(zeros)
    with opened(answering) as session, pytest.raises(RetriableError, match="VW343"):
        session.version()


def test_a_compressed_answer_is_read(answering):
    answering.answers(gzip.compress(b'"2025.3.9.824"'), "Content-Encoding: gzip")
    with opened(answering) as session:
        assert session.version() == "2025.3.9.824"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(gzip.compress(b'"2025.3.9.824"')[:-9], "gzip"), (b"not gzip", "gzip"), (b'"2025"', "br")],
    ids=["cut off", "not compressed", "another encoding"],
)
def test_a_compressed_answer_that_cannot_be_read_is_retriable(answering, body, encoding):
    answering.answers(body, f"Content-Encoding: {encoding}")
    with opened(answering) as session, pytest.raises(RetriableError, match="VW309"):
        session.version()


def test_an_answer_that_is_nested_without_end_is_not_what_wats_answers(answering):
    answering.answers(b"[" * 1_000_000)
    with opened(answering) as session, pytest.raises(RetriableError, match="VW301"):
        session.version()


# ------------------------------------------------------------------------------------------------------ the profile
def test_a_wats_known_to_rename_is_not_posted_to_by_uuid(wats):
    with opened(wats, profile=WatsProfile(renames=True)) as session, pytest.raises(FatalError, match="VW346"):
        errors_of(session, a_report())
    assert posts(wats) == []
    with opened(wats, ExistenceCheck.SOURCE_ID, profile=WatsProfile(renames=True)) as session:
        assert errors_of(session, a_report()) == [None]


def test_the_smaller_of_two_limits_of_a_body_counts(wats):
    with opened(wats, max_body_bytes=5_000) as session:
        assert session.behaviour().max_body_bytes == 5_000
    with opened(wats, profile=WatsProfile(body_limit_bytes=2_000), max_body_bytes=5_000) as session:
        assert session.behaviour().max_body_bytes == 2_000
    with opened(wats) as session:
        assert session.behaviour().max_body_bytes == 30_000_000


@pytest.mark.parametrize(("measured_s", "shown_after_s"), [(None, 120), (0, 60), (7.5, 60), (45, 90)])
def test_a_confirmed_report_counts_as_hidden_twice_as_long_as_measured_and_a_minute_at_least(
    wats, measured_s, shown_after_s
):
    with opened(wats, profile=WatsProfile(visibility_delay_s=measured_s)) as session:
        assert session.behaviour().shown_after_s == shown_after_s


def test_a_delay_longer_than_was_waited_for_is_kept_for_later_sessions_of_this_wats(wats):
    learned, measured = KeptLearned(), WatsProfile(visibility_delay_s=2)
    for waited_s in (60, 120, 240, 480, 960, 1_920, 3_600, 3_600):
        with opened(wats, learned=learned, profile=measured) as session:
            assert session.behaviour().shown_after_s == waited_s
            session.showed_late()
    learned.learned = learned.learned.model_copy(update={"url": "https://other.example"})
    with opened(wats, learned=learned, profile=measured) as session:
        assert session.behaviour().shown_after_s == 60


def test_of_a_measured_and_a_seen_delay_the_longer_one_counts(wats):
    learned = KeptLearned(LearnedServer(url=wats.url, longest_delay_s=100))
    for measured_s, waited_s in ((2, 200), (150, 300)):
        with opened(wats, learned=learned, profile=WatsProfile(visibility_delay_s=measured_s)) as session:
            assert session.behaviour().shown_after_s == waited_s
