"""Which reports WATS has: by id, by run, by range of start times, by natural key."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from more_itertools import chunked, flatten
from pywats.core.routes import Routes

from vte_wats.config.settings import ExistenceCheck
from vte_wats.domain.errors import FatalError, RejectedError, RetriableError, VteWatsError
from vte_wats.domain.report import RUN_HASH, SOURCE_HASH, KeyHit, ListedReport, NaturalKey, ReportHeader, StoredReport
from vte_wats.intervals.interval import Interval
from vte_wats.wats import queries
from vte_wats.wats.learned_server import KnownServer
from vte_wats.wats.response_errors import ELSEWHERE, REFUSED_QUERY
from vte_wats.wats.sender import Header, Sender
from vte_wats.wats.transport import is_page

_log = logging.getLogger(__name__)

_NOT_FOUND = 404
_LIKELY = 1 / 4  # of the reports of a listing are those that are looked for; with fewer, asking by id is less work
_SOURCE = "VTE:"
_RESULTS = {"Passed": "P", "Failed": "F", "Error": "E", "Terminated": "T"}


class Lookup:
    """Asks WATS what it has, for one session."""

    def __init__(self, sender: Sender, server: KnownServer, existence_check: ExistenceCheck) -> None:
        self._sender = sender
        self._server = server
        self._existence_check = existence_check

    def reports(self, ids: Sequence[UUID], started: Interval | None) -> dict[UUID, StoredReport]:
        """Return the reports of these runs. Those that a listing does not show are asked for by id."""
        wanted = list(dict.fromkeys(ids))
        listed = {} if started is None else self._listed(frozenset(wanted), started)
        left = [guid for guid in wanted if guid not in listed]
        if self._existence_check is ExistenceCheck.SOURCE_ID:
            return listed | self._by_source_id(left)
        found = self._headers(left)
        with self._sender.reading(Routes.Report.QUERY_HEADER):
            return listed | {_uuid(header): _stored(_uuid(header), header) for header in found}

    async def whole(self, report_id: UUID) -> tuple[UUID, Mapping[str, Any] | None]:
        """Fetch a report by the id WATS keeps it under."""
        route = Routes.Report.wsjf(str(report_id))
        fetch = partial(self._sender.transport.get, route, absent=_NOT_FOUND)
        answer = await self._sender.retried(fetch)
        if answer.status_code == _NOT_FOUND and is_page(answer):  # of WATS, or of a page in front of it that passes
            await self._sender.version()
            answer = await self._sender.retried(fetch)
        if answer.status_code == _NOT_FOUND:
            return report_id, None
        if not isinstance(answer.data, dict) or str(answer.data.get("id")).lower() != str(report_id):
            raise self._sender.unexpected("GET", route)
        return report_id, answer.data

    # ---------------------------------------------------------------------------------------------------- by range
    def _listed(self, wanted: frozenset[UUID], started: Interval) -> dict[UUID, StoredReport]:
        """List what started in an interval and return the reports that are looked for, as long as it saves requests.

        The latest come first: an interval begins early enough for tests that took long.
        """
        found: dict[UUID, StoredReport] = {}
        for skip in range(0, 2 * max(len(wanted), queries.LISTING), queries.LISTING):
            if not self._server.lists_ranges or len(found) == len(wanted):
                break
            headers = self._page_of_range(started, skip)
            if headers is None:
                break
            with self._sender.reading(Routes.Report.QUERY_HEADER):
                hits = [(guid, header) for header in headers if (guid := self._run_of(header)) in wanted]
                for guid, header in hits:
                    if guid not in found or _uuid(header) == guid:
                        found[guid] = _stored(guid, header)
            if len(headers) < queries.LISTING or len(hits) < _LIKELY * len(headers):
                break
        return found

    def listed_reports(self, started: Interval) -> list[ListedReport] | None:
        """List every report that starts in an interval and names its run, test system and Timestamp.

        ``None`` where WATS lists no ranges, or no misc infos at all.
        """
        listed: list[Header] = []
        while self._server.lists_ranges:
            headers = self._page_of_range(started, len(listed))
            if headers is None:
                break
            listed += headers
            if len(headers) == queries.LISTING:
                continue
            if listed and not any(header.get("miscInfo") for header in listed):
                break
            with self._sender.reading(Routes.Report.QUERY_HEADER):
                return [report for header in listed if (report := _listed_report(header)) is not None]
        return None

    def _page_of_range(self, started: Interval, skip: int) -> list[Header] | None:
        """Return a page of the headers of an interval, ``None`` where WATS does not list them."""
        page = partial(self._header_list, queries.page(queries.headers_by_range(started), skip))
        try:
            return self._sender.run(self._asked_again(page))
        except VteWatsError as exc:
            if exc.message not in REFUSED_QUERY:
                raise
            if not isinstance(exc, RetriableError):
                self._server.refuses_ranges()
            _log.info("WATS does not list reports by their start: %s", exc)
            return None

    async def _asked_again(self, page: Callable[[], Awaitable[list[Header]]]) -> list[Header]:
        """Ask again what got a status that a page in front of WATS may have sent, once WATS answers."""
        try:
            return await self._sender.once(page)
        except FatalError as exc:
            if exc.message not in ELSEWHERE:
                raise
        await self._sender.version()
        return await self._sender.once(page)

    def _run_of(self, header: Header) -> UUID | None:
        """Return the run that a report was made from, as this session knows it."""
        if self._existence_check is ExistenceCheck.UUID:
            return _uuid(header)
        return _source_of(header)

    # ------------------------------------------------------------------------------------------------------- by id
    def _by_source_id(self, ids: Sequence[UUID]) -> dict[UUID, StoredReport]:
        """Find reports that WATS may keep under ids of its own, by the misc info that names the run."""
        hits = self._sender.concurrently([f"{_SOURCE}{guid}" for guid in ids], self._ids_of_source)
        found = self._headers(sorted(set(flatten(hits))))
        wanted = frozenset(ids)
        stored: dict[UUID, StoredReport] = {}
        with self._sender.reading(Routes.Report.QUERY_HEADER):
            for header in found:
                guid = _source_of(header)
                if guid is not None and guid in wanted and (guid not in stored or _uuid(header) == guid):
                    stored[guid] = _stored(guid, header)
        return stored

    async def _ids_of_source(self, source_id: str) -> set[UUID]:
        route = Routes.Report.QUERY_HEADER_BY_MISC
        query = queries.by_source_id(source_id)
        found = await self._sender.retried(lambda: self._sender.list_of(route, query))
        with self._sender.reading(route):
            return {_uuid(hit) for hit in found if _may_name(hit, source_id)}

    def _headers(self, ids: Sequence[UUID]) -> list[Header]:
        """Fetch the headers of reports by id: one batch to learn which form is understood, then the rest at once."""
        if not ids:
            return []
        form, headers = self._sender.run(self._sender.rounds(self._first_headers, ids))

        async def headers_of(batch: Sequence[UUID]) -> list[Header]:
            query = queries.headers_by_id(form, batch)
            try:
                return await self._sender.retried(partial(self._header_list, query))
            except RejectedError as exc:
                raise _no_form_works(exc) from exc

        batches = chunked(ids[form.max_ids :], form.max_ids)
        return headers + list(flatten(self._sender.concurrently(batches, headers_of)))

    async def _first_headers(self, ids: Sequence[UUID]) -> tuple[queries.IdForm, list[Header]]:
        """Fetch the first batch in the first form that WATS understands, and remember that form.

        What is no refusal of WATS itself may pass: a form that got such an answer is tried once more before another one
        is preferred.
        """
        failures: dict[queries.IdForm, VteWatsError] = {}
        for form in self._server.id_forms:
            headers = await self._in_form(form, ids, failures)
            if headers is None:
                continue
            for earlier in [form for form, exc in failures.items() if not isinstance(exc, RejectedError)]:
                if (again := await self._in_form(earlier, ids, failures)) is not None:
                    self._server.understands(earlier)
                    return earlier, again
            self._server.understands(form)
            return form, headers
        first = next(iter(failures.values()))
        raise await self._sender.meaning_of(_no_form_works(first) if isinstance(first, RejectedError) else first)

    async def _in_form(
        self, form: queries.IdForm, ids: Sequence[UUID], failures: dict[queries.IdForm, VteWatsError]
    ) -> list[Header] | None:
        """Fetch the headers of as many reports as fit, or note the failure when it may be about the form.

        Whatever status a form gets may be so, unless WATS is known to understand it and fails.
        """
        try:
            return await self._sender.once(partial(self._header_list, queries.headers_by_id(form, ids[: form.max_ids])))
        except VteWatsError as exc:
            is_outage = not isinstance(exc, RejectedError) and self._server.is_understood(form)
            if is_outage or exc.message not in REFUSED_QUERY:
                await self._sender.fail(exc)
            _log.info("WATS refuses ids written %s: %s", form.quoting, exc)
            failures[form] = exc
            return None

    # -------------------------------------------------------------------------------------------- by natural key
    def natural_keys(self, keys: Sequence[NaturalKey], own: Collection[UUID]) -> dict[NaturalKey, tuple[KeyHit, ...]]:
        """Return the reports that stand under these keys: by second as headers show them, then by the report itself."""
        at_second: dict[tuple[object, ...], list[Header]] = {}
        batches = queries.batches_of_keys(list(dict.fromkeys(keys)))
        for found in self._sender.concurrently(batches, self._headers_of_keys):
            with self._sender.reading(Routes.Report.QUERY_HEADER):
                for header in found:
                    at_second.setdefault(_natural_key(header).second, []).append(header)
        with self._sender.reading(Routes.Report.QUERY_HEADER):
            hits = {key: {_uuid(header): header for header in at_second.get(key.second, ())} for key in keys}
            starts = self._starts(flatten(found.values() for found in hits.values()), own)
            return {
                key: tuple(
                    KeyHit(_source_of(header) or uuid, starts.get(uuid, key.start_at) == key.start_at)
                    for uuid, header in found.items()
                )
                for key, found in hits.items()
                if found
            }

    def _starts(self, headers: Iterable[Header], own: Collection[UUID]) -> dict[UUID, datetime]:
        """Return when reports started exactly: by their headers, or by themselves where headers cut the fraction.

        One that cannot be fetched yet is left out.
        """
        starts: dict[UUID, datetime] = {}
        cut: list[UUID] = []
        for header in headers:
            start_at = _natural_key(header).start_at
            if start_at.microsecond or self._server.header_starts_are_exact:
                starts[_uuid(header)] = start_at
            elif (_source_of(header) or _uuid(header)) not in own:
                cut.append(_uuid(header))
        for uuid, report in self._sender.concurrently(dict.fromkeys(cut), self.whole):
            if report is not None:
                starts[uuid] = _instant(report["start"])
        return starts

    async def _headers_of_keys(self, keys: Sequence[NaturalKey]) -> list[Header]:
        query = queries.headers_by_serials(keys)
        try:
            if queries.fits(query):
                return await self._pages(query)
        except RejectedError as exc:
            _log.info("WATS refuses a query by serial number, asking by start instead: %s", exc)
        try:
            return [header for key in keys for header in await self._pages(queries.headers_by_start(key))]
        except RejectedError as exc:
            raise FatalError(exc.message, f"{exc.detail}; WATS cannot be asked for natural keys") from exc

    async def _pages(self, query: queries.Query) -> list[Header]:
        headers: list[Header] = []
        while True:
            found = await self._sender.retried(partial(self._header_list, queries.page(query, len(headers))))
            headers += found
            if len(found) < queries.PAGE:
                return headers

    async def _header_list(self, query: queries.Query) -> list[Header]:
        headers = await self._sender.list_of(Routes.Report.QUERY_HEADER, query)
        if any(header.get("miscInfo") for header in headers):
            self._server.lists_misc_infos()
        return headers


def _no_form_works(exc: VteWatsError) -> FatalError:
    return FatalError(exc.message, f"{exc.detail}; no known way to ask for report ids works (guid_quoting)")


def _uuid(header: Header) -> UUID:
    return UUID(str(header["uuid"]))


def _stored(report_id: UUID, header: Header) -> StoredReport:
    source_hash, run_hash = _misc_info(header, SOURCE_HASH), _misc_info(header, RUN_HASH)
    return StoredReport(report_id, _uuid(header), source_hash, run_hash, _listed(header))


def _listed(header: Header) -> ReportHeader | None:
    """Return what a header shows of its report, ``None`` unless all of it is there."""
    result = _RESULTS.get(str(header.get("result")))
    if result is None or not all(header.get(name) for name in ("serialNumber", "partNumber", "processCode", "start")):
        return None
    try:
        return ReportHeader.of(_natural_key(header), result)
    except ValueError:
        return None


def _source_of(header: Header) -> UUID | None:
    """Return the run that a report says it was made from."""
    source_id = _misc_info(header, "source_id") or ""
    try:
        return UUID(source_id.removeprefix(_SOURCE)) if source_id.startswith(_SOURCE) else None
    except ValueError:
        return None


def _listed_report(header: Header) -> ListedReport | None:
    """Return what a report says of its run; ``None`` for one that was not made from a run, or not by this package."""
    run = _source_of(header)
    if run is None:
        return None
    try:
        system = UUID(_misc_info(header, "source_system") or "")
        return ListedReport(run, system, datetime.fromisoformat(_misc_info(header, "source_timestamp") or ""))
    except ValueError:
        return None


def _misc_info(header: Header, description: str) -> str | None:
    for info in header.get("miscInfo") or ():
        if info.get("description") == description and info.get("value"):
            return str(info["value"])
    return None


def _may_name(found: Header, source_id: str) -> bool:
    """Return whether a hit is worth a look; a server that ignores the value searched for returns everything."""
    infos = found.get("miscData") or ()
    return not infos or any(str(info.get("data")).lower() == source_id.lower() for info in infos)


def _natural_key(header: Header) -> NaturalKey:
    serial, part_number = str(header.get("serialNumber") or ""), str(header.get("partNumber") or "")
    return NaturalKey(serial, part_number, int(header.get("processCode") or 0), _instant(header["start"]))


def _instant(text: Any) -> datetime:
    at = datetime.fromisoformat(str(text))
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
