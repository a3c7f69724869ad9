"""A VTE test run as the source holds it, its hash, and what can become of it.

A run is frozen and unconverted: wall-clock times are naive, as the station wrote them.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, NaiveDatetime, TypeAdapter
from pydantic_core import CoreSchema, core_schema, to_json


class Outcome(StrEnum):
    """What became of one run."""

    UPLOADED = "uploaded"
    UNCHANGED = "unchanged"
    REPLACED = "replaced"
    DEAD = "dead"
    HELD = "held"


EXCLUDED = "excluded on purpose"
"""The signature of the dead letters of runs that a person left out: nothing waits for anybody."""


class DeadLetterKind(StrEnum):
    """Whether the run itself is bad, or waits for a person to extend a setting."""

    DEAD = "dead"
    HELD = "held"


class StepKind(StrEnum):
    """Which of the three result tables a step came from."""

    NUMERIC = "numeric"
    TEXT = "text"
    OTHER = "other"


class _WrittenAsText:
    """Writes a StrEnum as the text that it is; pydantic would ask each value, an eighth of the reading."""

    @staticmethod
    def __get_pydantic_core_schema__(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return {**handler(source), "serialization": core_schema.simple_ser_schema("str")}


class Frozen(BaseModel):
    """Immutable, closed to unknown fields; in JSON, bytes are base64 and floats keep every bit."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        coerce_numbers_to_str=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        ser_json_inf_nan="strings",
    )


class VteStepResult(Frozen):
    """One row of TestDataNumeric, TestDataText or TestDataOther.

    ``value`` is a float for numeric steps, text for text steps, and text or bytes for other steps; a value of another
    type is written as text. NULL is ``None``. ``result_code`` is TestResultType.
    """

    kind: Annotated[StepKind, _WrittenAsText]
    step_number: int | None = None
    test_name: str | None = None
    test_description: str | None = None
    test_number: str | None = None
    units: str | None = None
    numeric_value: float | None = None
    text_value: str | None = None
    bytes_value: bytes | None = None
    low_limit: float | None = None
    high_limit: float | None = None
    result_code: int | None = None

    @property
    def value(self) -> float | str | bytes | None:
        """The one value of the row; ``None`` where the source has NULL."""
        if self.kind is StepKind.NUMERIC:
            return self.numeric_value
        return self.text_value if self.text_value is not None else self.bytes_value


class VteProduct(Frozen):
    """The product a run tested: IndexData's snapshot of the name, and the name in Products today."""

    product_guid: UUID | None = None
    name: str | None = None
    master_name: str | None = None


class VteTestplan(Frozen):
    """The test plan a run executed, as IndexData recorded it, and the names in the master tables today."""

    testplan_guid: UUID | None = None
    revision_guid: UUID | None = None
    name: str | None = None
    master_name: str | None = None
    variant: str | None = None
    revision: str | None = None


WITHOUT_KEY = "Index_GUID is no GUID"
"""The signature of runs whose row has no key."""


class Defect(Frozen):
    """Why a run cannot be transferred as it was read: reason, signature and kind of its dead letter."""

    reason: str
    signature: str
    kind: DeadLetterKind = DeadLetterKind.DEAD


class VteTestRun(Frozen):
    """One executed test: an IndexData row with its unit, its master data and its steps.

    ``timestamp_local`` is the naive wall-clock value of the column; whether it marks the start or the end of the
    test is a setting. ``test_time_s`` is TestTime. ``steps`` are sorted (see ``vte``), so equal content is equal.
    With a ``defect`` the run holds what could be read of it.
    """

    index_guid: UUID
    timestamp_local: NaiveDatetime
    result_code: int | None = None
    exit_code: int | None = None
    test_time_s: float | None = None
    serial: str | None = None
    product: VteProduct = VteProduct()
    testplan: VteTestplan = VteTestplan()
    testsystem_guid: UUID | None = None
    testsystem_name: str | None = None
    hostname: str | None = None
    site_name: str | None = Field(None, validation_alias=AliasChoices("site_name", "site"))  # its name in 0.1.0
    operator: str | None = None
    info1: str | None = None
    info2: str | None = None
    info3: str | None = None
    steps: tuple[VteStepResult, ...] = ()
    defect: Defect | None = None

    def as_json(self) -> bytes:
        """Return the run as it is staged, on one line; its hash is over the same bytes."""
        return _RUN.dump_json(self, exclude_none=True)

    def __str__(self) -> str:
        """Name the run as a person looks for it, without its steps."""
        return (
            f"run {self.index_guid} · serial {self.serial!r} · product {self.product.name!r} · "
            f"test plan {self.testplan.name!r} · {self.timestamp_local.isoformat(sep=' ')} · {len(self.steps)} steps"
        )

    __repr__ = __str__


_RUN = TypeAdapter(VteTestRun)  # for model_dump_json makes a text, which may be four times as large in memory


_FORMAT = 1  # another one for another way to read or write a run: hashes of two formats say nothing of each other


def run_hash(run: VteTestRun, as_json: bytes | None = None) -> str:
    """Return the number of the format and the hash; runs of equal content have equal ones.

    ``as_json`` is the run as it is staged where that is at hand: writing it takes longer than the hash.
    """
    staged = run.as_json() if as_json is None else as_json
    # A setting decides what is read of the operator. Quotes inside texts are escaped, so the place is found exactly.
    operator = b"" if run.operator is None else b',"operator":' + to_json(run.operator)
    return f"{_FORMAT}:{short_hash(staged, without=operator)}"


def short_hash(content: bytes, without: bytes = b"") -> str:
    """Return the hash of bytes without the first place of others; no copy is made, for they may be a large run."""
    found_at = content.find(without)
    end = max(found_at, 0)
    digest = hashlib.sha256(memoryview(content)[:end])
    digest.update(memoryview(content)[end + len(without) if found_at >= 0 else 0 :])
    return digest.hexdigest()[:16]


def is_comparable(one: str | None, other: str | None) -> bool:
    """Return whether two hashes are there and of one format."""
    return one is not None and other is not None and one.partition(":")[0] == other.partition(":")[0]
