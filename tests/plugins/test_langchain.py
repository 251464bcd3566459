"""LangChain: a retriever and a document compressor."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from pydantic import ValidationError

from sift_rag import Filter, Mmr, PassageStore, Reranker, Retriever, Sift, StoreConflict, ingest_paths
from sift_rag.types import Embedding
from tests.doubles import HashingEmbedder, WordRelevance
from tests.plugins.conftest import OPTIONS, QUESTION, QUESTIONS, TEXTS, expected
from tests.retrieval.test_candidates import filled

pytest.importorskip("langchain_core", reason="LangChain is not installed: pip install 'sift-rag[langchain]'")

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from sift_rag_langchain import SiftRerank, SiftRetriever

DOCUMENTS = [Document(text, id=name, metadata={"name": name, "tags": ["a"]}) for name, text in TEXTS.items()]


class HashingEmbeddings(Embeddings):
    """A LangChain embedding model: lists, not of norm 1."""

    def __init__(self) -> None:
        self._embedder = HashingEmbedder()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = (3 * self._embedder.embed_passages(texts)).tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


@pytest.mark.anyio
class TestLangChainsOwnTests(RetrieversIntegrationTests):
    """LangChain's own tests of a retriever."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return SiftRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        embedder = HashingEmbedder()
        return {"store": filled(TEXTS, embedder), "embedder": embedder}

    @property
    def retriever_query_example(self) -> str:
        return QUESTION


def test_documents_are_the_library_s_hits_in_their_order(store: PassageStore, embedder: HashingEmbedder) -> None:
    hits = Retriever(embedder, store).retrieve(QUESTION, 3).hits
    documents = SiftRetriever(store=store, embedder=embedder, k=3).invoke(QUESTION)
    assert [(document.id, document.page_content) for document in documents] == [
        (hit.passage.id, hit.passage.text) for hit in hits
    ]
    assert [document.metadata["source"] for document in documents] == [hit.passage.source for hit in hits]
    assert [document.metadata["sift"]["gain"] for document in documents] == [hit.gain for hit in hits]


def test_where_says_what_may_be_found(store: PassageStore, embedder: HashingEmbedder) -> None:
    retriever = SiftRetriever(store=store, embedder=embedder, where=Filter(sources=("owls*",)))
    assert {document.metadata["source"] for document in retriever.invoke(QUESTION)} == {"owls.md", "owls2.md"}
    asked = {"source": {"$in": ["bees.md", "rain.md"]}}
    found = [document.metadata["source"] for document in retriever.invoke(QUESTION, filter=asked)]
    assert sorted(found) == ["bees.md", "rain.md"]
    configured = SiftRetriever(store=store, embedder=embedder, filter=asked)
    assert [document.metadata["source"] for document in configured.invoke(QUESTION)] == found
    with pytest.raises(ValueError, match="OR across the keys"):
        retriever.invoke(QUESTION, filter={"$or": [{"source": "bees.md"}, {"year": 1}]})
    with pytest.raises(ValueError, match="both given"):
        retriever.invoke(QUESTION, filter=asked, where=["a=b"])
    bees = retriever.invoke(QUESTION, where=Filter(sources=("bees.md",)))
    assert [document.metadata["source"] for document in bees] == ["bees.md"]


@pytest.mark.parametrize("name", OPTIONS)
def test_every_search_option_is_a_field_and_overrides_it_in_a_call(
    name: str, store: PassageStore, embedder: HashingEmbedder
) -> None:
    option = {name: OPTIONS[name]}
    hits = [hit.passage.id for hit in expected(embedder, store, QUESTION, **option).hits]
    configured = SiftRetriever(store=store, embedder=embedder, **option)
    assert [document.id for document in configured.invoke(QUESTION)] == hits
    plain = SiftRetriever(store=store, embedder=embedder)
    assert [document.id for document in plain.invoke(QUESTION, **option)] == hits
    assert [document.id for document in asyncio.run(plain.ainvoke(QUESTION, **option))] == hits


def test_more_questions_are_asked_together_with_the_query(store: PassageStore, embedder: HashingEmbedder) -> None:
    hits = expected(embedder, store, QUESTIONS, k=2, weights=(1.0, 3.0)).hits
    got = SiftRetriever(store=store, embedder=embedder, k=2).invoke(
        QUESTIONS[0], questions=QUESTIONS[1:], weights=(1.0, 3.0)
    )
    assert [document.id for document in got] == [hit.passage.id for hit in hits]


def test_a_filter_of_langchain_s_is_refused_before_anything_is_opened(store: PassageStore) -> None:
    for filters in ({"source": "owls.md"}, [("source", "owls.md")], lambda document: True):
        with pytest.raises(ValidationError, match=r"filter|where"):
            SiftRetriever(store="/nowhere", where=filters)
        with pytest.raises(ValueError, match=r"filter|where"):
            SiftRetriever(store=store, embedder=HashingEmbedder()).invoke(QUESTION, where=filters)


@pytest.mark.slow
def test_a_collection_is_opened_by_folder_and_name(tmp_path: Any) -> None:
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text)
    embedder = HashingEmbedder()
    ingest_paths([tmp_path], store=tmp_path / "store", collection="animals", embedder=embedder)
    retriever = SiftRetriever(store=tmp_path / "store", collection="animals", embedder=embedder, k=2)
    try:
        assert len(retriever.invoke(QUESTION)) == 2
    finally:
        retriever.close()


def test_langchain_s_embeddings_serve_a_retriever_and_a_reranker(store: PassageStore) -> None:
    ours, theirs = HashingEmbedder(), HashingEmbeddings()
    retrieved = [
        [d.id for d in SiftRetriever(store=store, embedder=embedder).invoke(QUESTION)] for embedder in (ours, theirs)
    ]
    assert retrieved[0] == retrieved[1]
    reranked = [SiftRerank(embedder=embedder).compress_documents(DOCUMENTS, QUESTION) for embedder in (ours, theirs)]
    assert [d.id for d in reranked[0]] == [d.id for d in reranked[1]]


def test_embeddings_of_another_dimension_are_refused(store: PassageStore) -> None:
    class Short(HashingEmbeddings):
        def embed_query(self, text: str) -> list[float]:
            return super().embed_query(text)[:8]

    with pytest.raises(StoreConflict, match="8 dimensions"):
        SiftRetriever(store=store, embedder=Short())


def test_async_leaves_the_loop_free(store: PassageStore) -> None:
    """The embedder waits for something that only the loop does."""
    released = threading.Event()

    class Waiting(HashingEmbedder):
        def embed_queries(self, texts: Any) -> Embedding:
            assert released.wait(30), "the loop did not run"
            return super().embed_queries(texts)

    embedder = Waiting()

    async def both() -> list[list[Document]]:
        asyncio.get_running_loop().call_soon(released.set)
        retrieved = await SiftRetriever(store=store, embedder=embedder).ainvoke(QUESTION, k=2)
        released.clear()
        asyncio.get_running_loop().call_soon(released.set)
        return [retrieved, list(await SiftRerank(embedder=embedder, top_n=2).acompress_documents(DOCUMENTS, QUESTION))]

    assert [len(documents) for documents in asyncio.run(both())] == [2, 2]


def test_reranked_documents_are_copies_with_a_falling_score(embedder: HashingEmbedder) -> None:
    before = [document.model_copy(deep=True) for document in DOCUMENTS]
    got = SiftRerank(embedder=embedder, top_n=3).compress_documents(DOCUMENTS, QUESTION)
    assert before == DOCUMENTS
    scores = [document.metadata["relevance_score"] for document in got]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 and type(score) is float for score in scores)
    by_id = {document.id: document for document in DOCUMENTS}
    for document in got:
        kept = {key: value for key, value in document.metadata.items() if key != "relevance_score"}
        assert (document.page_content, kept) == (by_id[document.id].page_content, by_id[document.id].metadata)


def test_the_number_of_documents_is_what_was_asked_for(embedder: HashingEmbedder) -> None:
    for top_n, count in ((1, 1), (4, 4), (99, 6), (None, 6)):
        copies = [*DOCUMENTS, DOCUMENTS[0].model_copy(update={"id": "copy"})]
        got = SiftRerank(embedder=embedder, top_n=top_n).compress_documents(copies, QUESTION)
        assert len(got) == count
    assert got[-1].id in {"copy", "owls.md"}
    assert SiftRerank(embedder=embedder).compress_documents([], QUESTION) == []


def test_arguments_out_of_range_are_refused(store: PassageStore, embedder: HashingEmbedder) -> None:
    with pytest.raises(ValidationError):
        SiftRetriever(store=store, embedder=embedder, k=0)
    with pytest.raises(ValueError, match="k must be >= 1"):
        SiftRetriever(store=store, embedder=embedder).invoke(QUESTION, k=0)
    with pytest.raises(ValidationError):
        SiftRetriever(store=store, embedder=embedder, top_k=3)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        SiftRerank(embedder=embedder, top_n=0)


def test_a_reranking_takes_a_selector_by_name_or_as_a_value(embedder: HashingEmbedder) -> None:
    by_name = SiftRerank(embedder=embedder, selector="mmr", settings={"relevance": 0.1})
    by_value = SiftRerank(embedder=embedder, selector=Mmr(relevance=0.1))
    got = [[document.id for document in r.compress_documents(DOCUMENTS, QUESTION)] for r in (by_name, by_value)]
    assert got[0] == got[1] != [d.id for d in SiftRerank(embedder=embedder).compress_documents(DOCUMENTS, QUESTION)]


def test_documents_that_repeat_known_texts_come_later(embedder: HashingEmbedder) -> None:
    settings = {"noise_variance": 0.01}
    plain = SiftRerank(embedder=embedder, settings=settings).compress_documents(DOCUMENTS, QUESTION)
    known = SiftRerank(embedder=embedder, settings=settings, known_texts=(plain[0].page_content,))
    assert known.compress_documents(DOCUMENTS, QUESTION)[0].id != plain[0].id


def test_a_key_is_not_shown(store: PassageStore, embedder: HashingEmbedder) -> None:
    retriever = SiftRetriever(store=store, embedder=embedder, api_key="qdrant-secret")
    assert "qdrant-secret" not in repr(retriever)


def test_a_reranking_by_default_is_the_reranker_s(embedder: HashingEmbedder) -> None:
    texts = [document.page_content for document in DOCUMENTS]
    wanted = [text.score for text in Reranker(embedder).rerank(QUESTION, texts).ranked]
    for named in ({}, {"selector": "sift"}):
        got = SiftRerank(embedder=embedder, **named).compress_documents(DOCUMENTS, QUESTION)
        assert [document.metadata["relevance_score"] for document in got] == wanted
    assert wanted != [text.score for text in Reranker(embedder, selector=Sift()).rerank(QUESTION, texts).ranked]


def test_a_reranker_decides_in_a_retriever_and_in_a_compressor(store: PassageStore, embedder: HashingEmbedder) -> None:
    reranker = WordRelevance("flowers")
    found = SiftRetriever(store=store, embedder=embedder, relevance=reranker, k=2).invoke(QUESTION)
    assert {document.metadata["source"] for document in found} == {"bees.md", "rain.md"}
    assert found[0].metadata["sift"]["reranker_score"] == 0.5
    kept = SiftRerank(embedder=embedder, relevance=reranker, top_n=2).compress_documents(DOCUMENTS, QUESTION)
    assert {document.metadata["name"] for document in kept} == {"bees.md", "rain.md"}
