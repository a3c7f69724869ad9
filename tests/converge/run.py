"""The plant of ten days, for make faults: python -m tests.converge.run FILE, into which its end is written as JSON.

Airflow's standard output is not free, hence the file. `make converge` plays the same under pytest.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.converge.simulated_site import play
from tests.converge.stories import TEN_DAYS


def main(file: str) -> int:
    """Play it; return 0 when nothing is wrong."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="vte-wats-converge-") as folder:
        _, found = play(TEN_DAYS, Path(folder))
    Path(file).write_text(json.dumps(asdict(found)), encoding="utf-8")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
