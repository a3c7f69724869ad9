"""### Before go-live, and whenever something looks odd: do VTE, WATS and the settings fit together?

Trigger it. It writes nothing anywhere. The log of **vte** is for the person who installs and the database
administrator: server, columns that are missing or of another type, indexes that are missing with the statement that
creates them, how gently VTE is read, the rights of the login, runs without Timestamp. The log of **wats** says whether
WATS knows the processes of `process_map`. **state** reads what the syncs have done. **pools** fails when one of the others gets no
slot within a minute; **survey_pool** only waits for the slot of the survey.

| you see | it means | do |
|---|---|---|
| WRONG | syncing would fail, or read the wrong thing | do what the line says; the task fails so that nobody overlooks it |
| ADVICE | it works, and could be faster, gentler or safer | give the line to the person it concerns |
| pools failed, another task stays *scheduled* | its pool does not exist, or has no slot | create the pool that the message names; the DAG run ends by itself after 15 minutes |
| survey_pool stays *scheduled*, pools is green | a survey is running, and has the slot | wait for it |
| GOOD | as it should be | nothing |
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from vte_wats.orchestration.dag_defaults import Priority, dag_arguments, read_dag_options, task_arguments
from vte_wats.orchestration.preflight_tasks import (
    examine_pools,
    examine_state,
    examine_vte,
    examine_wats,
    take_survey_slot,
)

options = read_dag_options()

for site in options.sites:
    with DAG(
        site.dag_id("preflight"),
        **dag_arguments(site, options, __doc__),
        schedule=None,
        max_active_runs=1,
        dagrun_timeout=timedelta(minutes=15),
        default_args=task_arguments(site, options, Priority.LIVE),
    ):
        examine_pools(site.name)
        examine_state.override(pool=site.state_pool)(site.name)
        examine_vte.override(pool=site.vte_pool)(site.name)
        examine_wats.override(pool=site.wats_pool)(site.name)
        take_survey_slot.override(pool=site.survey_pool)()
