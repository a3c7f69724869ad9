"""A fixed set of runs, oddities included, and the digest of their reports: python -m tests.unit.same_bytes.

Whatever machine, Python, locale, time zone or hash seed makes the reports, the digest is the same; the one that is
committed stands in the test beside this module. A change of the mapping, or of pyWATS, is a new digest, and means that
the reports in WATS are replaced when their runs are read again.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import product
from uuid import UUID

from tests.unit.builders import a_settings
from tests.unit.mapping_builders import a_number, a_run, a_text, an_other
from vte_wats.config.settings import Settings
from vte_wats.domain.errors import RejectedError
from vte_wats.domain.run import VteProduct, VteTestplan, VteTestRun
from vte_wats.intervals.wall_clock import Fold
from vte_wats.mapping.report_builder import map_run

TEXTS = (
    None,
    "",
    " ",
    "SN-1",
    " Ø 測試 İıſß ",
    "A/*%?[]^!\\",
    "tab\tand\nline",
    "\x00\x01\x1f\x7f\x85\u200b\u2028\ufeff",
    "new in later Unicodes: \u0c5c \U0001fae9 \U00016d40",
    "😀" * 60,
    "wide Ω " * 900,
    '"},{"id":"<b>&amp;',
)
NUMBERS = (0.0, -0.0, 1.0, 0.1 + 0.2, 1e-310, 5e-324, 1.7976931348623157e308, -9.9e37, 9.91e37, 1 / 3, 2.0**53 + 2)
TIMES = (
    datetime(2026, 6, 15, 14, 30, 0, 3_333),
    datetime(2026, 10, 25, 2, 30),
    datetime(2026, 3, 29, 2, 30),
    datetime(1970, 1, 1),
    datetime(1753, 1, 1),
    datetime(9999, 12, 31, 23, 59, 59, 997_000),
)
TEST_TIMES = (None, 0.0, 12.345600128173828, -1.0, 3.4e38, 86_400.5)
BYTES = (
    b"",
    b"text \xc3\x98",
    b"\xff\xfea\x00",
    b"a\x00b\x00",
    b"\x89PNG\r\n\x1a\n1",
    b"%PDF-1",
    bytes(range(256)),
    b"\xff" * 5_000,
)


def runs() -> Iterator[VteTestRun]:
    """Yield the runs."""
    numbers = tuple(
        a_number(value, step_number=n // 2, low_limit=low, high_limit=high, units="V", result_code=code)
        for n, (value, (low, high), code) in enumerate(
            product((None, *NUMBERS), ((None, None), (-1.0, 1.0), (9.9e37, 0.1), (-1e308, 1e308)), (None, 1, 0))
        )
    )
    texts = tuple(a_text(text, step_number=n, test_description=text) for n, text in enumerate(TEXTS))
    others = tuple(an_other(content, step_number=n, test_name=f"Trace {n}") for n, content in enumerate(BYTES))
    yield a_run(index_guid=UUID(int=1), steps=numbers)
    yield a_run(index_guid=UUID(int=2), steps=texts + others)
    for n, (local, took) in enumerate(product(TIMES, TEST_TIMES), start=100):
        yield a_run(index_guid=UUID(int=n), timestamp_local=local, test_time_s=took)
    for n, text in enumerate(TEXTS, start=200):
        yield a_run(index_guid=UUID(int=n), serial=text, info1=text, hostname=text, operator=text)
        yield a_run(
            index_guid=UUID(int=1_000 + n),
            product=VteProduct(name=text, master_name="PN-2"),
            testplan=VteTestplan(name=text, master_name="Gain", variant=text, revision=text),
            testsystem_name=text,
            site_name=text,
            info2=text,
        )
    singles = tuple(
        a_number(
            single, step_number=n, low_limit=single, test_name="Gain", test_number=f"{n % 2}.{n}", result_code=code
        )
        for n, (single, code) in enumerate(product((12.345600128173828, 9.899999803651032e37), (None, 0, 2, 3, 9)))
    )
    yield a_run(index_guid=UUID(int=3), steps=singles, result_code=0, exit_code=4, info1="Lot 7 #2 hot")
    for code in (None, 0, 1, 2, 3, 7):
        yield a_run(index_guid=UUID(int=3_000 + (code or 9)), result_code=code, exit_code=code)


def variants() -> Iterator[Settings]:
    """Yield the settings that each run is mapped with."""
    yield a_settings(process_map={"*": 100})
    yield a_settings(
        process_map={"?*": 10, "Gain": 20}, source_timezone="Australia/Lord_Howe", timestamp_marks="start",
        ambiguous_time="later", problem_characters="reject", part_number="info1", part_revision={"source": "info2"},
        numbers="exact", logged_values="Done", equal_step_names="keep", default_operator="nobody",
    )  # fmt: skip
    yield a_settings(
        process_map={"*": 100}, step_nesting="test_number", error_messages={4: "Fixture open"},
        step_result_codes={1: "Passed", 0: "Failed", 2: "Error", 3: "Terminated", 9: "Skipped"},
        text_rules=[{"source": "info1", "pattern": "Lot {batch} #{socket} {misc:Oven}"}],
    )  # fmt: skip


def digest() -> str:
    """Return the digest of every report, and of every kind of reason why there is none; messages may change."""
    whole = hashlib.sha256()
    folds: tuple[Fold | None, ...] = (None, 1)
    for run, settings, fold in product(tuple(runs()), tuple(variants()), folds):
        try:
            report = map_run(run, settings, fold)
            whole.update(f"{report.source_hash} {report.body}\n".encode())
        except RejectedError as error:
            whole.update(f"{type(error).__name__} {error.signature}\n".encode("utf-8", "backslashreplace"))
    return whole.hexdigest()


if __name__ == "__main__":
    sys.stdout.write(f"{digest()}\n")
