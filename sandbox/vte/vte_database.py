"""A VTE database on the emulated SQL Server."""

import re
from collections.abc import Mapping
from pathlib import Path

from sandbox.sqlserver.database import Database

NAME = "VTE9_3"
SCHEMA = Path(__file__).with_name("reference_schema.sql")
GRANT_READ_ONLY = Path(__file__).resolve().parents[2] / "include" / "sql" / "grant_read_only.sql"

_VARIABLE = re.compile(r"\$\((\w+)\)")


def open_database(*, schema: str | None = None) -> Database:
    """Return an empty database in memory with the reference schema, or with the one given.

    The login of the grant script has its rights and sees every name, as in the time of a survey; with another schema,
    somebody granted it whatever is there.
    """
    database = Database(name=NAME)
    database.run_script(SCHEMA.read_text(encoding="utf-8") if schema is None else schema)
    grants = GRANT_READ_ONLY.read_text(encoding="utf-8")
    database.run_script(re.findall(r"--\s+(GRANT VIEW DEFINITION .+;)", grants)[0])
    if schema is None:
        database.run_script(filled(grants, {"VTE_DATABASE": NAME, "VTE_ADAPTER_PASSWORD": "set by the server"}))
    else:
        grant_everything(database)
    return database


def grant_everything(database: Database) -> None:
    """Let the login of the grant script select what there is now, as whoever renames columns has to see to it."""
    user = re.findall(r"TO \[(\w+)\]", GRANT_READ_ONLY.read_text(encoding="utf-8"))[0]
    for table in database.catalog.tables():
        database.run_script(f"GRANT SELECT ON [{table.schema}].[{table.name}] TO [{user}]")


def filled(script: str, variables: Mapping[str, str]) -> str:
    """Return a script with the variables of sqlcmd put in, ``$(NAME)``; raises KeyError for one that is not given."""
    return _VARIABLE.sub(lambda found: variables[found[1]], re.sub(r"--[^\n]*", "", script))
