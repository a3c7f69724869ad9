"""Errors of SQL Server by their real numbers, states, classes and words."""

from __future__ import annotations

from dataclasses import dataclass, replace

FOREIGN_KEY_CONFLICT = 547


@dataclass(eq=False)
class SqlServerError(Exception):
    """One ERROR token: what the client sees as number, state, class (severity) and text.

    `aborts_transaction` says whether the server rolls an open transaction back because of it; `followed_by` are the
    errors that come with it.
    """

    number: int
    message: str
    severity: int = 16
    state: int = 1
    aborts_transaction: bool = False
    followed_by: tuple[SqlServerError, ...] = ()

    def __str__(self) -> str:
        return f"{self.number}: {self.message}"


def syntax(near: str) -> SqlServerError:
    return SqlServerError(102, f"Incorrect syntax near '{near}'.", 15)


def unknown_function(name: str) -> SqlServerError:
    return SqlServerError(195, f"'{name}' is not a recognized built-in function name.", 15, 10)


def unknown_set_option(name: str) -> SqlServerError:
    return SqlServerError(195, f"'{name}' is not a recognized SET option.", 15, 5)


def unknown_table(name: str) -> SqlServerError:
    return SqlServerError(208, f"Invalid object name '{name}'.")


def unknown_column(name: str) -> SqlServerError:
    return SqlServerError(207, f"Invalid column name '{name}'.")


def unbound(name: str) -> SqlServerError:
    return SqlServerError(4104, f'The multi-part identifier "{name}" could not be bound.')


def ambiguous_column(name: str) -> SqlServerError:
    return SqlServerError(209, f"Ambiguous column name '{name}'.")


def operand_clash(left: str, right: str) -> SqlServerError:
    return SqlServerError(206, f"Operand type clash: {left} is incompatible with {right}", state=2)


def not_emulated(what: str) -> SqlServerError:
    """Answer valid T-SQL that this server does not know; the message names the construct."""
    return SqlServerError(40517, f"Keyword or statement option '{what}' is not supported by the emulated SQL Server.")


def statement_not_emulated(what: str) -> SqlServerError:
    return SqlServerError(40510, f"Statement '{what}' is not supported by the emulated SQL Server.", 15)


def cross_database(name: str) -> SqlServerError:
    return SqlServerError(
        40515,
        f"Reference to database and/or server name in '{name}' is not supported in this version of SQL Server.",
        15,
    )


def permission_denied(permission: str, target: str, database: str) -> SqlServerError:
    return SqlServerError(
        229,
        f"The {permission} permission was denied on the object '{target}', database '{database}', schema 'dbo'.",
        14,
        5,
    )


def column_denied(column: str, table: str, database: str) -> SqlServerError:
    return SqlServerError(
        230,
        f"The SELECT permission was denied on the column '{column}' of the object '{table}', database '{database}', "
        "schema 'dbo'.",
        14,
    )


def showplan_denied(database: str) -> SqlServerError:
    return SqlServerError(262, f"SHOWPLAN permission denied in database '{database}'.", 14, 4)


def showplan_not_alone() -> SqlServerError:
    return SqlServerError(1067, "The SET SHOWPLAN statements must be the only statements in the batch.", 15)


def readpast_refused() -> SqlServerError:
    return SqlServerError(
        650, "You can only specify the READPAST lock in the READ COMMITTED or REPEATABLE READ isolation levels."
    )


def login_failed(name: str) -> SqlServerError:
    return SqlServerError(18456, f"Login failed for user '{name}'.", 14)


def cannot_open_database(name: str) -> SqlServerError:
    return SqlServerError(4060, f'Cannot open database "{name}" requested by the login. The login failed.', 11)


def no_such_database(name: str) -> SqlServerError:
    return SqlServerError(
        911, f"Database '{name}' does not exist. Make sure that the name is entered correctly.", aborts_transaction=True
    )


def datetime_from_text() -> SqlServerError:
    return SqlServerError(
        241, "Conversion failed when converting date and/or time from character string.", aborts_transaction=True
    )


def datetime_out_of_range() -> SqlServerError:
    return SqlServerError(
        242,
        "The conversion of a varchar data type to a datetime data type resulted in an out-of-range value.",
        state=3,
        aborts_transaction=True,
    )


def conversion_failed(kind: str, value: str, target: str) -> SqlServerError:
    return SqlServerError(
        245,
        f"Conversion failed when converting the {kind} value '{value}' to data type {target}.",
        aborts_transaction=True,
    )


WELL_KNOWN: dict[int, SqlServerError] = {
    error.number: error
    for error in (
        SqlServerError(
            1205,
            "Transaction (Process ID 57) was deadlocked on lock resources with another process and has been chosen "
            "as the deadlock victim. Rerun the transaction.",
            13,
            51,
            aborts_transaction=True,
        ),
        SqlServerError(1222, "Lock request time out period exceeded.", 16, 51),
        SqlServerError(
            3960,
            "Snapshot isolation transaction aborted due to update conflict.",
            16,
            2,
            aborts_transaction=True,
        ),
        SqlServerError(4060, "Cannot open database requested by the login. The login failed.", 11),
        SqlServerError(
            18401,
            "Login failed. Reason: Server is in script upgrade mode. Only administrator can connect at this time.",
            14,
        ),
        SqlServerError(18456, "Login failed.", 14),
        SqlServerError(40197, "The service has encountered an error processing your request. Please try again.", 17),
        SqlServerError(40501, "The service is currently busy. Retry the request after 10 seconds.", 20),
        SqlServerError(40613, "Database on server is not currently available. Please retry the connection later.", 17),
    )
}


def well_known(number: int) -> SqlServerError:
    """Return the error with SQL Server's own class and wording, or a plain class 16 one."""
    known = WELL_KNOWN.get(number)
    return replace(known) if known is not None else SqlServerError(number, f"Error {number}.")
