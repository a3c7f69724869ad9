"""The report of an acceptance run: the same content as HTML and Markdown, and no text from WATS as markup."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from vte_wats.acceptance.acceptance_documents import Documents, Subject, render
from vte_wats.acceptance.findings import Finding, FindingStatus

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SUBJECT = Subject("https://test.wats.example", "2025.3.9.824", 100, AT, AT, "1.0", 95)
EVIL = "<script>alert(1)</script> | `x` [a](javascript:b) **c**\nnew line"


def rendered(*findings: Finding) -> Documents:
    return render(SUBJECT, findings, {"answer_form": "array", "renames": False})


def test_both_forms_hold_question_answer_evidence_consequence_and_profile():
    documents = rendered(Finding("How?", "so", ["seen"], "nothing to do", FindingStatus.ACT))
    for text in (documents.html, documents.markdown):
        for content in ("How?", "so", "seen", "nothing to do", "to do", "array", "https://test.wats.example"):
            assert content in text


@pytest.mark.parametrize("field", ["question", "answer", "evidence", "consequence"])
def test_no_text_becomes_markup_in_either_form(field):
    texts = {"question": "Q", "answer": "A", "evidence": ["E"], "consequence": "C"}
    texts[field] = [EVIL] if field == "evidence" else EVIL
    documents = rendered(Finding(**texts))
    assert "<script>" not in documents.html
    assert "&lt;script&gt;" in documents.html
    assert r"\<script\>alert(1)\</script\> \| \`x\` \[a\](javascript:b) \*\*c\*\* new line" in documents.markdown
    rows = [line for line in documents.markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {3, 4}


def test_the_html_asks_nothing_of_any_server_and_is_dark_where_the_reader_wants_it():
    html = rendered(Finding("Q", "A", [], "C")).html
    assert not re.findall(r"""(?:src|href|url\(|@import)""", html)
    assert "prefers-color-scheme: dark" in html
    assert '<meta name="color-scheme" content="light dark">' in html
