"""The deployed schema beside the documented one: what is the same, what differs, and what the product does about it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, TypeAdapter

from vte_wats.config.settings import KEY_COLUMNS, OPTIONAL_COLUMNS, Settings
from vte_wats.domain.source import TEXT_TYPES
from vte_wats.preflight import findings_about_type
from vte_wats.survey.column_rules import Fit, is_required

_DOCUMENTED = Path(__file__).with_name("documented_schema.json")
BINARY_TYPES = frozenset({"binary", "varbinary", "image"})
_UNKNOWN = Fit(holds=None)
_ALIKE_TYPES = {
    "real": "float",
    "datetime2": "datetime",
    "smalldatetime": "datetime",
    **dict.fromkeys(BINARY_TYPES, "varbinary"),
}
_ALIKE = 0.6  # of difflib: Serial and SerialNumber are at 0.67
_NOT_READ = "It is not read, so nothing follows."
_MAY_READ = "the login may read it (include/sql/grant_read_only.sql)"
_COMMON_COLUMNS = 0.6  # of a documented table, in a table of another name

Fits = Mapping[tuple[str, str, str], Fit]
"""What the content says: a documented table, a column of it that is missing, and one of the site that it may be."""


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
    NOT_SEEN = "not seen by this login"
    ADDITIONAL = "additional"


class Comparison(_Closed):
    """A table, or one of its columns, beside the documented one.

    ``table`` and ``column`` are the documented names, or those of the site where nothing is documented. ``here`` is the
    name at the site, for ``RENAMED`` a guess. ``candidates`` are the additional columns of its type whose content does
    not rule them out, for a missing one that is read and has no guess; ``seen`` says of each what it holds.
    ``stops`` says that a sync cannot read this schema.
    """

    table: str
    column: str | None = None
    here: str | None = None
    candidates: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
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


def compare_schema(
    deployed: Sequence[DeployedTable], settings: Settings, fits: Fits = MappingProxyType({})
) -> list[Comparison]:
    """Return a line per table and per column, documented ones first, in their order; ``fits`` help to guess names."""
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
            lines += _columns(name, documented, found, settings, fits)
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
        (child, tuple(_documented_column(child, column, settings) for column in key.columns), parent)
        for child, table in tables.items()
        for key in table.foreign_keys
        for parent in [names.get(key.parent.casefold(), key.parent)]
    }
    published = [
        (child, (column,), parent)
        for child, documented in documented_schema().items()
        if child in tables
        for column, parent in documented.references.items()
    ]
    additional = sorted(present.difference(published))
    return [
        *(_key_line(key, Likeness.SAME if key in present else Likeness.MISSING) for key in published),
        *(_key_line(key, Likeness.ADDITIONAL) for key in additional),
    ]


def not_seen(line: Comparison) -> Comparison:
    """Return the line as it is for a login that sees the names alone of what it may select."""
    return line.model_copy(update={"likeness": Likeness.NOT_SEEN}) if line.likeness is Likeness.MISSING else line


def key_not_seen(line: KeyComparison) -> KeyComparison:
    """Return the line as it is for a login that sees the keys alone between columns that it may select."""
    if line.likeness is not Likeness.MISSING:
        return line
    return line.model_copy(update={"likeness": Likeness.NOT_SEEN, "consequence": _OF_KEYS[Likeness.NOT_SEEN]})


_OF_KEYS = {
    Likeness.SAME: "The server keeps rows from pointing to nothing.",
    Likeness.MISSING: "Rows may point to nothing: a run is read without what is missing there.",
    Likeness.NOT_SEEN: "Whether the server keeps rows from pointing to nothing is not known.",
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
    """Return the columns that a missing one may be, with what they hold, where it is read and nothing says which."""
    return {
        f"{line.table}.{line.column}": tuple(
            f"{name}: {seen}" if seen else name for name, seen in zip(line.candidates, line.seen, strict=True)
        )
        for line in lines
        if line.candidates
    }


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


def _columns(
    name: str, documented: DocumentedTable, found: DeployedTable, settings: Settings, fits: Fits
) -> Iterator[Comparison]:
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
    renamed = _Renamed(name, documented, found, settings, fits)
    guesses = renamed.guesses([column for column in missing if column in read], rest)
    for column in missing:
        guess, is_read = guesses.get(column), column in read
        line = _missing_column(name, column, documented.columns[column], guess, is_read=is_read)
        if guess is not None and (seen := renamed.fit(column, guess).seen):
            line = line.model_copy(update={"consequence": f"{line.consequence} It holds: {seen}."})
        if guess is None and is_read:
            others = renamed.possible(column, rest.values())
            held = tuple(renamed.fit(column, other).seen for other in others)
            line = line.model_copy(update={"candidates": tuple(other.name for other in others), "seen": held})
        yield line
    for additional in rest.values():
        yield Comparison(
            table=name,
            column=additional.name,
            here=additional.name,
            likeness=Likeness.ADDITIONAL,
            deployed=additional.type_text,
            consequence="It is not documented and is not read.",
        )


@dataclass(frozen=True, slots=True)
class _Renamed:
    """Guesses what the missing columns of a table are called here."""

    name: str
    documented: DocumentedTable
    found: DeployedTable
    settings: Settings
    fits: Fits

    def guesses(self, missing: Sequence[str], rest: dict[str, DeployedColumn]) -> dict[str, DeployedColumn]:
        """Return the guesses, taken out of ``rest``: what one of them takes is free for no other column.

        A key says more than content, content that fits by no chance more than any other, and that more than a name.
        """
        guesses: dict[str, DeployedColumn] = {}
        by_content = (partial(self._by_content, sure=True), partial(self._by_content, sure=False))
        for guess_by in (self._by_keys, *by_content, self._by_name):
            for column in sorted(missing, key=lambda column: not is_required(self.name, column)):
                others = [other for other in missing if other != column and other not in guesses]
                if column not in guesses and (guess := guess_by(column, list(rest.values()), others)) is not None:
                    guesses[column] = rest.pop(guess.name.casefold())
        return guesses

    def possible(self, column: str, rest: Iterable[DeployedColumn]) -> list[DeployedColumn]:
        """Return the columns of the same kind whose content does not say that they are another."""
        return [
            other
            for other in rest
            if is_of_kind(column, self.documented, other) and self.fit(column, other).holds is not False
        ]

    def fit(self, column: str, other: DeployedColumn) -> Fit:
        """Return what the content of a column says."""
        return self.fits.get((self.name, column, other.name), _UNKNOWN)

    def _by_keys(self, column: str, rest: Sequence[DeployedColumn], _: Sequence[str]) -> DeployedColumn | None:
        """Return the one column that is the primary key, or points to another table, where the missing one does."""
        parent = name_at_site(self.documented.references.get(column, ""), self.settings).casefold()
        keys = self.found.foreign_keys
        likely = {key.columns[0].casefold() for key in keys if key.parent.casefold() == parent and parent}
        if self.documented.key == (column,) and len(self.found.key) == 1:
            likely = {self.found.key[0].casefold()}
        of_keys = [other for other in rest if other.name.casefold() in likely]
        return of_keys[0] if len(of_keys) == 1 and is_of_kind(column, self.documented, of_keys[0]) else None

    def _by_content(
        self, column: str, rest: Sequence[DeployedColumn], missing: Sequence[str], *, sure: bool
    ) -> DeployedColumn | None:
        """Return the one column that holds what the missing one must, unless another missing one may be it as well."""
        likely = [other for other in self.possible(column, rest) if not sure or self.fit(column, other).sure]
        if len(likely) != 1 or not self.fit(column, likely[0]).holds:
            return None
        required = is_required(self.name, column)
        rivals = (self.fit(other, likely[0]) for other in missing if is_required(self.name, other) or not required)
        return None if any(fit.holds and (fit.sure or not sure) for fit in rivals) else likely[0]

    def _by_name(self, column: str, rest: Sequence[DeployedColumn], _: Sequence[str]) -> DeployedColumn | None:
        """Return the possible column whose name is most like it; a tie, or several that fit, are no answer."""
        possible = self.possible(column, rest)
        if sum(self.fit(column, other).holds is True for other in possible) > 1:
            return None
        scores = [SequenceMatcher(None, _bare(column), _bare(other.name)).ratio() for other in possible]
        best = max(scores, default=0.0)
        return possible[scores.index(best)] if best >= _ALIKE and scores.count(best) == 1 else None


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


def is_of_kind(column: str, documented: DocumentedTable, other: DeployedColumn) -> bool:
    """Return whether a column of the site has a type that may hold what is documented; unpublished ones are binary."""
    return _kind(documented.columns[column] or "varbinary") == _kind(other.data_type)


def _bare(name: str) -> str:
    return name.casefold().replace("_", "")


def _kind(data_type: str | None) -> str | None:
    if data_type in TEXT_TYPES:
        return "text"
    return _ALIKE_TYPES.get(str(data_type), data_type)
