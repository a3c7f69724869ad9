"""The channels to people: mail through smtp_default, and any Apprise target, both as Airflow's notifiers.

A message goes out as it is, never as a template: product names and error texts are data. A channel that fails raises,
where Airflow's own notifiers would only log, or not notice at all. What a mail server or the way to it refuses is one
line that names the field of the connection to change.
"""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime, make_msgid
from functools import cached_property
from typing import Any

import apprise
from airflow.providers.apprise.notifications.apprise import AppriseNotifier
from airflow.providers.smtp.hooks.smtp import SmtpHook
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk.exceptions import AirflowNotFoundException

from vte_wats.alerting.mails import Notification, body_for, title_for
from vte_wats.config.alert_settings import AlertSettings
from vte_wats.domain.errors import RetriableError
from vte_wats.domain.redaction import redact
from vte_wats.messages import NO_CONNECTION, VW568, VW601, VW633, VW909
from vte_wats.wording import count


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


log = logging.getLogger(__name__)

MAIL_CONNECTION = "smtp_default"
# smtplib sends ASCII alone, and ends the lines itself; a subject that is folded looks broken in some clients.
_SEVEN_BIT = SMTP.clone(cte_type="7bit", linesep="\n", max_line_length=200)


class _TwoFormsHook(SmtpHook):
    """Airflow's hook, whose mails hold the plain text beside the HTML."""

    def __init__(self, text: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._text = text

    def _build_mime_message(  # type: ignore[override]
        self, mail_from: str, to: Sequence[str], subject: str, html_content: str, **_: Any
    ) -> tuple[EmailMessage, list[str]]:
        mail = EmailMessage(policy=_SEVEN_BIT)
        mail["Subject"], mail["From"], mail["To"] = subject, mail_from, ", ".join(to)
        mail["Date"], mail["Message-ID"] = format_datetime(localtime()), make_msgid(domain="vte-wats")
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(self._text)
        mail.add_alternative(html_content, subtype="html")
        return mail, list(to)


class MailNotifier(SmtpNotifier):
    """Sends one message, in both forms, through the connection ``smtp_default``."""

    template_fields: Sequence[str] = ()  # type: ignore[assignment]  # its base fixes the number of fields

    def __init__(self, message: Notification, recipients: Sequence[str]) -> None:
        super().__init__(
            to=list(recipients),
            subject=message.subject,
            html_content=message.html,
            smtp_conn_id=MAIL_CONNECTION,
        )
        self._text = message.text

    @cached_property
    def hook(self) -> SmtpHook:
        """The hook that knows both forms."""
        return _TwoFormsHook(self._text, smtp_conn_id=MAIL_CONNECTION)

    def _build_email_content(self, smtp: SmtpHook, context: Any) -> None:
        """Leave the message as it is: nothing in it is a template."""
        del context
        self.from_email = smtp.from_email
        if not self.from_email:
            raise ValueError(f"connection {MAIL_CONNECTION} has no from_email; set it in its extra fields")


class TargetNotifier(AppriseNotifier):
    """Sends one message to the targets of an Apprise connection, to each in its form; one that refuses is an error."""

    template_fields: Sequence[str] = ()

    def __init__(self, message: Notification, conn_id: str) -> None:
        super().__init__(title=message.subject, body=message.text, apprise_conn_id=conn_id)
        self._message = message

    def notify(self, context: Any) -> None:
        """Send it, and check the answer, which Airflow's own hook does not."""
        del context
        targets = apprise.Apprise()
        self.hook.set_config_from_conn(self.hook.get_connection(self.apprise_conn_id), targets)
        if not targets:
            raise ValueError(f"connection {self.apprise_conn_id} names no target that Apprise understands")
        if not all([self._is_sent(target) for target in targets]):  # noqa: C419 -- each is tried
            raise ValueError(f"a target of connection {self.apprise_conn_id} refused the message or cannot be reached")

    def _is_sent(self, target: apprise.NotifyBase) -> bool:
        schemes: Any = target.secure_protocol or target.protocol or ""  # some targets have several
        kind = schemes if isinstance(schemes, str) else schemes[0]
        one = apprise.Apprise()
        one.add(target)
        return bool(
            one.notify(
                body=body_for(kind, self._message),
                title=title_for(kind, self._message),
                body_format=self.body_format,
            )
        )


def _apprise_problem(exc: Exception, alerts: AlertSettings) -> str:
    """Return what kept a message from the chat, and the field to change: few causes, most of them in one field."""
    text = redact(str(exc)).partition("\n")[0]
    if isinstance(exc, AirflowNotFoundException):
        field, rule = "the connection", NO_CONNECTION
    else:
        field = "config in extra"
        rule = "each path there must be the address of a target as Apprise writes it, and Airflow must reach it"
    return f"{VW568} {type(exc).__name__}: {text}. Check {field} of {alerts.apprise_connection}: {rule}"


def channels(alerts: AlertSettings) -> tuple[str, ...]:
    """Return who is notified, without addresses."""
    mail = (f"mail to {count(len(alerts.recipients), 'recipient')}",) if alerts.recipients else ()
    return mail + ((f"connection {alerts.apprise_connection}",) if alerts.apprise_connection else ())


def sender(alerts: AlertSettings) -> Callable[[Notification], None]:
    """Return what sends a message to every channel; it raises RetriableError when all of them failed."""

    def send(message: Notification) -> None:
        targets: list[tuple[type[MailNotifier | TargetNotifier], Any]] = []
        if alerts.recipients:
            targets.append((MailNotifier, alerts.recipients))
        if alerts.apprise_connection:
            targets.append((TargetNotifier, alerts.apprise_connection))
        problems = []
        for notifier, target in targets:
            try:
                notifier(message, target).notify({})
            except Exception as exc:  # noqa: BLE001 -- whatever keeps a message from going; SMTP alone has dozens
                is_mail = notifier is MailNotifier
                what = smtp_problem(exc, MAIL_CONNECTION) if is_mail else _apprise_problem(exc, alerts)
                problems.append(f"{notifier.__name__}: {what}")
                log.error("%s one channel failed: %s", VW909, problems[-1])  # noqa: TRY400 -- the text says it, a stack adds nothing
        if len(problems) == len(targets):
            raise RetriableError(VW601, "; ".join(problems))

    return send
