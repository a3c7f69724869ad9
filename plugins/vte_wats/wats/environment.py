"""The variables of the environment that the HTTP client obeys, and what is wrong with one it cannot use."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW115

_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


@dataclass(frozen=True, slots=True)
class ClientError:
    """One row of the table: what opening the client raised, which variables cause it, and their rule."""

    exceptions: tuple[type[Exception], ...]
    variables: tuple[str, ...]
    rule: str


# The first row that applies wins; the last one applies to everything.
ENVIRONMENT_ERRORS: tuple[ClientError, ...] = (
    ClientError(
        (ImportError,),
        _PROXIES,
        "a proxy of this kind needs a package that is not installed (SOCKS: socksio); name an http:// proxy, or "
        "install it",
    ),
    ClientError(
        (OSError,),  # ssl.SSLError is one
        ("SSL_CERT_FILE", "SSL_CERT_DIR"),
        "must name certificates in PEM form that exist on every machine that runs tasks",
    ),
    ClientError(
        (httpx.InvalidURL, ValueError),
        ("NO_PROXY", *_PROXIES),
        "a proxy must be an address such as http://proxy.example:3128; NO_PROXY holds host names and addresses "
        "separated by commas, no networks of IPv6 and no brackets",
    ),
    ClientError(
        (Exception,),
        ("NO_PROXY", *_PROXIES, "SSL_CERT_FILE", "SSL_CERT_DIR"),
        "the client to WATS does not understand it",
    ),
)


@contextmanager
def usable_environment() -> Iterator[None]:
    """Raise :class:`FatalError` for whatever opening a client raises; it names the variable, never its value."""
    try:
        yield
    except FatalError:
        raise
    except Exception as exc:
        row = next(row for row in ENVIRONMENT_ERRORS if isinstance(exc, row.exceptions))
        names = suspects(row.variables, os.environ) or row.variables
        raise FatalError(
            VW115,
            f"the client to WATS cannot be opened ({type(exc).__name__}): check {' and '.join(names)} in the "
            f"environment of Airflow's tasks: {row.rule}",
        ) from exc


def suspects(variables: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return which of the variables are set, as they are spelled there: lower case counts, too."""
    return tuple(
        name for variable in variables for name in (variable, variable.lower()) if environment.get(name, "").strip()
    )
