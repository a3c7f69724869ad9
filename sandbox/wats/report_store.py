"""The reports a server holds, in SQLite: stored as sent, overwritten as WATS overwrites, searchable by header."""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic_core import from_json

from sandbox.wats.odata import COLUMNS, HeaderQuery, Kind
from sandbox.wats.odata_datetimes import text_of_ticks, ticks_of_datetime
from sandbox.wats.reports import RESULT_WORDS, ReportHeader, Wsjf, attachments_of, header_of, parse_report

_SCHEMA = """
CREATE TABLE IF NOT EXISTS reports (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    serial_number TEXT NOT NULL, part_number TEXT NOT NULL, report_type TEXT NOT NULL, start_ticks INTEGER NOT NULL,
    revision TEXT, result TEXT NOT NULL, batch_number TEXT, user_name TEXT, station_name TEXT, location TEXT,
    purpose TEXT, process_code INTEGER NOT NULL, comment TEXT, execution_time REAL, sw_filename TEXT, sw_version TEXT,
    test_socket_index INTEGER, fixture_id TEXT, error_code INTEGER, error_message TEXT, caused_uut_failure TEXT,
    caused_uut_failure_path TEXT, referenced_uut TEXT,
    start_utc TEXT NOT NULL, process_name TEXT, time_stamp INTEGER NOT NULL, receive_count INTEGER NOT NULL,
    report_size_kb INTEGER NOT NULL, received_at TEXT NOT NULL, source_hash TEXT, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS reports_natural_key ON reports (serial_number, process_code, start_ticks, part_number);
CREATE INDEX IF NOT EXISTS reports_start ON reports (start_ticks DESC);
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
    reason TEXT NOT NULL, receive_count INTEGER NOT NULL, received_at TEXT NOT NULL, body BLOB NOT NULL
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


@dataclass(frozen=True)
class Received:
    """What became of one accepted POST: its legacy number, and the reason if it went to quarantine."""

    id: str
    number: int
    quarantine_reason: str | None


class ReportStore:
    """Reports in one SQLite database. Safe to use from several threads."""

    def __init__(
        self,
        db_path: str | Path | None,
        *,
        clock: Callable[[], datetime],
        processes: Iterable[Process] = DEFAULT_PROCESSES,
        future_tolerance_s: float = 60.0,
    ) -> None:
        self.clock = clock
        self.future_tolerance_s = future_tolerance_s
        self._processes = {process.code: process for process in processes}
        self._lock = threading.RLock()
        self._db = sqlite3.connect(
            ":memory:" if db_path is None else str(db_path), check_same_thread=False, isolation_level=None
        )
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;" + _SCHEMA)
        self._time_stamp = self._one("SELECT coalesce(max(time_stamp), 0) FROM reports")

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
        """Take a report that is already parsed; `body` is what gets stored."""
        header = header_of(report)
        now = self.clock()
        reason = quarantine_reason or self._quarantine_reason(header, now)
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                number = self._quarantine(header, body, now, reason) if reason else self._store(header, body, now)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        return Received(header.uuid, number, reason)

    def _quarantine_reason(self, header: ReportHeader, now: datetime) -> str | None:
        process = self._processes.get(header.process_code)
        if process is None:
            return f"Unknown process code {header.process_code}."
        if header.report_type == "T" and not process.is_test:
            return f"Process {process.code} ({process.name}) is not a test operation."
        if header.report_type == "R" and not process.is_repair:
            return f"Process {process.code} ({process.name}) is not a repair operation."
        limit = ticks_of_datetime(now) + int(self.future_tolerance_s * 10_000_000)
        if header.start_ticks > limit:
            return f"Start {text_of_ticks(header.start_ticks)} is in the future."
        return None

    def _quarantine(self, header: ReportHeader, body: bytes, now: datetime, reason: str) -> int:
        self._db.execute(
            "INSERT INTO quarantine VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT (uuid) DO UPDATE SET"
            " serial_number = excluded.serial_number, part_number = excluded.part_number,"
            " process_code = excluded.process_code, start_utc = excluded.start_utc, reason = excluded.reason,"
            " receive_count = receive_count + 1, received_at = excluded.received_at, body = excluded.body",
            (
                *(header.uuid, header.serial_number, header.part_number, header.process_code),
                *(text_of_ticks(header.start_ticks), reason, now.isoformat(), body),
            ),
        )
        return 0

    def _store(self, header: ReportHeader, body: bytes, now: datetime) -> int:
        earlier = self._db.execute(
            "SELECT seq, uuid, receive_count, body = ? FROM reports WHERE uuid = ? OR"
            " (serial_number = ? AND process_code = ? AND start_ticks = ? AND part_number = ?)",
            (body, header.uuid, header.serial_number, header.process_code, header.start_ticks, header.part_number),
        ).fetchall()
        seq: int | None = None
        receive_count = 1
        at = now.isoformat()
        for old_seq, old_uuid, old_count, same_content in earlier:
            same_id = old_uuid == header.uuid
            receive_count += old_count
            seq = old_seq if same_id or seq is None else seq
            self._db.execute("DELETE FROM misc_infos WHERE seq = ?", (old_seq,))
            self._db.execute("DELETE FROM reports WHERE seq = ?", (old_seq,))
            self._db.execute(
                "INSERT INTO overwrites (cause, old_uuid, new_uuid, same_content, at) VALUES (?, ?, ?, ?, ?)",
                (Cause.SAME_ID if same_id else Cause.NATURAL_KEY, old_uuid, header.uuid, same_content, at),
            )
        self._time_stamp += 1
        source_hash = next((value for name, value in header.misc_infos if name == "source_hash"), None)
        cursor = self._db.execute(
            _INSERT,
            (
                seq,
                *[getattr(header, name) for name in _HEADER_FIELDS],
                *(text_of_ticks(header.start_ticks), self._processes[header.process_code].name, self._time_stamp),
                *(receive_count, -(-len(body) // 1024), at, source_hash, body),
            ),
        )
        number = seq or cursor.lastrowid or 0
        if header.misc_infos:
            self._db.executemany(
                "INSERT INTO misc_infos VALUES (?, ?, ?, ?)",
                [(number, position, *info) for position, info in enumerate(header.misc_infos)],
            )
        self._db.execute("DELETE FROM quarantine WHERE uuid = ?", (header.uuid,))
        return number

    def clear(self) -> None:
        """Forget every report, quarantined ones included."""
        with self._lock:
            self._db.executescript(
                "DELETE FROM misc_infos; DELETE FROM reports; DELETE FROM overwrites; DELETE FROM quarantine;"
                "DELETE FROM sqlite_sequence;"
            )

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
        """Return the bytes of a stored report, or None."""
        body: bytes | None = self._one("SELECT body FROM reports WHERE uuid = ?", report_id.lower())
        return body

    def receive_counts(self) -> dict[str, int]:
        """Return for each stored id how often it was received; its successor takes over a replaced report's count."""
        return dict(self._all("SELECT uuid, receive_count FROM reports ORDER BY time_stamp"))

    def quarantined(self) -> list[Quarantined]:
        """Return the reports in quarantine, latest first."""
        found = self._all(
            "SELECT uuid, reason, receive_count, received_at, body FROM quarantine ORDER BY received_at DESC"
        )
        return [
            Quarantined(uuid, reason, count, received_at, from_json(body))
            for uuid, reason, count, received_at, body in found
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
        """Answer a header query; without one, all headers with their misc infos, latest start first."""
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
            found = self._all(sql, *asked.values, asked.top, asked.skip)
            infos = self._misc_infos([seq for seq, *_ in found]) if {"miscInfo", "uurMiscInfo"} & set(expand) else {}
        headers: list[dict[str, Any]] = []
        for seq, body, report_type, *values in found:
            header = {
                column.name: bool(value) if column.kind is Kind.BOOLEAN else value
                for column, value in zip(columns, values, strict=True)
            }
            report = None if body is None else from_json(body)
            for name in expand:
                header[name] = _expansion(name, report_type, report, infos.get(seq, []))
            headers.append(header)
        return headers

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
        found = self._all(
            "SELECT m.description, m.value, serial_number, part_number, start_utc, result, uuid, process_code,"
            " process_name"
            f" FROM misc_infos m JOIN reports USING (seq) WHERE {' AND '.join(conditions) or '1'}"
            " ORDER BY start_ticks DESC, uuid, m.position",
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
                    "start": start,
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
