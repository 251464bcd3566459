"""LlamaIndex: a retriever and a node postprocessor."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from pydantic import ValidationError

from sift_rag import Mmr, PassageStore, Reranker, Retriever, Sift
from sift_rag.types import Embedding
from tests.doubles import HashingEmbedder, WordRelevance
from tests.plugins.conftest import OPTIONS, QUESTION, TEXTS, expected

pytest.importorskip("llama_index.core", reason="LlamaIndex is not installed: pip install 'sift-rag[llama-index]'")

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

from sift_rag_llama_index import SiftQuery, SiftRerank, SiftRetriever


class HashingModel(BaseEmbedding):
    """A LlamaIndex embedding model."""

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        row: list[float] = (3 * HashingEmbedder().embed_passages([text])[0]).tolist()
        return row


def nodes(*, embedded: bool = False) -> list[NodeWithScore]:
    rows = HashingEmbedder().embed_passages(list(TEXTS.values())).tolist()
    return [
        NodeWithScore(
            node=TextNode(id_=name, text=text, metadata={"name": name}, embedding=row if embedded else None), score=0.5
        )
        for (name, text), row in zip(TEXTS.items(), rows, strict=True)
    ]


def ids(got: list[NodeWithScore]) -> list[str]:
    return [node.node.node_id for node in got]


def test_nodes_are_the_library_s_hits_in_their_order(store: PassageStore, embedder: HashingEmbedder) -> None:
    hits = Retriever(embedder, store).retrieve(QUESTION, 3).hits
    got = SiftRetriever(store, embed_model=embedder, similarity_top_k=3).retrieve(QUESTION)
    assert ids(got) == [hit.passage.id for hit in hits]
    assert [node.node.metadata["source"] for node in got] == [hit.passage.source for hit in hits]
    scores = [node.score or 0.0 for node in got]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(hits[0].similarity)
    assert "sift" in got[0].node.metadata
    assert "gain" not in got[0].node.get_content(metadata_mode=MetadataMode.LLM)
    assert f"source: {hits[0].passage.source}" in got[0].node.get_content(metadata_mode=MetadataMode.LLM)


def test_several_strings_of_a_query_are_answered_together(store: PassageStore, embedder: HashingEmbedder) -> None:
    parts = ["how do owls hunt mice", "where do flowers grow in spring"]
    bundle = QueryBundle("owls and flowers", custom_embedding_strs=parts)
    got = SiftRetriever(store, embed_model=embedder, similarity_top_k=2).retrieve(bundle)
    assert ids(got) == [hit.passage.id for hit in Retriever(embedder, store).retrieve(parts, 2).hits]
    reranked = SiftRerank(2, embed_model=embedder).postprocess_nodes(nodes(), bundle)
    assert set(ids(reranked)) & {"rain.md", "bees.md"}
    assert set(ids(reranked)) & {"owls.md", "owls2.md", "mice.md"}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_search_option_is_an_argument_and_a_query_may_carry_it(
    name: str, store: PassageStore, embedder: HashingEmbedder
) -> None:
    value = OPTIONS[name]
    hits = [hit.passage.id for hit in expected(embedder, store, QUESTION, **{name: value}).hits]
    argument = {"similarity_top_k" if name == "k" else name: value}
    assert ids(SiftRetriever(store, embed_model=embedder, **argument).retrieve(QUESTION)) == hits
    query = SiftQuery(QUESTION, options={name: value})
    assert ids(SiftRetriever(store, embed_model=embedder).retrieve(query)) == hits


def test_filters_of_llama_index_s_are_mapped_or_refused_before_anything_is_opened(store: PassageStore) -> None:
    filters = MetadataFilters(filters=[MetadataFilter(key="source", value="bees.md")])
    unlike = MetadataFilters(filters=[MetadataFilter(key="source", value="bees", operator="text_match")])
    with pytest.raises(ValueError, match="where must be"):
        SiftRetriever("/nowhere", where=filters)
    with pytest.raises(ValueError, match="the operator 'text_match' for 'source'"):
        SiftRetriever("/nowhere", filters=unlike)
    retriever = SiftRetriever(store, embed_model=HashingEmbedder())
    asked = retriever.retrieve(SiftQuery(QUESTION, options={"filters": filters}))
    configured = SiftRetriever(store, embed_model=HashingEmbedder(), filters=filters).retrieve(QUESTION)
    assert [node.metadata["source"] for node in asked] == ["bees.md"]
    assert ids(configured) == ids(asked)


def test_llama_index_s_embedding_model_serves_a_retriever_and_a_reranker(store: PassageStore) -> None:
    ours, theirs = HashingEmbedder(), HashingModel(model_name="hashing")
    retrieved = [ids(SiftRetriever(store, embed_model=model).retrieve(QUESTION)) for model in (ours, theirs)]
    assert retrieved[0] == retrieved[1]
    reranked = [
        ids(SiftRerank(embed_model=model).postprocess_nodes(nodes(), query_str=QUESTION)) for model in (ours, theirs)
    ]
    assert reranked[0] == reranked[1]


def test_reranked_nodes_have_new_scores_and_are_the_same_nodes(embedder: HashingEmbedder) -> None:
    before = nodes()
    got = SiftRerank(3, embed_model=embedder).postprocess_nodes(before, query_str=QUESTION)
    assert len(got) == 3
    assert [node.model_dump() for node in before] == [node.model_dump() for node in nodes()]
    scores = [node.score or 0.0 for node in got]
    assert 1 >= scores[0] > scores[1] > scores[2] > 0
    by_id = {node.node.node_id: node.node for node in before}
    assert all(node.node is by_id[node.node.node_id] for node in got)


def test_a_node_is_read_as_its_metadata_say_it_is_embedded(embedder: HashingEmbedder) -> None:
    SiftRerank(embed_model=embedder).postprocess_nodes(nodes(), query_str=QUESTION)
    assert embedder.embedded[0] == f"name: owls.md\n\n{TEXTS['owls.md']}"


def test_the_nodes_own_embeddings_are_used_and_the_query_s_if_all_have_one() -> None:
    embedder = HashingEmbedder()
    SiftRerank(embed_model=embedder).postprocess_nodes(nodes(embedded=True), query_str=QUESTION)
    assert embedder.embedded == []
    other = HashingEmbedder("other", dimension=8)
    bundle = QueryBundle(QUESTION, embedding=embedder.embed_queries([QUESTION])[0].tolist())
    rerank = SiftRerank(embed_model=other)
    got = rerank.postprocess_nodes(nodes(embedded=True), bundle)
    assert ids(got) == ids(SiftRerank(embed_model=embedder).postprocess_nodes(nodes(embedded=True), query_str=QUESTION))
    assert len(rerank.postprocess_nodes(nodes(), bundle)) == 5  # no node has one: all is embedded, the query too
    with pytest.raises(ValueError, match=r"\(64,\).*\(8,\)"):
        rerank.postprocess_nodes(nodes(embedded=True), query_str=QUESTION)
    alone = SiftRerank(embed_model=other, use_node_embeddings=False)
    assert len(alone.postprocess_nodes(nodes(embedded=True), query_str=QUESTION)) == 5


def test_a_reranking_tells_its_events(embedder: HashingEmbedder) -> None:
    told: list[Any] = []

    class Listener(BaseEventHandler):
        def handle(self, event: Any, **_: Any) -> None:
            told.append(event)

    debug = LlamaDebugHandler(print_trace_on_end=False)
    root = get_dispatcher()
    before = list(root.event_handlers)
    root.add_event_handler(Listener())
    try:
        rerank = SiftRerank(2, embed_model=embedder, callback_manager=CallbackManager([debug]))
        got = rerank.postprocess_nodes(nodes(), query_str=QUESTION)
    finally:
        root.event_handlers = before
    assert [event.class_name() for event in told] == ["ReRankStartEvent", "ReRankEndEvent"]
    assert (told[0].top_n, told[0].model_name) == (2, "sift")
    assert told[1].nodes == got
    [(_, ended)] = debug.get_event_pairs(CBEventType.RERANKING)
    assert ended.payload == {"nodes": got}


def test_async_leaves_the_loop_free(store: PassageStore) -> None:
    """The embedder waits for something that only the loop does."""
    released = threading.Event()

    class Waiting(HashingEmbedder):
        def embed_queries(self, texts: Any) -> Embedding:
            assert released.wait(30), "the loop did not run"
            return super().embed_queries(texts)

    async def both() -> list[int]:
        asyncio.get_running_loop().call_soon(released.set)
        retrieved = await SiftRetriever(store, embed_model=Waiting(), similarity_top_k=2).aretrieve(QUESTION)
        released.clear()
        asyncio.get_running_loop().call_soon(released.set)
        rerank = SiftRerank(2, embed_model=Waiting())
        return [len(retrieved), len(await rerank.apostprocess_nodes(nodes(), query_str=QUESTION))]

    assert asyncio.run(both()) == [2, 2]


def test_what_a_reranking_needs_is_asked_for(store: PassageStore, embedder: HashingEmbedder) -> None:
    rerank = SiftRerank(embed_model=embedder)
    assert rerank.postprocess_nodes([], query_str=QUESTION) == []
    with pytest.raises(ValueError, match="needs the query"):
        rerank.postprocess_nodes(nodes())
    with pytest.raises(ValidationError):
        SiftRerank(0, embed_model=embedder)
    with pytest.raises(ValueError, match="k must be"):
        SiftRetriever(store, embed_model=embedder, similarity_top_k=0)
    assert isinstance(rerank, BaseNodePostprocessor)
    assert rerank.class_name() == "SiftRerank"
    assert rerank.to_dict()["top_n"] is None


def test_a_reranking_takes_a_selector_and_texts_that_are_known(embedder: HashingEmbedder) -> None:
    by_name = SiftRerank(embed_model=embedder, selector="mmr", settings={"relevance": 0.1})
    by_value = SiftRerank(embed_model=embedder, selector=Mmr(relevance=0.1))
    plain = SiftRerank(embed_model=embedder)
    got = [ids(rerank.postprocess_nodes(nodes(), query_str=QUESTION)) for rerank in (by_name, by_value, plain)]
    assert got[0] == got[1] != got[2]


def test_nodes_that_repeat_known_texts_come_later(embedder: HashingEmbedder) -> None:
    settings = {"noise_variance": 0.01}
    plain = SiftRerank(embed_model=embedder, settings=settings)
    first = plain.postprocess_nodes(nodes(), query_str=QUESTION)[0].node
    texts = (first.get_content(metadata_mode=MetadataMode.EMBED),)
    known = SiftRerank(embed_model=embedder, settings=settings, known_texts=texts)
    carried = SiftQuery(QUESTION, options={"known_texts": texts})
    got = [ids(known.postprocess_nodes(nodes(), query_str=QUESTION)), ids(plain.postprocess_nodes(nodes(), carried))]
    assert got[0] == got[1]
    assert got[0][0] != first.node_id


def test_a_reranking_by_default_is_the_reranker_s(embedder: HashingEmbedder) -> None:
    texts = [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes()]
    wanted = [text.score for text in Reranker(embedder).rerank(QUESTION, texts).ranked]
    got = SiftRerank(embed_model=embedder).postprocess_nodes(nodes(), query_str=QUESTION)
    assert [node.score for node in got] == wanted
    assert wanted != [text.score for text in Reranker(embedder, selector=Sift()).rerank(QUESTION, texts).ranked]


def test_a_reranker_decides_in_a_retriever_and_in_a_postprocessor(
    store: PassageStore, embedder: HashingEmbedder
) -> None:
    reranker = WordRelevance("flowers")
    found = SiftRetriever(store, embed_model=embedder, relevance=reranker, similarity_top_k=2).retrieve(QUESTION)
    assert {node.metadata["source"] for node in found} == {"bees.md", "rain.md"}
    assert found[0].score == pytest.approx(0.5)
    rerank = SiftRerank(2, embed_model=embedder, relevance=reranker)
    assert set(ids(rerank.postprocess_nodes(nodes(), query_str=QUESTION))) == {"bees.md", "rain.md"}
