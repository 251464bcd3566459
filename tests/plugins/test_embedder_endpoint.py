"""An embedder at an endpoint, for every adapter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sift_rag import EmbedderEndpoint, Retriever, ingest_texts, open_reranker
from tests.embedders.stub_embeddings import StubEmbeddings, stub_embeddings

pytestmark = pytest.mark.slow

TEXTS = ["Owls hunt at night.", "Bats sleep by day.", "Foxes live in dens."]
QUESTION = "When do owls hunt?"


@pytest.fixture
def stub() -> Iterator[StubEmbeddings]:
    with stub_embeddings() as running:
        yield running


@pytest.fixture
def store(stub: StubEmbeddings, tmp_path: Path) -> str:
    ingest_texts(TEXTS, store=tmp_path / "store", embedder=EmbedderEndpoint(stub.url, "tiny"))
    stub.bodies.clear()
    stub.keys.clear()
    return str(tmp_path / "store")


def test_langchain(stub: StubEmbeddings, store: str) -> None:
    pytest.importorskip("langchain_core", reason="LangChain is not installed")
    from sift_rag_langchain import SiftRerank, SiftRetriever

    endpoint = EmbedderEndpoint(stub.url, "tiny")
    with_store = SiftRetriever(store=store, embedder=endpoint, k=1)
    assert with_store.invoke(QUESTION)[0].page_content == TEXTS[0]
    assert QUESTION in stub.texts
    assert SiftRerank(embedder=endpoint) is not None


def test_llama_index(stub: StubEmbeddings, store: str) -> None:
    pytest.importorskip("llama_index.core", reason="LlamaIndex is not installed")
    from sift_rag_llama_index import SiftRetriever

    found = SiftRetriever(store, embed_model=EmbedderEndpoint(stub.url), similarity_top_k=1).retrieve(QUESTION)
    assert found[0].node.get_content() == TEXTS[0]
    assert QUESTION in stub.texts


def test_haystack_saves_the_endpoint_and_never_its_key(
    stub: StubEmbeddings, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("haystack", reason="Haystack is not installed")
    from haystack.utils import Secret

    from sift_rag_haystack import SiftRanker, SiftRetriever

    monkeypatch.setenv("THE_KEY", "secret-key")
    endpoint = EmbedderEndpoint(stub.url, "tiny", query_prefix="q: ")
    key = Secret.from_env_var("THE_KEY")
    retriever = SiftRetriever(store, embedder=endpoint, embedder_api_key=key, top_k=1)
    ranker = SiftRanker(endpoint, embedder_api_key=key)
    for made in (retriever, ranker):
        saved = made.to_dict()
        assert "secret-key" not in str(saved)
        again = type(made).from_dict(saved)
        assert again.embedder == endpoint
        assert again.to_dict() == saved
    assert SiftRetriever.from_dict(retriever.to_dict()).run(QUESTION)["documents"][0].content == TEXTS[0]
    assert stub.texts == [f"q: {QUESTION}"]
    assert stub.keys == ["Bearer secret-key"]
    with pytest.raises(ValueError, match="embedder_api_key") as caught:
        SiftRanker(EmbedderEndpoint(stub.url, "tiny", "secret-key"))
    assert "secret-key" not in str(caught.value)


def test_a_reranker_and_a_retriever_over_texts(stub: StubEmbeddings) -> None:
    endpoint = EmbedderEndpoint(stub.url, "tiny")
    ranking = open_reranker(endpoint).rerank(QUESTION, TEXTS, k=1)
    assert ranking.ranked[0].index == 0
    retriever = Retriever.from_texts(TEXTS, endpoint)
    assert retriever.retrieve(QUESTION, 1).hits[0].passage.text == TEXTS[0]


def test_the_server_embeds_collections_of_that_name_there(stub: StubEmbeddings, store: str) -> None:
    from sift_rag_server.service import Service
    from sift_rag_server.settings import ServerSettings

    service = Service(ServerSettings(embedder=EmbedderEndpoint(stub.url, "tiny"), store=store))
    try:
        service.load()
        with service.collection(None) as opened:
            assert service.collection_queue(opened) is service.queue
        assert service.model_names[1] == "tiny"
        assert "ready" in stub.texts
    finally:
        service.close()
