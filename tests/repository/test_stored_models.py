"""What is read back from files, Variables and XCom: a time says whether it is an instant or one of the wall clock."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, TypeAdapter

import vte_wats

SENT_ONLY = {  # goes to WATS and is never read back
    "vte_wats.mapping.report_builder._Report",
    "vte_wats.mapping.report_builder._REPORT",
}


def modules() -> list[Any]:
    names = [found.name for found in pkgutil.walk_packages(vte_wats.__path__, "vte_wats.")]
    return [importlib.import_module(name) for name in names if not name.endswith(("plugin_entry", "preload"))]


def schemas() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in modules():
        for name, value in vars(module).items():
            if isinstance(value, TypeAdapter):
                found[f"{module.__name__}.{name}"] = value.core_schema
            elif isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == module.__name__:
                found[f"{module.__name__}.{name}"] = value.__pydantic_core_schema__
    return {name: schema for name, schema in found.items() if name not in SENT_ONLY}


def times(schema: Any, field: str = "") -> Iterator[tuple[str, str | None]]:
    """Yield each time below a schema: the field that it is in, and whether it must, or must not, have a zone."""
    if isinstance(schema, list | tuple):
        for part in schema:
            yield from times(part, field)
    elif isinstance(schema, dict):
        if schema.get("type") == "datetime":
            yield field, schema.get("tz_constraint")
        own = schema["name"] if schema.get("type") == "dataclass-field" else field
        for key, part in schema.items():
            if key in ("metadata", "serialization", "ref"):
                continue
            if key == "fields" and isinstance(part, dict):
                for name, inner in part.items():
                    yield from times(inner, name)
            else:
                yield from times(part, own)


def test_the_stored_models_are_found():
    assert {"vte_wats.storage.dead_letters.DeadLetterHeader", "vte_wats.reconcile.gone_runs._LISTED"} <= set(schemas())
    assert ("first_at", "aware") in set(times(schemas()["vte_wats.storage.dead_letters.DeadLetterHeader"]))
    assert ("timestamp_local", "naive") in set(times(schemas()["vte_wats.reconcile.gone_runs._LISTED"]))


def test_every_time_that_is_read_back_is_an_instant_or_of_the_wall_clock():
    wrong = {
        f"{name}: {field}"
        for name, schema in schemas().items()
        for field, constraint in times(schema)
        if constraint != ("naive" if field.endswith("_local") else "aware")
    }
    assert sorted(wrong) == []
