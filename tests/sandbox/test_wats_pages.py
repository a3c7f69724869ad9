"""The pages: what they show, and that nothing a report holds can break out of them."""

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from urllib.parse import quote

import httpx
import pytest

from sandbox.wats.example import example_report
from sandbox.wats.pages import lines_of
from sandbox.wats.wats_server import WatsServer
from tests.sandbox.plain_wats import PLAIN

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}&amp;"


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.cells = [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def server():
    with WatsServer(profile=PLAIN, clock=lambda: NOW) as started:
        yield started


@pytest.fixture
def wats(server):
    server.reset()
    return server


def receive(wats, *reports):
    for report in reports:
        wats.store.receive(json.dumps(report).encode())


def page(wats, path, status=200):
    answer = httpx.get(wats.url + path)
    assert answer.status_code == status
    return Page(answer.text)


def shown_serials(seen):
    return re.findall(r"SN\d{6}", seen.text)


def test_the_list_shows_the_latest_report_first_without_credentials(wats):
    receive(wats, example_report(1), example_report(2))
    seen = page(wats, "/")
    assert shown_serials(seen) == ["SN000002", "SN000001"]
    assert "End of line test" in seen.text


def test_the_list_can_be_narrowed_by_result_and_by_serial_number(wats):
    receive(wats, example_report(1), example_report(2, result="F"), example_report(3, result="F"))
    assert shown_serials(page(wats, "/?result=Failed")) == ["SN000003", "SN000002"]
    assert shown_serials(page(wats, "/?q=sn000002")) == ["SN000002"]
    assert shown_serials(page(wats, "/?q=sn000001&result=Failed")) == []


def test_the_list_counts_results_and_yield(wats):
    receive(wats, *[example_report(number, result="F" if number == 1 else "P") for number in range(1, 5)])
    text = " ".join(page(wats, "/").text.split())
    assert "4reports" in text
    assert "1 Failed".replace(" ", "") in text
    assert "75.0 %" in text


def test_a_long_list_has_pages(wats):
    receive(wats, *[example_report(number) for number in range(1, 53)])
    assert len(shown_serials(page(wats, "/"))) == 50
    assert shown_serials(page(wats, "/?page=2")) == ["SN000002", "SN000001"]
    assert ("href", "/?q=&result=&page=2") in page(wats, "/").attributes


def test_a_repeated_report_shows_how_often_it_came(wats):
    receive(wats, example_report(1), example_report(1), example_report(1))
    assert "3 ×" in page(wats, "/").text


def detailed_report():
    report = example_report(1, result="F")
    report["root"]["status"] = "F"
    report["root"]["steps"] = [
        {
            "id": 1,
            "name": "Ripple",
            "stepType": "ET_NLT",
            "status": "F",
            "causedUUTFailure": True,
            "reportText": "measured twice",
            "numericMeas": [{"compOp": "LE", "status": "F", "unit": "mV", "value": 61.25, "lowLimit": 50}],
            "attachment": {"name": "scope.png", "contentType": "image/png", "data": "QUJD"},
        },
        {
            "id": 2,
            "name": "Rails",
            "stepType": "ET_MNLT",
            "status": "P",
            "numericMeas": [
                {
                    "name": "3V3",
                    "compOp": "GELE",
                    "status": "P",
                    "unit": "V",
                    "value": 3.31,
                    "lowLimit": 3.2,
                    "highLimit": 3.4,
                },
                {"name": "5V", "compOp": "LOG", "status": "P", "unit": "V", "value": "NaN"},
            ],
        },
        {
            "id": 3,
            "name": "Inner",
            "stepType": "SequenceCall",
            "status": "P",
            "steps": [
                {
                    "name": "Firmware",
                    "stepType": "ET_SVT",
                    "status": "P",
                    "stringMeas": [{"compOp": "EQ", "status": "P", "value": "1.2.3", "limit": "1.2.3"}],
                },
                {"name": "Relay", "stepType": "ET_PFT", "status": "S", "booleanMeas": [{"status": "S"}]},
            ],
        },
    ]
    return report


def test_a_report_shows_header_misc_infos_steps_and_attachments(wats):
    receive(wats, detailed_report())
    seen = page(wats, f"/reports/{detailed_report()['id']}")
    for text in (
        *("SN000001", "PSU-24-10", "Station 3", "op-17", "source_hash", "hash-1", "first shift", "Power supply final"),
        *(
            "Ripple",
            "61.25",
            "mV",
            "measured twice",
            "scope.png",
            "3 bytes",
            "Rails",
            "3V3",
            "3.31",
            "Firmware",
            "1.2.3",
        ),
        *("Failed", "Passed", "Skipped", "failed the unit", "MainSequence Callback/Ripple"),
    ):
        assert text in seen.text
    assert {value for name, value in seen.attributes if name == "class" and "badge" in value} >= {
        "badge big failed",
        "badge passed",
        "badge skipped",
    }
    assert seen.tags.count("svg") == 1


def test_an_upper_limit_stands_in_the_column_of_upper_limits():
    lines = {line.name: line for line in lines_of(detailed_report()["root"])}
    assert (lines["Ripple"].low, lines["Ripple"].high, lines["Ripple"].comparison) == ("", "50", "LE")
    assert (lines["3V3"].low, lines["3V3"].high) == ("3.2", "3.4")
    assert (lines["5V"].value, lines["5V"].gauge) == ("NaN", None)
    assert [line.depth for line in lines_of(detailed_report()["root"])] == [0, 1, 1, 2, 2, 1, 2, 2]


@pytest.mark.parametrize(
    ("value", "tick"), [(3.3, 58.5), (3.2, 29.2), (3.4, 87.8), (-99.0, 0.0), (99.0, 117.0)], ids=str
)
def test_the_gauge_puts_the_value_between_its_limits_or_at_the_end(value, tick):
    measurement = {"compOp": "GELE", "status": "P", "value": value, "lowLimit": 3.2, "highLimit": 3.4}
    (line,) = lines_of({"name": "x", "stepType": "ET_NLT", "status": "P", "numericMeas": [measurement]})
    assert line.gauge.tick == pytest.approx(tick, abs=0.1)


@pytest.mark.parametrize("limits", [(5, 5), (6, 5), (-1e308, 1e308), (None, 5), ("NaN", 5)], ids=str)
def test_limits_without_a_span_have_no_gauge(limits):
    measurement = {"status": "P", "value": 1.0, "lowLimit": limits[0], "highLimit": limits[1]}
    (line,) = lines_of({"name": "x", "stepType": "ET_NLT", "status": "P", "numericMeas": [measurement]})
    assert line.gauge is None


def test_a_repair_shows_its_failures(wats):
    repair = {
        **example_report(9, processCode=500, root=..., uut=...),
        "type": "R",
        "uur": {"processCode": 100, "refUUT": example_report()["id"]},
        "subUnits": [{"sn": "SUB-1", "failures": [{"category": "Component", "code": "Cold joint", "comRef": "U7"}]}],
    }
    receive(wats, repair)
    text = page(wats, f"/reports/{repair['id']}").text
    assert all(word in text for word in ("SUB-1", "Cold joint", "Component", "U7", "hash-9"))


def test_an_overwritten_report_names_the_one_in_its_place(wats):
    receive(wats, example_report(1), example_report(2, sn="SN000001"))
    seen = page(wats, f"/reports/{example_report(1)['id']}", status=404)
    assert example_report(2)["id"] in seen.text
    listed = page(wats, "/overwrites").text
    assert "natural key" in listed
    assert example_report(1)["id"] in listed


def test_a_report_that_does_not_exist_is_404(wats):
    assert "No such report" in page(wats, "/reports/nothing", status=404).text


def test_the_quarantine_tab_lists_reports_with_reasons(wats):
    receive(wats, example_report(4, processCode=777))
    seen = page(wats, "/quarantine")
    assert "Unknown process code 777." in seen.text
    assert "SN000004" in seen.text


def test_the_requests_tab_shows_the_latest_requests(wats):
    httpx.get(f"{wats.url}/api/App/Version")
    seen = page(wats, "/requests")
    assert "GET /api/App/Version" in seen.text
    assert "401" in seen.text


def hostile_report():
    report = example_report(1, sn=HOSTILE[:100], pn=HOSTILE[:100], rev=HOSTILE[:100], machineName=HOSTILE[:100])
    report["uut"] |= {"user": HOSTILE[:100], "comment": HOSTILE}
    report["miscInfos"] = [{"description": HOSTILE[:100], "text": HOSTILE[:100]}]
    report["subUnits"] = [{"partType": HOSTILE[:100], "failures": [{"category": HOSTILE[:100], "code": HOSTILE[:100]}]}]
    report["root"]["seqCall"]["name"] = HOSTILE
    step = report["root"]["steps"][0]
    step |= {"name": HOSTILE[:100], "reportText": HOSTILE, "attachment": {"name": HOSTILE, "contentType": HOSTILE[:90]}}
    step["numericMeas"][0]["unit"] = HOSTILE[:100]
    label = report["root"]["steps"][1]
    del label["numericMeas"]
    label["stepType"] = "ET_SVT"
    label["stringMeas"] = [{"name": HOSTILE[:100], "status": "P", "value": HOSTILE[:100], "limit": HOSTILE[:100]}]
    return report


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/reports/{id}",
        "/quarantine",
        "/overwrites",
        "/requests",
        "/?q={hostile}&result={hostile}",
        "/reports/{hostile}",
    ],
)
def test_hostile_texts_stay_texts(wats, path):
    report = hostile_report()
    receive(wats, report, {**report, "id": example_report(2)["id"], "processCode": 777})
    httpx.get(f"{wats.url}/api/{HOSTILE}", params={"x": HOSTILE})
    hostile = quote(HOSTILE.replace("/", ""), safe="")
    answer = httpx.get(wats.url + path.format(id=report["id"], hostile=hostile))
    assert answer.status_code in {200, 404}
    seen = Page(answer.text)
    assert "script" not in seen.tags
    assert "img" not in seen.tags
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert "&gt;49" not in answer.text


@pytest.mark.parametrize("path", ["/", "/quarantine", "/overwrites", "/requests"])
def test_a_page_loads_nothing_from_elsewhere_and_allows_no_script(wats, path):
    answer = httpx.get(wats.url + path)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"(src|href)=\"?(https?:)?//", answer.text)
    assert "prefers-color-scheme: dark" in answer.text


def test_the_list_can_refresh_itself(wats):
    assert ("http-equiv", "refresh") in page(wats, "/?refresh=5").attributes
    assert ("http-equiv", "refresh") not in page(wats, "/").attributes
