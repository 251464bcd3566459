"""Files that a user or an earlier run wrote, whatever they contain: they are read, or refused with a message."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sift_rag.errors import ConfigurationError, SiftRagError, StoreError, UnreadableDocument
from sift_rag.evaluation.journal import Journal
from sift_rag.evaluation.tasks import read_questions, read_texts
from sift_rag.filters import Filter
from sift_rag.stores.embedded.manifest import read_manifest
from sift_rag_cli.app import COMMANDS
from sift_rag_cli.configuration import read_configuration
from sift_rag_cli.inputs import read_known
from tests.doubles import HashingEmbedder
from tests.examples import examples

FUZZ = settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KEYS = (
    "question", "answer", "text", "group", "id", "task", "base", "measurements", "left_out", "examples", "answered",
    "format", "schema_version", "embedder", "dimension", "replaces",
)  # fmt: skip
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["sift-rag collection", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)
DEEP = (b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000, b'{"id": ' + b"9" * 10_000 + b"}", b"\xff\xfe", b"\0", b"")
contents = st.binary(max_size=20) | values.map(lambda value: json.dumps(value).encode()) | st.sampled_from(DEEP)


def _journal(path: Path) -> object:
    return Journal(path).read()


def _manifest(path: Path) -> object:
    return read_manifest(path.parent)


READERS: dict[str, tuple[str, Callable[[Path], object], type[SiftRagError]]] = {
    "questions": ("file.jsonl", read_questions, ConfigurationError),
    "texts": ("file.jsonl", read_texts, ConfigurationError),
    "journal": ("file.jsonl", _journal, ConfigurationError),
    "configuration": ("sift-rag.toml", lambda path: read_configuration(path, COMMANDS), ConfigurationError),
    "manifest": ("manifest.json", _manifest, StoreError),
}


@pytest.mark.parametrize("reader", READERS)
@FUZZ
@given(lines=st.lists(contents, max_size=3))
def test_any_file_is_read_or_refused(tmp_path: Path, reader: str, lines: list[bytes]) -> None:
    name, read, refusal = READERS[reader]
    (tmp_path / name).write_bytes(b"\n".join(lines) + b"\n")
    with suppress(refusal):
        read(tmp_path / name)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("content", DEEP[:4], ids=["list", "object", "number", "number in an object"])
def test_json_beyond_the_reader_is_refused(tmp_path: Path, reader: str, content: bytes) -> None:
    name, read, refusal = READERS[reader]
    (tmp_path / name).write_bytes((b"k = " if name.endswith("toml") else b"") + content + b"\n")
    with pytest.raises(refusal):
        read(tmp_path / name)


@FUZZ
@given(text=st.text(st.sampled_from("k=v[\"]{}\n1.#'\\ud800store[search]") | st.characters(codec="utf-8")))
def test_any_configuration_is_read_or_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "sift-rag.toml").write_text(text, encoding="utf-8")
    with suppress(ConfigurationError):
        read_configuration(tmp_path / "sift-rag.toml", COMMANDS)


@pytest.mark.slow
@FUZZ
@given(
    values=st.lists(
        st.text(st.characters(), max_size=8) | st.sampled_from(["source=*", "a=b", "a=b=c", "=", "source="])
    )
)
def test_any_filter_is_understood_or_refused(values: list[str]) -> None:
    with suppress(ValueError):
        assert bool(Filter.parse(values)) == bool(values)


@FUZZ
@given(data=st.binary(max_size=60), suffix=st.sampled_from([".txt", ".md", ".jsonl", ".csv", ".pdf", ".docx", ".html"]))
def test_any_known_file_becomes_texts_or_a_reason(tmp_path: Path, data: bytes, suffix: str) -> None:
    file = tmp_path / f"known{suffix}"
    file.write_bytes(data)
    with suppress(UnreadableDocument):
        names, texts = read_known([str(file), "an id"], HashingEmbedder())
        assert names == ["an id"]
        assert all(texts)
    file.unlink()
    assert read_known([str(file)], HashingEmbedder()) == ([str(file)], [])


@pytest.mark.parametrize("value", ["x" * 5000, "~nobody-has-this-name/a.md", "a\0b"])
def test_what_cannot_be_a_file_is_a_name(value: str) -> None:
    assert read_known([value], HashingEmbedder()) == ([value], [])
