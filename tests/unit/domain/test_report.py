from __future__ import annotations

import pytest
from pydantic import ValidationError

from vte_wats.domain.report import UploadResult
from vte_wats.domain.run import Outcome

PLAIN = {"read": 3, "redriven": 1, "uploaded": 2, "unchanged": 1, "replaced": 0, "dead": 0, "held": 0}


def test_the_result_of_an_upload_comes_back_from_json_as_it_was():
    result = UploadResult.model_validate(PLAIN | {"requests": 4, "budget_per_minute": 500, "latency_ms": {20: 2}})
    assert UploadResult.model_validate_json(result.model_dump_json()) == result
    assert result.outcomes == {outcome: PLAIN[outcome.value] for outcome in Outcome}


@pytest.mark.parametrize("missing", PLAIN)
def test_a_result_without_a_count_is_an_error_and_not_a_zero(missing):
    with pytest.raises(ValidationError, match=missing):
        UploadResult.model_validate({name: count for name, count in PLAIN.items() if name != missing})
