"""A plant of some days, with nobody who acts: at the end VTE equals WATS and the dead letters, and the proof says so."""

from __future__ import annotations

import pytest

from tests.converge.simulated_site import Story, play
from tests.converge.stories import TEN_DAYS, THREE_DAYS

pytestmark = pytest.mark.timeout(1800)  # of a busy machine


@pytest.mark.parametrize(
    "story",
    [pytest.param(THREE_DAYS, id="three days"), pytest.param(TEN_DAYS, id="ten days", marks=pytest.mark.converge)],
)
def test_a_plant_converges_by_itself(story: Story, tmp_path):
    plant, found = play(story, tmp_path)
    assert found.wrong == ()
    assert plant.failed  # the outages were there
    assert found.reports > 50
