"""Looks at what additional columns hold, to find those that are read and have another name: a few rows of each."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from vte_wats.config.settings import KEY_COLUMNS, Identifier, Settings
from vte_wats.domain.errors import FatalError, VteWatsError
from vte_wats.survey.column_rules import Fit, Pair, Rule, counted, is_required, judged, rules_for
from vte_wats.survey.schema import (
    Comparison,
    DeployedColumn,
    DeployedTable,
    Fits,
    Likeness,
    compare_schema,
    documented_schema,
    is_of_kind,
)

log = logging.getLogger(__name__)

_READ_CHARACTERS = 100  # of a text
_LOOKED_UP = 50
_MOST_COLUMNS = 40  # additional ones of a table that are looked at
_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)


class ContentSource(Protocol):
    """Reads a few values of a column, by the names of the site."""

    def column_values(self, table: str, column: DeployedColumn, beside: DeployedColumn | None) -> Sequence[Pair]:
        """Return values of a column with those of another one in the same rows, or with ``None``."""

    def values_in(self, table: str, column: DeployedColumn, values: Sequence[Any]) -> int:
        """Return how many of the values a column has; at most 50 are looked for."""


def look_at_content(source: ContentSource, tables: Sequence[DeployedTable], settings: Settings) -> Fits:
    """Return how each additional column fits each one that is missing and read, where a rule says what that holds.

    What is found in one round lets rules be asked in the next that need it. Content that may not be read decides
    nothing; what keeps VTE from answering ends the look, not the survey.
    """
    look, rules = _Look(source, tables), rules_for(settings)
    fits: dict[tuple[str, str, str], Fit] = {}
    try:
        while True:
            lines = compare_schema(tables, settings, fits)
            names = look.names(lines)
            asked = {
                (table, column, additional.name): (rules[table, column], table_here, additional)
                for table, table_here, column, additional in look.pairs(lines)
                if (table, column, additional.name) not in fits and _is_known(rules.get((table, column)), table, names)
            }
            if not asked:
                return fits
            for pair, (rule, table_here, additional) in asked.items():
                fits[pair] = look.fit(rule, pair, table_here, additional, names)
    except VteWatsError as error:
        log.warning("%s; what the other columns hold stays unknown", error)
        return fits


_Names = Mapping[tuple[str, str], tuple[str, DeployedColumn]]


def _is_known(rule: Rule | None, table: str, names: _Names) -> bool:
    """Return whether there is a rule, and every other column that it needs has a name."""
    if rule is None:
        return False
    beside = (table, rule.beside) if rule.beside else None
    return all(needed in names for needed in (beside, rule.other) if needed)


class _Look:
    """What is read of the source, once each."""

    def __init__(self, source: ContentSource, tables: Sequence[DeployedTable]) -> None:
        self._tables = {table.name: table for table in tables}
        self._columns = {(table.name, column.name): column for table in tables for column in table.columns}
        self._values_in = source.values_in
        self._values = cache(source.column_values)

    def names(self, lines: Sequence[Comparison]) -> _Names:
        """Return what documented columns are called here, as far as that is known; those of Users are not used."""
        tables = _tables_here(lines)
        return {
            (line.table, line.column): (tables[line.table], self._columns[tables[line.table], line.here])
            for line in lines
            if line.column and line.here and line.table in tables and line.likeness is not Likeness.ADDITIONAL
        }

    def pairs(self, lines: Sequence[Comparison]) -> Iterator[tuple[str, str, str, DeployedColumn]]:
        """Yield every column that is missing, or whose name is guessed, with each additional one of its kind."""
        for table, table_here in _tables_here(lines).items():
            of_table = [line for line in lines if line.table == table and line.column and table in KEY_COLUMNS]
            missing = [line for line in of_table if line.is_read and line.likeness in _OPEN]
            names = [line.here for line in of_table if line.likeness in {Likeness.RENAMED, Likeness.ADDITIONAL}]
            for column in [self._columns[table_here, name] for name in names if name and _may_be_named(name)][
                :_MOST_COLUMNS
            ]:
                for line in missing:
                    if line.column and is_of_kind(line.column, documented_schema()[table], column):
                        yield table, table_here, line.column, column

    def fit(
        self, rule: Rule, pair: tuple[str, str, str], table_here: str, additional: DeployedColumn, names: _Names
    ) -> Fit:
        """Return how a column fits; one that the login may not read decides nothing."""
        table, column, _ = pair
        try:
            if rule.within:
                values = _some_of(self._values(table_here, additional, None))
                return counted(rule, len(values), self._values_in(*names[rule.within], values) if values else 0)
            if rule.has:
                values = _some_of(self._values(*names[rule.has], None))
                return counted(rule, len(values), self._values_in(table_here, additional, values) if values else 0)
            beside = names[table, rule.beside][1] if rule.beside else None
            return judged(rule, self._values(table_here, additional, beside), required=is_required(table, column))
        except FatalError as error:
            log.warning("%s; what %s.%s holds stays unknown", error, table_here, additional.name)
            return Fit(holds=None, seen="it cannot be read")


_OPEN = {Likeness.MISSING, Likeness.RENAMED}


def _tables_here(lines: Sequence[Comparison]) -> dict[str, str]:
    """Return what documented tables are called here, without Users: nothing of it is looked at."""
    return {
        line.table: line.here
        for line in lines
        if line.column is None and line.here and "users" not in {line.table.casefold(), line.here.casefold()}
    }


def _may_be_named(name: str) -> bool:
    """Return whether ``column_overrides`` can name this column; whatever is called Password is left alone."""
    try:
        return _IDENTIFIER.validate_python(name).casefold() != "password"
    except ValidationError:
        return False


def _some_of(pairs: Sequence[Pair]) -> list[Any]:
    """Return some of the different values, the first ones, as SQL Server distinguishes them; none that may be cut."""
    values = (value.rstrip(" ") if isinstance(value, str) else value for _, value in pairs)
    whole = [value for value in values if value and not (isinstance(value, str) and len(value) >= _READ_CHARACTERS)]
    return list(dict.fromkeys(whole))[:_LOOKED_UP]
