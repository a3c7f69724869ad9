"""What everything that belongs to one site is called: one VTE database, the WATS it goes to, and the DAGs between.

A deployment with one site leaves it unnamed. Several sites have names, and each has DAGs, connections, Variables, pools
and storage of its own, so that sites do not touch each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[a-z][a-z0-9]{0,39}")
# A site of such a name would use a Variable of the unnamed site.
_TAKEN = frozenset(
    {"state", "history", "alerts", "backfill", "budget", "deadline", "failure", "profile", "learned", "proof", "seen"}
)


@dataclass(frozen=True, slots=True)
class Site:
    """One site, by its name; raises ValueError for a name that cannot be part of ids."""

    name: str = ""

    def __post_init__(self) -> None:
        if self.name and (not _NAME.fullmatch(self.name) or self.name in _TAKEN):
            raise ValueError(
                "a site's name is 1 to 40 lower-case letters and digits, a letter first, and none of "
                f"{', '.join(sorted(_TAKEN))}; given {self.name!r}"
            )

    def dag_id(self, kind: str) -> str:
        """Return the id of the site's DAG of one kind, such as ``sync``."""
        return self._named(f"vte_wats_{kind}")

    @property
    def settings_variable(self) -> str:
        """The Variable with the site's settings."""
        return self._named("vte_wats")

    @property
    def state_variable(self) -> str:
        """The Variable that remembers what the syncs have done."""
        return self._named("vte_wats_state")

    @property
    def history_variable(self) -> str:
        """The Variable with the counts of past hours and days."""
        return self._named("vte_wats_history")

    @property
    def alerts_variable(self) -> str:
        """The Variable in which the monitor keeps its conditions."""
        return self._named("vte_wats_alerts")

    @property
    def budget_variable(self) -> str:
        """The Variable in which the tasks that use WATS count what they sent."""
        return self._named("vte_wats_budget")

    @property
    def profile_variable(self) -> str:
        """The Variable that says how the site's WATS behaves, as the acceptance run measured it."""
        return self._named("vte_wats_profile")

    @property
    def learned_variable(self) -> str:
        """The Variable in which the tasks that use WATS keep what they learned of it."""
        return self._named("vte_wats_learned")

    @property
    def proof_variable(self) -> str:
        """The Variable that says which days are proven: equal in VTE and WATS."""
        return self._named("vte_wats_proof")

    @property
    def seen_variable(self) -> str:
        """The Variable that says how the runs of the near past looked when they were transferred."""
        return self._named("vte_wats_seen")

    @property
    def deadline_variable(self) -> str:
        """The Variable with the last deadline that was missed, so that one outage is one mail."""
        return self._named("vte_wats_deadline")

    @property
    def failure_variable(self) -> str:
        """The Variable with the reason of the task that failed last."""
        return self._named("vte_wats_failure")

    @property
    def operator_secret_variable(self) -> str:
        """The Variable with the secret that operators' pseudonyms are made with; Airflow masks it for its name."""
        return self._named("vte_wats_operator_secret")

    @property
    def backfill_variable(self) -> str:
        """The Variable that says how far the backfill is."""
        return self._named("vte_wats_backfill")

    @property
    def asset(self) -> str:
        """The Airflow asset that is updated when the site's WATS has new reports."""
        return self._named("vte_wats_reports")

    @property
    def source_connection(self) -> str:
        """The connection to VTE."""
        return self._named("vte") if self.name else "vte_default"

    @property
    def wats_connection(self) -> str:
        """The connection to WATS."""
        return self._named("wats") if self.name else "wats_default"

    @property
    def wats_pool(self) -> str:
        """The pool of the tasks that talk to WATS."""
        return self._named("wats_api")

    @property
    def vte_pool(self) -> str:
        """The pool of the tasks that read VTE; the survey has one of its own."""
        return self._named("vte_read")

    @property
    def survey_pool(self) -> str:
        """The pool with one slot for the survey, which reads VTE for minutes and must not hold a sync up."""
        return self._named("vte_survey")

    @property
    def state_pool(self) -> str:
        """The pool with one slot for the task that writes the state."""
        return self._named("vte_wats_state")

    @property
    def accept(self) -> str:
        """What a person does to go on with another database, WATS or state than before."""
        return f"trigger {self.dag_id('sync')} without a logical date and with accept_identity"

    @property
    def start_over(self) -> str:
        """What a person does to start from the start date again."""
        return (
            f"delete the Variable {self.state_variable}, then {self.accept}: it starts again at the start "
            "date, and runs that are in WATS are skipped"
        )

    def _named(self, stem: str) -> str:
        return f"{stem}_{self.name}" if self.name else stem
