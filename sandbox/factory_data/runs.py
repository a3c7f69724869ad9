"""The flow of units over the stations: which unit is tested when, where, by whom, and how it ends."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.factory_data.masters import OPERATORS, Masters
from sandbox.factory_data.products import PRODUCTS, SITES, Product, Recipe, Testplan, recipes
from sandbox.factory_data.seeds import guid
from sandbox.factory_data.wall_clock import to_real, wall_clock

PASSED, FAILED, ERROR, TERMINATED = 1, 0, 2, 3

_EXIT_CODES = {PASSED: 0, FAILED: 1, ERROR: -1, TERMINATED: -2}
_FAILED_SHARE = 0.032
_FAILED_SHARE_OF_RETESTS = 0.35
_ERROR_SHARE = 0.004
_TERMINATED_SHARE = 0.004
_RETESTED_SHARE = 0.9
_ATTEMPTS = 4
_SHARES = [product.share for product in PRODUCTS]
_NEWEST_REVISION_SHARE = 0.85


@dataclass
class Unit:
    """One unit under test on its way through the route of its product."""

    uut_guid: str
    serial: str
    part: str
    product: Product
    work_order: str
    attempts: int = 0


@dataclass(frozen=True)
class Run:
    """One executed test before it becomes rows.

    ``step_count`` steps of the recipe were run; ``failing`` is the index of the one that failed, or -1.
    ``timestamp_local`` is the end of the test. ``is_first`` says that the unit was not tested before.
    """

    index_guid: str
    unit: Unit
    recipe: Recipe
    station: str
    operator: str
    ended_at: datetime
    timestamp_local: datetime
    test_time_s: float
    result: int
    step_count: int
    failing: int
    is_first: bool
    fixture: str
    retest: int


@dataclass
class Flow:
    """Units in the order they come to the stations.

    Calls to :meth:`next_run` come with rising times. A unit moves on when it passed, comes back some minutes after it
    failed, and is never in two tests at once.
    """

    random: Random
    masters: Masters
    zone: ZoneInfo
    steps: int | None = None
    _recipes: dict[tuple[str, str, str], Recipe] = field(init=False)
    _waiting: dict[str, deque[tuple[datetime, Unit]]] = field(init=False, default_factory=dict)
    _made: int = field(init=False)

    def __post_init__(self) -> None:
        self._recipes = recipes(self.steps)
        self._made = self.random.randrange(40_000)

    def next_run(self, ended_at: datetime, *, plain: bool = False) -> Run:
        """Return the run that ends at ``ended_at``; a ``plain`` one is a new unit that passes a board test."""
        random = self.random
        product = PRODUCTS[0] if plain else random.choices(PRODUCTS, _SHARES)[0]
        testplan = product.route[0] if plain else random.choice(product.route)
        test_time_s = testplan.test_time_s * random.uniform(0.9, 1.25)
        unit = None if plain else self._waiting_unit(testplan, ended_at - timedelta(seconds=test_time_s))
        if unit is None:
            if testplan is not product.route[0]:
                testplan = product.route[0]
                test_time_s = testplan.test_time_s * random.uniform(0.9, 1.25)
            unit = self._new_unit(product, ended_at)
            is_first = True
        else:
            is_first = False
        recipe = self._recipe(testplan, unit)
        retest = unit.attempts
        result = PASSED if plain else self._result(recipe, retest)
        step_count, failing = self._course(recipe, result)
        if step_count < len(recipe.steps):
            test_time_s *= (step_count + 1) / (len(recipe.steps) + 1)
        if not plain:
            self._send_on(unit, testplan, result, ended_at)
        station = random.choice(testplan.stations)
        timestamp_local = wall_clock(ended_at, self.zone)
        return Run(
            index_guid=guid(random),
            unit=unit,
            recipe=recipe,
            station=station,
            operator=_operator(station, timestamp_local),
            ended_at=ended_at,
            timestamp_local=timestamp_local,
            test_time_s=to_real(test_time_s),
            result=result,
            step_count=step_count,
            failing=failing,
            is_first=is_first,
            fixture=f"FX-{random.randrange(1, 7):02d}",
            retest=retest,
        )

    def _waiting_unit(self, testplan: Testplan, started_at: datetime) -> Unit | None:
        queue = self._waiting.get(testplan.name)
        if queue and queue[0][0] <= started_at:
            return queue.popleft()[1]
        return None

    def _new_unit(self, product: Product, at: datetime) -> Unit:
        self._made += 1
        year, week, _ = at.isocalendar()
        part = self.random.choice(tuple(product.parts))
        return Unit(
            guid(self.random),
            f"{product.serial_prefix}{year % 100:02d}{week:02d}{self._made:06d}",
            part,
            product,
            f"WO-{40_000 + self._made // 50}",
        )

    def _recipe(self, testplan: Testplan, unit: Unit) -> Recipe:
        *older, revision = testplan.revisions
        if older and self.random.random() > _NEWEST_REVISION_SHARE:
            revision = self.random.choice(older)
        return self._recipes[testplan.name, revision, unit.product.parts[unit.part]]

    def _result(self, recipe: Recipe, retest: int) -> int:
        drawn = self.random.random()
        failed_share = _FAILED_SHARE_OF_RETESTS if retest else _FAILED_SHARE
        if drawn < _ERROR_SHARE:
            return ERROR
        if drawn < _ERROR_SHARE + _TERMINATED_SHARE:
            return TERMINATED
        if drawn < _ERROR_SHARE + _TERMINATED_SHARE + failed_share and recipe.can_fail:
            return FAILED
        return PASSED

    def _course(self, recipe: Recipe, result: int) -> tuple[int, int]:
        """Return how many steps were run and which failed. A plant of fixed length runs all of them."""
        every = len(recipe.steps)
        failing = self.random.choice(recipe.can_fail) if result == FAILED else -1
        if self.steps is not None or result == PASSED:
            return every, failing
        if result == FAILED:
            return (failing + 1 if recipe.testplan.stops_at_failure else every), failing
        return self.random.randrange(1, every), failing

    def _send_on(self, unit: Unit, testplan: Testplan, result: int, ended_at: datetime) -> None:
        route = unit.product.route
        if result == PASSED:
            unit.attempts = 0
            following = route.index(testplan) + 1
            if following == len(route):
                return
            testplan, minutes = route[following], self.random.uniform(1, 10)
        else:
            unit.attempts += 1
            if unit.attempts == _ATTEMPTS or self.random.random() > _RETESTED_SHARE:
                return
            minutes = self.random.uniform(2, 20)
        self._waiting.setdefault(testplan.name, deque()).append((ended_at + timedelta(minutes=minutes), unit))


def index_row(run: Run, masters: Masters) -> dict[str, Any]:
    """Return the IndexData row of a run."""
    return {
        "Index_GUID": run.index_guid,
        "Uut_GUID": run.unit.uut_guid,
        **_master_guids(run, masters),
        "Timestamp": run.timestamp_local,
        "ExitCode": _EXIT_CODES[run.result],
        "Result": run.result,
        "TestTime": run.test_time_s,
        "Hostname": masters.hostname(run.station),
        "Site": SITES[run.station],
        "UserName": run.operator,
        "ProductName": run.unit.part,
        "TestplanName": run.recipe.testplan.name,
        "TestplanVariant": run.recipe.variant,
        "TestplanRevision": run.recipe.revision,
        "Info1": run.unit.work_order,
        "Info2": run.fixture,
        "Info3": f"retest {run.retest}" if run.retest else None,
    }


def uut_row(run: Run, masters: Masters) -> dict[str, Any]:
    """Return the UutData row of the unit, as its first run left it."""
    return {"Uut_GUID": run.unit.uut_guid, "Serial": run.unit.serial, **_master_guids(run, masters)}


def _master_guids(run: Run, masters: Masters) -> dict[str, str]:
    testplan = run.recipe.testplan.name
    return {
        "Product_GUID": masters.product_guids[run.unit.part],
        "Testplan_GUID": masters.testplan_guids[testplan],
        "TestplanRevision_GUID": masters.revision_guids[testplan, run.recipe.revision],
        "Testsystem_GUID": masters.testsystem_guids[run.station],
        "User_GUID": masters.user_guids[run.operator],
    }


def _operator(station: str, local: datetime) -> str:
    """Three operators share a shift: 06-14, 14-22, 22-06."""
    shift = (local.hour - 6) % 24 // 8
    return OPERATORS[shift * 3 + list(SITES).index(station) % 3]
