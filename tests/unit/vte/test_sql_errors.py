from __future__ import annotations

import pymssql
import pytest

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.vte.sql_errors import SQL_ERRORS, VW214, translate_error

RETRIABLE = [
    1205, 1222, 3952, 3958, 3960, 3961, 3966, 3967, -2, 20003, 18401, 40197, 40501, 40613, 49918, 49919, 49920,
    64, 121, 233, 10053, 10054, 10060,
    10061, 20002, 20004, 20006, 20009, 20017, 20047, 4060, 924, 927, 942, 945, 952, 976, 978, 979, 983, 596, 6005, 17142,
    617, 669, 701, 802, 845, 988, 1101, 1105, 1203, 1204, 4221, 8628, 8645, 8651, 10928, 10929,
    17187, 17188, 17189, 17197, 18451, 18461,
]  # fmt: skip
FATAL = [
    18456,
    18452,
    18470,
    18486,
    18487,
    18488,
    229,
    230,
    297,
    300,
    916,
    208,
    207,
    102,
    156,
    262,
    206,
    402,
    529,
    220,
    232,
    241,
    242,
    244,
    245,
    248,
    517,
    535,
    536,
    537,
    2628,
    8114,
    8115,
    8134,
    8152,
    8169,
    9420,
]


@pytest.mark.report("P6")
@pytest.mark.parametrize("number", RETRIABLE)
def test_a_failure_that_may_pass_is_retried(number):
    error = translate_error(pymssql.OperationalError((number, b"said the server")), "running select_runs", Site())
    assert type(error) is RetriableError
    assert error.retry_after_s is None


@pytest.mark.parametrize("number", FATAL)
def test_a_failure_that_needs_a_person_stops(number):
    error = translate_error(pymssql.OperationalError(number, b"said the server"), "running select_runs", Site())
    assert type(error) is FatalError


@pytest.mark.parametrize("number", [537, 2628, 8134, 8152, 9420])
def test_an_error_that_a_value_in_a_row_causes_says_so(number):
    error = translate_error(pymssql.OperationalError(number, b"said the server"), "running select_runs", Site())
    assert error.message is VW214


def test_the_table_lists_every_number_once():
    numbers = [number for error in SQL_ERRORS for number in error.numbers]
    assert sorted(numbers) == sorted(RETRIABLE + FATAL)


@pytest.mark.parametrize("number", [0, 2714, 547, 50_000, 99_999])
def test_an_unlisted_number_is_tried_again_and_named(number):
    error = translate_error(pymssql.ProgrammingError((number, b"what is this")), "running select_runs", Site())
    assert type(error) is RetriableError
    assert f"SQL error {number}: what is this" in str(error)
    assert "running select_runs" in str(error)


LOGIN_REFUSED = (
    b"Login failed for user 'vte_adapter_readonly'.DB-Lib error message 20018, severity 14:\n"
    b"General SQL Server error: Check messages from the SQL Server\n"
    b"DB-Lib error message 20002, severity 9:\nAdaptive Server connection failed (192.0.2.7)\n"
)
REFUSED_BEHIND_A_LOST_ONE = (
    b"DB-Lib error message 20047, severity 9:\nDBPROCESS is dead or not enabled\n"
    b"DB-Lib error message 20018, severity 14:\nGeneral SQL Server error: Check messages from the SQL Server\n"
)
NOT_REACHED = (
    b"DB-Lib error message 20009, severity 9:\n"
    b"Unable to connect: Adaptive Server is unavailable or does not exist (192.0.2.7)\n"
    b"Net-Lib error during Connection refused (111)\n"
)


@pytest.mark.parametrize(
    ("exc", "kind", "expected"),
    [
        pytest.param(
            pymssql.OperationalError((18456, LOGIN_REFUSED)),
            FatalError,
            "(SQL error 18456: Login failed for user '***'.)",
            id="login-refused-nested",
        ),
        pytest.param(
            pymssql.OperationalError(245, b"value '" + b"x" * 270 + b" https://u:hunter2@wats' is no number"),
            FatalError,
            f"(SQL error 245: value '{'x' * 270} https://***@wats' is n)",
            id="password-at-the-cut",
        ),
        pytest.param(
            pymssql.OperationalError(245, b"Conversion failed: '\x1b[31m'"),
            FatalError,
            r"(SQL error 245: Conversion failed: '\x1b[31m')",
            id="value-that-a-terminal-obeys",
        ),
        pytest.param(
            pymssql.OperationalError((4060, REFUSED_BEHIND_A_LOST_ONE)),
            FatalError,
            "(SQL error 18456: DBPROCESS is dead or not enabled)",
            id="login-refused-after-a-connection-that-was-lost",
        ),
        pytest.param(
            pymssql.OperationalError(20009, NOT_REACHED),
            RetriableError,
            "(SQL error 20009: Unable to connect: Adaptive Server is unavailable or does not exist (192.0.2.7))",
            id="server-not-reached",
        ),
        pytest.param(
            pymssql.OperationalError(1205, b"Transaction (Process ID 5) was deadlocked. Rerun."),
            RetriableError,
            "(SQL error 1205: Transaction (Process ID 5) was deadlocked. Rerun.)",
            id="deadlock-flat",
        ),
        pytest.param(
            pymssql.ProgrammingError((207, "Ungültiger Spaltenname 'Info3'.".encode())),
            FatalError,
            "Ungültiger Spaltenname 'Info3'.",
            id="in-the-servers-language",
        ),
        pytest.param(
            pymssql.OperationalError((208, b"\xff broken")), FatalError, "SQL error 208: \ufffd broken", id="no-utf-8"
        ),
        pytest.param(
            pymssql.InterfaceError("Connection is closed."),
            RetriableError,
            "no SQL error number: Connection is closed.",
            id="text",
        ),
        pytest.param(
            pymssql.InterfaceError("Could not set connection properties"),
            RetriableError,
            "Could not set connection properties",
            id="lost-just-after-the-login",
        ),
        pytest.param(
            pymssql.InterfaceError("Not connected to any MS SQL server"),
            RetriableError,
            "Not connected to any MS SQL server",
            id="lost-between-two-calls",
        ),
        pytest.param(pymssql.Error(), RetriableError, "no SQL error number: no message", id="no-arguments"),
        pytest.param(pymssql.OperationalError(20006, b""), RetriableError, "no message", id="empty-text"),
    ],
)
def test_the_number_and_the_first_message_are_found_in_whatever_the_driver_raises(exc, kind, expected):
    error = translate_error(exc, "connecting", Site())
    assert type(error) is kind
    assert expected in str(error)
    assert "\n" not in str(error)
    assert "DB-Lib" not in str(error)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        pytest.param(18456, "check login and password of connection vte_default", id="login"),
        pytest.param(229, "grant_read_only.sql", id="permission"),
        pytest.param(208, "source_schema or column_overrides in Variable vte_wats", id="no-table"),
        pytest.param(207, "set column_overrides in Variable vte_wats", id="no-column"),
        pytest.param(4060, "check the database (field Schema) of connection vte_default", id="no-database"),
        pytest.param(20009, "check host, port, firewall", id="no-connection"),
        pytest.param(1205, "nothing to do", id="deadlock"),
        pytest.param(20003, "timeout", id="timeout"),
    ],
)
def test_the_message_ends_with_what_to_do(number, advice):
    _, _, message = str(translate_error(pymssql.OperationalError((number, b"text")), "connecting", Site())).rpartition(
        "text); "
    )
    assert advice in message


def test_a_long_message_is_cut():
    assert len(str(translate_error(pymssql.OperationalError((208, b"x" * 10_000)), "connecting", Site()))) < 600
