"""Preflight: does the database have what is read, is it read gently, and what can its administrator improve."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from vte_wats.config.settings import KEY_COLUMNS, OPTIONAL_COLUMNS, Settings, TableOverride
from vte_wats.domain.errors import FatalError
from vte_wats.domain.source import SourceFacts, SourceIdentity
from vte_wats.messages import VW531

_OLDEST = 11  # SQL Server 2012
_STEP_TABLES = ("TestDataNumeric", "TestDataText", "TestDataOther")
# What every slice seeks by, most important first: the time of a run, then the runs' steps, units and names.
_SOUGHT = (
    ("IndexData", ("Timestamp", "Index_GUID")),
    ("IndexData", ("Index_GUID",)),
    *((table, ("Index_GUID", "TestStepNumber")) for table in _STEP_TABLES),
    ("UutData", ("Uut_GUID",)),
)
_TYPES = {  # what the documented columns hold, by the end of their names
    "_GUID": ("uniqueidentifier",),
    ".Timestamp": ("datetime", "datetime2", "smalldatetime"),
    ".Result": ("int", "smallint", "tinyint", "bigint"),
    ".TestStepNumber": ("int", "smallint", "tinyint", "bigint"),
    ".TestResultType": ("int", "smallint", "tinyint", "bigint"),
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
        *_indexes(facts, settings),
        _isolation(identity, facts),
        _null_times(facts),
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


def report(findings: Sequence[Finding], log: logging.Logger) -> dict[str, Any]:
    """Log the findings, a line each, and return them as plain JSON. Raises FatalError when one is wrong."""
    levels = {Level.GOOD: logging.INFO, Level.ADVICE: logging.WARNING, Level.WRONG: logging.ERROR}
    for finding in findings:
        log.log(levels[finding.level], "%s", finding)
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
    for table, columns in {t: KEY_COLUMNS[t] | OPTIONAL_COLUMNS[t] for t in KEY_COLUMNS}.items():
        for column in sorted(columns):
            here = _name_here(table, column, settings)
            kind = identity.columns.get(here or "")
            expected = next((types for end, types in _TYPES.items() if f"{table}.{column}".endswith(end)), None)
            if here and kind and expected and kind not in expected:
                yield Finding(
                    Level.ADVICE,
                    f"column {here} is {kind}; documented is {expected[0]}. It is read, but check its values",
                )


def _indexes(facts: SourceFacts, settings: Settings) -> Iterator[Finding]:
    for table, columns in _SOUGHT:
        names = [_name_here(table, column, settings) for column in columns]
        here, sought = str(names[0]).split(".", 1)
        indexes = (index for index in facts.indexes if _same(index.table, here) and _same(index.columns[0], sought))
        found = next(indexes, None)
        if found is not None:
            yield Finding(Level.GOOD, f"index {found.name} on {here} starts with {sought}")
            continue
        key = ", ".join(f"[{name.split('.', 1)[1]}]" for name in names if name)
        yield Finding(
            Level.ADVICE,
            f"no index on {here} starts with {sought}, so every slice reads the whole table; in a quiet hour:",
            f"CREATE NONCLUSTERED INDEX [IX_{here}_{sought}] ON [{settings.source_schema}].[{here}] ({key});",
        )


def _isolation(identity: SourceIdentity, facts: SourceFacts) -> Finding:
    if facts.reads_snapshot:
        return Finding(Level.GOOD, "reads snapshots: takes no locks and waits for none")
    if facts.read_committed_snapshot:
        return Finding(Level.GOOD, "reads committed row versions (READ_COMMITTED_SNAPSHOT): takes no locks on rows")
    return Finding(
        Level.ADVICE,
        "reads under READ COMMITTED with short shared locks; snapshots would take none (they cost space in tempdb):",
        f"ALTER DATABASE [{identity.database}] SET ALLOW_SNAPSHOT_ISOLATION ON;",
    )


def _null_times(facts: SourceFacts) -> Finding:
    if facts.null_times:
        return Finding(
            Level.ADVICE,
            f"{facts.null_times} runs have no Timestamp, so they are never read; correct them in VTE",
        )
    return Finding(Level.GOOD, "every run has a Timestamp")


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


def _name_here(table: str, column: str, settings: Settings) -> str | None:
    override = settings.column_overrides.get(table, TableOverride())
    name = override.columns.get(column, column)
    return None if name is None else f"{override.table or table}.{name}"


def _as_here(columns: dict[str, frozenset[str]], settings: Settings) -> set[str | None]:
    return {_name_here(table, column, settings) for table, names in columns.items() for column in names}


def _same(name: str, other: str) -> bool:
    return name.casefold() == other.casefold()
