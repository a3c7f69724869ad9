from __future__ import annotations

import pickle

import pytest

from vte_wats.domain.errors import FatalError, HeldError, RejectedError, RetriableError, code_of
from vte_wats.messages import VW299, VW392, VW404, VW417


@pytest.mark.parametrize(
    "error",
    [
        RetriableError(VW392, "busy", 12.5),
        RejectedError(VW417, "serial is blank", "blank"),
        HeldError(VW404, "not mapped", "unmapped"),
        FatalError(VW299, "wrong login"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_the_text_of_an_error_tells_its_code():
    assert code_of(str(RejectedError(VW417, "serial is blank", "blank"))) == "VW417"
