from __future__ import annotations

import smtplib
import socket
import ssl

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from vte_wats.orchestration.notifiers import SMTP_PROBLEMS, smtp_problem

CASES = [
    (AirflowNotFoundException("not defined"), "the connection of smtp_default: does not exist, or was encrypted"),
    (socket.gaierror(-2, "Name or service not known"), "Check host of smtp_default"),
    (ssl.SSLCertVerificationError("self-signed certificate"), "SSL_CERT_FILE"),
    (ssl.SSLError("WRONG_VERSION_NUMBER"), "disable_tls and disable_ssl in extra of smtp_default"),
    (smtplib.SMTPNotSupportedError("STARTTLS extension not supported"), "disable_tls and disable_ssl in extra"),
    (smtplib.SMTPAuthenticationError(535, b"no"), "Check login, password, and auth_type in extra of smtp_default"),
    (smtplib.SMTPSenderRefused(553, b"no", "a@x.example"), "Check from_email in extra of smtp_default"),
    (smtplib.SMTPRecipientsRefused({"a@x.example": (550, b"no")}), "Check alerts.recipients of the settings"),
    (TimeoutError("timed out"), "Check host, port, and timeout in extra of smtp_default"),
    (ConnectionRefusedError(111, "Connection refused"), "Check host and port of smtp_default"),
    (ConnectionResetError(104, "Connection reset by peer"), "Check host and port of smtp_default"),
    (smtplib.SMTPServerDisconnected("closed"), "Check host and port of smtp_default"),
    (smtplib.SMTPDataError(552, b"too large"), "Check host, port, login, and the fields in extra of smtp_default"),
    (RuntimeError("ssl_context"), "Check host, port, login, and the fields in extra of smtp_default"),
]


@pytest.mark.parametrize(("raised", "words"), CASES, ids=repr)
def test_whatever_keeps_a_mail_from_going_names_the_field_to_change(raised, words):
    line = smtp_problem(raised, "smtp_default")
    assert line.startswith(f"VW633 {type(raised).__name__}: ")
    assert words in line


def test_every_row_of_the_table_is_shown_by_a_case_and_the_last_one_is_for_everything():
    lines = [smtp_problem(raised, "smtp_default") for raised, _ in CASES]
    endings = [f"Check {row.fields} of smtp_default: {row.rule}" for row in SMTP_PROBLEMS]
    assert [ending for ending in endings if not any(line.endswith(ending) for line in lines)] == []
    assert len(set(endings)) == len(SMTP_PROBLEMS)
    assert smtp_problem(ZeroDivisionError(), "smtp_default").endswith(endings[-1])


def test_the_cause_counts_that_an_error_of_the_hook_hides():
    hidden = smtplib.SMTPServerDisconnected("closed")
    hidden.__context__ = TimeoutError("timed out")  # as smtplib leaves it
    assert "timeout in extra" in smtp_problem(hidden, "smtp_default")


def test_what_a_server_says_shows_no_secret_and_no_second_line():
    line = smtp_problem(smtplib.SMTPException("no: password=hunter2\nmore"), "smtp_default")
    assert "hunter2" not in line
    assert "more" not in line
