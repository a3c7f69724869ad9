"""### Know the data: what does this VTE database hold, and which settings follow from it?

Trigger it before the first sync, and again whenever you like: it reads VTE as gently as a sync does and writes nothing
there. It needs the VTE connection alone; with a WATS connection it also knows the names of the processes. **survey** writes
a folder into `survey/` of the storage, and its log and its XCom name it: `survey.html` for people, `survey.json` with all of
it as data, `yields.csv`, `issues.csv`, `runs.csv` and `steps.csv` with 100 runs of every kind, `schema.mmd` with the deployed schema.

| you see | it means | do |
|---|---|---|
| VW661 in the log | tables or columns that are read are not there | the report lists them with what to do |
| VW660 in the log | WATS was not reached | set up its connection, or fill in `process_map` by hand |
| *to be answered* in the log | the data does not show what a setting must be | answer it in Variable `vte_wats` |
| the DAG run ended after two hours, survey was *scheduled* | its pool `vte_survey` has no open slot (VW630) | create the pool; the preflight names it |
| the DAG run ended after two hours, survey was *running* | the database is too slow for that many days and runs | trigger it with fewer |
| survey failed with VW103 | a setting is wrong already | correct what the message names |

Nothing is changed by itself: take over what you agree with on the status page. Then make a dry run with `vte_wats_backfill`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from vte_wats.orchestration.dag_defaults import Priority, dag_arguments, read_dag_options, task_arguments
from vte_wats.orchestration.survey_tasks import SURVEY_FORM, ask_processes, take_survey

options = read_dag_options()

for site in options.sites:
    with DAG(
        site.dag_id("survey"),
        **dag_arguments(site, options, __doc__),
        schedule=None,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=2),
        default_args=task_arguments(site, options, Priority.BACKFILL),
        params=SURVEY_FORM,
    ):
        processes = ask_processes.override(pool=site.wats_pool)(site.name)
        take_survey.override(pool=site.survey_pool)(site.name, processes)
