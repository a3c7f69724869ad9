"""The dead letters of a site for people: reads them in groups, and redrives a group as the user who asked for it."""

from __future__ import annotations

import logging

from airflow.api.common.trigger_dag import trigger_dag
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.sdk.exceptions import AirflowException
from airflow.utils.session import create_session
from airflow.utils.types import DagRunTriggeredByType
from fastapi import HTTPException, status
from sqlalchemy import select

from vte_wats.config.settings import parse_settings
from vte_wats.config.sites import Site
from vte_wats.domain.errors import VteWatsError
from vte_wats.domain.redaction import redact
from vte_wats.messages import MESSAGES, VW830, VW831
from vte_wats.orchestration.resources import storage_of
from vte_wats.status.access import audit, may_redrive, redrive_dag
from vte_wats.status.api_models import DagRunLink, DeadLetterList, MessageText, StartedRedrive
from vte_wats.status.settings_variable import read_settings_text
from vte_wats.status.shared_reads import CachedRead, NoAnswerYet, SharedReads
from vte_wats.storage.dead_letter_index import DeadLetterGroups, DeadLetterIndex
from vte_wats.vte.sql_errors import SQL_ERRORS
from vte_wats.wats.response_errors import RESPONSE_ERRORS

log = logging.getLogger(__name__)

REDRIVE_EVENT = "vte_wats_redrive"
_UNFINISHED = ("queued", "running")
_OF_SERVERS = (*(row.message for row in SQL_ERRORS), *(row.message for row in RESPONSE_ERRORS))
_MESSAGES = {message.code: message for message in (*MESSAGES, *_OF_SERVERS)}

# However many people look, a folder is listed no more often, and a storage that hangs keeps one thread per site.
LISTED: SharedReads[DeadLetterGroups] = SharedReads(fresh_s=5, deadline_s=3, at_once=16)
_indexes: dict[str, DeadLetterIndex] = {}


async def dead_letter_list(site: Site, *, may_read_logs: bool) -> DeadLetterList:
    """Return the groups; to who may not read the logs of tasks, where the same texts are, the counts alone."""
    answer = await _groups(site)
    groups = answer.content if may_read_logs else answer.content.model_copy(update={"groups": []})
    codes = {group.code for group in groups.groups}
    messages = {
        code: MessageText(meaning=message.meaning, advice=message.advice)
        for code, message in _MESSAGES.items()
        if code in codes
    }
    return DeadLetterList(**dict(groups), read_at=answer.read_at, counts_alone=not may_read_logs, messages=messages)


async def refuse_unknown_group(site: Site, signature: str) -> None:
    """CachedRead 404 to a signature that no dead letter has now."""
    groups = (await _groups(site, fresh=True)).content
    if any(group.signature == signature for group in groups.groups):
        return
    if groups.read < groups.listed:
        raise HTTPException(
            status.HTTP_503_SERVICE_UNAVAILABLE,
            f"{groups.read} of {groups.listed} dead letters are read so far, none has this signature. Try again soon.",
        )
    raise HTTPException(status.HTTP_404_NOT_FOUND, "No dead letter has this signature any more.")


def redrive(site: Site, signature: str, user: BaseUser) -> StartedRedrive:
    """Trigger the DAG that reads the group from VTE again. Answers 409 while it is redriven already."""
    dag_id = redrive_dag(site)
    conf = {"dead_letters": signature}
    with create_session() as session:
        if (
            conf
            in session.scalars(select(DagRun.conf).where(DagRun.dag_id == dag_id, DagRun.state.in_(_UNFINISHED))).all()
        ):
            raise HTTPException(status.HTTP_409_CONFLICT, f"A DAG run of {dag_id} redrives these dead letters already.")
        try:
            dag_run: DagRun | None = trigger_dag(
                dag_id,
                triggered_by=DagRunTriggeredByType.UI,
                triggering_user_name=user.get_name(),
                conf=conf,
                session=session,
            )
        except (AirflowException, ValueError) as exc:
            raise HTTPException(status.HTTP_409_CONFLICT, redact(str(exc))) from exc
        if dag_run is None:
            raise HTTPException(status.HTTP_409_CONFLICT, f"{dag_id} could not be triggered.")
        paused = session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id))
        return StartedRedrive(dag_run=DagRunLink(dag_id=dag_id, dag_run_id=dag_run.run_id), is_paused=bool(paused))


def note_redrive(site: Site, signature: str, user: BaseUser) -> None:
    """Write the audit log, after refusing who may not trigger the DAG in Airflow either."""
    if not may_redrive(site, user):
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"You may not trigger {redrive_dag(site)}.")
    with create_session() as session:
        audit(session, user, REDRIVE_EVENT, redrive_dag(site), site=site.name, signature=signature)


async def _groups(site: Site, *, fresh: bool = False) -> CachedRead[DeadLetterGroups]:
    """Return the groups. Answers 503 when settings or storage cannot be read, without any value of theirs."""
    try:
        return await LISTED.get(site, lambda: _read(site), fresh=fresh)
    except NoAnswerYet:
        detail = f"{VW831} The storage of the dead letters does not answer."
    except VteWatsError as exc:
        detail = f"{VW830} Dead letters cannot be read: {exc.public}"
    except Exception as exc:  # noqa: BLE001 -- every bucket's client raises errors of its own
        detail = f"{VW830} Dead letters cannot be read: {type(exc).__name__}; the log of the api-server says more."
    raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, detail)


def _read(site: Site) -> DeadLetterGroups:
    try:
        with create_session(scoped=False) as session:
            text = read_settings_text(session, site).text
        settings = parse_settings(text, site.settings_variable)
        storage = storage_of(site, settings)
        return _indexes.setdefault(str(storage), DeadLetterIndex(storage)).groups()
    except Exception as exc:
        log.warning("%s dead letters cannot be read: %s: %s", VW830, type(exc).__name__, redact(str(exc)))
        raise
