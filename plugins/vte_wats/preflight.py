"""Preflight: does the database have what is read, is it read gently, and what can its administrator improve."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from vte_wats.config.settings import KEY_COLUMNS, OPTIONAL_COLUMNS, Settings, quoted_name
from vte_wats.domain.errors import FatalError
from vte_wats.domain.source import TEXT_TYPES, TIMESTAMP_TYPES, SourceFacts, SourceIdentity
from vte_wats.messages import VW531, Message

_OLDEST = 11  # SQL Server 2012
_STEP_TABLES = ("TestDataNumeric", "TestDataText", "TestDataOther")
# What every slice seeks by, most important first: the time of a run, then the runs' steps, units and names.
_SOUGHT = (
    ("IndexData", ("Timestamp", "Index_GUID")),
    ("IndexData", ("Index_GUID",)),
    *((table, ("Index_GUID", "TestStepNumber")) for table in _STEP_TABLES),
    ("UutData", ("Uut_GUID",)),
)
# Each key of IndexData with the columns that the statements compare it with.
_JOINED = (
    ("Index_GUID", _STEP_TABLES),
    ("Uut_GUID", ("UutData",)),
    ("Product_GUID", ("Products",)),
    ("Testplan_GUID", ("Testplans",)),
    ("Testsystem_GUID", ("TestSystems",)),
)
_WHOLE = frozenset({"int", "smallint", "tinyint", "bigint"})
_NUMBERS = _WHOLE | {"float", "real", "decimal", "numeric", "money", "smallmoney"}
_NO_TEXT = frozenset({"varbinary", "binary", "image", "timestamp", "rowversion"})


@dataclass(frozen=True, slots=True)
class _Kind:
    """What columns hold by the documentation, and what else is read run by run; any other type is of no use."""

    documented: str
    good: frozenset[str]
    tolerated: frozenset[str] = frozenset()
    rule: str = ""


_KEY = _Kind("uniqueidentifier", frozenset({"uniqueidentifier"}), TEXT_TYPES, "a GUID")
_TIME = _Kind("datetime", frozenset(TIMESTAMP_TYPES))
_CODE = _Kind("int", _WHOLE, TEXT_TYPES | _NUMBERS | {"bit"}, "a whole number")
_NUMBER = _Kind("float", _NUMBERS, TEXT_TYPES | {"bit"}, "a number")
_KINDS = {
    "Timestamp": _TIME,
    **dict.fromkeys(("Result", "ExitCode", "TestStepNumber", "TestResultType"), _CODE),
    **dict.fromkeys(("TestTime", "LowLimit", "HighLimit"), _NUMBER),
}


class Level(StrEnum):
    """How much a finding matters."""

    GOOD = "good"
    ADVICE = "advice"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``sql`` is what the database administrator can run."""

    level: Level
    text: str
    sql: str | None = None

    def __str__(self) -> str:
        return f"{self.level.upper():6} {self.text}" + (f"\n       {self.sql}" if self.sql else "")


def examine(identity: SourceIdentity, facts: SourceFacts, clock_skew_s: float, settings: Settings) -> list[Finding]:
    """Return what was found, in the order an installer works through it."""
    return [
        _version(identity, facts),
        *_columns(identity, settings),
        *_types(identity, settings),
        *examine_indexes(facts, settings),
        _isolation(identity, facts),
        _null_times(facts),
        *_null_keys(facts),
        *_duplicate_units(facts),
        _rights(facts),
        _encryption(facts),
        _clock(clock_skew_s, settings),
    ]


def examine_processes(codes: Collection[int], settings: Settings) -> list[Finding]:
    """Return which processes of the settings WATS knows."""
    unknown = sorted(set(settings.process_map.values()) - set(codes))
    plans = {code: [plan for plan, named in settings.process_map.items() if named == code] for code in unknown}
    good = Finding(Level.GOOD, f"WATS answers, and knows {len(codes)} test operations")
    return [good] + [
        Finding(
            Level.WRONG,
            f"process_map names process code {code} for {', '.join(plans[code])}, which WATS does not have: its runs "
            "are held. Add it in WATS, or correct process_map",
        )
        for code in unknown
    ]


def advice(message: Message, problem: str | None) -> list[Finding]:
    """Return a problem that stops nothing as a finding, and no finding without one."""
    return [] if problem is None else [Finding(Level.ADVICE, f"{message}: {problem}")]


def report(findings: Sequence[Finding], log: logging.Logger) -> dict[str, Any]:
    """Log the findings, a line each, and return them as plain JSON. Raises FatalError when one is wrong."""
    for finding in findings:
        log.info("%s", finding)
    wrong = [finding.text for finding in findings if finding.level is Level.WRONG]
    if wrong:
        raise FatalError(VW531, f"{len(wrong)} thing(s) are wrong:\n" + "\n".join(f"- {text}" for text in wrong))
    return {
        "findings": [{"level": finding.level.value, "text": finding.text, "sql": finding.sql} for finding in findings]
    }


def _version(identity: SourceIdentity, facts: SourceFacts) -> Finding:
    server = f"SQL Server {facts.version}, {facts.edition}, compatibility level {facts.compatibility_level}: {identity}"
    if int(facts.version.partition(".")[0]) < _OLDEST:
        return Finding(Level.WRONG, f"{server}; SQL Server 2012 (11) is the oldest that the statements are made for")
    return Finding(Level.GOOD, server)


def _columns(identity: SourceIdentity, settings: Settings) -> Iterator[Finding]:
    missing = sorted(settings.columns_read - identity.columns.keys())
    if not missing:
        yield Finding(Level.GOOD, f"all {len(settings.columns_read)} columns that are read are there")
    keys = _as_here(KEY_COLUMNS, settings)
    for name in missing:
        advice = "the name it has here" if name in keys else "the name it has here, or null where there is none"
        yield Finding(
            Level.WRONG,
            f"column {name} is not there, or the login may not read it: run include/sql/grant_read_only.sql, or set "
            f"column_overrides in Variable vte_wats to {advice}",
        )


def _types(identity: SourceIdentity, settings: Settings) -> Iterator[Finding]:
    mixed = list(_joined_as_text_and_guid(identity, settings))
    for texts, guids in mixed:
        yield Finding(
            Level.WRONG,
            f"{', '.join(texts)} hold text, {', '.join(guids)} uniqueidentifier, and statements compare them: one "
            "value that is no GUID stops all that reads it, other runs included. Give them one type, or name another "
            "column in column_overrides, such as a computed one",
        )
    said = {name for texts, _ in mixed for name in texts}
    for table, columns in {t: KEY_COLUMNS[t] | OPTIONAL_COLUMNS[t] for t in KEY_COLUMNS}.items():
        for column in sorted(columns):
            here = settings.name_here(table, column)
            found = identity.columns.get(here or "")
            if here and found and here not in said:
                yield from findings_about_type(table, column, here, found)


def _joined_as_text_and_guid(identity: SourceIdentity, settings: Settings) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the columns of a key that hold text and those that hold GUIDs, where there are both."""
    for key, tables in _JOINED:
        columns = [str(settings.name_here(table, key)) for table in ("IndexData", *tables)]
        texts = [name for name in columns if identity.columns.get(name) in TEXT_TYPES]
        guids = [name for name in columns if identity.columns.get(name) == "uniqueidentifier"]
        if texts and guids:
            yield texts, guids


def _kind(table: str, column: str) -> _Kind | None:
    """Return what a column holds; ``None`` for a text."""
    if (table, column) == ("TestDataNumeric", "TestResult"):
        return _NUMBER
    return _KEY if column.endswith("_GUID") else _KINDS.get(column)


def findings_about_type(table: str, column: str, here: str, found: str) -> Iterator[Finding]:
    """Say what becomes of the runs where a documented column, called ``here``, has another type: ``found``."""
    kind = _kind(table, column)
    if kind is None:
        if found in _NO_TEXT and not here.endswith(".TestResult"):
            yield Finding(Level.WRONG, f"column {here} is {found}; documented is nvarchar. What it holds is no text")
    elif found in kind.good:
        return
    elif found in kind.tolerated:
        yield Finding(
            Level.ADVICE,
            f"column {here} is {found}; documented is {kind.documented}. It is read, but a run whose value is not "
            f"{kind.rule} becomes a dead letter",
        )
    else:
        yield Finding(
            Level.WRONG,
            f"column {here} is {found}; documented is {kind.documented}, and {found} cannot be read as that. Name "
            "another column in column_overrides, such as a computed one",
        )


def examine_indexes(facts: SourceFacts, settings: Settings) -> Iterator[Finding]:
    """Say of each column that every slice seeks by which index starts with it, or which one to create."""
    for table, columns in _SOUGHT:
        names = [settings.name_here(table, column) for column in columns]
        here, sought = str(names[0]).split(".", 1)
        indexes = (index for index in facts.indexes if _same(index.table, here) and _same(index.columns[0], sought))
        found = next(indexes, None)
        if found is not None:
            yield Finding(Level.GOOD, f"index {found.name} on {here} starts with {sought}")
            continue
        key = ", ".join(quoted_name(name.split(".", 1)[1]) for name in names if name)
        yield Finding(
            Level.ADVICE,
            f"no index on {here} starts with {sought}, so every slice reads the whole table; in a quiet hour:",
            f"CREATE NONCLUSTERED INDEX {quoted_name(f'IX_{here}_{sought}')} ON "
            f"{quoted_name(settings.source_schema)}.{quoted_name(here)} ({key});",
        )


def _isolation(identity: SourceIdentity, facts: SourceFacts) -> Finding:
    if facts.reads_snapshot:
        return Finding(Level.GOOD, "reads snapshots: takes no locks and waits for none")
    if facts.read_committed_snapshot:
        return Finding(Level.GOOD, "reads committed row versions (READ_COMMITTED_SNAPSHOT): takes no locks on rows")
    return Finding(
        Level.ADVICE,
        "reads under READ COMMITTED with short shared locks; snapshots would take none (they cost space in tempdb):",
        f"ALTER DATABASE {quoted_name(identity.database)} SET ALLOW_SNAPSHOT_ISOLATION ON;",
    )


def _null_times(facts: SourceFacts) -> Finding:
    if facts.null_times:
        return Finding(
            Level.ADVICE,
            f"{facts.null_times} runs have no Timestamp: no sync reads them, and the daily comparison holds them; "
            "correct them in VTE",
        )
    return Finding(Level.GOOD, "every run has a Timestamp")


def _null_keys(facts: SourceFacts) -> Iterator[Finding]:
    if facts.null_keys:
        yield Finding(
            Level.WRONG,
            f"{facts.null_keys} rows of IndexData have no Index_GUID: each becomes a dead letter; correct them in VTE",
        )


def _duplicate_units(facts: SourceFacts) -> Iterator[Finding]:
    if facts.duplicate_units:
        yield Finding(
            Level.WRONG,
            f"{facts.duplicate_units} values of UutData.Uut_GUID, such as {facts.doubled_unit}, have several serials: "
            "each run of theirs becomes a dead letter; correct them in VTE",
        )


def _rights(facts: SourceFacts) -> Finding:
    if facts.may_write:
        return Finding(
            Level.ADVICE,
            "the login may write; give the adapter one that may only read: include/sql/grant_read_only.sql",
        )
    return Finding(Level.GOOD, "the login is not a member of a role that writes")


def _encryption(facts: SourceFacts) -> Finding:
    """Say what TLS proves here: FreeTDS takes any certificate unless its own file says otherwise."""
    verify = (
        "FreeTDS checks who the server is only where the file that FREETDSCONF names says under [global] "
        "'ca file = …' and 'check certificate hostname = yes'"
    )
    if not facts.encrypted:
        return Finding(
            Level.ADVICE,
            'the connection does not require TLS: set {"encryption": "require"} in the extra of vte_default. ' + verify,
        )
    if facts.verifies_server:
        return Finding(Level.GOOD, "the connection requires TLS, and the certificate of the server is verified")
    return Finding(
        Level.ADVICE,
        "the connection requires TLS, but any certificate is accepted: it protects from listeners, not from another "
        f"server in its place. {verify}",
    )


def _clock(skew_s: float, settings: Settings) -> Finding:
    difference = f"SQL Server's clock differs from Airflow's by {skew_s:+.1f} s"
    if abs(skew_s) > settings.clock_skew_limit_s:
        return Finding(Level.WRONG, f"{difference}; set both by the same time server")
    return Finding(Level.GOOD, difference)


def _as_here(columns: dict[str, frozenset[str]], settings: Settings) -> set[str | None]:
    return {settings.name_here(table, column) for table, names in columns.items() for column in names}


def _same(name: str, other: str) -> bool:
    return name.casefold() == other.casefold()
