"""### Once for each WATS, before the first sync: how does this server really answer?

Trigger it for a WATS **test environment**, with its host in the form. **accept** posts some forty test reports of part
number `VTE-WATS-ACCEPTANCE`, asks for them, and answers every question that the API description leaves open. It writes the
profile that the package reads, Variable `vte_wats_profile`, and a report for the hand-over, as HTML and Markdown, into
`acceptance/` of the storage; its log and its XCom name both. An hour is more than enough; mostly it takes minutes.

| you see | it means | do |
|---|---|---|
| accept failed: *must be that of the connection* | nothing was posted | write the host that the message names, if that is a test environment |
| accept failed: *are not from an acceptance run* | somebody else uses that part number; nothing was posted | choose another WATS |
| accept failed: *does not accept a plain report* | the token lacks a right, mostly | do what the message says, trigger it again |
| accept failed: *does not show in any query* | the report is in quarantine, or shows later | look in WATS, or wait longer |
| a line that begins with `ACT:` in the log, *to do* in the report | something has to be set before the first sync | the report says what |

It can be triggered again at any time: each run posts reports of its own, and the latest profile counts. Without a profile
the package works with every behaviour. The reports stay in WATS; its administrator may delete them by their part number.
"""

from __future__ import annotations

from airflow.sdk import DAG

from vte_wats.orchestration.acceptance_tasks import ACCEPTANCE_FORM, accept
from vte_wats.orchestration.dag_defaults import Priority, dag_arguments, read_dag_options, task_arguments

options = read_dag_options()

for site in options.sites:
    with DAG(
        site.dag_id("acceptance"),
        **dag_arguments(site, options, __doc__),
        schedule=None,
        max_active_runs=1,
        default_args=task_arguments(site, options, Priority.BACKFILL),
        params=ACCEPTANCE_FORM,
    ):
        accept.override(pool=site.wats_pool)(site.name)
