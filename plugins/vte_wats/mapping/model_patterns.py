"""Models of pyWATS from patterns: what the runs of a test have in common is validated once, and copied for each run."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel

_KNOWN_PATTERNS = 8_192  # more than the steps and measurements of the test plans of one slice, passed and failed

ModelT = TypeVar("ModelT", bound=BaseModel)


@lru_cache(_KNOWN_PATTERNS)
def pattern(kind: type[ModelT], **fields: Any) -> ModelT:
    """Return the model with these short fields, for :func:`with_values`; nobody may change it."""
    return kind(**fields)


@lru_cache
def _fields_of(kind: type[BaseModel]) -> set[str]:
    return set(kind.model_fields)


def with_values(model: ModelT, **values: Any) -> ModelT:
    """Return a copy with other values, which must be as validation would leave them.

    It is :meth:`pydantic.BaseModel.model_copy` without extra and private fields, which the models of reports and runs
    do not have; that costs half a validation, this a fifth. All fields count as given, in one set for all copies:
    which ones were decides nothing, and a set of its own would be a third of what a step holds.
    """
    kind = type(model)
    copied = kind.__new__(kind)
    object.__setattr__(copied, "__dict__", model.__dict__ | values)
    object.__setattr__(copied, "__pydantic_fields_set__", _fields_of(kind))
    object.__setattr__(copied, "__pydantic_extra__", None)
    object.__setattr__(copied, "__pydantic_private__", None)
    return copied
