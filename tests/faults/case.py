"""What a case is, and the two ways most of them go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from sandbox.wats.profiles import DEFAULT, WatsProfile
from tests.faults.accounts import Explained
from tests.faults.site import CONCURRENCY, UPLOAD, Site

Play = Callable[[Site, Random], Explained]


@dataclass(frozen=True)
class Case:
    """One way things go wrong. ``play`` begins with a fresh site and ends with all faults fixed.

    ``short`` cases are part of the shortened matrix. ``wats`` says how WATS behaves. ``live`` ones need a site whose schedule strikes every minute; the
    DAGs are paused when they begin and when they end.
    """

    name: str
    what: str
    play: Play
    short: bool = False
    wats: WatsProfile = DEFAULT
    live: bool = False

    @property
    def group(self) -> str:
        """The part of the world that fails."""
        return self.name.partition(".")[0]


def until_fixed(break_it: Callable[[Site], object], *, runs: int = 6, again: int = 1) -> Play:
    """Everything fails until the cause is fixed and the operator clears what failed."""

    def play(site: Site, random: Random) -> Explained:
        guids = site.load(runs)
        break_it(site)
        dag_run_id = site.sync("failed")
        dead_letters = site.dead_letters
        site.fix()
        if dead_letters:
            site.violations.append(f"{len(dead_letters)} dead letters for a failure that is no property of the runs")
        site.clear_failed(dag_run_id)
        return Explained(again=dict.fromkeys(guids, again))

    return play


def stopping(break_it: Callable[[Site], object]) -> Play:
    """A failure that only a person can end: nothing is tried again, nothing sent after it, nothing buried for it."""
    fixed = until_fixed(break_it, runs=40)

    def play(site: Site, random: Random) -> Explained:
        explained = fixed(site, random)
        refused = [post for post in site.posts if post.fault]
        if len(refused) > CONCURRENCY:
            site.violations.append(f"{len(refused)} reports were sent although the first answer said stop")
        if site.story.tries[UPLOAD] > 2:
            site.violations.append("the upload was tried again before it was cleared")
        return explained

    return play


def passing(break_it: Callable[[Site, list[str]], object], *, runs: int = 6, again: int = 1) -> Play:
    """A fault that ends by itself, which one sync lives through; every run may have ``again`` receipts."""

    def play(site: Site, random: Random) -> Explained:
        guids = site.load(runs)
        break_it(site, guids)
        site.sync()
        return Explained(again=dict.fromkeys(guids, again))

    return play
