"""A VTE database on the emulated SQL Server."""

from pathlib import Path

from sandbox.sqlserver.database import Database

NAME = "VTE9_3"
SCHEMA = Path(__file__).with_name("reference_schema.sql")


def open_database(*, schema: str | None = None) -> Database:
    """Return an empty database in memory with the reference schema, or with the one given."""
    database = Database(name=NAME)
    database.run_script(SCHEMA.read_text(encoding="utf-8") if schema is None else schema)
    return database
