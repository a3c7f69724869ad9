from __future__ import annotations

import asyncio
import threading

import pytest

from vte_wats.status.shared_reads import NoAnswerYet, SharedReads


class Source:
    """Counts its reads; each waits until the test lets it go."""

    def __init__(self) -> None:
        self.reads = 0
        self.let_go = threading.Event()

    def read(self) -> int:
        self.let_go.wait(60)
        self.reads += 1
        return self.reads


@pytest.fixture
def source() -> Source:
    return Source()


def shared(*, fresh_s: float = 60, deadline_s: float = 60) -> SharedReads[int]:
    return SharedReads(fresh_s=fresh_s, deadline_s=deadline_s, at_once=1)


def test_who_asks_meanwhile_gets_the_answer_of_the_read_under_way(source):
    reads = shared()

    async def ask_many() -> list[int]:
        asked = [asyncio.create_task(reads.get("key", source.read)) for _ in range(50)]
        await asyncio.sleep(0)
        source.let_go.set()
        return [answer.content for answer in await asyncio.gather(*asked)]

    assert asyncio.run(ask_many()) == [1] * 50


def test_an_answer_is_given_again_while_it_is_fresh_and_each_key_has_its_own(source):
    reads, old = shared(), shared(fresh_s=0)
    source.let_go.set()

    async def ask(of: SharedReads[int], *keys: str, fresh: bool = False) -> list[int]:
        return [(await of.get(key, source.read, fresh=fresh)).content for key in keys]

    assert asyncio.run(ask(reads, "a", "a", "b", "a")) == [1, 1, 2, 1]
    assert asyncio.run(ask(reads, "a", fresh=True)) == [3]
    assert asyncio.run(ask(old, "a", "a")) == [4, 5]


def test_a_read_that_hangs_gives_nothing_first_and_what_was_read_before_later(source):
    reads = shared(fresh_s=0, deadline_s=0.05)
    with pytest.raises(NoAnswerYet):
        asyncio.run(reads.get("key", source.read))
    source.let_go.set()

    async def twice() -> tuple[int, int]:
        reads._deadline_s = 60
        first = await reads.get("key", source.read)
        source.let_go.clear()
        reads._deadline_s = 0.05
        second = await reads.get("key", source.read)
        assert second.read_at == first.read_at
        return first.content, second.content

    first, second = asyncio.run(twice())
    assert first == second
    source.let_go.set()


def test_what_a_read_raises_leaves_and_is_shared_as_an_answer_is():
    reads = shared()
    asked = []

    def fail() -> int:
        asked.append(1)
        raise OSError("away")

    for _ in range(3):
        with pytest.raises(OSError, match="away"):
            asyncio.run(reads.get("key", fail))
    assert len(asked) == 1


def test_what_is_forgotten_is_read_again(source):
    reads = shared()
    source.let_go.set()
    assert asyncio.run(reads.get("key", source.read)).content == 1
    reads.forget()
    assert asyncio.run(reads.get("key", source.read)).content == 2


def test_an_answer_that_is_not_kept_is_for_those_who_wait_for_it(source):
    reads: SharedReads[int] = SharedReads(fresh_s=60, deadline_s=60, at_once=1, keeps=False)

    async def ask_many() -> list[int]:
        asked = [asyncio.create_task(reads.get("key", source.read)) for _ in range(5)]
        await asyncio.sleep(0)
        source.let_go.set()
        return [answer.content for answer in await asyncio.gather(*asked)]

    assert asyncio.run(ask_many()) == [1] * 5
    assert asyncio.run(reads.get("key", source.read)).content == 2
