"""What settle keeps for people to look at, as the tasks leave it in Airflow."""

from __future__ import annotations

import logging
import re
import socket
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import pytest
from airflow.models.variable import Variable
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils

from tests.site.in_process import HISTORY


def counts(site, name: str = "hours") -> dict[str, int]:
    """What all hours, or days, count together: two syncs may stand on either side of the hour."""
    total: Counter[str] = Counter()
    for tally in site.history[name].values():
        total.update(tally["outcomes"])
    return dict(total)


def test_a_sync_leaves_its_counts_its_latencies_and_what_it_sent(site, clock, caplog):
    caplog.set_level(logging.INFO)
    assert site.sync(10) == "success"
    (hour,) = site.history["hours"]
    (tally,) = site.history["hours"].values()
    assert datetime.fromisoformat(hour) == clock().replace(minute=0, second=0, microsecond=0)
    assert tally == next(iter(site.history["days"].values()))
    assert tally["outcomes"] == {"uploaded": site.state["totals"]["uploaded"]}
    assert sum(tally["latency_ms"].values()) == tally["outcomes"]["uploaded"]
    assert tally["requests"] >= len(site.plant.wats.log) - 1
    assert re.search(
        r"health \w+: last sync 2026-03-02T00:09:00\+00:00, [1-9]\d* runs processed, 0 errors", caplog.text
    )
    assert site.history["newest_at"].startswith("2026-03-02T00:0")


def test_reading_the_guard_band_again_counts_as_unchanged(site):
    assert site.sync(10) == "success"
    uploaded = counts(site)["uploaded"]
    assert site.sync(15) == "success"
    assert counts(site)["unchanged"] > 0
    assert counts(site)["uploaded"] >= uploaded
    assert sum(counts(site).values()) == sum(site.state["totals"].values())


def test_an_outage_leaves_the_runs_that_were_seen_waiting_until_they_are_transferred(site):
    site.plant.wats.stop()
    assert site.sync(10) == "failed"
    waiting = sum(seen["runs"] for seen in site.history["waiting"])
    assert waiting > 0
    assert "hours" not in site.history
    site.plant.wats.start()
    assert site.sync(10) == "success"
    assert "waiting" not in site.history
    assert counts(site)["uploaded"] > waiting  # the guard band of the first interval holds runs, too


def test_neither_a_comparison_nor_a_backfill_passes_for_a_sync(site):
    assert site.sync(10) == "success"
    before = {name: site.history.get(name) for name in ("settled_at", "interval_s")}
    assert site.sync(dag_id="vte_wats_reconcile", days=0) == "success"
    form = {"from": "2026-03-02T00:00:00Z", "to": "2026-03-02T00:05:00Z", "guids": [], "batch_size": None}
    assert site.sync(dag_id="vte_wats_backfill", **form, dead_letters=None) == "success"
    assert {name: site.history.get(name) for name in before} == before


def test_a_dry_run_leaves_no_history(site):
    assert site.sync(10, dry_run=True) == "success"
    assert Variable.get(HISTORY, default_var=None) is None


def test_a_damaged_history_starts_again_and_stops_nothing(site, caplog):
    Variable.set(HISTORY, '{"hours": 3}')
    assert site.sync(10) == "success"
    assert counts(site)["uploaded"] > 0
    assert "the Variable vte_wats_history is damaged" in caplog.text


def test_the_number_of_dead_letters_is_kept(site):
    site.plant.db.query("""UPDATE "UutData" SET "Serial" = ''""")
    assert site.sync(10) == "success"
    assert site.history["dead_letters"] == counts(site)["dead"] > 0


# Metrics, over a real socket


@pytest.fixture
def statsd(monkeypatch) -> Iterator[socket.socket]:
    """A StatsD server as far as UDP goes, which Airflow is configured to send to as a site would do it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_HOST", "127.0.0.1")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_PORT", str(server.getsockname()[1]))
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
        yield server
    monkeypatch.undo()
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)


def received(server: socket.socket) -> dict[str, str]:
    found = {}
    while True:
        try:
            for line in server.recv(65_536).decode().splitlines():
                name, _, value = line.partition(":")
                found[name] = value
        except TimeoutError:
            return found


def test_a_sync_sends_its_metrics_to_statsd(site, statsd):
    assert site.sync(10) == "success"
    metrics = received(statsd)
    ours = {name.removeprefix("airflow.vte_wats."): value for name, value in metrics.items() if ".vte_wats." in name}
    uploaded = counts(site)["uploaded"]
    assert ours["runs.uploaded"] == f"{uploaded}|c"
    assert ours["runs.dead"] == "0|c"
    assert int(ours["requests"].removesuffix("|c")) >= uploaded
    assert ours["budget_per_minute"] == f"{site.plant.connections['wats_default']['extra']['requests_per_minute']}|g"
    assert float(ours["lag_s"].removesuffix("|g")) > 0
    assert ours["runs_waiting"] == ours["gaps"] == ours["dead_letters"] == "0|g"
    assert 0 < float(ours["upload_p50_ms"].removesuffix("|g")) <= float(ours["upload_p95_ms"].removesuffix("|g"))


def test_an_outage_shows_in_the_metrics(site, statsd):
    site.plant.wats.stop()
    assert site.sync(10) == "failed"
    metrics = received(statsd)
    assert metrics["airflow.vte_wats.runs_waiting"] == f"{sum(seen['runs'] for seen in site.history['waiting'])}|g"
    assert int(metrics["airflow.vte_wats.requests"].removesuffix("|c")) > 0
    assert "airflow.vte_wats.runs.uploaded" not in metrics
