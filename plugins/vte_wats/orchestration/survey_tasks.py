"""The tasks of ``vte_wats_survey``: ask WATS for its processes, then look at VTE and write the report."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, get_current_context, task

from vte_wats.config.sites import Site

if TYPE_CHECKING:  # the survey loads inside a task, never when a DAG file is parsed
    from vte_wats.config.settings import Settings
    from vte_wats.survey.results import SurveyContext

log = logging.getLogger(__name__)

SURVEY_FORM = {
    "days": Param(
        365,
        type="integer",
        minimum=1,
        maximum=3_650,
        title="Days",
        description="Days of history that are counted, from the newest run back: two statements per month.",
    ),
    "sample_runs": Param(
        2_000,
        type="integer",
        minimum=100,
        maximum=20_000,
        title="Runs to read",
        description="Runs that are read with their steps, from hours spread over those days.",
    ),
    "kept_runs": Param(
        100,
        type="integer",
        minimum=10,
        maximum=1_000,
        title="Runs to keep",
        description="Runs of every kind that become CSV and are mapped for a trial.",
    ),
}


@task(task_id="processes")
def ask_processes(site_name: str) -> dict[str, str] | None:
    """Ask WATS for its test operations, by code; without an answer the survey goes on."""
    from vte_wats.orchestration.resources import open_wats
    from vte_wats.orchestration.survey_run import read_processes

    site = Site(site_name)
    settings = _known(site).settings()
    found = read_processes(lambda: open_wats(site, settings))
    return None if found is None else {str(code): name for code, name in found.items()}


@task(task_id="survey", multiple_outputs=False)
def take_survey(site_name: str, processes: Any) -> dict[str, Any]:
    """Survey VTE, read only, and write the report into the storage; ``processes`` are what the task before found."""
    from vte_wats.orchestration.resources import storage_of
    from vte_wats.orchestration.survey_run import run_survey, summary
    from vte_wats.survey.results import SurveyRequest
    from vte_wats.survey.stored import SurveyFile, survey_folder, write_survey

    site, context = Site(site_name), get_current_context()
    known = _known(site)
    settings = known.settings()
    late_arrivals = _late_arrivals(site, settings, context["dag"].start_date)  # type: ignore[arg-type]
    by_code = None if processes is None else {int(code): name for code, name in processes.items()}
    request = SurveyRequest.model_validate(dict(context["params"]))
    survey, documents = run_survey(site, request, replace(known, processes=by_code, **late_arrivals))
    folder = survey_folder(storage_of(site, settings), survey.measured_at)
    write_survey(folder, documents.files())
    log.info("The report is %s, with the data beside it", folder / SurveyFile.REPORT)
    return {**summary(survey), "folder": str(folder)}


def _known(site: Site) -> SurveyContext:
    from vte_wats.orchestration.survey_run import PACKAGE_VERSION
    from vte_wats.orchestration.variables import Variables
    from vte_wats.survey.results import SurveyContext

    return SurveyContext(
        variable=site.settings_variable,
        settings_text=Variables(site).settings_text(),
        measured_at=datetime.now(UTC),
        package_version=PACKAGE_VERSION,
    )


def _late_arrivals(site: Site, settings: Settings, since_at: datetime) -> dict[str, Any]:
    """Return what syncs measured of late runs; nothing before the first one."""
    from vte_wats.orchestration.resources import read_state
    from vte_wats.state.late_arrivals import suggested_guard_band_s

    state = read_state(site, since_at)
    if state is None or state.late_arrivals is None:
        return {}
    return {"guard_band_s": suggested_guard_band_s(state.late_arrivals, settings), "measured_late_arrivals": True}
