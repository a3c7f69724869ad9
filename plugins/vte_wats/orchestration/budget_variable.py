"""What the tasks that use WATS leave to one another: a Variable that only the holder of the pool's one slot writes."""

from __future__ import annotations

from airflow.sdk import Variable
from pydantic import TypeAdapter, ValidationError

from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.messages import VW112, VW113
from vte_wats.wats.rate_limiter import BudgetUsage

_USAGE: TypeAdapter[BudgetUsage] = TypeAdapter(BudgetUsage)


class BudgetVariable:
    """The requests of the last minute and a pause that WATS asked for; a ``rate_limiter.Memory``.

    Airflow's Variables know no lock. The pool gives one, so another writer shows that the pool is set wrongly, or that
    a task which Airflow took for dead is still at work.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._last_seen: str | None = None

    def load(self) -> BudgetUsage:
        """Return what the holder before left; nothing when there was none."""
        self._last_seen = Variable.get(self._name, default=None)
        if self._last_seen is None:
            return BudgetUsage()
        try:
            return _USAGE.validate_json(self._last_seen)
        except ValidationError as exc:
            raise FatalError(
                VW112,
                f"the Variable {self._name} is damaged: {exc.errors()[0]['msg']}. Delete it a minute after "
                "the last request to WATS: it holds what was sent in that minute, and nothing else",
            ) from exc

    def save(self, usage: BudgetUsage) -> None:
        """Keep this for the next holder. Raises RetriableError when another task has written since."""
        if Variable.get(self._name, default=None) != self._last_seen:
            raise RetriableError(
                VW113,
                f"another task uses WATS at the same time: it wrote the Variable {self._name}. Give the pool "
                "of this task as many slots as concurrent_tasks of the WATS connection says, one by default",
            )
        self._last_seen = _USAGE.dump_json(usage).decode()
        Variable.set(self._name, self._last_seen, description="Written by the tasks that use WATS; leave it alone.")
