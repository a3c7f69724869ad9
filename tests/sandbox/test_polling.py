"""Polling ends with the first answer that will do, or with an error that knows the last one."""

from __future__ import annotations

import itertools

import pytest

from sandbox.polling import poll


def test_it_asks_until_an_answer_will_do():
    answers = itertools.count()
    found = poll(lambda: next(answers), until=lambda answer: answer == 3, timeout_s=60, every_s=0.0, late=KeyError)
    assert found == 3
    assert next(answers) == 4


def test_what_is_late_is_named_with_the_last_answer():
    with pytest.raises(TimeoutError, match="still starting"):
        poll(
            lambda: "starting",
            until=lambda _: False,
            timeout_s=0,
            every_s=0.0,
            late=lambda x: TimeoutError(f"still {x}"),
        )


def test_an_error_while_asking_is_no_answer():
    with pytest.raises(ZeroDivisionError):
        poll(lambda: 1 / 0, timeout_s=60, every_s=0.0, late=lambda _: TimeoutError())
