"""What a survey proposes as a difference to what is set, and settings with the part of it that a person has chosen."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from typing import Any

from pydantic import JsonValue

from vte_wats.config.settings import parse_settings
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW564
from vte_wats.survey.proposal import Origin, Proposal, ProposedSetting, default_of
from vte_wats.survey.sample_findings import Closed


class ChangeState(StrEnum):
    """Whether a proposed change can be taken over."""

    OPEN = "open"
    TAKEN = "taken"
    OUTDATED = "outdated"


class ProposedChange(Closed):
    """One setting that a survey would change: what is set now, what it proposes, and why.

    ``outdated``: it was set to something else since, which the proposal does not know; another survey does.
    """

    setting: str
    now: JsonValue
    is_default: bool
    proposed: JsonValue
    reason: str
    state: ChangeState


def proposed_changes(proposal: Proposal, settings_text: str | None) -> list[ProposedChange]:
    """Return what the data proposes, beside the valid text of the Variable as it is now."""
    return list(_changes(proposal, _given(settings_text)))


def settings_with(proposal: Proposal, chosen: Collection[str], settings_text: str | None, variable: str) -> str:
    """Return the text of the Variable with the chosen changes; everything else in it stays as it is.

    Raises FatalError for what is not proposed, or no longer, and when the whole would not be valid.
    """
    given = _given(settings_text)
    changes = [change for change in _changes(proposal, given) if change.state is ChangeState.OPEN]
    proposed = {change.setting: change.proposed for change in changes}
    if missing := sorted(set(chosen) - proposed.keys()):
        detail = f"not proposed, or no longer: {', '.join(missing)}. Survey again, or set it by hand"
        raise FatalError(VW564, detail, detail)
    text = json.dumps(given | {name: proposed[name] for name in chosen}, indent=1, ensure_ascii=False)
    parse_settings(text, variable)
    return text


def _given(settings_text: str | None) -> dict[str, Any]:
    given: dict[str, Any] = json.loads(settings_text or "{}")
    return given


def _changes(proposal: Proposal, given: Mapping[str, Any]) -> Iterator[ProposedChange]:
    for answer in proposal.answers:
        if answer.origin is not Origin.DATA or not answer.differs:
            continue
        now = given.get(answer.setting, default_of(answer.setting))
        yield ProposedChange(
            setting=answer.setting,
            now=now,
            is_default=answer.setting not in given,
            proposed=answer.value,
            reason=answer.reason,
            state=_state(answer, now),
        )


def _state(answer: ProposedSetting, now: JsonValue) -> ChangeState:
    if now == answer.value:
        return ChangeState.TAKEN
    return ChangeState.OPEN if now == answer.now else ChangeState.OUTDATED
