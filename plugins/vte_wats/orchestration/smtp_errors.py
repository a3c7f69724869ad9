"""What a mail server or the way to it refuses, as one line that names the field of the connection to change."""

from __future__ import annotations

import smtplib
import socket
import ssl
from dataclasses import dataclass

from airflow.sdk.exceptions import AirflowNotFoundException

from vte_wats.domain.redaction import redact
from vte_wats.messages import NO_CONNECTION, VW633


@dataclass(frozen=True, slots=True)
class SmtpProblem:
    """One row of the table: the errors it is for, the fields that cause them, and what to do."""

    exceptions: tuple[type[BaseException], ...]
    fields: str
    rule: str


# The first row that applies wins; the last one applies to everything. ssl.SSLError, smtplib's errors, TimeoutError and
# socket.gaierror are all OSErrors, so the order counts.
SMTP_PROBLEMS: tuple[SmtpProblem, ...] = (
    SmtpProblem((AirflowNotFoundException,), "the connection", NO_CONNECTION),
    SmtpProblem((socket.gaierror,), "host", "no such name is known; correct it, or the DNS of Airflow's machines"),
    SmtpProblem(
        (ssl.SSLCertVerificationError,),
        "host, and ssl_context in extra",
        "the server's certificate is not trusted or has another name; name the host as the certificate does, and "
        "let SSL_CERT_FILE name its authority",
    ),
    SmtpProblem(
        (ssl.SSLError, smtplib.SMTPNotSupportedError),
        "port, and disable_tls and disable_ssl in extra",
        "the server speaks another kind of TLS there, or none, or takes no login: 465 is TLS from the start "
        "(disable_ssl false), 587 and 25 change to it (disable_ssl true, disable_tls false), or neither",
    ),
    SmtpProblem(
        (smtplib.SMTPAuthenticationError,),
        "login, password, and auth_type in extra",
        "the server refuses them; some servers want a password made for programs, or OAuth 2",
    ),
    SmtpProblem(
        (smtplib.SMTPSenderRefused,), "from_email in extra", "the server does not let this login send in that name"
    ),
    SmtpProblem(
        (smtplib.SMTPRecipientsRefused,),
        "alerts.recipients of the settings",
        "the server takes mail for none of them: correct them, or let the server relay for this login",
    ),
    SmtpProblem(
        (TimeoutError,), "host, port, and timeout in extra", "nothing answers in time: a firewall, or another port"
    ),
    SmtpProblem(
        (smtplib.SMTPServerDisconnected, ConnectionError),
        "host and port",
        "nobody listens there, or the server hangs up at once, as one does that wants TLS from the start",
    ),
    SmtpProblem(
        (Exception,), "host, port, login, and the fields in extra", "the mail server or Airflow's client refuses"
    ),
)


def smtp_problem(exc: BaseException, conn_id: str) -> str:
    """Return what kept a mail from going. Airflow's hook hides some causes behind errors of its own."""
    cause = exc
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]  # one of them is there
    found = next(
        (row for row in SMTP_PROBLEMS[:-1] for error in (exc, cause) if isinstance(error, row.exceptions)), None
    )
    row = found or SMTP_PROBLEMS[-1]
    text = redact(str(exc)).partition("\n")[0]
    return f"{VW633} {type(exc).__name__}: {text}. Check {row.fields} of {conn_id}: {row.rule}"
