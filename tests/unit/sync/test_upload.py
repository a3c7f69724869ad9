from __future__ import annotations

import json
import logging
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from upath import UPath

from tests.unit.builders import a_natural_key, a_report, a_run, a_settings, guid_of
from tests.unit.fakes import FakeWats
from vte_wats.domain.errors import FatalError, HeldError, RejectedError, RetriableError
from vte_wats.domain.report import Refusal, Report
from vte_wats.domain.run import EXCLUDED, DeadLetterKind, VteStepResult
from vte_wats.messages import VW299, VW342, VW392, VW404, VW417
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.in_flight_keys import InFlightKeys
from vte_wats.storage.staging import Staging
from vte_wats.storage.unseen_reports import DROPPED, FAILING, Tries, UnseenReports
from vte_wats.sync.extract import RUNS
from vte_wats.sync.map_runs import report_or_refusal
from vte_wats.sync.staged_reports import stage_mapped
from vte_wats.sync.upload import UploadOptions, in_batches, upload

NOW_AT = datetime(2026, 6, 15, 11, tzinfo=UTC)
NOTHING = {"read": 0, "redriven": 0, "uploaded": 0, "unchanged": 0, "replaced": 0, "dead": 0, "held": 0}


class Scene:
    """One slice on its way into a WATS server, tried as often as a test likes."""

    def __init__(self, folder: UPath, name: str = "s0001") -> None:
        self.folder, self.name = folder, name
        self.staging = Staging(folder / name)
        self.dead_letters = DeadLetters(folder)
        self.wats = FakeWats()
        self.read = 0
        self.by_now: list[Report | Refusal] = []  # what VTE's runs have become since they were staged

    def stage(self, *mapped: Report | Refusal) -> None:
        runs = [a_run(_guid_of(run).int) for run in mapped]
        self.read = self.staging.write(RUNS, [run.model_dump_json() for run in runs])
        stage_mapped(self.staging, mapped)

    def upload(
        self, *, force: bool = False, dry_run: bool = False, now_at: datetime = NOW_AT, **answers
    ) -> dict[str, int]:
        options = UploadOptions(now_at, force=force, dry_run=dry_run)
        with InFlightKeys(self.folder, self.name, lambda: now_at, self.wats.known.shown_after_s) as in_flight:
            return upload(
                self.staging,
                self.wats,
                self.dead_letters,
                a_settings(**answers),
                options,
                read=self.read,
                in_flight=in_flight,
                read_again=self.read_again,
            )

    def read_again(self, guids: Sequence[UUID]) -> Iterable[Report | Refusal]:
        return [run for run in self.by_now if _guid_of(run) in guids]

    def put_dead_letter(self, number: int, kind: DeadLetterKind = DeadLetterKind.DEAD) -> None:
        self.dead_letters.put(a_run(number), kind, "earlier reason", "earlier", NOW_AT)


def _guid_of(mapped: Report | Refusal) -> UUID:
    return mapped.report_id if isinstance(mapped, Report) else mapped.index_guid


@pytest.fixture
def scene(tmp_path) -> Scene:
    return Scene(UPath(tmp_path))


def counts(read: int, **outcomes: int) -> dict[str, int]:
    return {**NOTHING, "read": read, **outcomes}


def a_refusal(number: int, kind: DeadLetterKind = DeadLetterKind.DEAD) -> Refusal:
    return Refusal(guid_of(number), kind, f"run {number} is bad", "bad")


def a_rejection(signature: str = "pn too long") -> RejectedError:
    return RejectedError(VW417, f"WATS said: {signature}", signature)


def test_absent_reports_are_uploaded_once(scene):
    scene.stage(a_report(1), a_report(2))
    assert scene.upload() == counts(2, uploaded=2)
    assert scene.wats.reports == {guid_of(1): a_report(1), guid_of(2): a_report(2)}
    assert set(scene.wats.receipts.values()) == {1}
    assert scene.dead_letters.guids() == frozenset()


def test_an_empty_slice_balances(scene):
    scene.stage()
    assert scene.upload() == NOTHING
    assert scene.wats.posted == []


def test_unchanged_reports_are_skipped_with_one_line_each(scene, caplog):
    caplog.set_level(logging.INFO)
    scene.wats = FakeWats(a_report(1), a_report(2))
    scene.stage(a_report(1), a_report(2))
    assert scene.upload() == counts(2, unchanged=2)
    assert scene.wats.posted == []
    skipped = [record.getMessage() for record in caplog.records if "skipping" in record.getMessage()]
    assert skipped == [f"Run {guid_of(n)} already uploaded, skipping" for n in (1, 2)]


@pytest.mark.parametrize("stored_hash", ["bbbb", None], ids=["other-hash", "no-hash"])
def test_a_changed_run_is_replaced_under_its_id(scene, stored_hash):
    scene.wats = FakeWats(a_report(1, source_hash=stored_hash))
    scene.stage(a_report(1))
    assert scene.upload() == counts(1, replaced=1)
    assert scene.wats.reports == {guid_of(1): a_report(1)}
    assert scene.wats.receipts[guid_of(1)] == 2


def test_force_posts_unchanged_reports_and_says_how_many(scene):
    scene.wats = FakeWats(a_report(1))
    scene.stage(a_report(1), a_report(2))
    assert scene.upload(force=True) == counts(2, replaced=1, uploaded=1)
    assert scene.wats.receipts == {guid_of(1): 2, guid_of(2): 1}


def test_dry_run_says_the_outcomes_and_changes_nothing(scene, tmp_path):
    scene.wats = FakeWats(a_report(1), a_report(2, source_hash="bbbb"))
    scene.put_dead_letter(1)
    scene.stage(a_report(1), a_report(2), a_report(3), a_refusal(4), a_refusal(5, DeadLetterKind.HELD))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert scene.upload(dry_run=True) == counts(5, unchanged=1, replaced=1, uploaded=1, dead=1, held=1)
    assert scene.wats.posted == []
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in after.keys() - before.keys()} == {
        "refused.jsonl.gz",
        "again.jsonl.gz",
    }  # staging goes
    assert {path: after[path] for path in before} == before


def test_a_dry_run_says_of_each_run_what_would_become_of_it(scene, caplog):
    caplog.set_level(logging.INFO)
    scene.wats = FakeWats(a_report(1), a_report(2, source_hash="bbbb"), a_report(9))
    collides = a_report(4, natural_key=a_natural_key(9))
    scene.stage(a_report(1), a_report(2), a_report(3), collides, a_refusal(5, DeadLetterKind.HELD))
    assert scene.upload(dry_run=True) == counts(5, unchanged=1, uploaded=1, replaced=1, dead=1, held=1)
    lines = {n: [line for line in caplog.messages if line.startswith(f"Run {guid_of(n)} ")] for n in range(1, 6)}
    assert [len(said) for said in lines.values()] == [1] * 5
    assert lines[1] == [f"Run {guid_of(1)} already uploaded, skipping"]
    assert lines[2] == [f"Run {guid_of(2)} would be replaced"]
    assert lines[3] == [f"Run {guid_of(3)} would be uploaded"]
    assert f"Run {guid_of(4)} would be dead: VW418 run {guid_of(9)} has the same serial" in lines[4][0]
    assert lines[5] == [f"Run {guid_of(5)} would be held: run 5 is bad"]


def test_what_was_staged_long_ago_never_replaces_what_came_since(scene):
    """An interval that waited for its next try, or was cleared, after another one posted the steps that came late."""
    scene.wats = FakeWats(a_report(1, source_hash="complete"), a_report(2, source_hash="old"), a_report(3))
    scene.stage(*(a_report(number, source_hash="half") for number in (1, 2, 3, 4)))
    scene.by_now = [a_report(1, source_hash="complete"), a_report(2, source_hash="newest"), a_refusal(3)]
    assert scene.upload() == counts(4, unchanged=1, replaced=1, dead=1, uploaded=1)
    assert {number: scene.wats.reports[guid_of(number)].source_hash for number in (1, 2, 3, 4)} == {
        1: "complete",
        2: "newest",
        3: "aaaa",
        4: "half",
    }


@pytest.mark.parametrize("accepted", [True, False])
def test_a_dead_letter_goes_only_once_the_data_it_holds_is_in_wats(scene, accepted):
    """An interval that is cleared after the next one read more of a run, which WATS refused."""
    scene.stage(a_report(1, source_hash="half"), a_report(2))
    scene.wats.fail_next[guid_of(2)] = [RetriableError(VW392, "WATS is away")]
    with pytest.raises(RetriableError):
        scene.upload()
    scene.dead_letters.put(a_run(1, info1="with late steps"), DeadLetterKind.DEAD, "refused", "refused", NOW_AT)
    scene.by_now = [a_report(1, source_hash="complete")]
    if accepted:
        assert scene.upload() == counts(2, replaced=1, uploaded=1, redriven=1)
    else:
        scene.wats.fail_next[guid_of(1)] = [a_rejection()]
        assert scene.upload() == counts(2, dead=1, uploaded=1)
    assert scene.wats.reports[guid_of(1)].source_hash == ("complete" if accepted else "half")
    assert scene.dead_letters.guids() == (frozenset() if accepted else {guid_of(1)})


def test_a_run_that_was_corrected_since_it_was_staged_gets_no_dead_letter(scene):
    scene.wats = FakeWats(a_report(1))
    scene.stage(a_refusal(1), a_refusal(2))
    scene.by_now = [a_report(1), a_refusal(2)]
    assert scene.upload() == counts(2, unchanged=1, dead=1)
    assert scene.dead_letters.guids() == {guid_of(2)}


def test_a_dead_letter_that_holds_what_was_staged_lets_nothing_be_read_again(scene):
    scene.stage(a_report(1))
    scene.put_dead_letter(1)
    scene.by_now = [a_report(1, source_hash="read again")]
    assert scene.upload() == counts(1, uploaded=1, redriven=1)
    assert scene.wats.reports[guid_of(1)].source_hash == "aaaa"


def test_a_report_that_wats_keeps_under_another_id_is_replaced_and_no_collision(scene):
    scene.wats = FakeWats(a_report(1, source_hash="old"))
    scene.wats.renamed[guid_of(1)] = UUID(int=77)
    scene.stage(a_report(1))
    assert scene.upload() == counts(1, replaced=1)
    assert scene.dead_letters.guids() == frozenset()


def test_only_what_differs_is_read_again_and_a_run_that_is_gone_goes_as_it_was_staged(scene):
    scene.wats = FakeWats(a_report(1), a_report(2, source_hash="other"))
    scene.stage(a_report(1), a_report(2), a_report(3))
    assert scene.upload() == counts(3, unchanged=1, replaced=1, uploaded=1)
    assert scene.wats.reports[guid_of(2)].source_hash == "aaaa"


def test_runs_that_are_much_larger_by_now_are_posted_in_batches_of_a_bounded_size(scene):
    scene.wats = FakeWats(*(a_report(n, source_hash="old") for n in range(1, 5)))
    scene.stage(*(a_report(n) for n in range(1, 5)))
    scene.by_now = [_large(a_report(n, source_hash="newest")) for n in range(1, 5)]
    batches: list[int] = []
    submit = scene.wats.submit
    scene.wats.submit = lambda reports: submit(_counted(list(reports), batches))
    assert scene.upload() == counts(4, replaced=4)
    assert [size for size in batches if size] == [3, 1]


def test_a_large_run_is_read_again_in_three_times_its_size(scene):
    """What was staged of it goes first: it would stand beside what the run is by now."""

    def mapped_now(_: object = None) -> Iterator[Report | Refusal]:
        picture = VteStepResult(kind="other", step_number=1, test_name="Picture", bytes_value=b"\xff" * 3_000_000)
        yield report_or_refusal(a_run(1, steps=(picture,)), a_settings(), None)

    scene.wats = FakeWats(a_report(1, source_hash="old"))
    scene.stage(*mapped_now())
    scene.read_again = mapped_now
    tracemalloc.start()
    assert scene.upload() == counts(1, replaced=1)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 3 * len(scene.wats.reports[guid_of(1)].document)


def _large(report: Report) -> Report:
    """Three fill a batch."""
    return replace(report, document=json.dumps({"text": "x" * 3_000_000}).encode())


def _counted(reports: list[Report], batches: list[int]) -> list[Report]:
    batches.append(len(reports))
    return reports


def test_two_runs_that_have_one_natural_key_by_now_are_both_refused_whatever_batch_they_are_in(scene):
    scene.wats = FakeWats(*(a_report(n, source_hash="old") for n in range(1, 4)))
    scene.stage(*(a_report(n) for n in range(1, 4)))
    now = (a_report(n, source_hash="newest", natural_key=a_natural_key(min(n, 2))) for n in range(1, 4))
    scene.by_now = [replace(report, document=json.dumps({"text": "x" * 5_000_000}).encode()) for report in now]
    assert scene.upload() == counts(3, replaced=1, dead=2)
    assert scene.wats.posted == [guid_of(1)]


def test_refused_runs_become_dead_letters_with_their_data_and_the_rest_goes_on(scene):
    scene.stage(a_refusal(1), a_report(2), a_refusal(3, DeadLetterKind.HELD))
    assert scene.upload() == counts(3, dead=1, uploaded=1, held=1)
    dead, held = scene.dead_letters
    assert (dead.kind, dead.reason, dead.signature, dead.run) == ("dead", "run 1 is bad", "bad", a_run(1))
    assert (held.kind, held.run, held.first_at) == ("held", a_run(3), NOW_AT)


def test_runs_of_a_process_wats_does_not_have_are_held_as_one_group(scene):
    scene.stage(*(a_report(n, natural_key=a_natural_key(n, process_code=777)) for n in (1, 2)), a_report(3))
    assert scene.upload() == counts(3, held=2, uploaded=1)
    first, second = scene.dead_letters
    assert "process code 777" in first.reason
    assert "process_map" in first.reason
    assert (
        (first.kind, first.signature) == (second.kind, second.signature) == ("held", "process code 777 is not in WATS")
    )


def test_held_runs_go_through_once_wats_has_the_process_and_their_dead_letters_go(scene):
    scene.stage(a_report(1, natural_key=a_natural_key(process_code=777)))
    scene.upload()
    scene.wats.codes = frozenset({777})
    assert scene.upload() == counts(1, uploaded=1, redriven=1)
    assert scene.dead_letters.guids() == frozenset()


def test_two_runs_of_one_natural_key_are_both_refused_and_neither_posted(scene):
    twin = a_report(2, natural_key=a_natural_key(1))
    scene.stage(a_report(1), twin, a_report(3))
    assert scene.upload() == counts(3, dead=2, uploaded=1)
    assert scene.wats.posted == [guid_of(3)]
    first, second = scene.dead_letters
    assert f"run {guid_of(2)} has the same serial 'SN-1'" in first.reason
    assert f"run {guid_of(1)} has the same serial 'SN-1'" in second.reason
    assert "Correct one of them" in first.reason
    assert first.signature == second.signature


def test_a_run_whose_natural_key_another_report_has_at_wats_is_refused_and_that_report_stays(scene):
    stored = a_report(9, natural_key=a_natural_key(1))
    scene.wats = FakeWats(stored)
    scene.stage(a_report(1))
    assert scene.upload() == counts(1, dead=1)
    assert scene.wats.posted == []
    assert scene.wats.reports == {guid_of(9): stored}
    assert f"run {guid_of(9)}" in scene.dead_letters.get(guid_of(1)).reason


@pytest.mark.parametrize("force", [False, True])
def test_a_report_does_not_collide_with_itself_at_wats(scene, force):
    scene.wats = FakeWats(a_report(1, source_hash="bbbb"))
    scene.stage(a_report(1))
    assert scene.upload(force=force) == counts(1, replaced=1)


def test_a_new_run_does_not_overwrite_an_unchanged_one_of_the_same_slice(scene):
    scene.wats = FakeWats(a_report(1))
    scene.stage(a_report(1), a_report(2, natural_key=a_natural_key(1)))
    assert scene.upload() == counts(2, unchanged=1, dead=1)
    assert scene.wats.reports == {guid_of(1): a_report(1)}


def test_a_serial_that_differs_in_case_alone_is_the_same_for_wats(scene):
    key = a_natural_key(1)
    scene.stage(a_report(1), a_report(2, natural_key=replace(key, serial=key.serial.lower())))
    assert scene.upload() == counts(2, dead=2)


class _Interrupted(FakeWats):
    """A WATS in which something happens while it is asked for natural keys."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] | None = meanwhile

    def find_natural_keys(self, keys, own=()):
        found = super().find_natural_keys(keys, own)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return found


def test_two_uploads_at_once_do_not_overwrite_each_others_runs(scene):
    other = Scene(scene.folder, "s0002")
    other.stage(a_report(2, natural_key=a_natural_key(1)), a_report(4))
    scene.stage(a_report(1), a_report(3))
    met = []
    scene.wats = other.wats = _Interrupted(lambda: met.append(other.upload()))
    assert scene.upload() == counts(2, uploaded=2)
    assert met == [counts(2, dead=1, uploaded=1)]
    assert scene.wats.reports.keys() == {guid_of(1), guid_of(3), guid_of(4)}
    assert f"run {guid_of(1)} has the same serial" in scene.dead_letters.get(guid_of(2)).reason


def test_the_same_run_in_two_uploads_at_once_is_no_collision(scene):
    other = Scene(scene.folder, "s0002")
    other.stage(a_report(1))
    scene.stage(a_report(1))
    met = []
    scene.wats = other.wats = _Interrupted(lambda: met.append(other.upload()))
    assert scene.upload() == counts(1, uploaded=1)
    assert met == [counts(1, uploaded=1)]


def test_a_dry_run_sees_the_keys_in_flight_and_adds_none(scene):
    other = Scene(scene.folder, "s0002")
    other.stage(a_report(2, natural_key=a_natural_key(1)))
    scene.stage(a_report(1))
    met = []
    scene.wats = other.wats = _Interrupted(lambda: met.append(other.upload(dry_run=True)))
    assert scene.upload() == counts(1, uploaded=1)
    assert met == [counts(1, dead=1)]


def test_what_a_dry_run_would_post_keeps_no_other_upload_back(scene):
    other = Scene(scene.folder, "s0002")
    other.stage(a_report(2, natural_key=a_natural_key(1)))
    scene.stage(a_report(1))
    met = []
    scene.wats = other.wats = _Interrupted(lambda: met.append(other.upload()))
    assert scene.upload(dry_run=True) == counts(1, uploaded=1)
    assert met == [counts(1, uploaded=1)]


def test_upload_keeps_going_after_a_rejected_report(scene, caplog):
    scene.stage(*(a_report(n) for n in range(1, 6)))
    scene.wats.fail_next = {guid_of(3): [a_rejection()]}
    assert scene.upload() == counts(5, uploaded=4, dead=1)
    dead_letter = scene.dead_letters.get(guid_of(3))
    assert (dead_letter.kind, dead_letter.reason, dead_letter.signature) == (
        "dead",
        "VW417 WATS said: pn too long",
        "pn too long",
    )
    assert guid_of(3) not in scene.wats.reports
    assert f"VW417 Run {guid_of(3)} rejected by WATS: WATS said: pn too long" in caplog.messages


def test_a_report_wats_holds_back_becomes_a_held_dead_letter(scene):
    scene.stage(a_report(1))
    scene.wats.fail_next = {guid_of(1): [HeldError(VW404, "operation is disabled", "disabled")]}
    assert scene.upload() == counts(1, held=1)
    assert scene.dead_letters.get(guid_of(1)).kind is DeadLetterKind.HELD


def test_many_equal_rejections_stop_the_run_and_bury_nothing(scene):
    scene.stage(*(a_report(n) for n in range(1, 31)), a_refusal(31))
    scene.wats.fail_next = {guid_of(n): [a_rejection()] for n in range(1, 31)}
    with pytest.raises(
        FatalError, match=r"WATS rejected 5 runs of one slice for the same reason.*pn too long.*rejection_limit"
    ):
        scene.upload(rejection_limit=5)
    assert scene.dead_letters.guids() == frozenset()
    assert len(scene.wats.posted) == 5


def test_a_larger_slice_may_have_as_many_more_equal_rejections_as_it_has_more_runs(scene):
    scene.stage(*(a_report(n) for n in range(1, 402)))
    for number in range(1, 15):
        scene.wats.fail_next[guid_of(number)] = [a_rejection()]
    assert scene.upload(rejection_limit=5) == counts(401, dead=14, uploaded=387)
    scene.wats = FakeWats()
    scene.stage(*(a_report(n, source_hash="changed") for n in range(1, 402)))
    for number in range(1, 16):
        scene.wats.fail_next[guid_of(number)] = [a_rejection()]
    with pytest.raises(FatalError, match="WATS rejected 15 runs of one slice"):
        scene.upload(rejection_limit=5)


def test_one_rejection_less_than_the_limit_or_different_ones_are_dead_letters(scene):
    scene.stage(*(a_report(n) for n in range(1, 10)))
    scene.wats.fail_next = {guid_of(n): [a_rejection(f"reason {n % 2}")] for n in range(1, 9)}
    assert scene.upload(rejection_limit=5) == counts(9, dead=8, uploaded=1)
    assert len(scene.dead_letters.guids()) == 8


def test_runs_the_mapping_refused_do_not_count_as_rejections(scene):
    scene.stage(*(a_refusal(n) for n in range(1, 10)))
    assert scene.upload(rejection_limit=2) == counts(9, dead=9)


def test_retriable_failures_let_the_others_go_and_ask_for_the_longest_wait(scene):
    scene.stage(*(a_report(n) for n in range(1, 6)), a_refusal(6))
    scene.wats.fail_next = {
        guid_of(1): [RetriableError(VW392, "busy", 5)],
        guid_of(2): [RetriableError(VW392, "busy", 60)],
        guid_of(3): [RetriableError(VW392, "reset")],
    }
    with pytest.raises(RetriableError, match="3 reports could not be uploaded now") as caught:
        scene.upload()
    assert caught.value.retry_after_s == 60
    assert set(scene.wats.reports) == {guid_of(4), guid_of(5)}


def test_without_a_wish_for_a_wait_there_is_none(scene):
    scene.stage(a_report(1))
    scene.wats.fail_next = {guid_of(1): [RetriableError(VW392, "reset")]}
    with pytest.raises(RetriableError) as caught:
        scene.upload()
    assert caught.value.retry_after_s is None


def test_the_next_try_posts_only_what_is_open_and_counts_what_the_first_one_uploaded(scene):
    scene.wats = FakeWats(a_report(4), a_report(5, source_hash="bbbb"))
    scene.stage(*(a_report(n) for n in range(1, 6)), a_refusal(6))
    scene.wats.fail_next = {guid_of(1): [RetriableError(VW392, "reset")]}
    with pytest.raises(RetriableError):
        scene.upload()
    scene.wats.posted.clear()
    assert scene.upload() == counts(6, uploaded=3, unchanged=1, replaced=1, dead=1)
    assert scene.wats.posted == [guid_of(1)]
    assert scene.dead_letters.get(guid_of(6)).attempts == 1


def test_the_next_try_of_a_forced_upload_does_not_force_again_what_is_done(scene):
    scene.wats = FakeWats(a_report(1), a_report(2))
    scene.stage(a_report(1), a_report(2))
    scene.wats.fail_next = {guid_of(1): [RetriableError(VW392, "reset")]}
    with pytest.raises(RetriableError):
        scene.upload(force=True)
    assert scene.upload(force=True) == counts(2, replaced=2)
    assert scene.wats.receipts == {guid_of(1): 2, guid_of(2): 2}


def test_a_lost_answer_costs_no_second_receipt(scene):
    scene.stage(a_report(1))
    scene.wats.lose_answers_of = {guid_of(1)}
    with pytest.raises(RetriableError):
        scene.upload()
    assert scene.upload() == counts(1, unchanged=1)
    assert scene.wats.receipts[guid_of(1)] == 1


def test_what_was_achieved_before_a_fatal_error_is_kept_for_the_next_try(scene):
    scene.stage(*(a_report(n) for n in range(1, 4)))
    scene.wats.fail_next = {guid_of(1): [a_rejection()]}  # the last one to be answered
    with pytest.raises(FatalError):
        scene.upload(rejection_limit=1)
    assert scene.upload() == counts(3, uploaded=3)
    assert set(scene.wats.receipts.values()) == {1}


def test_a_run_that_changed_between_two_tries_is_posted_again(scene):
    scene.stage(a_report(1), a_report(2))
    scene.wats.fail_next = {guid_of(2): [RetriableError(VW392, "reset")]}
    with pytest.raises(RetriableError):
        scene.upload()
    scene.stage(a_report(1, source_hash="bbbb"), a_report(2))  # read again: late steps have arrived
    assert scene.upload() == counts(2, replaced=1, uploaded=1)
    assert scene.wats.reports[guid_of(1)].source_hash == "bbbb"


def test_a_slice_that_was_planned_again_counts_only_the_runs_it_holds_now(scene):
    scene.stage(a_report(1), a_report(2))
    scene.wats.fail_next = {guid_of(2): [RetriableError(VW392, "reset")]}
    with pytest.raises(RetriableError):
        scene.upload()
    scene.stage(a_report(2), a_report(3))
    assert scene.upload() == counts(2, uploaded=2)


def test_notes_of_a_killed_try_that_are_cut_off_are_as_good_as_none(scene, tmp_path):
    scene.stage(a_report(1), a_report(2))
    scene.wats.fail_next = {guid_of(2): [RetriableError(VW392, "reset")]}
    with pytest.raises(RetriableError):
        scene.upload()
    notes = tmp_path / "s0001" / "outcomes.jsonl.gz"
    notes.write_bytes(notes.read_bytes()[:-9])
    assert scene.upload() == counts(2, unchanged=1, uploaded=1)
    assert set(scene.wats.receipts.values()) == {1}


def test_a_server_that_cannot_be_asked_stops_everything_and_buries_nothing(scene):
    scene.stage(a_report(1), a_refusal(2))
    scene.wats.out_of_order = FatalError(VW299, "401: the token is not valid")
    with pytest.raises(FatalError, match="401"):
        scene.upload()
    assert scene.dead_letters.guids() == frozenset()
    assert scene.wats.posted == []


def test_dead_letters_go_when_their_runs_reach_wats_and_only_those(scene, caplog):
    caplog.set_level(logging.INFO)
    scene.wats = FakeWats(a_report(2))
    for number in (1, 2, 3, 7):
        scene.put_dead_letter(number)
    scene.stage(a_report(1), a_report(2), a_refusal(3))
    assert scene.upload() == counts(3, uploaded=1, unchanged=1, dead=1, redriven=2)
    assert scene.dead_letters.guids() == {guid_of(3), guid_of(7)}
    assert scene.dead_letters.get(guid_of(3)).attempts == 2
    assert f"Run {guid_of(1)} reached WATS; its dead letter is removed" in caplog.text


def test_a_report_without_an_answer_unbalances_the_counts(scene):
    scene.stage(a_report(1), a_report(2))
    scene.wats.swallow = {guid_of(2)}
    with pytest.raises(FatalError, match=r"2 runs were read, but 1 have an outcome: \{.*uploaded.*1\}"):
        scene.upload()


def test_a_run_that_mapping_lost_unbalances_the_counts(scene):
    scene.stage(a_report(1), a_report(2))
    stage_mapped(scene.staging, [a_report(1)])
    with pytest.raises(FatalError, match="2 runs were read, but 1 have an outcome"):
        scene.upload()


@pytest.mark.parametrize("runs", [199, 200, 201, 401])
def test_reports_are_compared_two_hundred_at_a_time_and_none_is_left_out(scene, runs):
    scene.stage(*(a_report(n) for n in range(1, runs + 1)))
    assert scene.upload() == counts(runs, uploaded=runs)
    assert sum(scene.wats.asked) == runs
    assert max(scene.wats.asked) <= 200
    assert len(scene.wats.asked) == -(-runs // 200)
    assert scene.upload() == counts(runs, uploaded=runs)
    assert len(scene.wats.posted) == runs


def test_two_runs_of_one_natural_key_in_different_groups_are_both_refused(scene):
    scene.stage(*(a_report(n) for n in range(1, 201)), a_report(201, natural_key=a_natural_key(1)))
    assert scene.upload() == counts(201, uploaded=199, dead=2)
    assert not {guid_of(1), guid_of(201)} & scene.wats.reports.keys()


# Posted is not shown: what WATS has confirmed is known for a while, whatever its queries say


def test_a_confirmed_report_that_wats_does_not_show_yet_is_not_posted_again(scene):
    """The guard band reads a run again minutes or seconds after it was uploaded."""
    scene.wats.hides = True
    scene.stage(a_report(1), a_report(2))
    assert scene.upload() == counts(2, uploaded=2)
    again = Scene(scene.folder, "the next interval")
    again.wats = scene.wats
    again.stage(a_report(1), a_report(2), a_report(3))
    assert again.upload(now_at=NOW_AT + timedelta(seconds=100)) == counts(3, unchanged=2, uploaded=1)
    assert set(scene.wats.receipts.values()) == {1}


def test_once_a_report_should_show_wats_is_asked_for_it_again(scene):
    scene.wats.hides = True
    scene.stage(a_report(1))
    scene.upload()
    again = Scene(scene.folder, "much later")
    again.wats = scene.wats
    again.stage(a_report(1))
    assert again.upload(now_at=NOW_AT + timedelta(seconds=121)) == counts(1, uploaded=1)
    assert scene.wats.receipts[guid_of(1)] == 2


def test_a_run_that_got_more_steps_meanwhile_is_replaced_once_although_wats_shows_its_old_report(scene):
    scene.stage(a_report(1, source_hash="half"))
    scene.upload()
    scene.wats.find_reports([])  # it shows by now; what follows does not
    scene.wats.hides = True
    for name, outcome in (("second", "replaced"), ("third", "unchanged")):
        later = Scene(scene.folder, name)
        later.wats = scene.wats
        later.by_now = [a_report(1, source_hash="whole")]
        later.stage(a_report(1, source_hash="whole"))
        assert later.upload() == counts(1, **{outcome: 1})
    assert scene.wats.receipts[guid_of(1)] == 2


def test_a_renamed_report_that_shows_between_two_questions_is_no_other_run(scene):
    scene.wats.renamed = {guid_of(1): UUID(int=77)}
    scene.stage(a_report(1))
    scene.upload()
    again = Scene(scene.folder, "again")
    again.wats = scene.wats
    again.stage(a_report(1, source_hash="other"))
    again.by_now = [a_report(1, source_hash="other")]
    assert again.upload() == counts(1, replaced=1)


# Two runs of one unit within one second


def _within_one_second() -> tuple[Report, Report]:
    key = a_natural_key(1)
    return a_report(1), a_report(2, natural_key=replace(key, start_at=key.start_at + timedelta(milliseconds=400)))


def test_two_runs_of_a_unit_within_one_second_are_both_uploaded_and_named(scene, caplog):
    first, second = _within_one_second()
    scene.wats = FakeWats(first)
    scene.stage(second)
    assert scene.upload() == counts(1, uploaded=1)
    assert scene.wats.reports.keys() == {guid_of(1), guid_of(2)}
    assert f"VW340 Run {guid_of(2)} starts in the same second as run {guid_of(1)}" in caplog.text


@pytest.mark.parametrize("merges", [True, False])
def test_what_is_known_of_runs_within_one_second_decides(scene, caplog, merges):
    first, second = _within_one_second()
    scene.wats.known = replace(scene.wats.known, merges_within_second=merges)
    scene.stage(first, second)
    assert scene.upload() == (counts(2, dead=2) if merges else counts(2, uploaded=2))
    assert "VW340" not in caplog.text
    if merges:
        assert f"run {guid_of(1)} has the same serial" in scene.dead_letters.get(guid_of(2)).reason
        assert "second of the start" in scene.dead_letters.get(guid_of(2)).reason


# Reports that no WATS takes


def test_a_report_larger_than_wats_takes_is_a_dead_letter_that_names_its_largest_parts(scene):
    text = {"name": "Waveform", "reportText": "x" * 5_000}
    body = {"root": {"steps": [{"name": "Gain"}, text]}, "comment": "y" * 900}
    large = replace(a_report(1), document=json.dumps(body).encode())
    scene.wats.known = replace(scene.wats.known, max_body_bytes=2_000)
    scene.stage(large, a_report(2), a_report(3))
    assert scene.upload() == counts(3, dead=1, uploaded=2)
    assert guid_of(1) not in scene.wats.posted
    reason = scene.dead_letters.get(guid_of(1)).reason
    assert reason.startswith(f"VW341 the report has {len(large.body):,} bytes, the largest body is 2,000 ")
    assert "root.steps[1] 'Waveform'.reportText 5,000 bytes, comment 900 bytes" in reason


def test_many_large_reports_stop_nothing(scene):
    scene.wats.known = replace(scene.wats.known, max_body_bytes=5)
    scene.stage(*map(a_report, range(1, 31)))
    assert scene.upload(rejection_limit=2) == counts(30, dead=30)
    assert {scene.dead_letters.get(guid_of(n)).signature for n in range(1, 31)} == {"the report is too large"}


# A report that WATS fails for while it takes others


def _fails(times: int) -> list[RetriableError]:
    return [RetriableError(VW342, "WATS: HTTP 500") for _ in range(times)]


def _tries(scene: Scene, times: int, **answers) -> dict[str, int]:
    for _ in range(times - 1):
        with pytest.raises(RetriableError):
            scene.upload(**answers)
    return scene.upload(**answers)


def test_a_report_that_wats_fails_for_again_and_again_is_given_up_and_the_rest_goes_on(scene):
    scene.wats.fail_next = {guid_of(2): _fails(9)}
    scene.stage(a_report(1), a_report(2), a_report(3))
    assert _tries(scene, 3) == counts(3, uploaded=2, dead=1)
    assert scene.wats.posted.count(guid_of(2)) == 3
    assert set(scene.wats.receipts.values()) == {1}
    assert "VW344 WATS failed for this report in 3 tries" in scene.dead_letters.get(guid_of(2)).reason


def test_how_often_wats_may_fail_for_a_report_is_a_setting(scene):
    scene.wats.fail_next = {guid_of(2): _fails(9)}
    scene.stage(a_report(1), a_report(2))
    assert _tries(scene, 1, failing_report_tries=1) == counts(2, uploaded=1, dead=1)


def test_a_report_that_goes_through_in_time_is_uploaded(scene):
    scene.wats.fail_next = {guid_of(2): _fails(2)}
    scene.stage(a_report(1), a_report(2))
    assert _tries(scene, 3) == counts(2, uploaded=2)


def test_an_outage_for_all_is_counted_against_no_report(scene):
    down = [RetriableError(VW392, "not sent") for _ in range(9)]
    scene.wats.fail_next = {guid_of(2): _fails(9), guid_of(3): down}
    scene.stage(a_report(1), a_report(2), a_report(3))
    for _ in range(5):
        with pytest.raises(RetriableError):
            scene.upload()
    assert scene.dead_letters.guids() == frozenset()


def _in_the_next_sync(
    scene: Scene, *reports: Report, fails: bool = True, tries: int = 2, took: bool = True
) -> dict[str, int] | None:
    """Upload these in a DAG run of its own, after WATS ``took`` another; return the counts, or None if every try failed."""
    scene.wats.taken_at_s += 300.0 if took else 0.0
    scene.name = f"s{int(scene.name[1:]) + 1:04}"
    scene.staging = Staging(scene.folder / scene.name)
    scene.stage(*reports)
    scene.wats.fail_next = {guid_of(1): _fails(tries)} if fails else {}
    for _ in range(tries):
        with suppress(RetriableError):
            return scene.upload()
    return None


def _failing(scene: Scene) -> dict[UUID, int]:
    return {guid: tries.count for guid, tries in UnseenReports(scene.folder, FAILING).tries().items()}


def test_a_report_alone_that_wats_fails_for_is_given_up_after_as_many_syncs(scene):
    for sync in (1, 2):
        assert _in_the_next_sync(scene, a_report(1)) is None
        assert _failing(scene) == {guid_of(1): sync}
    assert _in_the_next_sync(scene, a_report(1)) == counts(1, dead=1)
    assert "VW344 WATS failed for this report in 3 tries" in scene.dead_letters.get(guid_of(1)).reason
    assert _failing(scene) == {}


def test_a_wats_that_takes_nothing_at_all_makes_no_dead_letter_however_long(scene):
    for _ in range(5):
        assert _in_the_next_sync(scene, a_report(1), took=False) is None
    assert (scene.dead_letters.guids(), _failing(scene)) == (frozenset(), {guid_of(1): 1})
    assert _in_the_next_sync(scene, a_report(1)) is None
    assert _in_the_next_sync(scene, a_report(1)) == counts(1, dead=1)


def test_an_outage_of_wats_counts_against_no_report_in_any_sync(scene):
    scene.wats.answers = False
    for _ in range(5):
        assert _in_the_next_sync(scene, a_report(1)) is None
    assert (scene.dead_letters.guids(), _failing(scene)) == (frozenset(), {})


def test_an_outage_after_others_went_through_counts_against_no_report(scene):
    scene.wats.fail_next = {guid_of(2): _fails(9)}
    scene.stage(a_report(1), a_report(2))
    with pytest.raises(RetriableError):
        scene.upload()
    scene.wats.answers = False
    for _ in range(5):
        with pytest.raises(RetriableError):
            scene.upload()
    assert scene.dead_letters.guids() == frozenset()


def test_the_count_goes_on_when_wats_takes_others(scene):
    for _ in range(2):
        _in_the_next_sync(scene, a_report(1))
    assert _in_the_next_sync(scene, a_report(2), fails=False) == counts(1, uploaded=1)
    assert _failing(scene) == {guid_of(1): 2}
    assert _in_the_next_sync(scene, a_report(1), a_report(3)) == counts(2, dead=1, uploaded=1)


def test_another_content_is_counted_from_the_beginning(scene):
    for _ in range(2):
        _in_the_next_sync(scene, a_report(1))
    assert _in_the_next_sync(scene, a_report(1, source_hash="bbbb")) is None
    assert _failing(scene) == {guid_of(1): 1}


def test_a_success_ends_the_count(scene):
    _in_the_next_sync(scene, a_report(1))
    assert _in_the_next_sync(scene, a_report(1), fails=False) == counts(1, uploaded=1)
    assert _failing(scene) == {}


def test_a_report_that_was_given_up_before_holds_up_no_later_interval(scene):
    scene.wats.fail_next = {guid_of(1): _fails(9)}
    scene.put_dead_letter(1)
    scene.stage(a_report(1))
    scene.by_now = [a_report(1)]
    assert _tries(scene, 3) == counts(1, dead=1)


def test_no_report_is_held_beside_the_batch_that_is_uploaded():
    taken: list[int] = []

    def staged() -> Iterator[Report]:
        for number in range(1, 4):
            taken.append(number)
            yield _large(a_report(number))

    for batch in in_batches(staged()):
        assert sum(len(report.body) for report in batch) <= 9_000_100
        assert taken[-1] == batch[-1].report_id.int


def test_reports_are_held_in_batches_of_a_bounded_number_and_size():
    large = replace(a_report(1), document=b"x" * 3_000_000)
    refused = Refusal(guid_of(2), DeadLetterKind.DEAD, "reason", "signature")
    assert [len(batch) for batch in in_batches([large, refused, large, large, large])] == [4, 1]
    assert [len(batch) for batch in in_batches([replace(large, document=b"x" * 30_000_000), large])] == [1, 1]
    assert [len(batch) for batch in in_batches([a_report(1)] * 450)] == [200, 200, 50]


def test_where_wats_lists_no_hash_it_is_read_in_the_report_so_that_nothing_is_replaced_without_need(scene):
    changed = a_report(2, source_hash="bbbb")
    scene.wats = FakeWats(a_report(1), changed, a_report(3))
    scene.wats.renamed[guid_of(3)] = guid_of(33)
    scene.wats.lists_misc_infos = False
    scene.by_now = [a_report(2)]
    scene.stage(a_report(1), a_report(2), a_report(3))
    assert scene.upload() == counts(3, unchanged=2, replaced=1)
    assert scene.wats.posted == [guid_of(2)]


@pytest.mark.parametrize(
    ("has_listed_some", "replaced"), [(False, [2]), (True, [1, 2])], ids=["never listed any", "lists those of others"]
)
def test_a_report_that_has_no_misc_infos_is_compared_by_content_where_wats_never_listed_any(
    has_listed_some, replaced, scene
):
    failed = replace(a_report(2), document=json.dumps(json.loads(a_report(2).body) | {"result": "F"}).encode())
    scene.wats = FakeWats(a_report(1), a_report(2))
    scene.wats.lists_misc_infos = scene.wats.keeps_misc_infos = False
    scene.wats.known = replace(scene.wats.known, lists_misc_infos=has_listed_some)
    scene.by_now = [a_report(1), failed]
    scene.stage(a_report(1), failed)
    assert scene.upload() == counts(2, unchanged=2 - len(replaced), replaced=len(replaced))
    assert sorted(scene.wats.posted) == [guid_of(n) for n in replaced]


# What WATS confirmed and does not show


def after(tries: int, scene: Scene) -> Scene:
    """Let WATS have confirmed report 1 so many times without showing it."""
    UnseenReports(scene.folder).add("earlier.json", {guid_of(1): Tries(tries, "aaaa")})
    scene.stage(a_report(1), a_report(2))
    return scene


def test_a_report_that_does_not_show_is_posted_again_and_counts_once(scene):
    assert after(2, scene).upload() == counts(2, replaced=1, uploaded=1)
    assert sorted(scene.wats.posted) == [guid_of(1), guid_of(2)]
    assert UnseenReports(scene.folder).tries() == {guid_of(1): Tries(2, "aaaa")}  # it is not known to show yet
    assert scene.wats.late == 0


def test_a_report_that_shows_later_than_was_waited_for_is_noted_as_late(scene):
    scene.wats = FakeWats(a_report(1))
    assert after(1, scene).upload() == counts(2, unchanged=1, uploaded=1)
    assert scene.wats.late == 1
    assert UnseenReports(scene.folder).tries() == {}
    assert scene.upload() == counts(2, unchanged=1, uploaded=1)
    assert scene.wats.late == 1


def test_after_so_many_posts_it_is_a_dead_letter_that_says_so(scene, caplog):
    assert after(3, scene).upload() == counts(2, dead=1, uploaded=1)
    assert scene.wats.posted == [guid_of(2)]
    assert "VW540" in scene.dead_letters.get(guid_of(1)).reason
    assert f"VW540 Run {guid_of(1)}: WATS confirmed this report 3 times" in caplog.text
    assert UnseenReports(scene.folder).tries() == {}


def test_one_that_shows_after_all_is_left_alone_however_often_it_was_posted(scene):
    scene.wats = FakeWats(a_report(1))
    assert after(3, scene).upload() == counts(2, unchanged=1, uploaded=1)
    assert UnseenReports(scene.folder).tries() == {}


def test_one_that_shows_with_its_earlier_content_alone_is_a_dead_letter_too(scene):
    scene.wats = FakeWats(a_report(1, source_hash="bbbb"))
    scene.by_now = [a_report(1)]
    assert after(3, scene).upload() == counts(2, dead=1, uploaded=1)
    assert scene.wats.posted == [guid_of(2)]


def test_what_was_just_confirmed_is_not_taken_for_shown(scene):
    after(1, scene).upload()
    again = Scene(scene.folder, "s0002")
    again.wats = FakeWats()
    again.stage(a_report(1))
    assert again.upload() == counts(1, unchanged=1)
    assert UnseenReports(scene.folder).tries() == {guid_of(1): Tries(1, "aaaa")}


def test_a_run_that_changed_is_posted_however_often_its_earlier_content_was(scene):
    UnseenReports(scene.folder).add("earlier.json", {guid_of(1): Tries(3, "bbbb")})
    scene.stage(a_report(1))
    assert scene.upload() == counts(1, uploaded=1)


def missed(scene: Scene) -> UnseenReports:
    """What comparisons missed."""
    return UnseenReports(scene.folder, DROPPED)


def test_posts_of_what_a_comparison_missed_are_counted_until_it_is_a_dead_letter(scene):
    missed(scene).wait_for([guid_of(1)])
    for day in range(3):
        again = Scene(scene.folder, f"s000{day}")
        again.stage(a_report(1), a_report(2))
        again.upload(now_at=NOW_AT + timedelta(days=day))
        assert missed(scene).tries() == {guid_of(1): Tries(day + 1, "aaaa")}  # report 2 was not missed
    last = Scene(scene.folder, "s0009")
    last.stage(a_report(1))
    assert last.upload(now_at=NOW_AT + timedelta(days=3)) == counts(1, dead=1)
    assert "VW540" in last.dead_letters.get(guid_of(1)).reason
    assert missed(scene).tries() == {}


def test_what_wats_did_not_confirm_counts_as_no_post(scene):
    missed(scene).wait_for([guid_of(1)])
    scene.wats.fail_next[guid_of(1)] = [RetriableError(VW342, "busy")]
    scene.stage(a_report(1))
    with pytest.raises(RetriableError):
        scene.upload()
    assert missed(scene).tries() == {guid_of(1): Tries(0)}


def test_the_next_comparison_alone_forgets_what_wats_shows_for_a_time(scene):
    missed(scene).add("earlier.json", {guid_of(1): Tries(2, "aaaa")})
    scene.wats = FakeWats(a_report(1))
    scene.stage(a_report(1))
    assert scene.upload() == counts(1, unchanged=1)
    assert missed(scene).tries() == {guid_of(1): Tries(2, "aaaa")}


def test_a_dry_run_posts_and_forgets_nothing(scene):
    after(3, scene).upload(dry_run=True)
    assert UnseenReports(scene.folder).tries() == {guid_of(1): Tries(3, "aaaa")}
    assert scene.dead_letters.guids() == frozenset()


def a_report_of(year: int, number: int = 1) -> Report:
    return a_report(number, natural_key=replace(a_natural_key(number), start_at=datetime(year, 6, 15, tzinfo=UTC)))


@pytest.mark.parametrize("year", [1753, 2001])
def test_a_run_of_a_reset_clock_is_uploaded_or_held_as_the_setting_says(scene, year):
    scene.stage(a_report_of(year), a_report(2))
    assert scene.upload(odd_timestamps="hold") == counts(2, uploaded=1, held=1)
    dead_letter = scene.dead_letters.get(guid_of(1))
    assert (dead_letter.kind, dead_letter.signature) == (DeadLetterKind.HELD, "the start is before 2002")
    assert f"given {year}-06-15" in dead_letter.reason
    assert dead_letter.reason.startswith("VW551 ")
    assert scene.upload() == counts(2, redriven=1, uploaded=2)  # a try counts what an earlier one achieved as it did
    assert scene.wats.receipts == {guid_of(1): 1, guid_of(2): 1}
    assert scene.upload(odd_timestamps="hold")["held"] == 0  # what is in WATS stays there


def test_a_run_of_a_clock_that_is_ahead_is_held_until_its_time_has_come(scene):
    at = NOW_AT + timedelta(days=3)
    scene.stage(a_report(1, natural_key=replace(a_natural_key(), start_at=at)))
    assert scene.upload() == counts(1, held=1)
    dead_letter = scene.dead_letters.get(guid_of(1))
    assert (dead_letter.kind, dead_letter.signature) == (DeadLetterKind.HELD, "the start is in the future")
    assert scene.upload(now_at=at - timedelta(days=1)) == counts(1, redriven=1, uploaded=1)


def test_a_run_that_is_left_out_is_not_posted_and_its_dead_letter_says_who_and_why(scene):
    excluded_runs = {
        str(guid_of(n)).upper(): {"by": "quality engineer", "reason": "deleted in WATS, ticket 7"} for n in (1, 2)
    }
    scene.stage(a_report(1), a_refusal(2), a_report(3))
    for force in (False, True):
        assert scene.upload(excluded_runs=excluded_runs, force=force) == counts(3, uploaded=1, held=2)
    for number in (1, 2):
        dead_letter = scene.dead_letters.get(guid_of(number))
        assert (dead_letter.kind, dead_letter.signature) == (DeadLetterKind.HELD, EXCLUDED)
        assert (
            dead_letter.reason
            == "VW552 quality engineer left the run out (setting excluded_runs): deleted in WATS, ticket 7"
        )
    assert set(scene.wats.posted) == {guid_of(3)}
    assert scene.upload() == counts(3, redriven=1, uploaded=2, dead=1)


def test_a_run_that_is_left_out_while_wats_has_it_stays_as_it_is_there(scene):
    excluded_runs = {str(guid_of(n)): {"by": "quality engineer", "reason": "wrong fixture"} for n in (1, 2)}
    scene.wats = FakeWats(a_report(1), a_report(2, source_hash="bbbb"))
    scene.by_now = [a_report(1), a_report(2)]
    scene.stage(a_report(1), a_report(2))
    assert scene.upload(excluded_runs=excluded_runs) == counts(2, unchanged=1, held=1)
    assert scene.wats.posted == []
