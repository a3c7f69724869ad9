"""A site's settings for alerts: who is notified, when something counts as wrong, when nobody is to be disturbed."""

from __future__ import annotations

from datetime import time
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

MailAddress = Annotated[str, Field(pattern=r"^[^@\s,;<>]{1,64}@[^@\s,;<>]{1,189}$")]
ClockTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


def _no_address(conn_id: str) -> str:
    """Refuse an Apprise address: it has a token in it, which belongs into the connection."""
    if "://" in conn_id:
        msg = "must be the id of an Airflow connection, not an address"
        raise ValueError(msg)
    return conn_id


class QuietHours(BaseModel):
    """The time of day in which no mail is sent; what became due then is sent when it ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    begin: ClockTime = Field(description="HH:MM on the wall clock of source_timezone. Required.")
    end: ClockTime = Field(description="HH:MM; before begin it is on the next day. Required.")

    def hold(self, wall_clock: time) -> bool:
        """Return whether a wall-clock time lies in the quiet hours."""
        begin, end, now = time.fromisoformat(self.begin), time.fromisoformat(self.end), wall_clock.replace(tzinfo=None)
        return begin <= now < end if begin <= end else now >= begin or now < end


class AlertSettings(BaseModel):
    """The group ``alerts`` of the Variable ``vte_wats``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipients: tuple[MailAddress, ...] = Field(
        (), description="Mail addresses that alerts go to, through the connection smtp_default."
    )
    apprise_connection: Annotated[str, Field(min_length=1, max_length=250), AfterValidator(_no_address)] | None = Field(
        None, description="A connection of type Apprise that alerts go to: Teams, Slack, a webhook, …"
    )
    confirm_checks: int = Field(
        2, ge=1, le=100, description="Checks in a row that must agree before a condition opens or closes."
    )
    reminder_s: int = Field(
        86_400, ge=60, description="Seconds after which a condition that is still open is notified again."
    )
    quiet_hours: QuietHours | None = Field(
        None, description="The time of day in which nothing is sent; it is sent when they end."
    )
    no_progress_s: int = Field(
        3_600, ge=60, description="Seconds without a finished sync that are wrong, when runs wait in VTE."
    )
    lag_limit_s: int = Field(1_800, ge=60, description="Seconds that lastSync may be behind, when runs wait in VTE.")
    failed_syncs_per_hour: int = Field(
        6, ge=1, description="Failed intervals of the last hour whose time no other sync has covered."
    )
    dead_letters_per_hour: int = Field(10, ge=1, description="New dead letters of the last hour.")
    dead_letter_days: int = Field(14, ge=1, description="Days a dead letter may stay before somebody is asked to look.")
    comparison_limit_h: int = Field(
        36, ge=0, description="Hours that the last comparison with WATS may be old; 0: it is not watched."
    )
    min_free_mb: int = Field(
        1_024, ge=1, description="Megabytes that must be free where staging is, when it is a local folder."
    )
    summary_at: ClockTime | None = Field(
        None, description="HH:MM on the wall clock of source_timezone: a mail about the day before. null: none."
    )

    def are_quiet(self, wall_clock: time) -> bool:
        """Return whether nobody is to be disturbed at a wall-clock time."""
        return self.quiet_hours is not None and self.quiet_hours.hold(wall_clock)

    @field_validator("recipients")
    @classmethod
    def _each_once(cls, recipients: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(recipients))
