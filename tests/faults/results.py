"""results.json: how each case, the fuzzed database, the plant of ten days and each deliberate bug went when they were played last."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from tests.faults import fuzz
from tests.faults.accounts import Accounts
from tests.faults.matrix import Outcome
from tests.faults.mutations import Verdict
from tests.site.check import Findings

PATH = Path(__file__).with_name("results.json")


def today() -> str:
    """Return the day as the page shows it."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True)
class Played:
    """One case, as it went that day."""

    day: str
    happened: str
    strikes: int
    accounts: Accounts


@dataclass
class Results:
    """What is known; a run of some cases renews theirs and leaves the others as they were."""

    played: dict[str, Played] = field(default_factory=dict)
    fuzzed: tuple[str, fuzz.Verdict] | None = None
    converged: tuple[str, Findings] | None = None
    bugs: dict[str, tuple[str, bool]] = field(default_factory=dict)
    leaked: tuple[str, list[str]] | None = None

    @classmethod
    def load(cls) -> Self:
        """Read the file; nothing is known where there is none."""
        if not PATH.exists():
            return cls()
        plain = json.loads(PATH.read_text(encoding="utf-8"))
        return cls(
            {
                name: Played(**known_entry | {"accounts": Accounts(**known_entry["accounts"])})
                for name, known_entry in plain["played"].items()
            },
            plain["fuzzed"] and (plain["fuzzed"][0], fuzz.Verdict(**plain["fuzzed"][1])),
            plain["converged"] and (plain["converged"][0], Findings(**plain["converged"][1])),
            {name: (day, caught) for name, (day, caught) in plain["bugs"].items()},
            plain["leaked"] and tuple(plain["leaked"]),
        )

    def save(self) -> None:
        """Write the file, a line per case."""
        cases = ",\n".join(
            f"  {json.dumps(name)}: {json.dumps(asdict(found_entry))}"
            for name, found_entry in sorted(self.played.items())
        )
        rest = {
            "fuzzed": self.fuzzed and (self.fuzzed[0], asdict(self.fuzzed[1])),
            "converged": self.converged and (self.converged[0], asdict(self.converged[1])),
            "bugs": self.bugs,
            "leaked": self.leaked,
        }
        lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(entry)}" for name, entry in rest.items())
        PATH.write_text(f'{{\n "played": {{\n{cases}\n }},\n{lines}\n}}\n', encoding="utf-8")

    def note(self, outcome: Outcome) -> None:
        """Note how a case went."""
        self.played[outcome.case.name] = Played(today(), outcome.happened, outcome.strikes, outcome.accounts)

    def note_bugs(self, verdicts: Sequence[Verdict]) -> None:
        """Note which deliberate bugs were caught; those that are no more are forgotten."""
        self.bugs = {verdict.mutation.name: (today(), verdict.caught) for verdict in verdicts}
