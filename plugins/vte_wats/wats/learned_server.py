"""What is known of one WATS: by its profile, by what sessions before this one learned, and by this one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from vte_wats.domain.report import KnownBehaviour
from vte_wats.wats import queries
from vte_wats.wats.profile import WatsProfile
from vte_wats.wats.wats_connection import GuidQuoting, WatsConnection

_LATELY_S = 3_600.0
_SAVED_EVERY_S = 300.0
_UNKNOWN_DELAY_S = 60.0  # nobody has reported a longer one
_SHORTEST_WAIT_S = 60.0  # what was measured on a quiet server takes longer on a busy one
_LONGEST_WAIT_S = 3_600.0  # what shows even later was in quarantine
_MARGIN = 2  # what was measured once may take longer another time


class LearnedServer(BaseModel):
    """What a session leaves to the next. It belongs to one address: another WATS is another server.

    ``longest_delay_s`` is how long reports took at least until a query found them, and ``worked_at_s`` says by HTTP
    method when WATS last answered as it should, in seconds since 1970.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    id_form: GuidQuoting | None = None
    range_listing: bool | None = None
    misc_infos: bool = False
    longest_delay_s: float = 0.0
    worked_at_s: Mapping[str, float] = Field(default_factory=dict)


class LearnedStore(Protocol):
    """Where sessions keep what they learn. The last writer wins: whatever is lost is learned again."""

    def load(self) -> LearnedServer:
        """Return what was learned; nothing when there was no session before."""

    def save(self, learned: LearnedServer) -> None:
        """Save what was learned for the next session."""


class KnownServer:
    """What one session knows of its WATS. Nothing is loaded before it is asked for the first time."""

    def __init__(self, connection: WatsConnection, profile: WatsProfile, store: LearnedStore | None) -> None:
        self._connection = connection
        self._profile = profile
        self._store = store
        self._before: LearnedServer | None = None
        self._id_form: GuidQuoting | None = profile.id_form
        self._range_listing: bool | None = profile.range_listing
        self._misc_infos = False
        self._longest_delay_s = 0.0
        self._worked_at_s: dict[str, float] = {}

    @property
    def behaviour(self) -> KnownBehaviour:
        """What decides about runs."""
        self._load()
        measured_s = self._profile.visibility_delay_s
        delay_s = max(_UNKNOWN_DELAY_S if measured_s is None else measured_s, self._longest_delay_s)
        limits = (self._connection.max_body_bytes, self._profile.body_limit_bytes)
        return KnownBehaviour(
            max_body_bytes=min(limit for limit in limits if limit is not None),
            merges_within_second=self._profile.merges_within_second,
            shown_after_s=max(_SHORTEST_WAIT_S, _MARGIN * delay_s),
            lists_misc_infos=self._misc_infos,
        )

    @property
    def renames(self) -> bool:
        """Whether this WATS is known to keep reports under ids of its own."""
        return self._profile.renames is True

    @property
    def header_starts_are_exact(self) -> bool:
        """Whether the start in a header is known to be the report's own, fraction included."""
        return self._profile.start_fraction is True

    @property
    def id_forms(self) -> list[queries.IdForm]:
        """The forms of ids to try, the one that is known to be understood first."""
        self._load()
        forms = queries.id_forms(self._connection.guid_quoting)
        return sorted(forms, key=lambda form: form.quoting != self._id_form)

    def is_understood(self, form: queries.IdForm) -> bool:
        """Return whether WATS is known to understand a form of ids."""
        self._load()
        return self._id_form == form.quoting

    def understands(self, form: queries.IdForm) -> None:
        """Remember a form of ids that worked."""
        self._id_form = form.quoting

    @property
    def lists_ranges(self) -> bool:
        """Whether a listing by start times is worth a try."""
        self._load()
        return self._range_listing is not False

    def refuses_ranges(self) -> None:
        """Remember that listing by start times is refused."""
        self._range_listing = False

    def lists_misc_infos(self) -> None:
        """Remember that headers show misc infos."""
        self._misc_infos = True

    def showed_late(self) -> None:
        """Remember that a report took longer to show than was waited for."""
        self._longest_delay_s = max(self._longest_delay_s, min(self.behaviour.shown_after_s, _LONGEST_WAIT_S / _MARGIN))

    def worked(self, method: str) -> None:
        """Remember that WATS has just answered a request of this method as it should."""
        self._load()
        self._worked_at_s[method] = time.time()

    def worked_at_s(self, method: str) -> float:
        """Return when WATS last answered a request of this method as it should, 0.0 if not known."""
        self._load()
        return self._worked_at_s.get(method, 0.0)

    def worked_lately(self, method: str) -> bool:
        """Return whether WATS answered a request of this method as it should within the last hour."""
        return time.time() - self.worked_at_s(method) < _LATELY_S

    def close(self) -> None:
        """Save what the next session should know: something new, or a good answer minutes after the last one."""
        if self._store is None or self._before is None:
            return
        known = self._before.worked_at_s
        is_late = any(at_s - known.get(method, 0.0) > _SAVED_EVERY_S for method, at_s in self._worked_at_s.items())
        after = LearnedServer(
            url=self._connection.url,
            id_form=self._id_form,
            range_listing=self._range_listing,
            misc_infos=self._misc_infos,
            longest_delay_s=self._longest_delay_s,
            worked_at_s=self._worked_at_s if is_late else known,
        )
        if after != self._before:
            self._store.save(after)

    def _load(self) -> None:
        if self._before is not None:
            return
        learned = self._store.load() if self._store is not None else LearnedServer()
        nothing = LearnedServer(url=self._connection.url)
        self._before = learned if learned.url == nothing.url else nothing
        if self._id_form is None:
            self._id_form = self._before.id_form
        if self._range_listing is None:
            self._range_listing = self._before.range_listing
        self._misc_infos = self._misc_infos or self._before.misc_infos
        self._longest_delay_s = max(self._longest_delay_s, self._before.longest_delay_s)
        self._worked_at_s = {**self._before.worked_at_s, **self._worked_at_s}
