"""Noting why a task failed, where the mails find it: the reason of the last failure of a site."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Variable
from pydantic import ValidationError

from vte_wats.alerting.task_failure import TaskFailure, one_line, replaces
from vte_wats.config.sites import Site
from vte_wats.messages import VW910

log = logging.getLogger(__name__)


def note_failure(site: Site) -> Callable[[Any], None]:
    """Return the callback for failed tries of the site's tasks."""

    def note(context: Any) -> None:
        ti = context["ti"]
        reason = str(context.get("exception") or "the task's process ended without a word")
        new = TaskFailure(
            dag_id=ti.dag_id,
            dag_run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=ti.map_index if ti.map_index is not None else -1,
            try_number=ti.try_number,
            at=datetime.now(UTC),
            reason=one_line(reason),
        )
        if replaces(new, read_failure(site)):
            Variable.set(site.failure_variable, new.model_dump_json(indent=1))

    return note


def read_failure(site: Site) -> TaskFailure | None:
    """Return the last failure that was noted, if any can be read."""
    text = Variable.get(site.failure_variable, default=None)
    try:
        return None if text is None else TaskFailure.model_validate_json(text)
    except ValidationError:
        log.warning("%s the Variable %s holds no failure; it is ignored", VW910, site.failure_variable)
        return None
