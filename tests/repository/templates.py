"""What Airflow would render as a template: each is a place where text of the plant would become code."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow.sdk import DAG, BaseNotifier, BaseOperator
from airflow.sdk.bases.decorator import DecoratedOperator
from airflow.sdk.definitions._internal.templater import Templater
from airflow.sdk.definitions.mappedoperator import MappedOperator

import vte_wats

# A decorated function gets its arguments through fields that are templates. What stands in the DAG file is checked below;
# what comes from XCom is resolved and never rendered, as tests/security/test_templates.py shows.
ARGUMENTS = {"templates_dict", "op_args", "op_kwargs"}
# Names that tasks set to what a plan made of numbers and times.
LABELS = {None, "{{ slice_label }}", "{{ batch_label }}"}
LINKS = {"Open in WATS", "Triggered DAG"}
_CALLBACKS = (
    "on_execute_callback",
    "on_failure_callback",
    "on_retry_callback",
    "on_skipped_callback",
    "on_success_callback",
)


def own_classes() -> set[type]:
    """Return every class that the package defines."""
    modules = pkgutil.walk_packages(vte_wats.__path__, "vte_wats.")
    return {
        value
        for module in modules
        for value in vars(importlib.import_module(module.name)).values()
        if isinstance(value, type) and value.__module__.startswith("vte_wats.")
    }


def class_violations(classes: Iterable[type]) -> Iterator[str]:
    """Yield the operators and notifiers that have fields which Airflow renders."""
    for cls in classes:
        if issubclass(cls, Templater):
            allowed = ARGUMENTS if issubclass(cls, DecoratedOperator) else set()
            if rendered := set(cls.template_fields) - allowed:
                yield f"{cls.__qualname__}: template_fields {sorted(rendered)}"


def dag_violations(dags: Mapping[str, DAG]) -> Iterator[str]:
    """Yield what Airflow would render in these DAGs, beside the arguments of functions."""
    for dag in dags.values():
        for place, callbacks in _callbacks(dag):
            yield from (
                f"{place}: a notifier renders its fields" for call in callbacks if isinstance(call, BaseNotifier)
            )
        for task in dag.tasks:
            yield from _task_violations(f"{dag.dag_id}.{task.task_id}", task)


def _task_violations(name: str, task: BaseOperator | MappedOperator) -> Iterator[str]:
    mapped = task if isinstance(task, MappedOperator) else None
    operator = type(task) if mapped is None else mapped.operator_class
    allowed = ARGUMENTS if issubclass(operator, DecoratedOperator) else set()
    if rendered := set(task.template_fields) - allowed:
        yield f"{name}: template_fields {sorted(rendered)}"
    arguments = [getattr(task, field, None) for field in allowed]
    if mapped is not None and allowed:
        arguments += [
            mapped.partial_kwargs.get("op_args"),
            mapped.partial_kwargs.get("op_kwargs"),
            getattr(getattr(mapped, "op_kwargs_expand_input", None), "value", None),
        ]
    for text in _texts(arguments):
        if "{{" in text or "{%" in text or "{#" in text:
            yield f"{name}: the argument {text!r} is a template"
    label = task.map_index_template if mapped is None else mapped.partial_kwargs.get("map_index_template")
    if label not in LABELS:
        yield f"{name}: map_index_template {label!r}"
    links = (
        {link.name for link in operator.operator_extra_links}
        if not isinstance(operator.operator_extra_links, property)
        else set()
    )
    if links - LINKS:
        yield f"{name}: links {sorted(links - LINKS)}"


def _callbacks(dag: DAG) -> Iterator[tuple[str, list[Any]]]:
    for name in _CALLBACKS:
        yield f"{dag.dag_id}: {name}", _as_list(getattr(dag, name, None))
        for task in dag.tasks:
            yield f"{dag.dag_id}.{task.task_id}: {name}", _as_list(getattr(task, name, None))
    for alert in _as_list(dag.deadline):
        kwargs = alert.callback.kwargs or {}
        yield (
            f"{dag.dag_id}: deadline",
            [BaseNotifier() for text in (alert.callback.path, *_texts(kwargs)) if "otifier" in text or "{{" in text],
        )


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, (list, tuple, set)):
        for value in node:
            yield from _texts(value)
