"""What Airflow's database holds about a site: stored Variables, DAGs, DAG runs and what settle returned.

The number of statements does not depend on how much there is. VTE and WATS are never asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.variable import Variable
from airflow.models.xcom import XComModel
from airflow.sdk.bases.xcom import BaseXCom
from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.orm import Session

from vte_wats.alerting.monitor_state import Condition, Kind, MonitorState
from vte_wats.backfill.progress import Progress
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.health import Stored
from vte_wats.intervals.interval import Interval, in_utc
from vte_wats.messages import VW516, VW627
from vte_wats.orchestration.variables import (
    BACKFILL,
    BUDGET_USAGE,
    HISTORY,
    MONITOR_STATE,
    PROOF,
    SEEN_CONTENT,
    STATE,
    WATS_PROFILE,
    StoredVariable,
)
from vte_wats.state.history import History
from vte_wats.state.proof import Proof
from vte_wats.state.seen_content import SeenContent
from vte_wats.status.charts import SHOWN
from vte_wats.wats.profile import WatsProfile
from vte_wats.wats.rate_limiter import BudgetUsage

KINDS = ("sync", "reconcile", "backfill")
RECENT = 12
COMPARISONS = 5
_MOST_UNFINISHED = 5_000  # fourteen days of five-minute intervals are 4,032

_T = TypeVar("_T")
_WITHOUT_FIGURES: Mapping[str, str] = {
    Kind.LAG: "lastSync is further behind than its limit",
    Kind.NO_PROGRESS: "no sync makes progress, and runs wait in VTE",
    Kind.FAILED_SYNCS: "intervals of the last hour failed and are open",
    Kind.COMPARISON: "no comparison with WATS has ended for longer than its limit",
    Kind.ODD_TIMESTAMPS: "runs in VTE are outside every window and not in WATS yet",
}
_SHOWN_VARIABLES = (STATE, HISTORY, MONITOR_STATE, BUDGET_USAGE, BACKFILL, WATS_PROFILE, PROOF, SEEN_CONTENT)


@dataclass(frozen=True, slots=True)
class DagRunSnapshot:
    """One DAG run, and what its settle task returned; an empty mapping until then."""

    dag_id: str
    dag_run_id: str
    state: str
    run_type: str
    interval: Interval | None
    due_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    conf: Mapping[str, Any] | None = None
    settled: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """Its identity."""
        return self.dag_id, self.dag_run_id

    @property
    def is_dry_run(self) -> bool:
        """Whether it was triggered to post nothing."""
        return bool((self.conf or {}).get("dry_run"))


@dataclass(frozen=True, slots=True)
class SiteSnapshot:
    """Everything stored about one site. ``problem`` names what could not be read."""

    stored: Stored
    monitor_state: MonitorState
    budget_usage: BudgetUsage
    backfill: Progress | None
    is_paused: bool
    unfinished: Sequence[DagRunSnapshot]
    recent: Sequence[DagRunSnapshot]
    comparisons: Sequence[DagRunSnapshot]
    problem: str | None
    wats_profile: WatsProfile | None = None


def read_stored(session: Session, sites: Iterable[Site]) -> dict[Site, Stored]:
    """Read what an assessment of the sites needs, with one statement."""
    sites = tuple(sites)
    texts = _texts(session, sites)
    return {site: _stored(site, texts, []) for site in sites}


def read_site(session: Session, site: Site, now_at: datetime) -> SiteSnapshot:
    """Read everything about one site."""
    problems: list[str] = []
    texts = _texts(session, [site])
    sync, reconcile = site.dag_id("sync"), site.dag_id("reconcile")
    paused = session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == sync, ~DagModel.is_stale))
    unfinished = _runs(
        session,
        [sync],
        DagRun.state.not_in(["success"]),
        DagRun.run_after >= now_at - SHOWN - timedelta(days=1),
        limit=_MOST_UNFINISHED,
    )
    recent = _runs(session, [site.dag_id(kind) for kind in KINDS], limit=RECENT)
    comparisons = _runs(session, [reconcile], limit=COMPARISONS)
    returned = _returned(session, [*recent, *comparisons])
    if paused is None:
        problems.append(f"There is no DAG {sync}; see Airflow's import errors.")
    return SiteSnapshot(
        stored=_stored(site, texts, problems),
        monitor_state=_parsed(MONITOR_STATE, site, texts, problems) or MonitorState(),
        budget_usage=_parsed(BUDGET_USAGE, site, texts, problems) or BudgetUsage(),
        backfill=_parsed(BACKFILL, site, texts, problems),
        is_paused=bool(paused),
        unfinished=unfinished,
        recent=[replace(run, settled=returned.get(run.key, {})) for run in recent],
        comparisons=[replace(run, settled=returned.get(run.key, {})) for run in comparisons],
        wats_profile=_parsed(WATS_PROFILE, site, texts, problems),
        problem=" ".join(problems) or None,
    )


def _texts(session: Session, sites: Iterable[Site]) -> dict[str, str | None]:
    """Return the texts of the Variables that exist; ``None`` of one that Airflow cannot decrypt."""
    keys = [variable.name_of(site) for site in sites for variable in _SHOWN_VARIABLES]
    return {found.key: found.val for found in session.scalars(select(Variable).where(Variable.key.in_(keys)))}


def _stored(site: Site, texts: Mapping[str, str | None], problems: list[str]) -> Stored:
    history = _parsed(HISTORY, site, texts, problems)
    monitor_state = _parsed(MONITOR_STATE, site, texts, []) or MonitorState()
    summaries = tuple(of_now(key, condition) for key, condition in monitor_state.open_conditions())
    seen = _parsed(SEEN_CONTENT, site, texts, problems) or SeenContent()
    state = _parsed(STATE, site, texts, problems)
    return Stored(
        state,
        history or History(),
        summaries,
        checked_at=monitor_state.checked_at,
        proof=_parsed(PROOF, site, texts, problems) or Proof(),
        comparison_limit_h=monitor_state.comparison_limit_h,
        changes_wait_since=seen.behind_since if monitor_state.looks_for_changes else None,
        state_problem=_state_problem(site, texts) if state is None else None,
    )


def _state_problem(site: Site, texts: Mapping[str, str | None]) -> str | None:
    """Return why a state that exists cannot be read, and what to do; ``None`` where there is none."""
    name = site.state_variable
    if name not in texts:
        return None
    if texts[name] is None:
        return f"The Variable {name} cannot be read ({VW627}), as it was encrypted with another key: {VW627.advice}."
    return f"The Variable {name} is damaged ({VW516}). {STATE.advice(site)}."


def of_now(key: str, condition: Condition) -> str:
    """Return what is wrong without the figures of an earlier check, where the page has those of now beside it."""
    return _WITHOUT_FIGURES.get(key, condition.summary)


def _parsed(
    variable: StoredVariable[_T], site: Site, texts: Mapping[str, str | None], problems: list[str]
) -> _T | None:
    name = variable.name_of(site)
    try:
        found = variable.parse(site, texts.get(name))
    except FatalError:
        found = None
    if found is None and name in texts:
        is_readable = texts[name] is not None
        what = "is damaged" if is_readable else f"cannot be read ({VW627}): it was encrypted with another key"
        problems.append(f"The Variable {name} {what}.")
    return found


def _runs(session: Session, dag_ids: Sequence[str], *conditions: Any, limit: int) -> list[DagRunSnapshot]:
    """Return the latest DAG runs."""
    columns = (
        DagRun.dag_id,
        DagRun.run_id,
        DagRun.state,
        DagRun.run_type,
        DagRun.data_interval_start,
        DagRun.data_interval_end,
        DagRun.run_after,
        DagRun.start_date,
        DagRun.end_date,
        DagRun.conf,
    )
    found = session.execute(
        select(*columns).where(DagRun.dag_id.in_(dag_ids), *conditions).order_by(DagRun.run_after.desc()).limit(limit)
    )
    return [
        DagRunSnapshot(
            row.dag_id,
            row.run_id,
            row.state,
            row.run_type,
            _interval(row.data_interval_start, row.data_interval_end),
            due_at=row.run_after,
            started_at=row.start_date,
            ended_at=row.end_date,
            conf=row.conf,
        )
        for row in found
    ]


def _interval(from_at: datetime | None, to_at: datetime | None) -> Interval | None:
    """Return the data interval, none for one that ends before it starts: Airflow takes that from whoever triggers."""
    return Interval(in_utc(from_at), in_utc(to_at)) if from_at and to_at and from_at <= to_at else None


def returned_values(session: Session, *where: ColumnElement[bool]) -> list[tuple[Row[Any], Any]]:
    """Return the row of each task instance that returned something, and its value."""
    task = XComModel.dag_id, XComModel.run_id, XComModel.task_id, XComModel.map_index
    rows = session.execute(select(*task, XComModel.value).where(XComModel.key == BaseXCom.XCOM_RETURN_KEY, *where))
    return [(row, XComModel.deserialize_value(row)) for row in rows]


def _returned(session: Session, runs: Iterable[DagRunSnapshot]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return what the settle tasks of these runs returned."""
    keys = {run.key for run in runs}
    found = returned_values(
        session,
        XComModel.dag_id.in_({dag_id for dag_id, _ in keys}),
        XComModel.run_id.in_({dag_run_id for _, dag_run_id in keys}),
        XComModel.task_id == "settle",
    )
    return {(row.dag_id, row.run_id): value for row, value in found if isinstance(value, Mapping)}
