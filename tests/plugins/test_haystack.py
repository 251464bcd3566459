"""Haystack: a retriever and a ranker."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path

import pytest

from sift_rag import Filter, Layout, Mmr, PassageStore, Reranker, Retriever, opening
from sift_rag.relevance import cross_encoder
from tests.doubles import HashingEmbedder, WordRelevance
from tests.plugins.conftest import OPTIONS, QUESTIONS, TEXTS, expected

pytest.importorskip("haystack", reason="Haystack is not installed: pip install 'sift-rag[haystack]'")

from haystack import Document, Pipeline
from haystack.core.errors import DeserializationError
from haystack.utils import Secret

from sift_rag_haystack import SiftAssistant, SiftRanker, SiftRetriever

QUESTION = "How do owls hunt mice?"
DOCUMENTS = [Document(content=text, meta={"name": name}) for name, text in TEXTS.items()]
ALLOWED = ["sift_rag_haystack.*"]


@pytest.fixture
def retriever(store: PassageStore, embedder: HashingEmbedder) -> SiftRetriever:
    """A component whose collection is open already: in memory, which no name stands for."""
    component = SiftRetriever(top_k=3)
    component._retriever = Retriever(embedder, store)
    return component


def test_documents_are_the_library_s_hits_in_their_order(
    retriever: SiftRetriever, store: PassageStore, embedder: HashingEmbedder
) -> None:
    hits = Retriever(embedder, store).retrieve(QUESTION, 3).hits
    documents = retriever.run(QUESTION)["documents"]
    assert [(document.id, document.content) for document in documents] == [
        (hit.passage.id, hit.passage.text) for hit in hits
    ]
    assert [document.meta["source"] for document in documents] == [hit.passage.source for hit in hits]
    assert documents[0].score == pytest.approx(hits[0].similarity)
    assert all(type(document.score) is float for document in documents)


@pytest.mark.slow
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


@pytest.mark.slow
def test_ranked_documents_are_copies_with_new_scores() -> None:
    before = copy.deepcopy(DOCUMENTS)
    got = SiftRanker().run(QUESTION, DOCUMENTS)["documents"]
    assert before == DOCUMENTS
    scores = [document.score for document in got]
    assert scores == sorted(scores, reverse=True)
    assert all(type(score) is float and 0 < score <= 1 for score in scores)
    assert {document.id: document.meta for document in got} == {document.id: document.meta for document in DOCUMENTS}


@pytest.mark.slow
def test_documents_with_vectors_are_not_embedded_and_with_the_query_s_nothing_is() -> None:
    rows = [[1.0, 0.0, 0.2], [0.8, 0.6, 0.2], [0.0, 1.0, 0.0]]
    documents = [Document(content=f"text {i}", embedding=row) for i, row in zip("abc", rows, strict=True)]
    got = SiftRanker().run("?", documents, query_embedding=[1.0, 0.0, 0.0])["documents"]
    assert [document.content for document in got] == ["text a", "text b", "text c"]
    assert got[0].embedding == rows[0]
    with pytest.raises(ValueError, match=r"\(3,\).*\(384,\)"):
        SiftRanker().run("?", documents)
    assert len(SiftRanker(use_embeddings=False).run("?", documents)["documents"]) == 3


@pytest.mark.slow
def test_a_document_without_text_comes_last() -> None:
    got = SiftRanker().run(QUESTION, [Document(content=None, meta={"a": 1}), *DOCUMENTS])["documents"]
    assert got[-1].content is None
    assert got[-1].meta == {"a": 1}


@pytest.mark.slow
def test_a_saved_pipeline_comes_back_as_it_was(folder: Path) -> None:
    pipeline = Pipeline()
    where = Filter(sources=("*owls*", "*mice*"))
    settings = {"noise_variance": 1.0, "centring": 0.0}
    pipeline.add_component(
        "retriever", SiftRetriever(str(folder), top_k=3, settings=settings, where=where, known_texts=("bees dance",))
    )
    pipeline.add_component("ranker", SiftRanker(top_k=2, selector=Mmr(relevance=0.3), use_embeddings=False))
    pipeline.connect("retriever.documents", "ranker.documents")
    text = pipeline.dumps()
    loaded = Pipeline.loads(text, allowed_modules=ALLOWED)
    assert loaded.to_dict() == pipeline.to_dict()
    for name in ("retriever", "ranker"):
        ours, theirs = pipeline.get_component(name).to_dict(), loaded.get_component(name).to_dict()
        assert ours == theirs
    again = loaded.get_component("retriever")
    assert (again.options.settings, again.options.where) == (settings, where)
    assert again.options == pipeline.get_component("retriever").options
    assert loaded.get_component("ranker").options.make_selector() == Mmr(relevance=0.3)
    questions = {"retriever": {"query": QUESTION}, "ranker": {"query": QUESTION}}
    found = pipeline.run(questions)["ranker"]["documents"]
    pipeline.get_component("retriever").close()
    assert loaded.run(questions)["ranker"]["documents"] == found
    again.close()
    assert len(found) == 2
    with pytest.raises(DeserializationError):
        Pipeline.loads(text)


def test_a_component_with_its_defaults_comes_back_as_it_was() -> None:
    for component in (SiftRetriever(), SiftRanker(), SiftAssistant(SiftRetriever(), "model")):
        saved = component.to_dict()
        json.dumps(saved)
        assert type(component).from_dict(saved).to_dict() == saved


@pytest.mark.parametrize("name", OPTIONS)
def test_every_search_option_is_a_parameter_and_an_input_and_is_saved(
    name: str, retriever: SiftRetriever, store: PassageStore, embedder: HashingEmbedder
) -> None:
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever)
    found = pipeline.run({"retriever": {"query": QUESTION, name: OPTIONS[name]}})["retriever"]["documents"]
    hits = expected(embedder, store, QUESTION, **{"k": 3, name: OPTIONS[name]}).hits
    assert [document.id for document in found] == [hit.passage.id for hit in hits]
    configured = SiftRetriever(**{name: OPTIONS[name]})
    again = SiftRetriever.from_dict(json.loads(json.dumps(configured.to_dict())))
    assert again.options.to_dict() == configured.options.to_dict() != SiftRetriever().options.to_dict()


def test_several_questions_are_asked_together(
    retriever: SiftRetriever, store: PassageStore, embedder: HashingEmbedder
) -> None:
    hits = expected(embedder, store, QUESTIONS, k=3).hits
    found = retriever.run(list(QUESTIONS))["documents"]
    assert [document.id for document in found] == [hit.passage.id for hit in hits]


@pytest.mark.slow
def test_a_ranker_takes_several_questions_with_weights() -> None:
    ranker = SiftRanker(top_k=1)
    asked = [QUESTION, "Where do bees find flowers?"]
    first = [ranker.run(asked, DOCUMENTS, weights=weights)["documents"][0] for weights in ([1.0, 0.0], [0.0, 1.0])]
    assert "owls" in (first[0].content or "")
    assert "bees" in (first[1].content or "")


def test_filters_of_haystack_s_are_mapped_or_refused_before_anything_is_opened(retriever: SiftRetriever) -> None:
    filters = {"field": "meta.source", "operator": "==", "value": "bees.md"}
    with pytest.raises(ValueError, match="'sources' and 'metadata', but not 'field'"):
        SiftRetriever("/nowhere", where=filters)
    with pytest.raises(ValueError, match="the operator 'like'"):
        SiftRetriever("/nowhere", filters={**filters, "operator": "like"})
    assert SiftRetriever("/nowhere", filters=filters).options.where == Filter(("bees.md",))
    found = retriever.run(QUESTION, filters=filters)["documents"]
    assert [document.meta["source"] for document in found] == ["bees.md"]


@pytest.mark.slow
def test_documents_that_repeat_known_texts_come_later() -> None:
    settings = {"noise_variance": 0.01}
    first = SiftRanker(settings=settings).run(QUESTION, DOCUMENTS)["documents"][0]
    known = [first.content or ""]
    configured = SiftRanker(settings=settings, known_texts=known).run(QUESTION, DOCUMENTS)["documents"]
    asked = SiftRanker(settings=settings).run(QUESTION, DOCUMENTS, known_texts=known)["documents"]
    assert configured == asked
    assert asked[0].id != first.id


@pytest.mark.slow
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


def test_a_key_is_saved_as_the_name_of_its_variable_and_a_layout_as_its_fields() -> None:
    secret = Secret.from_env_var("QDRANT_API_KEY")
    component = SiftRetriever("http://localhost:6333", api_key=secret, layout=Layout(text="body"))
    again = SiftRetriever.from_dict(json.loads(json.dumps(component.to_dict())))
    assert (again.api_key, again.layout) == (secret, Layout(text="body"))


def test_a_ranking_by_default_is_the_reranker_s(embedder: HashingEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "open_embedder", lambda *_, **__: embedder)
    wanted = [text.score for text in Reranker(embedder).rerank(QUESTION, list(TEXTS.values())).ranked]
    assert [document.score for document in SiftRanker().run(QUESTION, DOCUMENTS)["documents"]] == wanted


def test_a_reranker_is_named_saved_and_opened_with_the_component(
    store: PassageStore, embedder: HashingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def load(name: str) -> WordRelevance:
        opened.append(name)
        return WordRelevance("flowers")

    monkeypatch.setattr(cross_encoder, "load_cross_encoder", load)
    monkeypatch.setattr(opening, "open_embedder", lambda *_, **__: embedder)
    monkeypatch.setattr(opening, "open_index", lambda *arguments, **options: store)
    ranker = SiftRanker.from_dict(SiftRanker(relevance="tiny", top_k=2).to_dict())
    ranked = ranker.run(QUESTION, DOCUMENTS)["documents"]
    assert {document.meta["name"] for document in ranked} == {"bees.md", "rain.md"}
    retriever = SiftRetriever.from_dict(SiftRetriever(embedder="hashing", relevance="tiny", top_k=2).to_dict())
    found = retriever.run(QUESTION)["documents"]
    assert {document.meta["source"] for document in found} == {"bees.md", "rain.md"}
    assert found[0].score == pytest.approx(0.5)
    assert opened == ["tiny", "tiny"]
