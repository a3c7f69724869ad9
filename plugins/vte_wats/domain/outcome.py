"""What can become of one run."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What became of one run."""

    UPLOADED = "uploaded"
    UNCHANGED = "unchanged"
    REPLACED = "replaced"
    DEAD = "dead"
    HELD = "held"


LEFT_OUT = "left out on purpose"
"""The signature of the dead letters of runs that a person left out: nothing waits for anybody."""


class DeadLetterKind(StrEnum):
    """Whether the run itself is bad, or waits for a person to extend a setting."""

    DEAD = "dead"
    HELD = "held"
