"""The newest survey of a site for people: figures, files, and the proposal, taken over by the user who asks for it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.utils.session import create_session
from fastapi import HTTPException, Response, status

from vte_wats.config.sites import Site
from vte_wats.domain.errors import VteWatsError
from vte_wats.domain.redaction import redact
from vte_wats.messages import VW103, VW560, VW561, VW831
from vte_wats.orchestration.resources import storage_of
from vte_wats.status.access import audit, may_change_settings, may_read_settings, may_read_survey
from vte_wats.status.api_models import SurveyFigures, SurveyFileLink, SurveyProposal, SurveyStatus, TakeOverRequest
from vte_wats.status.settings_variable import SettingsText, change_settings, read_settings_text
from vte_wats.status.shared_reads import NoAnswerYet, SharedReads
from vte_wats.storage.object_storage import DamagedFileError
from vte_wats.survey.proposal import Question, settings_to_survey_with
from vte_wats.survey.stored import StoredSurvey, SurveyFile, SurveyFolder, newest_survey
from vte_wats.survey.take_over import proposed_changes, settings_with

log = logging.getLogger(__name__)

T = TypeVar("T")

TAKE_OVER_EVENT = "vte_wats_take_over"
_MEDIA_TYPES = {
    SurveyFile.REPORT: "text/html",
    SurveyFile.FACTS: "application/json",
    SurveyFile.YIELDS: "text/csv",
    SurveyFile.ISSUES: "text/csv",
    SurveyFile.RUNS: "text/csv",
    SurveyFile.STEPS: "text/csv",
    SurveyFile.DIAGRAM: "text/plain",
}
# The report has styles of its own in it and nothing else: no script, no address, no origin.
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox"
)
_LONGEST_TEXT = 4_000


@dataclass(frozen=True, slots=True)
class SurveySnapshot:
    """What is stored: the newest survey, why it cannot be shown, if so, and the settings at that time."""

    settings: SettingsText
    folder: SurveyFolder | None = None
    survey: StoredSurvey | None = None
    problem: str | None = None


SURVEYS: SharedReads[SurveySnapshot] = SharedReads(fresh_s=5, deadline_s=5, at_once=4)
FILES: SharedReads[bytes] = SharedReads(fresh_s=0, deadline_s=20, at_once=4, keeps=False)


async def survey_status(
    site: Site, *, may_read: bool, may_read_settings: bool, may_change: bool, fresh: bool = False
) -> SurveyStatus:
    """Return the newest survey as one user may see it."""
    if not may_read:
        return SurveyStatus(may_read=False)
    found = await _answer(SURVEYS, site, lambda: _snapshot(site), fresh=fresh)
    if found.folder is None:
        return SurveyStatus(may_read=True)
    return SurveyStatus(
        may_read=True,
        survey=found.folder.name,
        measured_at=found.folder.measured_at,
        figures=found.survey and _figures(found.survey),
        files=[SurveyFileLink(name=name, size_bytes=size) for name, size in found.folder.sizes.items()],
        problem=found.problem,
        proposal=_proposal(found, may_change=may_change) if may_read_settings else None,
    )


async def survey_file(site: Site, survey: str, name: str, *, may_read: bool) -> Response:
    """Return a file of the newest survey: the report to be looked at, the others to be kept."""
    if not may_read:
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"You may not read task logs of {site.dag_id('survey')}.")
    folder = (await _known(site, survey)).folder
    if name not in set(SurveyFile) or folder is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "A survey has no such file.")
    file = SurveyFile(name)
    content = await _answer(FILES, (site, survey, file), lambda: folder.read(file))
    if file is SurveyFile.REPORT:
        headers = {"Content-Security-Policy": _REPORT_POLICY, "Referrer-Policy": "no-referrer"}
    else:
        kept_as = "-".join(filter(None, ("vte-wats-survey", site.name, survey, file)))
        headers = {"Content-Disposition": f'attachment; filename="{kept_as}"'}
    return Response(content, media_type=_MEDIA_TYPES[file], headers=headers)


def note_take_over(site: Site, body: TakeOverRequest, user: BaseUser) -> None:
    """Write the audit log, after refusing who may not edit the settings in Airflow either."""
    if not (may_read_survey(site, user) and may_read_settings(site, user) and may_change_settings(site, user)):
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"You may not edit the Variable {site.settings_variable}.")
    chosen = ", ".join(sorted(body.settings))
    with create_session() as session:
        audit(
            session, user, TAKE_OVER_EVENT, site.dag_id("survey"), site=site.name, survey=body.survey, settings=chosen
        )


async def known_proposal(site: Site, survey: str) -> StoredSurvey:
    """Return the newest survey, read just now. Answers 404 to another name, 409 when it cannot be read."""
    found = await _known(site, survey, fresh=True)
    if found.survey is None:
        raise HTTPException(status.HTTP_409_CONFLICT, found.problem)
    return found.survey


def take_over(site: Site, survey: StoredSurvey, body: TakeOverRequest) -> None:
    """Write the chosen settings. Answers 409 when others are set than were shown, 422 to what would not be valid."""
    variable = site.settings_variable
    try:
        with create_session(scoped=False) as session:
            change_settings(
                session,
                site,
                body.shown,
                lambda text: settings_with(survey.proposal, body.settings, text, variable),
            )
    except VteWatsError as exc:
        code = status.HTTP_422_UNPROCESSABLE_CONTENT if exc.message is VW103 else status.HTTP_409_CONFLICT
        raise HTTPException(code, exc.public) from exc
    log.info("of the survey %s %s were taken over into %s", body.survey, ", ".join(body.settings), variable)


async def _known(site: Site, survey: str, *, fresh: bool = False) -> SurveySnapshot:
    found = await _answer(SURVEYS, site, lambda: _snapshot(site), fresh=fresh)
    if found.folder is None or found.folder.name != survey:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "This is not the newest survey: load the page again.")
    return found


def _snapshot(site: Site) -> SurveySnapshot:
    with create_session(scoped=False) as session:
        settings_text = read_settings_text(session, site)
    settings = settings_to_survey_with(settings_text.text, site.settings_variable)
    folder = newest_survey(storage_of(site, settings))
    if folder is None:
        return SurveySnapshot(settings_text)
    try:
        return SurveySnapshot(settings_text, folder, folder.survey())
    except DamagedFileError as exc:
        log.warning("%s survey %s: %s", VW561, folder.name, exc)
        return SurveySnapshot(settings_text, folder, problem=f"{VW561} {exc}. Trigger {site.dag_id('survey')} again.")


async def _answer(reads: SharedReads[T], key: Hashable, read: Callable[[], T], *, fresh: bool = False) -> T:
    """Return what is read. Answers 503 when settings or storage cannot be read, without any value of theirs."""
    try:
        return (await reads.get(key, read, fresh=fresh)).content
    except NoAnswerYet:
        detail = f"{VW831} The storage of the survey does not answer."
    except DamagedFileError as exc:
        detail = f"{VW561} {exc}"
    except VteWatsError as exc:
        detail = f"{VW560} The survey cannot be read: {exc.public}"
    except Exception as exc:  # noqa: BLE001 -- every bucket's client raises errors of its own
        log.warning("%s the survey cannot be read: %s: %s", VW560, type(exc).__name__, redact(str(exc)))
        detail = f"{VW560} The survey cannot be read: {type(exc).__name__}; the log of the api-server says more."
    raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, detail)


def _figures(survey: StoredSurvey) -> SurveyFigures:
    sample, trial = survey.findings, survey.trial
    return SurveyFigures(
        package_version=_text(survey.package_version),
        counted_runs=survey.counted_runs,
        counted_from_local=survey.counted_from_local,
        sampled_runs=sample.runs if sample else 0,
        issues=(len(sample.issues) if sample else 0) + (len(trial.issues) if trial else 0),
        trial=Counter(line.outcome for line in trial.lines) if trial else {},
        stopped=_text(survey.stopped),
    )


def _proposal(found: SurveySnapshot, *, may_change: bool) -> SurveyProposal | None:
    if found.survey is None:
        return None
    proposal, settings = found.survey.proposal, found.settings
    changes = proposed_changes(proposal, settings.text)
    return SurveyProposal(
        shown=settings.digest,
        changes=[change.model_copy(update={"reason": _text(change.reason)}) for change in changes],
        questions=[_asked(question) for question in proposal.questions],
        may_change=may_change,
        in_database=settings.in_database,
    )


def _asked(question: Question) -> Question:
    candidates = tuple(_text(candidate) for candidate in question.candidates)
    to_fill_in = tuple(_text(line) for line in question.to_fill_in)
    return Question(
        setting=question.setting, question=_text(question.question), to_fill_in=to_fill_in, candidates=candidates
    )


def _text(text: str) -> str:
    return redact(text)[:_LONGEST_TEXT]
