"""A site's settings as Airflow has them: read from wherever they are, written in the place of those that were shown."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from airflow.configuration import ensure_secrets_loaded
from airflow.models.variable import Variable
from airflow.sdk import SecretCache
from airflow.secrets.metastore import MetastoreBackend
from sqlalchemy import CursorResult, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW562, VW563, VW627


@dataclass(frozen=True, slots=True)
class SettingsText:
    """The settings as people wrote them, ``None`` where there are none, and whether the database is where they are."""

    text: str | None
    in_database: bool

    @property
    def digest(self) -> str:
        """What stands for the text and does not show it."""
        return hashlib.sha256((self.text or "").encode()).hexdigest()


def read_settings_text(session: Session, site: Site) -> SettingsText:
    """Read the settings as tasks get them. Raises FatalError when Airflow cannot decrypt them."""
    name = site.settings_variable
    for backend in ensure_secrets_loaded():
        if not isinstance(backend, MetastoreBackend) and (text := backend.get_variable(key=name)) is not None:
            return SettingsText(text, in_database=False)
    return SettingsText(_decrypted(_row(session, site), name), in_database=True)


def change_settings(session: Session, site: Site, shown_digest: str, change: Callable[[str | None], str]) -> None:
    """Write what ``change`` makes of the settings, if they are still those that were shown, or nothing at all.

    Raises FatalError when they are others by now, and where tasks would not read them from the database. The row is
    compared as it is written, encrypted: nobody else gets in between.
    """
    name = site.settings_variable
    stored = read_settings_text(session, site)
    if not stored.in_database:
        detail = f"the Variable {name} does not come from Airflow's database: change it where it is set"
        raise FatalError(VW562, detail, detail)
    detail = f"somebody else has written the Variable {name} since: look at the proposal again"
    changed = FatalError(VW563, detail, detail)
    if stored.digest != shown_digest:
        raise changed
    row = _row(session, site)
    new = Variable(key=name, val=change(stored.text))  # type: ignore[no-untyped-call]
    if row is None:
        session.add(new)
    else:
        same = update(Variable).where(Variable.id == row.id, Variable._val == row._val)  # noqa: SLF001 -- as it is stored
        written = session.execute(same.values(_val=new._val, is_encrypted=new.is_encrypted))  # noqa: SLF001
        if cast("CursorResult[None]", written).rowcount != 1:
            raise changed
    try:
        session.commit()
    except IntegrityError:
        session.rollback()
        raise changed from None
    SecretCache.invalidate_variable(name)


def _row(session: Session, site: Site) -> Variable | None:
    return session.scalar(select(Variable).where(Variable.key == site.settings_variable))


def _decrypted(row: Variable | None, name: str) -> str | None:
    if row is None:
        return None
    text: str | None = row.val
    if text is None:
        raise FatalError(VW627, f"the Variable {name} cannot be read: it was encrypted with another key")
    return text
