"""What the status page gets: the JSON below ``/vte-wats/api``. Times are UTC, durations say their unit."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field, NaiveDatetime

from vte_wats.alerting.monitor_state import ServerCheck
from vte_wats.domain.run import Outcome
from vte_wats.health import Assessment, ProbeStatus
from vte_wats.intervals.interval import Instant, Interval
from vte_wats.state.proof import Cause, DayStatus, OddKind, OddRun, OpenRun
from vte_wats.storage.dead_letter_index import DeadLetterGroups
from vte_wats.survey.proposal import Question
from vte_wats.survey.stored import SurveyFile
from vte_wats.survey.take_over import ProposedChange


class BareHealth(BaseModel):
    """What a probe gets where the deployment wants no more to be said."""

    status: ProbeStatus


class DagRunLink(BaseModel):
    """A DAG run, to be opened in Airflow."""

    dag_id: str
    dag_run_id: str


class SiteSummary(BaseModel):
    """One site in the list of sites."""

    site: str = Field(description="Its name; empty when there is only one.")
    assessment: Assessment
    last_sync: Instant | None


class Lag(BaseModel):
    """How far WATS is behind VTE."""

    last_sync: Instant | None = Field(description="Every run that was read before is in WATS or has a dead letter.")
    behind_s: int | None = Field(description="Seconds between lastSync and now, the settle delay left out.")
    newest_at: Instant | None = Field(description="The newest run that was seen in VTE.")
    runs_waiting: int = Field(description="Runs that were seen in VTE and are not done.")
    seen_until_at: Instant | None = Field(description="When VTE was last asked for it.")


class SegmentKind(StrEnum):
    """Whether an interval is done, and if not, why."""

    COMPLETE = "complete"
    RUNNING = "running"
    WAITING = "waiting"
    GAP = "gap"


class Segment(BaseModel):
    """One interval of the last fourteen days. A gap names the oldest DAG run that caused it, and how many did."""

    kind: SegmentKind
    interval: Interval
    dag_run: DagRunLink | None = None
    dag_runs: int = 0


class CoverageChart(BaseModel):
    """The last fourteen days, from the start of the sync on: ascending segments that touch each other."""

    interval: Interval
    segments: list[Segment]


class Uploads(BaseModel):
    """How long a report takes to be posted, over the last hour or two."""

    reports: int
    p50_ms: float | None
    p95_ms: float | None


class Budget(BaseModel):
    """The requests to WATS."""

    last_minute: int = Field(description="Requests of the last minute, as the uploads counted them.")
    per_minute: int | None = Field(description="What the connection allows; null before the first upload.")


class DagRunSummary(BaseModel):
    """One DAG run with the outcomes of its runs; ``counts`` is empty until they add up to the runs it read.

    Those of a dry run are what they would be.
    """

    dag_run: DagRunLink
    dag: str = Field(description="sync, reconcile or backfill.")
    state: str = Field(description="Airflow's; healed: it failed, and other syncs have covered its time since.")
    started_at: Instant | None
    took_s: float | None
    interval: Interval | None = Field(description="The time that it is about; none when it is about no interval.")
    counts: dict[Outcome, int]
    dry_run: bool = Field(description="Nothing was posted; counts are what the outcomes would be.")


class Connectivity(BaseModel):
    """Both servers at the monitor's last check; null where nothing was checked yet."""

    checked_at: Instant | None
    vte: ServerCheck | None
    wats: ServerCheck | None


class MeasuredProfile(BaseModel):
    """How WATS behaves, as an acceptance run measured it."""

    measured_at: Instant | None
    wats_version: str | None
    known: int = Field(description="How many of its behaviours are known.")


class OpenCondition(BaseModel):
    """A condition that the monitor has open now."""

    key: str
    summary: str
    reason: str = Field(description="Why, in the words of an error or of the dead letters; may be empty.")
    advice: str
    opened_at: Instant


class Backfill(BaseModel):
    """A backfill that is under way, or the last one."""

    dag_run: DagRunLink
    asked: str
    runs: int
    transferred: int = Field(description="Runs that have an outcome by now; of a dry run none is posted.")
    remaining_s: int
    started_at: Instant
    ended_at: Instant | None
    dry_run: bool


class SiteStatus(BaseModel):
    """Everything about one site but its history and its dead letters."""

    site: str
    now_at: Instant
    assessment: Assessment
    lag: Lag
    coverage: CoverageChart | None
    uploads: Uploads
    budget: Budget
    totals: dict[Outcome, int]
    redriven: int
    dead_letters: int = Field(description="Dead letters and held runs when something was settled last.")
    conditions: list[OpenCondition]
    connectivity: Connectivity
    recent: list[DagRunSummary]
    comparisons: list[DagRunSummary]
    backfill: Backfill | None
    may_redrive: bool = Field(
        default=False, description="Whether this user may trigger the DAG that redrives dead letters."
    )
    problem: str | None = Field(None, description="What could not be read of the stored state, if anything.")
    state_problem: str | None = Field(
        None, description="Why the state that says what has been synced cannot be read, and what to do."
    )
    wats_profile: MeasuredProfile | None = Field(None, description="Null before the first acceptance run.")


class Span(StrEnum):
    """How much of the history a chart shows."""

    DAY = "day"
    FORTNIGHT = "fortnight"
    YEAR = "year"


class Point(BaseModel):
    """What was settled in one interval."""

    interval: Interval
    read: int
    outcomes: dict[Outcome, int]
    requests: int
    p50_ms: float | None
    p95_ms: float | None


class HistoryChart(BaseModel):
    """Points: ascending, of equal length, empty ones included."""

    span: Span
    points: list[Point]


class MessageText(BaseModel):
    """What a message code means and what to do, as docs/troubleshooting.md has it."""

    meaning: str
    advice: str


class DeadLetterList(DeadLetterGroups):
    """The dead letters as one user may see them. ``read_at`` is old while the storage does not answer."""

    read_at: Instant
    counts_alone: bool = Field(description="Whether the groups are left out: they need the right to read task logs.")
    messages: dict[str, MessageText] = Field(description="The messages of the groups by their codes.")


class ProofDay(BaseModel):
    """One day of the Timestamps. The numbers are null when it was not compared since it ended."""

    day: date
    status: DayStatus
    in_vte: int | None = Field(None, description="Runs in VTE: the sum of the other four.")
    proven: int | None = Field(None, description="Those whose report a query found in WATS with equal content.")
    dead: int | None = None
    held: int | None = None
    open: int | None = Field(None, description="Neither proven nor a dead letter.")
    gone: int | None = Field(None, description="Runs that are in WATS and no longer in VTE; not among the others.")
    gone_is_listed: bool = Field(default=True, description="False: by how much the runs in VTE fell; WATS lists none.")
    verified_at: Instant | None = None
    open_runs: list[OpenRun] = Field([], description="Examples; they need the right to read task logs.")
    gone_runs: list[str] = Field([], description="The Index_GUID of examples; they need that right, too.")


class OddRunsOfKind(BaseModel):
    """The runs of one kind that no window holds, as the last comparison found them."""

    kind: OddKind
    text: str = Field(description="What is odd about their Timestamps.")
    in_vte: int
    proven: int
    dead: int
    held: int
    open: int = Field(description="Neither in WATS nor a dead letter.")
    examples: list[OddRun] = Field([], description="The first of them; they need the right to read task logs.")


class DifferencesOfCause(BaseModel):
    """Reports with other content that the comparisons of one day found, of one cause."""

    found_on: date
    cause: Cause = Field(description="Why; altered: of those that were opened; outdated: the cause is not known.")
    text: str = Field(description="What is different.")
    reports: int


class ProofCalendar(BaseModel):
    """What the daily comparisons have proven: ascending days without a break, today left out."""

    proven_through: date | None = Field(
        description="Each day from the start of the sync up to this one was compared, and nothing is open."
    )
    compared_at: Instant | None = Field(description="When a comparison ended last; null before the first.")
    days: list[ProofDay]
    odd: list[OddRunsOfKind] = Field([], description="Runs that no window holds.")
    differences: list[DifferencesOfCause] = Field([], description="The newest first; most are replaced since.")
    counts_alone: bool = Field(default=False, description="Whether the open runs are left out.")


class RedriveRequest(BaseModel):
    """Which dead letters to redrive."""

    signature: str = Field(min_length=1, max_length=2_000)


class StartedRedrive(BaseModel):
    """The DAG run that redrives them; it waits while its DAG is paused."""

    dag_run: DagRunLink
    is_paused: bool


class SurveyFigures(BaseModel):
    """The main findings of a survey."""

    package_version: str
    counted_runs: int
    counted_from_local: NaiveDatetime | None = Field(description="As the stations' clocks show it.")
    sampled_runs: int
    issues: int = Field(description="Kinds of oddities in the data.")
    trial: dict[str, int] = Field(description="What would become of the chosen runs; empty where none could be read.")
    stopped: str = Field(description="Why no run could be read; empty where runs were read.")


class SurveyFileLink(BaseModel):
    """A file of the survey that can be fetched."""

    name: SurveyFile
    size_bytes: int


class SurveyProposal(BaseModel):
    """What a survey would change in the settings, and what it asks."""

    shown: str = Field(description="Stands for the settings as they are; to be sent along with what is taken over.")
    changes: list[ProposedChange]
    questions: list[Question]
    may_change: bool = Field(description="Whether this user may edit the Variable with the settings.")
    in_database: bool = Field(description="False: the settings are in the environment or in a secrets backend.")


class SurveyStatus(BaseModel):
    """The newest survey of a site, as one user may see it."""

    may_read: bool = Field(description="False: everything else is left out; it needs the right to read task logs.")
    survey: str | None = Field(None, description="Its name; null before the first one.")
    measured_at: Instant | None = None
    figures: SurveyFigures | None = None
    files: list[SurveyFileLink] = []
    problem: str | None = Field(None, description="Why there are no figures, if there is a survey.")
    proposal: SurveyProposal | None = Field(None, description="Null without the right to read the Variable.")


class TakeOverRequest(BaseModel):
    """Which of the proposed settings to take over, and what was shown beside them."""

    survey: str = Field(max_length=40)
    shown: str = Field(max_length=64)
    settings: list[Annotated[str, Field(max_length=60)]] = Field(min_length=1, max_length=100)
