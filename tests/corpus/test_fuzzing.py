"""A file of any bytes becomes passages that a store accepts, or an error that says why not."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sift_rag.corpus.documents import read_document
from sift_rag.corpus.formats import CONTAINERS, SYNTAXES
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.passages import split_document
from sift_rag.errors import UnreadableDocument
from sift_rag.stores.validation import check_passages
from sift_rag.types import Passage
from tests.doubles import word_tokenizer
from tests.examples import examples

SUFFIXES = ("", ".txt", *SYNTAXES, *CONTAINERS)
FUZZ = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _passages_or_reason(folder: Path, suffix: str, data: bytes, **options: str | None) -> list[Passage] | str:
    """Ingest a file as the library does: the store must accept all of it."""
    path = folder / f"file{suffix}"
    path.write_bytes(data)
    try:
        document = read_document(path, IngestOptions(**options))  # type: ignore[arg-type]
        passages = list(
            split_document(document, "file", tokenizer=word_tokenizer(), max_tokens=64, revision=document.content_hash)
        )
    except UnreadableDocument as error:
        return str(error)
    check_passages(passages)
    assert len({passage.id for passage in passages}) == len(passages)
    return passages


def _zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of two members with one name
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    return buffer.getvalue()


pieces = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.text(max_size=12).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.sampled_from(
            [
                b"---\n", b"title: x\n", b"tags: [a, *b]\n", b"# Title\n", b"\n\n", b"\r\n", b"\r", b"<html>",
                b"<table>", b"<meta charset='utf-16'>", b"<?xml version='1.0' encoding='x'?>", b"{", b"}", b"[", b"]",
                b'"', b",", b"\\", b"\\ud800", b"%PDF-1.7\n", b"PK\x03\x04", b"\xef\xbb\xbf", b"\xff\xfe",
                b"\xff\xfe\0\0", b"\0", b"\x1b[31m", b"```\n", b"===\n", b"\\title{", b"\\section{a}\n", b"def f():\n",
                b"/*", b"'''", b"1 0 obj<<>>endobj\n",
                b'{"text": "x", "a": NaN}\n', b'{"cells": [{"cell_type": "markdown", "source": ["x"]}]}',
            ]
        ),
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@FUZZ
@given(data=pieces)
def test_any_bytes_become_passages_or_a_reason(tmp_path: Path, suffix: str, data: bytes) -> None:
    assert _passages_or_reason(tmp_path, suffix, data)


@pytest.mark.parametrize("suffix", [".docx", ".pptx", ".epub"])
@FUZZ
@given(
    members=st.dictionaries(
        st.sampled_from(
            [
                "[Content_Types].xml", "_rels/.rels", "word/document.xml", "ppt/presentation.xml", "mimetype",
                "META-INF/container.xml", "content.opf", "../../escape.txt", "/etc/passwd",
            ]
        ),
        pieces
        | st.sampled_from(
            [b"<a/>", b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", b"application/epub+zip"]
        ),
        max_size=4,
    ),
    cut=st.integers(0, 3),
)  # fmt: skip
def test_any_archive_becomes_passages_or_a_reason(
    tmp_path: Path, suffix: str, members: dict[str, bytes], cut: int
) -> None:
    data = _zipped(members)
    got = _passages_or_reason(tmp_path, suffix, data[: len(data) - cut])
    assert not any("root:" in passage.text for passage in got if isinstance(passage, Passage))
    assert [path.name for path in tmp_path.iterdir()] == [f"file{suffix}"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["text", "TEXT", "title", "body", "tag", "a=b", "", "\ud800"]) | st.text(max_size=5)
records = st.dictionaries(names, json_values, max_size=4)


@FUZZ
@given(rows=st.lists(records | json_values, max_size=4), field=st.none() | names, ascii_only=st.booleans())
@example(rows=[{"": "a column without a name"}], field=None, ascii_only=True)
@example(rows=[{"text": 10**30, "a": 10**30, "b": float("nan"), "c": "\udfff"}], field="text", ascii_only=True)
def test_any_json_lines_become_passages_or_a_reason(
    tmp_path: Path, rows: list[object], field: str | None, ascii_only: bool
) -> None:
    text = "\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in rows)
    got = _passages_or_reason(tmp_path, ".jsonl", text.encode("utf-8", "surrogatepass"), text_field=field)
    if not all(isinstance(row, dict) for row in rows) and ascii_only:
        assert isinstance(got, str)


@pytest.mark.parametrize("row", ["[" * 100_000, '{"a":' * 100_000, '{"text": "x", "n": ' + "9" * 10_000 + "}"])
def test_json_beyond_the_reader_is_a_reason(tmp_path: Path, row: str) -> None:
    assert "line 1" in str(_passages_or_reason(tmp_path, ".jsonl", row.encode()))


@FUZZ
@given(
    cells=st.lists(
        st.lists(st.text(max_size=8) | st.sampled_from(['"', '"x', ",", "\n", "text", "\0"]), max_size=4), max_size=5
    ),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    field=st.none() | st.sampled_from(["text", "column 1", ""]),
)
def test_any_table_becomes_passages_or_a_reason(
    tmp_path: Path, cells: list[list[str]], delimiter: str, field: str | None
) -> None:
    text = "\n".join(delimiter.join(row) for row in cells)
    assert _passages_or_reason(tmp_path, ".csv", text.encode("utf-8", "surrogatepass"), text_field=field)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(front=pieces, body=pieces)
def test_any_front_matter_leaves_the_text_below_it(tmp_path: Path, front: bytes, body: bytes) -> None:
    assert _passages_or_reason(tmp_path, ".md", b"---\nk: v\n" + front + b"\n---\n" + body)
