"""What is known of a site's WATS: how it answers where servers differ, as an acceptance run measured it.

It is kept in the Variable ``vte_wats_profile``. Every field is optional: what is unknown is left out, and everything
here works with each behaviour that is possible then. A known one saves requests and waits, or refuses a run before WATS
does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from vte_wats.wats.wats_connection import GuidQuoting


class AnswerForm(StrEnum):
    """What a post is answered with."""

    OBJECT = "object"
    ARRAY = "array"


class MeasurementStatus(StrEnum):
    """Which statuses WATS takes for a measurement."""

    ANY = "any"
    PFS = "pfs"


class Handling(StrEnum):
    """What WATS does with a report of some kind."""

    TAKEN = "taken"
    REFUSED = "refused"


Text = Annotated[str, Field(max_length=100)]


class WatsProfile(BaseModel):
    """How one WATS behaves. ``None`` is unknown.

    What the package does not ask for is kept for people: the report of the acceptance run and the Variable show it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measured_at: AwareDatetime | None = Field(None, description="When the acceptance run ended.")
    host: Annotated[str, Field(max_length=253)] | None = Field(None, description="The host that was measured.")
    wats_version: Text | None = Field(None, description="The version WATS said it has then.")
    answer_form: AnswerForm | None = Field(None, description="The JSON that a post is answered with.")
    renames: bool | None = Field(None, description="Whether WATS keeps reports under ids of its own.")
    visibility_delay_s: float | None = Field(
        None, ge=0, le=86_400, description="The longest time from an answered post until a query found the report."
    )
    id_form: GuidQuoting | None = Field(None, description="How report ids are written in a query.")
    range_listing: bool | None = Field(None, description="Whether headers can be listed by a range of start times.")
    start_fraction: bool | None = Field(None, description="Whether the start in a header has a fraction of a second.")
    merges_within_second: bool | None = Field(
        None, description="Whether of two reports of one unit that start within one second only the last remains."
    )
    body_limit_bytes: int | None = Field(None, ge=1, description="The largest body that was taken.")
    large_attachments: Handling | None = Field(None, description="Whether an attachment may have more than 100 KB.")
    measurement_status: MeasurementStatus | None = Field(None, description="The statuses a measurement may have.")
    done_on_measured_step: bool | None = Field(None, description="Whether a step with a measurement may be Done.")
    equal_step_names: Handling | None = Field(None, description="Whether siblings may have one name.")
    unit_length_limit: int | None = Field(None, ge=1, description="The longest unit that was taken.")
    user_required: bool | None = Field(None, description="Whether a report without uut.user is refused.")

    def known(self) -> dict[str, Any]:
        """Return what is known, as it is written."""
        return self.model_dump(mode="json", exclude_none=True)
