"""Other people's clients, pointed at our address: what `plugins/sift_rag_server/README.md` tells them to do.

Each needs its package: pip install 'sift-rag[recipes]'. Without it the test is skipped, with its name.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sift_rag import Reranker
from tests.doubles import HashingEmbedder
from tests.http.models import ScriptedModel
from tests.http.serving import Served, serving

KEY = "a-key-for-clients"
QUESTION = "What does the red fox eat?"
TEXTS = ["The blue whale sings.", "The red fox eats mice.", "A fox eats berries in autumn.", "Rust is red."]

# these packages warn of themselves while they are imported and used
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def package(name: str) -> Any:
    return pytest.importorskip(name, reason=f"needs the package {name}: pip install 'sift-rag[recipes]'")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(api_key=KEY) as running:
        yield running


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the clients from contacting their makers' servers."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "False")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Clients leave their connections to the garbage collector, which warns of each: here, where that is ignored."""
    yield
    if (litellm := sys.modules.get("litellm")) is not None:
        litellm.in_memory_llm_clients_cache.flush_cache()
    gc.collect()


@pytest.fixture(scope="module")
def ranked() -> list[tuple[int, float]]:
    """Return what all clients must receive: index and score, in order."""
    ranking = Reranker(HashingEmbedder()).rerank(QUESTION, TEXTS)
    return [(text.index, pytest.approx(text.score)) for text in ranking.ranked]


def test_the_cohere_sdk_v2(served: Served, ranked: list[tuple[int, float]]) -> None:
    client = package("cohere").ClientV2(api_key=KEY, base_url=served.url)
    reply = client.rerank(model="sift", query=QUESTION, documents=TEXTS)
    assert [(result.index, result.relevance_score) for result in reply.results] == ranked
    assert reply.meta.billed_units.search_units == 1
    assert reply.results[0].sift["selected"] is True
    assert len(client.rerank(model="sift", query=QUESTION, documents=TEXTS, top_n=2).results) == 2


def test_the_cohere_sdk_v2_async(served: Served, ranked: list[tuple[int, float]]) -> None:
    async def rerank() -> Any:
        client = package("cohere").AsyncClientV2(api_key=KEY, base_url=served.url)
        return await client.rerank(model="sift", query=QUESTION, documents=TEXTS)

    assert [(result.index, result.relevance_score) for result in asyncio.run(rerank()).results] == ranked


def test_the_cohere_sdk_v1(served: Served, ranked: list[tuple[int, float]]) -> None:
    client = package("cohere").Client(api_key=KEY, base_url=served.url)
    documents = [{"text": text, "page": "1"} for text in TEXTS]
    reply = client.rerank(model="sift", query=QUESTION, documents=documents, return_documents=True)
    assert [(result.index, result.relevance_score) for result in reply.results] == ranked
    assert [result.document.text for result in reply.results] == [TEXTS[index] for index, _ in ranked]


def test_the_cohere_sdk_reads_our_errors(served: Served) -> None:
    cohere = package("cohere")
    client = cohere.ClientV2(api_key=KEY, base_url=served.url)
    with pytest.raises(cohere.errors.NotFoundError) as unknown:
        client.rerank(model="rerank-v3.5", query=QUESTION, documents=TEXTS)
    assert "'sift'" in unknown.value.body["message"]
    with pytest.raises(cohere.errors.BadRequestError):
        client.rerank(model="sift", query=QUESTION, documents=[])
    with pytest.raises(cohere.errors.UnauthorizedError):
        cohere.ClientV2(api_key="wrong", base_url=served.url).rerank(model="sift", query=QUESTION, documents=TEXTS)


@pytest.mark.parametrize("top_n", [{}, {"top_n": 4}])
@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("hosted_vllm", ""),
        ("cohere", ""),
        ("jina_ai", ""),
        ("azure_ai", ""),
        ("litellm_proxy", ""),
        ("huggingface", ""),
        ("infinity", "/infinity"),
        ("voyage", "/voyage"),
    ],
)
def test_litellm(
    served: Served, ranked: list[tuple[int, float]], provider: str, path: str, top_n: dict[str, int]
) -> None:
    litellm = package("litellm")
    reply = litellm.rerank(
        model=f"{provider}/sift", query=QUESTION, documents=TEXTS, api_base=served.url + path, api_key=KEY, **top_n
    )
    assert [(result["index"], result["relevance_score"]) for result in reply.results] == ranked


def test_the_voyage_sdk(served: Served, ranked: list[tuple[int, float]]) -> None:
    client = package("voyageai").Client(api_key=KEY, base_url=f"{served.url}/voyage/v1")
    results = client.rerank(QUESTION, TEXTS, model="sift").results
    assert [(result.index, result.relevance_score) for result in results] == ranked


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("cohere", "/v1/rerank"),
        ("jina", "/v1/rerank"),
        ("text-embeddings-inference", "/rerank"),
        ("voyage", "/v1/rerank"),
        ("mixedbread.ai", "/v1/reranking"),
    ],
)
def test_rerankers(served: Served, ranked: list[tuple[int, float]], provider: str, path: str) -> None:
    package("rerankers")
    from rerankers.models.api_rankers import APIRanker

    ranker = APIRanker("sift", api_key=KEY, api_provider=provider, url=served.url + path)
    results = ranker.rank(QUESTION, TEXTS, doc_ids=list(range(len(TEXTS)))).results
    assert [(result.document.doc_id, result.score) for result in results] == ranked


def test_langchains_cohere_adapter(served: Served, ranked: list[tuple[int, float]]) -> None:
    from_cohere = package("langchain_cohere")
    from langchain_core.documents import Document

    compressor = from_cohere.CohereRerank(model="sift", cohere_api_key=KEY, base_url=served.url, top_n=4)
    documents = [Document(text, metadata={"number": number}) for number, text in enumerate(TEXTS)]
    chosen = compressor.compress_documents(documents, QUESTION)
    assert [(found.metadata["number"], found.metadata["relevance_score"]) for found in chosen] == ranked


def test_llama_indexs_cohere_adapter(served: Served, ranked: list[tuple[int, float]]) -> None:
    adapter = package("llama_index.postprocessor.cohere_rerank")
    from llama_index.core.schema import NodeWithScore, TextNode

    nodes = [NodeWithScore(node=TextNode(text=text, id_=str(number))) for number, text in enumerate(TEXTS)]
    rerank = adapter.CohereRerank(top_n=4, model="sift", api_key=KEY, base_url=served.url)
    found = rerank.postprocess_nodes(nodes, query_str=QUESTION)
    assert [(int(node.node.node_id), node.score) for node in found] == ranked


def test_haystacks_cohere_adapter(served: Served, ranked: list[tuple[int, float]]) -> None:
    rankers = package("haystack_integrations.components.rankers.cohere")
    from haystack import Document
    from haystack.utils import Secret

    ranker = rankers.CohereRanker(model="sift", api_key=Secret.from_token(KEY), api_base_url=served.url, top_k=4)
    documents = [Document(id=str(number), content=text) for number, text in enumerate(TEXTS)]
    found = ranker.run(query=QUESTION, documents=documents)["documents"]
    assert [(int(document.id), document.score) for document in found] == ranked


@pytest.mark.parametrize("kind", ["tei", "jina"])
def test_llama_indexs_other_adapters(served: Served, ranked: list[tuple[int, float]], kind: str) -> None:
    from llama_index.core.schema import NodeWithScore, TextNode

    rerank: Any
    if kind == "tei":
        adapter = package("llama_index.postprocessor.tei_rerank")
        rerank = adapter.TextEmbeddingInference(base_url=served.url, auth_token=f"Bearer {KEY}", top_n=4)
    else:
        adapter = package("llama_index.postprocessor.jinaai_rerank")
        rerank = adapter.JinaRerank(base_url=f"{served.url}/v1", api_key=KEY, model="sift", top_n=4)
    nodes = [NodeWithScore(node=TextNode(text=text, id_=str(number))) for number, text in enumerate(TEXTS)]
    found = rerank.postprocess_nodes(nodes, query_str=QUESTION)
    assert [(int(node.node.node_id), node.score) for node in found] == ranked


@pytest.mark.parametrize("kind", ["vllm", "tei"])
def test_haystacks_other_adapters(served: Served, ranked: list[tuple[int, float]], kind: str) -> None:
    package("haystack")
    from haystack import Document
    from haystack.utils import Secret

    key, ranker = Secret.from_token(KEY), None
    if kind == "vllm":
        rankers = package("haystack_integrations.components.rankers.vllm")
        ranker = rankers.VLLMRanker(model="sift", api_key=key, api_base_url=f"{served.url}/v1", top_k=4)
    else:
        rankers = package("haystack_integrations.components.rankers.huggingface_api")
        ranker = rankers.HuggingFaceTEIRanker(url=served.url, token=key, top_k=4)
    documents = [Document(id=str(number), content=text) for number, text in enumerate(TEXTS)]
    found = ranker.run(query=QUESTION, documents=documents)["documents"]
    assert [(int(document.id), document.score) for document in found] == ranked


@pytest.mark.parametrize("stream", [False, True])
def test_litellm_chats_with_a_collection(store: Path, stream: bool) -> None:
    litellm = package("litellm")
    asked = [{"role": "user", "content": QUESTION}]
    with serving(store=store, language_model=ScriptedModel("The fox eats ", "mice [1].")) as answering:
        reply = litellm.completion(
            "openai/sift/documents", messages=asked, api_base=f"{answering.url}/v1", api_key=KEY, stream=stream
        )
        if stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in reply)
        else:
            text = reply.choices[0].message.content
    assert text.startswith("The fox eats mice [1].")
    assert "fox.md" in text
