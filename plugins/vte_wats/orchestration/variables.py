"""Every Variable of a site, defined once: its name, what it holds, and what happens when it holds something else.

Tasks read and write through :class:`Variables`; the status page parses the same definitions with the texts that it
reads from Airflow's database.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from airflow.sdk import Variable
from pydantic import TypeAdapter, ValidationError

from vte_wats.alerting.incidents import MissedDeadline, TaskFailure
from vte_wats.alerting.monitor_state import MonitorState
from vte_wats.backfill.progress import Progress
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.messages import (
    VW112,
    VW113,
    VW345,
    VW349,
    VW516,
    VW520,
    VW524,
    VW627,
    VW904,
    VW908,
    VW910,
    VW925,
    VW926,
    Consequence,
    Message,
)
from vte_wats.state.coverage import State
from vte_wats.state.history import History
from vte_wats.state.proof import Proof
from vte_wats.state.seen_content import SeenContent
from vte_wats.wats.learned_server import LearnedServer
from vte_wats.wats.profile import WatsProfile
from vte_wats.wats.rate_limiter import BudgetUsage

log = logging.getLogger(__name__)

T = TypeVar("T")

_TIMES_CHANGED = 5


@dataclass(frozen=True)
class StoredVariable(Generic[T]):
    """One Variable of a site. A damaged one stops the task, or counts as absent with a warning, as ``damaged`` says."""

    name_of: Callable[[Site], str]
    adapter: TypeAdapter[T]
    damaged: Message
    advice: Callable[[Site], str] = lambda _: "It is ignored"
    compact: bool = False

    def parse(self, site: Site, text: str | None) -> T | None:
        """Return what a text holds, ``None`` without one. Raises FatalError when a damaged one must not be ignored."""
        if text is None:
            return None
        try:
            return self.adapter.validate_json(text)
        except ValidationError as exc:
            problem = f"the Variable {self.name_of(site)} is damaged: {exc.errors()[0]['msg']}. {self.advice(site)}"
            if self.damaged.follows is Consequence.STOPS:
                raise FatalError(self.damaged, problem) from None  # pydantic's own text holds whole values
            log.warning("%s %s", self.damaged, problem)
            return None

    def dump(self, value: T) -> str:
        """Return the text that holds a value."""
        return self.adapter.dump_json(
            value, indent=None if self.compact else 1, by_alias=True, exclude_defaults=self.compact
        ).decode()


STATE: StoredVariable[State] = StoredVariable(
    lambda site: site.state_variable,
    TypeAdapter(State),
    VW516,
    lambda site: f"Restore it from a backup, or {site.start_over}",
)
HISTORY: StoredVariable[History] = StoredVariable(
    lambda site: site.history_variable, TypeAdapter(History), VW904, lambda _: "Its counts start again", compact=True
)
MONITOR_STATE: StoredVariable[MonitorState] = StoredVariable(
    lambda site: site.alerts_variable, TypeAdapter(MonitorState), VW926, lambda _: "Every condition is observed again"
)
BUDGET_USAGE: StoredVariable[BudgetUsage] = StoredVariable(
    lambda site: site.budget_variable,
    TypeAdapter(BudgetUsage),
    VW112,
    lambda _: "Delete it a minute after the last request to WATS: it holds what was sent in that minute, nothing else",
    compact=True,
)
WATS_PROFILE: StoredVariable[WatsProfile] = StoredVariable(
    lambda site: site.profile_variable,
    TypeAdapter(WatsProfile),
    VW345,
    lambda _: "It is ignored: nothing is assumed of WATS",
    compact=True,
)
LEARNED_SERVER: StoredVariable[LearnedServer] = StoredVariable(
    lambda site: site.learned_variable, TypeAdapter(LearnedServer), VW349, lambda _: "It is learned again", compact=True
)
PROOF: StoredVariable[Proof] = StoredVariable(
    lambda site: site.proof_variable,
    TypeAdapter(Proof),
    VW904,
    lambda _: "Nothing counts as proven until the next comparison",
    compact=True,
)
SEEN_CONTENT: StoredVariable[SeenContent] = StoredVariable(
    lambda site: site.seen_variable,
    TypeAdapter(SeenContent),
    VW904,
    lambda _: "The runs of the near past are read once more",
    compact=True,
)
MISSED_DEADLINE: StoredVariable[MissedDeadline] = StoredVariable(
    lambda site: site.deadline_variable, TypeAdapter(MissedDeadline), VW908
)
LAST_FAILURE: StoredVariable[TaskFailure] = StoredVariable(
    lambda site: site.failure_variable, TypeAdapter(TaskFailure), VW910
)
BACKFILL: StoredVariable[Progress] = StoredVariable(
    lambda site: site.backfill_variable,
    TypeAdapter(Progress),
    VW925,
    lambda _: "The progress of the backfill is not shown",
)


class Variables:
    """The Variables of one site, as tasks read and write them.

    Airflow's Variables know no lock: the pool of whoever writes one has a single slot. :meth:`replace` notices another
    writer all the same.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    def settings_text(self) -> str | None:
        """Return the site's settings as people wrote them."""
        return self._text(self._site.settings_variable)

    def operator_secret(self) -> str | None:
        """Return the secret that operators' pseudonyms are made with."""
        return self._text(self._site.operator_secret_variable)

    def load(self, variable: StoredVariable[T]) -> T | None:
        """Return what a Variable holds, see :meth:`StoredVariable.parse`."""
        return self.load_with_text(variable)[0]

    def load_with_text(self, variable: StoredVariable[T]) -> tuple[T | None, str | None]:
        """Return what a Variable holds, and its text for :meth:`replace`."""
        try:
            text = self._text(variable.name_of(self._site))
        except FatalError as exc:
            if variable.damaged.follows is Consequence.STOPS:
                raise
            log.warning("%s. %s", exc, variable.advice(self._site))
            return None, None
        return variable.parse(self._site, text), text

    def change(self, variable: StoredVariable[T], change: Callable[[T | None], T | None]) -> bool:
        """Read a Variable, change it, write it, unless ``change`` returns ``None``; return whether it was written.

        When another task writes it meanwhile, ``change`` is applied again to what that task wrote: it must leave alone
        what it has done already. Raises RetriableError when others write all the time.
        """
        name = variable.name_of(self._site)
        for _ in range(_TIMES_CHANGED):
            found = self.load_with_text(variable)
            changed = change(found[0])
            if changed is None:
                return False
            text = variable.dump(changed)
            if self._text_to_compare(variable) == found[1]:
                Variable.set(name, text)
                if self._text_to_compare(variable) == text:
                    return True
            log.warning("%s another task wrote the Variable %s at the same time; both are kept", VW524, name)
        raise RetriableError(
            VW520,
            f"other tasks write the Variable {name} all the time. Give the pool {self._site.state_pool} one slot, and "
            "let no other Airflow sync the same site",
        )

    def save(self, variable: StoredVariable[T], value: T) -> None:
        """Write a Variable."""
        Variable.set(variable.name_of(self._site), variable.dump(value))

    def replace(self, variable: StoredVariable[T], value: T, read: str | None) -> str:
        """Write a Variable that still holds the text that was ``read``; return its new text.

        Raises RetriableError when another task has written it since.
        """
        name = variable.name_of(self._site)
        if self._text_to_compare(variable) != read:
            raise RetriableError(
                VW113,
                f"another task uses WATS at the same time: it wrote the Variable {name}. Give the pool of this task as "
                "many slots as concurrent_tasks of the WATS connection says, one by default",
            )
        text = variable.dump(value)
        Variable.set(name, text, description="Written by the tasks that use WATS; leave it alone.")
        return text

    def _text_to_compare(self, variable: StoredVariable[T]) -> str | None:
        """Return the text of a Variable as :meth:`load_with_text` does, which has warned of one that cannot be read."""
        try:
            return self._text(variable.name_of(self._site))
        except FatalError:
            if variable.damaged.follows is Consequence.STOPS:
                raise
            return None

    @staticmethod
    def _text(name: str) -> str | None:
        """Return what a Variable holds. Raises FatalError for one that Airflow has and cannot decrypt.

        Airflow answers for such a Variable as for one that does not exist, but lists its name.
        """
        text: str | None = Variable.get(name, default=None)
        if text is None and name in Variable.keys(prefix=name):
            text = Variable.get(name, default=None)  # another task may have written it just now
            if text is None:
                raise FatalError(
                    VW627,
                    f"the Variable {name} cannot be read: it was encrypted with another key. Set the earlier key in "
                    "[core] fernet_key, after the present one and a comma; then clear this task",
                )
        return text


class BudgetVariable:
    """The requests of the last minute and a pause that WATS asked for; a ``rate_limiter.BudgetStore``.

    Another writer shows that the pool is set wrongly, or that a task which Airflow took for dead is still at work.
    """

    def __init__(self, site: Site) -> None:
        self._variables = Variables(site)
        self._text: str | None = None

    def load(self) -> BudgetUsage:
        """Return what the holder before left; nothing when there was none."""
        found = self._variables.load_with_text(BUDGET_USAGE)
        self._text = found[1]
        return found[0] or BudgetUsage()

    def save(self, usage: BudgetUsage) -> None:
        """Keep this for the next holder. Raises RetriableError when another task has written since."""
        self._text = self._variables.replace(BUDGET_USAGE, usage, self._text)


class LearnedVariable:
    """What sessions with the site's WATS learned of it; a ``learned_server.LearnedStore``."""

    def __init__(self, site: Site) -> None:
        self._variables = Variables(site)

    def load(self) -> LearnedServer:
        """Return what was learned so far."""
        return self._variables.load(LEARNED_SERVER) or LearnedServer()

    def save(self, learned: LearnedServer) -> None:
        """Keep what was learned for the next session."""
        self._variables.save(LEARNED_SERVER, learned)
