"""The reports of a factory with every oddity are the same bytes as before, from the database to the report.

What they were is kept in tests/data/factory-reports.json: a digest of each run's report, and one of each field over
all reports. After a change that is meant, write that file again and commit it:

    VTE_WATS_RENEW=1 .venv/bin/python -m pytest tests/integration/test_same_reports.py
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from sandbox.environment import SandboxEnvironment
from vte_wats.config.settings import parse_settings
from vte_wats.domain.report import Refusal, Report
from vte_wats.sync.map_runs import read_again
from vte_wats.vte.reader import VteSource

KEPT = "tests/data/factory-reports.json"
RENEW = "VTE_WATS_RENEW=1 .venv/bin/python -m pytest tests/integration/test_same_reports.py"
# From an autumn in which an hour is repeated to the spring in which one is skipped.
START_AT, END_AT = datetime(2025, 10, 25, 12, tzinfo=UTC), datetime(2026, 3, 30, 12, tzinfo=UTC)


def short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and text of all that a report holds: misc infos by name, the items of other lists under one path."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from leaves(part, f"{path}.{name}" if path else name)
    elif path == "miscInfos":
        for info in value:
            yield f"{path}.{info['description']}", json.dumps(info["text"])
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part, f"{path}[]")
    else:
        yield path, json.dumps(value)


def digests(mapped: Mapping[str, Report | Refusal]) -> dict[str, dict[str, str]]:
    runs, fields = {}, defaultdict(list)
    for guid, result in mapped.items():
        body = result.body if isinstance(result, Report) else json.dumps({result.kind: result.signature})
        runs[guid] = short(body)
        for path, leaf in leaves(json.loads(body)):
            fields[path].append(leaf)
    return {"runs": runs, "fields": {path: short("\n".join(found)) for path, found in sorted(fields.items())}}


def differences(kept: dict[str, str], now: dict[str, str]) -> list[str]:
    return sorted(name for name in kept.keys() | now.keys() if kept.get(name) != now.get(name))


@pytest.fixture(scope="module")
def factory() -> tuple[dict[str, Report | Refusal], dict[str, str]]:
    """What becomes of every run by its GUID, in their order, and the oddity of each odd run."""
    with SandboxEnvironment(seed=2026) as site, pytest.MonkeyPatch.context() as patch:
        for name, text in site.environment_variables.items():
            patch.setenv(name, text)
        loaded = site.factory_data.load(site.db, start=START_AT, end=END_AT, runs=120, oddities=True)
        settings = parse_settings(json.dumps(site.settings()))
        with VteSource(settings) as source:
            results = list(read_again(source, settings, [UUID(guid) for guid in site.source]))
    mapped = {str(run.report_id if isinstance(run, Report) else run.index_guid): run for run in results}
    return dict(sorted(mapped.items())), {
        guid: name for name, guids in loaded.guids_by_oddity.items() for guid in guids
    }


def test_the_reports_of_a_factory_with_every_oddity_have_the_bytes_that_are_kept(factory, repository):
    mapped, oddities = factory
    now = digests(mapped)
    assert len(now["runs"]) > 300
    file = repository / KEPT
    if "VTE_WATS_RENEW" in os.environ:
        file.write_text(f"{json.dumps(now, indent=1)}\n", encoding="utf-8")
    kept = json.loads(file.read_text(encoding="utf-8"))
    runs = [f"{guid} ({oddities.get(guid, 'plain')})" for guid in differences(kept["runs"], now["runs"])]
    fields = ", ".join(differences(kept["fields"], now["fields"])) or "none, but their order or form"
    assert not runs, (
        f"{len(runs)} reports have other bytes than {KEPT} keeps.\nFields: {fields}\nRuns: {', '.join(runs)}\n"
        "run_hash among the fields: the runs are other ones, or are read differently. If the change is meant, reports "
        f"in WATS are replaced when their runs are read again; keep the new digests: {RENEW}"
    )
