"""The button "Open in WATS" on every upload, mapped ones included: the page of a report of its slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.bases.decorator import TaskDecorator, task_decorator_factory

LINK_KEY = "report_page"


class OpenInWats(BaseOperatorLink):
    """Leads to what the task left under ``LINK_KEY``; asked by the worker at the end of the task."""

    name = "Open in WATS"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address; without one the button stays grey."""
        from vte_wats.orchestration.handover import pull_address

        del operator
        return pull_address(ti_key, LINK_KEY)


class _LinkedOperator(_PythonDecoratedOperator):
    """A ``@task`` with the button; Airflow takes buttons from the operator's class alone."""

    operator_extra_links: Sequence[BaseOperatorLink] = (OpenInWats(),)


def linked_task(**arguments: Any) -> TaskDecorator:
    """Decorate a function as ``@task`` does."""
    return task_decorator_factory(decorated_operator_class=_LinkedOperator, **arguments)
