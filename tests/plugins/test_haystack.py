"""Haystack: a retriever and a ranker."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from sift_rag import Retriever, SelectorSettings, ingest_paths, opening
from sift_rag.embedders.sentence_transformer import load_sentence_transformer
from sift_rag.protocols import Embedder
from sift_rag.filters import Filter
from tests.plugins.conftest import TEXTS

pytest.importorskip("haystack", reason="Haystack is not installed: pip install 'sift-rag[haystack]'")

from haystack import Document, Pipeline
from haystack.core.errors import DeserializationError

from sift_rag_haystack import SiftRanker, SiftRetriever

QUESTION = "How do owls hunt mice?"
DOCUMENTS = [Document(content=text, meta={"name": name}) for name, text in TEXTS.items()]
ALLOWED = ["sift_rag_haystack.*"]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return load_sentence_transformer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Path:
    home = tmp_path_factory.mktemp("haystack")
    for name, text in TEXTS.items():
        (home / name).write_text(text)
    ingest_paths([home], store=home / "store", embedder=embedder)
    return home / "store"


@pytest.fixture
def retriever(folder: Path) -> Iterator[SiftRetriever]:
    component = SiftRetriever(str(folder), top_k=3)
    yield component
    component.close()


def test_documents_are_the_library_s_hits_in_their_order(folder: Path, embedder: Embedder) -> None:
    store = opening.open_store(folder)
    hits = Retriever(embedder, store).retrieve(QUESTION, 3).hits
    store.close()
    component = SiftRetriever(str(folder), top_k=3)
    documents = component.run(QUESTION)["documents"]
    component.close()
    assert [(document.id, document.content) for document in documents] == [
        (hit.passage.id, hit.passage.text) for hit in hits
    ]
    assert [document.meta["source"] for document in documents] == [hit.passage.source for hit in hits]
    assert documents[0].score == pytest.approx(hits[0].similarity)
    assert all(type(document.score) is float for document in documents)


def test_the_number_of_documents_is_what_was_asked_for(retriever: SiftRetriever) -> None:
    assert len(retriever.run(QUESTION)["documents"]) == 3
    assert len(retriever.run(QUESTION, top_k=2)["documents"]) == 2
    ranker = SiftRanker(top_k=4)
    assert len(ranker.run(QUESTION, DOCUMENTS)["documents"]) == 4
    assert len(ranker.run(QUESTION, DOCUMENTS, top_k=1)["documents"]) == 1
    assert ranker.run(QUESTION, [])["documents"] == []
    for top_k in (0, -1):
        for refused in (
            lambda n: SiftRetriever(top_k=n),
            lambda n: SiftRanker(top_k=n),
            lambda n: retriever.run(QUESTION, top_k=n),
            lambda n: ranker.run(QUESTION, DOCUMENTS, top_k=n),
        ):
            with pytest.raises(ValueError, match=f"top_k must be > 0, but got {top_k}"):
                refused(top_k)


def test_ranked_documents_are_copies_with_new_scores() -> None:
    before = copy.deepcopy(DOCUMENTS)
    got = SiftRanker().run(QUESTION, DOCUMENTS)["documents"]
    assert before == DOCUMENTS
    scores = [document.score for document in got]
    assert scores == sorted(scores, reverse=True)
    assert all(type(score) is float and 0 < score <= 1 for score in scores)
    assert {document.id: document.meta for document in got} == {document.id: document.meta for document in DOCUMENTS}


def test_documents_with_vectors_are_not_embedded_and_with_the_query_s_nothing_is() -> None:
    rows = [[1.0, 0.0, 0.2], [0.8, 0.6, 0.2], [0.0, 1.0, 0.0]]
    documents = [Document(content=f"text {i}", embedding=row) for i, row in zip("abc", rows, strict=True)]
    got = SiftRanker().run("?", documents, query_embedding=[1.0, 0.0, 0.0])["documents"]
    assert [document.content for document in got] == ["text a", "text b", "text c"]
    assert got[0].embedding == rows[0]
    with pytest.raises(ValueError, match=r"\(3,\).*\(384,\)"):
        SiftRanker().run("?", documents)
    assert len(SiftRanker(use_embeddings=False).run("?", documents)["documents"]) == 3


def test_a_document_without_text_comes_last() -> None:
    got = SiftRanker().run(QUESTION, [Document(content=None, meta={"a": 1}), *DOCUMENTS])["documents"]
    assert got[-1].content is None
    assert got[-1].meta == {"a": 1}


def test_a_saved_pipeline_comes_back_as_it_was(folder: Path) -> None:
    pipeline = Pipeline()
    settings = SelectorSettings(noise_variance=1.0, centring=0.0)
    where = Filter(sources=("*owls*", "*mice*"))
    pipeline.add_component("retriever", SiftRetriever(str(folder), top_k=3, selector=settings, where=where))
    pipeline.add_component("ranker", SiftRanker(top_k=2, selector=settings, use_embeddings=False))
    pipeline.connect("retriever.documents", "ranker.documents")
    text = pipeline.dumps()
    loaded = Pipeline.loads(text, allowed_modules=ALLOWED)
    assert loaded.to_dict() == pipeline.to_dict()
    for name in ("retriever", "ranker"):
        ours, theirs = pipeline.get_component(name).to_dict(), loaded.get_component(name).to_dict()
        assert ours == theirs
    again = loaded.get_component("retriever")
    assert (again.selector, again.where) == (settings, where)
    questions = {"retriever": {"query": QUESTION}, "ranker": {"query": QUESTION}}
    found = pipeline.run(questions)["ranker"]["documents"]
    pipeline.get_component("retriever").close()
    assert loaded.run(questions)["ranker"]["documents"] == found
    again.close()
    assert len(found) == 2
    with pytest.raises(DeserializationError):
        Pipeline.loads(text)


def test_what_the_defaults_are_is_saved_too() -> None:
    for component, count in ((SiftRetriever(), 7), (SiftRanker(), 4)):
        saved = component.to_dict()
        assert len(saved["init_parameters"]) == count
        assert type(component).from_dict(saved).to_dict() == saved


def test_async_gives_the_same_and_two_first_runs_open_once(folder: Path) -> None:
    retriever, ranker = SiftRetriever(str(folder), top_k=2), SiftRanker(top_k=2)

    async def both() -> list[list[Document]]:
        first, second = await asyncio.gather(retriever.run_async(QUESTION), retriever.run_async(QUESTION))
        third = await ranker.run_async(QUESTION, DOCUMENTS)
        return [first["documents"], second["documents"], third["documents"]]

    first, second, third = asyncio.run(both())
    assert first == second == retriever.run(QUESTION)["documents"]
    assert third == ranker.run(QUESTION, DOCUMENTS)["documents"]
    retriever.close()
    retriever.warm_up()  # and again after it was closed
    retriever.close()
