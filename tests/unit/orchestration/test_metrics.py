from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils

from vte_wats.config.sites import Site
from vte_wats.domain.report import RequestStats, UploadResult
from vte_wats.domain.run import Outcome
from vte_wats.orchestration import metrics
from vte_wats.state.coverage import State
from vte_wats.state.history import History, Tally
from vte_wats.state.proof import Cause, DayProof, GoneRuns, OddKind, OddRuns, Proof
from vte_wats.storage.retention import Removed

NOW_AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
PROOF = Proof(
    days={
        date(2026, 5, 29): DayProof(in_vte=9, proven=9, verified_at=NOW_AT),
        date(2026, 5, 30): DayProof(in_vte=9, proven=5, verified_at=NOW_AT),
    },
    gone={date(2026, 5, 29): GoneRuns(runs=2)},
    odd={OddKind.FUTURE: OddRuns(numbers=DayProof(in_vte=3, verified_at=NOW_AT))},
    differences={
        date(2026, 5, 30): {Cause.UNKNOWN: 9},
        date(2026, 5, 31): {Cause.VTE_CHANGED: 5, Cause.WATS_CHANGED: 1},
    },
)
COUNTS = {outcome.value: n for n, outcome in enumerate(Outcome)}


class Receiver:
    """Where metrics go instead of StatsD: names and values as they come."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self.values: dict[str, float] = {}

    def incr(self, stat: str, count: int = 1, **_: Any) -> None:
        self._take(stat, "counter", self.values.get(stat, 0) + count)

    def gauge(self, stat: str, value: float, **_: Any) -> None:
        self._take(stat, "gauge", value)

    def _take(self, stat: str, kind: str, value: float) -> None:
        self.kinds[stat], self.values[stat] = kind, value


@pytest.fixture
def receiver():
    receiver = Receiver()
    stats.initialize(factory=lambda: receiver, export_legacy_names=False)
    yield receiver
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)


def send_all(site: Site) -> None:
    tally = Tally(outcomes={Outcome.UPLOADED: 4}, latency_ms={20: 2, 50: 2})
    history = History(hours={NOW_AT - timedelta(hours=1): tally, NOW_AT - timedelta(hours=5): tally}, dead_letters=3)
    metrics.sent(site, RequestStats(7, 500, {}))
    metrics.transferred(site, UploadResult(read=sum(COUNTS.values()), redriven=0, **COUNTS))
    metrics.removed(site, Removed(dead_letters=1, staging=2, plans=3, abandoned=4))
    metrics.settled(site, State(since_at=NOW_AT - timedelta(minutes=2)), history, NOW_AT)
    metrics.compared(site, State(since_at=NOW_AT - timedelta(days=3)), PROOF, ZoneInfo("UTC"), NOW_AT)


def test_what_is_sent_is_what_was_counted(receiver):
    send_all(Site())
    send_all(Site())
    assert receiver.values == {
        **{f"vte_wats.runs.{name}": 2 * runs for name, runs in COUNTS.items()},
        "vte_wats.requests": 14,
        "vte_wats.removed_dead_letters": 2,
        "vte_wats.removed_staging": 4,
        "vte_wats.removed_plans": 6,
        "vte_wats.removed_abandoned": 8,
        "vte_wats.budget_per_minute": 500,
        "vte_wats.lag_s": 120,
        "vte_wats.runs_waiting": 0,
        "vte_wats.gaps": 0,
        "vte_wats.dead_letters": 3,
        "vte_wats.upload_p50_ms": 20,
        "vte_wats.upload_p95_ms": 48,
        "vte_wats.proven_age_s": 60 * 3_600,
        "vte_wats.runs_open": 4,
        "vte_wats.runs_gone": 2,
        "vte_wats.runs_odd": 3,
        "vte_wats.reports_vte_changed": 5,
        "vte_wats.reports_mapping_changed": 0,
        "vte_wats.reports_altered": 1,
        "vte_wats.reports_outdated": 0,
    }


def test_without_uploads_no_latency_is_made_up(receiver):
    metrics.settled(Site(), State(since_at=NOW_AT), History(), NOW_AT)
    assert not [name for name in receiver.values if "upload" in name]


# The documents beside them


def documented(repository: Path) -> dict[str, str]:
    rows = re.findall(
        r"^\| `(vte_wats\.[\w.]+)` \| (\w+) \|", (repository / "docs/metrics.md").read_text(), re.MULTILINE
    )
    return dict(rows)


def mapped(repository: Path, name: str) -> tuple[str, dict[str, str]]:
    """Apply the exporter's mapping as it does: the first expression that matches the whole name."""
    for rule in yaml.safe_load((repository / "docs/statsd-mapping.yaml").read_text())["mappings"]:
        if found := re.fullmatch(rule["match"], f"airflow.{name}"):
            fill = lambda text, found=found: re.sub(r"\$(\d)", lambda group: found[int(group[1])], text)  # noqa: E731
            return fill(rule["name"]), {label: fill(text) for label, text in rule["labels"].items()}
    raise AssertionError(f"{name} is in no mapping")


def test_every_metric_is_documented_with_its_kind(receiver, repository):
    send_all(Site())
    assert documented(repository) == receiver.kinds


@pytest.mark.parametrize("site", ["", "oslo"])
def test_the_mapping_names_every_metric_and_its_site(receiver, repository, site):
    send_all(Site(site))
    found = {name: mapped(repository, name) for name in receiver.values}
    assert {labels["site"] for _, labels in found.values()} == {site}
    assert {labels["outcome"] for name, labels in found.values() if name == "vte_wats_runs_total"} == set(Outcome)


def exported(repository: Path) -> set[str]:
    return {mapped(repository, name)[0] for name in documented(repository)}


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\bvte_wats_\w+", expression))


def test_the_dashboard_is_whole_and_asks_for_nothing_that_is_not_sent(repository):
    dashboard = json.loads((repository / "docs/grafana-dashboard.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["targets"] for panel in panels)
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "site"}
    asked = set().union(*(metrics_in(target["expr"]) for panel in panels for target in panel["targets"]))
    assert asked == exported(repository)
    assert all("$site" in target["expr"] for panel in panels for target in panel["targets"])
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_the_alerts_have_what_prometheus_wants_and_name_metrics_that_are_sent(repository):
    (group,) = yaml.safe_load((repository / "docs/prometheus-alerts.yaml").read_text())["groups"]
    rules = group["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert metrics_in(rule["expr"])
        assert metrics_in(rule["expr"]) <= exported(repository)
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"].keys() == {"summary", "description"}
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
