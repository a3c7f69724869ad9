from __future__ import annotations

import pytest
from pydantic import ValidationError

from vte_wats.wats.profile import WatsProfile


def test_of_a_wats_that_was_never_measured_nothing_is_known():
    assert WatsProfile().known() == {}
    assert all(value is None for _, value in WatsProfile())


def test_what_is_known_is_written_without_what_is_not():
    assert WatsProfile.model_validate_json('{"renames": false, "id_form": "bare"}').known() == {
        "renames": False,
        "id_form": "bare",
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"rename": true}',
        '{"visibility_delay_s": -1}',
        '{"body_limit_bytes": 0}',
        '{"measured_at": "2026-11-27T12:00"}',
    ],
    ids=["unknown field", "negative delay", "no body", "naive time"],
)
def test_a_profile_that_nobody_measured_so_is_refused(text):
    with pytest.raises(ValidationError):
        WatsProfile.model_validate_json(text)
