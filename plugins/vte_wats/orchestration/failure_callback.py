"""The callback of every failed try: it saves the reason of a site's last failure, where the mails find it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from vte_wats.config.sites import Site


def save_failure(site: Site) -> Callable[[Any], None]:
    """Return the callback for failed tries of the site's tasks; it imports when it runs, not at parsing."""

    def failed(context: Any) -> None:
        from vte_wats.alerting.task_failure import TaskFailure, one_line, replaces
        from vte_wats.orchestration.variables import LAST_FAILURE, Variables

        ti = context["ti"]
        failure = TaskFailure(
            dag_id=ti.dag_id,
            dag_run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=ti.map_index if ti.map_index is not None else -1,
            try_number=ti.try_number,
            at=datetime.now(UTC),
            reason=one_line(str(context.get("exception") or "the task's process ended without a message")),
        )
        variables = Variables(site)
        if replaces(failure, variables.load(LAST_FAILURE)):
            variables.save(LAST_FAILURE, failure)

    return failed
