"""The plugin for ``llm``: fragments and a tool, over a collection of the environment."""

from __future__ import annotations

from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import llm
import pytest

import sift_rag_llm
from sift_rag import ingest_texts
from sift_rag.opening import open_retriever
from tests.doubles import HashingEmbedder

TEXTS = ["Flights are booked in the portal.", "Flights are booked in the portal.", "Taxis are paid after ten."]


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = HashingEmbedder()
    ingest_texts(TEXTS, sources=["a.md", "b.md", "c.md"], store=tmp_path, embedder=embedder)
    monkeypatch.setenv("SIFT_RAG_STORE", str(tmp_path))
    monkeypatch.setattr(sift_rag_llm, "open_retriever", partial(open_retriever, embedder=embedder))


@pytest.mark.usefixtures("collection")
def test_fragments_are_the_passages_each_once_and_say_where_they_stand() -> None:
    fragments = sift_rag_llm.load_passages("Who books flights and taxis?")
    assert sorted(fragment.split("\n", 1)[1] for fragment in fragments) == sorted(set(TEXTS))
    assert all(fragment.startswith(f"[{rank}] ") for rank, fragment in enumerate(fragments, start=1))
    assert len({fragment.source for fragment in fragments}) == len(fragments)


@pytest.mark.usefixtures("collection")
def test_the_tool_returns_the_same_passages_as_text() -> None:
    question = "Who books flights and taxis?"
    assert sift_rag_llm.search_documents(question) == "\n\n".join(sift_rag_llm.load_passages(question))


def test_llm_is_told_in_words_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIFT_RAG_STORE", str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="documents"):
        sift_rag_llm.load_passages("Who books flights?")


def test_llm_finds_the_plugin_and_its_parts() -> None:
    (found,) = entry_points(group="llm", name="sift")
    plugin = found.load()
    named: dict[str, object] = {}
    plugin.register_fragment_loaders(named.__setitem__)
    assert list(named) == ["sift"]
    tools: list[object] = []
    plugin.register_tools(tools.append)
    described = llm.Tool.function(tools[0])  # type: ignore[arg-type]
    assert described.name == "search_documents"
    assert described.description.startswith("Search the user's documents.")
    assert described.input_schema["required"] == ["question"]
