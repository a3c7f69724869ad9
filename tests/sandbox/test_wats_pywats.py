"""The server as pyWATS sees it: the vendor's own client, models and errors."""

import asyncio
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from pywats import AsyncWATS, pyWATS
from pywats.core.async_client import AsyncHttpClient
from pywats.core.exceptions import AuthenticationError
from pywats.core.routes import Routes
from pywats.core.throttle import RateLimiter
from pywats.domains.report.report_models import Attachment
from pywats.domains.report.report_models.common_types import ReportStatus, SequenceCallInfo, StepStatus
from pywats.domains.report.report_models.uur.uur_info import UURInfo
from pywats.domains.report.report_models.uut.uut_info import UUTInfo
from pywats.models import UURReport, UUTReport
from pywats.shared.enums import CompOp

from sandbox.wats.wats_server import WatsServer
from tests.sandbox.plain_wats import PLAIN

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "wats" / "wsjf"
PASSED, FAILED = StepStatus("P"), StepStatus("F")


@pytest.fixture(scope="module")
def server():
    with WatsServer(profile=PLAIN, clock=lambda: NOW) as started:
        yield started


@pytest.fixture
def wats(server):
    server.reset()
    return server


def low_level(server, call):
    """Run one call of pyWATS's HTTP client, with its cache, throttle and circuit breaker off."""

    async def run():
        client = AsyncHttpClient(
            base_url=server.url,
            token=server.token,
            enable_cache=False,
            enable_circuit_breaker=False,
            rate_limiter=RateLimiter(enabled=False),
        )
        try:
            return await call(client)
        finally:
            await client.close()

    return asyncio.run(run())


def high_level(server, call):
    """Run one call of pyWATS's domain interface."""

    async def run():
        async with AsyncWATS(
            base_url=server.url, token=server.token, enable_cache=False, rate_limiter=RateLimiter(enabled=False)
        ) as api:
            return await call(api)

    return asyncio.run(run())


def uut_report(number=1, **changes):
    """A report with every kind of step that pyWATS can build."""
    values = {
        "id": uuid.uuid5(uuid.NAMESPACE_URL, f"urn:test:{number}"),
        "pn": "RFM-900",
        "sn": f"RF{number:05}",
        "rev": "C",
        "process_code": 110,
        "station_name": "RF bench 2",
        "location": "Hall 1",
        "purpose": "Production",
        "start": datetime(2026, 3, 2, 8, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2))),
        "result": ReportStatus("F"),
    }
    report = UUTReport(**(values | changes))
    report.info = UUTInfo(operator="op-17", fixture_id="F-3", exec_time=87.25, comment="second shift")
    report.add_misc_info("source_id", f"VTE:{number}")
    report.add_misc_info("Text", "<&> \"quoted\" 'O''Hara' Ünï 🔧")
    root = report.root
    root.name, root.status = "MainSequence Callback", FAILED
    root.sequence = SequenceCallInfo(name="rf.seq", path="rf.seq", version="2.1")
    limited = {"unit": "dBm", "status": PASSED}
    root.add_numeric_step(name="Log", value=-3.25, comp_op=CompOp.LOG, **limited)
    root.add_numeric_step(name="Band", value=1.5, comp_op=CompOp.GELE, low_limit=1, high_limit=2, **limited)
    root.add_numeric_step(name="Upper", value=1.5, comp_op=CompOp.LE, low_limit=2, **limited)
    root.add_numeric_step(name="Equal", value=1, comp_op=CompOp.EQ, low_limit=1, **limited)
    root.add_numeric_step(name="Not a number", value="NaN", comp_op=CompOp.LOG, unit="", status=FAILED)
    root.add_string_step(name="Firmware", value="1.2.3", comp_op=CompOp.CASESENSIT, limit="1.2.3", status=PASSED)
    root.add_boolean_step(name="Relay", status=StepStatus("S"))
    several = root.add_multi_numeric_step(name="Rails", status=PASSED)
    several.add_measurement(name="3V3", value=3.31, unit="V", comp_op=CompOp.GE, low_limit=3.2, status=PASSED)
    several.add_measurement(name="5V", value=5.02, unit="V", status=PASSED)
    inner = root.add_sequence_call(name="Inner")
    inner.status = FAILED
    step = inner.add_numeric_step(name="Deep", value=9.0, comp_op=CompOp.LT, low_limit=5, unit="A", status=FAILED)
    step.add_attachment(Attachment.from_bytes("scope.png", b"\x89PNG", "image/png"))
    report.add_binary_data(b"log text", "log.txt", "text/plain")
    return report


def uur_report():
    report = UURReport(
        id=uuid.uuid5(uuid.NAMESPACE_URL, "urn:test:repair"),
        pn="RFM-900",
        sn="RF00001",
        rev="C",
        process_code=500,
        station_name="Repair desk",
        location="Hall 1",
        purpose="Repair",
        start=NOW - timedelta(days=1),
        info=UURInfo(
            operator="op-4",
            process_code=110,
            ref_uut=uut_report().id,
            confirm_date=NOW - timedelta(hours=3),
            finalize_date=NOW - timedelta(hours=2),
            exec_time=0.0,
        ),
    )
    report.add_failure("Component", "Cold joint", comment="resoldered", component_ref="U7")
    return report


@pytest.mark.parametrize("report", [uut_report(), uur_report()], ids=["test", "repair"])
@pytest.mark.parametrize("exclude_none", [True, False], ids=["without nulls", "with nulls"])
def test_a_report_built_with_pywats_comes_back_equal(wats, report, exclude_none):
    content = report.model_dump_json(by_alias=True, exclude_none=exclude_none).encode()
    answer = low_level(wats, lambda client: client.post(Routes.Report.WSJF, data=content))
    assert (answer.status_code, answer.data["ID"]) == (200, str(report.id))
    returned = low_level(wats, lambda client: client.get(f"/api/Report/Wsjf/{report.id}"))
    assert returned.data == json.loads(content)
    assert wats.store.receive_counts() == {str(report.id): 1}
    assert wats.store.quarantined() == []


@pytest.mark.parametrize("name", ["new_report_example", "uut-wsjf-export", "uur_example"])
def test_a_report_exported_by_a_real_server_comes_back_equal(wats, name):
    path = SAMPLES / f"{name}.json"
    if not path.exists():
        pytest.skip(f"the sample report {path.name} is not there: its folder is not a part of this repository")
    content = path.read_bytes()
    answer = low_level(wats, lambda client: client.post(Routes.Report.WSJF, data=content))
    report_id = json.loads(content)["id"]
    assert (answer.status_code, answer.data["ID"]) == (200, report_id)
    assert wats.store.report(report_id) == json.loads(content)
    assert wats.store.quarantined() == []


def test_submit_report_returns_the_id(wats):
    report = uut_report()
    assert high_level(wats, lambda api: api.report.submit_report(report)) == str(report.id)
    assert wats.store.ids() == [str(report.id)]


def test_submit_report_raises_the_message_of_a_refusal(wats):
    report = uut_report()
    report.sn = "x" * 101
    with pytest.raises(ValueError, match=r"\(400\): sn: has 101 characters"):
        high_level(wats, lambda api: api.report.submit_report(report))


def test_query_headers_finds_the_submitted_report(wats):
    async def call(api):
        await api.report.submit_report(uut_report(1))
        await api.report.submit_report(uut_report(2))
        return await api.report.query_uut_headers(odata_filter="serialNumber eq 'RF00001'", expand=["miscInfo"], top=5)

    (header,) = high_level(wats, call)
    assert (str(header.uuid), header.serial_number, header.result) == (str(uut_report(1).id), "RF00001", "Failed")
    assert "VTE:1" in {info.value for info in header.misc_info}


def test_the_raw_header_keeps_what_the_pywats_model_drops(wats):
    async def call(client):
        await client.post(Routes.Report.WSJF, data=uut_report().model_dump_json(by_alias=True).encode())
        return await client.get(
            Routes.Report.QUERY_HEADER, params={"$filter": f"uuid in ({uut_report().id})", "$expand": "miscInfo"}
        )

    (header,) = low_level(wats, call).data
    assert (header["userName"], header["start"]) == ("op-17", "2026-03-02T06:00:00.123456Z")


def test_version_and_processes_are_read(wats):
    async def call(api):
        return await api.analytics.get_version(), await api.process.get_test_operation(110)

    version, process = high_level(wats, call)
    assert version == "2025.3.9.824"
    assert (process.code, process.name) == (110, "RF calibration")


def test_a_wrong_token_is_an_authentication_error(wats):
    async def call():
        async with AsyncWATS(base_url=wats.url, token="d3Jvbmc6d3Jvbmc=", enable_cache=False) as api:
            return await api.analytics.get_version()

    with pytest.raises(AuthenticationError):
        asyncio.run(call())


def test_the_synchronous_client_works_too(wats):
    def use():
        """In a thread of its own, because the synchronous client leaves its event loop to the thread that used it."""
        client = pyWATS(base_url=wats.url, token=wats.token, enable_cache=False)
        try:
            report_id = client.report.submit_report(uut_report())
            return client.get_version(), report_id, client.report.get_report(report_id).sn
        finally:
            client.close()

    with ThreadPoolExecutor(1) as pool:
        version, report_id, serial = pool.submit(use).result(60)
    assert (version, report_id, serial) == ("2025.3.9.824", str(uut_report().id), "RF00001")
