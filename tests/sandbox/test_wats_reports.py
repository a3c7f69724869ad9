"""Posting reports: what is stored, overwritten, refused, and quarantined."""

import copy
import json
from datetime import UTC, datetime

import httpx
import pytest

from sandbox.wats.example import example_report
from sandbox.wats.report_store import DEFAULT_PROCESSES, Cause, Process
from sandbox.wats.wats_server import WatsServer
from tests.sandbox.plain_wats import PLAIN

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def server():
    with WatsServer(profile=PLAIN, clock=lambda: NOW) as started:
        yield started


@pytest.fixture
def wats(server):
    server.reset()
    server.store.processes = DEFAULT_PROCESSES
    server.profile = PLAIN
    return server


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Basic {server.token}"}) as opened:
        yield opened


def post(client, report):
    content = report if isinstance(report, bytes) else json.dumps(report).encode()
    return client.post("/api/Report/WSJF", content=content)


def with_change(path, value):
    """An example report in which the field at `path` (keys and indices) is `value`; `...` removes it."""
    report = copy.deepcopy(example_report())
    part = report
    for key in path[:-1]:
        part = part[key]
    if value is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return report


def test_a_report_that_was_removed_is_gone_and_may_be_posted_again(wats, client):
    report_id = example_report()["id"]
    post(client, example_report())
    assert [wats.store.remove(report_id.upper()), wats.store.remove(report_id)] == [True, False]
    assert (wats.store.ids(), client.get(f"/api/Report/Wsjf/{report_id}").status_code) == ([], 404)
    post(client, example_report())
    assert wats.store.ids() == [report_id]


def test_a_posted_report_is_answered_with_its_id_and_comes_back_byte_for_byte(wats, client):
    content = json.dumps(example_report(), indent=3, ensure_ascii=False).encode()
    answer = post(client, content)
    report_id = example_report()["id"]
    assert answer.status_code == 200
    assert answer.json() == {"ID": report_id, "uuid": report_id, "Report_ID": 1}
    assert client.get(f"/api/Report/Wsjf/{report_id}").content == content
    assert wats.store.report(report_id) == example_report()
    assert wats.store.reports() == [example_report()]


def test_the_case_of_a_path_and_of_an_id_does_not_matter(client):
    report = example_report(id="ABCDEF00-0000-4000-8000-00000000000A")
    assert client.post("/API/report/wsjf", json=report).status_code == 200
    assert client.get("/api/REPORT/Wsjf/ABCDEF00-0000-4000-8000-00000000000A").json() == report


def test_a_report_nobody_sent_is_not_found(client):
    answer = client.get("/api/Report/Wsjf/00000000-0000-4000-8000-000000000000")
    assert answer.status_code == 404
    assert "message" in answer.json()


def test_posting_an_id_again_overwrites_the_report_and_counts_the_receipt(wats, client):
    first, second = example_report(), example_report(result="F", sn="OTHER")
    assert post(client, first).json()["Report_ID"] == post(client, second).json()["Report_ID"]
    assert wats.store.receive_counts() == {first["id"]: 2}
    assert wats.store.report(first["id"]) == second
    (header,) = wats.store.headers()
    assert (header["receiveCount"], header["result"], header["serialNumber"]) == (2, "Failed", "OTHER")
    (overwrite,) = wats.store.overwrites()
    assert (overwrite.cause, overwrite.same_content) == (Cause.SAME_ID, False)


def test_an_equal_repetition_is_distinguished_from_a_changed_one(wats, client):
    post(client, example_report())
    post(client, example_report())
    assert [overwrite.same_content for overwrite in wats.store.overwrites()] == [True]


def test_another_id_with_the_same_natural_key_takes_the_place_of_the_earlier_report(wats, client):
    lost = example_report(1)
    heir = example_report(2, sn=lost["sn"], start="2026-03-02T07:00:00Z")  # the same instant, written otherwise
    post(client, lost)
    assert post(client, heir).status_code == 200
    assert wats.store.ids() == [heir["id"]]
    assert wats.store.replaced_by(lost["id"]) == heir["id"]
    assert wats.store.replaced_by(heir["id"]) is None
    assert wats.store.counts()["overwritten_natural_key"] == 1
    assert wats.store.receive_counts() == {heir["id"]: 2}
    assert client.get(f"/api/Report/Wsjf/{lost['id']}").status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"sn": "ELSE"},
        {"pn": "ELSE"},
        {"processCode": 110},
        {"start": "2026-03-02T08:00:00.0000001+01:00"},
    ],
    ids=["serial", "part", "process", "start by 100 ns"],
)
def test_reports_that_differ_in_one_part_of_the_natural_key_stand_side_by_side(wats, client, change):
    first = example_report(1)
    post(client, first)
    post(client, {**example_report(2), "sn": first["sn"], **change})
    assert len(wats.store) == 2
    assert wats.store.overwrites() == []


def test_one_report_can_overwrite_its_own_id_and_a_namesake_at_once(wats, client):
    post(client, example_report(1))
    post(client, example_report(2))
    post(client, example_report(2, sn=example_report(1)["sn"]))
    assert wats.store.receive_counts() == {example_report(2)["id"]: 3}
    assert {overwrite.cause for overwrite in wats.store.overwrites()} == {Cause.SAME_ID, Cause.NATURAL_KEY}


STEP = ("root", "steps", 1)
MEASURED = (*STEP, "numericMeas", 0)
MEASURABLE = {"name": "Label", "status": "P"}
REFUSED = {
    "no id": (("id",), ..., "id"),
    "id that is no GUID": (("id",), "42", "id"),
    "unknown type": (("type",), "X", "type"),
    "no serial": (("sn",), ..., "sn"),
    "blank serial": (("sn",), "  ", "sn"),
    "serial of 101": (("sn",), "x" * 101, "sn"),
    "serial as a number": (("sn",), 5, "sn"),
    "no part number": (("pn",), None, "pn"),
    "part number of 101": (("pn",), "x" * 101, "pn"),
    "no station": (("machineName",), ..., "machineName"),
    "purpose of 101": (("purpose",), "x" * 101, "purpose"),
    "no process": (("processCode",), ..., "processCode"),
    "process as a text": (("processCode",), "100", "processCode"),
    "result as a word": (("result",), "Passed", "result"),
    "skipped result": (("result",), "S", "result"),
    "no start": (("start",), ..., "start"),
    "start without offset": (("start",), "2026-03-02T08:00:00", "start"),
    "start that is no time": (("start",), "yesterday", "start"),
    "start on no day": (("start",), "2026-02-30T08:00:00Z", "start"),
    "no root": (("root",), ..., "root"),
    "misc info without description": (("miscInfos", 1, "description"), ..., "miscInfos[1].description"),
    "misc value of 101": (("miscInfos", 2, "text"), "x" * 101, "miscInfos[2].text"),
    "misc infos that are no list": (("miscInfos",), {}, "miscInfos"),
    "comment of 5001": (("uut", "comment"), "x" * 5001, "uut.comment"),
    "operator of 101": (("uut", "user"), "x" * 101, "uut.user"),
    "endless time": (("uut", "execTime"), 1e999, ""),
    "error code of 64 bits": (("uut", "errorCode"), 2**31, "uut.errorCode"),
    "sequence version of 31": (("root", "seqCall", "version"), "x" * 31, "root.seqCall.version"),
    "step without name": ((*STEP, "name"), ..., "root.steps[1].name"),
    "step name of 101": ((*STEP, "name"), "x" * 101, "root.steps[1].name"),
    "step without type": ((*STEP, "stepType"), ..., "root.steps[1].stepType"),
    "step status as a word": ((*STEP, "status"), "Passed", "root.steps[1].status"),
    "step status of a small dead letter": ((*STEP, "status"), "p", "root.steps[1].status"),
    "unknown group": ((*STEP, "group"), "Q", "root.steps[1].group"),
    "steps that are no list": ((*STEP, "steps"), {"a": 1}, "root.steps[1].steps"),
    "step that is no object": (STEP, 7, "root.steps[1]"),
    "measured text": ((*MEASURED, "value"), "12,5", "root.steps[1].numericMeas[0].value"),
    "measured truth": ((*MEASURED, "value"), True, "root.steps[1].numericMeas[0].value"),
    "limit that is a list": ((*MEASURED, "highLimit"), [], "root.steps[1].numericMeas[0].highLimit"),
    "unknown comparison": ((*MEASURED, "compOp"), "ABOUT", "root.steps[1].numericMeas[0].compOp"),
    "measurement without status": ((*MEASURED, "status"), ..., "root.steps[1].numericMeas[0].status"),
    "measured string of 101": (
        STEP,
        {**MEASURABLE, "stepType": "ET_SVT", "stringMeas": [{"status": "P", "value": "x" * 101}]},
        "root.steps[1].stringMeas[0].value",
    ),
    "attachment without name": ((*STEP, "attachment"), {"data": ""}, "root.steps[1].attachment.name"),
}


@pytest.mark.parametrize(("path", "value", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_a_report_against_the_rules_is_refused_with_the_field_named(wats, client, path, value, field):
    answer = post(client, with_change(path, value))
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(f"{field}: " if field else "The request body is not valid JSON")
    assert len(wats.store) == 0
    assert wats.store.quarantined() == []


ACCEPTED = {
    "serial of 100": (("sn",), "x" * 100),
    "misc value of 100": (("miscInfos", 0, "text"), "x" * 100),
    "comment of 5000": (("uut", "comment"), "x" * 5000),
    "sequence version of 30": (("root", "seqCall", "version"), "x" * 30),
    "no operator": (("uut", "user"), ...),
    "skipped step": ((*STEP, "status"), "S"),
    "NaN as a text": ((*MEASURED, "value"), "NaN"),
    "a number as a text": ((*MEASURED, "lowLimit"), "-1.5e3"),
    "comparison in mixed case": ((*MEASURED, "compOp"), "GeLe"),
    "start in another zone": (("start",), "2026-03-02T08:00:00.1234567+05:30"),
    "characters of every plane": (("sn",), "Ünïcode-部品-🔧"),
    "integers beyond 64 bits": ((*MEASURED, "value"), 10**30),
}


@pytest.mark.parametrize(("path", "value"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_report_just_within_the_rules_is_stored(wats, client, path, value):
    report = with_change(path, value)
    assert post(client, report).status_code == 200
    assert wats.store.reports() == [report]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b"null", b'{"value": NaN}', b'{"sn": "\\ud800"}', b"\xff\xfe"],
    ids=["empty", "cut", "list", "text", "null", "NaN", "lone surrogate", "not UTF-8"],
)
def test_what_is_no_json_object_is_refused(client, body):
    answer = post(client, body)
    assert answer.status_code == 400
    assert "request body" in answer.json()["message"]


def test_steps_nested_without_end_are_refused_and_the_server_lives_on(client):
    step = leaf = {"name": "deep", "stepType": "SequenceCall", "status": "P"}
    for _ in range(150):
        leaf["steps"] = [{"name": "deep", "stepType": "SequenceCall", "status": "P"}]
        leaf = leaf["steps"][0]
    assert post(client, example_report(root=step)).status_code == 400
    assert client.get("/api/App/Version").status_code == 200


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"processCode": 777}, "Unknown process code 777."),
        ({"processCode": 500}, "Process 500 (Repair) is not a test operation."),
        ({"start": "2026-06-01T12:01:01Z"}, "Start 2026-06-01T12:01:01Z is in the future."),
    ],
    ids=["unknown process", "repair process", "future start"],
)
def test_some_reports_are_answered_with_200_and_yet_no_query_finds_them(wats, client, changes, reason):
    report = example_report(**changes)
    answer = post(client, report)
    assert (answer.status_code, answer.json()["ID"]) == (200, report["id"])
    assert client.get("/api/Report/Query/Header").json() == []
    assert client.get(f"/api/Report/Wsjf/{report['id']}").status_code == 404
    (entry,) = wats.store.quarantined()
    assert (entry.id, entry.reason, entry.report) == (report["id"], reason, report)
    (listed,) = client.get("/sandbox/quarantine").json()
    assert (listed["id"], listed["reason"]) == (report["id"], reason)
    assert reason.encode() in client.get("/quarantine").content


def test_a_start_within_the_tolerance_of_the_clock_is_stored(wats, client):
    post(client, example_report(start="2026-06-01T12:01:00Z"))
    assert len(wats.store) == 1


def test_a_quarantined_report_leaves_quarantine_once_it_is_sent_again_and_accepted(wats, client):
    report = example_report(processCode=777)
    post(client, report)
    post(client, report)
    assert [entry.receive_count for entry in wats.store.quarantined()] == [2]
    wats.store.processes = [*wats.store.processes, Process(777, "Vibration")]
    post(client, report)
    assert wats.store.quarantined() == []
    assert wats.store.ids() == [report["id"]]


def repair(**changes):
    return {
        **example_report(9, processCode=500, root=..., uut=...),
        "type": "R",
        "uur": {
            "processCode": 100,
            "refUUT": example_report()["id"],
            "user": "op-4",
            "comment": "replaced",
            "confirmDate": "2026-03-03T08:00:00Z",
            "finalizeDate": "2026-03-03T08:10:00Z",
            "execTime": 0,
        },
        "subUnits": [
            {
                "partType": "Main",
                "pn": "PSU-24-10",
                "sn": "SN9",
                "failures": [{"category": "Component", "code": "Broken"}],
            }
        ],
        **changes,
    }


def test_a_repair_report_is_stored_and_refers_to_its_test(wats, client):
    assert post(client, repair()).status_code == 200
    (header,) = wats.store.headers()
    assert (header["reportType"], header["referencedUut"]) == ("R", example_report()["id"])
    assert (header["userName"], header["comment"], header["processName"]) == ("op-4", "replaced", "Repair")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"uur": None}, "uur"),
        ({"uur": {"refUUT": None}}, "uur.processCode"),
        ({"uur": {"processCode": 100, "refUUT": "x"}}, "uur.refUUT"),
        ({"uur": {"processCode": 100, "confirmDate": "x"}}, "uur.confirmDate"),
        ({"subUnits": [{"failures": [{"category": "Component"}]}]}, "subUnits[0].failures[0].code"),
    ],
    ids=["no uur", "no process", "bad reference", "bad date", "failure without code"],
)
def test_a_repair_report_against_the_rules_is_refused_with_the_field_named(client, changes, field):
    answer = post(client, repair(**changes))
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(f"{field}: ")


def test_a_repair_under_a_test_process_goes_to_quarantine(wats, client):
    post(client, repair(processCode=100))
    assert [entry.reason for entry in wats.store.quarantined()] == [
        "Process 100 (End of line test) is not a repair operation."
    ]


def test_a_compressed_body_is_refused_aloud(client):
    answer = client.post("/api/Report/WSJF", content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415
