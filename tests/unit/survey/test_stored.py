"""The files of a survey in the storage, and which survey is the newest."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta

import pytest
from upath import UPath

from vte_wats.storage.object_storage import DamagedFileError
from vte_wats.survey.stored import SurveyFile, newest_survey, survey_folder, write_survey

MEASURED_AT = datetime(2026, 6, 15, 10, tzinfo=UTC)
FILES = {file: f"content of {file}" for file in SurveyFile}


@pytest.fixture
def storage(tmp_path) -> UPath:
    return UPath(f"file://{tmp_path}")


@pytest.fixture
def two_surveys(storage) -> UPath:
    """The storage with a survey and a newer one."""
    for measured_at in (MEASURED_AT, MEASURED_AT + timedelta(days=100)):
        write_survey(survey_folder(storage, measured_at), FILES)
    return storage


def test_the_newest_survey_is_found_with_its_files_and_their_sizes(two_surveys):
    found = newest_survey(two_surveys)
    assert found.name == "20260923T100000Z"
    assert found.sizes == {file: len(text) for file, text in FILES.items()}
    assert {file: found.read(file).decode() for file in SurveyFile} == FILES


def test_files_are_for_this_account_alone(storage):
    folder = survey_folder(storage, MEASURED_AT)
    write_survey(folder, FILES)
    modes = [stat.S_IMODE((folder / file).stat().st_mode) for file in SurveyFile]
    assert (stat.S_IMODE(folder.stat().st_mode), modes) == (0o700, [0o600] * len(SurveyFile))


def test_a_survey_counts_with_its_last_file_alone(two_surveys):
    (newest_survey(two_surveys).path / SurveyFile.DIAGRAM).unlink()
    assert newest_survey(two_surveys).name == "20260615T100000Z"


@pytest.mark.parametrize("name", ["zzz", "20991231T000000Z.old", "20991231", "20991231T000000Z\n"])
def test_other_folders_are_none(two_surveys, name):
    write_survey(two_surveys / "survey" / name, FILES)
    assert newest_survey(two_surveys).name == "20260923T100000Z"


def test_without_a_folder_there_is_no_survey(storage):
    assert newest_survey(storage) is None


def test_what_is_no_survey_is_said_without_its_content(two_surveys):
    found = newest_survey(two_surveys)
    with pytest.raises(DamagedFileError, match=r"survey\.json is damaged, or of another version") as raised:
        found.survey()
    assert "content of" not in str(raised.value)
