"""SQL Server's and the driver's failures, sorted by whether the same statement may succeed later."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, RetriableError, VteWatsError
from vte_wats.domain.redaction import redact
from vte_wats.messages import VW299, Consequence, Message


@dataclass(frozen=True, slots=True)
class SqlError:
    """One row of the table: error numbers and their message, whose advice names ``{connection}`` and ``{variable}``."""

    message: Message
    numbers: tuple[int, ...]

    def advice_for(self, site: Site) -> str:
        """Return the advice with the names of a site."""
        return self.message.advice.format(connection=site.source_connection, variable=site.settings_variable)


VW207 = Message(
    "VW207",
    Consequence.RETRIED,
    "SQL error 64, 121, 233, 10053, 10054, 10060, 10061, 20002, 20004, 20006, 20009, 20017, 20047",
    "the connection failed or was lost",
    "retried; if it persists, check host, port, firewall and SQL Server, and its certificate where freetds.conf has a "
    "ca file",
)
VW208 = Message(
    "VW208",
    Consequence.RETRIED,
    "SQL error 924, 927, 942, 945, 952, 976, 978, 979, 983, 988, 4060, 4221",
    "the database cannot be opened",
    "retried; check the database (field Schema) of connection {connection} if it persists",
)
VW209 = Message(
    "VW209",
    Consequence.STOPS,
    "SQL error 18456, 18452, 18470, 18486, 18487, 18488",
    "the login was refused",
    "check login and password of connection {connection}. A contained user, who exists in one database alone, is "
    "refused just so while that database is not open: the next sync catches up",
)
VW214 = Message(
    "VW214",
    Consequence.STOPS,
    "SQL error 220, 232, 241, 242, 244, 245, 248, 517, 535, 536, 537, 2628, 8114, 8115, 8134, 8152, 8169, 9420",
    "a value cannot be converted or computed with, or a column holds another type than documented",
    "look at the value in VTE, and check column_overrides",
)

# SQL Server numbers, then DB-Library's own (20002 …) and the socket's (10053 …).
SQL_ERRORS: tuple[SqlError, ...] = (
    SqlError(
        Message("VW201", Consequence.RETRIED, "SQL error 1205", "the reader lost a deadlock", "retried; nothing to do"),
        (1205,),
    ),
    SqlError(
        Message(
            "VW202",
            Consequence.RETRIED,
            "SQL error 1222",
            "a lock was held longer than lock_timeout_ms",
            "retried; nothing to do",
        ),
        (1222,),
    ),
    SqlError(
        Message(
            "VW203",
            Consequence.RETRIED,
            "SQL error 3958, 3960, 3961, 3966, 3967",
            "the snapshot was made invalid by a change, or tempdb had no room for it",
            "retried; nothing to do unless it persists: then give tempdb more room",
        ),
        (3958, 3960, 3961, 3966, 3967),
    ),
    SqlError(
        Message(
            "VW215",
            Consequence.RETRIED,
            "SQL error 3952",
            "the database no longer allows snapshots",
            "retried without; nothing to do",
        ),
        (3952,),
    ),
    SqlError(
        Message(
            "VW204",
            Consequence.RETRIED,
            "SQL error -2, 20003",
            "the query timed out",
            "retried; raise the connection extra timeout if it persists",
        ),
        (-2, 20003),
    ),
    SqlError(
        Message(
            "VW205",
            Consequence.RETRIED,
            "SQL error 17187, 17188, 17189, 17197, 18401, 18451, 18461",
            "SQL Server is starting or stopping, or admits administrators only",
            "retried; nothing to do unless it persists",
        ),
        (17187, 17188, 17189, 17197, 18401, 18451, 18461),
    ),
    SqlError(
        Message(
            "VW216",
            Consequence.RETRIED,
            "SQL error 596, 6005, 17142",
            "SQL Server is stopping, is paused or ended the session",
            "retried; nothing to do unless it persists",
        ),
        (596, 6005, 17142),
    ),
    SqlError(
        Message(
            "VW206",
            Consequence.RETRIED,
            "SQL error 10928, 10929, 40197, 40501, 40613, 49918, 49919, 49920",
            "the database service is busy",
            "retried; nothing to do",
        ),
        (10928, 10929, 40197, 40501, 40613, 49918, 49919, 49920),
    ),
    SqlError(
        Message(
            "VW217",
            Consequence.RETRIED,
            "SQL error 617, 669, 701, 802, 845, 1101, 1105, 1203, 1204, 8628, 8645, 8651",
            "SQL Server has no memory, locks or room in tempdb left for the query",
            "retried; lower batch_size in Variable {variable} if it persists",
        ),
        (617, 669, 701, 802, 845, 1101, 1105, 1203, 1204, 8628, 8645, 8651),
    ),
    SqlError(
        VW207,
        (64, 121, 233, 10053, 10054, 10060, 10061, 20002, 20004, 20006, 20009, 20017, 20047),
    ),
    SqlError(
        VW208,
        (924, 927, 942, 945, 952, 976, 978, 979, 983, 988, 4060, 4221),
    ),
    SqlError(
        VW209,
        (18456, 18452, 18470, 18486, 18487, 18488),
    ),
    SqlError(
        Message(
            "VW210",
            Consequence.STOPS,
            "SQL error 229, 230, 297, 300, 916",
            "the login may not read this",
            "run include/sql/grant_read_only.sql as administrator",
        ),
        (229, 230, 297, 300, 916),
    ),
    SqlError(
        Message(
            "VW211",
            Consequence.STOPS,
            "SQL error 208",
            "a table does not exist",
            "set source_schema or column_overrides in Variable {variable}",
        ),
        (208,),
    ),
    SqlError(
        Message(
            "VW212",
            Consequence.STOPS,
            "SQL error 207",
            "a column does not exist",
            "set column_overrides in Variable {variable}",
        ),
        (207,),
    ),
    SqlError(
        Message(
            "VW213",
            Consequence.STOPS,
            "SQL error 102, 156",
            "SQL Server did not understand the statement",
            "report it with the message",
        ),
        (102, 156),
    ),
    SqlError(
        Message(
            "VW218",
            Consequence.STOPS,
            "SQL error 206, 402, 529",
            "a column has a type that the statement cannot use",
            "see what the preflight says of its type, and set column_overrides in Variable {variable}",
        ),
        (206, 402, 529),
    ),
    SqlError(
        Message(
            "VW565",
            Consequence.WARNS,
            "SQL error 262",
            "the login lacks the right SHOWPLAN",
            "nothing to do: the survey says what the preflight finds of indexes in their place. Or grant SHOWPLAN for "
            "the time of a survey: include/sql/grant_read_only.sql has the line",
        ),
        (262,),
    ),
    SqlError(
        VW214,
        (220, 232, 241, 242, 244, 245, 248, 517, 535, 536, 537, 2628, 8114, 8115, 8134, 8152, 8169, 9420),
    ),
)

# pymssql gives these neither a number nor the reason: the connection broke just after the login, or between two calls.
_LOST_WITHOUT_NUMBER = (
    "Could not set connection properties",
    "Connection to the database failed",
    "Not connected to any",
)
_LOST = 20047  # DB-Library's number for the same

_HEADING = "DB-Lib error message"
_DRIVER_MESSAGE = re.compile(rf"{_HEADING} (\d+), severity (\d+)")
_SEE_SERVER_MESSAGE = 20018  # "check messages from the SQL Server", with the severity of a message that is lost
_BY_SEVERITY = {14: 18456, 11: 4060}


def translate_error(exc: Exception, doing: str, site: Site) -> VteWatsError:
    """Return the product's error for a driver's error.

    What a person must change is a closed list; an unlisted number gets the ordinary tries, and a person is notified
    when they are used up.
    """
    number, text = _number_and_text(exc)
    said = f"{'no SQL error number' if number is None else f'SQL error {number}'}: {text}"
    for row in SQL_ERRORS:
        if number in row.numbers:
            error = RetriableError if row.message.follows is Consequence.RETRIED else FatalError
            summary = f"VTE: {row.message.meaning} while {doing} ({said})"
            return error(row.message, f"{summary}; {row.advice_for(site)}")
    return RetriableError(VW299, f"VTE: unexpected error while {doing} ({said})")


def _number_and_text(exc: Exception) -> tuple[int | None, str]:
    """Find the number in pymssql's ``(number, bytes)``, which it sometimes nests in one more tuple.

    pymssql repeats the number of the last failed login when a later connection fails before the server sends anything.
    So the number counts only when the server's own message comes first; else DB-Library's number in the text does, or
    the severity where DB-Library only says that the server refused.
    """
    args = exc.args[0] if exc.args and isinstance(exc.args[0], tuple) else exc.args
    number = args[0] if args and isinstance(args[0], int) else None
    raw = args[1] if len(args) > 1 else (args[0] if args else "")
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    if _DRIVER_MESSAGE.match(text):
        messages = [(int(code), int(severity)) for code, severity in _DRIVER_MESSAGE.findall(text)]
        refused = next((severity for code, severity in messages if code == _SEE_SERVER_MESSAGE), None)
        number = messages[0][0] if refused is None else _BY_SEVERITY.get(refused, number)
    lines = (line.strip() for line in text.replace(_HEADING, f"\n{_HEADING}").splitlines())
    first_line = next((line for line in lines if line and not line.startswith(_HEADING)), "no message")
    if number is None and first_line.startswith(_LOST_WITHOUT_NUMBER):
        number = _LOST
    return number, redact(first_line)[:300]
