"""What is kept of an operator's name: all of it, a pseudonym or nothing."""

from __future__ import annotations

import hmac
from base64 import b32encode

from vte_wats.config.settings import OperatorNames, Settings
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.mapping.texts import printable
from vte_wats.messages import VW450

SECRET_LENGTH = 32
"""Bytes a secret must have, so that nobody finds it by trying."""

_UNNAMED = Site()
_PSEUDONYM_BYTES = 10


class Operators:
    """Keeps, replaces or omits operators' names, as the setting ``operator`` says."""

    def __init__(self, settings: Settings, secret: str | None = None, site: Site = _UNNAMED) -> None:
        """Raise FatalError when pseudonyms are wanted and ``secret`` is missing or too short."""
        self._names = settings.operator
        self._secret = (secret or "").strip().encode()
        if self._names is OperatorNames.PSEUDONYM and len(self._secret) < SECRET_LENGTH:
            found = f"has {len(self._secret)}" if self._secret else "does not exist or is blank"
            raise FatalError(
                VW450,
                f"operator is pseudonym, which needs a secret of at least {SECRET_LENGTH} bytes, but the Variable "
                f"{site.operator_secret_variable} {found}. Create it with a random text (Airflow › Admin › Variables), "
                f"or set operator to omit: {settings.where_to_change}",
            )

    def kept(self, name: str | None) -> str | None:
        """Return what is kept of a name; blank ones are none.

        One person has one pseudonym, however the name is capitalised. Without the secret it leads to nobody.
        """
        if self._names is OperatorNames.KEEP:
            return name
        person = printable(name).casefold()
        if self._names is OperatorNames.OMIT or not person:
            return None
        digest = hmac.digest(self._secret, person.encode("utf-8", "surrogatepass"), "sha256")
        return f"op-{b32encode(digest[:_PSEUDONYM_BYTES]).decode().lower()}"
