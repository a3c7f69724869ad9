"""``make survey``: a survey without a scheduler; connections and settings come from the environment."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from upath import UPath

from vte_wats.config.sites import Site
from vte_wats.domain.errors import VteWatsError
from vte_wats.orchestration.survey_run import PACKAGE_VERSION, read_processes, run_survey
from vte_wats.survey.results import SurveyContext, SurveyRequest
from vte_wats.survey.stored import SurveyFile, write_survey
from vte_wats.wats.client import WatsSession
from vte_wats.wats.hook import WatsHook


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
        prog="python -m vte_wats.orchestration.survey_cli",
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
