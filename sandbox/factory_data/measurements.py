"""The steps of many runs at once, column by column: no Python runs per step."""

from collections.abc import Iterable, Sequence
from random import Random

import pyarrow as pa
import pyarrow.compute as pc

from sandbox.factory_data.products import SERIAL, NumericStep, OtherStep, Step, TextStep, recipes
from sandbox.factory_data.runs import Run
from sandbox.factory_data.seeds import normals, uniforms

NUMERIC, TEXT, OTHER = "TestDataNumeric", "TestDataText", "TestDataOther"

_STEP_COLUMNS = [
    ("Index_GUID", pa.string()),
    ("TestStepNumber", pa.int32()),
    ("TestName", pa.string()),
    ("TestDescription", pa.string()),
    ("TestNumber", pa.string()),
    ("TestUnits", pa.string()),
]
STEP_SCHEMAS = {
    NUMERIC: pa.schema(
        [
            *_STEP_COLUMNS,
            ("TestResult", pa.float64()),
            ("LowLimit", pa.float64()),
            ("HighLimit", pa.float64()),
            ("TestResultType", pa.int32()),
        ]
    ),
    TEXT: pa.schema([*_STEP_COLUMNS, ("TestResult", pa.string()), ("TestResultType", pa.int32())]),
    OTHER: pa.schema([*_STEP_COLUMNS, ("TestResult", pa.binary()), ("TestResultType", pa.int32())]),
}

_UNJUDGED_NUMERIC_SHARE = 0.05
_UNJUDGED_TEXT_SHARE = 0.1
_UNJUDGED_OTHER_SHARE = 0.5


class Catalogue:
    """Every step of every recipe as columns. A run's steps are a range of them, so rows come by ``take``."""

    def __init__(self, steps: int | None = None) -> None:
        self._first: list[int] = []
        listed: list[tuple[int, Step]] = []
        for recipe in recipes(steps).values():
            self._first.append(len(listed))
            listed.extend(enumerate(recipe.steps, start=1))
        every = [step for _, step in listed]
        self._kind = pa.array([_kind(step) for step in every], pa.int8())
        self._texts = pa.array([t for step in every if isinstance(step, TextStep) for t in step.choices], pa.string())
        self._contents = pa.array(
            [content for step in every if isinstance(step, OtherStep) for content in step.contents], pa.binary()
        )
        self._columns = {
            "number": pa.array([number for number, _ in listed], pa.int32()),
            "test_number": pa.array([f"{number // 10 + 1}.{number % 10}" for number, _ in listed], pa.string()),
            "name": pa.array([step.name for step in every], pa.string()),
            "description": pa.array([step.description or None for step in every], pa.string()),
            "units": pa.array([getattr(step, "units", None) for step in every], pa.string()),
            "nominal": _numbers(every, "nominal"),
            "sigma": _numbers(every, "sigma"),
            "digits": pa.array([getattr(step, "digits", 0) for step in every], pa.int32()),
            "low": _limits(every, "low"),
            "high": _limits(every, "high"),
            "wrong": pa.array([getattr(step, "wrong", None) for step in every], pa.string()),
            **_choices(every, TextStep, "text"),
            **_choices(every, OtherStep, "other"),
        }

    def measure(self, runs: Sequence[Run], random: Random) -> dict[str, pa.Table]:
        """Return the step rows of the runs by table, in the order of the runs and of their steps."""
        if not sum(run.step_count for run in runs):
            return {table: schema.empty_table() for table, schema in STEP_SCHEMAS.items()}
        run_of, place = _rows(run.step_count for run in runs)
        row = pc.add(pc.take(pa.array([self._first[run.recipe.number] for run in runs], pa.int64()), run_of), place)
        failing = pc.equal(place, pc.take(pa.array([run.failing for run in runs], pa.int64()), run_of))
        kind = pc.take(self._kind, row)
        guids = pa.array([run.index_guid for run in runs], pa.string())
        serials = pa.array([run.unit.serial for run in runs], pa.string())
        unit_spread = pc.multiply(normals(random, len(runs)), 0.5)

        numeric, text, other = (pc.indices_nonzero(pc.equal(kind, code)) for code in (0, 1, 2))
        numeric_row, text_row, other_row = (pc.take(row, selected) for selected in (numeric, text, other))
        low, high = self._take("low", numeric_row), self._take("high", numeric_row)
        values = self._values(
            numeric_row, pc.take(failing, numeric), pc.take(unit_spread, pc.take(run_of, numeric)), random
        )
        limited = pc.or_(pc.is_valid(low), pc.is_valid(high))
        unjudged_share = pc.if_else(limited, _UNJUDGED_NUMERIC_SHARE, _UNJUDGED_OTHER_SHARE)
        text_failing = pc.take(failing, text)
        own_serials = pc.take(serials, pc.take(run_of, text))

        return {
            NUMERIC: self._table(
                NUMERIC,
                numeric_row,
                pc.take(guids, pc.take(run_of, numeric)),
                [values, low, high, _verdicts(pc.take(failing, numeric), unjudged_share, random)],
            ),
            TEXT: self._table(
                TEXT,
                text_row,
                pc.take(guids, pc.take(run_of, text)),
                [
                    self._answers(text_row, text_failing, own_serials, random),
                    # A wrong text has no limit to be judged by: it always has its verdict.
                    pc.if_else(
                        text_failing,
                        pa.scalar(0, pa.int32()),
                        _verdicts(text_failing, _UNJUDGED_TEXT_SHARE, random),
                    ),
                ],
            ),
            OTHER: self._table(
                OTHER,
                other_row,
                pc.take(guids, pc.take(run_of, other)),
                [
                    pc.take(self._contents, self._chosen("other", other_row, random)),
                    _verdicts(pc.take(failing, other), _UNJUDGED_OTHER_SHARE, random),
                ],
            ),
        }

    def _table(self, table: str, row: pa.Array, guids: pa.Array, columns: list[pa.Array]) -> pa.Table:
        described = [self._take(name, row) for name in ("number", "name", "description", "test_number", "units")]
        return pa.Table.from_arrays([guids, *described, *columns], schema=STEP_SCHEMAS[table])

    def _take(self, column: str, row: pa.Array) -> pa.Array:
        return pc.take(self._columns[column], row)

    def _values(self, row: pa.Array, failing: pa.Array, unit_spread: pa.Array, random: Random) -> pa.Array:
        """Good values stay within three sigma, where no limit is; bad ones lie beyond a limit."""
        count = len(row)
        sigma, low, high = (self._take(name, row) for name in ("sigma", "low", "high"))
        spread = pc.add(unit_spread, pc.multiply(normals(random, count), 0.8))
        spread = pc.max_element_wise(pc.min_element_wise(spread, 3.0), -3.0)
        good = pc.add(self._take("nominal", row), pc.multiply(sigma, spread))
        beyond = pc.multiply(sigma, pc.add(pc.multiply(uniforms(random, count), 3.0), 0.3))
        goes_high = pc.or_(pc.is_null(low), pc.and_(pc.is_valid(high), pc.greater(uniforms(random, count), 0.5)))
        bad = pc.if_else(goes_high, pc.add(high, beyond), pc.subtract(low, beyond))
        return pc.round_binary(pc.if_else(failing, bad, good), self._take("digits", row))

    def _answers(self, row: pa.Array, failing: pa.Array, serials: pa.Array, random: Random) -> pa.Array:
        answers = pc.take(self._texts, self._chosen("text", row, random))
        answers = pc.if_else(pc.equal(answers, SERIAL), serials, answers)
        return pc.if_else(failing, self._take("wrong", row), answers)

    def _chosen(self, kind: str, row: pa.Array, random: Random) -> pa.Array:
        count = self._take(f"{kind}_count", row)
        drawn = pc.floor(pc.multiply(uniforms(random, len(row)), pc.cast(count, pa.float64())))
        return pc.add(self._take(f"{kind}_first", row), pc.cast(drawn, pa.int64()))


def _kind(step: Step) -> int:
    return (NumericStep, TextStep, OtherStep).index(type(step))


def _numbers(steps: list[Step], name: str) -> pa.Array:
    return pa.array([getattr(step, name, None) for step in steps], pa.float64())


def _limits(steps: list[Step], name: str) -> pa.Array:
    """Limits as a test plan's author would write them: no more decimals than the measurement has."""
    return pa.array(
        [
            round(limit, step.digits)
            if isinstance(step, NumericStep) and (limit := getattr(step, name)) is not None
            else None
            for step in steps
        ],
        pa.float64(),
    )


def _choices(steps: list[Step], kind: type[Step], name: str) -> dict[str, pa.Array]:
    """Return where the choices of each step begin in the list of all choices of its kind, and how many it has."""
    first: list[int] = []
    counts: list[int] = []
    total = 0
    for step in steps:
        count = 0
        if isinstance(step, kind) and not isinstance(step, NumericStep):
            count = len(step.choices if isinstance(step, TextStep) else step.contents)
        first.append(total)
        counts.append(count)
        total += count
    return {f"{name}_first": pa.array(first, pa.int64()), f"{name}_count": pa.array(counts, pa.int64())}


def _rows(counts: Iterable[int]) -> tuple[pa.Array, pa.Array]:
    """Return for every row which run it belongs to, and its place within that run."""
    offsets = [0]
    for count in counts:
        offsets.append(offsets[-1] + count)
    every = pa.arange(0, offsets[-1])
    begins = pa.array(offsets, pa.int32())
    run_of = pc.cast(pc.list_parent_indices(pa.ListArray.from_arrays(begins, every)), pa.int64())
    return run_of, pc.subtract(every, pc.cast(pc.take(begins, run_of), pa.int64()))


def _verdicts(failing: pa.Array, unjudged_share: pa.Array | float, random: Random) -> pa.Array:
    """Return TestResultType: 1 passed, 0 failed, and NULL for the share that the station left unjudged."""
    verdicts = pc.if_else(failing, pa.scalar(0, pa.int32()), pa.scalar(1, pa.int32()))
    unjudged = pc.less(uniforms(random, len(failing)), unjudged_share)
    return pc.if_else(unjudged, pa.scalar(None, pa.int32()), verdicts)
