"""The plan for one document: a function of its record and its content, nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sift_rag.corpus import ocr
from sift_rag.corpus.documents import FileState, SourceDocument
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.planning import RACE_NS, Discard, Fail, Refresh, Write, is_current, plan, revision_of
from sift_rag.corpus.sections import Section
from sift_rag.errors import SkippedDocument, UnreadableDocument
from sift_rag.types import Document

OPTIONS = IngestOptions()
STATE = FileState(size=9, modified_ns=10**18, changed_ns=10**18)
READ = SourceDocument("ab" * 32, STATE, "Owls", "plain", [Section("Owls hunt")])
RECORD = Document(
    source="notes/owls.md",
    location="/notes/owls.md",
    state="ingested",
    size=9,
    modified_ns=10**18,
    changed_ns=10**18,
    content_hash="ab" * 32,
    revision=revision_of("ab" * 32, OPTIONS),
    passages=4,
    title="Owls",
    ingested_at=datetime.fromtimestamp((10**18 + 2 * RACE_NS) / 1e9, UTC).isoformat(),
)


def test_a_new_document_is_written() -> None:
    action = plan("notes/owls.md", "/notes/owls.md", None, READ, OPTIONS)
    assert isinstance(action, Write)
    assert action.previous is None
    assert (action.record.state, action.record.revision) == ("ingested", RECORD.revision)


def test_a_changed_document_is_written_over_the_previous_one() -> None:
    action = plan("notes/owls.md", "/notes/owls.md", RECORD, replace(READ, content_hash="cd" * 32), OPTIONS)
    assert isinstance(action, Write)
    assert action.previous is RECORD


def test_one_that_was_only_touched_gets_a_new_record_and_keeps_its_passages() -> None:
    touched = replace(READ, state=FileState(9, 10**18 + 5, 10**18 + 5))
    action = plan("notes/owls.md", "/attic/owls.md", RECORD, touched, OPTIONS)
    assert isinstance(action, Refresh)
    assert (action.record.modified_ns, action.record.passages) == (10**18 + 5, 4)
    assert action.record.location == "/attic/owls.md"


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_one_that_is_not_complete_is_written_again(state: str) -> None:
    assert isinstance(plan("notes/owls.md", "/notes/owls.md", replace(RECORD, state=state), READ, OPTIONS), Write)  # type: ignore[arg-type]


def test_another_text_field_is_another_revision() -> None:
    assert isinstance(plan("notes/owls.md", "/notes/owls.md", RECORD, READ, IngestOptions(text_field="body")), Write)


def test_one_that_is_skipped_loses_what_it_had_and_one_that_fails_keeps_it() -> None:
    assert plan("a", "/a", RECORD, SkippedDocument("empty"), OPTIONS) == Discard("empty", RECORD)
    assert plan("a", "/a", RECORD, UnreadableDocument("broken"), OPTIONS) == Fail("broken", RECORD)
    new = plan("a", "/a", None, UnreadableDocument("broken"), OPTIONS)
    assert isinstance(new, Fail)
    assert new.record == Document(source="a", location="/a", state="failed")


def test_only_an_old_enough_unchanged_file_is_current() -> None:
    assert is_current(RECORD, STATE, OPTIONS)
    assert not is_current(None, STATE, OPTIONS)
    assert not is_current(RECORD, None, OPTIONS)
    assert not is_current(RECORD, replace(STATE, size=8), OPTIONS)
    assert not is_current(RECORD, STATE, IngestOptions(text_field="body"))
    assert not is_current(replace(RECORD, state="pending"), STATE, OPTIONS)
    soon = datetime.fromtimestamp((10**18 + RACE_NS / 2) / 1e9, UTC).isoformat()
    assert not is_current(replace(RECORD, ingested_at=soon), STATE, OPTIONS)


def test_a_document_with_scans_is_read_again_once_ocr_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "is_installed", lambda: False)
    unread = replace(RECORD, pages_without_text=1, revision=revision_of("ab" * 32, OPTIONS, 1))
    assert is_current(unread, STATE, OPTIONS)
    monkeypatch.setattr(ocr, "is_installed", lambda: True)
    assert not is_current(unread, STATE, OPTIONS)
    assert is_current(RECORD, STATE, OPTIONS)
    still_unread = replace(unread, revision=revision_of("ab" * 32, OPTIONS, 1))
    assert is_current(still_unread, STATE, OPTIONS)


def test_what_the_store_has_of_a_skipped_file_stays_if_asked_for() -> None:
    options = replace(OPTIONS, keep_skipped=True)
    assert plan("a", "/a", RECORD, SkippedDocument("empty"), options) == Fail("empty", RECORD)
    assert plan("a", "/a", None, SkippedDocument("empty"), options) == Discard("empty", None)
