"""What WATS answers to a posted report."""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class InsertResult(BaseModel):
    """The id of the report as it was posted, and the id WATS keeps it under: a server that renames changes ``uuid``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    source_id: UUID = Field(validation_alias="ID")
    uuid: UUID | None = None

    @property
    def stored_id(self) -> UUID:
        """The id WATS keeps the report under."""
        return self.source_id if self.uuid is None else self.uuid

    @classmethod
    def read(cls, answer: Any) -> Self:
        """Read parsed JSON: the object of the API description, or an array with that one object, as servers send it.

        Raises ValueError for anything else; the report may be stored all the same.
        """
        if isinstance(answer, list) and len(answer) == 1:
            (answer,) = answer
        return cls.model_validate(answer)
