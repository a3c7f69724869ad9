"""What a text may say before it is logged, stored, sent or shown: no credentials, whoever wrote them into it.

Every error of the product passes here when it is made, every text from elsewhere where it comes in. Redact first, then
cut: half a password is one too. Characters that a terminal obeys, or that turn what stands beside them round, are
written out; line ends and tabs stay. All of it takes time linear in the text's length.
"""

from __future__ import annotations

import json
import re

HIDDEN = "***"
_LONGEST_SHOWN = 100

_NAMES = (
    r"(?:password|passwd|passphrase|pwd|secret|client_?secret|token|access_?token|api[_-]?key|account_?key|access_?key"
    r"|secret_?key|shared_?access_?key|private_?key|credentials?|sig)"
)
_VALUE = r"(?:\"[^\"]*\"?|'[^']*'?|[^\s,;&\"']+)"  # a quote that is not closed reaches to the end
# name=value, and "name": "value"; a name with a colon alone is a field with its rule.
_ASSIGNED = re.compile(rf"(?i)(?<![a-z])({_NAMES}(?:[\"']?\s?=\s?|[\"']\s?:\s?)){_VALUE}")
_AUTHORIZATION = re.compile(r"(?i)\b(basic|bearer) [a-z0-9+/_.~-]{16,}=*")
_LOGIN = re.compile(r"(?i)\b(user|login) '[^']*'")
_WORD = re.compile(r"\S+")
_OBEYED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)"
)  # line ends and tabs stay


def redact(text: str, *secrets: str) -> str:
    """Return a text without passwords, tokens, login names, the user part of addresses and control characters.

    ``secrets`` are those that the caller knows; they go wherever they stand.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _without_credentials(_OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text))


def _without_credentials(text: str) -> str:
    text = _WORD.sub(lambda found: _without_user(found[0]), text)
    text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
    text = _AUTHORIZATION.sub(rf"\1 {HIDDEN}", text)
    return _LOGIN.sub(rf"\1 '{HIDDEN}'", text)


def shown(value: object) -> str:
    """Return the value that broke a rule as a message names it; of a group only what kind of value it is."""
    match value:
        case str():
            text = _without_credentials(value)  # repr() writes control characters out
            return repr(text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…")
        case None | bool() | float():
            return json.dumps(value)
        case int():
            return str(value) if abs(value) < 10**_LONGEST_SHOWN else "a number of more than 100 digits"
    return "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else "another kind of value"


def _without_user(word: str) -> str:
    """Return an address without what stands before its last @, whatever that contains, when there is a password."""
    user, mark, host = word.rpartition("@")
    if not mark or ":" not in user:
        return word
    scheme, slashes, _ = user.rpartition("://") if user.count("://") == 1 else ("", "", "")
    return f"{scheme}{slashes}{HIDDEN}@{host}"
