"""A WATS in memory that can be any, and a clock that passes when somebody waits."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from vte_wats.acceptance.observe import WatsResponse
from vte_wats.acceptance.probes import Plan
from vte_wats.intervals.interval import Interval

PLAN = Plan(datetime(2026, 3, 2, 12, 0, 0, 500_000, tzinfo=UTC), 100, 501)


class FakeClock:
    def __init__(self) -> None:
        self.s = 1_000.0

    def now_s(self) -> float:
        return self.s

    def wait(self, seconds: float) -> None:
        self.s += seconds


class FakeWats:
    """Stores reports by id and natural key, and shows them ``delay_s`` later.

    ``refuses`` returns the rule that a report breaks; ``status_of`` gives the forms of ids that are not understood.
    """

    id_forms = ("bare", "quoted", "or_chain")

    def __init__(
        self,
        clock: FakeClock,
        *,
        delay_s: float = 0.0,
        renames: bool = False,
        array: bool = False,
        refuses: Callable[[dict[str, Any]], str | None] = lambda _: None,
        status_of: dict[str, int] | None = None,
        lists_ranges: bool = True,
        body_limit: int = 10**9,
        misc_infos: bool = True,
        quarantines: Sequence[int] = (PLAN.unknown_process_code,),
    ) -> None:
        self._clock, self._delay_s, self._renames, self._array = clock, delay_s, renames, array
        self._refuses, self._status_of, self._lists_ranges = refuses, status_of or {}, lists_ranges
        self._body_limit, self._quarantines = body_limit, quarantines
        self._misc_infos = misc_infos
        self.stored: dict[UUID, tuple[float, dict[str, Any], int]] = {}
        self.renamed: dict[str, UUID] = {}
        self.posts = 0

    def post(self, body: bytes) -> WatsResponse:
        self.posts += 1
        if len(body) > self._body_limit:
            return WatsResponse(404, text="The resource cannot be found.")
        report = json.loads(body)
        if rule := self._refuses(report):
            return WatsResponse(400, text=rule)
        stored_id = UUID(report["id"])
        if self._renames:
            stored_id = self.renamed.setdefault(report["id"], uuid4())
        if report["processCode"] not in self._quarantines:
            _, _, times = self.stored.get(stored_id, (0, {}, 0))
            for key in [key for key, (_, other, _) in self.stored.items() if _key(other) == _key(report)]:
                del self.stored[key]
            self.stored[stored_id] = (self._clock.s + self._delay_s, report, times + 1)
        result = {"ID": report["id"], "uuid": str(stored_id)}
        return WatsResponse(200, [result] if self._array else result, json.dumps(result), took_ms=5.0)

    def ids_of(self, answer: WatsResponse) -> tuple[UUID, UUID] | None:
        result = answer.content[0] if isinstance(answer.content, list) else answer.content
        return UUID(result["ID"]), UUID(result["uuid"])

    def headers_by_id(self, form: str, ids: Sequence[UUID]) -> WatsResponse:
        if form in self._status_of:
            return WatsResponse(self._status_of[form], text="The query is not valid.")
        return self._headers(lambda stored_id, _: stored_id in ids)

    def headers_by_range(self, started: Interval) -> WatsResponse:
        if not self._lists_ranges:
            return WatsResponse(400, text="Name the reports.")
        return self._headers(lambda _, report: datetime.fromisoformat(report["start"]) in started)

    def headers_by_serial(self, serial: str, part_number: str, process_code: int, start_at: datetime) -> WatsResponse:
        return self._headers(lambda _, report: (report["sn"], report["pn"]) == (serial, part_number))

    def headers_by_source_id(self, source_id: str) -> WatsResponse:
        return self._headers(lambda _, report: source_id in [info["text"] for info in report["miscInfos"]])

    def headers_of_part(self, part_number: str, *, with_limit: bool, skip: int = 0) -> WatsResponse:
        if with_limit and not self._lists_ranges:
            return WatsResponse(400, text="Name the reports.")
        found = self._headers(lambda _, report: report["pn"] == part_number).objects
        page = list(found[skip:][: 200 if with_limit else 10])
        return WatsResponse(200, page, took_ms=2.0)

    def report(self, report_id: UUID) -> WatsResponse:
        return WatsResponse(200, {**self.stored[report_id][1], "id": str(report_id)}, took_ms=2.0)

    def _headers(self, wanted: Callable[[UUID, dict[str, Any]], bool]) -> WatsResponse:
        found = [
            _header(stored_id, report, times)
            for stored_id, (from_s, report, times) in self.stored.items()
            if from_s <= self._clock.s and wanted(stored_id, report)
        ]
        if not self._misc_infos:
            found = [{name: value for name, value in header.items() if name != "miscInfo"} for header in found]
        return WatsResponse(200, found, took_ms=2.0)


def _key(report: dict[str, Any]) -> tuple[Any, ...]:
    return report["sn"], report["pn"], report["processCode"], report["start"]


def _header(stored_id: UUID, report: dict[str, Any], times: int) -> dict[str, Any]:
    results = {"P": "Passed", "F": "Failed", "E": "Error", "T": "Terminated"}
    return {
        "uuid": str(stored_id),
        "serialNumber": report["sn"],
        "start": report["start"].replace(".250", "").replace("+00:00", "Z"),
        "result": results[report["result"]],
        "revision": report["rev"],
        "stationName": report["machineName"],
        "receiveCount": times,
        "miscInfo": [{"description": info["description"], "value": info["text"]} for info in report["miscInfos"]],
    }
