"""Attacks on the threads of Airflow's API through the page: storage that hangs, and many who ask."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from fsspec.implementations.local import LocalFileSystem
from upath import UPath

from tests.unit.builders import a_run, guid_of
from tests.waiting import wait_until
from vte_wats.domain.run import DeadLetterKind
from vte_wats.status.dead_letter_groups import LISTED
from vte_wats.storage.dead_letters import DeadLetters

TABS = 41  # one more than the threads of Airflow's API


class Hang:
    """A folder whose disk does not answer until the test lets it go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.asked: list[str] = []

    def list(self, path: str, **_: object) -> list[dict]:
        self.asked.append(path)
        self.let_go.wait(120)
        return []


@pytest.fixture
def hanging(monkeypatch, storage) -> Iterator[Hang]:
    """The disk of the storage hangs whenever a folder on it is listed."""
    hang = Hang()
    monkeypatch.setattr(LocalFileSystem, "ls", hang.list)
    yield hang
    hang.let_go.set()


def dead_letter(storage, number: int = 1) -> None:
    DeadLetters(UPath(storage)).put(a_run(number), DeadLetterKind.DEAD, "why", "serial is blank", datetime.now(UTC))


@pytest.fixture
def ask_at_once(airflow, cookies, hanging) -> Iterator[Callable[..., list[Future]]]:
    """Ask for one path many times at once; at the end the storage answers, so that everybody can leave."""
    headers = cookies("vic")
    with ThreadPoolExecutor(TABS + 1) as tabs:
        yield lambda path, times: [tabs.submit(airflow.get, path, headers=headers) for _ in range(times)]
        hanging.let_go.set()


def test_forty_one_tabs_on_a_storage_that_hangs_leave_airflow_its_threads(hanging, ask_at_once, monkeypatch):
    monkeypatch.setattr(LISTED, "_deadline_s", 60)
    asked = ask_at_once("/vte-wats/api/dead-letters", TABS)
    wait_until(lambda: hanging.asked and all(answer.running() for answer in asked), "that all of them wait")
    for path in ("/api/v2/monitor/health", "/api/v2/version", "/vte-wats/health"):
        (other,) = ask_at_once(path, 1)
        assert other.result(timeout=60).status_code in {200, 503}
    assert not any(answer.done() for answer in asked)
    assert len(hanging.asked) == 1
    hanging.let_go.set()
    assert {answer.result().status_code for answer in asked} == {200}


def test_who_asks_a_storage_that_hangs_gets_an_answer_after_the_deadline(ask, hanging, monkeypatch):
    monkeypatch.setattr(LISTED, "_deadline_s", 0.2)
    answer = ask("api/dead-letters", "vic")
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("VW831 ")
    assert not hanging.let_go.is_set()


def test_what_was_read_before_the_storage_hung_is_shown_with_its_time(ask, storage, request, monkeypatch):
    dead_letter(storage)
    before = ask("api/dead-letters", "vic").json()
    monkeypatch.setattr(LISTED, "_deadline_s", 0.2)
    monkeypatch.setattr(LISTED, "_fresh_s", 0)
    request.getfixturevalue("hanging")
    after = ask("api/dead-letters", "vic").json()
    assert (after["listed"], after["read_at"]) == (1, before["read_at"])


def test_a_pipe_among_the_dead_letters_stops_nobody(ask, storage):
    dead_letter(storage)
    os.mkfifo(storage / "dead_letters" / f"{guid_of(2)}.json")
    found = ask("api/dead-letters", "vic").json()
    assert (found["listed"], found["unreadable"], len(found["groups"])) == (2, 1, 1)
