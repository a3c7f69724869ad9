"""A factory whose VTE calls its columns by names of its own, and declares no foreign keys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from sandbox.factory_data.factory import FactoryData
from sandbox.sqlserver.database import Database
from sandbox.vte.vte_database import SCHEMA, open_database

Names = Mapping[str, Mapping[str, str]]


class RenamedPlant:
    """A database in which columns have other names, by table; ``additional`` ones, as T-SQL declares them, are empty."""

    def __init__(self, names: Names, additional: Mapping[str, str]) -> None:
        self._names = names
        self.db: Database = open_database(schema=_schema(names, additional))

    def load(self, *, start: datetime, end: datetime, runs: int, seed: int = 7) -> None:
        FactoryData(seed=seed, timezone="UTC").load(self, start=start, end=end, runs=runs)

    def insert_arrow(self, table: str, rows: pa.Table) -> None:
        self.db.insert_arrow(table, rows.rename_columns([self._here(table, name) for name in rows.column_names]))

    def insert_rows(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self.db.insert_rows(
            {
                t: [{self._here(t, name): v for name, v in row.items()} for row in of_table]
                for t, of_table in rows.items()
            }
        )

    def _here(self, table: str, column: str) -> str:
        return self._names.get(table, {}).get(column, column)


def _schema(names: Names, additional: Mapping[str, str]) -> str:
    text = re.sub(
        r"ALTER TABLE \[dbo\]\.\[\w+\] ADD CONSTRAINT [^;]*? FOREIGN KEY [^;]*;", "", SCHEMA.read_text(encoding="utf-8")
    )
    for table in names.keys() | additional.keys():
        head = f"CREATE TABLE [dbo].[{table}] (\n"
        before, body, after = text.partition(head)[0], *text.partition(head)[2].partition("\n);")[::2]
        if table in additional:
            body = f"    {additional[table]},\n{body}"
        for column, here in names.get(table, {}).items():
            body = body.replace(f"    [{column}] ", f"    [{here}] ")
            after = after.replace(f"ON [dbo].[{table}] ([{column}])", f"ON [dbo].[{table}] ([{here}])")
        text = f"{before}{head}{body}\n);{after}"
    return text
