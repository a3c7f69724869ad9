"""Deliberate bugs, each of which a named test must catch: python -m tests.faults.mutations [--jobs N].

A bug is put into a temporary copy of the repository, and the test is run there. One that no test catches, or whose
place in the code is gone, fails the run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
COPIED = ("dags", "docs", "include", "plugins", "sandbox", "tests", "benchmarks", "pyproject.toml")
PATIENCE_S = 240
TESTS_FAILED = 1  # pytest's exit code for failed tests, as opposed to tests that were not found or could not load


def say(text: str) -> None:
    """Tell the person who waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Mutation:
    """A bug: what it would do to a site, the text it changes, and the test that sees it."""

    name: str
    harm: str
    path: str
    old: str
    new: str
    test: str


def _core(name: str, harm: str, path: str, old: str, new: str, test: str) -> Mutation:
    return Mutation(name, harm, f"plugins/vte_wats/{path}", old, new, f"tests/{test}")


MUTATIONS = (
    _core(
        "strict lower edge", "runs on the edge of a window are lost", "vte/statements.py",
        "{_TIMESTAMP} >= CAST", "{_TIMESTAMP} > CAST",
        "unit/vte/test_statements.py::test_ranges_are_half_open_and_bound_as_iso_text_with_t",
    ),
    _core(
        "closed upper edge", "runs on the edge are read by two windows", "vte/statements.py",
        "{_TIMESTAMP} < CAST", "{_TIMESTAMP} <= CAST",
        "unit/vte/test_statements.py::test_ranges_are_half_open_and_bound_as_iso_text_with_t",
    ),
    _core(
        "no guard band", "late rows are lost", "sync/plan.py",
        "Interval(from_at - timedelta(seconds=guard_band_s), to_at)", "Interval(from_at, to_at)",
        "unit/sync/test_plan.py::test_guard_band_and_settle_delay_shift_the_window_by_their_seconds",
    ),
    _core(
        "naive windows", "the autumn hour is read once", "intervals/wall_clock.py",
        "pairwise([interval.from_at, *changes, interval.to_at])", "pairwise([interval.from_at, interval.to_at])",
        "unit/intervals/test_wall_clock.py::test_every_second_of_a_known_clock_change_is_in_the_window_and_no_other",
    ),
    _core(
        "the spring hour forgotten", "stations that do not adjust lose an hour of runs", "intervals/wall_clock.py",
        "merge_ranges(shown + list(_skipped_values(interval, zone)))", "merge_ranges(shown)",
        "unit/intervals/test_wall_clock.py::test_the_skipped_spring_hour_is_read_when_an_unadjusted_clock_shows_it",
    ),
    _core(
        "a slice splits a second", "runs of one second fall between two slices", "sync/slices.py",
        "cuts.append(second)", "cuts.append(second + timedelta(milliseconds=500))",
        "unit/sync/test_slices.py::test_slices_tile_the_ranges_keep_seconds_whole_and_respect_the_limit",
    ),
    _core(
        "naive start", "a test starts hours too early or too late", "mapping/start_time.py",
        "start_at = (timestamp_local - offset).replace(tzinfo=UTC)", "start_at = timestamp_local.replace(tzinfo=UTC)",
        "unit/mapping/test_start_time.py::test_a_timestamp_at_the_start_is_the_start",
    ),
    _core(
        "start is end", "a test starts when it ended", "mapping/start_time.py",
        "start_at = earlier_at", "pass",
        "unit/mapping/test_start_time.py::test_a_timestamp_at_the_end_is_taken_back_by_the_test_time",
    ),
    _core(
        "random id", "every retry doubles a run", "mapping/report_builder.py",
        "id=run.index_guid,\n            pn", "id=__import__('uuid').uuid4(),\n            pn",
        "unit/sync/test_map_runs.py::test_map_makes_the_same_bytes_again",
    ),
    _core(
        "unlisted result passes", "a broken unit is a good one", "mapping/verdicts.py",
        "result = None if code is None else settings.result_codes.get(code)",
        "result = settings.result_codes.get(code if code is not None else 1, RunResult.PASSED)",
        "unit/mapping/test_report_builder.py::test_a_run_with_an_unlisted_result_code_is_held",
    ),
    _core(
        "a measurement says Error", "WATS refuses the report", "mapping/verdicts.py",
        "return _MEASUREMENT_STATUS.get(status, status)", "return status",
        "unit/mapping/test_steps.py::"
        "test_a_listed_code_decides_the_step_and_its_measurement_says_passed_failed_or_skipped",
    ),
    _core(
        "no cause marked", "nobody sees which step failed the unit", "mapping/steps.py",
        "step.caused_uut_failure = True", "step.caused_uut_failure = None",
        "unit/mapping/test_report_builder.py::test_the_step_that_failed_the_unit_is_marked_and_named_by_its_id",
    ),
    _core(
        "a number takes another step's name", "two steps are counted as one", "mapping/step_rows.py",
        "free in taken or (free != name and free in own)", "free in taken",
        "unit/mapping/test_steps.py::test_a_number_never_makes_a_name_that_another_step_has_by_itself",
    ),
    _core(
        "short numbers whatever the limits", "a failed value looks like a passed one", "mapping/numbers.py",
        "return written if before == after else row", "return written",
        "unit/mapping/test_steps.py::test_a_number_is_exact_where_the_short_one_would_be_on_another_side_of_a_limit",
    ),
    _core(
        "operators' names leave VTE", "personal data is where a site does not want it", "vte/run_reader.py",
        "operators.kept(None if header.operator is None else str(header.operator))", "header.operator",
        "integration/test_vte_source.py::test_an_operators_name_leaves_the_reader_only_as_the_site_wants",
    ),
    _core(
        "strict limits", "a value on its limit fails", "mapping/numbers.py",
        "value >= self.low", "value > self.low",
        "unit/mapping/test_steps.py::test_without_a_code_a_number_is_judged_by_its_limits",
    ),
    _core(
        "watermark past a gap", "a failed interval is never looked at again", "state/coverage.py",
        "(covered.to_at for covered in self.coverage if self.since_at in covered)",
        "(covered.to_at for covered in reversed(self.coverage))",
        "unit/state/test_coverage.py::test_watermark_stays_before_a_gap_and_jumps_when_it_is_filled",
    ),
    _core(
        "watermark moved early", "a failed slice counts as done", "sync/settle.py",
        "if len(results) != planned:", "if len(results) > planned:",
        "unit/sync/test_settle.py::test_a_failed_slice_leaves_the_window_open_and_says_so",
    ),
    _core(
        "accounts not balanced", "a run that got lost on the way is not noticed", "sync/upload.py",
        "if read != counts.total():", "if read < 0:",
        "unit/sync/test_upload.py::test_a_run_that_mapping_lost_unbalances_the_counts",
    ),
    _core(
        "hash ignored", "steps that came later never arrive", "sync/upload.py",
        "found is not None and not _differs(report, stored) and not options.force",
        "found is not None and not options.force",
        "unit/sync/test_upload.py::test_a_changed_run_is_replaced_under_its_id",
    ),
    _core(
        "stale replaces new", "steps that came late are taken back", "sync/upload.py",
        "if not doubtful:", "if mapped is not None:",
        "unit/sync/test_upload.py::test_what_was_staged_long_ago_never_replaces_what_came_since",
    ),
    _core(
        "old slice takes a dead letter", "data that WATS refused is noted nowhere any more", "sync/upload.py",
        "outdated = _outdated(staging, dead_letters)", "outdated: frozenset[UUID] = frozenset()",
        "unit/sync/test_upload.py::test_a_dead_letter_goes_only_once_the_data_it_holds_is_in_wats",
    ),
    _core(
        "no reset clocks", "runs dated 1970 or 2000 are found by nobody", "reconcile/keys.py",
        "return merge_ranges((LocalRange(FIRST, OLDEST_CLOCK), *self.grown,", "return merge_ranges((*self.grown,",
        "integration/test_state.py::test_the_daily_comparison_finds_runs_of_clocks_that_fell_back",
    ),
    _core(
        "only text and bytes", "a number in TestDataOther passes for NULL", "vte/run_rows.py",
        "elif other is not None:", "elif isinstance(other, str):",
        "integration/test_vte_source.py::test_an_other_value_of_any_type_a_site_may_have_is_read_as_text",
    ),
    _core(
        "comparison passes for sync", "a probe hears that all is well while the sync is dead",
        "orchestration/metrics.py", "if not is_current:", "if not dag_run:",
        "integration/test_history_in_airflow.py::test_neither_a_comparison_nor_a_backfill_passes_for_a_sync",
    ),
    _core(
        "sent and forgotten", "two tasks together overstep the budget of WATS", "wats/rate_limiter.py",
        "(*usage.answered, (epoch_s, usage.reserved))", "((epoch_s, usage.reserved),)",
        "unit/wats/test_rate_limiter.py::test_a_chain_of_tasks_uses_the_budget_up_and_never_oversteps_it",
    ),
    _core(
        "natural key ignored", "one run overwrites another", "sync/upload.py",
        "if equal or (near and behaviour.merges_within_second):", "if near and behaviour.merges_within_second:",
        "unit/sync/test_upload.py::test_two_runs_of_one_natural_key_are_both_refused_and_neither_posted",
    ),
    _core(
        "no breaker", "a wrong setting floods the dead letters", "sync/upload.py",
        "if progress.rejections[error.signature] >= limit:", "if not progress:",
        "unit/sync/test_upload.py::test_many_equal_rejections_stop_the_run_and_bury_nothing",
    ),
    _core(
        "dead letters not written", "a refused run is nowhere", "sync/upload.py",
        "            if refusal is not None:\n", "            if refusal is not None and not progress:\n",
        "unit/sync/test_upload.py::test_refused_runs_become_dead_letters_with_their_data_and_the_rest_goes_on",
    ),
    _core(
        "confirmed by status alone", "an answer about another report counts as an upload", "wats/client.py",
        "result = InsertResult.read(answer.data)", "result = InsertResult(ID=report.report_id)",
        "integration/test_wats_hook.py::test_a_failure_on_the_wire_has_the_class_of_the_table",
    ),
    _core(
        "confirmed under any id", "a report of another run counts as an upload", "wats/client.py",
        "if result.source_id != report.report_id:", "if not result.source_id:",
        "integration/test_wats_hook.py::test_another_id_confirms_nothing_whatever_the_uuid",
    ),
    _core(
        "default $top", "only ten of forty reports are found, the rest is sent again", "wats/queries.py",
        ', "$top": str(len(ids))}', "}",
        "integration/test_wats_hook.py::test_a_hundred_reports_are_all_found_although_wats_returns_ten_unasked",
    ),
    _core(
        "Retry-After ignored", "a server that asks for a pause is hammered", "wats/sender.py",
        "if exc.retry_after_s is not None:\n                    self._rate_limiter",
        "if exc.retry_after_s == -1:\n                    self._rate_limiter",
        "integration/test_wats_hook.py::test_a_429_pauses_every_request_until_retry_after_has_passed",
    ),
    _core(
        "a timeout is a rejection", "a slow WATS buries good runs", "wats/response_errors.py",
        "FailureClass.AMBIGUOUS,\n    exceptions=(httpx.TimeoutException",
        "FailureClass.REJECTED,\n    exceptions=(httpx.TimeoutException",
        "unit/wats/test_response_errors.py::test_an_error_of_the_transport_is_classed_through_the_wrapping_of_pywats",
    ),
    _core(
        "a deadlock is fatal", "the reader gives up where it should give way", "vte/sql_errors.py",
        '"VW201", Consequence.RETRIED', '"VW201", Consequence.STOPS',
        "unit/vte/test_sql_errors.py::test_a_failure_that_may_pass_is_retried",
    ),
    Mutation(
        "NOLOCK", "rows that were never committed reach WATS", "include/sql/select_runs.sql",
        "FROM [dbo].[IndexData] AS [IndexData]\n", "FROM [dbo].[IndexData] AS [IndexData] WITH (NOLOCK)\n",
        "tests/unit/vte/test_statements.py::test_no_file_reads_users_or_dirty_pages",
    ),
    _core(
        "locks waited for", "one station's open transaction holds up all others", "vte/reader.py",
        "past_locks=self.takes_locks and not names_runs(binds)", "past_locks=False",
        "integration/test_vte_source_locks.py::test_a_run_that_is_not_committed_holds_up_no_other",
    ),
    _core(
        "a locked run is gone", "the comparison takes a run in work for one that VTE lost", "vte/reader.py",
        "self.takes_locks and not names_runs(binds)", "self.takes_locks",
        "integration/test_vte_source_locks.py::test_a_named_run_that_is_locked_is_waited_for_and_never_taken_for_absent",
    ),
    _core(
        "a header locked while it is read", "a run is in WATS without its steps", "vte/run_reader.py",
        "by_name = server.takes_locks or len(groups) > 1", "by_name = len(groups) > 1",
        "integration/test_vte_source_locks.py::"
        "test_a_run_whose_header_is_locked_while_it_is_read_is_never_read_without_its_steps",
    ),
    _core(
        "units altered without a word", "a text is not what the database holds, and nobody notices", "mapping/steps.py",
        'units := remarks.fit("units", row.units, WHOLE)', "units := printable(row.units)",
        "integration/test_vte_source_bad_rows.py::test_no_text_of_a_step_costs_a_neighbour_anything",
    ),
    _core(
        "an unlisted error is fatal", "a gap for each number nobody knew", "vte/sql_errors.py",
        "return RetriableError(VW299,", "return FatalError(VW299,",
        "unit/vte/test_sql_errors.py::test_an_unlisted_number_is_tried_again_and_named",
    ),
    _core(
        "a recovering database has a wrong password", "a restart of SQL Server waits for a person", "vte/reader.py",
        "(error.message is VW209 and self._is_known_to_the_server())", "False",
        "integration/test_vte_source_wire.py::test_a_database_that_is_not_open_is_tried_again_and_both_causes_are_named",
    ),
    _core(
        "texts as the driver converts them", "half an emoji stops a slice for ever", "vte/reader.py",
        "return [alias for alias, columns in text_columns(select.name).items() if not self._hold_text(columns)]",
        "return list(text_columns(select.name))",
        "integration/test_vte_source_bad_rows.py::test_a_text_that_ends_in_half_a_surrogate_pair_costs_nobody_anything",
    ),
    _core(
        "a slice is never narrowed down", "one bad row keeps its neighbours out of WATS", "vte/run_reader.py",
        "if error.message not in _BY_CONTENT:", "if True:",
        "integration/test_vte_source_bad_rows.py::test_a_value_that_sql_server_cannot_convert_is_narrowed_down_to_its_run",
    ),
    _core(
        "authorities as strict as Python 3.13", "no report leaves a site with a private authority", "wats/transport.py",
        "context.verify_flags &= ~ssl.VERIFY_X509_STRICT", "pass",
        "integration/test_wats_hook.py::test_a_private_authority_is_taken_with_the_defects_that_newer_pythons_refuse",
    ),
    _core(
        "conf of the next part is a template", "a test plan's name reads the token of WATS", "orchestration/backfill_tasks.py",
        "    template_fields: Sequence[str] = ()\n", "    pass\n",
        "unit/orchestration/test_backfill_tasks.py::test_nothing_that_starts_the_next_part_is_rendered_as_a_template",
    ),
    _core(
        "tasks marked by hand count", "an interval counts as done that nobody transferred", "orchestration/task_context.py",
        "    if marked:\n", "    if False:\n",
        "integration/test_what_airflow_gives_back.py"
        "::test_uploads_marked_success_by_hand_are_named_and_the_interval_stays_open",
    ),
    _core(
        "another key is a loss", "a sync begins again although its state is there", "orchestration/variables.py",
        "if text is None and name in Variable.keys(prefix=name):", "if False:",
        "integration/test_what_airflow_gives_back.py::test_a_state_under_another_fernet_key_is_not_called_lost",
    ),
    _core(
        "XCom is trusted", "a value that another XCom backend lost stops every sync", "orchestration/handover.py",
        "except ValidationError as exc:", "except ZeroDivisionError as exc:",
        "integration/test_what_airflow_gives_back.py"
        "::test_a_receipt_that_an_xcom_backend_lost_or_another_version_wrote_counts_as_none",
    ),
    _core(
        "opening the client is outside", "a wrong NO_PROXY ends in an error that names nothing", "wats/transport.py",
        "    except Exception as exc:\n        row", "    except ZeroDivisionError as exc:\n        row",
        "unit/wats/test_transport.py::test_a_variable_that_cannot_be_used_stops_with_its_name",
    ),
    _core(
        "DAG run ids as file names", "a long or odd name of a DAG run stops it", "storage/staging.py",
        "/ file_name(dag_id) / file_name(dag_run_id)", "/ file_name(dag_id) / dag_run_id",
        "unit/storage/test_staging.py::test_a_dag_run_id_is_one_folder_whatever_it_holds",
    ),
    _core(
        "a protocol before the host", "a connection as Azure shows it is not understood", "vte/vte_connection.py",
        'protocol.strip().casefold() == "tcp"', 'protocol == ""',
        "unit/vte/test_vte_connection.py::test_a_port_behind_the_host_is_understood_as_management_studio_writes_it",
    ),
    Mutation(
        "the reader wins deadlocks", "a test station loses its result", "include/sql/session_options.sql",
        "SET DEADLOCK_PRIORITY LOW", "SET DEADLOCK_PRIORITY HIGH",
        "tests/unit/vte/test_statements.py::test_session_gives_way_to_the_stations",
    ),
    _core(
        "the other runs of a station ignored", "runs of the autumn hour are an hour off", "mapping/start_time.py",
        "if fold is None:\n        fold =", "if True:\n        fold =",
        "unit/mapping/test_start_time.py::test_a_known_fold_goes_before_the_setting_and_says_so",
    ),
    _core(
        "folds shown by a station that tests side by side", "runs of the autumn hour are an hour off", "mapping/start_time.py",
        "while not _side_by_side(known):", "while True:",
        "unit/mapping/test_start_time.py::test_where_both_folds_are_possible_neither_is_known",
    ),
    _core(
        "neighbours of the slice alone", "one run has another start at each reading", "sync/extract.py",
        "nearby = merge_ranges(", "nearby = tuple(hours.values()) or merge_ranges(",
        "unit/sync/test_extract.py::test_the_same_rows_give_the_same_report_in_whatever_slice_a_run_is_read",
    ),
    _core(
        "the autumn hour not read again", "what comes later never shows its folds", "sync/plan.py",
        "merge_ranges((*local_ranges(window, settings.zone), *hours_to_disambiguate(window, settings.zone)))",
        "local_ranges(window, settings.zone)",
        "unit/sync/test_plan.py::test_a_repeated_hour_is_read_once_more_when_everything_around_it_is_there",
    ),
    _core(
        "a sync is not known again", "a settle that is killed counts its runs twice", "state/coverage.py",
        "if sync.key in self.settled:", "if not sync.key:",
        "unit/sync/test_settle.py::test_a_sync_whose_settle_is_tried_again_is_added_once",
    ),
    _core(
        "no keys in flight", "of two uploads at once one overwrites the other's run", "sync/upload.py",
        "persist=not options.dry_run", "persist=False",
        "unit/sync/test_upload.py::test_two_uploads_at_once_do_not_overwrite_each_others_runs",
    ),
    _core(
        "a dry run adds keys", "a trial keeps real runs out of WATS", "sync/upload.py",
        "persist=not options.dry_run", "persist=True",
        "unit/sync/test_upload.py::test_what_a_dry_run_would_post_keeps_no_other_upload_back",
    ),
    _core(
        "in-flight keys stay", "a run that was corrected stays out of WATS", "storage/in_flight_keys.py",
        "remove_file(self._path)", "self._path",
        "unit/storage/test_in_flight_keys.py::test_the_keys_go_when_their_upload_ends",
    ),
    _core(
        "natural keys by their case", "WATS takes two runs for one and overwrites the first", "domain/report.py",
        "self.serial.casefold(),", "self.serial,",
        "unit/sync/test_upload.py::test_a_serial_that_differs_in_case_alone_is_the_same_for_wats",
    ),
    _core(
        "the guard band counts as late", "the log asks for a longer guard band without need", "state/late_arrivals.py",
        "covered.from_at <= at < covered.to_at - guard_band", "at in covered",
        "unit/state/test_late_arrivals.py::test_a_run_is_not_late_where_no_sync_is_done_with_its_time",
    ),
    _core(
        "what the comparison finds is forgotten", "nobody learns that the guard band is too short", "state/coverage.py",
        "self.late_arrivals and self.late_arrivals.with_late(sync.late)", "self.late_arrivals",
        "unit/state/test_coverage.py::test_late_runs_that_another_dag_counted_meanwhile_are_kept",
    ),
    _core(
        "dead letters that go are not counted", "a redrive leaves no trace in the totals", "sync/upload.py",
        "return len(redriven)", "return 0",
        "unit/sync/test_upload.py::test_dead_letters_go_when_their_runs_reach_wats_and_only_those",
    ),
    _core(
        "gaps stay", "what an outage left waits for a person", "state/coverage.py",
        "for gap in self.left_to_do(until_at):", "for gap in ():",
        "unit/state/test_coverage.py::test_the_oldest_time_that_is_not_covered_is_filled_first",
    ),
    _core(
        "a failed gap never waits", "one bad run keeps all later gaps back", "state/coverage.py",
        "if failure.due_at > now_at", "if known.due_at < now_at",
        "unit/state/test_coverage.py::test_a_gap_that_failed_waits_longer_each_time_while_others_are_filled",
    ),
    _core(
        "a failed gap is never narrowed down", "one bad run keeps a thousand others back", "sync/plan.py",
        "max(1, most_runs >> gap.tries)", "most_runs",
        "unit/sync/test_plan.py::test_after_each_failure_half_as_many_are_planned",
    ),
    _core(
        "a gap's guard band reads what failed", "one bad run keeps the time after it back", "sync/plan.py",
        "max(from_at - timedelta(seconds=settings.guard_band_s), gap.covered_from_at)",
        "from_at - timedelta(seconds=settings.guard_band_s)",
        "unit/sync/test_plan.py::test_a_gap_has_the_guard_band_of_its_start_as_far_as_that_is_covered",
    ),
    _core(
        "an outage is blamed on the gap", "after an outage the gap waits for an hour", "sync/settle.py",
        "        if failure is None:\n", "        if True:\n",
        "unit/sync/test_settle.py::test_when_both_fail_the_gap_is_not_to_blame",
    ),
    _core(
        "the state is written blindly", "what another task wrote is lost", "orchestration/variables.py",
        "if self._text_to_compare(variable) == found[1]:", "if True:",
        "unit/orchestration/test_variables.py::test_two_writers_lose_nothing_and_are_reported",
    ),
    _core(
        "nobody looks what was written", "a sync that was written over is lost", "orchestration/variables.py",
        "if self._text_to_compare(variable) == text:", "if True:",
        "unit/orchestration/test_variables.py::test_a_writer_that_was_written_over_at_once_writes_again",
    ),
    _core(
        "what was written over stays lost", "two settle tasks at once lose what one transferred",
        "orchestration/verified_state.py",
        "noted.with_lost(state_to_settle(stored, site, planned))", "state_to_settle(stored, site, planned)",
        "unit/orchestration/test_verified_state.py"
        "::test_of_two_writers_in_any_order_nothing_stays_lost_and_it_is_said",
    ),
    _core(
        "what was added again is added twice", "totals grow by themselves", "storage/settled_syncs.py",
        "or state.may_have_forgotten(content.after_syncs)", "",
        "unit/storage/test_settled_syncs.py::test_a_sync_that_the_state_no_longer_names_is_not_added_twice",
    ),
    _core(
        "a manual run in the way", "the documented dry run stops the schedule", "orchestration/timetable.py",
        "if info.data_interval is None or", "if True or",
        "unit/orchestration/test_timetable.py::test_a_manual_run_on_the_grid_of_the_schedule_does_not_stop_it",
    ),
    _core(
        "whoever catches up is late", "each go-live sends a mail", "alerting/evaluate.py",
        "is_calm = not waiting.runs or (", "is_calm = not waiting.runs and (",
        "unit/alerting/test_evaluate.py::test_who_catches_up_disturbs_nobody_however_long_it_takes",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """Whether the test caught the bug, and what it said."""

    mutation: Mutation
    caught: bool
    said: str


def check(mutation: Mutation) -> Verdict:
    """Run the test against a copy with the bug in it."""
    with tempfile.TemporaryDirectory(prefix="vte-wats-mutation-") as folder:
        copy = Path(folder)
        for name in COPIED:
            _copy(REPOSITORY / name, copy / name)
        path = copy / mutation.path
        text = path.read_text(encoding="utf-8")
        if text.count(mutation.old) < 1:
            return Verdict(mutation, caught=False, said="the place to change is gone from the code")
        path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutation.test]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        environment |= {"AIRFLOW_HOME": str(copy / "airflow"), "PYTHONPATH": f"{copy / 'plugins'}:{copy}"}
        ended = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        last = next((line for line in ended.stdout.splitlines() if line.startswith("FAILED")), ended.stdout[-300:])
        return Verdict(mutation, ended.returncode == TESTS_FAILED, last)


def check_all(mutations: Sequence[Mutation] = MUTATIONS, jobs: int = 2) -> list[Verdict]:
    """Check several bugs side by side, in their order."""
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(check, mutations))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    elif source.exists():
        shutil.copy2(source, target)


def main() -> int:
    """Print one line per bug; return 0 when each was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutations", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    verdicts = check_all(jobs=parser.parse_args().jobs)
    for verdict in verdicts:
        say(f"{'caught' if verdict.caught else 'MISSED'}  {verdict.mutation.name}: {verdict.said}")
    return 0 if all(verdict.caught for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
