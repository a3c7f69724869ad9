"""A database of anything: any text, any number, any NULL, through extract, map and upload over the real wires.

python -m tests.faults.fuzz [--runs N] [--seed N]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from upath import UPath

from sandbox.environment import SandboxEnvironment
from sandbox.wats.report_store import Cause
from tests.site.content import Tables, clean, differences, refusal
from vte_wats.config.settings import Settings
from vte_wats.domain.errors import VteWatsError
from vte_wats.intervals.wall_clock import everything_until
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.in_flight_keys import InFlightKeys
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import extract
from vte_wats.sync.map_runs import map_runs, read_again
from vte_wats.sync.plan import plan_named
from vte_wats.sync.upload import UploadOptions, upload
from vte_wats.vte.reader import VteSource
from vte_wats.wats.hook import WatsHook

Row = dict[str, Any]
T = TypeVar("T")
REPOSITORY = Path(__file__).resolve().parents[2]
NAMESPACE = UUID("6f1d1f0e-8f63-4d9c-9a63-3a2b9a3b7c11")
ZONE = "Europe/Oslo"
PROCESSES = {"*": 100}
STATIONS, MASTERS = 5, 12
RESULT_CODES = (0, 1, 2, 3)


# The emulated server's store keeps UTF-8, which has no lone surrogates: private characters from U+10D800 stand for them
# there (sandbox/sqlserver/utf16.py). Everything before these may stand in nvarchar.
CHARACTERS = st.characters(exclude_categories=["Cs"], max_codepoint=0x10D7FF)
SHORT_TEXT = st.text(CHARACTERS, max_size=120)  # nvarchar(255) holds them, whatever they are
ODD_TEXTS = [
    "",
    " ",
    "\t",
    "\x00",
    "A/*%?[]^!\\",
    "<b>&\"'</b>",
    "😀" * 60,
    "x" * 101,
    "ẞß İı",
    "\ufeff",
    "PN-1",
    "SN-1",
]
INTEGER = st.integers(-(2**31), 2**31 - 1)
RESULTS = st.sampled_from(RESULT_CODES)
CODE = st.none() | RESULTS | INTEGER
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
ODD_NUMBERS = [None, 0.0, -0.0, 5e-324, 9.9e37, -9.9e37, 9.91e37, 1e308, -1e308]
ODD_BYTES = [b"", b"\x89PNG\r\n\x1a\n1", b"%PDF-1", b"a\x00b\x00", b"\xff\xfea\x00", b"plain", b"\xff" * 20_000]
SELDOM = st.integers(0, 19).map(lambda drawn: drawn == 0)


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw the usual nineteen times in twenty."""
    return SELDOM.flatmap(lambda seldom: odd if seldom else usual)


WHEN = mostly(
    st.datetimes(datetime(1753, 1, 1), datetime(2026, 10, 1))
    | st.datetimes(datetime(2025, 10, 26), datetime(2025, 10, 26, 6)),  # the night in which an hour is shown twice
    st.datetimes(datetime(1753, 1, 1), datetime(9999, 12, 31)),
)


def out_of(pool: Sequence[T]) -> st.SearchStrategy[T]:
    """Draw one of a pool; hypothesis writes down what sampled_from holds, which takes long for many texts."""
    return st.integers(0, len(pool) - 1).map(lambda index: pool[index])


def run_strategy(number: int) -> st.SearchStrategy[Row]:
    """Return how a run is drawn; its texts and numbers come from pools that hypothesis drew for the seed."""
    name = st.none() | out_of(ODD_TEXTS) | out_of(drawn(SHORT_TEXT, 1_000, number))
    long = name | st.integers(130, 1_300).map(lambda times: "wide Ω " * times)
    value = st.sampled_from(ODD_NUMBERS) | out_of(drawn(FLOAT, 2_000, number))
    real = st.none() | st.floats(0, 1e4, width=32) | st.floats(allow_nan=False, allow_infinity=False, width=32)
    content = st.none() | out_of(ODD_BYTES) | out_of(drawn(st.binary(max_size=200), 300, number))

    def step(**result: st.SearchStrategy[Any]) -> st.SearchStrategy[Row]:
        shared = {
            "TestStepNumber": st.none() | st.integers(0, 3) | INTEGER,
            "TestName": name,
            "TestDescription": long,
            "TestNumber": name,
            "TestUnits": name,
            "TestResultType": mostly(st.none() | RESULTS, CODE),
        }
        return st.fixed_dictionaries(shared | result)

    texts = ("Hostname", "Site", "UserName", "TestplanName", "TestplanVariant", "TestplanRevision", "Info1", "Info2")
    header = {
        "Timestamp": WHEN,
        "ExitCode": CODE,
        "Result": mostly(RESULTS, CODE),
        "TestTime": real,
        "ProductName": mostly(st.just("PN-1"), name),
        **dict.fromkeys((*texts, "Info3"), name),
    }
    return st.fixed_dictionaries(
        {
            "serial": mostly(st.just("its own"), name),
            "station": mostly(st.integers(0, STATIONS - 1), st.none()),
            "product": st.none() | st.integers(0, MASTERS - 1),
            "testplan": st.none() | st.integers(0, MASTERS - 1),
            "header": st.fixed_dictionaries(header),
            "TestDataNumeric": st.lists(step(TestResult=value, LowLimit=value, HighLimit=value), max_size=3),
            "TestDataText": st.lists(step(TestResult=long), max_size=2),
            "TestDataOther": st.lists(step(TestResult=content), max_size=2),
        }
    )


def drawn(strategy: st.SearchStrategy[T], count: int, number: int) -> list[T]:
    """Return what hypothesis draws for a seed: the same at every call, where the same modules are imported."""
    found: list[T] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(one: T) -> None:
        found.append(one)

    collect()
    return found[:count]


def tables_of(runs: int, number: int) -> dict[str, list[Row]]:
    """Return the rows of a database with so many runs."""
    names = [None, "", *drawn(SHORT_TEXT, MASTERS - 2, number)]
    rows: dict[str, list[Row]] = {
        "Products": [{"Product_GUID": _guid("product", n), "Name": name} for n, name in enumerate(names)],
        "Testplans": [{"Testplan_GUID": _guid("plan", n), "Name": name} for n, name in enumerate(reversed(names))],
        "TestSystems": [{"Testsystem_GUID": _guid("station", n), "Name": f"Station {n}"} for n in range(STATIONS)],
        **{name: [] for name in ("UutData", "IndexData", "TestDataNumeric", "TestDataText", "TestDataOther")},
    }
    for n, found_run in enumerate(drawn(run_strategy(number), runs, number)):
        guid, unit = _guid("run", n), _guid("unit", n)
        rows["UutData"].append(
            {"Uut_GUID": unit, "Serial": f"SN-{n}" if found_run["serial"] == "its own" else found_run["serial"]}
        )
        keys = {"product": "Product_GUID", "testplan": "Testplan_GUID", "station": "Testsystem_GUID"}
        links = {
            column: _guid("plan" if name == "testplan" else name, found_run[name])
            for name, column in keys.items()
            if found_run[name] is not None
        }
        rows["IndexData"].append(
            {"Index_GUID": guid, "Uut_GUID": unit} | dict.fromkeys(keys.values()) | links | found_run["header"]
        )
        for table in ("TestDataNumeric", "TestDataText", "TestDataOther"):
            rows[table] += [{"Index_GUID": guid} | row for row in found_run[table]]
    return rows


def _guid(*name: object) -> str:
    return str(uuid5(NAMESPACE, " ".join(map(str, name))))


@dataclass(frozen=True)
class Verdict:
    """What became of a fuzzed database; ``wrong`` has one line per thing that is not as it must be."""

    runs: int
    not_due: int
    reports: int
    dead: int
    held: int
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.runs} runs: {self.reports} reports, {self.dead} dead and {self.held} held dead letters, {self.not_due} "
            f"in the future; {len(self.wrong)} wrong"
        )


def fuzz(runs: int, number: int) -> Verdict:
    """Transfer a fuzzed database from VTE to WATS, twice, and compare every run."""
    with (
        tempfile.TemporaryDirectory(prefix="vte-wats-fuzz-") as folder,
        SandboxEnvironment(seed=number, timezone=ZONE) as plant,
    ):
        plant.db.insert_rows(tables_of(runs, number))
        with _environment(plant):
            now_at = datetime.now(UTC)
            counts, raised = _transfer(UPath(folder), now_at, "first")
            posted = sum(1 for request in plant.wats.log if request.method == "POST")
            again, raised_again = _transfer(UPath(folder), now_at, "second")
        wrong = [*raised, *raised_again, *_compared(plant, UPath(folder), counts, now_at)]
        if sum(1 for wat in plant.wats.log if wat.method == "POST") != posted:
            wrong.append("the second time something was posted")
        if again["unchanged"] != counts["uploaded"]:
            wrong.append(f"the second time {again['unchanged']} of {counts['uploaded']} reports were unchanged")
        tables = Tables(plant.db.query)
        due = {guid for guid, row in tables.runs.items() if _is_due(row, now_at)}
        return Verdict(len(due), runs - len(due), counts["uploaded"], counts["dead"], counts["held"], tuple(wrong))


def _transfer(folder: UPath, now_at: datetime, time: str) -> tuple[Counter[str], list[str]]:
    """Run the verbs as the DAG does; return the outcomes, and what was raised that is no outcome."""
    site = Settings(source_timezone=ZONE, process_map=PROCESSES)
    dead_letters, counts, raised = DeadLetters(folder), Counter[str](), []
    ranges = everything_until(now_at, site.zone)
    with VteSource(site) as source, WatsHook().session() as wats:
        named = [guid for guid, local in source.run_keys(ranges) if local is not None]
        for part in plan_named(named, site):
            staging = Staging(folder / f"{time}-{part.name}")
            options = UploadOptions(now_at)
            try:
                read = extract(source, staging, part, site)
                map_runs(staging, site)
                with InFlightKeys(folder, part.name, partial(datetime.now, UTC)) as in_flight:
                    reader = partial(read_again, source, site)
                    outcomes = upload(
                        staging, wats, dead_letters, site, options, read=read, in_flight=in_flight, read_again=reader
                    )
            except VteWatsError as error:
                raised.append(f"{part.name}: {type(error).__name__}: {error}")
            except Exception as error:  # noqa: BLE001 - this is what is looked for
                raised.append(f"{part.name}: outside the classes: {type(error).__name__}: {error}")
            else:
                counts.update(outcomes)
                if read != len(part.guids):
                    raised.append(f"{part.name}: {read} runs read of {len(part.guids)}")
    return counts, raised


def _compared(plant: SandboxEnvironment, folder: UPath, counts: Counter[str], now_at: datetime) -> Iterator[str]:
    """Compare every run of the database with its report or its dead letter; nothing here comes from the product's mapping."""
    tables, store = Tables(plant.db.query), plant.wats.store
    dead_letters = {str(deadletter.index_guid): deadletter for deadletter in DeadLetters(folder)}
    receipts = plant.receipts
    due = {guid for guid, row in tables.runs.items() if _is_due(row, now_at)}
    if (
        counts["read"] != len(due)
        or counts["uploaded"] != len(receipts)
        or counts["dead"] + counts["held"] != len(dead_letters)
    ):
        yield f"accounts do not balance: {dict(counts)}, {len(due)} due, {len(receipts)} reports, {len(dead_letters)} dead letters"
    if due != receipts.keys() | dead_letters.keys() or receipts.keys() & dead_letters.keys():
        yield "runs, reports and dead letters do not match"
    if store.overwrites(Cause.NATURAL_KEY) or store.quarantined() or max(receipts.values(), default=1) > 1:
        yield "a report was overwritten, received twice or put into quarantine"
    zone, twins = ZoneInfo(ZONE), _twins(tables, due)
    for guid in sorted(due):
        run, steps = tables.runs[guid], tables.steps[guid]
        expected = refusal(run, steps, processes=PROCESSES) or ("dead" if guid in twins else None)
        found = dead_letters[guid].kind.value if guid in dead_letters else None
        if guid in twins and expected == "dead" and found is None:
            continue  # one of several may have gone first
        if expected != found:
            reported = dead_letters[guid].reason if guid in dead_letters else "it is in WATS"
            yield f"{guid} should be {expected or 'in WATS'}: {reported}"
        elif found is None:
            for line in differences(run, steps, store.report(guid), zone=zone, processes=PROCESSES):
                yield f"{guid} altered: {line}"


def _twins(tables: Tables, due: set[str]) -> set[str]:
    """Return the runs that share serial and part with another: they may collide."""
    keys = Counter(
        (clean(row["Serial"]).casefold(), row["Timestamp"]) for guid, row in tables.runs.items() if guid in due
    )
    return {
        guid
        for guid, row in tables.runs.items()
        if guid in due and keys[clean(row["Serial"]).casefold(), row["Timestamp"]] > 1
    }


def _is_due(row: Row, now_at: datetime) -> bool:
    now_local = now_at.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None, microsecond=0)
    return bool(row["Timestamp"] < now_local)


@contextmanager
def _environment(plant: SandboxEnvironment) -> Iterator[None]:
    """Let hooks find the plant's connections where Airflow looks first."""
    before = dict(os.environ)
    os.environ.update(plant.environment_variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def fuzz_apart(runs: int, number: int, home: Path) -> Verdict:
    """Fuzz in a process of its own: hypothesis draws constants of the imported modules, too, so these are the same."""
    command = [sys.executable, "-m", "tests.faults.fuzz", "--json", "--runs", str(runs), "--seed", str(number)]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {"AIRFLOW_HOME": str(home), "PYTHONPATH": f"{REPOSITORY / 'plugins'}:{REPOSITORY}"}
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    try:
        plain = json.loads(done.stdout)
    except ValueError:
        return Verdict(0, 0, 0, 0, 0, (f"it ended with {done.returncode}: {done.stderr[-300:]}",))
    return Verdict(**plain | {"wrong": tuple(plain["wrong"])})


def main() -> int:
    """Fuzz, report, and return 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="report as JSON")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    verdict = fuzz(arguments.runs, arguments.seed)
    reported = f"{verdict}\n" + "".join(f"  {line[:400]}\n" for line in verdict.wrong[:40])
    sys.stdout.write(json.dumps(asdict(verdict)) if arguments.json else reported)
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
