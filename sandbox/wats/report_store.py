"""The reports a server holds, in SQLite: stored as sent, overwritten as WATS overwrites, searchable by header."""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic_core import from_json, to_json

from sandbox.wats.odata import COLUMNS, START_SECOND_SQL, HeaderQuery, Kind
from sandbox.wats.odata_datetimes import TICKS_PER_SECOND, text_of_ticks, ticks_of_datetime
from sandbox.wats.profiles import HeaderStart, MiscInfos, Quarantine, SkippedSteps
from sandbox.wats.report_fields import Wsjf
from sandbox.wats.reports import (
    RESULT_WORDS,
    ReportHeader,
    attachments_of,
    header_of,
    parse_report,
    without_skipped_values,
)
from sandbox.wats.server_settings import ServerSettings

QUARANTINE_TRIES = 24
QUARANTINE_PAUSE_S = 3_600.0
"""Between two tries to process a report in quarantine."""

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS reports (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    serial_number TEXT NOT NULL, part_number TEXT NOT NULL, report_type TEXT NOT NULL, start_ticks INTEGER NOT NULL,
    revision TEXT, result TEXT NOT NULL, batch_number TEXT, user_name TEXT, station_name TEXT, location TEXT,
    purpose TEXT, process_code INTEGER NOT NULL, comment TEXT, execution_time REAL, sw_filename TEXT, sw_version TEXT,
    test_socket_index INTEGER, fixture_id TEXT, error_code INTEGER, error_message TEXT, caused_uut_failure TEXT,
    caused_uut_failure_path TEXT, referenced_uut TEXT,
    start_utc TEXT NOT NULL, process_name TEXT, time_stamp INTEGER NOT NULL, receive_count INTEGER NOT NULL,
    report_size_kb INTEGER NOT NULL, received_at TEXT NOT NULL, source_hash TEXT, body BLOB NOT NULL,
    shown_ticks INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS earlier_reports AS SELECT *, 0 AS hidden_ticks FROM reports WHERE 0;
CREATE INDEX IF NOT EXISTS reports_natural_key ON reports (serial_number, process_code, start_ticks, part_number);
CREATE INDEX IF NOT EXISTS reports_start ON reports (start_ticks DESC);
CREATE INDEX IF NOT EXISTS reports_start_second ON reports ({START_SECOND_SQL});
CREATE INDEX IF NOT EXISTS reports_time_stamp ON reports (time_stamp);
CREATE TABLE IF NOT EXISTS misc_infos (
    seq INTEGER NOT NULL REFERENCES reports (seq), position INTEGER NOT NULL, description TEXT NOT NULL, value TEXT,
    PRIMARY KEY (seq, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS misc_infos_value ON misc_infos (description, value);
CREATE TABLE IF NOT EXISTS overwrites (
    position INTEGER PRIMARY KEY AUTOINCREMENT, cause TEXT NOT NULL, old_uuid TEXT NOT NULL, new_uuid TEXT NOT NULL,
    same_content INTEGER NOT NULL, at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS overwrites_old ON overwrites (old_uuid);
CREATE TABLE IF NOT EXISTS quarantine (
    uuid TEXT PRIMARY KEY, serial_number TEXT, part_number TEXT, process_code INTEGER, start_utc TEXT,
    reason TEXT NOT NULL, receive_count INTEGER NOT NULL, received_at TEXT NOT NULL, body BLOB NOT NULL,
    is_scripted INTEGER NOT NULL, tries INTEGER NOT NULL, next_try_ticks INTEGER
);
"""

_HEADER_FIELDS = tuple(field.name for field in fields(ReportHeader) if field.name != "misc_infos")
_STORED_FIELDS = (
    *_HEADER_FIELDS,
    *(
        "start_utc",
        "process_name",
        "time_stamp",
        "receive_count",
        "report_size_kb",
        "received_at",
        "source_hash",
        "body",
        "shown_ticks",
    ),
)
_INSERT = f"INSERT INTO reports (seq, {', '.join(_STORED_FIELDS)}) VALUES (?, {', '.join('?' * len(_STORED_FIELDS))})"


@dataclass(frozen=True)
class Process:
    """One entry of the process list."""

    code: int
    name: str
    description: str = ""
    is_test: bool = True
    is_repair: bool = False
    is_wip: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "name": self.name,
            "description": self.description,
            "isTestOperation": self.is_test,
            "isRepairOperation": self.is_repair,
            "isWipOperation": self.is_wip,
        }


DEFAULT_PROCESSES: tuple[Process, ...] = (
    Process(10, "SW Debug"),
    Process(50, "PCBA test"),
    Process(90, "Burn In test"),
    Process(100, "End of line test"),
    Process(110, "RF calibration"),
    Process(120, "Burn in"),
    Process(500, "Repair", is_test=False, is_repair=True),
)


class Cause(StrEnum):
    """Why a report was overwritten."""

    SAME_ID = "same_id"
    NATURAL_KEY = "natural_key"


@dataclass(frozen=True)
class Overwrite:
    """One overwritten report. With cause NATURAL_KEY the report `old_id` is gone and `new_id` stands in its place."""

    cause: Cause
    old_id: str
    new_id: str
    same_content: bool
    at: str


@dataclass(frozen=True)
class Quarantined:
    """A report that was answered with 200 and yet is invisible to every query."""

    id: str
    reason: str
    receive_count: int
    received_at: str
    report: Wsjf
    tries: int
    """How often it was processed, the first time included."""
    is_invalid: bool
    """Whether it is given up for good."""


@dataclass(frozen=True)
class Received:
    """What became of one accepted POST: its legacy number, and the reason if it went to quarantine."""

    id: str
    number: int
    quarantine_reason: str | None


class ReportStore:
    """Reports in one SQLite database. Safe to use from several threads.

    What WATS itself answers (`headers` with a query, `headers_by_misc_info`, `shown_body`) holds what shows by now; all
    other reading, which is that of tests and of the sandbox's pages, holds what was received. A report that was
    overwritten but whose successor does not show yet is kept in `earlier_reports`, under a negative number.
    """

    def __init__(
        self,
        db_path: str | Path | None,
        *,
        settings: ServerSettings,
        clock: Callable[[], datetime],
        processes: Iterable[Process] = DEFAULT_PROCESSES,
        future_tolerance_s: float = 60.0,
    ) -> None:
        self.clock = clock
        self._settings = settings
        self.future_tolerance_s = future_tolerance_s
        self._processes = {process.code: process for process in processes}
        self._lock = threading.RLock()
        self._db = sqlite3.connect(
            ":memory:" if db_path is None else str(db_path), check_same_thread=False, isolation_level=None
        )
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;" + _SCHEMA)
        self._time_stamp = self._one("SELECT coalesce(max(time_stamp), 0) FROM reports")
        self._all_shown_ticks = self._one("SELECT coalesce(max(shown_ticks), 0) FROM reports")
        self._next_try_ticks: int | None = self._one("SELECT min(next_try_ticks) FROM quarantine")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _one(self, sql: str, *values: Any) -> Any:
        with self._lock:
            found = self._db.execute(sql, values).fetchone()
        return None if found is None else found[0]

    def _all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # ------------------------------------------------------------------------------------------------- processes
    @property
    def processes(self) -> list[Process]:
        """The process list, by code; assign to replace it."""
        return sorted(self._processes.values(), key=lambda process: process.code)

    @processes.setter
    def processes(self, processes: Iterable[Process]) -> None:
        self._processes = {process.code: process for process in processes}

    # --------------------------------------------------------------------------------------------------- writing
    def receive(self, body: bytes, *, quarantine_reason: str | None = None) -> Received:
        """Take one posted report; ReportRefusedError if it is invalid.

        `quarantine_reason` sends a valid report to quarantine whatever it holds.
        """
        return self.receive_parsed(parse_report(body), body, quarantine_reason=quarantine_reason)

    def receive_parsed(self, report: Wsjf, body: bytes, *, quarantine_reason: str | None = None) -> Received:
        """Take a report that is already parsed; `body` is what gets stored, as far as this WATS keeps it."""
        header = header_of(report, self._settings.profile)
        if self._settings.profile.skipped_steps is SkippedSteps.WITHOUT_VALUES:
            body = without_skipped_values(report, body)
        now = self.clock()
        with self._writing():
            self._process_quarantine_again(now)
            reason = quarantine_reason or self._quarantine_reason(header, now)
            if reason is None:
                return Received(header.uuid, self._store(header, body, now), None)
            self._quarantine(header, body, now, reason, is_scripted=quarantine_reason is not None)
            return Received(header.uuid, 0, reason)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _quarantine_reason(self, header: ReportHeader, now: datetime) -> str | None:
        if self._settings.profile.quarantine is Quarantine.NONE:
            return None
        process = self._processes.get(header.process_code)
        if process is None:
            return f"Unknown process code {header.process_code}."
        if header.report_type == "T" and not process.is_test:
            return f"Process {process.code} ({process.name}) is not a test operation."
        if header.report_type == "R" and not process.is_repair:
            return f"Process {process.code} ({process.name}) is not a repair operation."
        limit = ticks_of_datetime(now) + int(self.future_tolerance_s * TICKS_PER_SECOND)
        if header.start_ticks > limit:
            return f"Start {text_of_ticks(header.start_ticks)} is in the future."
        return None

    def _quarantine(self, header: ReportHeader, body: bytes, now: datetime, reason: str, *, is_scripted: bool) -> None:
        next_try = ticks_of_datetime(now) + int(QUARANTINE_PAUSE_S * TICKS_PER_SECOND)
        self._db.execute(
            "INSERT INTO quarantine VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, 1, ?) ON CONFLICT (uuid) DO UPDATE SET"
            " serial_number = excluded.serial_number, part_number = excluded.part_number,"
            " process_code = excluded.process_code, start_utc = excluded.start_utc, reason = excluded.reason,"
            " receive_count = receive_count + 1, received_at = excluded.received_at, body = excluded.body,"
            " is_scripted = excluded.is_scripted, tries = 1, next_try_ticks = excluded.next_try_ticks",
            (
                *(header.uuid, header.serial_number, header.part_number, header.process_code),
                *(text_of_ticks(header.start_ticks), reason, now.isoformat(), body, is_scripted, next_try),
            ),
        )
        self._next_try_ticks = min(self._next_try_ticks or next_try, next_try)

    def _process_quarantine_again(self, now: datetime) -> None:
        """Try what waits in quarantine once for each pause that has passed, and give up what was tried too often."""
        now_ticks = ticks_of_datetime(now)
        if self._next_try_ticks is None or now_ticks < self._next_try_ticks:
            return
        pause = int(QUARANTINE_PAUSE_S * TICKS_PER_SECOND)
        gives_up = self._settings.profile.quarantine is Quarantine.THEN_INVALID
        waiting = self._db.execute(
            "SELECT uuid, body, reason, is_scripted, tries, next_try_ticks FROM quarantine WHERE next_try_ticks <= ?",
            (now_ticks,),
        ).fetchall()
        for uuid, body, reason, is_scripted, tries, next_try in waiting:
            header = header_of(from_json(body), self._settings.profile)
            still = reason if is_scripted else self._quarantine_reason(header, now)
            if still is None:
                self._store(header, body, now)
                continue
            passed = (now_ticks - next_try) // pause + 1
            is_invalid = gives_up and tries + passed >= QUARANTINE_TRIES
            self._db.execute(
                "UPDATE quarantine SET reason = ?, tries = ?, next_try_ticks = ? WHERE uuid = ?",
                (
                    still,
                    QUARANTINE_TRIES if is_invalid else tries + passed,
                    None if is_invalid else next_try + passed * pause,
                    uuid,
                ),
            )
        self._next_try_ticks = self._one("SELECT min(next_try_ticks) FROM quarantine")

    def _store(self, header: ReportHeader, body: bytes, now: datetime) -> int:
        first_ticks = last_ticks = header.start_ticks
        if self._settings.profile.merges_within_second:
            first_ticks -= first_ticks % TICKS_PER_SECOND
            last_ticks = first_ticks + TICKS_PER_SECOND - 1
        earlier = self._db.execute(
            "SELECT seq, uuid, receive_count, body = ? FROM reports WHERE uuid = ? OR"
            " (serial_number = ? AND process_code = ? AND start_ticks BETWEEN ? AND ? AND part_number = ?)",
            (
                *(body, header.uuid, header.serial_number, header.process_code),
                *(first_ticks, last_ticks, header.part_number),
            ),
        ).fetchall()
        seq: int | None = None
        receive_count = 1
        at = now.isoformat()
        now_ticks = ticks_of_datetime(now)
        shown_ticks = now_ticks + int(self._settings.profile.shown_after_s * TICKS_PER_SECOND)
        self._forget_hidden(now_ticks)
        for old_seq, old_uuid, old_count, same_content in earlier:
            same_id = old_uuid == header.uuid
            receive_count += old_count
            seq = old_seq if same_id or seq is None else seq
            if shown_ticks > now_ticks:
                self._keep_showing(old_seq, until_ticks=shown_ticks)
            self._db.execute("DELETE FROM misc_infos WHERE seq = ?", (old_seq,))
            self._db.execute("DELETE FROM reports WHERE seq = ?", (old_seq,))
            self._db.execute(
                "INSERT INTO overwrites (cause, old_uuid, new_uuid, same_content, at) VALUES (?, ?, ?, ?, ?)",
                (Cause.SAME_ID if same_id else Cause.NATURAL_KEY, old_uuid, header.uuid, same_content, at),
            )
        self._time_stamp += 1
        process = self._processes.get(header.process_code)
        source_hash = next((value for name, value in header.misc_infos if name == "source_hash"), None)
        cursor = self._db.execute(
            _INSERT,
            (
                seq,
                *[getattr(header, name) for name in _HEADER_FIELDS],
                *(text_of_ticks(header.start_ticks), None if process is None else process.name, self._time_stamp),
                *(receive_count, -(-len(body) // 1024), at, source_hash, body, shown_ticks),
            ),
        )
        self._all_shown_ticks = max(self._all_shown_ticks, shown_ticks)
        number = seq or cursor.lastrowid or 0
        if header.misc_infos:
            self._db.executemany(
                "INSERT INTO misc_infos VALUES (?, ?, ?, ?)",
                [(number, position, *info) for position, info in enumerate(header.misc_infos)],
            )
        self._db.execute("DELETE FROM quarantine WHERE uuid = ?", (header.uuid,))
        return number

    def _forget_hidden(self, now_ticks: int) -> None:
        hidden = "SELECT seq FROM earlier_reports WHERE hidden_ticks <= ?"
        self._db.execute(f"DELETE FROM misc_infos WHERE seq IN ({hidden})", (now_ticks,))
        self._db.execute("DELETE FROM earlier_reports WHERE hidden_ticks <= ?", (now_ticks,))

    def _keep_showing(self, seq: int, *, until_ticks: int) -> None:
        number = self._one("SELECT min(coalesce(min(seq), 0), 0) - 1 FROM earlier_reports")
        columns = ", ".join(_STORED_FIELDS)
        self._db.execute(
            f"INSERT INTO earlier_reports (seq, hidden_ticks, {columns})"
            f" SELECT ?, ?, {columns} FROM reports WHERE seq = ?",
            (number, until_ticks, seq),
        )
        self._db.execute(
            "INSERT INTO misc_infos SELECT ?, position, description, value FROM misc_infos WHERE seq = ?", (number, seq)
        )

    def remove(self, report_id: str) -> bool:
        """Delete a report, as a person may in WATS; return whether it was there."""
        with self._writing():
            seq = self._one("SELECT seq FROM reports WHERE uuid = ?", report_id.lower())
            for table in ("misc_infos", "reports"):
                self._db.execute(f"DELETE FROM {table} WHERE seq = ?", (seq,))
            return seq is not None

    def clear(self) -> None:
        """Forget every report, quarantined ones included."""
        with self._lock:
            self._db.executescript(
                "DELETE FROM misc_infos; DELETE FROM reports; DELETE FROM earlier_reports; DELETE FROM overwrites;"
                "DELETE FROM quarantine; DELETE FROM sqlite_sequence;"
            )
            self._all_shown_ticks = 0
            self._next_try_ticks = None

    # ---------------------------------------------------------------------------------------------- what shows by now
    def _shown(self) -> tuple[str, tuple[int, ...]]:
        """Return what to put before a SELECT so that it sees the reports that show by now, and the values it binds."""
        now = self.clock()
        now_ticks = ticks_of_datetime(now)
        if self._next_try_ticks is not None and self._next_try_ticks <= now_ticks:
            with self._writing():
                self._process_quarantine_again(now)
        if self._all_shown_ticks <= now_ticks:
            return "", ()
        columns = ", ".join(["seq", *_STORED_FIELDS])
        sql = (
            f"WITH reports AS NOT MATERIALIZED (SELECT {columns} FROM main.reports WHERE shown_ticks <= ? UNION ALL"
            f" SELECT {columns} FROM main.earlier_reports WHERE shown_ticks <= ? AND hidden_ticks > ?) "
        )
        return sql, (now_ticks, now_ticks, now_ticks)

    def shown_body(self, report_id: str) -> bytes | None:
        """Return the bytes of a report as they show by now, or None."""
        with self._lock:
            shown, bound = self._shown()
            body: bytes | None = self._one(f"{shown}SELECT body FROM reports WHERE uuid = ?", *bound, report_id.lower())
        if body is not None and self._settings.profile.misc_infos is MiscInfos.NOWHERE:
            return to_json({name: value for name, value in from_json(body).items() if name != "miscInfos"})
        return body

    # --------------------------------------------------------------------------------------------------- reading
    def __len__(self) -> int:
        return int(self._one("SELECT count(*) FROM reports"))

    def __contains__(self, report_id: object) -> bool:
        return self.find_body(str(report_id)) is not None

    def ids(self) -> list[str]:
        """Ids of all stored reports in the order in which they were last received."""
        return [uuid for (uuid,) in self._all("SELECT uuid FROM reports ORDER BY time_stamp")]

    def reports(self) -> list[Wsjf]:
        """All stored reports, as sent, in the order in which they were last received."""
        return [from_json(body) for (body,) in self._all("SELECT body FROM reports ORDER BY time_stamp")]

    def report(self, report_id: str | UUID) -> Wsjf:
        """One stored report as sent; KeyError if absent or in quarantine."""
        body = self.find_body(str(report_id))
        if body is None:
            raise KeyError(str(report_id))
        parsed: Wsjf = from_json(body)
        return parsed

    def find_body(self, report_id: str) -> bytes | None:
        """Return the bytes of a received report, or None."""
        body: bytes | None = self._one("SELECT body FROM reports WHERE uuid = ?", report_id.lower())
        return body

    def receive_counts(self) -> dict[str, int]:
        """Return for each stored id how often it was received; its successor goes on with a replaced report's count."""
        return dict(self._all("SELECT uuid, receive_count FROM reports ORDER BY time_stamp"))

    def quarantined(self) -> list[Quarantined]:
        """Return the reports in quarantine, latest first."""
        found = self._all(
            "SELECT uuid, reason, receive_count, received_at, body, tries, next_try_ticks IS NULL FROM quarantine"
            " ORDER BY received_at DESC"
        )
        return [
            Quarantined(uuid, reason, count, received_at, from_json(body), tries, bool(is_invalid))
            for uuid, reason, count, received_at, body, tries, is_invalid in found
        ]

    def overwrites(self, cause: Cause | None = None) -> list[Overwrite]:
        """Return every overwriting, oldest first. Those by NATURAL_KEY between different runs are lost reports."""
        found = self._all("SELECT cause, old_uuid, new_uuid, same_content, at FROM overwrites ORDER BY position")
        return [
            Overwrite(Cause(why), old, new, bool(same), at)
            for why, old, new, same, at in found
            if cause is None or why == cause
        ]

    def replaced_by(self, report_id: str | UUID) -> str | None:
        """Return the id of the report that took this one's place through the natural key, or None."""
        found: str | None = self._one(
            "SELECT new_uuid FROM overwrites WHERE old_uuid = ? AND cause = 'natural_key'"
            " ORDER BY position DESC LIMIT 1",
            str(report_id).lower(),
        )
        return found

    def summaries(self, *, limit: int, offset: int) -> list[dict[str, Any]]:
        """Return id, receive count, source hash and size of stored reports, oldest first."""
        found = self._all(
            "SELECT uuid, receive_count, source_hash, result, length(body) FROM reports"
            " ORDER BY time_stamp LIMIT ? OFFSET ?",
            limit,
            offset,
        )
        names = ("id", "receiveCount", "sourceHash", "result", "size_bytes")
        return [dict(zip(names, columns, strict=True)) for columns in found]

    def counts(self) -> dict[str, int]:
        """Return how many reports are stored, overwritten by each cause, and in quarantine."""
        return {
            "reports": len(self),
            "received": int(self._one("SELECT coalesce(sum(receive_count), 0) FROM reports")),
            "overwritten_same_id": int(self._one("SELECT count(*) FROM overwrites WHERE cause = 'same_id'")),
            "overwritten_natural_key": int(self._one("SELECT count(*) FROM overwrites WHERE cause = 'natural_key'")),
            "quarantined": int(self._one("SELECT count(*) FROM quarantine")),
        }

    def counts_by_result(self) -> dict[str, int]:
        """Return how many stored reports have each result, in the order Passed, Failed, Error, Terminated, Done."""
        found = dict(self._all("SELECT result, count(*) FROM reports GROUP BY result"))
        return {word: found[word] for word in RESULT_WORDS.values() if word in found}

    def headers(self, query: HeaderQuery | None = None) -> list[dict[str, Any]]:
        """Answer a header query; without one, all received headers with their misc infos, latest start first."""
        asked = query or HeaderQuery(top=-1, expand=("miscInfo",))
        columns = [column for column in COLUMNS if asked.select is None or column.name in asked.select]
        expand = dict.fromkeys([*asked.expand, *(asked.select or ())])
        expand = {name: None for name in expand if name not in {column.name for column in COLUMNS}}
        selected = ", ".join(["seq", "body" if set(expand) - {"miscInfo", "uurMiscInfo"} else "NULL", "report_type"])
        sql = (
            f"SELECT {selected}{''.join(f', {column.sql}' for column in columns)} FROM reports"
            f" WHERE {asked.where} ORDER BY {asked.order_by} LIMIT ? OFFSET ?"
        )
        with self._lock:
            shown, bound = ("", ()) if query is None else self._shown()
            found = self._all(shown + sql, *bound, *asked.values, asked.top, asked.skip)
            are_listed = query is None or self._settings.profile.misc_infos is MiscInfos.LISTED
            expands = bool({"miscInfo", "uurMiscInfo"} & set(expand))
            infos = self._misc_infos([seq for seq, *_ in found]) if expands and are_listed else {}
        headers: list[dict[str, Any]] = []
        for seq, body, report_type, *values in found:
            header = {
                column.name: bool(value) if column.kind is Kind.BOOLEAN else value
                for column, value in zip(columns, values, strict=True)
            }
            if "start" in header:
                header["start"] = self._written_start(str(header["start"]))
            report = None if body is None else from_json(body)
            for name in expand:
                header[name] = _expansion(name, report_type, report, infos.get(seq, []))
            headers.append(header)
        return headers

    def _written_start(self, start_utc: str) -> str:
        """Return a start as headers write it."""
        if self._settings.profile.header_start is HeaderStart.FRACTION:
            return start_utc
        return start_utc.partition(".")[0].removesuffix("Z") + "Z"

    def _misc_infos(self, numbers: list[int]) -> dict[int, list[dict[str, Any]]]:
        infos: dict[int, list[dict[str, Any]]] = {}
        for seq, description, value in self._all(
            "SELECT seq, description, value FROM misc_infos WHERE seq IN (SELECT value FROM json_each(?))"
            " ORDER BY seq, position",
            json.dumps(numbers),
        ):
            infos.setdefault(seq, []).append({"description": description, "value": value})
        return infos

    def headers_by_misc_info(
        self,
        *,
        description: str | None,
        data: str | None,
        serial_number: str | None = None,
        process_code: int | None = None,
    ) -> list[dict[str, Any]]:
        """Answer HeaderByMiscInfo; what is None does not filter. Latest start first."""
        if self._settings.profile.misc_infos is MiscInfos.NOWHERE:
            return []
        conditions: list[str] = []
        values: list[Any] = []
        for condition, value in (
            ("m.description = ?", description),
            ("m.value = ?", data),
            ("reports.serial_number = ?", serial_number),
            ("reports.process_code = ?", process_code),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        with self._lock:
            shown, bound = self._shown()
            found = self._all(
                f"{shown}SELECT m.description, m.value, serial_number, part_number, start_utc, result, uuid,"
                " process_code, process_name"
                f" FROM misc_infos m JOIN reports USING (seq) WHERE {' AND '.join(conditions) or '1'}"
                " ORDER BY start_ticks DESC, uuid, m.position",
                *bound,
                *values,
            )
        answers: dict[str, dict[str, Any]] = {}
        for info_description, value, serial, part, start, result, uuid, code, name in found:
            answer = answers.setdefault(
                uuid,
                {
                    "miscData": [],
                    "serialNumber": serial,
                    "partNumber": part,
                    "start": self._written_start(start),
                    "result": result,
                    "uuid": uuid,
                    "processCode": code,
                    "processName": name,
                },
            )
            answer["miscData"].append({"description": info_description, "data": value})
        return list(answers.values())

    def page(
        self, *, result: str | None, text: str | None, limit: int, offset: int
    ) -> tuple[int, list[dict[str, Any]]]:
        """Return the number of matching reports and one page of them, last received first.

        `text` is looked for in serial number, part number, id and station.
        """
        where = "1"
        values: list[Any] = []
        if result:
            where, values = f"{where} AND result = ?", [*values, result]
        if text:
            where += (
                " AND instr(lower(serial_number || ' ' || part_number || ' ' || uuid || ' ' || station_name), lower(?))"
            )
            values.append(text)
        total = int(self._one(f"SELECT count(*) FROM reports WHERE {where}", *values))
        names = (
            *("uuid", "report_type", "serial_number", "part_number", "revision", "result", "station_name"),
            *("process_code", "process_name", "user_name", "start_utc", "execution_time", "receive_count"),
            *("report_size_kb", "received_at"),
        )
        found = self._all(
            f"SELECT {', '.join(names)} FROM reports WHERE {where} ORDER BY time_stamp DESC LIMIT ? OFFSET ?",
            *values,
            limit,
            offset,
        )
        return total, [dict(zip(names, columns, strict=True)) for columns in found]


def _expansion(name: str, report_type: str, report: Wsjf | None, infos: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one expanded list of a header; those of the other report type are empty."""
    is_repair = report_type == "R"
    if name in {"miscInfo", "uurMiscInfo"}:
        return infos if is_repair == (name == "uurMiscInfo") else []
    if report is None or is_repair != name.startswith("uur"):
        return []
    match name:
        case "subUnits" | "uurSubUnits":
            keys = {"partType": "partType", "serialNumber": "sn", "partNumber": "pn", "revision": "rev"}
            return [{key: unit.get(source) for key, source in keys.items()} for unit in report.get("subUnits") or []]
        case "attachments":
            return [{"stepId": entry["stepId"], "filename": entry["filename"]} for entry in attachments_of(report)]
        case "uurAttachments":
            return [{"id": None, "filename": entry["filename"]} for entry in attachments_of(report)]
        case _:
            return [{"serialNumber": asset.get("assetSN")} for asset in report.get("assets") or []]
