"""A pytest plugin that notes which values of each switch a test gives to its emulated WATS.

The notes of all tests of one run go to the file that ``PLAYED_PROFILES`` names, as JSON: test, switch, values.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from sandbox.wats.profiles import WatsProfile
from sandbox.wats.wats_server import WatsServer

_played: defaultdict[str, defaultdict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
_running = ""


def pytest_configure() -> None:
    """Look on where a test sets a profile."""
    plain: Any = WatsServer.profile

    def noted(server: WatsServer, profile: WatsProfile) -> None:
        plain.fset(server, profile)
        for switch, value in profile.model_dump(mode="json").items():
            if value not in _played[_running][switch]:
                _played[_running][switch].append(value)

    WatsServer.profile = property(plain.fget, noted)  # type: ignore[assignment]


def pytest_runtest_setup(item: pytest.Item) -> None:
    global _running  # noqa: PLW0603 - pytest hands hooks nothing of their own
    _running = item.nodeid.partition("[")[0]


def pytest_sessionfinish() -> None:
    Path(os.environ["PLAYED_PROFILES"]).write_text(json.dumps(_played), encoding="utf-8")
