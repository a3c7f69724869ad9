"""The connection to VTE as a person fills it in: every field is checked before the driver sees it."""

from __future__ import annotations

from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from typing import Literal, Self

from airflow.providers.microsoft.mssql.hooks.mssql import MsSqlHook
from airflow.sdk.exceptions import AirflowNotFoundException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vte_wats.config.connection_fields import ConnectionOptions, page_in_airflow
from vte_wats.domain.errors import FatalError
from vte_wats.messages import NO_CONNECTION, VW114, VW116

_PORT = 1433
_OTHER_PROTOCOLS = frozenset({"np", "lpc", "admin"})
_OF_OTHER_DRIVERS = {
    "trustservercertificate": "a word of ODBC. FreeTDS checks certificates where freetds.conf says so",
    "encrypt": 'a word of ODBC; here it is {"encryption": "require"}',
    "driver": "a word of ODBC; the driver is pymssql",
    "applicationintent": 'a word of ODBC; here it is {"read_only": true}',
    "multisubnetfailover": "a word of ODBC; FreeTDS has no such option",
    "trusted_connection": "a word of ODBC; docs/configuration.md says how Windows logins work",
}


class VteOptions(ConnectionOptions):
    """The extra fields that pymssql takes, with defaults of our own: without them it waits forever for an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout: int = Field(120, ge=1, le=86_400)
    login_timeout: int = Field(15, ge=1, le=600)
    charset: str = Field("UTF-8", pattern=r"^[A-Za-z0-9._-]{1,40}$")
    appname: str = Field("vte-wats", max_length=128)
    encryption: Literal["off", "request", "require"] | None = None
    read_only: bool = False
    tds_version: Literal["7.0", "7.1", "7.2", "7.3", "7.4", "8.0"] | None = None
    conn_properties: str | list[str] | None = None
    use_datetime2: bool = False
    sqlalchemy_scheme: str | None = None


class VteAddress(BaseModel):
    """Where the database is. Management Studio's ``tcp:server,1433`` is understood; a port outranks an instance."""

    model_config = ConfigDict(frozen=True)

    host: str = Field(min_length=1)
    port: int = Field(_PORT, ge=1, le=65_535)
    database: str = Field(min_length=1)

    @classmethod
    def of(cls, host: str | None, port: int | None, database: str | None) -> Self:
        """Read the fields of an Airflow connection. Raises ValueError."""
        protocol, _, rest = (host or "").partition(":")
        if protocol.strip().casefold() in _OTHER_PROTOCOLS:
            raise ValueError("host: must be reached over TCP/IP, without a protocol before its name")
        text = rest if protocol.strip().casefold() == "tcp" else host or ""
        name, comma, given_port = text.strip().partition(",")
        if comma:
            name = name.partition("\\")[0]
        if comma and port is not None and given_port.strip() != str(port):
            raise ValueError("port: differs from the port in host")
        found = given_port.strip() if comma else port
        return cls(host=name.strip(), port=_PORT if found is None else found, database=(database or "").strip())


def check_connection(hook: MsSqlHook, conn_id: str) -> VteOptions:
    """Put the checked fields into the hook's connection, with our defaults, and return its options.

    Raises :class:`FatalError` with one line per mistake: field, rule, and where to change it. Values are not repeated.
    """
    try:
        fields = hook.connection
    except AirflowNotFoundException as exc:
        raise FatalError(VW114, f"the connection {conn_id} {NO_CONNECTION}") from exc
    mistakes: list[str] = []
    address: VteAddress | None = None
    options: VteOptions | None = None
    try:
        address = VteAddress.of(fields.host, fields.port, fields.schema)
    except ValidationError as exc:
        mistakes += [f"{_FIELDS[str(error['loc'][0])]}: {error['msg']}" for error in exc.errors()]
    except ValueError as exc:
        mistakes.append(str(exc))
    try:
        options = VteOptions.model_validate_json(fields.extra or "{}")
    except ValidationError as exc:
        mistakes += [_mistake(error["loc"], error["msg"]) for error in exc.errors()]
    if address is None or options is None:
        raise FatalError(
            VW116,
            f"{len(mistakes)} field(s) of the VTE connection are wrong. Change them: "
            f"{page_in_airflow(conn_id)}\n" + "\n".join(f"- {mistake}" for mistake in mistakes),
        )
    fields.host, fields.port = address.host, address.port
    fields.extra = options.model_dump_json(exclude_none=True)
    return options


def driver_verifies_servers(environment: Mapping[str, str]) -> bool:
    """Return whether FreeTDS checks the server's certificate and name; it does so by its own file alone."""
    conf = ConfigParser(strict=False, interpolation=None, allow_no_value=True, inline_comment_prefixes=(";", "#"))
    try:
        conf.read(environment.get("FREETDSCONF", "/etc/freetds/freetds.conf"), encoding="utf-8")
    except (ConfigParserError, UnicodeError):
        return False
    has_authority = bool((conf.get("global", "ca file", fallback="") or "").strip())
    checks_name = (conf.get("global", "check certificate hostname", fallback="yes") or "").strip().casefold()
    return has_authority and checks_name not in {"no", "off", "0", "false"}


_FIELDS = {"host": "host", "port": "port", "database": "schema (the database)"}


def _mistake(place: tuple[int | str, ...], rule: str) -> str:
    name = ".".join(map(str, place)) or "extra"
    other = _OF_OTHER_DRIVERS.get(name.casefold())
    return f"{name}: {rule}" + (f"; it is {other}" if other else "")
