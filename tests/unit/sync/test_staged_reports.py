from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "modules",
    [
        pytest.param("vte_wats.orchestration.handover, vte_wats.orchestration.resources", id="every task"),
        pytest.param("vte_wats.vte.reader, vte_wats.sync.extract", id="extract"),
        pytest.param("vte_wats.sync.plan, vte_wats.sync.near_check", id="plan"),
        pytest.param("vte_wats.sync.settle, vte_wats.orchestration.metrics", id="settle"),
    ],
)
def test_a_task_that_neither_maps_nor_talks_to_wats_does_not_load_pywats(modules):
    """It takes half a second of CPU, at the start of every such task."""
    found = subprocess.run(
        [sys.executable, "-c", f"import sys, {modules}; sys.exit('pywats' in sys.modules)"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": "plugins"},
    )
    assert (found.returncode, found.stderr) == (0, "")
