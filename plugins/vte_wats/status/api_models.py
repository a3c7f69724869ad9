"""What the status page is told: the JSON below ``/vte-wats/api``. Times are UTC, durations say their unit."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, Field

from vte_wats.domain.outcome import Outcome
from vte_wats.health import Assessment
from vte_wats.intervals.interval import Instant


class DagRunLink(BaseModel):
    """A DAG run, to be opened in Airflow."""

    dag_id: str
    run_id: str


class SiteSummary(BaseModel):
    """One site in the list of sites."""

    site: str = Field(description="Its name; empty when there is only one.")
    standing: Assessment
    last_sync: Instant | None


class Lag(BaseModel):
    """How far WATS is behind VTE."""

    last_sync: Instant | None = Field(description="Everything before is in WATS or has a dead letter.")
    behind_s: int | None = Field(description="Seconds between lastSync and now.")
    newest_at: Instant | None = Field(description="The newest run that was seen in VTE.")
    runs_waiting: int = Field(description="Runs that were seen in VTE and are not done.")
    seen_until_at: Instant | None = Field(description="Up to when VTE was looked at for it.")


class PieceKind(StrEnum):
    """What became of a piece of time."""

    COMPLETE = "complete"
    RUNNING = "running"
    WAITING = "waiting"
    GAP = "gap"


class Piece(BaseModel):
    """A piece of the last fourteen days. A gap names the oldest DAG run that left it, and how many did."""

    kind: PieceKind
    from_at: Instant
    to_at: Instant
    dag_run: DagRunLink | None = None
    dag_runs: int = 0


class Coverage(BaseModel):
    """The last fourteen days: ascending pieces without holes between them, from the beginning of the sync on."""

    from_at: Instant
    to_at: Instant
    pieces: list[Piece]


class Uploads(BaseModel):
    """How long a report takes to be posted, over the last hour or two."""

    reports: int
    p50_ms: float | None
    p95_ms: float | None


class Budget(BaseModel):
    """The requests to WATS."""

    last_minute: int = Field(description="Requests of the last minute, by the uploads' own account.")
    per_minute: int | None = Field(description="What the connection allows; null before the first upload.")


class TransferredBy(BaseModel):
    """One DAG run with what it carried; ``counts`` is empty until its accounts balance."""

    dag_run: DagRunLink
    dag: str = Field(description="sync, reconcile or backfill.")
    state: str
    started_at: Instant | None
    took_s: float | None
    from_at: Instant | None
    to_at: Instant | None
    counts: dict[Outcome, int]


class ServerCheck(BaseModel):
    """One of the two servers at the monitor's last check."""

    ok: bool
    version: str | None
    round_trip_ms: float | None
    problem: str | None


class Connectivity(BaseModel):
    """Both servers; null where nothing was checked yet."""

    checked_at: Instant | None
    vte: ServerCheck | None
    wats: ServerCheck | None


class Condition(BaseModel):
    """What the monitor holds for wrong now."""

    key: str
    summary: str
    advice: str
    opened_at: Instant


class Backfill(BaseModel):
    """A backfill that is under way, or the last one."""

    dag_run: DagRunLink
    asked: str
    runs: int
    transferred: int
    remaining_s: int
    started_at: Instant
    ended_at: Instant | None
    dry_run: bool


class SiteStatus(BaseModel):
    """Everything about one site but its history and its dead letters."""

    site: str
    now_at: Instant
    standing: Assessment
    lag: Lag
    coverage: Coverage | None
    uploads: Uploads
    budget: Budget
    totals: dict[Outcome, int]
    redriven: int
    letters: int = Field(description="Dead letters and held runs when something was settled last.")
    conditions: list[Condition]
    connectivity: Connectivity
    recent: list[TransferredBy]
    comparisons: list[TransferredBy]
    backfill: Backfill | None
    may_redrive: bool = Field(description="Whether the one who asks may trigger the DAG that drives letters again.")
    problem: str | None = Field(None, description="What could not be read of the stored state, if anything.")


class Span(StrEnum):
    """How much of the past a chart shows."""

    DAY = "day"
    FORTNIGHT = "fortnight"
    YEAR = "year"


class Point(BaseModel):
    """What was settled between two times."""

    from_at: Instant
    to_at: Instant
    read: int
    outcomes: dict[Outcome, int]
    requests: int
    p50_ms: float | None
    p95_ms: float | None


class Past(BaseModel):
    """A chart's points: ascending, of equal length, empty ones included."""

    span: Span
    points: list[Point]


class RedriveRequest(BaseModel):
    """Which dead letters to drive again."""

    signature: str = Field(min_length=1, max_length=2_000)


class Redriven(BaseModel):
    """The DAG run that carries them; it waits while its DAG is paused."""

    dag_run: DagRunLink
    is_paused: bool
