"""A survey from a site's connection to its documents; a task of Airflow and ``make survey`` both run it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import version

from vte_wats.config.sites import Site
from vte_wats.domain.errors import VteWatsError
from vte_wats.domain.ports import Wats
from vte_wats.messages import VW660, VW661
from vte_wats.survey.results import Survey, SurveyContext, SurveyRequest, take_survey
from vte_wats.survey.survey_documents import Documents, render

log = logging.getLogger(__name__)

PACKAGE_VERSION = version("vte-wats")


def run_survey(site: Site, request: SurveyRequest, known: SurveyContext) -> tuple[Survey, Documents]:
    """Survey the site's VTE. Raises FatalError for wrong settings, and what reading VTE raises."""
    from vte_wats.orchestration.resources import open_vte

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
