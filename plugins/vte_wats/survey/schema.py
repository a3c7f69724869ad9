"""The deployed schema beside the documented one: what is the same, what differs, and what the product does about it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from enum import StrEnum
from functools import cache, partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from vte_wats.config.settings import KEY_COLUMNS, OPTIONAL_COLUMNS, Settings
from vte_wats.domain.source import TEXT_TYPES
from vte_wats.preflight import findings_about_type

_DOCUMENTED = Path(__file__).with_name("documented_schema.json")
_ALIKE = 0.6  # of difflib: Serial and SerialNumber are at 0.67
_NOT_READ = "It is not read, so nothing follows. The login sees only what it may read."
_MAY_READ = "the login may read it (include/sql/grant_read_only.sql)"
_COMMON_COLUMNS = 0.6  # of a documented table, in a table of another name


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DocumentedTable(_Closed):
    """What is published about a table of VTE 9.31.1; a column whose type is not published has ``None``."""

    columns: dict[str, str | None]
    key: tuple[str, ...]
    references: dict[str, str]


class DeployedColumn(_Closed):
    """A column as the server declares it; ``max_length`` counts the characters of a text, -1 for MAX."""

    name: str
    data_type: str
    max_length: int | None = None
    nullable: bool = True

    @property
    def type_text(self) -> str:
        """The type as T-SQL writes it."""
        length = "" if self.max_length is None else "(max)" if self.max_length == -1 else f"({self.max_length})"
        return f"{self.data_type}{length}"


class DeployedKey(_Closed):
    """A foreign key: columns here and there go in pairs."""

    name: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


class DeployedIndex(_Closed):
    """An index with its key columns in order."""

    name: str
    columns: tuple[str, ...]
    primary: bool = False
    unique: bool = False


class DeployedTable(_Closed):
    """A table that the login can see; ``rows`` and bytes are the server's own count, ``None`` where not visible."""

    name: str
    columns: tuple[DeployedColumn, ...]
    indexes: tuple[DeployedIndex, ...] = ()
    foreign_keys: tuple[DeployedKey, ...] = ()
    rows: int | None = None
    data_bytes: int | None = None
    index_bytes: int | None = None

    @property
    def size_bytes(self) -> int | None:
        """What the table takes with its indexes."""
        return None if self.data_bytes is None else self.data_bytes + (self.index_bytes or 0)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the primary key."""
        return next((index.columns for index in self.indexes if index.primary), ())


class Likeness(StrEnum):
    """How a table or a column of the site stands to the documented one."""

    SAME = "same"
    NAMED = "named in column_overrides"
    RENAMED = "perhaps renamed"
    OTHER_TYPE = "other type"
    OTHER_KEY = "other key"
    MISSING = "missing"
    ADDITIONAL = "additional"


class Comparison(_Closed):
    """A table, or one of its columns, beside the documented one.

    ``table`` and ``column`` are the documented names, or those of the site where nothing is documented. ``here`` is the
    name at the site, for ``RENAMED`` a guess. ``candidates`` are the additional columns of its type, for a missing one
    that is read and has no guess. ``stops`` says that a sync cannot read this schema.
    """

    table: str
    column: str | None = None
    here: str | None = None
    candidates: tuple[str, ...] = ()
    likeness: Likeness
    documented: str | None = None
    deployed: str | None = None
    is_read: bool = False
    stops: bool = False
    consequence: str


class KeyComparison(_Closed):
    """A foreign key of the site beside the documented ones: columns ``columns`` of ``table`` point to ``parent``.

    The names are the documented ones, or those of the site where nothing is documented.
    """

    table: str
    columns: tuple[str, ...]
    parent: str
    likeness: Likeness
    consequence: str


@cache
def documented_schema() -> Mapping[str, DocumentedTable]:
    """Return what is published about the 21 tables of VTE 9.31.1."""
    return TypeAdapter(dict[str, DocumentedTable]).validate_python(json.loads(_DOCUMENTED.read_text(encoding="utf-8")))


def compare_schema(deployed: Sequence[DeployedTable], settings: Settings) -> list[Comparison]:
    """Return a line per table and per column, documented ones first, in their order."""
    by_name = {table.name.casefold(): table for table in deployed}
    lines: list[Comparison] = []
    for name, documented in documented_schema().items():
        found = by_name.pop(name_at_site(name, settings).casefold(), None)
        if found is not None:
            lines.append(_present_table(name, documented, found))
        else:
            found = _renamed_table(documented, by_name.values()) if name in KEY_COLUMNS else None
            lines.append(_missing_table(name, found))
        if found is not None:
            by_name.pop(found.name.casefold(), None)
            lines += _columns(name, documented, found, settings)
    lines += [
        Comparison(table=table.name, likeness=Likeness.ADDITIONAL, consequence="It is not documented and is not read.")
        for table in by_name.values()
    ]
    return lines


def compare_foreign_keys(deployed: Sequence[DeployedTable], settings: Settings) -> list[KeyComparison]:
    """Return a line per foreign key, documented ones first; of tables that are not there, none."""
    names = {name_at_site(name, settings).casefold(): name for name in documented_schema()}
    tables = {names.get(table.name.casefold(), table.name): table for table in deployed}
    present = {
        (of, tuple(_documented_column(of, column, settings) for column in key.columns), parent)
        for of, table in tables.items()
        for key in table.foreign_keys
        for parent in [names.get(key.parent.casefold(), key.parent)]
    }
    published = [
        (of, (column,), parent)
        for of, documented in documented_schema().items()
        if of in tables
        for column, parent in documented.references.items()
    ]
    additional = sorted(present.difference(published))
    return [
        *(_key_line(key, Likeness.SAME if key in present else Likeness.MISSING) for key in published),
        *(_key_line(key, Likeness.ADDITIONAL) for key in additional),
    ]


_OF_KEYS = {
    Likeness.SAME: "The server keeps rows from pointing to nothing.",
    Likeness.MISSING: "Rows may point to nothing: a run is read without what is missing there.",
    Likeness.ADDITIONAL: "It is not documented, and makes no difference.",
}


def _key_line(key: tuple[str, tuple[str, ...], str], likeness: Likeness) -> KeyComparison:
    table, columns, parent = key
    return KeyComparison(table=table, columns=columns, parent=parent, likeness=likeness, consequence=_OF_KEYS[likeness])


def name_at_site(name: str, settings: Settings) -> str:
    """Return what a documented table is called at the site."""
    override = settings.column_overrides.get(name)
    return (override.table if override else None) or name


def _documented_column(table: str, here: str, settings: Settings) -> str:
    """Return the documented name of a column of the site."""
    documented = documented_schema().get(table)
    read = KEY_COLUMNS.get(table, frozenset()) | OPTIONAL_COLUMNS.get(table, frozenset())
    for column in documented.columns if documented else ():
        named = settings.name_here(table, column) if column in read else f"{table}.{column}"
        if named is not None and named.split(".", 1)[1].casefold() == here.casefold():
            return column
    return here


def suggested_overrides(lines: Iterable[Comparison]) -> dict[str, dict[str, object]]:
    """Return the ``column_overrides`` that would read what is perhaps renamed, for a person to confirm."""
    overrides: dict[str, dict[str, object]] = {}
    for line in lines:
        if line.likeness is not Likeness.RENAMED or not line.is_read:
            continue
        override = overrides.setdefault(line.table, {})
        if line.column is None:
            override["table"] = line.here
        else:
            columns = override.setdefault("columns", {})
            assert isinstance(columns, dict)  # noqa: S101 -- made one line above
            columns[line.column] = line.here
    return overrides


def possible_names(lines: Iterable[Comparison]) -> dict[str, tuple[str, ...]]:
    """Return the columns that a missing one may be, for each that is read and nothing says which."""
    return {f"{line.table}.{line.column}": line.candidates for line in lines if line.candidates}


def _renamed_table(documented: DocumentedTable, others: Iterable[DeployedTable]) -> DeployedTable | None:
    """Return the one table without a documented name that has most of the documented columns."""
    wanted = {column.casefold() for column in documented.columns}
    known = {name.casefold() for name in documented_schema()}
    likely = [
        table
        for table in others
        if table.name.casefold() not in known
        and len(wanted & {column.name.casefold() for column in table.columns}) >= _COMMON_COLUMNS * len(wanted)
    ]
    return likely[0] if len(likely) == 1 else None


def _missing_table(name: str, guess: DeployedTable | None) -> Comparison:
    is_read = name in KEY_COLUMNS
    consequence = _NOT_READ
    if is_read:
        consequence = f"Every sync stops until {_MAY_READ} or column_overrides gives the name it has here."
    if guess is not None:
        consequence = f"Every sync stops until column_overrides gives its name; {guess.name} has its columns."
    return Comparison(
        table=name,
        here=guess.name if guess else None,
        likeness=Likeness.RENAMED if guess else Likeness.MISSING,
        is_read=is_read,
        stops=is_read,
        consequence=consequence,
    )


def _present_table(name: str, documented: DocumentedTable, found: DeployedTable) -> Comparison:
    is_read = name in KEY_COLUMNS
    renamed = found.name.casefold() != name.casefold()
    read_as = "It is read." if is_read else "It is not read."
    key, wanted = [column.casefold() for column in found.key], [column.casefold() for column in documented.key]
    if wanted and key != wanted and is_read:
        return Comparison(
            table=name,
            here=found.name,
            likeness=Likeness.OTHER_KEY,
            documented=", ".join(documented.key),
            deployed=", ".join(found.key) or "no primary key, or the login does not see it",
            is_read=True,
            consequence="It is read. A key that is not unique makes its runs dead letters, never doubled reports.",
        )
    return Comparison(
        table=name,
        here=found.name,
        likeness=Likeness.NAMED if renamed else Likeness.SAME,
        is_read=is_read,
        consequence=read_as,
    )


def _columns(name: str, documented: DocumentedTable, found: DeployedTable, settings: Settings) -> Iterator[Comparison]:
    rest = {column.name.casefold(): column for column in found.columns}
    read = KEY_COLUMNS.get(name, frozenset()) | OPTIONAL_COLUMNS.get(name, frozenset())
    missing: list[str] = []
    for column, documented_type in documented.columns.items():
        here = settings.name_here(name, column) if column in read else f"{name}.{column}"
        if here is None:
            yield _left_out(name, column, documented_type)
            continue
        deployed = rest.pop(here.split(".", 1)[1].casefold(), None)
        if deployed is None:
            missing.append(column)
        else:
            yield _present_column(name, column, documented_type, deployed, is_read=column in read)
    guesses: dict[str, DeployedColumn] = {}
    # A key says more than a name: what it takes is free for no other column.
    for guess_by in (partial(_by_keys, found, settings), _by_name):
        for column in [name for name in missing if name in read and name not in guesses]:
            guess = guess_by(column, documented, list(rest.values()))
            if guess is not None:
                guesses[column] = rest.pop(guess.name.casefold())
    for column in missing:
        guess, is_read = guesses.get(column), column in read
        others = [other.name for other in rest.values() if _is_of_kind(column, documented, other)]
        line = _missing_column(name, column, documented.columns[column], guess, is_read=is_read)
        yield line if guess or not is_read else line.model_copy(update={"candidates": tuple(others)})
    for additional in rest.values():
        yield Comparison(
            table=name,
            column=additional.name,
            here=additional.name,
            likeness=Likeness.ADDITIONAL,
            deployed=additional.type_text,
            consequence="It is not documented and is not read.",
        )


def _left_out(table: str, column: str, documented_type: str | None) -> Comparison:
    return Comparison(
        table=table,
        column=column,
        likeness=Likeness.NAMED,
        documented=documented_type,
        is_read=True,
        consequence="column_overrides says that this site has none; reports are made without it.",
    )


def _present_column(
    table: str, column: str, documented_type: str | None, deployed: DeployedColumn, *, is_read: bool
) -> Comparison:
    renamed = deployed.name.casefold() != column.casefold()
    likeness = Likeness.NAMED if renamed else Likeness.SAME
    consequence = "It is read." if is_read else "It is not read."
    stops = False
    if documented_type is not None and deployed.data_type != documented_type:
        likeness = Likeness.OTHER_TYPE
        findings = findings_about_type(table, column, f"{table}.{deployed.name}", deployed.data_type) if is_read else []
        stops = any(finding.level.value == "wrong" for finding in findings)
        consequence = " ".join(finding.text for finding in findings) or f"{consequence} The type makes no difference."
    return Comparison(
        table=table,
        column=column,
        here=deployed.name,
        likeness=likeness,
        documented=documented_type,
        deployed=deployed.type_text,
        is_read=is_read,
        stops=stops,
        consequence=consequence,
    )


def _missing_column(
    table: str, column: str, documented_type: str | None, guess: DeployedColumn | None, *, is_read: bool
) -> Comparison:
    consequence = _NOT_READ
    if is_read:
        or_null = "" if column in KEY_COLUMNS[table] else ", or null where the site has none"
        consequence = f"Every sync stops until {_MAY_READ} or column_overrides gives the name it has here{or_null}."
    if guess is not None:
        consequence = f"Every sync stops until column_overrides gives its name, which may be {guess.name}."
    return Comparison(
        table=table,
        column=column,
        here=guess.name if guess else None,
        likeness=Likeness.RENAMED if guess else Likeness.MISSING,
        documented=documented_type,
        deployed=guess.type_text if guess else None,
        is_read=is_read,
        stops=is_read,
        consequence=consequence,
    )


def _by_keys(
    found: DeployedTable, settings: Settings, column: str, documented: DocumentedTable, rest: Sequence[DeployedColumn]
) -> DeployedColumn | None:
    """Return the one column that is the primary key, or points to another table, where the missing one is or does."""
    parent = name_at_site(documented.references.get(column, ""), settings).casefold()
    likely = {key.columns[0].casefold() for key in found.foreign_keys if key.parent.casefold() == parent and parent}
    if documented.key == (column,) and len(found.key) == 1:
        likely = {found.key[0].casefold()}
    of_keys = [other for other in rest if other.name.casefold() in likely]
    return of_keys[0] if len(of_keys) == 1 and _is_of_kind(column, documented, of_keys[0]) else None


def _is_of_kind(column: str, documented: DocumentedTable, other: DeployedColumn) -> bool:
    return _kind(documented.columns[column]) == _kind(other.data_type)


def _by_name(column: str, documented: DocumentedTable, rest: Sequence[DeployedColumn]) -> DeployedColumn | None:
    """Return the one column of the same kind whose name is most like it; a tie is no answer."""
    scored = sorted(
        (
            (SequenceMatcher(None, _bare(column), _bare(other.name)).ratio(), other)
            for other in rest
            if _is_of_kind(column, documented, other)
        ),
        key=lambda pair: -pair[0],
    )
    likely = [pair for pair in scored if pair[0] >= _ALIKE]
    if not likely or (len(likely) > 1 and likely[0][0] == likely[1][0]):
        return None
    return likely[0][1]


def _bare(name: str) -> str:
    return name.casefold().replace("_", "")


def _kind(data_type: str | None) -> str | None:
    if data_type in TEXT_TYPES:
        return "text"
    return {"real": "float", "datetime2": "datetime", "smalldatetime": "datetime"}.get(str(data_type), data_type)
