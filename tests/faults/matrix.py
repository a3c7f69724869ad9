"""Every case by name, and how one is run."""

from __future__ import annotations

import fnmatch
import time
from dataclasses import dataclass
from random import Random

from tests.faults import cases_airflow, cases_concurrent, cases_data, cases_sql, cases_wats
from tests.faults.accounts import Accounts, balance
from tests.faults.canary import leaks_in_storage
from tests.faults.case import Case
from tests.faults.site import Site

CASES: tuple[Case, ...] = (
    *cases_data.CASES,
    *cases_wats.CASES,
    *cases_sql.CASES,
    *cases_airflow.CASES,
    *cases_concurrent.CASES,
)


@dataclass(frozen=True)
class Outcome:
    """One case, run: what happened, and how the accounts stand at its end."""

    case: Case
    happened: str
    accounts: Accounts
    seconds: float
    strikes: int

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.accounts.wrong


def selected(pattern: str = "*", *, short: bool = False) -> tuple[Case, ...]:
    """Return the cases whose name matches one of the patterns between commas, in the order of the matrix."""
    return tuple(
        case
        for case in CASES
        if (case.short or not short) and any(fnmatch.fnmatchcase(case.name, entry) for entry in pattern.split(","))
    )


def run_case(site: Site, case: Case, seed: int) -> Outcome:
    """Play one case on a fresh site, and check it. What the case draws depends on the seed and its name alone."""
    site.fresh(case.wats)
    began = time.monotonic()
    problems: tuple[str, ...] = ()
    try:
        explained = case.play(site, Random(f"{seed}:{case.name}"))
        if site.armed and not site.strikes:
            site.violations.append("no fault ever struck, so the case shows nothing")
        accounts = balance(site, explained)
    except Exception as exc:  # noqa: BLE001 - the other cases go on
        accounts = Accounts(0, 0, 0, 0, 0, 0, (f"{type(exc).__name__}: {exc}", *site.violations))
        site.give_up()
    problems = tuple(f"secret in {place}" for place in leaks_in_storage(site))
    if problems:
        accounts = Accounts(
            **{name: getattr(accounts, name) for name in Accounts.__dataclass_fields__ if name != "wrong"},
            wrong=(*accounts.wrong, *problems),
        )
    return Outcome(case, str(site.story), accounts, time.monotonic() - began, site.strikes)
