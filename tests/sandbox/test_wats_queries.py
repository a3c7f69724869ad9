"""Searching reports: the OData subset of Query/Header, HeaderByMiscInfo, and the process list."""

import contextlib
import json
import operator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.wats.example import example_report
from sandbox.wats.odata import (
    COLUMNS_BY_NAME,
    Comparison,
    HeaderQuery,
    Junction,
    Kind,
    Literal,
    LiteralKind,
    Membership,
    Negation,
    ODataError,
    TextSearch,
    parse_filter,
    to_sql,
)
from sandbox.wats.odata_datetimes import text_of_ticks, ticks_of
from sandbox.wats.report_store import DEFAULT_PROCESSES, ReportStore
from sandbox.wats.server_settings import ServerSettings
from sandbox.wats.wats_server import WatsServer
from tests.sandbox.plain_wats import PLAIN

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
IDS = [example_report(number)["id"] for number in range(1, 31)]


def stored_reports():
    """Thirty reports, one minute apart, the first the earliest; every third failed, every fifth without operator."""
    start = datetime(2026, 3, 2, 7, tzinfo=UTC)
    for number in range(1, 31):
        report = example_report(number, start=(start + timedelta(minutes=number)).isoformat())
        report["processCode"] = (10, 50, 100)[number % 3]
        if number % 3 == 0:
            report["result"] = "F"
        if number % 5 == 0:
            del report["uut"]["user"]
        report["uut"]["comment"] = ("O'Hara's", 'say "no"', "50 % of (a, b)", "", "Ünï 🔧")[number % 5]
        yield report


@pytest.fixture(scope="module")
def wats():
    with WatsServer(profile=PLAIN, clock=lambda: NOW) as server:
        for report in stored_reports():
            server.store.receive(json.dumps(report).encode())
        repair = {**example_report(99, processCode=500, root=..., uut=...), "type": "R", "uur": {"processCode": 100}}
        server.store.receive(json.dumps(repair).encode())
        yield server


@pytest.fixture(scope="module")
def client(wats):
    with httpx.Client(base_url=wats.url, headers={"Authorization": f"Basic {wats.token}"}) as opened:
        yield opened


def query(client, **options):
    parameters = {("$" if name != "reportType" else "") + name: value for name, value in options.items()}
    return client.get("/api/Report/Query/Header", params=parameters)


def numbers(answer):
    assert answer.status_code == 200, answer.text
    return [int(header["serialNumber"][2:]) for header in answer.json()]


def test_without_options_the_ten_latest_reports_are_returned_latest_start_first(client):
    assert numbers(query(client)) == list(range(30, 20, -1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"uuid eq {IDS[4]}", [5]),
        (f"uuid eq '{IDS[4]}'", [5]),
        (f"uuid eq {IDS[4].upper()}", [5]),
        (f"uuid in ({IDS[0]},{IDS[1]})", [1, 2]),
        (f"uuid in ('{IDS[0]}', '{IDS[1]}')", [1, 2]),
        ("serialNumber eq 'SN000007'", [7]),
        ("SERIALNUMBER eq 'SN000007'", [7]),
        ("'SN000007' eq serialNumber", [7]),
        ("serialNumber in ('SN000007', 'nobody')", [7]),
        ("comment eq 'O''Hara''s' and serialNumber lt 'SN000011'", [5, 10]),
        ("comment eq 'Ünï 🔧' and serialNumber le 'SN000009'", [4, 9]),
        ("start lt 2026-03-02T07:03:00Z", [99, 1, 2]),
        ("start le 2026-03-02T07:02:00Z and reportType eq 'T'", [1, 2]),
        ("start ge 2026-03-02T08:29:00+01:00", [29, 30]),
        ("start gt 2026-03-02T07:29:00.0000000Z", [30]),
        ("2026-03-02T07:29:00Z lt start", [30]),
        ("start lt 2026-03-02", []),
        ("processCode gt 99 and processCode ne 100", [99]),
        ("processCode in (500)", [99]),
        ("executionTime gt 42.4 and executionTime lt 4.26e1 and run eq 1 and serialNumber eq 'SN000003'", [3]),
        ("userName eq null and reportType eq 'T'", [5, 10, 15, 20, 25, 30]),
        ("userName in ('nobody', null) and reportType eq 'T' and result eq 'Failed'", [15, 30]),
        ("not (userName ne null) and not (reportType eq 'R')", [5, 10, 15, 20, 25, 30]),
        ("not userName eq 'op-17' and result eq 'Failed'", [15, 30]),
        ("userName ne 'op-17' and result eq 'Failed'", [15, 30]),
        ("userName gt null", []),
        ("result eq 'Failed' and (serialNumber lt 'SN000004' or serialNumber gt 'SN000029')", [3, 30]),
        ("serialNumber eq 'SN000001' or serialNumber eq 'SN000002' and result eq 'Failed'", [1]),
        ("contains(comment, 'no\"') and serialNumber lt 'SN000007'", [1, 6]),
        ("startswith(serialNumber, 'SN00003')", [30]),
        ("endswith(serialNumber, '30')", [30]),
        ("not contains(comment, '%') and serialNumber lt 'SN000003'", [1]),
        ("measuresDeleted eq true", []),
        ("receiveCount ge 2", []),
    ],
)
def test_a_filter_finds_exactly_the_reports_it_describes(client, text, expected):
    assert sorted(numbers(query(client, filter=text, top="100"))) == sorted(expected)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"filter": "colour eq 'red'"}, "colour"),
        ({"filter": "serialNumber has 'x'"}, "has"),
        ({"filter": "processCode add 1 eq 2"}, "add"),
        ({"filter": "year(start) eq 2026"}, "year"),
        ({"filter": "miscInfo/any(m: m/value eq 'x')"}, "miscInfo/any"),
        ({"filter": "serialNumber eq"}, "Expression expected"),
        ({"filter": ""}, "Expression expected"),
        ({"filter": "serialNumber eq 'x"}, "position"),
        ({"filter": "serialNumber eq 'x' serialNumber"}, "unexpected 'serialNumber'"),
        ({"filter": "(serialNumber eq 'x'"}, "Expression expected"),
        ({"filter": "serialNumber eq 'A'1'"}, "position"),
        ({"filter": "serialNumber in ()"}, "unexpected ')'"),
        ({"filter": "serialNumber eq 5"}, "serialNumber"),
        ({"filter": "processCode eq '5'"}, "processCode"),
        ({"filter": "start gt '2026-01-01T00:00:00Z'"}, "start"),
        ({"filter": "start gt 2026-01-01T00:00:00"}, "offset"),
        ({"filter": "start gt 2026-13-01T00:00:00Z"}, "2026-13-01"),
        ({"filter": "uuid eq 'no-guid'"}, "no-guid"),
        ({"filter": "(" * 200 + "run eq 1" + ")" * 200}, "nested"),
        ({"filter": "contains(processCode, 'x')"}, "contains"),
        ({"orderby": "partNumber"}, "partNumber"),
        ({"orderby": "colour"}, "colour"),
        ({"orderby": "start sideways"}, "sideways"),
        ({"select": "uuid,colour"}, "colour"),
        ({"expand": "steps"}, "steps"),
        ({"top": "10001"}, "10001"),
        ({"top": "-1"}, "$top"),
        ({"top": "x"}, "$top"),
        ({"skip": "-1"}, "$skip"),
        ({"count": "true"}, "$count"),
        ({"reportType": "Q"}, "reportType"),
    ],
    ids=str,
)
def test_what_the_server_does_not_know_is_refused_and_named(client, options, named):
    answer = query(client, **options)
    assert answer.status_code == 400
    assert named in answer.json()["message"]


def test_an_option_given_twice_is_refused(client):
    answer = client.get("/api/Report/Query/Header?$top=1&$top=2")
    assert (answer.status_code, "$top" in answer.json()["message"]) == (400, True)


def test_a_query_string_of_2048_characters_is_the_longest_that_iis_lets_through(client):
    opening = "$top=1&$filter=" + quote("serialNumber eq '")
    for length, status in ((2048, 200), (2049, 404)):
        text = opening + "x" * (length - len(opening) - 3) + "%27"
        assert len(text) == length
        answer = client.get(httpx.URL(f"{client.base_url}/api/Report/Query/Header", query=text.encode()))
        assert answer.status_code == status
    assert "404.15" in answer.text


def test_forty_bare_ids_with_misc_infos_fit_into_one_query(client):
    ids = [example_report(number)["id"] for number in range(1, 41)]
    answer = query(client, filter=f"uuid in ({','.join(ids)})", expand="miscInfo", top="40")
    assert sorted(numbers(answer)) == list(range(1, 31))


def test_a_chain_of_seventeen_alternatives_exceeds_the_node_limit_and_fifteen_do_not(client):
    for count, status in ((15, 200), (17, 400)):
        answer = query(client, filter=" or ".join(f"uuid eq {report_id}" for report_id in IDS[:count]))
        assert answer.status_code == status
    assert "node count limit" in answer.json()["message"]


def test_top_and_skip_page_through_the_reports(client):
    assert numbers(query(client, top="3", skip="2")) == [28, 27, 26]
    assert numbers(query(client, top="0")) == []
    assert len(numbers(query(client, top="10000"))) == 31


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("start", [99, 1, 2]),
        ("start desc", [30, 29, 28]),
        ("serialNumber asc", [1, 2, 3]),
        ("uuid desc", [99, 30, 29]),
        ("timestamp desc,start", [99, 30, 29]),
    ],
)
def test_reports_come_in_the_order_asked_for(client, order, expected):
    assert numbers(query(client, orderby=order, top="3")) == expected


def test_the_report_type_parameter_separates_tests_from_repairs(client):
    assert numbers(query(client, reportType="R")) == [99]
    assert 99 not in numbers(query(client, reportType="U", top="100"))


def test_select_leaves_only_what_was_asked_for(client):
    (header,) = query(client, select="uuid,result", top="1").json()
    assert header == {"uuid": IDS[29], "result": "Failed"}


def test_misc_infos_come_only_when_expanded(client):
    (plain,) = query(client, top="1").json()
    assert "miscInfo" not in plain
    (header,) = query(client, top="1", select="uuid", expand="miscInfo,assets").json()
    assert header == {
        "uuid": IDS[29],
        "miscInfo": [
            {"description": "source", "value": "VTE"},
            {"description": "source_id", "value": "VTE:30"},
            {"description": "source_hash", "value": "hash-30"},
        ],
        "assets": [],
    }


def test_every_list_of_a_header_can_be_expanded(client):
    names = "subUnits,miscInfo,assets,attachments,uurSubUnits,uurMiscInfo,uurAttachments"
    (header,) = query(client, top="1", reportType="R", expand=names).json()
    assert [name for name in names.split(",") if header[name]] == ["uurMiscInfo"]


def test_a_header_holds_every_field_of_the_report(client):
    (header,) = query(client, filter="serialNumber eq 'SN000002'").json()
    assert header == {
        "uuid": IDS[1],
        "serialNumber": "SN000002",
        "partNumber": "PSU-24-10",
        "reportType": "T",
        "start": "2026-03-02T07:02:00Z",
        "revision": "B",
        "result": "Passed",
        "batchNumber": "B-0815",
        "userName": "op-17",
        "stationName": "Station 3",
        "location": "Hall 2",
        "purpose": "Production",
        "measuresDeleted": False,
        "timeStamp": 2,
        "processCode": 100,
        "processName": "End of line test",
        "comment": "50 % of (a, b)",
        "executionTime": 42.5,
        "swFilename": "Power supply final",
        "swVersion": "1.4.0",
        "testSocketIndex": None,
        "fixtureId": None,
        "errorCode": 0,
        "errorMessage": None,
        "run": 1,
        "receiveCount": 1,
        "reportSize": 2,
        "causedUutFailure": None,
        "causedUutFailurePath": None,
        "passedInRun": 1,
        "referencedUut": None,
    }


def test_run_numbers_follow_the_start_and_not_the_arrival():
    store = ReportStore(None, settings=ServerSettings(PLAIN), clock=lambda: NOW)
    for number, hour, result in ((1, 9, "P"), (2, 8, "F"), (3, 10, "P")):
        report = example_report(number, sn="SAME", start=f"2026-03-02T{hour:02}:00:00Z", result=result)
        store.receive(json.dumps(report).encode())
    seen = {header["start"][11:13]: (header["run"], header["passedInRun"]) for header in store.headers()}
    assert seen == {"08": (1, 2), "09": (2, 2), "10": (3, 2)}


def test_the_step_that_failed_the_unit_stands_in_the_header():
    store = ReportStore(None, settings=ServerSettings(PLAIN), clock=lambda: NOW)
    report = example_report(result="F")
    report["root"]["status"] = report["root"]["steps"][1]["status"] = "F"
    report["root"]["steps"][1]["causedUUTFailure"] = True
    store.receive(json.dumps(report).encode())
    (header,) = store.headers()
    assert header["causedUutFailure"] == "Output voltage 2"
    assert header["causedUutFailurePath"] == "MainSequence Callback/Output voltage 2"


def by_misc_info(client, **parameters):
    answer = client.get("/api/Report/Query/HeaderByMiscInfo", params=parameters)
    assert answer.status_code == 200
    return answer.json()


def test_a_misc_info_finds_its_report(client):
    assert by_misc_info(client, description="source_id", data="VTE:4") == [
        {
            "miscData": [{"description": "source_id", "data": "VTE:4"}],
            "serialNumber": "SN000004",
            "partNumber": "PSU-24-10",
            "start": "2026-03-02T07:04:00Z",
            "result": "Passed",
            "uuid": IDS[3],
            "processCode": 50,
            "processName": "PCBA test",
        }
    ]


def test_without_a_value_every_report_with_the_misc_info_is_found(client):
    assert len(by_misc_info(client, description="source_id")) == 31
    assert len(by_misc_info(client, description="source_id", stringValue="VTE:4")) == 31  # unknown names are ignored
    assert by_misc_info(client, description="nothing") == []


def test_misc_infos_can_be_narrowed_by_serial_number_and_process(client):
    assert len(by_misc_info(client, description="source", serialNumber="SN000004")) == 1
    assert len(by_misc_info(client, description="source", processCode=50)) == 10
    assert by_misc_info(client, description="source", processCode=50, serialNumber="SN000005") == []


def test_a_process_code_that_is_no_number_is_refused_and_named(client):
    answer = client.get("/api/Report/Query/HeaderByMiscInfo?processCode=x")
    assert (answer.status_code, "processCode" in answer.json()["message"]) == (400, True)


def test_the_process_list_names_every_process(client):
    found = client.get("/api/App/Processes").json()
    assert [process["code"] for process in found] == [10, 50, 90, 100, 110, 120, 500]
    assert found[3] == {
        "code": 100,
        "name": "End of line test",
        "description": "",
        "isTestOperation": True,
        "isRepairOperation": False,
        "isWipOperation": False,
    }
    assert len(found) == len(DEFAULT_PROCESSES)
    (repair,) = client.get("/api/App/Processes?includeRepairOperations=true").json()
    assert repair["code"] == 500


def test_the_version_is_a_json_text(client):
    assert client.get("/api/App/Version").json() == "2025.3.9.824"


def test_an_unknown_address_is_named(client):
    answer = client.get("/api/Report/Nothing")
    assert (answer.status_code, "/api/report/nothing" in answer.json()["message"]) == (404, True)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("2026-01-30T22:01:41.4707353+01:00", "2026-01-30T21:01:41.4707353Z"),
        ("2026-01-30T22:01:41.47073539Z", "2026-01-30T22:01:41.4707353Z"),
        ("2026-01-30T22:01:41.500Z", "2026-01-30T22:01:41.5Z"),
        ("1969-12-31T23:59:59.9Z", "1969-12-31T23:59:59.9Z"),
        ("2026-01-30T00:00:00-05:30", "2026-01-30T05:30:00Z"),
    ],
)
def test_an_instant_keeps_a_hundred_nanoseconds(text, normal):
    assert text_of_ticks(ticks_of(text)) == normal


# ------------------------------------------------------------------------------------------------------- properties
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | st.sampled_from(
    ["op-17", "Passed", "SN000004", "O'Hara's", "' or 1 eq 1 or '", "%", ""]
)
literals_of_kind = {
    Kind.STRING: st.builds(lambda text: Literal(LiteralKind.STRING, text), texts),
    Kind.GUID: st.builds(lambda guid: Literal(LiteralKind.GUID, guid), st.sampled_from(IDS) | st.uuids().map(str)),
    Kind.INTEGER: st.builds(
        lambda number: Literal(LiteralKind.NUMBER, number), st.sampled_from([0, 1, 10, 50, 100]) | st.integers(-9, 9)
    ),
    Kind.NUMBER: st.builds(
        lambda number: Literal(LiteralKind.NUMBER, number),
        st.sampled_from([42.5, 42]) | st.floats(allow_nan=False, allow_infinity=False),
    ),
    Kind.INSTANT: st.builds(
        lambda moment: Literal(LiteralKind.INSTANT, moment.isoformat() + "Z"),
        st.datetimes(datetime(2026, 3, 2, 7), datetime(2026, 3, 2, 8)),
    ),
    Kind.BOOLEAN: st.builds(lambda value: Literal(LiteralKind.BOOLEAN, value), st.booleans()),
}
NULL = Literal(LiteralKind.NULL, None)
columns = st.sampled_from([column for column in COLUMNS_BY_NAME.values() if column.name != "passedInRun"])
predicates = st.one_of(
    columns.flatmap(
        lambda column: st.builds(
            Comparison,
            st.just(column.name),
            st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]),
            literals_of_kind[column.kind] | st.just(NULL),
        )
    ),
    columns.flatmap(
        lambda column: st.builds(
            Membership,
            st.just(column.name),
            st.lists(literals_of_kind[column.kind] | st.just(NULL), min_size=1, max_size=4).map(tuple),
        )
    ),
    st.builds(
        TextSearch,
        st.sampled_from(["contains", "startswith", "endswith"]),
        st.sampled_from(["serialNumber", "comment", "userName"]),
        texts,
    ),
)
filters = st.recursive(
    predicates,
    lambda nodes: st.one_of(
        st.builds(Negation, nodes), st.builds(Junction, st.sampled_from(["and", "or"]), nodes, nodes)
    ),
    max_leaves=8,
)


def written(node):
    """The text of a filter, with parentheses wherever they are allowed."""
    match node:
        case Junction():
            return f"({written(node.left)}) {node.operator} ({written(node.right)})"
        case Negation():
            return f"not ({written(node.operand)})"
        case TextSearch():
            return f"{node.function}({node.field},{written(Literal(LiteralKind.STRING, node.text))})"
        case Membership():
            return f"{node.field} in ({', '.join(map(written, node.literals))})"
        case Comparison():
            return f"{node.field}  {node.operator} {written(node.literal)}"
        case Literal(kind=LiteralKind.STRING):
            return "'" + node.value.replace("'", "''") + "'"
        case Literal(kind=LiteralKind.BOOLEAN):
            return str(node.value).lower()
        case Literal(kind=LiteralKind.NULL):
            return "null"
        case Literal():
            return str(node.value)


def value_of(header, field):
    return ticks_of(header[field]) if field == "start" else header[field]


def constant(literal):
    return ticks_of(literal.value) if literal.kind is LiteralKind.INSTANT else literal.value


def compares(comparison, value):
    """Whether a comparison holds for a value; one with nothing is false unless it asks for equality."""
    compare, other = getattr(operator, comparison.operator), constant(comparison.literal)
    if comparison.operator in {"eq", "ne"}:
        return compare(value, other)
    if value is None or other is None:
        return False
    return compare(value.encode(), other.encode()) if isinstance(value, str) else compare(value, other)


TEXT_SEARCHES = {"contains": operator.contains, "startswith": str.startswith, "endswith": str.endswith}


def holds(node, header):
    """Whether a header meets a filter, by plain Python."""
    match node:
        case Junction():
            both = all if node.operator == "and" else any
            return both([holds(node.left, header), holds(node.right, header)])
        case Negation():
            return not holds(node.operand, header)
        case Membership():
            return value_of(header, node.field) in [constant(literal) for literal in node.literals]
        case TextSearch():
            value = value_of(header, node.field)
            return value is not None and TEXT_SEARCHES[node.function](value, node.text)
        case Comparison():
            return compares(node, value_of(header, node.field))


@pytest.fixture(scope="module")
def everything(wats):
    return wats.store.headers(HeaderQuery(top=1000))


@given(filters)
def test_any_filter_that_can_be_written_is_read_back_as_it_was_meant(node):
    assert parse_filter(written(node)) == node


@settings(max_examples=120, deadline=None)
@given(filters)
def test_the_database_finds_what_plain_python_finds(wats, everything, node):
    sql, values = to_sql(parse_filter(written(node)))
    found = wats.store.headers(HeaderQuery(where=sql, values=tuple(values), top=1000, select=("uuid",)))
    assert {header["uuid"] for header in found} == {header["uuid"] for header in everything if holds(node, header)}


@given(st.text(st.sampled_from("serialNumber eq'()0-9a, ornot\t'Z:T") | st.characters(exclude_categories=["Cs"])))
def test_no_text_whatever_ends_in_anything_but_a_result_or_a_refusal(text):
    with contextlib.suppress(ODataError):
        to_sql(parse_filter(text))
