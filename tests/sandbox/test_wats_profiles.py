"""Every behaviour that a profile can switch, and the four named sets of them."""

import base64
import copy
import importlib
import json
import os
import subprocess
import sys
from enum import Enum
from uuid import NAMESPACE_OID, uuid5

import httpx
import pytest

from sandbox.wats.example import example_report
from sandbox.wats.profiles import (
    DESCRIBED,
    LENIENT,
    PROFILES,
    REPORTED,
    STRICT,
    Assumption,
    MiscInfos,
    ProfileName,
    Verdict,
    WatsProfile,
)
from sandbox.wats.report_store import QUARANTINE_PAUSE_S, QUARANTINE_TRIES, Process
from sandbox.wats.wats_faults import Fault, FaultKind
from sandbox.wats.wats_server import WatsServer
from tests.sandbox.clock import Clock

POST = "/api/Report/WSJF"
HEADERS = "/api/Report/Query/Header"
REPORT_ID = example_report()["id"]


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture(scope="module")
def server(clock):
    with WatsServer(clock=clock) as started:
        yield started


@pytest.fixture
def wats(server):
    server.reset()
    processes = server.store.processes
    yield server
    server.store.processes = processes


@pytest.fixture
def client(wats):
    headers = {"Authorization": f"Basic {wats.token}"}
    with httpx.Client(base_url=wats.url, headers=headers, timeout=10) as opened:
        yield opened


def post(client, report):
    return client.post(POST, json=report)


def headers(client, filter_text=f"uuid eq {REPORT_ID}", **options):
    """Answer a header query."""
    return client.get(HEADERS, params={"$filter": filter_text} | {f"${name}": text for name, text in options.items()})


def changed(*path, to):
    """An example report of a strict server in which one field is another; `...` removes it."""
    report = copy.deepcopy(example_report(startUTC="2026-03-02T07:00:00Z"))
    part = report
    for key in path[:-1]:
        part = part[key]
    if to is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = to
    return report


# -------------------------------------------------------------------------------------------------------- the model
def assumption_of(name):
    (assumption,) = (entry for entry in WatsProfile.model_fields[name].metadata if isinstance(entry, Assumption))
    return assumption


def test_every_field_says_what_it_rests_on_and_which_test_shows_it():
    for name, field in WatsProfile.model_fields.items():
        assumption = assumption_of(name)
        assert field.description, name
        assert assumption.source, name
        path, _, test = assumption.test.partition("::")
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        assert callable(getattr(module, test)), name


def test_the_test_that_shows_a_switch_plays_each_of_its_values(repository, tmp_path):
    """A switch that is named beside a test which never turns it would be shown by nothing. A number has two values."""
    shown_by = {name: assumption_of(name).test for name in WatsProfile.model_fields}
    notes = tmp_path / "played.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.sandbox.played_profiles", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *dict.fromkeys(shown_by.values())],
        cwd=repository,
        env=os.environ | {"PLAYED_PROFILES": str(notes), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    played = json.loads(notes.read_text())
    excluded_runs = {}
    for name, test in shown_by.items():
        kind, values = WatsProfile.model_fields[name].annotation, played.get(test, {}).get(name, [])
        missing = set(kind) - set(values) if issubclass(kind, Enum) else range(2 - len(values))
        if missing:
            excluded_runs[name] = (values, test)
    assert excluded_runs == {}


def test_every_value_of_a_switch_is_in_a_named_set_or_shown_here():
    """A behaviour that nothing plays is an assumption nobody checks."""
    played = {name: {getattr(profile, name) for profile in PROFILES.values()} for name in WatsProfile.model_fields}
    assert {name: values for name, values in played.items() if len(values) == 1} == {
        "max_body_bytes": {30_000_000},
        "large_attachments": {Verdict.TAKEN},
        "merges_within_second": {False},
        "misc_infos": {MiscInfos.LISTED},
    }


def test_a_profile_cannot_be_changed_and_takes_no_unknown_value():
    with pytest.raises(ValueError, match="frozen"):
        DESCRIBED.shown_after_s = 5
    with pytest.raises(ValueError, match="shown_after_s"):
        DESCRIBED.but(shown_after_s=-1)
    with pytest.raises(ValueError, match="shown_afer_s"):
        DESCRIBED.but(shown_afer_s=1)


@pytest.mark.parametrize("name", ProfileName)
def test_an_ordinary_report_goes_through_every_named_set_and_is_found_by_its_serial_number(wats, client, name):
    wats.profile = PROFILES[name]
    answer = post(client, example_report(startUTC="2026-03-02T07:00:00Z"))
    assert answer.status_code == 200
    wats.show_all()
    (header,) = headers(client, "serialNumber eq 'SN000001'", expand="miscInfo").json()
    assert header["miscInfo"][1] == {"description": "source_id", "value": "VTE:1"}


def test_another_process_can_choose_a_set_or_change_one_behaviour(wats, client):
    wats.profile = DESCRIBED
    chosen = client.patch("/sandbox/settings", json={"profile": "strict"}).json()["profile"]
    assert chosen == STRICT.model_dump(mode="json")
    client.patch("/sandbox/settings", json={"profile": {"shown_after_s": 0.5}})
    assert wats.profile == STRICT.but(shown_after_s=0.5)
    for wrong in ("stricter", {"shown_after": 1}, {"guid_form": "round"}):
        assert client.patch("/sandbox/settings", json={"profile": wrong}).status_code == 400
    assert wats.profile == STRICT.but(shown_after_s=0.5)


# -------------------------------------------------------------------------------------------------------- answers
def test_a_post_is_answered_with_an_object_or_an_array_of_one(wats, client):
    wats.profile = DESCRIBED
    assert post(client, example_report()).json() == {"ID": REPORT_ID, "uuid": REPORT_ID, "Report_ID": 1}
    wats.profile = REPORTED
    assert post(client, example_report()).json() == [{"ID": REPORT_ID, "uuid": REPORT_ID, "Report_ID": 1}]
    for kind in (FaultKind.NO_STORE, FaultKind.WRONG_ID):
        wats.faults.add(Fault(kind, path=POST, times=1))
        (result,) = post(client, example_report()).json()
        assert (result["ID"] == REPORT_ID) == (kind is FaultKind.NO_STORE)


def test_a_server_that_renames_changes_the_uuid_and_keeps_the_id(wats, client):
    wats.profile = DESCRIBED
    assert post(client, example_report()).json() == {"ID": REPORT_ID, "uuid": REPORT_ID, "Report_ID": 1}
    wats.store.clear()
    wats.profile = DESCRIBED.but(renames_reports=True)
    first, second = (post(client, example_report()).json() for _ in range(2))
    own_id = str(uuid5(NAMESPACE_OID, REPORT_ID))
    assert (first["ID"], first["uuid"]) == (second["ID"], second["uuid"]) == (REPORT_ID, own_id)
    assert wats.store.receive_counts() == {own_id: 2}
    assert client.get(f"/api/Report/Wsjf/{own_id}").json() == example_report() | {"id": own_id}
    assert client.get(f"/api/Report/Wsjf/{REPORT_ID}").status_code == 404


def test_a_body_beyond_the_limit_is_refused(wats, client):
    wats.profile = DESCRIBED.but(max_body_bytes=100)
    refused = post(client, example_report())
    assert (refused.status_code, refused.json()["message"]) == (413, "The request body exceeds 100 bytes.")
    wats.profile = REPORTED.but(max_body_bytes=100)
    refused = post(client, example_report())
    assert (refused.status_code, refused.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "404.13" in refused.text
    assert len(wats.store) == 0
    wats.profile = REPORTED.but(max_body_bytes=len(refused.request.content))
    assert post(client, example_report()).status_code == 200


@pytest.mark.parametrize(("skipped_steps", "is_kept"), [("kept", True), ("without values", False)])
def test_a_skipped_step_keeps_its_values_or_its_report_text_alone(wats, client, skipped_steps, is_kept):
    wats.profile = DESCRIBED.but(skipped_steps=skipped_steps)
    values = {
        "numericMeas": [{"status": "S", "value": 1}],
        "chart": {"chartType": "Line"},
        "attachment": {"name": "a.txt", "contentType": "text/plain", "data": "YWJj"},
    }
    step = {"name": "Gain", "stepType": "ET_NLT", "status": "S", "reportText": "Value: 1.0"}
    report = changed(*STEP, to=step | values)
    for _ in range(2):
        assert post(client, report).status_code == 200
    stored = client.get(f"/api/Report/Wsjf/{REPORT_ID}").json()
    assert stored == (report if is_kept else changed(*STEP, to=step))
    (header,) = headers(client, expand="attachments").json()
    assert bool(header["attachments"]) is is_kept
    assert [overwrite.same_content for overwrite in wats.store.overwrites()] == [True]


# -------------------------------------------------------------------------------------------------------- queries
def test_a_report_shows_in_queries_once_its_time_has_come(wats, client, clock):
    wats.profile = REPORTED
    post(client, example_report())

    def found():
        return (
            len(headers(client).json()),
            len(client.get("/api/Report/Query/HeaderByMiscInfo", params={"data": "VTE:1"}).json()),
            client.get(f"/api/Report/Wsjf/{REPORT_ID}").status_code,
        )

    assert found() == (0, 0, 404)
    clock.advance(1.99)
    assert found() == (0, 0, 404)
    clock.advance(0.01)
    assert found() == (1, 1, 200)
    wats.store.clear()
    wats.profile = DESCRIBED
    post(client, example_report())
    assert found() == (1, 1, 200)


def test_a_replaced_report_shows_its_earlier_content_until_the_new_one_has_come(wats, client, clock):
    wats.profile = REPORTED
    post(client, example_report())
    clock.advance(2)
    newer = example_report(result="F")
    newer["miscInfos"][2]["text"] = "newer"
    post(client, newer)

    def seen():
        (header,) = headers(client, expand="miscInfo").json()
        (by_info,) = client.get("/api/Report/Query/HeaderByMiscInfo", params={"data": "VTE:1"}).json()
        whole = client.get(f"/api/Report/Wsjf/{REPORT_ID}").json()
        return header["result"], header["miscInfo"][2]["value"], by_info["result"], whole["result"]

    assert seen() == ("Passed", "hash-1", "Passed", "P")
    clock.advance(2)
    assert seen() == ("Failed", "newer", "Failed", "F")
    assert wats.store.receive_counts() == {REPORT_ID: 2}


def test_the_start_in_headers_has_whole_seconds_or_a_fraction(wats, client):
    wats.profile = DESCRIBED
    post(client, example_report(start="2026-03-02T08:00:00.75+01:00"))

    def found(condition):
        return [header["start"] for header in headers(client, condition).json()]

    assert found("start eq 2026-03-02T07:00:00Z") == ["2026-03-02T07:00:00Z"]
    assert found("start le 2026-03-02T07:00:00Z") == ["2026-03-02T07:00:00Z"]
    assert found("start eq 2026-03-02T07:00:00.75Z") == []
    wats.profile = LENIENT
    assert found("start eq 2026-03-02T07:00:00.75Z") == ["2026-03-02T07:00:00.75Z"]
    assert found("start le 2026-03-02T07:00:00Z") == []


@pytest.mark.parametrize("merges", [False, True])
def test_two_starts_within_a_second_are_two_reports_unless_merged(wats, client, merges):
    wats.profile = DESCRIBED.but(merges_within_second=merges)
    for number, start in enumerate(("07:00:00Z", "07:00:00.9Z", "07:00:01Z", "06:59:59.99Z")):
        post(client, example_report(number, sn="SAME", start=f"2026-03-02T{start}"))
    assert len(wats.store) == (3 if merges else 4)


@pytest.mark.parametrize(
    ("misc_infos", "listed", "searched", "whole"),
    [("listed", 3, 1, True), ("not in headers", 0, 1, True), ("nowhere", 0, 0, False)],
)
def test_misc_infos_are_listed_or_stand_in_whole_reports_alone_or_nowhere(
    wats, client, misc_infos, listed, searched, whole
):
    wats.profile = DESCRIBED.but(misc_infos=misc_infos)
    post(client, example_report())
    (header,) = headers(client, expand="miscInfo").json()
    assert len(header["miscInfo"]) == listed
    assert len(client.get("/api/Report/Query/HeaderByMiscInfo", params={"data": "VTE:1"}).json()) == searched
    assert ("miscInfos" in client.get(f"/api/Report/Wsjf/{REPORT_ID}").json()) is whole


BARE, QUOTED = f"uuid in ({REPORT_ID})", f"uuid in ('{REPORT_ID}')"


@pytest.mark.parametrize(
    ("form", "statuses"),
    [("bare", (200, 500)), ("quoted", (500, 200)), ("both", (200, 200)), ("neither", (500, 500))],
)
def test_guids_in_a_list_have_the_form_the_server_knows(wats, client, form, statuses):
    wats.profile = DESCRIBED.but(guid_form=form, wrong_guid_status=500)
    assert (headers(client, BARE).status_code, headers(client, QUOTED).status_code) == statuses
    assert headers(client).status_code == 200
    wats.profile = wats.profile.but(wrong_guid_status=400)
    assert {headers(client, BARE).status_code, headers(client, QUOTED).status_code} <= {200, 400}


@pytest.mark.parametrize(
    ("condition", "top", "status"),
    [
        ("start ge 2026-03-02T00:00:00Z and start lt 2026-03-03T00:00:00Z", "10", 400),
        ("processCode eq 100 and start ge 2026-03-02T00:00:00Z", "10", 400),
        ("serialNumber eq 'A' or start ge 2026-03-02T00:00:00Z", "10", 400),
        ("not (start lt 2026-03-02T00:00:00Z)", "10", 400),
        ("partNumber eq 'PSU-24-10'", "101", 400),
        ("partNumber eq 'PSU-24-10'", "100", 200),
        ("serialNumber in ('A','B') and start ge 2026-03-02T00:00:00Z", "200", 200),
        (QUOTED, "200", 200),
    ],
)
def test_a_listing_is_refused_unless_it_names_its_reports(wats, client, condition, top, status):
    wats.profile = STRICT
    answer = headers(client, condition, top=top)
    assert answer.status_code == status
    assert (status == 200) or f"$top was '{top}'" in answer.json()["message"]
    wats.profile = DESCRIBED
    assert headers(client, condition, top=top).status_code == 200


# ------------------------------------------------------------------------------------------------------ quarantine
@pytest.mark.parametrize(("quarantine", "gives_up"), [("by rules", False), ("by rules, invalid after 24 tries", True)])
def test_a_report_is_put_aside_processed_again_and_given_up_as_the_server_does(
    wats, client, clock, quarantine, gives_up
):
    report = example_report(processCode=777)
    wats.profile = DESCRIBED.but(quarantine="none")
    assert post(client, report).status_code == 200
    assert len(headers(client).json()) == 1
    wats.store.clear()
    wats.profile = DESCRIBED.but(quarantine=quarantine)

    def tries():
        client.get(HEADERS)
        (entry,) = wats.store.quarantined()
        return entry.tries, entry.is_invalid

    assert post(client, report).status_code == 200
    assert tries() == (1, False)
    clock.advance(QUARANTINE_PAUSE_S)
    assert tries() == (2, False)
    clock.advance(QUARANTINE_PAUSE_S * (QUARANTINE_TRIES - 3))
    assert tries() == (QUARANTINE_TRIES - 1, False)
    clock.advance(QUARANTINE_PAUSE_S)
    assert tries() == (QUARANTINE_TRIES, gives_up)
    wats.store.processes = [*wats.store.processes, Process(777, "Vibration")]
    clock.advance(QUARANTINE_PAUSE_S)
    assert len(headers(client).json()) == (0 if gives_up else 1)
    post(client, report)
    assert len(headers(client).json()) == 1
    assert wats.store.quarantined() == []


def test_a_report_leaves_quarantine_by_itself_once_its_process_is_known(wats, client, clock):
    wats.profile = DESCRIBED
    post(client, example_report(processCode=777))
    clock.advance(QUARANTINE_PAUSE_S * 100)
    assert headers(client).json() == []
    wats.store.processes = [*wats.store.processes, Process(777, "Vibration")]
    clock.advance(QUARANTINE_PAUSE_S)
    assert [header["processName"] for header in headers(client).json()] == ["Vibration"]
    assert wats.store.quarantined() == []


def test_a_server_without_quarantine_shows_what_others_put_aside(wats, client):
    wats.profile = LENIENT
    post(client, example_report(processCode=777, start="2099-01-01T00:00:00Z"))
    (header,) = headers(client).json()
    assert (header["processCode"], header["processName"]) == (777, None)


# ------------------------------------------------------------------------------------------------------- validation
STEP = ("root", "steps", 1)
MEASURED = (*STEP, "numericMeas", 0)
LABEL = {"name": "Label", "stepType": "ET_SVT", "status": "P", "stringMeas": [{"status": "P", "value": "x"}]}

SWITCHED = {
    "D on a measured step": (
        changed(*STEP, "status", to="D"),
        {"done_on_measured_step": "refused"},
        "root.steps[1].status: must not be 'D' on a step with numericMeas",
    ),
    "equal step names": (
        changed(*STEP, "name", to="Output voltage 1"),
        {"equal_step_names": "refused"},
        "root.steps[1].name: must be unique under its parent, and 'Output voltage 1' is steps[0]",
    ),
    "unit of 21": (
        changed(*MEASURED, "unit", to="u" * 21),
        {"long_units": "refused"},
        f"root.steps[1].numericMeas[0].unit: has 21 characters; the maximum length is 20: '{'u' * 21}'",
    ),
    "no operator": (changed("uut", "user", to=...), {"missing_user": "refused"}, "uut.user: is required"),
}


@pytest.mark.parametrize(("report", "switch", "message"), SWITCHED.values(), ids=SWITCHED.keys())
def test_a_report_against_one_switch_is_refused_with_field_rule_and_value(wats, client, report, switch, message):
    wats.profile = LENIENT.but(**switch)
    refused = post(client, report)
    assert (refused.status_code, refused.json()) == (400, {"message": message})
    wats.profile = STRICT
    assert post(client, report).status_code == 400
    for profile in (DESCRIBED, REPORTED, LENIENT):
        wats.profile = profile
        assert post(client, report).status_code == 200


@pytest.mark.parametrize("place", ["a step", "the report"])
def test_an_attachment_beyond_the_limit_is_refused_where_large_ones_are(wats, client, place):
    for size_bytes, verdict, status in ((102_400, "refused", 200), (102_401, "refused", 400), (102_401, "taken", 200)):
        wats.profile = REPORTED.but(large_attachments=verdict)
        file = {"name": "large.bin", "data": base64.b64encode(bytes(size_bytes)).decode()}
        report = changed("binaryData", to=[file]) if place == "the report" else changed(*STEP, "attachment", to=file)
        assert post(client, report).status_code == status


def test_what_lies_just_within_the_switches_is_taken(wats, client):
    wats.profile = STRICT
    report = changed("uut", "user", to="")
    report["root"]["steps"][1]["numericMeas"][0]["unit"] = "u" * 20
    below = copy.deepcopy(report["root"]["steps"][0])
    report["root"]["steps"][0]["steps"] = [below]  # the same name, under another parent
    report["root"]["steps"].append({"name": "Wait", "stepType": "NI_Wait", "status": "D"})
    assert post(client, report).status_code == 200


@pytest.mark.parametrize("status", "DET")
@pytest.mark.parametrize(
    ("kind", "step_type"), [("numericMeas", "ET_NLT"), ("stringMeas", "ET_SVT"), ("booleanMeas", "ET_PFT")]
)
def test_a_measurement_that_is_done_is_refused_where_only_p_f_s_are_known(wats, client, status, kind, step_type):
    report = changed(*STEP, to={"name": "x", "stepType": step_type, "status": "P", kind: [{"status": status}]})
    for profile in (REPORTED, STRICT):
        wats.profile = profile
        message = f"root.steps[1].{kind}[0].status: must be one of P F S, not '{status}'"
        assert post(client, report).json() == {"message": message}
    for profile in (DESCRIBED, LENIENT):
        wats.profile = profile
        assert post(client, report).status_code == 200


def with_attachment(encoded):
    return changed(*STEP, "attachment", to={"name": "a.png", "contentType": "image/png", "data": encoded})


AGAINST_THE_DESCRIPTION = {
    "no uut": (changed("uut", to=...), "uut: is required"),
    "no revision": (changed("rev", to=...), "rev: is required"),
    "no location": (changed("location", to=...), "location: is required"),
    "empty location": (changed("location", to=""), "location: must not be empty, as '' is"),
    "no purpose": (changed("purpose", to=None), "purpose: is required"),
    "serial of 101": (changed("sn", to="x" * 101), "sn: has 101 characters; the maximum length is 100: 'xx"),
    "root without sequence call": (changed("root", "seqCall", to=...), "root.seqCall: is required"),
    "GELE without low limit": (
        changed(*MEASURED, "lowLimit", to=...),
        "root.steps[1].numericMeas[0].lowLimit: is required with compOp 'GELE'",
    ),
    "GELE without high limit": (
        changed(*MEASURED, "highLimit", to=None),
        "root.steps[1].numericMeas[0].highLimit: is required with compOp 'GELE'",
    ),
    "LE with its limit in highLimit": (
        changed(*MEASURED, to={"status": "P", "compOp": "LE", "value": 1, "highLimit": 2}),
        "root.steps[1].numericMeas[0].lowLimit: is required with compOp 'LE'",
    ),
    "text compared with nothing": (
        changed(*STEP, to=LABEL | {"stringMeas": [{"status": "P", "value": "x", "compOp": "EQ"}]}),
        "root.steps[1].stringMeas[0].limit: is required with compOp 'EQ'",
    ),
    "attachment that is no base64": (
        with_attachment("no base64!"),
        "root.steps[1].attachment.data: must be base64, not 'no base64!'",
    ),
    "base64 without its end": (with_attachment("QUJ"), "root.steps[1].attachment.data: must be base64, not 'QUJ'"),
    "two kinds of measurement": (
        changed(*STEP, "stringMeas", to=[{"status": "P", "value": "x"}]),
        "root.steps[1].stringMeas: a step holds measurements of one kind, and this one has numericMeas already",
    ),
    "text in a numeric step": (
        changed(*STEP, to=LABEL | {"stepType": "ET_NLT"}),
        "root.steps[1].stringMeas: a step of type 'ET_NLT' holds numericMeas",
    ),
    "two values in a step of one": (
        changed(*STEP, to=LABEL | {"stringMeas": LABEL["stringMeas"] * 2}),
        "root.steps[1].stringMeas: a step of type 'ET_SVT' holds one measurement, not 2",
    ),
    "several values without names": (
        changed(*STEP, to=LABEL | {"stepType": "ET_MSVT"}),
        "root.steps[1].stringMeas[0].name: is required",
    ),
    "step without status": (changed(*STEP, "status", to=...), "root.steps[1].status: must be one of P F D E T S, not None"),
}  # fmt: skip


@pytest.mark.parametrize(("report", "message"), AGAINST_THE_DESCRIPTION.values(), ids=AGAINST_THE_DESCRIPTION.keys())
def test_each_validation_refuses_what_its_source_does(wats, client, report, message):
    for profile in (DESCRIBED, REPORTED, STRICT):
        wats.profile = profile
        refused = post(client, report)
        assert refused.status_code == 400
        assert refused.json()["message"].startswith(message)
    wats.profile = LENIENT
    assert post(client, report).status_code == 200
    assert len(wats.store) == 1
    assert httpx.get(f"{wats.url}/reports/{REPORT_ID}").status_code == 200
    assert headers(client, expand="attachments,subUnits,assets").status_code == 200


def test_the_vendor_asks_for_the_start_in_utc_too(wats, client):
    wats.profile = STRICT
    refused = post(client, changed("startUTC", to=...))
    assert (refused.status_code, refused.json()) == (400, {"message": "startUTC: is required"})
    wats.profile = REPORTED
    assert post(client, changed("startUTC", to=...)).status_code == 200


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("root",), []),
        (("root", "steps"), {}),
        (("root", "steps", 0), 5),
        (("uut",), "op"),
        (("rev",), 5),
        (("binaryData",), [1]),
        ((*STEP, "attachment"), {"data": 5}),
        ((*STEP, "numericMeas"), 5),
    ],
    ids=lambda entry: ".".join(map(str, entry)) if isinstance(entry, tuple) else "",
)
def test_even_a_lenient_server_refuses_another_type_of_json(wats, client, path, value):
    wats.profile = LENIENT
    assert post(client, changed(*path, to=value)).status_code == 400


# ------------------------------------------------------------------------------------------------------ maintenance
@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 413, 422, 503])
def test_maintenance_stands_in_front_of_everything_until_it_is_over(wats, client, clock, status):
    wats.profile = REPORTED
    wats.faults.add(Fault(FaultKind.MAINTENANCE, status=status, duration_s=600))
    answers = [
        post(client, example_report()),
        headers(client),
        httpx.get(f"{wats.url}/api/App/Version"),
        client.get(HEADERS, params={"$filter": "x" * 3_000}),
    ]
    assert {answer.status_code for answer in answers} == {status}
    assert all("under maintenance" in answer.text for answer in answers)
    clock.advance(599)
    assert headers(client).status_code == status
    clock.advance(1)
    assert headers(client).status_code == 200
    assert httpx.get(f"{wats.url}/api/App/Version").status_code == 401
    assert len(wats.store) == 0


def test_maintenance_can_be_ordered_by_another_process(wats, client):
    client.post("/sandbox/faults", json={"kind": "maintenance", "status": 403, "duration_s": 60}).raise_for_status()
    assert client.get("/api/App/Version").status_code == 403


def test_what_a_server_put_aside_or_hides_survives_its_restart(tmp_path, clock):
    path = tmp_path / "wats.db"
    first = example_report(startUTC="2026-03-02T07:00:00Z")
    with WatsServer(profile=STRICT, clock=clock, db_path=path) as wats:
        wats.store.receive(json.dumps(first).encode())
        wats.store.receive(json.dumps(first | {"id": example_report(2)["id"], "processCode": 777}).encode())
    with WatsServer(profile=STRICT, clock=clock, db_path=path) as wats:
        assert wats.store.shown_body(REPORT_ID) is None
        clock.advance(60)
        assert wats.store.shown_body(REPORT_ID) is not None
        clock.advance(QUARANTINE_PAUSE_S)
        wats.store.shown_body(REPORT_ID)
        assert [entry.tries for entry in wats.store.quarantined()] == [2]
