"""SET: the options of a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.sqlserver.errors import not_emulated, syntax, unknown_set_option


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SWITCHES = _words(
    "ARITHABORT ARITHIGNORE CONCAT_NULL_YIELDS_NULL ANSI_NULLS ANSI_NULL_DFLT_ON ANSI_NULL_DFLT_OFF "
    "ANSI_PADDING ANSI_WARNINGS ANSI_DEFAULTS CURSOR_CLOSE_ON_COMMIT QUOTED_IDENTIFIER NOCOUNT XACT_ABORT "
    "NUMERIC_ROUNDABORT SHOWPLAN_XML"
)
_OFF_ONLY = _words("IMPLICIT_TRANSACTIONS FMTONLY NOEXEC PARSEONLY SHOWPLAN_ALL SHOWPLAN_TEXT")
_LEVELS = frozenset({"READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SNAPSHOT", "SERIALIZABLE"})


@dataclass
class SessionOptions:
    """The options that have an effect here. Others are accepted as they stand by default, or refused by name."""

    lock_timeout_ms: int = -1
    isolation: str = "READ COMMITTED"
    no_count: bool = False
    plans_only: bool = False

    def set(self, words: Sequence[str]) -> None:
        """Take out a SET statement, given as its words in upper case."""
        if tuple(words[1:4]) == ("TRANSACTION", "ISOLATION", "LEVEL"):
            level = " ".join(words[4:])
            if level not in _LEVELS:
                raise syntax(words[4] if len(words) > 4 else "LEVEL")
            self.isolation = level
            return
        option, value = words[1] if len(words) > 1 else "", " ".join(words[2:])
        if option == "LOCK_TIMEOUT":
            self.lock_timeout_ms = _number(value)
        elif option == "DEADLOCK_PRIORITY":
            if value not in {"LOW", "NORMAL", "HIGH"}:
                _number(value)
        elif option in {"TEXTSIZE", "DATEFIRST", "ROWCOUNT"}:
            if option != "TEXTSIZE" and _number(value) != {"DATEFIRST": 7, "ROWCOUNT": 0}[option]:
                raise not_emulated(f"SET {option} {value}")
        elif option in {"LANGUAGE", "DATEFORMAT"}:
            if value.lower() not in {"us_english", "english", "mdy", "ymd"}:
                raise not_emulated(f"SET {option} {value}")
        elif option in _SWITCHES or option in _OFF_ONLY:
            self._switch(option, value)
        else:
            raise unknown_set_option(option)

    def _switch(self, option: str, value: str) -> None:
        if value not in {"ON", "OFF"}:
            raise syntax(value or option)
        if option in _OFF_ONLY and value == "ON":
            raise not_emulated(f"SET {option} ON")
        if option == "NOCOUNT":
            self.no_count = value == "ON"
        if option == "SHOWPLAN_XML":
            self.plans_only = value == "ON"


def _number(text: str) -> int:
    try:
        return int(text.replace(" ", ""))
    except ValueError:
        raise syntax(text) from None
