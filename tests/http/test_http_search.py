"""``/v1/search`` on the server's collections."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest

from sift_rag import Retriever, ingest_paths
from sift_rag.opening import open_store
from sift_rag.retrieval.options import SearchOptions
from sift_rag.selection import Mmr
from tests.doubles import HashingEmbedder
from tests.http.serving import Served, serving

QUESTION = "What does the red fox eat?"


def test_a_search_gives_the_librarys_hits(served: Served, store: Path) -> None:
    with closing(open_store(store)) as opened:
        expected = Retriever(HashingEmbedder(), opened).retrieve(QUESTION, 2)
    reply = served.client.post("/v1/search", json={"query": QUESTION, "k": 2}).json()
    assert reply["collection"] == "documents"
    assert reply["candidates"] == expected.candidates
    assert [(hit["rank"], hit["id"], hit["text"], hit["gain"]) for hit in reply["hits"]] == [
        (hit.rank, hit.passage.id, hit.passage.text, hit.gain) for hit in expected.hits
    ]
    assert reply["hits"][0]["source"] == "library/animals/fox.md"
    assert reply["hits"][0]["headings"] == ["Fox"]


def test_a_search_chooses_among_what_its_filter_lets_through(served: Served) -> None:
    def sources(**asked: object) -> set[str]:
        reply = served.client.post("/v1/search", json={"query": QUESTION, **asked}).json()
        return {hit["source"] for hit in reply["hits"]}

    assert sources() == {"library/animals/fox.md", "library/animals/whale.md", "library/plants/oak.md"}
    animals = {"library/animals/fox.md", "library/animals/whale.md"}
    assert sources(where={"sources": ["library/animals/*"]}) == animals
    assert sources(where={"metadata": {"kind": ["tree", "shrub"]}}) == {"library/plants/oak.md"}
    assert sources(where={"metadata": {"kind": {"glob": "tr*"}}}) == {"library/plants/oak.md"}
    assert sources(where={"sources": {"not": "library/plants/*"}}) == animals
    assert "library/plants/oak.md" not in sources(where=["kind!=tree"])
    assert sources(known=["library/animals/fox.md"]) == {"library/animals/whale.md", "library/plants/oak.md"}


OPTIONS: dict[str, object] = {
    "k": 2,
    "candidate_limit": 2,
    "where": {"sources": ["library/animals/*"]},
    "known": ["library/plants/oak.md"],
    "known_texts": ["Foxes are red."],
    "weights": [1.0],
    "token_budget": 30,
    "context": 1,
    "stop_explained": 0.9,
    "stop_variance": 0.1,
    "alpha": 0.001,
    "exact": True,
    "exact_search": True,
    "keep_copies": True,
    "max_variance": 1.0,
    "selector": "mmr",
    "settings": {"noise_variance": 0.5},
}
"""A value of every search option that is not its default."""


def test_the_examples_are_of_every_option() -> None:
    assert set(OPTIONS) == {field.name for field in fields(SearchOptions)}
    usual = SearchOptions()
    for name, value in OPTIONS.items():
        assert getattr(SearchOptions.from_dict({name: value}), name) != getattr(usual, name)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_search_option_has_the_librarys_effect(served: Served, store: Path, name: str) -> None:
    options = SearchOptions.from_dict({name: OPTIONS[name]})
    with closing(open_store(store)) as opened:
        expected = options.retriever(HashingEmbedder(), opened).retrieve(options.query(QUESTION)).to_dict(explain=True)
    reply = served.client.post("/v1/search", json={"query": QUESTION, "explain": True, name: OPTIONS[name]}).json()
    assert set(reply["timings_ms"]) == set(expected.pop("timings_ms"))  # type: ignore[arg-type]
    assert {key: reply[key] for key in expected} == expected


def test_a_selectors_own_setting_can_be_set(served: Served, store: Path) -> None:
    with closing(open_store(store)) as opened:
        retriever = Retriever(HashingEmbedder(), opened, selector=Mmr(relevance=0.1))
        expected = [hit.passage.id for hit in retriever.retrieve(QUESTION)]
    asked = {"query": QUESTION, "selector": "mmr", "settings": {"relevance": 0.1}}
    assert [hit["id"] for hit in served.client.post("/v1/search", json=asked).json()["hits"]] == expected


def test_candidates_that_were_not_selected_come_back_when_asked_for(served: Served) -> None:
    asked = {"query": QUESTION, "k": 1}
    assert "passed_over" not in served.client.post("/v1/search", json=asked).json()
    explained = served.client.post("/v1/search", json={**asked, "explain": True}).json()
    assert explained["passed_over"]


@pytest.mark.parametrize("path", ["/v1/search", "/v1/ask"])
def test_the_openapi_document_describes_every_option_with_its_default(served: Served, path: str) -> None:
    document = served.client.get("/openapi.json").json()
    reference = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    usual = SearchOptions()
    for field in fields(SearchOptions):
        described = reference["properties"][field.name]
        default = getattr(usual, field.name)
        assert described.get("default") == (list(default) if isinstance(default, tuple) else default)
        assert described["description"].endswith(".")


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ({"collection": "none"}, 404, "no such collection"),
        ({"collection": "../documents"}, 400, "'collection'"),
        ({"collection": ""}, 400, "'collection'"),
        ({"where": {"sources": ["nothing/*"]}}, 404, "nothing that the filter matches"),
        ({"where": {"sources": [""]}}, 400, "glob"),
        ({"where": {"metadata": {"": ["x"]}}}, 400, "metadata key ''"),
        ({"where": {"source": ["x"]}}, 400, "'source'"),
        ({"where": {"metadata": {"year": {"gte": "soon"}}}}, 400, "has no order"),
        ({"where": {"metadata": {"year": {"since": 2024}}}}, 400, "not 'since'"),
        ({"where": "year>=soon"}, 400, "has no order"),
        ({"known": ["nothing.md"]}, 404, "nothing.md"),
        ({"k": 0}, 400, "k must be >= 1"),
        ({"k": 1001}, 400, "at most 1,000"),
        ({"k": "3"}, 400, "k must be a whole number"),
        ({"k": 2.5}, 400, "k must be a whole number"),
        ({"k": True}, 400, "k must be a whole number"),
        ({"candidate_limit": 0}, 400, "candidate_limit must be >= 1"),
        ({"candidate_limit": 10_001}, 400, "at most 10,000"),
        ({"weights": [1.0, 2.0]}, 400, "1 questions, but got 2"),
        ({"stop_explained": 1.5}, 400, "must be in (0, 1]"),
        ({"selector": "mrr"}, 400, "Did you mean 'mmr'?"),
        ({"settings": {"lenghtscale": 1.0}}, 400, "Did you mean 'lengthscale'?"),
        ({"settings": {"lengthscale": -1.0}}, 400, "lengthscale"),
        ({"settings": {"lengthscale": 1e-300}}, 400, "lengthscale"),
        ({"settings": {"noise_variance": 10**400}}, 400, "noise_variance"),
        ({"max_variance": 10**400}, 400, "max_variance"),
        ({"selector": "dpp", "settings": {"quality_scale": "nan"}}, 400, "quality_scale"),
        ({"selector": "hull", "settings": {"iterations": 1001}}, 400, "at most 1,000"),
        ({"candidat_limit": 3}, 400, "Did you mean 'candidate_limit'?"),
        ({"given": ["x.md"]}, 400, "Unknown field 'given'"),
        ({"known_texts": ["x"] * 1001}, 413, "1,001 known_texts"),
        ({"max_variance": 0.0}, 404, "variance"),
        ({"query": " "}, 400, "'query'"),
    ],
)
def test_a_search_that_cannot_be_made_is_told_why(
    served: Served, asked: dict[str, object], status: int, message: str
) -> None:
    reply = served.client.post("/v1/search", json={"query": QUESTION, **asked})
    assert message in reply.json()["message"]
    assert reply.status_code == status


def test_a_reply_names_no_folder_of_the_server(served: Served, store: Path) -> None:
    reply = served.client.post("/v1/search", json={"query": QUESTION, "collection": "none"})
    assert str(store) not in reply.text


def test_between_searches_others_may_write_and_the_next_search_finds_it(tmp_path: Path) -> None:
    library, store = tmp_path / "library", tmp_path / "store"
    library.mkdir()
    (library / "fox.md").write_text("The red fox eats mice.", encoding="utf-8")
    ingest_paths([library], store=store, embedder=HashingEmbedder())
    with serving(store=store, idle_seconds=0) as served:
        assert len(served.client.post("/v1/search", json={"query": QUESTION}).json()["hits"]) == 1
        (library / "whale.md").write_text("The blue whale sings.", encoding="utf-8")
        ingest_paths([library], store=store, embedder=HashingEmbedder())
        assert len(served.client.post("/v1/search", json={"query": QUESTION}).json()["hits"]) == 2


def test_a_collection_that_another_process_holds_is_a_503(tmp_path: Path, store: Path) -> None:
    with serving(store=store, idle_seconds=0) as served:
        with closing(open_store(store)):
            reply = served.client.post("/v1/search", json={"query": QUESTION})
        assert reply.status_code == 503
        assert reply.headers["retry-after"] == "1"
        assert str(store) not in reply.text
        assert served.client.post("/v1/search", json={"query": QUESTION}).status_code == 200
