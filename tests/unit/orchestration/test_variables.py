"""What the tasks that use WATS leave to one another, over Variables that know no lock."""

from __future__ import annotations

import pytest

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.orchestration import variables as variables_module
from vte_wats.orchestration.variables import BudgetVariable
from vte_wats.wats.rate_limiter import BudgetUsage

USAGE = BudgetUsage(((1_790_000_000.25, 3), (1_790_000_000.5, 1)), 50, 1_790_000_060.0)


class Variables:
    """Airflow's Variables, in memory."""

    def __init__(self):
        self.texts = {}

    def get(self, key, default=None):
        return self.texts.get(key, default)

    def set(self, key, value, description=None):
        assert description
        self.texts[key] = value


@pytest.fixture
def variables(monkeypatch):
    """Stand in for Airflow, which lets only a task at its Variables."""
    kept = Variables()
    monkeypatch.setattr(variables_module, "Variable", kept)
    return kept


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
