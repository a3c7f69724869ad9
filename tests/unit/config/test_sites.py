from __future__ import annotations

from dataclasses import fields

import pytest

from vte_wats.config.sites import Site


def names_of(site: Site) -> set[str]:
    properties = [
        name
        for name, attribute in vars(Site).items()
        if isinstance(attribute, property) and name.endswith(("_variable", "_connection", "_pool"))
    ]
    return {f"{name.rpartition('_')[2]} {getattr(site, name)}" for name in properties} | {site.dag_id("sync")}


def test_the_one_site_of_a_deployment_has_the_documented_names():
    assert names_of(Site()) == {
        "vte_wats_sync",
        "variable vte_wats",
        "variable vte_wats_state",
        "variable vte_wats_history",
        "variable vte_wats_alerts",
        "variable vte_wats_backfill",
        "variable vte_wats_budget",
        "variable vte_wats_deadline",
        "variable vte_wats_failure",
        "variable vte_wats_operator_secret",
        "variable vte_wats_learned",
        "variable vte_wats_profile",
        "variable vte_wats_proof",
        "variable vte_wats_seen",
        "connection vte_default",
        "connection wats_default",
        "pool vte_read",
        "pool vte_survey",
        "pool wats_api",
        "pool vte_wats_state",
    }


def test_two_sites_share_no_name():
    oslo, bergen = Site("oslo"), Site("bergen")
    assert len(names_of(oslo)) == len(names_of(Site()))
    assert not names_of(oslo) & names_of(bergen)
    assert not names_of(oslo) & names_of(Site())
    assert all(name.endswith("_oslo") for name in names_of(oslo))


@pytest.mark.parametrize(
    "name",
    [
        "Oslo",
        "oslo_2",
        "2oslo",
        "ø",
        "o" * 41,
        "state",
        "history",
        "alerts",
        "backfill",
        "budget",
        "deadline",
        "profile",
        "a b",
    ],
)
def test_a_name_that_could_be_mistaken_is_refused(name):
    with pytest.raises(ValueError, match=r"a site's name is .*given"):
        Site(name)


def test_a_site_is_known_by_its_name_alone():
    assert [field.name for field in fields(Site)] == ["name"]
    assert Site("oslo") == Site("oslo")
