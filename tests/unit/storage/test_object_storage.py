"""Files for this account alone, written under new names, read only where they are files."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from vte_wats.storage.object_storage import (
    DamagedFileError,
    create_folder,
    file_name,
    read_beginning,
    read_file,
    write_atomically,
)


@pytest.fixture(params=[0o000, 0o077, 0o777])
def _any_umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_any_umask")
def test_files_and_folders_belong_to_this_account_alone_whatever_the_umask(tmp_path):
    folder = UPath(tmp_path) / "storage" / "dead_letters"
    create_folder(folder)
    write_atomically(folder / "a.json", b"{}")
    modes = [stat.S_IMODE(Path(path).stat().st_mode) for path in (folder.parent, folder, folder / "a.json")]
    assert modes[1:] == [0o700, 0o600]
    assert modes[0] & 0o077 == 0


def test_a_folder_that_an_earlier_version_left_open_is_closed(tmp_path):
    (tmp_path / "dead_letters").mkdir(mode=0o755)
    create_folder(UPath(tmp_path) / "dead_letters")
    assert stat.S_IMODE((tmp_path / "dead_letters").stat().st_mode) == 0o700


def test_a_link_in_the_place_of_a_file_is_replaced_and_never_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("of somebody else")
    (tmp_path / "a.json").symlink_to(victim)
    write_atomically(UPath(tmp_path) / "a.json", b"new")
    assert victim.read_text() == "of somebody else"
    assert (tmp_path / "a.json").read_text() == "new"
    assert not (tmp_path / "a.json").is_symlink()


def test_writers_at_once_leave_one_complete_file_and_nothing_else(tmp_path):
    contents = [bytes([n]) * 200_000 for n in range(16)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda content: write_atomically(UPath(tmp_path) / "a.json", content), contents))
    assert (tmp_path / "a.json").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/etc/hostname")])
def test_what_is_no_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / "a.json")
    with pytest.raises(DamagedFileError, match=r"a\.json is a"):
        read_beginning(UPath(tmp_path) / "a.json", 10)


@pytest.mark.parametrize("storage", ["file", "memory"])
def test_a_file_larger_than_its_limit_is_refused(tmp_path, storage):
    path = UPath(f"file://{tmp_path}/a" if storage == "file" else f"memory://{tmp_path.name}/a")
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    with pytest.raises(DamagedFileError, match="larger than 4 bytes"):
        read_file(path, 4)


@given(st.text(), st.text())
def test_any_two_texts_have_two_names_that_every_file_system_takes(one, other):
    name = file_name(one)
    assert (name == file_name(other)) == (one == other)
    assert 0 < len(name) <= 120
    assert name.isascii()
    assert not set("/\\:.+\x00 ") & set(name)
