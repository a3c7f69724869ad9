"""Code, comments, pages and messages use the words of docs/glossary.md, and loop variables are nouns."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.repository.words import CLASSES, MODULES, replaced_words
from vte_wats.messages import MESSAGES
from vte_wats.vte.sql_errors import SQL_ERRORS
from vte_wats.wats.response_errors import RESPONSE_ERRORS

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("plugins", "dags", "include", "sandbox", "tests", "benchmarks", "docs")
KINDS = {".py", ".sql", ".js", ".css", ".html", ".j2"}
LISTS_THEM = {"tests/repository/words.py", "tests/repository/test_words.py"}


def kept_files() -> list[str]:
    """What git keeps, or would keep; a release archive without git has no tests either."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()]


FILES = kept_files()
CODE = [name for name in FILES if Path(name).suffix in KINDS and name not in LISTS_THEM]

PYTHON_FOLDERS = [folder for folder in FOLDERS if folder != "include"]
every_folder = pytest.mark.parametrize("folder", FOLDERS)


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


@cache
def nodes_of(name: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(read(name))))


def loop_targets(name: str) -> list[ast.expr]:
    loops = (ast.For, ast.AsyncFor, ast.comprehension)
    return [node.target for node in nodes_of(name) if isinstance(node, loops)]


def code_in(folder: str) -> list[str]:
    names = [name for name in CODE if name.startswith(f"{folder}/")]
    assert names
    return names


@every_folder
def test_code_uses_the_words_of_the_glossary(folder):
    found = [
        f"{name}:{line}: {what}" for name in code_in(folder) for line, what in replaced_words(read(name), prose=False)
    ]
    assert not found, "\n".join(found)


def test_files_and_folders_use_the_words_of_the_glossary():
    parts = {(name, part.partition(".")[0].removeprefix("test_")) for name in CODE for part in Path(name).parts}
    replaced = {name for name, part in parts if part in MODULES}
    found = [f"{name}: {what}" for name in FILES for _, what in replaced_words(name, prose=False)]
    assert sorted(replaced) + found == []


@pytest.mark.parametrize("folder", PYTHON_FOLDERS)
def test_loop_variables_are_nouns(folder):
    found = [
        f"{name}:{node.lineno}"
        for name in code_in(folder)
        if name.endswith(".py")
        for target in loop_targets(name)
        for node in ast.walk(target)
        if isinstance(node, ast.Name) and node.id in {"one", "each"}
    ]
    assert not found, "\n".join(found)


def test_a_module_of_the_package_has_a_name_of_its_own():
    names = [Path(name).name for name in code_in("plugins") if name.endswith(".py")]
    assert {name for name in names if names.count(name) > 1} == {"__init__.py"}


@pytest.mark.parametrize("folder", PYTHON_FOLDERS)
def test_classes_have_the_names_of_the_glossary(folder):
    found = [
        f"{name}:{node.lineno}: {node.name}"
        for name in code_in(folder)
        if name.endswith(".py")
        for node in nodes_of(name)
        if isinstance(node, ast.ClassDef) and node.name in CLASSES
    ]
    assert not found, "\n".join(found)


def test_messages_use_the_words_of_the_glossary():
    messages = [*MESSAGES, *(row.message for row in (*SQL_ERRORS, *RESPONSE_ERRORS))]
    text = "\n".join(f"{message.code}: {message.symptom}; {message.meaning}; {message.advice}" for message in messages)
    found = [f"{text.splitlines()[line - 1]}: {what}" for line, what in replaced_words(text, prose=True)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "read anew",
        "The run was carried",
        "a letter of this run",
        "letter_index",
        "begunAt",
        "is told that",
        "a hole in it",
    ],
)
def test_a_replaced_word_is_found(text):
    assert list(replaced_words(text, prose=False))


@pytest.mark.parametrize(
    "text",
    [
        "dead letters", "dead_letters", "dead\n    # letters", "dead-lettered", "DeadLetters", "dead-letter", "upper-case letters and digits", "letter-spacing: 1px",
        "align-items: stretch;", "recommend", "miscarried", "a fault that it was told to produce", "pass through",
    ],
)  # fmt: skip
def test_a_word_that_only_looks_like_one_is_not_found(text):
    assert list(replaced_words(text, prose=False)) == []
