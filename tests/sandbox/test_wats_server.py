"""The server as a whole: credentials, budget, faults on the wire, log, lifecycle, and the interface that drives it."""

import asyncio
import base64
import http.client
import json
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

from sandbox.wats.example import example_report
from sandbox.wats.report_store import DEFAULT_PROCESSES
from sandbox.wats.wats_faults import Fault, FaultKind
from sandbox.wats.wats_server import WatsServer
from tests.sandbox.clock import Clock
from tests.sandbox.plain_wats import PLAIN
from tests.waiting import wait_until

REPORT = example_report()
POST = "/api/Report/WSJF"


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture(scope="module")
def server(clock):
    with WatsServer(profile=PLAIN, user="vte", password="p:ä", clock=clock) as started:
        yield started


@pytest.fixture
def wats(server):
    server.reset()
    yield server
    server.reset()
    server.latency_s = 0.0
    server.budget.requests_per_minute = None
    server.settings.retry_after_form = "seconds"
    server.profile = PLAIN
    server.store.processes = DEFAULT_PROCESSES


@pytest.fixture
def client(wats):
    with httpx.Client(base_url=wats.url, headers={"Authorization": f"Basic {wats.token}"}, timeout=10) as opened:
        yield opened


# ------------------------------------------------------------------------------------------------------ credentials
def test_the_token_is_user_and_password_in_base64(wats):
    assert base64.b64decode(wats.token).decode() == "vte:p:ä"


@pytest.mark.parametrize("path", ["/api/App/Version", "/api/Report/Query/Header", "/api/Report/Nothing"])
@pytest.mark.parametrize(
    "authorization",
    [None, "Basic d3Jvbmc6d3Jvbmc=", "Basic", "vte:p", "Bearer {token}", "Basic \xff"],
    ids=["none", "wrong", "empty", "plain", "bearer", "not ASCII"],
)
def test_without_the_right_credentials_everything_is_401(wats, path, authorization):
    headers = {} if authorization is None else {"Authorization": authorization.format(token=wats.token)}
    answer = httpx.get(wats.url + path, headers={name: value.encode("latin-1") for name, value in headers.items()})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_a_report_without_credentials_is_not_stored(wats):
    assert httpx.post(wats.url + POST, json=REPORT).status_code == 401
    assert len(wats.store) == 0


# ----------------------------------------------------------------------------------------------------------- budget
def test_beyond_the_budget_of_a_minute_the_server_answers_429_and_says_when_to_return(wats, client, clock):
    wats.budget.requests_per_minute = 3
    statuses = [client.get("/api/App/Version").status_code]
    clock.advance(20)
    statuses += [client.get("/api/App/Version").status_code for _ in range(2)]
    refused = client.get("/api/App/Version")
    assert (statuses, refused.status_code) == ([200] * 3, 429)
    assert refused.headers["Retry-After"] == "40"
    clock.advance(39)
    assert client.get("/api/App/Version").status_code == 429
    clock.advance(1)
    assert client.get("/api/App/Version").status_code == 200
    assert client.get("/api/App/Version").status_code == 429


def test_retry_after_can_be_a_date(wats, client, clock):
    wats.budget.requests_per_minute = 0
    wats.settings.retry_after_form = "http_date"
    header = client.get("/api/App/Version").headers["Retry-After"]
    assert parsedate_to_datetime(header) == clock().replace(microsecond=0) + timedelta(seconds=60)


def test_a_report_beyond_the_budget_is_not_stored(wats, client):
    wats.budget.requests_per_minute = 0
    assert client.post(POST, json=REPORT).status_code == 429
    assert len(wats.store) == 0


def test_the_worst_minute_counts_every_arrival_in_any_sixty_seconds(wats, client, clock):
    clock.advance(600)
    for gap in (0, 30, 29, 1, 45, 100):
        clock.advance(gap)
        client.get("/api/App/Version")
    assert wats.log.requests_in_worst_minute() == 3
    assert wats.log.total == 6


# -------------------------------------------------------------------------------------------------------------- log
def test_the_log_shows_every_request_and_its_report(wats, client, clock):
    client.post(POST, json=REPORT)
    client.get(f"/api/Report/Wsjf/{REPORT['id']}")
    client.get("/api/Report/Query/Header?$top=1")
    client.post(POST, content=b"{")
    posted, fetched, searched, refused = wats.log
    assert (posted.method, posted.path, posted.status, posted.report_id) == ("POST", POST, 200, REPORT["id"])
    assert posted.body_size_bytes == len(httpx.Request("POST", wats.url, json=REPORT).content)
    assert posted.at == clock()
    assert posted.duration_s > 0
    assert (fetched.status, fetched.report_id) == (200, REPORT["id"])
    assert searched.query == "$top=1"
    assert (refused.status, refused.report_id) == (400, None)
    assert wats.log.find(path="wsjf", status=200, report_id=REPORT["id"]) == [posted, fetched]
    assert wats.log.counts()[f"POST {POST} 200"] == 1


def test_the_log_keeps_only_the_latest_requests_and_counts_all():
    with WatsServer(profile=PLAIN, log_capacity=2) as wats:
        for _ in range(3):
            httpx.get(f"{wats.url}/api/App/Version")
        assert (len(wats.log), wats.log.total, wats.log.requests_in_worst_minute()) == (2, 3, 3)


# ---------------------------------------------------------------------------------------------------------- latency
def test_slow_answers_are_slow(wats, client):
    wats.latency_s = 0.3
    assert client.get("/api/App/Version").status_code == 200
    assert wats.log[0].duration_s >= 0.3


def test_slow_answers_are_slow_side_by_side():
    with ThreadPoolExecutor(8) as threads, WatsServer(profile=PLAIN, latency_s=600) as wats:
        headers = {"Authorization": f"Basic {wats.token}"}
        for _ in range(8):
            threads.submit(httpx.get, f"{wats.url}/api/App/Version", headers=headers, timeout=600)
        wait_until(lambda: len(wats.log) == 8, "eight requests that wait at the same time", timeout_s=60)
        assert {request.status for request in wats.log} == {None}


# ----------------------------------------------------------------------------------------------------------- faults
def test_a_status_fault_answers_with_its_status_message_and_retry_after(wats, client):
    wats.faults.add(Fault("status", status=503, retry_after=7, message="down for a moment"))
    answer = client.post(POST, json=REPORT)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert answer.json() == {"message": "down for a moment"}
    assert len(wats.store) == 0
    assert wats.log[0].fault == "status"


def test_a_login_page_is_html_with_status_200(wats, client):
    wats.faults.add(Fault("html"))
    answer = client.post(POST, json=REPORT)
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (200, "text/html")
    assert len(wats.store) == 0


def test_a_redirect_leads_to_a_page_that_answers_200(wats, client):
    wats.faults.add(Fault("redirect"))
    answer = client.post(POST, json=REPORT)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login")
    assert client.get("/login").status_code == 200


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (Fault("empty_200"), lambda answer: answer.content == b""),
        (Fault("json_200", json=[]), lambda answer: answer.json() == []),
        (Fault("wrong_id"), lambda answer: answer.json()["ID"] != REPORT["id"]),
        (Fault("no_store"), lambda answer: answer.json()["ID"] == REPORT["id"]),
    ],
    ids=lambda value: str(value.kind) if isinstance(value, Fault) else "",
)
def test_some_faults_answer_200_although_nothing_is_stored(wats, client, fault, check):
    wats.faults.add(fault)
    answer = client.post(POST, json=REPORT)
    assert answer.status_code == 200
    assert check(answer)
    assert len(wats.store) == 0


def test_a_fault_can_be_made_to_store_after_all(wats, client):
    wats.faults.add(Fault("wrong_id", store=True))
    assert client.post(POST, json=REPORT).json()["ID"] != REPORT["id"]
    assert wats.store.ids() == [REPORT["id"]]


def test_a_failing_status_can_hide_a_stored_report(wats, client):
    wats.faults.add(Fault(FaultKind.STORE_THEN_STATUS, status=500))
    assert client.post(POST, json=REPORT).status_code == 500
    assert wats.store.ids() == [REPORT["id"]]


def test_truncated_json_is_a_complete_answer_that_cannot_be_parsed(wats, client):
    wats.faults.add(Fault("truncated_json"))
    answer = client.post(POST, json=REPORT)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert wats.store.ids() == [REPORT["id"]]


def test_a_scripted_quarantine_answers_200_and_hides_the_report(wats, client):
    wats.faults.add(Fault("quarantine", reason="bad fail code"))
    assert client.post(POST, json=REPORT).json()["ID"] == REPORT["id"]
    assert len(wats.store) == 0
    assert [entry.reason for entry in wats.store.quarantined()] == ["bad fail code"]


def test_a_stored_report_whose_answer_never_comes(wats, client):
    wats.faults.add(Fault("store_then_timeout", times=1))
    with pytest.raises(httpx.ReadTimeout):
        client.post(POST, json=REPORT, timeout=1.0)
    assert wats.store.receive_counts() == {REPORT["id"]: 1}
    assert wats.log[0].status is None
    assert client.post(POST, json=REPORT).status_code == 200
    assert wats.store.receive_counts() == {REPORT["id"]: 2}


@pytest.mark.parametrize("kind", ["store_then_timeout", "stall"])
def test_a_stalled_answer_comes_after_its_delay(wats, client, kind):
    wats.faults.add(Fault(kind, delay_s=0.3))
    began = time.perf_counter()
    assert client.post(POST, json=REPORT).json()["ID"] == REPORT["id"]
    assert time.perf_counter() - began >= 0.3
    assert wats.store.ids() == [REPORT["id"]]


def on_the_wire(wats, report=REPORT):
    """Post over a plain socket; return the bytes received and the exception that ended them, None for a FIN."""
    body = json.dumps(report).encode()
    head = (
        f"POST {POST} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {wats.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    received = b""
    with socket.create_connection((wats.host, wats.port), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        try:
            while part := connection.recv(65536):
                received += part
        except ConnectionResetError as exc:
            return received, exc
    return received, None


@pytest.mark.parametrize(("kind", "stored"), [("reset", 0), ("store_then_reset", 1)])
def test_a_reset_is_seen_as_a_reset_before_any_answer(wats, kind, stored):
    wats.faults.add(Fault(kind))
    received, end = on_the_wire(wats)
    assert received == b""
    assert isinstance(end, ConnectionResetError)
    assert len(wats.store) == stored


def test_a_close_is_seen_as_an_orderly_end_before_any_answer(wats):
    wats.faults.add(Fault("close"))
    assert on_the_wire(wats) == (b"", None)
    assert len(wats.store) == 0


def test_a_reset_inside_the_answer_leaves_half_a_body(wats):
    wats.faults.add(Fault("reset_inside"))
    received, end = on_the_wire(wats)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    length = int(
        next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split(b":")[1]
    )
    assert 0 < len(body) < length
    assert isinstance(end, ConnectionResetError)
    assert wats.store.ids() == [REPORT["id"]]


def test_after_a_reset_the_next_connection_is_served(wats, client):
    wats.faults.add(Fault("reset", times=2))
    for _ in range(2):
        with pytest.raises(httpx.ReadError):
            client.post(POST, json=REPORT)
    assert client.post(POST, json=REPORT).status_code == 200


def test_a_dripping_answer_arrives_in_parts_and_whole(wats):
    wats.faults.add(Fault("drip", delay_s=0.8))
    connection = http.client.HTTPConnection(wats.host, wats.port, timeout=10)
    connection.request("POST", POST, json.dumps(REPORT), {"Authorization": f"Basic {wats.token}"})
    answer = connection.getresponse()
    began = time.perf_counter()
    first = answer.read(1)
    assert json.loads(first + answer.read())["ID"] == REPORT["id"]
    assert time.perf_counter() - began > 0.1
    connection.close()


def test_a_deaf_server_reads_no_body(wats):
    wats.faults.add(Fault("deaf", path=POST, delay_s=20, times=1))
    headers = {"Authorization": f"Basic {wats.token}"}
    with (
        httpx.Client(base_url=wats.url, headers=headers, timeout=httpx.Timeout(20, write=1)) as client,
        pytest.raises(httpx.WriteTimeout),
    ):
        client.post(POST, content=b" " * 20_000_000)
    assert [(request.fault, request.body_size_bytes) for request in wats.log] == [("deaf", 0)]


def test_a_fault_strikes_only_what_it_matches(wats, client):
    wats.faults.add(Fault("status", status=500, method="post", path="/report/wsjf", body=example_report(2)["id"]))
    assert client.post(POST, json=example_report(1)).status_code == 200
    assert client.post(POST, json=example_report(2)).status_code == 500
    assert client.get("/api/App/Version").status_code == 200


def test_a_fault_can_match_the_decoded_query(wats, client):
    wats.faults.add(Fault("status", status=500, path="uuid in ("))
    assert client.get("/api/Report/Query/Header", params={"$top": "1"}).status_code == 200
    assert client.get("/api/Report/Query/Header", params={"$filter": f"uuid in ({REPORT['id']})"}).status_code == 500


def test_a_fault_waits_strikes_its_number_of_times_and_is_spent(wats, client):
    number = wats.faults.add(Fault("status", status=500, after=1, times=2))
    assert [client.get("/api/App/Version").status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    assert wats.faults.fired(number) == 2


def test_the_fault_added_first_strikes_first(wats, client):
    wats.faults.add(Fault("status", status=501, times=1))
    wats.faults.add(Fault("status", status=502))
    assert [client.get("/api/App/Version").status_code for _ in range(2)] == [501, 502]
    wats.faults.clear()
    assert client.get("/api/App/Version").status_code == 200


def test_an_invalid_report_is_refused_even_while_a_fault_delays_it(wats, client):
    wats.faults.add(Fault("stall", delay_s=0.01))
    assert client.post(POST, content=b"{").status_code == 400


def test_an_unknown_kind_of_fault_is_refused():
    with pytest.raises(ValueError, match="explode"):
        Fault("explode")


# -------------------------------------------------------------------------------------------------------- lifecycle
def test_a_stopped_server_refuses_connections_and_comes_back_with_its_reports():
    with WatsServer(profile=PLAIN) as wats:
        port = wats.port
        headers = {"Authorization": f"Basic {wats.token}"}
        httpx.post(wats.url + POST, json=REPORT, headers=headers)
        wats.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((wats.host, port), timeout=5)
        wats.start()
        assert wats.port == port
        assert httpx.get(f"{wats.url}/api/Report/Wsjf/{REPORT['id']}", headers=headers).json() == REPORT


def test_stopping_ends_requests_that_a_fault_holds():
    with WatsServer(profile=PLAIN) as wats:
        wats.faults.add(Fault("store_then_timeout"))
        ends = []

        def post():
            try:
                httpx.post(wats.url + POST, json=REPORT, headers={"Authorization": f"Basic {wats.token}"}, timeout=120)
            except httpx.HTTPError as exc:
                ends.append(type(exc))

        thread = threading.Thread(target=post)
        thread.start()
        while len(wats.store) == 0:
            time.sleep(0.001)
        wats.stop()
        thread.join(60)
        assert ends == [httpx.RemoteProtocolError]


def test_reports_in_a_file_outlive_the_server(tmp_path):
    for expected in (1, 2):
        with WatsServer(profile=PLAIN, db_path=tmp_path / "wats.db") as wats:
            httpx.post(wats.url + POST, json=REPORT, headers={"Authorization": f"Basic {wats.token}"})
            assert wats.store.receive_counts() == {REPORT["id"]: expected}


def test_two_servers_live_side_by_side():
    with WatsServer(profile=PLAIN) as first, WatsServer(profile=PLAIN) as second:
        assert first.port != second.port
        httpx.post(first.url + POST, json=REPORT, headers={"Authorization": f"Basic {first.token}"})
        assert (len(first.store), len(second.store)) == (1, 0)


def test_many_clients_at_once_lose_and_double_nothing(wats):
    async def post_all():
        limits = httpx.Limits(max_connections=16)
        headers = {"Authorization": f"Basic {wats.token}"}
        async with httpx.AsyncClient(base_url=wats.url, headers=headers, limits=limits, timeout=30) as client:
            return await asyncio.gather(*[client.post(POST, json=example_report(n % 100)) for n in range(200)])

    answers = asyncio.run(post_all())
    assert Counter(answer.status_code for answer in answers) == {200: 200}
    assert set(wats.store.receive_counts().values()) == {2}
    assert len(wats.store) == 100


# -------------------------------------------------------------------------------------------------- admin interface
@pytest.fixture
def admin(wats):
    with httpx.Client(base_url=f"{wats.url}/sandbox/", timeout=10) as opened:
        yield opened


def test_another_process_can_add_list_and_remove_faults(wats, client, admin):
    number = admin.post("faults", json={"kind": "json_200", "json": {"a": 1}, "path": "Version"}).json()["number"]
    assert client.get("/api/App/Version").json() == {"a": 1}
    (armed,) = admin.get("faults").json()
    assert (armed["number"], armed["kind"], armed["fired"]) == (number, "json_200", 1)
    assert admin.delete(f"faults/{number}").status_code == 200
    assert admin.delete(f"faults/{number}").status_code == 404
    admin.post("faults", json={"kind": "status"})
    admin.delete("faults")
    assert client.get("/api/App/Version").json() == "2025.3.9.824"


@pytest.mark.parametrize("fault", [{"kind": "explode"}, {"kind": "status", "tmies": 1}], ids=["kind", "field"])
def test_a_misspelt_fault_is_refused(wats, admin, fault):
    assert admin.post("faults", json=fault).status_code == 400
    assert wats.faults.listed() == []


def test_another_process_can_change_and_read_the_settings(wats, client, admin):
    changed = admin.patch(
        "settings",
        json={
            "latency_s": 0.01,
            "requests_per_minute": 2,
            "retry_after_form": "http_date",
            "processes": [{"code": 7, "name": "Vibration"}],
        },
    ).json()
    assert changed == admin.get("settings").json()
    assert (wats.latency_s, wats.budget.requests_per_minute) == (0.01, 2)
    assert changed["max_filter_nodes"] == 100
    assert [process["name"] for process in client.get("/api/App/Processes").json()] == ["Vibration"]
    client.post(POST, json=REPORT)
    assert [entry.reason for entry in wats.store.quarantined()] == ["Unknown process code 100."]
    assert client.get("/api/App/Version").headers["Retry-After"].endswith("GMT")
    assert admin.patch("settings", json={"latency": 1}).status_code == 400


def test_another_process_can_read_the_reports_and_the_log(wats, client, admin):
    client.post(POST, json=REPORT)
    client.post(POST, json=REPORT)
    client.post(POST, json=example_report(2, sn=REPORT["sn"]))
    client.post(POST, json=example_report(3))
    listed = admin.get("reports").json()
    assert [(entry["id"], entry["receiveCount"], entry["sourceHash"]) for entry in listed["ids"]] == [
        (example_report(2)["id"], 3, "hash-2"),
        (example_report(3)["id"], 1, "hash-3"),
    ]
    assert (listed["reports"], listed["overwritten_same_id"], listed["overwritten_natural_key"]) == (2, 1, 1)
    assert [entry["cause"] for entry in admin.get("overwrites").json()] == ["same_id", "natural_key"]
    log = admin.get("log", params={"limit": 1}).json()
    assert (log["total"], log["requests_in_worst_minute"], len(log["requests"])) == (4, 4, 1)
    assert log["requests"][0]["report_id"] == example_report(3)["id"]
    admin.delete("log")
    admin.delete("reports")
    assert (len(wats.log), len(wats.store)) == (0, 0)
    assert admin.get("health").json()["reports"] == 0
