from __future__ import annotations

import tracemalloc

import pytest
from upath import UPath

from tests.unit.builders import NOON_LOCAL, a_run, a_settings
from vte_wats.domain.report import Refusal, Report
from vte_wats.domain.run import VteStepResult, VteTestplan, VteTestRun
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import RUNS
from vte_wats.sync.map_runs import map_runs
from vte_wats.sync.staged_reports import staged_mappings

STEP = VteStepResult(kind="numeric", step_number=1, test_name="Gain", numeric_value=1.5, result_code=1)
FIRST_TEN = LocalRange(NOON_LOCAL, NOON_LOCAL.replace(second=10))


@pytest.fixture
def staging(tmp_path) -> Staging:
    return Staging(UPath(tmp_path))


def staged(staging: Staging) -> list[VteTestRun]:
    return [VteTestRun.model_validate_json(line) for line in staging.parsed(RUNS, bytes.decode)]


def test_map_stages_a_report_or_a_reason_for_every_run_in_their_order(staging, caplog):
    runs = [
        a_run(1, steps=(STEP,)),
        a_run(2, serial=" "),
        a_run(3, testplan=VteTestplan(name="Unheard of")),
        a_run(4, result_code=77),
        a_run(5),
    ]
    staging.write(RUNS, (run.model_dump_json() for run in runs))
    assert map_runs(staging, a_settings()) == {"reports": 2, "dead": 1, "held": 2}
    mapped = list(staged_mappings(staging))
    assert [type(run) for run in mapped] == [Report, Refusal, Refusal, Refusal, Report]
    assert [getattr(run, "kind", None) for run in mapped] == [None, "dead", "held", "held", None]
    assert [run.report_id if isinstance(run, Report) else run.index_guid for run in mapped] == [
        r.index_guid for r in runs
    ]
    assert "Unheard of" in mapped[2].reason
    assert "77" in mapped[3].reason
    for refusal in mapped[1:4]:
        code, detail = refusal.reason.split(" ", 1)
        assert f"{code} Run {refusal.index_guid} {refusal.kind}: {detail}" in caplog.messages
        assert code.startswith("VW")


def test_map_makes_the_same_bytes_again(staging, tmp_path):
    staging.write(RUNS, [a_run(n, steps=(STEP,)).model_dump_json() for n in range(5)])
    map_runs(staging, a_settings())
    first = (tmp_path / "reports.jsonl.gz").read_bytes()
    map_runs(staging, a_settings())
    assert (tmp_path / "reports.jsonl.gz").read_bytes() == first


def test_a_large_run_is_mapped_in_four_times_its_size_whatever_characters_it_holds(staging):
    """The text of a run with an emoji takes four bytes a character, so texts of runs and reports are kept as bytes."""
    file = VteStepResult(kind="other", step_number=1, test_name="Picture 😀", bytes_value=b"\xff" * 3_000_000)
    staging.write(RUNS, [a_run(steps=(file, STEP)).as_json()])
    map_runs(staging, a_settings())  # what is imported and kept from the first time on does not count
    tracemalloc.start()
    map_runs(staging, a_settings())
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (report,) = staged_mappings(staging)
    assert peak_bytes < 4 * len(report.document)


def test_equal_reasons_share_a_signature(staging):
    runs = [a_run(n, testplan=VteTestplan(name="Unheard of")) for n in range(2)]
    staging.write(RUNS, (run.model_dump_json() for run in runs))
    map_runs(staging, a_settings())
    first, second = staged_mappings(staging)
    assert first.signature == second.signature
