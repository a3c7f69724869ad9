"""The WATS connection as a person fills it in: address, token and options, validated at once."""

from __future__ import annotations

import base64
import os
import re
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, ValidationError

from vte_wats.config.connection_fields import ConnectionOptions, page_in_airflow
from vte_wats.domain.errors import FatalError
from vte_wats.domain.redaction import shown
from vte_wats.messages import VW108

_PROBE = 2
_TOKEN = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


class GuidQuoting(StrEnum):
    """How a query names report ids; servers differ in what they understand."""

    AUTO = "auto"
    BARE = "bare"
    QUOTED = "quoted"
    OR_CHAIN = "or_chain"


def _existing_file(path: str) -> str:
    try:
        is_readable = Path(path).is_file() and os.access(path, os.R_OK)
    except OSError:  # a name that is too long, a folder that may not be entered
        is_readable = False
    if not is_readable:
        msg = "must be a readable file on every machine that runs tasks"
        raise ValueError(msg)
    return path


class WatsOptions(ConnectionOptions):
    """The extra fields of the connection form. Blank fields mean the default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: int = Field(
        500,
        ge=1,
        le=1_000_000,
        title="Requests per minute",
        description="The budget of WATS for everything that uses this connection together.",
    )
    concurrent_tasks: int = Field(
        1,
        ge=1,
        le=64,
        title="Concurrent tasks",
        description="Slots of the pool wats_api. A single task owns the whole budget, several have a fixed share each.",
    )
    concurrency: int = Field(
        8, ge=1, le=32, title="Concurrency", description="Requests that one task has in flight at a time."
    )
    timeout_s: float = Field(
        30, gt=0, le=600, title="Timeout (seconds)", description="The longest one request may take, answer included."
    )
    attempts: int = Field(
        3, ge=1, le=10, title="Attempts", description="Tries of one request inside a task, the first included."
    )
    max_body_bytes: int = Field(
        30_000_000,
        ge=1_000,
        title="Largest body (bytes)",
        description="A larger report is a dead letter, without being sent. 30,000,000 is the limit of IIS.",
    )
    allow_http: bool = Field(
        default=False,
        title="Allow http",
        description="Send token and reports unencrypted to a WATS that is not on this machine.",
    )
    verify_tls: bool = Field(
        default=True, title="Verify TLS", description="Refuse servers whose certificate cannot be verified."
    )
    ca_file: Annotated[str, AfterValidator(_existing_file)] | None = Field(
        None, title="CA file", description="PEM file with the certificate authority of a private WATS."
    )
    guid_quoting: GuidQuoting = Field(
        GuidQuoting.AUTO,
        title="GUID quoting",
        description="How queries write report ids. auto tries bare, quoted, then or-chains, and keeps what works.",
    )

    report_page: Annotated[str, Field(max_length=500, pattern=r"^https?://\S+$")] | None = Field(
        None,
        title="Report page",
        description="The page of a report in the browser, for links; {id} stands for the report's id. Blank: the host.",
    )


class WatsConnection(WatsOptions):
    """Where WATS is, what it accepts as proof of who asks, and how to treat it. Never shows the token."""

    conn_id: str
    url: str
    token: SecretStr

    @property
    def share_per_minute(self) -> float:
        """The requests per minute that one task may send.

        A probe, which the monitor sends every other minute and the Test button now and then, waits for no slot; of a
        budget that has room for it, its requests are set aside.
        """
        set_aside = min(_PROBE, self.requests_per_minute // 50)
        return (self.requests_per_minute - set_aside) / self.concurrent_tasks

    def page_of(self, report_id: object) -> str:
        """Return where a person looks at a report in the browser."""
        return (self.report_page or self.url).replace("{id}", str(report_id))

    @classmethod
    def parse(
        cls,
        conn_id: str,
        *,
        host: str | None,
        port: int | None,
        login: str | None,
        password: str | None,
        extra: str | None,
    ) -> Self:
        """Read the fields of an Airflow connection.

        Raises :class:`FatalError` with one line per mistake: field, rule, value given (never a secret), and where to
        change it.
        """
        mistakes: list[str] = []
        url = _collected(mistakes, lambda: _url(host, port)) or ""
        token = _collected(mistakes, lambda: _token(login, password)) or ""
        options: WatsOptions | None = None
        try:
            options = WatsOptions.model_validate_json(extra or "{}", strict=False)
        except ValidationError as exc:
            mistakes += [
                f"{'.'.join(map(str, m['loc'])) or 'extra'}: {m['msg'].removeprefix('Value error, ')}"
                + ("" if m["type"] == "extra_forbidden" or not m["loc"] else f", given {shown(m['input'])}")
                for m in exc.errors(include_url=False, include_context=False)
            ]
        if url and options is not None and not options.allow_http and _is_readable_on_the_way(url):
            mistakes.append(
                "host: http:// sends the token unencrypted. Use https://, or tick allow_http where the network between "
                "is yours"
            )
        if mistakes or options is None:
            raise FatalError(
                VW108,
                f"{len(mistakes)} field(s) of the WATS connection are wrong. Change them: "
                f"{page_in_airflow(conn_id)}\n" + "\n".join(f"- {mistake}" for mistake in mistakes),
            )
        return cls(conn_id=conn_id, url=url, token=SecretStr(token), **options.model_dump())


def _collected(mistakes: list[str], reading: Any) -> str | None:
    try:
        text: str = reading()
    except ValueError as exc:
        mistakes.append(str(exc))
        return None
    return text


def _url(host: str | None, port: int | None) -> str:
    address = (host or "").strip()
    if not address:
        raise ValueError("host: required, the address of the WATS server, such as https://acme.wats.com")
    if "://" not in address:
        address = f"https://{address}"
    try:
        parts = urlsplit(address)
        given_port = parts.port
    except ValueError as exc:
        raise ValueError("host: must be an address such as https://acme.wats.com") from exc
    if "@" in address:
        raise ValueError("host: must not contain a login or password; use the fields for them")
    rule = "host: must be an http or https address without query, such as https://acme.wats.com"
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", address):
        raise ValueError(f"{rule}, given {shown(address)}")
    if parts.query or parts.fragment:
        raise ValueError(rule)
    if port is not None and given_port is not None and port != given_port:
        raise ValueError(f"port: differs from the port in host, given {port} beside {given_port}")
    netloc = parts.netloc if given_port is not None or port is None else f"{parts.netloc}:{port}"
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/").removesuffix("/api"), "", ""))


def _is_readable_on_the_way(url: str) -> bool:
    """Return whether others can read what is sent: http to anything but this machine itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_here = ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost" or host.endswith(".localhost")
    return parts.scheme == "http" and not is_here


def _token(login: str | None, password: str | None) -> str:
    """Return the token as it goes over the wire; the API token of WATS is the base64 of ``user:password`` already."""
    if login and login.strip():
        if not password:
            raise ValueError("password: required beside a login")
        return base64.b64encode(f"{login.strip()}:{password}".encode()).decode()
    token = (password or "").strip()
    if not token:
        raise ValueError("password: required, the API token of WATS (or fill in login and password)")
    if not _TOKEN.fullmatch(token):
        raise ValueError(
            "password: must be one API token as WATS shows it: base64, no spaces or line breaks inside, without the "
            "word Basic. A plain password needs the login beside it"
        )
    return token
