"""Every Variable by its definition: what is written comes back, and what is damaged stops or starts over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vte_wats.alerting.incidents import MissedDeadline, TaskFailure
from vte_wats.alerting.monitor_state import Condition, MonitorState
from vte_wats.backfill.progress import Progress
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.domain.run import Outcome
from vte_wats.intervals.interval import Interval
from vte_wats.orchestration import variables as variables_module
from vte_wats.orchestration.variables import (
    BACKFILL,
    BUDGET_USAGE,
    HISTORY,
    LAST_FAILURE,
    LEARNED_SERVER,
    MISSED_DEADLINE,
    MONITOR_STATE,
    PROOF,
    SEEN_CONTENT,
    STATE,
    WATS_PROFILE,
    BudgetVariable,
    LearnedVariable,
    Variables,
)
from vte_wats.state.coverage import State
from vte_wats.state.history import History
from vte_wats.state.proof import Proof
from vte_wats.state.seen_content import SeenContent
from vte_wats.wats.learned_server import LearnedServer
from vte_wats.wats.profile import WatsProfile
from vte_wats.wats.rate_limiter import BudgetUsage
from vte_wats.wats.wats_connection import GuidQuoting

NOW_AT = datetime(2026, 6, 1, tzinfo=UTC)

USAGE = BudgetUsage(((1_790_000_000.25, 3), (1_790_000_000.5, 1)), 50, 1_790_000_060.0)


class FakeVariables:
    """Airflow's Variables, in memory."""

    def __init__(self):
        self.texts = {}
        self.descriptions = {}

    def get(self, key, default=None):
        return self.texts.get(key, default)

    def keys(self, prefix=None):
        return [key for key in self.texts if key.startswith(prefix)]

    def set(self, key, value, description=None):
        self.texts[key] = value
        self.descriptions[key] = description


@pytest.fixture
def variables(monkeypatch):
    """Stand in for Airflow, which lets only a task at its Variables."""
    kept = FakeVariables()
    monkeypatch.setattr(variables_module, "Variable", kept)
    return kept


A_STATE = State(since_at=NOW_AT, totals={Outcome.UPLOADED: 3}, syncs=2, started_at=NOW_AT)
CASES = [
    (STATE, A_STATE, "vte_wats_state"),
    (HISTORY, History(dead_letters=4, settled_at=NOW_AT), "vte_wats_history"),
    (MONITOR_STATE, MonitorState(checked_at=NOW_AT, conditions={"vte": Condition(streak=1)}), "vte_wats_alerts"),
    (
        MISSED_DEADLINE,
        MissedDeadline(
            dag_run_id="scheduled__1",
            interval=Interval(NOW_AT, NOW_AT),
            due_at=NOW_AT,
            run_state="failed",
            until_at=NOW_AT,
        ),
        "vte_wats_deadline",
    ),
    (
        LAST_FAILURE,
        TaskFailure(
            dag_id="d", dag_run_id="r", task_id="plan", map_index=-1, try_number=1, at=NOW_AT, reason="no such login"
        ),
        "vte_wats_failure",
    ),
    (
        BACKFILL,
        Progress(
            dag_run_id="manual__1",
            asked="June",
            dry_run=False,
            force=False,
            runs=9,
            parts=1,
            estimate_s=5,
            started_at=NOW_AT,
            updated_at=NOW_AT,
        ),
        "vte_wats_backfill",
    ),
    (BUDGET_USAGE, USAGE, "vte_wats_budget"),
    (
        WATS_PROFILE,
        WatsProfile(measured_at=NOW_AT, renames=False, visibility_delay_s=2.5, id_form=GuidQuoting.BARE),
        "vte_wats_profile",
    ),
    (
        LEARNED_SERVER,
        LearnedServer(url="https://wats.example", id_form=GuidQuoting.QUOTED, worked_at_s={"GET": 1_790_000_000.5}),
        "vte_wats_learned",
    ),
]
EACH = pytest.mark.parametrize(("variable", "value", "name"), CASES, ids=[name for _, _, name in CASES])
STOPS = (STATE, BUDGET_USAGE)
DAMAGED = ["", "{", "[]", '"a text"', "null", '{"since": "soon", "counted": 3, "conditions": 3, "answered": 3}']


@EACH
def test_what_is_written_comes_back_under_the_sites_own_name(variables, variable, value, name):
    Variables(Site("oslo")).save(variable, value)
    assert list(variables.texts) == [f"{name}_oslo"]
    assert Variables(Site("oslo")).load(variable) == value
    assert Variables(Site()).load(variable) is None


@EACH
@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_variable_stops_what_depends_on_it_and_starts_over_elsewhere(
    variables, caplog, variable, value, name, text
):
    del value
    variables.texts[name] = text
    if variable in STOPS:
        with pytest.raises(FatalError, match=f"{variable.damaged} the Variable {name} is damaged: "):
            Variables(Site()).load(variable)
    else:
        assert Variables(Site()).load(variable) is None
        assert f"{variable.damaged} the Variable {name} is damaged: " in caplog.text


@EACH
def test_a_variable_is_replaced_only_while_it_holds_the_text_that_was_read(variables, variable, value, name):
    site_variables = Variables(Site())
    site_variables.save(variable, value)
    _, text = site_variables.load_with_text(variable)
    text = site_variables.replace(variable, value, text)
    variables.texts[name] = "written by another task"
    with pytest.raises(RetriableError, match=f"it wrote the Variable {name}"):
        site_variables.replace(variable, value, text)
    assert variables.texts[name] == "written by another task"


# The budget, over Variables that know no lock


@pytest.mark.usefixtures("variables")
def test_a_person_sees_that_the_budget_is_not_theirs_to_write(variables):
    budget = BudgetVariable(Site())
    budget.load()
    budget.save(USAGE)
    assert "leave it alone" in variables.descriptions["vte_wats_budget"]


@pytest.mark.usefixtures("variables")
def test_the_next_holder_learns_what_the_last_one_left():
    assert BudgetVariable(Site()).load() == BudgetUsage()
    first = BudgetVariable(Site())
    first.load()
    first.save(USAGE)
    assert BudgetVariable(Site()).load() == USAGE


@pytest.mark.usefixtures("variables")
def test_each_site_has_a_budget_of_its_own():
    oslo = BudgetVariable(Site("oslo"))
    oslo.load()
    oslo.save(USAGE)
    assert BudgetVariable(Site("bergen")).load() == BudgetUsage()


@pytest.mark.usefixtures("variables")
def test_two_holders_at_a_time_are_noticed_with_what_to_set():
    first, second = BudgetVariable(Site()), BudgetVariable(Site())
    first.load()
    second.load()
    first.save(USAGE)
    with pytest.raises(RetriableError, match=r"another task uses WATS at the same time.*concurrent_tasks"):
        second.save(BudgetUsage())
    assert BudgetVariable(Site()).load() == USAGE


def test_a_damaged_variable_is_for_a_person_to_delete(variables):
    variables.texts["vte_wats_budget"] = '{"answered": "many"}'
    with pytest.raises(FatalError, match=r"vte_wats_budget is damaged.*Delete it a minute after"):
        BudgetVariable(Site()).load()


@pytest.mark.usefixtures("variables")
def test_what_one_session_learned_of_wats_the_next_one_knows():
    assert LearnedVariable(Site("oslo")).load() == LearnedServer()
    learned = LearnedServer(url="https://wats.example", range_listing=False)
    LearnedVariable(Site("oslo")).save(learned)
    assert LearnedVariable(Site("oslo")).load() == learned
    assert LearnedVariable(Site()).load() == LearnedServer()


class TestUnderAnotherKey:
    """A Variable that Airflow lists, and answers for as if it did not exist: it cannot be decrypted."""

    @pytest.fixture(autouse=True)
    def _unreadable(self, variables):
        for definition in (STATE, HISTORY, LAST_FAILURE, BUDGET_USAGE, PROOF, SEEN_CONTENT):
            variables.texts[definition.name_of(Site())] = None
        variables.texts[Site().settings_variable] = None

    def test_settings_state_and_budget_stop_with_the_reason_and_are_not_called_lost(self):
        kept = Variables(Site())
        for read in (kept.settings_text, lambda: kept.load(STATE), BudgetVariable(Site()).load):
            with pytest.raises(FatalError, match=r"VW627 .* cannot be read: it was encrypted with another key"):
                read()

    def test_what_is_only_shown_starts_over_with_a_warning(self, caplog):
        kept = Variables(Site())
        assert kept.load(HISTORY) is None
        assert kept.load(LAST_FAILURE) is None
        assert caplog.text.count("VW627") == 2
        kept.save(HISTORY, History())
        assert kept.load(HISTORY) == History()

    @pytest.mark.parametrize(
        ("variable", "value"),
        [(PROOF, Proof(compared_at=NOW_AT)), (SEEN_CONTENT, SeenContent(behind_since=NOW_AT))],
        ids=["proof", "seen content"],
    )
    def test_what_starts_over_is_changed_as_one_that_does_not_exist(self, caplog, variable, value):
        found = []

        def change(stored):
            found.append(stored)
            return value

        assert Variables(Site()).change(variable, change)
        assert found == [None]
        assert caplog.text.count("VW627") == 1
        assert Variables(Site()).load(variable) == value

    def test_a_state_is_not_changed(self, variables):
        with pytest.raises(FatalError, match="VW627"):
            Variables(Site()).change(STATE, add_one)
        assert variables.texts[STATE.name_of(Site())] is None


# The state, over Variables that know no lock


def add_one(stored: State | None) -> State:
    state = stored or State(since_at=NOW_AT)
    return state.model_copy(update={"syncs": state.syncs + 1})


def test_two_writers_lose_nothing_and_are_reported(variables, caplog):
    site_variables, calls = Variables(Site()), []

    def change(stored: State | None) -> State:
        calls.append(stored)
        if len(calls) == 1:
            Variables(Site()).save(STATE, State(since_at=NOW_AT, syncs=7))  # another task, in the middle of this one
        return add_one(stored)

    assert site_variables.change(STATE, change)
    assert site_variables.load(STATE).syncs == 8
    assert "VW524 another task wrote the Variable vte_wats_state at the same time" in caplog.text


def test_a_writer_that_was_written_over_at_once_writes_again(variables, monkeypatch):
    real_set, others = variables.set, [State(since_at=NOW_AT, syncs=7)]

    def set_and_be_written_over(key, value, description=None):
        real_set(key, value, description)
        if others:
            real_set(key, STATE.dump(others.pop()))

    monkeypatch.setattr(variables, "set", set_and_be_written_over)
    assert Variables(Site()).change(STATE, add_one)
    assert Variables(Site()).load(STATE).syncs == 8


def test_who_never_gets_a_turn_says_what_to_set(variables, monkeypatch):
    real_set, written = variables.set, []

    def always_written_over(key, value, description=None):
        del value, description
        written.append(key)
        real_set(key, STATE.dump(State(since_at=NOW_AT, syncs=len(written))))

    monkeypatch.setattr(variables, "set", always_written_over)
    with pytest.raises(RetriableError, match=r"^VW520 .*Give the pool vte_wats_state one slot"):
        Variables(Site()).change(STATE, lambda _: State(since_at=NOW_AT, syncs=1_000))


def test_what_is_to_stay_as_it_is_is_not_written(variables):
    assert not Variables(Site()).change(STATE, lambda _: None)
    assert variables.texts == {}
