"""The task of ``vte_wats_acceptance``: measure a WATS, keep the profile, write the report."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import Param, get_current_context, task

from vte_wats.config.sites import Site

log = logging.getLogger(__name__)

ACCEPTANCE_FORM = {
    "host": Param(
        "",
        type="string",
        minLength=1,
        title="Host",
        section="Where",
        description="The host of the connection, to confirm that it is a WATS test environment: test reports are "
        "posted there.",
    ),
    "connection": Param(
        None,
        type=["null", "string"],
        title="Connection",
        section="Where",
        description="The connection to that WATS; empty: the site's own.",
    ),
    "process_code": Param(
        None,
        type=["null", "integer"],
        title="Process code",
        section="How",
        description="The test operation of the reports; empty: the one with the lowest code.",
    ),
    "longest_delay_s": Param(
        300,
        type="integer",
        minimum=1,
        maximum=3_600,
        title="Longest delay (seconds)",
        section="How",
        description="How long to wait until a report shows in queries.",
    ),
    "largest_body_mb": Param(
        0,
        type="integer",
        minimum=0,
        maximum=1_000,
        title="Largest body (MB)",
        section="How",
        description="The largest report to try, in millions of bytes; 0: none. Those that are taken stay in WATS.",
    ),
}


@task(multiple_outputs=False)
def accept(site_name: str) -> dict[str, Any]:
    """Post the reports of the acceptance run, ask for them, and keep what was found out."""
    from vte_wats.orchestration.acceptance_run import AcceptanceRequest, run_acceptance
    from vte_wats.orchestration.resources import read_settings, storage_of
    from vte_wats.orchestration.variables import WATS_PROFILE, BudgetVariable, Variables
    from vte_wats.storage.object_storage import create_folder, write_atomically
    from vte_wats.wats.hook import WatsHook

    context, site = get_current_context(), Site(site_name)
    params = dict(context["params"])
    conn_id = params.pop("connection") or site.wats_connection
    storage = storage_of(site, read_settings(site)) / "acceptance"
    acceptance = run_acceptance(
        WatsHook(conn_id).read_connection(),
        AcceptanceRequest.model_validate(params),
        budget_store=BudgetVariable(site) if conn_id == site.wats_connection else None,
    )
    Variables(site).save(WATS_PROFILE, acceptance.profile)
    measured = f"{acceptance.profile.measured_at:%Y%m%dT%H%M%SZ}"
    html, markdown = storage / f"{measured}.html", storage / f"{measured}.md"
    create_folder(storage)
    write_atomically(html, acceptance.documents.html.encode())
    write_atomically(markdown, acceptance.documents.markdown.encode())
    log.info("The report is in %s and %s; Variable %s holds the profile", html, markdown, site.profile_variable)
    return {**acceptance.summary(), "html": str(html), "markdown": str(markdown)}
