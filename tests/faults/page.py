"""docs/reliability.md: what the matrix did, and what it found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.faults.case import Case
from tests.faults.mutations import Mutation
from tests.faults.results import Played, Results

_GROUPS = {
    "wats": "WATS",
    "sql": "SQL Server",
    "airflow": "Airflow and its disks",
    "concurrent": "Several syncs at once",
    "data": "Data",
    "state": "State and settings",
    "storm": "All at once, under load",
}
_HEAD = """\
<!-- Written by `make faults`. -->

# Reliability

What was broken on purpose, and what became of the runs. A real Airflow (scheduler, API server, PostgreSQL, processes of
their own for every task) syncs an emulated SQL Server and an emulated WATS, both on real sockets; a fault is given to
the emulated server, a process is killed with SIGKILL, a folder is made unusable. Where a case needs a person, the
failed tasks are cleared once the cause is fixed, as the table shows.

Every case ends with the same check, which shares no code with the product:

- each run of VTE is in WATS or a dead letter, never in both, and nothing else is there;
- each report was received once. Where an answer was lost after the report was stored, or its steps came later, it may
  have been received again under the same id: that is an overwriting by the same run, and still one report;
- serial, part, process, result, start, station, and each step's value, limits, unit and status are those of the rows;
- no report was overwritten by another run, none is in quarantine, and exactly the expected runs have dead letters;
- `lastSync` stays where it was while a sync fails, and moves on after a success.

Time is scaled so that the whole can be run at any time: statements and requests time out after four seconds instead of
120 and 30, a failed task is tried again after one second instead of 30. `wats.503-long` therefore lasts as long as all
tries of all tasks together, about half a minute, where ten minutes would outlast them in production; what follows is the
same, a failed interval that is cleared.
"""


def page(results: Results, cases: Sequence[Case], bugs: Sequence[Mutation], seed: int) -> str:
    """Return the page."""
    played = {case: results.played[case.name] for case in cases if case.name in results.played}
    accounts = [known_entry.accounts for known_entry in played.values()]
    lost, doubled, altered = (
        sum(getattr(found_account, name) for found_account in accounts) for name in ("lost", "doubled", "altered")
    )
    failed = [case.name for case, found_entry in played.items() if found_entry.accounts.wrong]
    missing = [case.name for case in cases if case not in played]
    others = {"the fuzzed database": results.fuzzed, "the plant of ten days": results.converged}
    missing += [name for name, found in others.items() if found is None]
    parts = [
        _HEAD,
        f"**{len(played)} cases, {sum(account.runs for account in accounts):,} runs: {lost} lost, {doubled} doubled, {altered} "
        f"altered.** Seed {seed}. "
        + (f"Cases that failed: {', '.join(failed)}." if failed else "No case failed.")
        + (f" Not played yet: {', '.join(missing)}." if missing else "")
        + "\n",
        (
            "*What happened* shows how each attempt of the sync ended, and the tasks that took more than one try (a "
            "cleared task's tries go on counting). *Strikes* counts the requests and connections that an emulated "
            "server spoilt as scripted; it is 0 where a server is stopped, a process killed, a disk full or a Variable "
            "damaged. *Played* is the day; `make faults` plays all, `python -m tests.faults.run --cases … --keep` some.\n"
        ),
    ]
    for group, title in _GROUPS.items():
        parts.append(f"## {title}\n")
        parts.append(
            "| case | what goes wrong | what happened | strikes | runs | reports | dead letters | lost | doubled | altered "
            "| played |"
        )
        parts.append("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
        parts += [_line(case, entry) for case, entry in played.items() if case.group == group]
        parts.append("")
    parts += [*_fuzzed(results), *_converged(results), *_secrets(results), *_bugs(results, bugs)]
    return "\n".join(parts) + "\n"


def _fuzzed(results: Results) -> Iterator[str]:
    if results.fuzzed is None:
        return
    day, one = results.fuzzed
    yield "## A fuzzed database\n"
    yield (
        "Any text, any number, any NULL, as hypothesis draws them: a database of "
        f"{one.runs + one.not_due:,} runs went through extract, map and upload over the real wires, then once more. "
        f"{one.reports:,} became reports, {one.dead:,} dead letters, {one.held:,} are held, {one.not_due:,} lie in the "
        "future and wait. Each report was compared field by field with its rows, each dead letter with what the rows forbid; "
        "the second time nothing was posted. "
        + (f"**Wrong: {one.wrong[0]}**" if one.wrong else "Nothing was wrong, and nothing was raised.")
        + f" Played {day}.\n"
    )


def _converged(results: Results) -> Iterator[str]:
    if results.converged is None:
        return
    day, found = results.converged
    yield "## Ten simulated days without an operator\n"
    yield (
        "VTE is away for an hour, WATS for a day, the DAGs are paused over a week-end and get another schedule, an older "
        "state is restored; rows come days late, steps hours late, results and serials change, rows are deleted, clocks "
        "fall back to 2000 or run ahead, WATS confirms reports and quarantines them. Time is simulated; no task is "
        "cleared and nothing is triggered. Each change must be in WATS within the time that docs/operations.md promises. "
        f"At the end: {found.runs:,} runs, {found.reports:,} reports (those of deleted runs stay), {found.dead_letters:,} "
        f"dead letters, {found.lost} lost, {found.doubled} doubled, {found.altered} altered, and the calendar of proven "
        "days says so of each day. "
        + (f"**Wrong: {found.wrong[0]}**" if found.wrong else "Nothing was wrong.")
        + f" Played {day}. `make converge` plays it alone, and shows that it fails without any one of the rules.\n"
    )


def _secrets(results: Results) -> Iterator[str]:
    if results.leaked is None:
        return
    day, leaked = results.leaked
    yield "## Secrets\n"
    yield (
        "The password of SQL Server and the token of WATS were looked for in all logs of tasks and components, in every "
        "table of Airflow's database (XCom and rendered templates among them), in the decrypted Variables, in staging, "
        "in the dead letters and in the mails of the monitor, which were provoked for it: found in "
        f"{', '.join(leaked) if leaked else 'none of them'}. Looked for on {day}.\n"
    )


def _bugs(results: Results, bugs: Sequence[Mutation]) -> Iterator[str]:
    yield "## Deliberate bugs\n"
    yield (
        "Each of these was put into a copy of the code, and the test named beside it failed there. "
        "`python -m tests.faults.mutations` does it again.\n"
    )
    yield "| bug | what it would do | caught by | played |\n| --- | --- | --- | --- |"
    for bug in bugs:
        if bug.name in results.bugs:
            day, caught = results.bugs[bug.name]
            yield f"| {bug.name} | {bug.harm} | {'' if caught else '**not caught** '}`{bug.test}` | {day} |"


def _line(case: Case, one: Played) -> str:
    accounts = one.accounts
    happened = f"**failed**: {accounts.wrong[0][:120]}" if accounts.wrong else one.happened
    counts = (accounts.runs, accounts.reports, accounts.dead_letters, accounts.lost, accounts.doubled, accounts.altered)
    numbers = " | ".join(map(str, (one.strikes, *counts)))
    return f"| `{case.name}` | {case.what} | {happened} | {numbers} | {one.day} |"
