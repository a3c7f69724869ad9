"""What each documented column must hold, and how much of what another column holds is like it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from vte_wats.config.settings import KEY_COLUMNS, Settings
from vte_wats.intervals.wall_clock import OLDEST_CLOCK
from vte_wats.mapping.content_types import file_type, text_in

Pair = tuple[Any, Any]
"""A value of the column that a rule looks at beside, and one of the column itself."""

_ENOUGH = 20  # values that say something together
_MOSTLY = 0.9
_SAME_STATION = 0.95
_FEW_CODES = 10
_VARIES = 0.3  # of the values are different: measured ones, where limits repeat
_LONGEST_TEST_S = 7 * 86_400
_MOST_STEPS = 100_000
_LONGEST_UNIT = 8
_TYPES = "documented type and meaning"
_COPIES = "IndexData copies the names of its run, station, product and test plan"


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a column may be the documented one: ``None`` says that its content does not decide.

    ``sure`` is what no other column would fit by chance, such as keys of another table. ``seen`` names no value.
    """

    holds: bool | None
    sure: bool = False
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a documented column must hold; ``source`` says what that follows from.

    Either ``share`` says how much of its values is so, ``None`` where that cannot be said, and ``beside`` names a
    column of the same table to look at with each value; or its values are in the column ``within``; or it has those of
    ``has``.
    """

    must: str
    source: str
    share: Callable[[Sequence[Pair]], float | None] | None = None
    beside: str | None = None
    within: tuple[str, str] | None = None
    has: tuple[str, str] | None = None
    least: float = _MOSTLY
    enough: int = _ENOUGH
    sure: bool = False

    @property
    def other(self) -> tuple[str, str] | None:
        """The column of another table that the rule needs."""
        return self.within or self.has


def is_required(table: str, column: str) -> bool:
    """Return whether no run can be read without this column, so that it has values."""
    return column in KEY_COLUMNS[table]


def judged(rule: Rule, pairs: Sequence[Pair], *, required: bool) -> Fit:
    """Return whether these rows of a column are what the rule says."""
    assert rule.share is not None, "rules about another table count what is found there"  # noqa: S101
    filled = [(beside, value) for beside, value in pairs if value is not None and value != ""]
    seen = f"{len(pairs)} rows read, {len(pairs) - len(filled)} of them NULL or empty"
    if len(pairs) >= rule.enough and required and len(filled) < len(pairs) / 2:
        return Fit(holds=False, seen=seen)
    share = rule.share(filled) if len(filled) >= rule.enough else None
    seen += f", {_different(filled)} different values"
    if share is None:
        return Fit(holds=None, seen=f"{seen}, which decide nothing")
    return Fit(holds=share >= rule.least, sure=rule.sure, seen=f"{seen}, {100 * share:.0f} % fit: {rule.must}")


def counted(rule: Rule, asked: int, found: int) -> Fit:
    """Return whether so many values of a column being in another one are enough."""
    if not asked:
        return Fit(holds=None, seen="no value to look for")
    seen = f"{found} of {asked} different values are in {'it' if rule.has else '.'.join(rule.within or ())}"
    return Fit(holds=found >= rule.least * asked, sure=rule.sure, seen=seen)


def rules_for(settings: Settings) -> Mapping[tuple[str, str], Rule]:
    """Return the rules by table and column; a column without one holds what nothing published describes."""
    return {
        **_HEADERS,
        ("IndexData", "Result"): _codes("result_codes", settings.result_codes),
        **{
            (table, "TestResultType"): _codes("step_result_codes", settings.step_result_codes)
            for table in ("TestDataNumeric", "TestDataText", "TestDataOther")
        },
        **{
            (table, column): rule
            for table in ("TestDataNumeric", "TestDataText", "TestDataOther")
            for column, rule in _STEPS.items()
        },
        **_VALUES,
    }


def _codes(setting: str, known: Collection[int]) -> Rule:
    return Rule(f"a few codes, those of {setting}", _TYPES, partial(_are_codes, frozenset(known)))


def _are_codes(known: frozenset[int], pairs: Sequence[Pair]) -> float | None:
    share = 0.0 if _different(pairs) > _FEW_CODES else _part(pairs, lambda value: value in known)
    return None if share and _different(pairs) == 1 else share


def _are_different(pairs: Sequence[Pair]) -> float:
    return _different(pairs) / len(pairs)


def _are_datetimes(pairs: Sequence[Pair]) -> float | None:
    if _are_different(pairs) < _VARIES:
        return 0.0
    return _part(pairs, _is_datetime)


def _is_datetime(value: Any) -> bool:
    return isinstance(value, datetime) and value >= OLDEST_CLOCK and value.time() != datetime.min.time()


def _are_durations(pairs: Sequence[Pair]) -> float | None:
    share = _part(pairs, lambda value: 0 <= value <= _LONGEST_TEST_S)
    return None if share and _different(pairs) <= _FEW_CODES else share


def _are_serials(pairs: Sequence[Pair]) -> float:
    return min(_are_different(pairs), _part(pairs, lambda value: "\n" not in value))


def _are_of_one_station(pairs: Sequence[Pair]) -> float | None:
    """Return how many rows have the value that most rows of their station have."""
    stations: dict[Any, Counter[Any]] = defaultdict(Counter)
    for station, value in pairs:
        stations[station][value] += 1
    if len(stations) < 2 or _different(pairs) < 2:
        return None
    return sum(max(values.values()) for values in stations.values()) / len(pairs)


def _count_within_a_run(pairs: Sequence[Pair]) -> float | None:
    """Return how many rows have a number of their own in their run."""
    runs: dict[Any, list[int]] = defaultdict(list)
    for run, value in pairs:
        runs[run].append(value)
    several = [values for values in runs.values() if len(values) > 2]
    rows = sum(map(len, several))
    if rows < _ENOUGH:
        return None
    return sum(len({value for value in values if 0 <= value <= _MOST_STEPS}) for values in several) / rows


def _are_measured(pairs: Sequence[Pair]) -> float:
    return 1.0 if _are_different(pairs) >= _VARIES else 0.0


def _repeat_on_one_side(side: int, pairs: Sequence[Pair]) -> float | None:
    """Return how many limits have their measured value on their side, of a column whose values repeat."""
    if _are_different(pairs) >= _VARIES:
        return 0.0
    both = [(measured, limit) for measured, limit in pairs if measured is not None]
    return sum((measured - limit) * side >= 0 for measured, limit in both) / len(both) if both else None


def _are_files_or_texts(pairs: Sequence[Pair]) -> float:
    return _part(pairs, lambda value: file_type(value) != file_type(b"") or text_in(value) is not None)


def _are_names(pairs: Sequence[Pair]) -> float:
    return _part(pairs, _is_name)


def _is_name(value: str) -> bool:
    return len(value) > _LONGEST_UNIT and re.search(r"[^\W\d]{2}", value) is not None


def _part(pairs: Sequence[Pair], fits: Callable[[Any], bool]) -> float:
    return sum(fits(value) for _, value in pairs) / len(pairs)


def _different(pairs: Sequence[Pair]) -> int:
    return len({value for _, value in pairs})


_KEY = Rule("another value in every row", _TYPES, _are_different, least=1.0)


def _key_of(table: str, column: str) -> Rule:
    return Rule(f"keys of {table}", f"documented relation to {table}", within=(table, column), sure=True)


def _copy_of(table: str, column: str) -> Rule:
    return Rule(f"what {table}.{column} has", _COPIES, within=(table, column), sure=True)


def _with_values_of(column: str, source: str) -> Rule:
    return Rule(f"what IndexData.{column} has", source, has=("IndexData", column), sure=True)


def _of_master(table: str, key: str) -> Rule:
    return _with_values_of(key, f"documented relation to {table}")


_HEADERS = {
    ("Products", "Product_GUID"): _of_master("Products", "Product_GUID"),
    ("Products", "Name"): _with_values_of("ProductName", _COPIES),
    ("Testplans", "Testplan_GUID"): _of_master("Testplans", "Testplan_GUID"),
    ("Testplans", "Name"): _with_values_of("TestplanName", _COPIES),
    ("TestSystems", "Testsystem_GUID"): _of_master("TestSystems", "Testsystem_GUID"),
    ("TestSystems", "Name"): Rule("a name of its own in every row", _TYPES, _are_different, least=1.0, enough=3),
    ("UutData", "Uut_GUID"): _KEY,
    ("UutData", "Serial"): Rule("mostly different texts of one line", _TYPES, _are_serials, least=0.7),
    ("IndexData", "Index_GUID"): _KEY,
    ("IndexData", "Uut_GUID"): _key_of("UutData", "Uut_GUID"),
    ("IndexData", "Product_GUID"): _key_of("Products", "Product_GUID"),
    ("IndexData", "Testplan_GUID"): _key_of("Testplans", "Testplan_GUID"),
    ("IndexData", "TestplanRevision_GUID"): _key_of("TestplanRevisions", "TestplanRevision_GUID"),
    ("IndexData", "Testsystem_GUID"): _key_of("TestSystems", "Testsystem_GUID"),
    ("IndexData", "Timestamp"): Rule("mostly different dates with a time, since 2002", _TYPES, _are_datetimes),
    ("IndexData", "TestTime"): Rule("seconds of a test, none of them negative", _TYPES, _are_durations, least=0.99),
    ("IndexData", "ProductName"): _copy_of("Products", "Name"),
    ("IndexData", "TestplanName"): _copy_of("Testplans", "Name"),
    ("IndexData", "TestplanRevision"): replace(_copy_of("TestplanRevisions", "Revision"), sure=False),
    **{
        ("IndexData", column): Rule(
            "the same text for a station", _COPIES, _are_of_one_station, beside="Testsystem_GUID", least=_SAME_STATION
        )
        for column in ("Hostname", "Site")
    },
}
_WORDS = Rule("words longer than a unit", _TYPES, _are_names, least=0.7)
_STEPS = {
    "Index_GUID": _key_of("IndexData", "Index_GUID"),
    "TestStepNumber": Rule("numbers that count the steps of a run", _TYPES, _count_within_a_run, beside="Index_GUID"),
    "TestName": _WORDS,
    "TestDescription": _WORDS,
    "TestUnits": Rule(
        "short texts that begin with no digit",
        _TYPES,
        lambda pairs: _part(pairs, lambda value: len(value) <= _LONGEST_UNIT and not value[0].isdigit()),
    ),
    "TestNumber": Rule(
        "short texts with a digit and no blank",
        _TYPES,
        lambda pairs: _part(pairs, lambda value: re.fullmatch(r"(?=.*\d)\S{1,20}", value) is not None),
    ),
}
_VALUES = {
    ("TestDataNumeric", "TestResult"): Rule("numbers of which many differ", _TYPES, _are_measured),
    ("TestDataNumeric", "LowLimit"): Rule(
        "numbers that repeat, mostly no more than TestResult", _TYPES, partial(_repeat_on_one_side, 1), "TestResult",
        least=0.8,
    ),
    ("TestDataNumeric", "HighLimit"): Rule(
        "numbers that repeat, mostly no less than TestResult", _TYPES, partial(_repeat_on_one_side, -1), "TestResult",
        least=0.8,
    ),
    ("TestDataOther", "TestResult"): Rule("some files or texts", _TYPES, _are_files_or_texts, least=0.2),
}  # fmt: skip
