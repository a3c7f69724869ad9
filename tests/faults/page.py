"""docs/reliability.md: what the matrix did, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tests.faults import fuzz
from tests.faults.matrix import Outcome
from tests.faults.mutations import Verdict

_GROUPS = {
    "wats": "WATS",
    "sql": "SQL Server",
    "airflow": "Airflow and its disks",
    "lane": "Several syncs at once",
    "data": "Data",
    "state": "State and settings",
    "storm": "All at once, under load",
}
_HEAD = """\
<!-- Written by `make faults`. -->

# Reliability

What was broken on purpose, and what became of the runs. A real Airflow (scheduler, API server, PostgreSQL, processes of
their own for every task) syncs an emulated SQL Server and an emulated WATS, both on real sockets; a fault is told to
the emulated server, a process is killed with SIGKILL, a folder is made unusable. Where a case needs a person, the
failed tasks are cleared once the cause is mended, as the table shows.

Every case ends with the same check, which shares no code with the product:

- each run of VTE is in WATS or a dead letter, never in both, and nothing else is there;
- each report was received once. Where an answer was lost after the report was stored, or its steps came later, it may
  have been received again under the same id: that is an overwriting by the same run, and still one report;
- serial, part, process, result, start, station, and each step's value, limits, unit and status are those of the rows;
- no report was overwritten by another run, none is in quarantine, and exactly the expected runs have letters;
- `lastSync` stays where it was while a sync fails, and moves on after a success.

Time is scaled so that the whole can be run at any time: statements and requests time out after four seconds instead of
120 and 30, a failed task is tried again after one second instead of 30. `wats.503-long` therefore lasts as long as all
tries of all tasks together, about half a minute, where ten minutes would outlast them in production; what follows is the
same, a failed interval that is cleared.
"""


def page(
    outcomes: Sequence[Outcome],
    fuzzed: fuzz.Verdict,
    leaked: Sequence[str],
    verdicts: Sequence[Verdict],
    seed: int,
    seconds: float,
) -> str:
    """Return the page."""
    lost, doubled, altered = (
        sum(getattr(one.accounts, name) for one in outcomes) for name in ("lost", "doubled", "altered")
    )
    runs = sum(one.accounts.runs for one in outcomes)
    failed = [one.case.name for one in outcomes if not one.passed]
    parts = [
        _HEAD,
        f"**{len(outcomes)} cases, {runs:,} runs: {lost} lost, {doubled} doubled, {altered} altered.** "
        f"{_day()}, seed {seed}, {seconds / 60:.0f} minutes. "
        + (f"Cases that failed: {', '.join(failed)}." if failed else "No case failed.")
        + "\n",
        (
            "*What happened* shows how each attempt of the sync ended, and the tasks that took more than one try (a "
            "cleared task's tries go on counting). *Strikes* counts the requests and connections that an emulated server "
            "spoilt as told; it is 0 where a server is stopped, a process killed, a disk full or a Variable damaged.\n"
        ),
    ]
    for group, title in _GROUPS.items():
        parts.append(f"## {title}\n")
        parts.append(
            "| case | what goes wrong | what happened | strikes | runs | reports | letters | lost | doubled | altered |"
        )
        parts.append("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        parts += [_line(one) for one in outcomes if one.case.group == group]
        parts.append("")
    parts.append("## A fuzzed database\n")
    parts.append(
        "Any text, any number, any NULL, as hypothesis draws them: a database of "
        f"{fuzzed.runs + fuzzed.not_due:,} runs went through extract, map and upload over the real wires, then once "
        f"more. {fuzzed.reports:,} became reports, {fuzzed.dead:,} dead letters, {fuzzed.held:,} are held, "
        f"{fuzzed.not_due:,} lie in the future and wait. Each report was compared field by field with its rows, each "
        "letter with what the rows forbid; the second time nothing was posted. "
        + (f"**Wrong: {fuzzed.wrong[0]}**" if fuzzed.wrong else "Nothing was wrong, and nothing was raised.")
        + "\n"
    )
    parts.append("## Secrets\n")
    parts.append(
        "The password of SQL Server and the token of WATS were looked for in all logs of tasks and components, in every "
        "table of Airflow's database (XCom and rendered templates among them), in the decrypted Variables, in staging, "
        f"in the dead letters and in the mails of the monitor, which were provoked for it: found in {', '.join(leaked) if leaked else 'none of them'}.\n"
    )
    parts.append("## Deliberate bugs\n")
    parts.append(
        "Each of these was put into a copy of the code, and the test named beside it failed there. "
        "`python -m tests.faults.mutations` does it again.\n"
    )
    parts.append("| bug | what it would do | caught by |\n| --- | --- | --- |")
    parts += [
        f"| {one.mutation.name} | {one.mutation.harm} | {'' if one.caught else '**not caught** '}`{one.mutation.test}` |"
        for one in verdicts
    ]
    return "\n".join(parts) + "\n"


def _line(one: Outcome) -> str:
    accounts = one.accounts
    happened = one.happened if one.passed else f"**failed**: {accounts.wrong[0][:120]}"
    numbers = (
        one.strikes,
        accounts.runs,
        accounts.reports,
        accounts.letters,
        accounts.lost,
        accounts.doubled,
        accounts.altered,
    )
    return f"| `{one.case.name}` | {one.case.what} | {happened} | {' | '.join(map(str, numbers))} |"


def _day() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")
