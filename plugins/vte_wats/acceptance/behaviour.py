"""What the observations say about a WATS, where servers differ: one value each, ``None`` where they do not say it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Literal

from vte_wats.acceptance.observe import MAY_STAY_AWAY, Observations, Posted
from vte_wats.acceptance.probes import UNIT_LIMIT, Case

_SHORTEST_DELAY_S = 1.0  # asking cannot measure anything shorter
_REFUSALS = {400, 409, 413, 422}  # statuses that are about the report, not about the day


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one WATS behaves; the fields are those of ``vte_wats.wats.profile.WatsProfile``."""

    answer_form: Literal["object", "array"] | None
    renames: bool | None
    visibility_delay_s: float | None
    id_form: str | None
    range_listing: bool | None
    start_fraction: bool | None
    merges_within_second: bool | None
    body_limit_bytes: int | None
    large_attachments: Literal["taken", "refused"] | None
    measurement_status: Literal["any", "pfs"] | None
    done_on_measured_step: bool | None
    equal_step_names: Literal["taken", "refused"] | None
    unit_length_limit: int | None
    user_required: bool | None


def behaviour_of(seen: Observations) -> Behaviour:
    """Return what was found out."""
    delays_s = delays(seen)
    return Behaviour(
        answer_form=_answer_form(seen.posted[Case.PLAIN]),
        renames=_renames(seen.posted[Case.PLAIN]),
        visibility_delay_s=max(_SHORTEST_DELAY_S, math.ceil(max(delays_s))) if delays_s else None,
        id_form=next((form for form in seen.ids if finds_plain(seen, form)), None),
        range_listing=_lists_range(seen),
        start_fraction=_start_fraction(seen),
        merges_within_second=_merges_within_second(seen),
        body_limit_bytes=_body_limit(seen),
        large_attachments=_taken_or_refused(is_taken(seen, Case.LARGE_ATTACHMENT)),
        measurement_status=_measurement_status(seen),
        done_on_measured_step=is_taken(seen, Case.STEP_DONE),
        equal_step_names=_taken_or_refused(is_taken(seen, Case.EQUAL_NAMES)),
        unit_length_limit=_unit_limit(seen),
        user_required=_not(is_taken(seen, Case.USER_MISSING)),
    )


def is_taken(seen: Observations, case: Case) -> bool | None:
    """Return whether WATS took a report for good.

    One that was answered with success and never showed is not known to be taken, nor is one that met an outage.
    """
    posted = seen.posted.get(case)
    if posted is None:
        return None
    if posted.answer.is_success:
        return True if posted.header is not None else None
    return False if posted.answer.status in _REFUSALS else None


def delays(seen: Observations) -> Sequence[float]:
    """Return how long reports took to show, as far as they were waited for."""
    return sorted(
        posted.seen_after_s
        for case, posted in seen.posted.items()
        if posted.seen_after_s is not None and case not in MAY_STAY_AWAY
    )


def median_delay_s(seen: Observations) -> float | None:
    """Return the delay that half of the reports did not exceed."""
    delays_s = delays(seen)
    return round(median(delays_s), 1) if delays_s else None


def finds_plain(seen: Observations, form: str) -> bool:
    """Return whether a query in this form found the plain report."""
    return any(seen.posted[Case.PLAIN].is_shown_by(header) for header in seen.ids[form].objects)


def _answer_form(posted: Posted) -> Literal["object", "array"] | None:
    content = posted.answer.content
    if posted.stored_id is None:
        return None
    return "array" if isinstance(content, list) else "object"


def _renames(posted: Posted) -> bool | None:
    kept_under = (posted.header or {}).get("uuid")
    return None if kept_under is None else str(kept_under).lower() != str(posted.probe.report_id)


def _lists_range(seen: Observations) -> bool | None:
    """Return whether one listing held all reports that show."""
    if seen.listing.status is None:
        return None
    shown = [posted for posted in seen.posted.values() if posted.header is not None]
    return all(any(posted.is_shown_by(header) for header in seen.listing.objects) for posted in shown)


def _start_fraction(seen: Observations) -> bool | None:
    """Return whether a header has the fraction of a second that every report was posted with."""
    start = str((seen.posted[Case.PLAIN].header or {}).get("start"))
    try:
        datetime.fromisoformat(start)
    except ValueError:
        return None
    return re.search(r"\.\d*[1-9]", start) is not None


def _merges_within_second(seen: Observations) -> bool | None:
    first, second = (seen.posted.get(case) for case in (Case.SAME_SECOND_FIRST, Case.SAME_SECOND_SECOND))
    if first is None or second is None or not first.answer.is_success or second.header is None:
        return None
    return first.header is None


def _body_limit(seen: Observations) -> int | None:
    """Return the largest body that was taken when a larger one was refused."""
    if all(answer.is_success for _, answer in seen.bodies):
        return None
    return max((size for size, answer in seen.bodies if answer.is_success), default=None)


def _measurement_status(seen: Observations) -> Literal["any", "pfs"] | None:
    verdicts = [
        is_taken(seen, case) for case in (Case.MEASUREMENT_DONE, Case.MEASUREMENT_ERROR, Case.MEASUREMENT_TERMINATED)
    ]
    if None in verdicts:
        return None
    return "any" if all(verdicts) else "pfs"


def _unit_limit(seen: Observations) -> int | None:
    """Return the documented limit when it is one: a unit of that length is taken, and one character more is not."""
    at_limit, over_limit = is_taken(seen, Case.UNIT_AT_LIMIT), is_taken(seen, Case.UNIT_OVER_LIMIT)
    return UNIT_LIMIT if at_limit is True and over_limit is False else None


def _taken_or_refused(taken: bool | None) -> Literal["taken", "refused"] | None:  # noqa: FBT001
    return None if taken is None else "taken" if taken else "refused"


def _not(verdict: bool | None) -> bool | None:  # noqa: FBT001
    return None if verdict is None else not verdict
