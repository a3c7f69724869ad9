"""The OData queries that are sent to WATS, split so that each fits a query string that IIS accepts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx

from vte_wats.domain.report import NaturalKey
from vte_wats.intervals.interval import Interval
from vte_wats.wats.wats_connection import GuidQuoting

QUERY_LIMIT = 2_048
"""Encoded characters; IIS answers a longer query string with 404."""

LISTING = 2_000
"""Headers per request when a range of start times is listed."""

PAGE = 200
"""Headers per request where the number of hits is unknown. Without ``$top`` WATS returns ten."""

Query = Mapping[str, str]

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class IdForm:
    """One way to write a list of report ids, and how many of them fit one query."""

    quoting: GuidQuoting
    max_ids: int

    def condition(self, ids: Sequence[UUID]) -> str:
        """Return the ``$filter`` that selects these ids."""
        match self.quoting:
            case GuidQuoting.QUOTED:
                return "uuid in (" + ",".join(f"'{report_id}'" for report_id in ids) + ")"
            case GuidQuoting.OR_CHAIN:
                return " or ".join(f"uuid eq {report_id}" for report_id in ids)
            case _:
                return "uuid in (" + ",".join(map(str, ids)) + ")"


# Servers count the nodes of an expression too: an or-chain of more than some 17 clauses is refused.
_ID_FORMS = (IdForm(GuidQuoting.BARE, 50), IdForm(GuidQuoting.QUOTED, 40), IdForm(GuidQuoting.OR_CHAIN, 15))


def id_forms(quoting: GuidQuoting) -> tuple[IdForm, ...]:
    """Return the forms to try, in order."""
    return tuple(form for form in _ID_FORMS if quoting in {GuidQuoting.AUTO, form.quoting})


def headers_by_id(form: IdForm, ids: Sequence[UUID]) -> Query:
    """Ask for the headers of these reports with their misc infos."""
    return {"$filter": form.condition(ids), "$expand": "miscInfo", "$top": str(len(ids))}


def headers_by_range(started: Interval) -> Query:
    """Ask for the headers of all reports that start in an interval, latest first."""
    condition = f"start ge {_utc_text(started.from_at)} and start lt {_utc_text(started.to_at)}"
    return {"$filter": condition, "$expand": "miscInfo", "$orderby": "start desc", "$top": str(LISTING)}


def by_source_id(source_id: str) -> Query:
    """Ask HeaderByMiscInfo for the reports made from one run."""
    return {"description": "source_id", "data": source_id}


def headers_by_serials(keys: Sequence[NaturalKey]) -> Query:
    """Ask for the reports of these serials that start within the span of the keys."""
    serials = ",".join(dict.fromkeys(_text(key.serial) for key in keys))
    return _page(f"serialNumber in ({serials}) and {_span(keys)}")


def headers_by_start(key: NaturalKey) -> Query:
    """Ask for the reports of one process around one start: without any text that a server may fail on."""
    return _page(f"processCode eq {key.process_code} and {_span([key])}")


def headers_of_part(part_number: str) -> Query:
    """Ask for the headers of the reports of one part number, with their misc infos."""
    return _page(f"partNumber eq {_text(part_number)}")


def page(query: Query, skip: int) -> Query:
    """Return the query for the page after so many hits."""
    return {**query, "$skip": str(skip)} if skip else query


def batches_of_keys(keys: Sequence[NaturalKey]) -> Iterator[Sequence[NaturalKey]]:
    """Split keys into batches whose query fits, neighbours in time together so that spans stay short."""
    batch: list[NaturalKey] = []
    for key in sorted(keys, key=lambda key: key.start_at):
        if batch and not fits(page(headers_by_serials([*batch, key]), 10 * PAGE)):
            yield batch
            batch = []
        batch.append(key)
    if batch:
        yield batch


def fits(query: Query) -> bool:
    """Return whether a query, encoded as it is sent, is short enough."""
    return len(str(httpx.QueryParams(dict(query)))) <= QUERY_LIMIT


def _page(condition: str) -> Query:
    return {"$filter": condition, "$expand": "miscInfo", "$orderby": "uuid", "$top": str(PAGE)}


def _span(keys: Sequence[NaturalKey]) -> str:
    """Cover the starts of the keys by whole seconds, one more on each side; the exact comparison is made here."""
    starts = [key.start_at for key in keys]
    return f"start ge {_utc_text(min(starts) - _SECOND)} and start le {_utc_text(max(starts) + 2 * _SECOND)}"


def _utc_text(time_at: datetime) -> str:
    return time_at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
