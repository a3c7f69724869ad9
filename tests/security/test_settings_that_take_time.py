"""No text of 1 MB, whoever wrote it, makes a reader of settings, options or files work longer than in step with its size."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from upath import UPath

from tests.unit.builders import a_settings
from vte_wats.backfill.dry_run_report import _IN_FULL
from vte_wats.backfill.request import read_request
from vte_wats.config.dag_options import parse_dag_options
from vte_wats.config.settings import parse_alerts, parse_settings
from vte_wats.domain.errors import FatalError
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.object_storage import file_name

NOW_AT = datetime(2026, 6, 1, tzinfo=UTC)


def entries(size: int, entry: str) -> str:
    return ",".join(entry.format(n) for n in range(size // 16))


def settings(**texts: str) -> str:
    fields = {"source_timezone": '"Europe/Oslo"', "process_map": '{"A": 1}'} | texts
    return "{" + ",".join(f"{json.dumps(name)}: {text}" for name, text in fields.items()) + "}"


HOSTILE: dict[str, Callable[[int], Any]] = {
    "unknown names": lambda n: parse_settings(settings()[:-1] + "," + entries(n, '"{0}":1') + "}"),
    "names given twice": lambda n: parse_settings("{" + entries(n, '"{0}":1') + "," + entries(n, '"{0}":1') + "}"),
    "test plans": lambda n: parse_settings(settings(process_map="{" + entries(n, '"*{0}*":1') + "}")).process_code(
        "9" * 255
    ),
    "a pattern of stars": lambda n: parse_settings(settings(process_map='{"' + "*a" * 2_000 + 'b": 1}')).process_code(
        "a" * n
    ),
    "tables": lambda n: parse_settings(settings(column_overrides="{" + entries(n, '"{0}":{{}}') + "}")),
    "columns": lambda n: parse_settings(
        settings(column_overrides='{"IndexData":{"columns":{' + entries(n, '"{0}":"x"') + "}}}")
    ),
    "recipients": lambda n: parse_alerts(settings(alerts='{"recipients":[' + entries(n, '"a{0}@b"') + "]}")),
    "one recipient": lambda n: parse_alerts(settings(alerts='{"recipients":["' + "a" * n + '"]}')),
    "brackets": lambda n: parse_settings("[" * n),
    "digits": lambda n: parse_settings(settings(batch_size="9" * n)),
    "a number of an option": lambda n: parse_dag_options(
        lambda name, default: "9" * n if name == "retries" else default
    ),
    "sites": lambda n: parse_dag_options(lambda name, default: entries(n, "a{0}") if name == "sites" else default),
    "runs of the form": lambda n: read_request({"guids": ["x"] * n}, NOW_AT, a_settings()),
    "remarks": lambda n: list(_IN_FULL.finditer("a " * n)),
    "a name of a file": lambda n: file_name("../" * n),
    "a dead letter": lambda n: a_damaged_dead_letter(b'{"reason": "' + b"[{" * n),
}


def a_damaged_dead_letter(content: bytes) -> list[Any]:
    storage = UPath(f"memory://{uuid4()}")
    path = storage / "dead_letters" / f"{uuid4()}.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return list(DeadLetters(storage).headers())


# A reader whose work grew with the square of the text would need hours.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", HOSTILE)
def test_one_megabyte_is_read_or_refused_with_a_code_in_bounded_time(name):
    with suppress(FatalError):
        HOSTILE[name](1_000_000)
