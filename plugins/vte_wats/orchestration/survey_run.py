"""A survey from a site's connection to its documents: for a task of Airflow, and for ``make survey``.

The latter needs no scheduler, and takes connections and settings from the environment.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

from upath import UPath

from vte_wats.config.sites import Site
from vte_wats.domain.errors import VteWatsError
from vte_wats.domain.ports import Wats
from vte_wats.messages import VW660, VW661
from vte_wats.orchestration.resources import open_vte
from vte_wats.survey.results import Survey, SurveyContext, SurveyRequest, take_survey
from vte_wats.survey.stored import SurveyFile, write_survey
from vte_wats.survey.survey_documents import Documents, render
from vte_wats.wats.client import WatsSession
from vte_wats.wats.hook import WatsHook

log = logging.getLogger(__name__)

PACKAGE_VERSION = version("vte-wats")


def run_survey(site: Site, request: SurveyRequest, known: SurveyContext) -> tuple[Survey, Documents]:
    """Survey the site's VTE. Raises FatalError for wrong settings, and what reading VTE raises."""
    with open_vte(site, known.settings()) as vte:
        survey, runs = take_survey(vte, request, known)
    if survey.stopped:
        log.warning("%s %s", VW661, survey.stopped)
    for question in survey.proposal.questions:
        log.info("to be answered: %s: %s", question.setting, question.question)
    return survey, render(survey, runs)


def read_processes(open_wats: Callable[[], AbstractContextManager[Wats]]) -> Mapping[int, str] | None:
    """Return the test operations of WATS by code, ``None`` where it is not reached: that stops no survey."""
    try:
        with open_wats() as wats:
            return wats.processes()
    except VteWatsError as error:
        log.warning("%s %s", VW660, error)
        return None


def summary(survey: Survey) -> dict[str, object]:
    """Return the numbers of a survey, as plain JSON."""
    return {
        "runs_counted": survey.counted_runs,
        "runs_sampled": survey.findings.runs if survey.findings else 0,
        "differences_that_stop": sum(line.stops for line in survey.comparison),
        "issues": len(survey.issues),
        "questions": len(survey.proposal.questions),
        "proposal_is_valid": not survey.proposal.mistakes,
        "trial": survey.trial.counts if survey.trial else {},
    }


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run it; return what the process ends with: 0, or 1 with the reason on standard error."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    site = Site(given.site)
    known = SurveyContext(
        variable=site.settings_variable,
        settings_text=environment.get(f"AIRFLOW_VAR_{site.settings_variable.upper()}"),
        measured_at=datetime.now(UTC),
        package_version=PACKAGE_VERSION,
    )
    try:
        request = SurveyRequest(days=given.days, sample_runs=given.sample_runs, kept_runs=given.kept_runs)
        if f"AIRFLOW_CONN_{site.wats_connection.upper()}" in environment:
            known = replace(known, processes=read_processes(lambda: _wats_of(site)))
        _, documents = run_survey(site, request, known)
    except (VteWatsError, ValueError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    folder = UPath(given.folder)
    write_survey(folder, documents.files())
    logging.getLogger(__name__).info("The report is %s, with the data beside it", folder / SurveyFile.REPORT)
    return 0


def _wats_of(site: Site) -> WatsSession:
    """Return the site's WATS with a request budget of its own: there is no Airflow to share one with."""
    return WatsSession(WatsHook(site.wats_connection).read_connection())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vte_wats.orchestration.survey_run",
        description="Survey a VTE database. AIRFLOW_CONN_VTE_DEFAULT names it; AIRFLOW_CONN_WATS_DEFAULT and "
        "AIRFLOW_VAR_VTE_WATS are used where they are set.",
    )
    parser.add_argument("--site", default="", help="the site, where there are several")
    parser.add_argument("--folder", default="dist/survey", help="where the report is written")
    parser.add_argument("--days", type=int, default=365, help="days of history that are counted")
    parser.add_argument("--sample-runs", type=int, default=2_000, help="runs that are read with their steps")
    parser.add_argument("--kept-runs", type=int, default=100, help="runs that become CSV and are mapped")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
