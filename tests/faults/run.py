"""The whole matrix on a real Airflow: python -m tests.faults.run [--cases GLOB] [--converge] [--seed N] [--short].

Writes docs/reliability.md when every case was run; with --keep, the lines of what was.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.canary import leaks
from tests.faults.case import Case
from tests.faults.converged import converge_apart
from tests.faults.fuzz import fuzz_apart
from tests.faults.matrix import CASES, Outcome, run_case, selected
from tests.faults.mutations import MUTATIONS, Verdict, check_all, say
from tests.faults.page import page
from tests.faults.results import Results, today
from tests.faults.site import REPOSITORY, open_site

PAGE = REPOSITORY / "docs" / "reliability.md"
SEED = 7
FUZZED_RUNS = 10_000


def main() -> int:
    """Run the cases; return 0 when nothing was lost, doubled or altered, no secret leaked and every bug was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__)
    parser.add_argument("--cases", default="*", metavar="GLOB", help="only the cases with such names, as sql.*,state.*")
    parser.add_argument("--converge", action="store_true", help="the plant of ten days beside some cases, too")
    parser.add_argument("--seed", type=int, default=SEED, help=f"what the random cases draw from (default {SEED})")
    parser.add_argument("--jobs", type=int, default=2, help="sites with an Airflow each, side by side (default 2)")
    parser.add_argument("--short", action="store_true", help="the shortened matrix of make test")
    parser.add_argument(
        "--keep", action="store_true", help="renew results.json and the page although not all are played"
    )
    arguments = parser.parse_args()
    cases = selected(arguments.cases, short=arguments.short)
    if not cases:
        parser.error(f"no case is named {arguments.cases}; there are: {', '.join(case.name for case in CASES)}")
    logging.disable(logging.ERROR)
    began = time.monotonic()
    whole = len(cases) == len(CASES)
    converges = whole or arguments.converge
    results = Results.load()
    home = Path(tempfile.mkdtemp(prefix="vte-wats-faults-"))
    try:
        if whole:
            results.fuzzed = today(), fuzz_apart(FUZZED_RUNS, arguments.seed, home / "fuzz")
            say(f"a fuzzed database: {results.fuzzed[1]}")
        if converges:
            results.converged = today(), converge_apart(home / "converge")
            say(f"a plant that converges: {results.converged[1]}")
        outcomes, leaked = _play(cases, home, arguments.seed, arguments.jobs)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    for outcome in outcomes:
        results.note(outcome)
    for place in leaked:
        say(f"a secret stands in {place}")
    results.leaked = today(), leaked
    verdicts: list[Verdict] = check_all() if whole else []
    for verdict in verdicts:
        say(f"{'caught' if verdict.caught else 'MISSED'}  {verdict.mutation.name}")
    if verdicts:
        results.note_bugs(verdicts)
    if whole or arguments.keep:
        results.save()
        PAGE.write_text(page(results, CASES, MUTATIONS, arguments.seed), encoding="utf-8")
    good = (
        all(known_outcome.passed for known_outcome in outcomes)
        and not leaked
        and all(verdict.caught for verdict in verdicts)
    )
    good = good and not (whole and results.fuzzed and results.fuzzed[1].wrong)
    good = good and not (converges and results.converged and results.converged[1].wrong)
    lost, doubled, altered = (
        sum(getattr(found_outcome.accounts, name) for found_outcome in outcomes) for name in _COUNTS
    )
    say(f"{len(cases)} cases in {time.monotonic() - began:.0f} s: {lost} lost, {doubled} doubled, {altered} altered")
    return 0 if good else 1


_COUNTS = ("lost", "doubled", "altered")


def _play(cases: Sequence[Case], home: Path, seed: int, jobs: int) -> tuple[list[Outcome], list[str]]:
    """Play the cases on several sites side by side; return their outcomes in their order, and where secrets stand."""
    outcomes: dict[Case, Outcome] = {}
    leaked: list[str] = []
    waiting = deque(case for case in cases if not case.live)
    live = deque(case for case in cases if case.live)

    def work(name: str, queue: deque[Case], *, is_current: bool) -> None:
        if not queue:
            return
        with open_site(home / name, seed, template=home / "empty-metadata", live=is_current) as site:
            while True:
                try:
                    case = queue.popleft()
                except IndexError:
                    break
                outcomes[case] = run_case(site, case, seed)
                _report(outcomes[case], len(outcomes), len(cases))
            site.let_people_know()
            leaked.extend(leaks(site))

    def worker(number: int) -> None:
        work(f"site-{number}", waiting, is_current=False)
        if number == 0:
            work("live", live, is_current=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(worker, range(jobs)))
    return [outcomes[case] for case in cases], leaked


def _report(outcome: Outcome, number: int, of: int) -> None:
    mark = "ok    " if outcome.passed else "FAILED"
    say(
        f"[{number:2}/{of}] {mark} {outcome.case.name:<28} {outcome.seconds:5.1f} s  {outcome.strikes:3} strikes  {outcome.happened}"
    )
    for line in outcome.accounts.wrong:
        say(f"          {line[:500]}")


if __name__ == "__main__":
    sys.exit(main())
