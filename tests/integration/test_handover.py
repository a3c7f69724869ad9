"""What the hand-over finds: Airflow's database, the storage of the site, and a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from airflow.models.variable import Variable
from airflow.utils.session import create_session

from tests.integration.fernet_keys import hide
from vte_wats.config.sites import Site
from vte_wats.status.evidence import SETTINGS, gather
from vte_wats.survey.stored import SurveyFile

AT = datetime(2026, 3, 2, tzinfo=UTC)
GOOD = {"source_timezone": "Europe/Oslo", "process_map": {"*": 100}}


@pytest.fixture
def at_the_site(metadata, tmp_path, monkeypatch):
    """Return what is there at a site with an Airflow in which nothing ran, and with files in its folders."""
    storage, folder = tmp_path / "storage", tmp_path / "handed"
    settings = json.dumps(GOOD | {"storage_path": f"file://{storage}"})
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS_NORTH", settings)

    def found(stored=(), handed=()):
        for root, files in ((storage / "north", dict(stored)), (folder, dict(handed))):
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
        with create_session() as session:
            return gather(session, Site("north"), folder, AT)

    return found


def test_what_the_dags_wrote_into_the_storage_is_found(at_the_site):
    survey = {f"survey/20260301T000000Z/{file}": "{}" for file in SurveyFile}
    report = {f"acceptance/2026030{day}T000000Z.md": f"| result | {day} as it should be, 0 to do |\n" for day in (1, 2)}
    found = at_the_site(stored=survey | report)
    assert found.keys() >= {f"survey/{file}" for file in SurveyFile}
    assert found["acceptance/acceptance.md"].result == "2 as it should be, 0 to do"
    assert found[SETTINGS].is_good


def test_what_the_page_gave_is_found_by_its_name_the_newest_first(at_the_site):
    files = {f"vte-wats-survey-2026030{day}T000000Z-{file}": f"of day {day}" for file in SurveyFile for day in (1, 2)}
    found = at_the_site(handed=files | {"restart.txt": "no gap\n", "mail.eml": " \n"})
    assert {found[f"survey/{file}"].text for file in SurveyFile} == {"of day 2"}
    assert "restart.txt" in found
    assert "mail.eml" not in found


@pytest.mark.parametrize("text", [json.dumps(GOOD | {"wats_login": "hunter2"}), '{"password": "hunter2"'])
def test_settings_that_do_not_pass_validation_stay_out(at_the_site, monkeypatch, text):
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS_NORTH", text)
    found = at_the_site()
    assert not found[SETTINGS].is_good
    assert "hunter2" not in repr(found)


@pytest.mark.usefixtures("encrypted")
def test_settings_that_cannot_be_decrypted_are_not_called_missing(metadata, tmp_path):
    Variable.set("vte_wats", json.dumps(GOOD))
    hide("vte_wats", json.dumps(GOOD))
    with create_session() as session:
        found = gather(session, Site(), tmp_path, AT)
    assert found[SETTINGS].result.startswith("VW627 the Variable vte_wats cannot be read")
    assert not found[SETTINGS].is_good


def test_a_home_without_airflows_database_is_named_in_one_line(tmp_path):
    database = f"sqlite:///{tmp_path}/airflow.db"
    environment = os.environ | {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database}
    command = [sys.executable, "-m", "vte_wats.status.evidence", "--archive", str(tmp_path / "handover.zip")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Airflow's database cannot be read: no such table: ")
    assert "Set AIRFLOW_HOME" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "handover.zip").exists()
