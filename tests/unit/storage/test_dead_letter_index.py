from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from upath import UPath

from tests.unit.builders import a_run, guid_of
from vte_wats.domain.run import DeadLetterKind, StepKind, VteProduct, VteStepResult
from vte_wats.storage.dead_letter_index import EXAMPLES, INDEX, DeadLetterIndex, DeadLetterSummary
from vte_wats.storage.dead_letters import DeadLetters, read_header
from vte_wats.storage.object_storage import read_file
from vte_wats.storage.staging import Staging

NOON_AT = datetime(2026, 6, 15, 12, tzinfo=UTC)


@pytest.fixture(params=["file", "memory"])
def storage(request, tmp_path) -> UPath:
    return UPath(tmp_path) if request.param == "file" else UPath(f"memory://{tmp_path}")


class Shelf:
    def __init__(self, storage: UPath) -> None:
        self.dead_letters = DeadLetters(storage)
        self.index = DeadLetterIndex(storage)

    def put(
        self, number: int, signature: str = "bad", hours: int = 0, reason: str = "it is bad", **run
    ) -> DeadLetterSummary:
        kind = DeadLetterKind.HELD if signature == "held" else DeadLetterKind.DEAD
        at = NOON_AT + timedelta(hours=hours)
        return DeadLetterSummary.of(self.dead_letters.put(a_run(number, **run), kind, reason, signature, at))


@pytest.fixture
def shelf(storage) -> Shelf:
    return Shelf(storage)


def test_without_a_folder_there_are_no_dead_letters(shelf):
    assert shelf.index.groups().model_dump() == {
        "listed": 0, "read": 0, "unreadable": 0, "dead": 0, "held": 0, "groups": [],
    }  # fmt: skip


def test_dead_letters_are_grouped_by_reason_with_the_latest_as_examples(shelf):
    for number in range(1, 9):
        shelf.put(number, hours=number)
    shelf.put(20, "held", serial="SN-held", product=VteProduct(name="<b>PN</b>"))
    found = shelf.index.groups()
    assert [(group.signature, group.kind, group.dead_letters) for group in found.groups] == [
        ("bad", "dead", 8),
        ("held", "held", 1),
    ]
    assert [example.index_guid for example in found.groups[0].examples] == [guid_of(n) for n in (8, 7, 6, 5, 4)]
    assert len(found.groups[0].examples) == EXAMPLES
    assert found.groups[0].first_at == NOON_AT + timedelta(hours=1)
    assert found.groups[0].last_at == NOON_AT + timedelta(hours=8)
    example = found.groups[1].examples[0]
    assert (example.serial, example.product, example.reason, example.attempts) == (
        "SN-held", "<b>PN</b>", "it is bad", 1,
    )  # fmt: skip


def test_what_changes_is_seen_at_the_next_look(shelf):
    shelf.put(1)
    shelf.put(2)
    assert shelf.index.groups().groups[0].dead_letters == 2
    shelf.dead_letters.remove(guid_of(1))
    shelf.put(2, "worse", hours=100)
    groups = shelf.index.groups().groups
    assert [(group.signature, group.dead_letters, group.examples[0].attempts) for group in groups] == [("worse", 1, 2)]


def test_a_look_reads_no_more_new_dead_letters_than_allowed_and_none_twice(storage, shelf, monkeypatch):
    index = DeadLetterIndex(storage, max_new=3)
    read: list[str] = []

    def noted(path, model):
        read.append(path.name)
        return read_header(path, model)

    monkeypatch.setattr("vte_wats.storage.dead_letter_index.read_header", noted)
    for number in range(1, 8):
        shelf.put(number)
    progress = [(found.read, found.listed) for found in (index.groups() for _ in range(4))]
    assert progress == [(3, 7), (6, 7), (7, 7), (7, 7)]
    assert len(read) == len(set(read)) == 7
    shelf.put(5, hours=1, reason="it is bad still")
    assert index.groups().groups[0].examples[0].attempts == 2


def test_only_the_beginning_of_a_dead_letter_is_read(shelf):
    steps = tuple(VteStepResult(kind=StepKind.TEXT, step_number=n, text_value="x" * 100) for n in range(500))
    shelf.put(1, steps=steps)
    (path,) = shelf.index._folder.iterdir()
    path.write_bytes(path.read_bytes()[:4_200])  # the rest is lost
    assert shelf.index.groups().groups[0].examples[0].serial == "SN-1"


def test_of_a_reason_longer_than_the_beginning_people_see_as_much_as_they_read(shelf):
    shelf.put(1, reason="long " * 2_000)
    group = shelf.index.groups().groups[0]
    assert (group.signature, len(group.examples[0].reason)) == ("bad", 2_000)


def test_dead_and_held_are_counted(shelf):
    shelf.put(1)
    shelf.put(2, "held")
    shelf.put(3, "held")
    found = shelf.index.groups()
    assert (found.dead, found.held) == (1, 2)


def test_pipes_links_and_folders_are_counted_and_not_opened(tmp_path):
    shelf = Shelf(UPath(tmp_path))
    shelf.put(1)
    folder = tmp_path / "dead_letters"
    os.mkfifo(folder / f"{guid_of(2)}.json")
    (folder / f"{guid_of(3)}.json").mkdir()
    (folder / f"{guid_of(4)}.json").symlink_to(folder / f"{guid_of(1)}.json")
    (folder / f"{guid_of(5)}.json").symlink_to("/dev/zero")
    found = shelf.index.groups()
    assert (found.listed, found.read, found.unreadable, found.groups[0].dead_letters) == (5, 5, 4, 1)


def test_of_a_file_that_never_reaches_a_run_a_megabyte_is_read_at_most(tmp_path):
    shelf = Shelf(UPath(tmp_path))
    shelf.put(1)
    with (tmp_path / "dead_letters" / f"{guid_of(2)}.json").open("wb") as file:
        file.write(b'{"reason": "')
        file.truncate(50_000_000_000)  # sparse: fifty gigabytes would not fit into memory
    found = shelf.index.groups()
    assert (found.unreadable, found.groups[0].dead_letters) == (1, 1)


def test_a_file_that_is_no_dead_letter_is_counted_and_stops_nothing(storage, shelf):
    shelf.put(1)
    (storage / "dead_letters" / "notes.json").write_text("not a dead letter")
    (storage / "dead_letters" / "half.part").write_text("{")
    found = shelf.index.groups()
    assert (found.listed, found.read, found.unreadable, found.groups[0].dead_letters) == (2, 2, 1, 1)


@pytest.mark.parametrize("field", ["first_at", "last_at"])
def test_a_dead_letter_whose_time_has_no_zone_counts_as_none_and_is_named(storage, shelf, caplog, field):
    for number in (1, 2):
        shelf.put(number)
    path = storage / "dead_letters" / f"{guid_of(2)}.json"
    path.write_text(path.read_text().replace(f'"{field}": "2026-06-15T12:00:00Z"', f'"{field}": "2026-06-15T12:00:00"'))
    found = shelf.index.groups()
    assert (found.unreadable, found.groups[0].dead_letters) == (1, 1)
    assert [summary.index_guid for summary in DeadLetterIndex(storage).summaries()] == [guid_of(1)]
    assert f"VW923 {path} is no dead letter" in caplog.text


def many_held(storage: UPath, runs: int) -> None:
    """Write dead letters that differ in their run alone."""
    dead_letters = DeadLetters(storage)
    dead_letters.put(a_run(1), DeadLetterKind.HELD, "no process", "held", NOON_AT)
    first = read_file(storage / "dead_letters" / f"{guid_of(1)}.json", 1_000_000).decode()
    for number in range(2, runs + 1):
        path = storage / "dead_letters" / f"{guid_of(number)}.json"
        path.fs.pipe_file(path.path, first.replace(str(guid_of(1)), str(guid_of(number))).encode())


class Counted:
    """Counts what is asked of a file system."""

    def __init__(self, fs: type, monkeypatch: pytest.MonkeyPatch) -> None:
        self.requests = 0
        for name in ("ls", "cat_file", "_open", "info"):
            monkeypatch.setattr(fs, name, self._counting(getattr(fs, name)))

    def _counting(self, method):
        def counted(*args, **kwargs):
            self.requests += 1
            return method(*args, **kwargs)

        return counted


@pytest.mark.slow
def test_twenty_thousand_held_runs_are_read_once_and_then_cost_a_few_requests(tmp_path, monkeypatch):
    storage = UPath(f"memory://{tmp_path}")
    many_held(storage, 20_000)
    counted = Counted(type(storage.fs), monkeypatch)
    for check in range(1, 11):  # each check of the monitor is a new process
        before = counted.requests
        assert len(DeadLetterIndex(storage).summaries()) == check * 2_000
        assert counted.requests - before < 2_020
    before = counted.requests
    assert len(DeadLetterIndex(storage).summaries()) == 20_000
    assert DeadLetterIndex(storage).groups().held == 20_000  # the page, in a process that has seen nothing
    assert counted.requests - before < 20


def test_the_kept_index_follows_what_changes_and_what_goes(storage, shelf):
    shelf.put(1)
    shelf.put(2)
    assert len(DeadLetterIndex(storage).summaries()) == 2
    shelf.put(2, "worse", hours=100)
    assert {summary.signature for summary in DeadLetterIndex(storage).summaries()} == {"bad", "worse"}
    for number in (1, 2):
        shelf.dead_letters.remove(guid_of(number))
    assert DeadLetterIndex(storage).summaries() == ()
    assert list(Staging(storage / INDEX).lines("read")) == []


def test_a_damaged_index_is_written_again(storage, shelf, caplog):
    shelf.put(1)
    Staging(storage / INDEX).write("read", ["no JSON"])
    assert len(DeadLetterIndex(storage).summaries()) == 1
    assert "VW634 the index of the dead letters is written again: VW620" in caplog.text
    caplog.clear()
    assert len(DeadLetterIndex(storage).summaries()) == 1
    assert "VW634" not in caplog.text


@pytest.fixture
def read_again(monkeypatch) -> list[str]:
    """Return the names of the dead letters that were read."""
    names: list[str] = []

    def noted(path, model):
        names.append(path.name)
        return read_header(path, model)

    monkeypatch.setattr("vte_wats.storage.dead_letter_index.read_header", noted)
    return names


def parts_of(storage: UPath) -> list[str]:
    return [name for name in Staging(storage / INDEX).names() if name != "read"]


def test_what_a_writer_noted_is_read_by_nobody(storage, shelf, read_again):
    for numbers in (range(1, 4), range(4, 6)):
        DeadLetterIndex(storage).add([shelf.put(number, reason="bad " * 3_000) for number in numbers])
    noted = DeadLetterIndex(storage).groups()
    assert (noted.listed, noted.read, len(parts_of(storage))) == (5, 5, 2)
    summaries = DeadLetterIndex(storage).summaries()
    assert (len(summaries), parts_of(storage), read_again) == (5, [], [])
    assert DeadLetterIndex(storage).summaries() == summaries
    Staging(storage / INDEX).write("read", [])
    assert sorted(DeadLetterIndex(storage).summaries(), key=str) == sorted(summaries, key=str)  # what the files say
    assert len(read_again) == 5


def test_a_dead_letter_that_was_written_again_is_as_it_is_now(storage, shelf, read_again):
    DeadLetterIndex(storage).add([shelf.put(1), shelf.put(2), shelf.put(3)])
    shelf.put(1, "worse", hours=1)  # by a writer that ended before it noted it
    DeadLetterIndex(storage).add([shelf.put(2, "worse", hours=1)])
    shelf.dead_letters.remove(guid_of(3))
    assert [summary.signature for summary in DeadLetterIndex(storage).summaries()] == ["worse", "worse"]
    assert read_again == [f"{guid_of(1)}.json"]


def test_of_two_writers_of_one_dead_letter_the_later_one_is_right(storage, shelf):
    early, late = shelf.put(1), shelf.put(1, "worse", hours=1)
    for written in ([late], [early]):  # the first one notes it when the second has written it
        DeadLetterIndex(storage).add(written)
    assert [summary.signature for summary in DeadLetterIndex(storage).summaries()] == ["worse"]


def test_a_damaged_note_costs_reading(storage, shelf, read_again, caplog):
    shelf.put(1)
    Staging(storage / INDEX).write("a-note", ["no JSON"])
    assert len(DeadLetterIndex(storage).summaries()) == 1
    assert (len(read_again), parts_of(storage)) == (1, [])
    assert "VW634" in caplog.text


def test_notes_that_another_put_together_meanwhile_are_no_damage(storage, shelf, monkeypatch, caplog):
    DeadLetterIndex(storage).add([shelf.put(1)])
    late = DeadLetterIndex(storage)
    gone = late._kept.names()
    DeadLetterIndex(storage).summaries()
    monkeypatch.setattr(late._kept, "names", lambda: [*gone, "read"])
    assert len(late.summaries()) == 1
    assert "VW634" not in caplog.text


def test_a_note_that_cannot_be_written_says_so_and_the_dead_letter_counts(tmp_path, caplog):
    shelf = Shelf(UPath(tmp_path))
    (tmp_path / INDEX).write_text("a file where a folder should be")
    DeadLetterIndex(UPath(tmp_path)).add([shelf.put(1)])
    assert "VW569" in caplog.text
    (tmp_path / INDEX).unlink()
    assert DeadLetterIndex(UPath(tmp_path)).groups().dead == 1


@pytest.mark.slow
def test_twenty_thousand_runs_that_writers_held_cost_the_first_look_a_few_requests(tmp_path, monkeypatch):
    storage = UPath(f"memory://{tmp_path}")
    many_held(storage, 20_000)
    one = Shelf(storage).put(1, "held")
    DeadLetterIndex(storage).add(
        [one.model_copy(update={"index_guid": guid_of(number)}) for number in range(1, 20_001)]
    )
    counted = Counted(type(storage.fs), monkeypatch)
    assert len(DeadLetterIndex(storage).summaries()) == 20_000
    assert counted.requests < 20
