"""SQL Server goes wrong: it is away, refuses, breaks off, or shows a run before it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

import pymssql

from sandbox.environment import WRITER_PASSWORD
from sandbox.vte.vte_database import NAME
from tests.faults.accounts import Explained
from tests.faults.case import Case, Play, passing, until_fixed
from tests.faults.site import TIMEOUT_S, Site

PLAN = r"COUNT_BIG"
HEADERS = r"AS \[serial\]"
STEPS = r"AS \[other_value\]"


def _all(kind: str, **how: Any) -> Callable[[Site], object]:
    return lambda site: site.break_vte(kind, times=None, **how)


def _some(kind: str, *, times: int = 1, match: str | None = None, **how: Any) -> Callable[[Site, list[str]], object]:
    return lambda site, _guids: site.break_vte(kind, times=times, match=match, **how)


def _restart(site: Site, random: Random) -> Explained:
    site.load(20)
    fault = site.break_vte("stall", match=STEPS, seconds=TIMEOUT_S - 1)
    dag_run_id = site.start_sync()
    site.wait_for_vte_fault(fault)
    site.plant.vte.stop()
    site.plant.vte.start()
    site.end_sync(dag_run_id, "success")
    return Explained()


def _during_the_read(match: str) -> Play:
    """Stations commit runs of the very same minutes while a statement is under way."""

    def play(site: Site, random: Random) -> Explained:
        site.load(30)
        fault = site.break_vte("stall", match=match, seconds=1.5)
        dag_run_id = site.start_sync()
        site.wait_for_vte_fault(fault)
        site.load(30)
        site.end_sync(dag_run_id, "success")
        site.sync()
        return Explained()

    return play


def _header_before_steps(site: Site, random: Random) -> Explained:
    guids = site.load(6)
    late = random.choice(guids)
    names, held = _taken(site, late)
    site.sync()
    _put(site, names, held)
    site.sync()
    return Explained(again={late: 2})


def _taken(site: Site, guid: str) -> tuple[dict[str, list[str]], dict[str, list[tuple[Any, ...]]]]:
    """Take the steps of a run out of the database, as if the station had not written them yet."""
    names, held = {}, {}
    for table in ("TestDataNumeric", "TestDataText", "TestDataOther"):
        names[table] = [name for name, *_ in site.plant.db.query(f'DESCRIBE "{table}"')]
        held[table] = site.plant.db.query(f'SELECT * FROM "{table}" WHERE "Index_GUID" = ?', [guid])
        site.plant.db.query(f'DELETE FROM "{table}" WHERE "Index_GUID" = ?', [guid])
    return names, held


def _put(site: Site, names: dict[str, list[str]], held: dict[str, list[tuple[Any, ...]]]) -> None:
    site.plant.db.insert_rows(
        {table: [dict(zip(names[table], row, strict=True)) for row in rows] for table, rows in held.items()}
    )


_PARENTS_FIRST = ("UutData", "IndexData", "TestDataNumeric", "TestDataText", "TestDataOther")


@contextmanager
def _database_with(site: Site, *, snapshots: bool, versions: bool) -> Iterator[None]:
    before = site.plant.db.facts
    site.plant.db.facts = replace(before, snapshot_isolation=snapshots, read_committed_snapshot=versions)
    try:
        yield
    finally:
        site.plant.db.facts = before


def _not_committed(site: Site, guids: list[str]) -> pymssql.Connection:
    """Take runs out of the database and write them again in a transaction of their station, which stays open."""
    runs = ", ".join(f"'{guid}'" for guid in guids)
    units = f'SELECT "Uut_GUID" FROM "IndexData" WHERE "Index_GUID" IN ({runs})'
    listed = ", ".join(f"'{unit}'" for (unit,) in site.plant.db.query(units))
    of = dict.fromkeys(_PARENTS_FIRST, f'"Index_GUID" IN ({runs})') | {"UutData": f'"Uut_GUID" IN ({listed})'}
    held = {table: site.plant.db.query(f'SELECT * FROM "{table}" WHERE {of[table]}') for table in _PARENTS_FIRST}
    for table in reversed(_PARENTS_FIRST):
        site.plant.db.query(f'DELETE FROM "{table}" WHERE {of[table]}')
    vte = site.plant.vte
    station = pymssql.connect(server=vte.host, port=str(vte.port), user="sa", password=WRITER_PASSWORD, database=NAME)
    with station.cursor() as cursor:  # pymssql opens a transaction by itself
        for table in _PARENTS_FIRST:
            for row in held[table]:
                cursor.execute(f"INSERT INTO [{table}] VALUES ({', '.join(['%s'] * len(row))})", tuple(map(_bind, row)))
    return station


def _bind(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return str(value) if isinstance(value, UUID) else value


def _lock_held(*, snapshots: bool = False, versions: bool = False) -> Play:
    """One station's transaction stays open for two syncs: what others have tested is there before it commits."""

    def play(site: Site, random: Random) -> Explained:
        with _database_with(site, snapshots=snapshots, versions=versions):
            others = site.load(12)
            station = _not_committed(site, open_ones := others[:3])
            others = others[3:]
            site.sync()
            others += site.load(6)
            site.sync()
            if missing := set(others) - set(site.plant.receipts):
                site.violations.append(f"{len(missing)} runs of other stations wait for the one that commits nothing")
            if early := set(open_ones) & set(site.plant.receipts):
                site.violations.append(f"{len(early)} runs are in WATS before they were committed")
            station.commit()
            station.close()
            site.sync()
        return Explained()

    return play


def _one_timestamp(site: Site, random: Random) -> Explained:
    site.load(1000)
    (latest,) = site.plant.db.query('SELECT max("Timestamp") FROM "IndexData"')[0]
    # Equal starts need equal keys apart from the serial: only runs of different units may share one.
    site.plant.db.query('UPDATE "IndexData" SET "Timestamp" = ?', [_whole(latest)])
    twins = site.plant.db.query(
        'SELECT i."Index_GUID" FROM "IndexData" i JOIN "UutData" u USING ("Uut_GUID") QUALIFY count(*) OVER '
        '(PARTITION BY u."Serial", i."ProductName", i."TestplanName", i."TestTime") > 1'
    )
    for (guid,) in twins:
        for table in ("TestDataNumeric", "TestDataText", "TestDataOther", "IndexData"):
            site.plant.db.query(f'DELETE FROM "{table}" WHERE "Index_GUID" = ?', [guid])
    site.sync()
    return Explained()


def _whole(at: datetime) -> datetime:
    return at.replace(microsecond=0)


CASES = (
    Case("sql.refused", "every connection is refused", until_fixed(_all("refuse")), short=True),
    Case("sql.refused-once", "two connections are refused", passing(_some("refuse", times=2))),
    Case("sql.login", "the login is refused", until_fixed(_all("login_failed"))),
    Case(
        "sql.starting", "SQL Server is starting (18401), twice", passing(_some("login_failed", times=2, number=18401))
    ),
    Case("sql.drop-before", "the connection drops before each result, once", passing(_some("drop", match=HEADERS))),
    Case(
        "sql.drop-inside",
        "the connection drops inside the steps, twice",
        passing(_some("drop", times=2, match=STEPS, after_rows=7)),
        short=True,
    ),
    Case(
        "sql.drop-inside-headers",
        "the connection drops inside the headers",
        passing(_some("drop", match=HEADERS, after_rows=3)),
    ),
    Case(
        "sql.drop-after",
        "the connection drops after the headers",
        passing(_some("drop", match=HEADERS, after_rows=None)),
    ),
    Case(
        "sql.drop-after-steps",
        "the connection drops after the steps",
        passing(_some("drop", match=STEPS, after_rows=None)),
    ),
    Case(
        "sql.stall",
        "a statement stalls beyond the timeout",
        passing(_some("stall", match=STEPS, seconds=3.0 * TIMEOUT_S)),
    ),
    Case(
        "sql.stall-inside",
        "a result stalls after its fifth row",
        passing(_some("stall", match=STEPS, after_rows=5, seconds=3.0 * TIMEOUT_S)),
    ),
    Case("sql.deadlock", "the reader loses a deadlock (1205)", passing(_some("deadlock", match=STEPS)), short=True),
    Case(
        "sql.deadlock-thrice",
        "the reader loses three deadlocks in a row",
        passing(_some("deadlock", times=3, match=STEPS)),
    ),
    Case(
        "sql.deadlock-inside", "a deadlock inside the headers", passing(_some("deadlock", match=HEADERS, after_rows=2))
    ),
    Case(
        "sql.lock-timeout",
        "a lock is held too long (1222), while planning and while reading",
        passing(_some("lock_timeout", times=3, match=rf"{PLAN}|{HEADERS}")),
    ),
    Case(
        "sql.recovering",
        "the database recovers (4060 and 18456), three times",
        passing(_some("login_failed", times=3, number=4060)),
    ),
    Case(
        "sql.unlisted",
        "errors that no table lists, while planning and while reading",
        passing(_some("error", times=3, number=50_123, match=rf"{PLAN}|{HEADERS}")),
    ),
    Case(
        "sql.lock-held",
        "a station's transaction stays open for two syncs (READ COMMITTED)",
        _lock_held(),
        short=True,
    ),
    Case(
        "sql.lock-held-snapshot",
        "the same where snapshots are allowed",
        _lock_held(snapshots=True),
    ),
    Case(
        "sql.lock-held-versions",
        "the same with READ_COMMITTED_SNAPSHOT",
        _lock_held(versions=True),
    ),
    Case("sql.drop-after-login", "the connection drops just after the login, twice", passing(_some("drop", times=2))),
    Case("sql.restart", "SQL Server restarts while steps are read", _restart),
    Case("sql.permission", "a table may not be read (229)", until_fixed(_all("error", number=229, match=HEADERS))),
    Case("sql.committed-while-planning", "runs are committed while the seconds are counted", _during_the_read(PLAN)),
    Case(
        "sql.committed-while-reading",
        "runs are committed between headers and steps",
        _during_the_read(STEPS),
        short=True,
    ),
    Case("sql.header-before-steps", "the steps of a run come after its first upload", _header_before_steps, short=True),
    Case("sql.one-timestamp", "a thousand runs with one Timestamp", _one_timestamp),
)
