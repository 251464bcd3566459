"""``/rerank`` in the dialects that its clients speak."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from sift_rag import Reranker
from sift_rag.retrieval.reranker import Reranking
from sift_rag.selection import Mmr, selector_from
from sift_rag_server import dialects
from sift_rag_server.dialects.dialect import Dialect, ReplyHead, RerankRequest
from tests.doubles import HashingEmbedder
from tests.http.serving import Served

QUESTION = "What does the red fox eat?"
DOCUMENTS = [
    "The blue whale sings.",
    "The red fox eats mice.",
    "the red  FOX eats mice.",
    "A fox eats berries in autumn.",
    "",
    "Rust is red.",
]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_every_path_gives_the_librarys_order_and_scores(served: Served, path: str) -> None:
    expected = Reranker(HashingEmbedder()).rerank(QUESTION, DOCUMENTS)
    reply = served.rerank(QUESTION, DOCUMENTS, path)
    assert reply.status_code == 200
    assert [(result["index"], result["relevance_score"]) for result in reply.json()["results"]] == [
        (text.index, text.score) for text in expected.ranked
    ]


def test_every_document_comes_back_with_a_score_in_range_that_falls_strictly(served: Served) -> None:
    results = served.rerank(QUESTION, DOCUMENTS).json()["results"]
    scores = [result["relevance_score"] for result in results]
    assert sorted(result["index"] for result in results) == list(range(len(DOCUMENTS)))
    assert all(before > after for before, after in pairwise(scores))
    assert all(0 < score <= 1 for score in scores)


def test_it_says_why_a_document_stands_where_it_does(served: Served) -> None:
    results = {result["index"]: result["sift"] for result in served.rerank(QUESTION, DOCUMENTS).json()["results"]}
    assert results[1]["selected"]
    assert results[1]["gain"] > results[0]["gain"]
    assert results[2]["copy_of"] == 1
    assert not results[2]["selected"]


def test_top_n_cuts_the_reply_and_not_the_order(served: Served) -> None:
    whole = served.rerank(QUESTION, DOCUMENTS).json()["results"]
    cut = served.rerank(QUESTION, DOCUMENTS, top_n=2).json()["results"]
    assert [result["index"] for result in cut] == [result["index"] for result in whole[:2]]


@pytest.mark.parametrize("top_n", [None, 0, 6, 1000])
def test_a_top_n_that_cuts_nothing_gives_all(served: Served, top_n: int | None) -> None:
    assert len(served.rerank(QUESTION, DOCUMENTS, top_n=top_n).json()["results"]) == len(DOCUMENTS)


def test_documents_come_back_only_when_asked_for(served: Served) -> None:
    documents: list[object] = ["a fox", {"text": "a whale", "page": 3}]
    silent = served.rerank(QUESTION, documents).json()["results"]
    assert all("document" not in result for result in silent)
    echoed = served.rerank(QUESTION, documents, return_documents=True).json()["results"]
    assert {result["index"]: result["document"] for result in echoed} == {
        0: {"text": "a fox"},
        1: {"text": "a whale", "page": 3},
    }


def test_rank_fields_say_what_of_a_document_is_read(served: Served) -> None:
    documents = [{"title": "red fox", "body": "eats mice"}, {"title": "whale", "body": "sings"}]
    reply = served.rerank(QUESTION, documents, "/v1/rerank", rank_fields=["title", "body"], return_documents=True)
    results = reply.json()["results"]
    assert [result["index"] for result in results] == [0, 1]
    assert results[0]["document"] == {
        "text": "title: red fox\nbody: eats mice",
        "title": "red fox",
        "body": "eats mice",
    }


def test_the_reply_has_what_cohere_jina_and_vllm_clients_read(served: Served) -> None:
    reply = served.rerank("one two", ["three four five", "six"], model="sift").json()
    assert reply["model"] == "sift"
    assert len(reply["id"]) == 32
    assert reply["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
    assert reply["meta"]["billed_units"] == {"search_units": 1}
    assert reply["meta"]["tokens"]["input_tokens"] == 6


def test_tei_gets_an_array_of_index_and_score(served: Served) -> None:
    body = {"query": QUESTION, "texts": DOCUMENTS, "truncate": True, "raw_scores": False}
    ranks = served.client.post("/rerank", json=body).json()
    expected = Reranker(HashingEmbedder()).rerank(QUESTION, DOCUMENTS)
    assert ranks == [{"index": text.index, "score": text.score} for text in expected.ranked]
    echoed = served.client.post("/rerank", json={**body, "return_text": True}).json()
    assert [rank["text"] for rank in echoed] == [DOCUMENTS[rank["index"]] for rank in ranks]


def test_several_questions_are_answered_together(served: Served) -> None:
    questions = [QUESTION, "Who sings?"]
    expected = Reranker(HashingEmbedder()).rerank(questions, DOCUMENTS)
    results = served.rerank(questions, DOCUMENTS).json()["results"]
    assert [result["index"] for result in results] == [text.index for text in expected.ranked]


def test_given_embeddings_are_used_and_missing_ones_made(served: Served) -> None:
    embedder = HashingEmbedder()
    texts = ["shown as one thing", "the red fox eats mice", "embedded as another"]
    rows = embedder.embed_passages(["what does the red fox eat", "", ""])
    embeddings = [rows[0].tolist(), None, (7 * embedder.embed_passages(["nothing near"])[0]).tolist()]
    expected = Reranker(embedder).rerank(QUESTION, texts, embeddings=[np.array(e) if e else None for e in embeddings])
    results = served.rerank(QUESTION, texts, embeddings=embeddings).json()["results"]
    assert [result["index"] for result in results] == [text.index for text in expected.ranked]
    assert [result["relevance_score"] for result in results] == pytest.approx([text.score for text in expected.ranked])
    plain = Reranker(embedder).rerank(QUESTION, texts)
    assert [text.score for text in plain.ranked] != [text.score for text in expected.ranked]


def test_own_settings_reach_the_selector(served: Served) -> None:
    settings = {"noise_variance": 0.01, "lengthscale": 0.7, "centring": 0.0}
    expected = Reranker(HashingEmbedder(), selector=selector_from("sift", settings)).rerank(QUESTION, DOCUMENTS, k=2)
    results = served.rerank(QUESTION, DOCUMENTS, sift={"settings": settings, "k": 2}).json()["results"]
    assert [(result["index"], result["sift"]["selected"]) for result in results] == [
        (text.index, text.selected) for text in expected.ranked
    ]
    assert sum(result["sift"]["selected"] for result in results) == 2


def test_another_selector_with_a_setting_of_its_own_can_be_asked_for(served: Served) -> None:
    expected = Reranker(HashingEmbedder(), selector=Mmr(relevance=0.2)).rerank(QUESTION, DOCUMENTS)
    asked = {"selector": "mmr", "settings": {"relevance": 0.2}}
    results = served.rerank(QUESTION, DOCUMENTS, sift=asked).json()["results"]
    assert [result["index"] for result in results] == [text.index for text in expected.ranked]


def test_documents_add_to_what_the_reader_knows(served: Served) -> None:
    known = [DOCUMENTS[1], "Foxes hunt at dusk."]
    expected = Reranker(HashingEmbedder()).rerank(QUESTION, DOCUMENTS, known_texts=known)
    results = served.rerank(QUESTION, DOCUMENTS, sift={"known_texts": known}).json()["results"]
    assert [(result["index"], result["relevance_score"]) for result in results] == [
        (text.index, text.score) for text in expected.ranked
    ]
    assert results != served.rerank(QUESTION, DOCUMENTS).json()["results"]


def test_questions_can_be_weighted(served: Served) -> None:
    questions = [QUESTION, "Who sings?"]
    expected = Reranker(HashingEmbedder()).rerank(questions, DOCUMENTS, weights=[0.0, 1.0])
    results = served.rerank(questions, DOCUMENTS, sift={"weights": [0.0, 1.0]}).json()["results"]
    assert [result["index"] for result in results] == [text.index for text in expected.ranked]


def test_a_dialect_is_one_value_in_the_registry(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(request: RerankRequest, ranking: Reranking, head: ReplyHead) -> object:
        return {"order": [text.index for text in ranking.ranked], "tokens": head.tokens}

    lines = Dialect(
        matches=lambda body: "lines" in body,
        read=lambda body, _: RerankRequest(questions=(body["ask"],), texts=tuple(body["lines"]), top_n=2),
        write=write,
        error=lambda error, _: {"problem": error.message},
        request_model=dict,
        reply_model=dict,
        error_model=dict,
    )
    monkeypatch.setattr(dialects, "DIALECTS", (lines, *dialects.DIALECTS))
    reply = served.client.post("/rerank", json={"ask": "one two", "lines": ["three", "one two four"]})
    assert reply.json() == {"order": [1, 0], "tokens": 6}
    assert "problem" in served.client.post("/rerank", json={"ask": " ", "lines": ["a"]}).json()


def test_fields_that_it_does_not_know_are_ignored(served: Served) -> None:
    reply = served.rerank(QUESTION, DOCUMENTS, max_tokens_per_doc=4096, max_chunks_per_doc=10, user="someone")
    assert reply.status_code == 200


@pytest.mark.parametrize("name", [None, "", "sift", "hashing"])
def test_its_own_names_and_none_are_taken(served: Served, name: str | None) -> None:
    assert served.rerank(QUESTION, DOCUMENTS, model=name).status_code == 200


def test_the_models_are_listed_under_the_names_that_can_be_asked_for(served: Served) -> None:
    listed = [entry["id"] for entry in served.client.get("/v1/models").json()["data"]]
    assert listed == ["sift", "hashing"]
    assert all(served.rerank(QUESTION, DOCUMENTS, model=name).json()["model"] == name for name in listed)


def test_naming_the_default_selector_changes_nothing(served: Served) -> None:
    named = served.rerank(QUESTION, DOCUMENTS, sift={"selector": "sift"}).json()["results"]
    assert named == served.rerank(QUESTION, DOCUMENTS).json()["results"]
    centred = served.rerank(QUESTION, DOCUMENTS, sift={"settings": {"centring": 0.5}}).json()["results"]
    assert named != centred


def test_a_selector_may_not_iterate_for_ever(served: Served) -> None:
    asked = {"selector": "hull", "settings": {"iterations": 10**8, "tolerance": -1.0}}
    reply = served.rerank(QUESTION, DOCUMENTS, sift=asked)
    assert (reply.status_code, "at most 1,000" in reply.json()["message"]) == (400, True)
