"""Which WATS a test runs against: the one that people report, or with ``every_wats`` each of the four in turn."""

from __future__ import annotations

import pytest

from sandbox.wats.profiles import ProfileName


def every_wats(**not_ready: str) -> pytest.MarkDecorator:
    """Mark a test that uses the fixture ``wats_profile``; ``not_ready`` gives the reason why a set still fails."""
    sets = [
        pytest.param(name, marks=[pytest.mark.xfail(strict=True, reason=not_ready[name])] if name in not_ready else [])
        for name in ProfileName
    ]
    return pytest.mark.parametrize("wats_profile", sets, indirect=True)
