"""The tests that failed in ``make test``, once more and alone: what passes now is named as unstable: fix it.

A running Airflow, a browser and sockets share two cores with everything else that happens there. Only tests on those
are tried again, and few: more is a fault. What fails twice has failed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

_FAILED = Path(".pytest_cache/v/cache/lastfailed")
_EXIT_CODE = Path(".pytest_cache/v/vte_wats/exit_code")
_ON_SERVERS = tuple(f"tests/{folder}/" for folder in ("browser", "converge", "e2e", "faults", "integration"))
_MOST = 3


def refusal(failed: list[str]) -> str | None:
    """Return why these tests are not tried again, ``None`` when they are."""
    if not 0 < len(failed) <= _MOST:
        return f"{len(failed)} tests failed; 1 to {_MOST} are tried again."
    alone = [test for test in failed if not test.startswith(_ON_SERVERS)]
    return f"Never tried again: {', '.join(alone)}" if alone else None


def main() -> int:
    """Run the failed tests once more; return the exit code."""
    if not _EXIT_CODE.exists() or json.loads(_EXIT_CODE.read_text()) != pytest.ExitCode.TESTS_FAILED:
        sys.stdout.write("The tests were not run to their end.\n")
        return 1
    failed = sorted(json.loads(_FAILED.read_text())) if _FAILED.exists() else []
    if why := refusal(failed):
        sys.stdout.write(f"{why}\n")
        return 1
    code = pytest.main(["-v", *failed])
    if code == 0:
        sys.stdout.write("\n  ".join(["UNSTABLE, failed once and passed alone:", *failed]) + "\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
