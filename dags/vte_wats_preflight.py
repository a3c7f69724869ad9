"""### Before go-live, and whenever something looks odd: do VTE, WATS and the settings fit together?

Trigger it. It writes nothing anywhere. The log of **vte** is for the person who installs and the database
administrator: server, columns that are missing or of another type, indexes that are missing with the statement that
creates them, how gently VTE is read, the rights of the login, runs without Timestamp. The log of **wats** says whether
WATS knows the processes of `process_map`.

| you see | it means | do |
|---|---|---|
| WRONG | syncing would fail, or read the wrong thing | do what the line says; the task fails so that nobody overlooks it |
| ADVICE | it works, and could be faster, gentler or safer | give the line to the person it concerns |
| GOOD | as it should be | nothing |
"""

from __future__ import annotations

from airflow.sdk import DAG

from vte_wats.orchestration.dag_defaults import Priority, dag_arguments, read_dag_options, task_arguments
from vte_wats.orchestration.preflight_tasks import examine_vte, examine_wats

options = read_dag_options()

for site in options.sites:
    with DAG(
        site.dag_id("preflight"),
        **dag_arguments(site, options, __doc__),
        schedule=None,
        max_active_runs=1,
        default_args=task_arguments(site, options, Priority.LIVE),
    ):
        examine_vte(site.name)
        examine_wats.override(pool=site.wats_pool)(site.name)
