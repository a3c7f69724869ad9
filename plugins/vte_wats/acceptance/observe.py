"""Post the reports of an acceptance run, ask for them, and keep what was answered; nothing is judged here.

What it needs from outside is a WATS that is asked one thing at a time, and a clock to wait by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from more_itertools import chunked

from vte_wats.acceptance.probes import (
    PART_NUMBER,
    Case,
    Plan,
    Probe,
    is_own,
    probes,
    sized_probe,
    source_id,
    source_id_of,
)
from vte_wats.domain.errors import FatalError
from vte_wats.intervals.interval import Interval
from vte_wats.messages import VW950, VW951, VW952, VW953


@dataclass(frozen=True, slots=True)
class WatsResponse:
    """One answer, judged by nobody. ``status`` is ``None`` when none came; ``text`` then says why.

    ``content`` is the parsed JSON, ``text`` its beginning or what the server says about a failure, without secrets.
    ``tries_before`` are the answers, such as a 429, after which the same was asked again.
    """

    status: int | None
    content: Any = None
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    took_ms: float = 0.0
    tries_before: tuple[str, ...] = ()

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def objects(self) -> tuple[Mapping[str, Any], ...]:
        """The objects of a list that was answered with success; none of anything else."""
        if not self.is_success or not isinstance(self.content, list):
            return ()
        return tuple(item for item in self.content if isinstance(item, dict))

    def __str__(self) -> str:
        """Say status and text, as evidence."""
        status = "no answer" if self.status is None else str(self.status)
        return f"{status} {self.text}".rstrip()


class WatsUnderTest(Protocol):
    """A WATS whose every answer counts, refusals included. Asks as the package asks, and stays within the budget.

    Raises FatalError when the server cannot be reached for a reason that a person must solve.
    """

    @property
    def id_forms(self) -> Sequence[str]:
        """The forms in which report ids can be written in a query, in the order in which the package tries them."""

    def post(self, body: bytes) -> WatsResponse:
        """Post a document as a report."""

    def ids_of(self, answer: WatsResponse) -> tuple[UUID, UUID] | None:
        """Return the id of the report and the id it is kept under, as the answer to a post says, or ``None``."""

    def headers_by_id(self, form: str, ids: Sequence[UUID]) -> WatsResponse:
        """Ask for headers with misc infos by report id, the ids written in this form."""

    def headers_by_range(self, started: Interval) -> WatsResponse:
        """Ask for all headers with misc infos that start in an interval of whole seconds."""

    def headers_by_serial(self, serial: str, part_number: str, process_code: int, start_at: datetime) -> WatsResponse:
        """Ask for the headers with this natural key, as the package looks for equal ones."""

    def headers_by_source_id(self, source_id: str) -> WatsResponse:
        """Ask for the headers with this text in the misc info ``source_id``."""

    def headers_of_part(self, part_number: str, *, with_limit: bool, skip: int = 0) -> WatsResponse:
        """Ask for headers with misc infos of a part number; without a limit WATS returns the first few."""

    def report(self, report_id: UUID) -> WatsResponse:
        """Ask for one whole report."""


class Clock(Protocol):
    """Time passes; in a test as fast as the test wants."""

    def now_s(self) -> float:
        """Return seconds that never run backwards."""

    def wait(self, seconds: float) -> None:
        """Return when so much time has passed."""


MAY_STAY_AWAY = frozenset({Case.UNKNOWN_PROCESS, Case.EQUAL_KEY_FIRST, Case.SAME_SECOND_FIRST, Case.POSTED_AGAIN})
"""Reports that are not waited for: WATS may put them aside, or another report in their place."""

_PAGE = 200  # headers that a request for a part number returns at most
_IDS = 15  # in one query: the form that takes fewest has room for so many
_FIRST_BODY_BYTES = 1_000_000
_BODY_RESOLUTION = 0.02
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 0.25, 5.0
_RANGE = "range"
_NOT_ASKED = WatsResponse(None)

_Header = Mapping[str, Any]


@dataclass(slots=True)
class Posted:
    """A report that was posted, and what became of it.

    ``seen_after_s`` is ``None`` until a query has shown it; ``header`` is what the last query showed of it, and
    ``stored`` the answer to asking for the whole report.
    """

    probe: Probe
    answer: WatsResponse
    stored_id: UUID | None
    at_s: float
    seen_after_s: float | None = None
    header: _Header | None = None
    stored: WatsResponse | None = None

    def is_shown_by(self, header: _Header) -> bool:
        """Return whether a header is of this report: by its misc info, or by its id where WATS lists none."""
        listed = source_id_of(header)
        if listed is not None:
            return listed == source_id(self.probe.report_id)
        return str(header.get("uuid")).lower() in {str(self.stored_id), str(self.probe.report_id)}


@dataclass(slots=True)
class Observations:
    """Everything that an acceptance run has seen of one WATS."""

    plan: Plan
    posted: dict[Case, Posted] = field(default_factory=dict)
    ids: dict[str, WatsResponse] = field(default_factory=dict)
    listing: WatsResponse = _NOT_ASKED
    natural_key: WatsResponse = _NOT_ASKED
    by_source_id: WatsResponse = _NOT_ASKED
    bodies: list[tuple[int, WatsResponse]] = field(default_factory=list)
    answers: list[tuple[str, WatsResponse]] = field(default_factory=list)


def observe(
    wats: WatsUnderTest, clock: Clock, plan: Plan, *, longest_delay_s: float, largest_body_bytes: int = 0
) -> Observations:
    """Post every probe, and ask for them until they show or ``longest_delay_s`` have passed.

    Bodies up to ``largest_body_bytes`` are tried when that is not 0. Raises FatalError when the part number is not free
    for it, or when a plain report is not taken or never shows: then there is nothing to ask about.
    """
    run = _Run(wats, clock, plan, longest_delay_s)
    run.refuse_foreign_reports()
    run.post_all()
    run.ask_about_queries()
    run.fetch_reports()
    run.try_bodies(largest_body_bytes)
    return run.seen


class _Run:
    def __init__(self, wats: WatsUnderTest, clock: Clock, plan: Plan, longest_delay_s: float) -> None:
        self._wats, self._clock, self._plan = wats, clock, plan
        self._longest_delay_s = longest_delay_s
        self._ways: dict[str, Callable[[Sequence[UUID]], Iterator[WatsResponse]]] = {
            form: self._way_by_id(form) for form in wats.id_forms
        } | {_RANGE: self._by_range}
        self.seen = Observations(plan)

    def refuse_foreign_reports(self) -> None:
        """Stop where anything but the reports of acceptance runs stands under their part number."""
        for with_limit in (True, False):
            skip = 0
            while True:
                answer = self._noted(
                    "GET headers of the part number",
                    self._wats.headers_of_part(PART_NUMBER, with_limit=with_limit, skip=skip),
                )
                if not answer.is_success or not isinstance(answer.content, list):
                    break
                foreign = [header for header in answer.objects if not is_own(header)]
                if foreign:
                    named = foreign[0].get("uuid") or foreign[0].get("serialNumber")
                    raise FatalError(
                        VW950,
                        f"{len(foreign)} report(s) of part number {PART_NUMBER} are not from an acceptance run, such "
                        f"as {named}. Nothing was posted. Name a WATS in which this part number is free",
                    )
                skip += len(answer.content)
                if not answer.content or (with_limit and len(answer.content) < _PAGE):
                    return
        raise FatalError(
            VW951,
            f"WATS cannot be asked for the reports of part number {PART_NUMBER}: {answer}. Nothing was posted. Give "
            "the user of the token the right to read reports",
        )

    def post_all(self) -> None:
        """Post the plain report and wait until it shows; then the others, looking for all after each."""
        every = probes(self._plan)
        plain = self._post(next(every))
        if not plain.answer.is_success:
            raise FatalError(
                VW952,
                f"WATS does not accept a plain report: {plain.answer}. Nothing else was posted. Give the user of the "
                "token the right to submit reports, or ask the administrator of WATS what is missing",
            )
        self._wait_until_seen()
        if plain.seen_after_s is None:
            tried = "; ".join(f"{what}: {answer}" for what, answer in self.seen.answers[-len(self._ways) :])
            raise FatalError(
                VW953,
                f"a plain report was taken ({plain.answer}) and does not show in any query within "
                f"{self._longest_delay_s:g} s. The last answers: {tried}",
            )
        for probe in every:
            self._post(probe)
            self._look(self._awaited())
        self._wait_until_seen()
        self._look_at_the_end()

    def ask_about_queries(self) -> None:
        """Ask for one report that shows in every way that the package knows."""
        plain = self.seen.posted[Case.PLAIN]
        stored_id = UUID(str((plain.header or {}).get("uuid")))
        for form in self._wats.id_forms:
            self.seen.ids[form] = self._noted(f"GET header by id, {form}", self._wats.headers_by_id(form, [stored_id]))
        (self.seen.listing,) = self._by_range(())
        probe = self.seen.posted[Case.NON_ASCII].probe
        self.seen.natural_key = self._noted(
            "GET header by serial number and start",
            self._wats.headers_by_serial(probe.serial, PART_NUMBER, self._plan.process_code, probe.start_at),
        )
        self.seen.by_source_id = self._noted(
            "GET header by misc info", self._wats.headers_by_source_id(source_id(plain.probe.report_id))
        )

    def fetch_reports(self) -> None:
        """Fetch every report that shows, as it is stored."""
        for case, posted in self.seen.posted.items():
            if posted.header is not None:
                report_id = UUID(str(posted.header["uuid"]))
                posted.stored = self._noted(f"GET report: {case.value}", self._wats.report(report_id))

    def try_bodies(self, largest_bytes: int) -> None:
        """Double the size of a body until it is refused, then narrow down where the limit is."""
        taken, refused = 0, largest_bytes + 1
        size = min(_FIRST_BODY_BYTES, largest_bytes)
        while 0 < size < refused:
            answer = self._noted(f"POST a body of {size:,} bytes", self._wats.post(sized_probe(self._plan, size).body))
            self.seen.bodies.append((size, answer))
            if answer.is_success:
                taken = size
            else:
                refused = size
            if refused > largest_bytes:
                size = min(2 * size, largest_bytes) if size < largest_bytes else refused
            elif refused - taken > refused * _BODY_RESOLUTION:
                size = (taken + refused) // 2
            else:
                return

    def _post(self, probe: Probe) -> Posted:
        answer = self._noted(f"POST {probe.case.value}", self._wats.post(probe.body))
        ids = self._wats.ids_of(answer) if answer.is_success else None
        posted = Posted(probe, answer, ids and ids[1], self._clock.now_s())
        self.seen.posted[probe.case] = posted
        return posted

    def _awaited(self) -> list[Posted]:
        return [
            posted
            for case, posted in self.seen.posted.items()
            if posted.answer.is_success and posted.seen_after_s is None and case not in MAY_STAY_AWAY
        ]

    def _wait_until_seen(self) -> None:
        since_s = self._clock.now_s()
        self._look(self._awaited())
        while (awaited := self._awaited()) and (passed_s := self._clock.now_s() - since_s) < self._longest_delay_s:
            self._clock.wait(min(_LONGEST_WAIT_S, max(_SHORTEST_WAIT_S, passed_s / 10)))
            self._look(awaited)

    def _look_at_the_end(self) -> None:
        """Look at all once more, when whatever shows at all must have shown."""
        delays_s = [posted.seen_after_s for posted in self.seen.posted.values() if posted.seen_after_s is not None]
        last_post_s = max(posted.at_s for posted in self.seen.posted.values())
        self._clock.wait(max(0.0, last_post_s + max(delays_s) - self._clock.now_s()))
        for posted in self.seen.posted.values():
            posted.header = None
        self._look([posted for posted in self.seen.posted.values() if posted.answer.is_success])

    def _look(self, wanted: Sequence[Posted]) -> None:
        """Ask for reports in every way that may work, until one has shown something; from then on in that way."""
        ids = list(dict.fromkeys(found for posted in wanted for found in (posted.stored_id, posted.probe.report_id)))
        for name, way in self._ways.items():
            asked = [report_id for report_id in ids if report_id is not None]
            headers = [header for answer in way(asked) for header in answer.objects]
            found = [(posted, header) for posted in wanted for header in headers if posted.is_shown_by(header)]
            for posted, header in found:
                posted.header = header
                if posted.seen_after_s is None:
                    posted.seen_after_s = self._clock.now_s() - posted.at_s
            if found:
                self._ways = {name: way}
                return

    def _way_by_id(self, form: str) -> Callable[[Sequence[UUID]], Iterator[WatsResponse]]:
        def ask(ids: Sequence[UUID]) -> Iterator[WatsResponse]:
            for batch in chunked(ids, _IDS):
                yield self._noted(f"GET headers by id, {form}", self._wats.headers_by_id(form, batch))

        return ask

    def _by_range(self, _: Sequence[UUID]) -> Iterator[WatsResponse]:
        yield self._noted("GET headers by range", self._wats.headers_by_range(self._plan.interval))

    def _noted(self, what: str, answer: WatsResponse) -> WatsResponse:
        self.seen.answers.append((what, answer))
        return answer
