"""A mail server that keeps what it is given, on a real socket."""

import email
import email.policy
import threading
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox.airflow_stack.tcp_ports import free_ports


class MailCatcher:
    """Takes every mail while it runs within a ``with`` block; refuses them all as long as ``refuses`` is set."""

    def __init__(self) -> None:
        self.refuses = False
        self.refused = 0
        self._lock = threading.Lock()
        self._mails: list[EmailMessage] = []
        self._controller = Controller(self, hostname="127.0.0.1", port=free_ports(1)[0])

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a mail, or refuse it; aiosmtpd calls it by this name."""
        del server, session
        if self.refuses:
            self.refused += 1
            return "451 4.3.0 not now"
        mail = email.message_from_bytes(envelope.original_content or b"", policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        with self._lock:
            self._mails.append(mail)
        return "250 OK"

    @property
    def mails(self) -> list[EmailMessage]:
        """What was taken, oldest first."""
        with self._lock:
            return list(self._mails)

    @property
    def subjects(self) -> list[str]:
        return [str(mail["subject"]) for mail in self.mails]

    @property
    def connection(self) -> dict[str, Any]:
        """The Airflow connection ``smtp_default`` that leads here."""
        options = {"disable_ssl": True, "disable_tls": True, "from_email": "vte-wats@factory.example", "retry_limit": 0}
        return {"conn_type": "smtp", "host": "127.0.0.1", "port": self._controller.port, "extra": options}


def forms_of(mail: EmailMessage) -> tuple[str, str]:
    """Return a mail's plain text and its HTML."""
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()
