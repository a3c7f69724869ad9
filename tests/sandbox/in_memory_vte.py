"""An in-memory double of the VTE database: the reference schema's tables in DuckDB, without a server."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from sandbox.vte.vte_database import SCHEMA

_DUCKDB_TYPES = {
    "uniqueidentifier": "UUID",
    "datetime": "TIMESTAMP",
    "int": "INTEGER",
    "bit": "BOOLEAN",
    "real": "FLOAT",
    "float": "DOUBLE",
    "nvarchar(255)": "VARCHAR",
    "nvarchar(max)": "VARCHAR",
    "varbinary(max)": "BLOB",
}


def schema_tables(text: str) -> dict[str, dict[str, str]]:
    """Read table → column → T-SQL type from the schema's own layout: one column a line."""
    return {
        table: dict(re.findall(r"^    \[(\w+)\] (\S+) ", body, re.MULTILINE))
        for table, body in re.findall(r"CREATE TABLE \[dbo\]\.\[(\w+)\] \((.*?)\n\);", text, re.DOTALL)
    }


class InMemoryVte:
    """Takes what the plant writes; primary keys refuse doubles as the real ones do."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.transactions: list[tuple[str, ...]] = []
        text = SCHEMA.read_text(encoding="utf-8")
        keys = dict(re.findall(r"\[(\w+)\] uniqueidentifier NOT NULL CONSTRAINT \[PK_(\w+)\]", text))
        keys = {table: column for column, table in keys.items()}
        for table, columns in schema_tables(text).items():
            listed = ", ".join(
                f'"{column}" {_DUCKDB_TYPES[kind]}{" PRIMARY KEY" if keys.get(table) == column else ""}'
                for column, kind in columns.items()
            )
            self.connection.execute(f'CREATE TABLE "{table}" ({listed})')

    def insert_arrow(self, table: str, rows: pa.Table) -> None:
        self.connection.register("incoming", rows)
        self.connection.execute(f'INSERT INTO "{table}" BY NAME SELECT * FROM incoming')
        self.connection.unregister("incoming")

    def insert_rows(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        cursor = self.connection.cursor()
        cursor.begin()
        for table, listed in rows.items():
            for row in listed:
                names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
                cursor.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', list(row.values()))
        cursor.commit()
        self.transactions.append(tuple(rows))

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        cursor = self.connection.cursor().execute(query, list(values))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def value(self, query: str, *values: object) -> Any:
        (value,) = self.connection.cursor().execute(query, list(values)).fetchall()[0]
        return value
