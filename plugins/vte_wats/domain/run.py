"""A VTE test run as the source holds it: frozen, unconverted, wall-clock times naive as the station wrote them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, NaiveDatetime, TypeAdapter
from pydantic_core import CoreSchema, core_schema

from vte_wats.domain.outcome import DeadLetterKind


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
