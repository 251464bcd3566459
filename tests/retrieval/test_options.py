"""Search options: one name, one type and one default, whoever spells them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from sift_rag.filters import Filter
from sift_rag.retrieval.options import SearchOptions
from sift_rag.retrieval.queries import Query
from sift_rag.retrieval.reranker import Reranker
from sift_rag.retrieval.retriever import Retriever
from sift_rag.selection import Mmr, Sift, Stopping
from tests.doubles import HashingEmbedder

FULL: dict[str, Any] = {
    "k": 3,
    "candidate_limit": 50,
    "where": {"sources": ["docs/*"], "metadata": {"tag": ["x", "y"]}},
    "known": ["a.md"],
    "known_texts": ["Owls hunt."],
    "weights": [1.0, 2.0],
    "token_budget": 200,
    "context": 2,
    "stop_explained": 0.6,
    "stop_variance": 0.5,
    "alpha": 0.1,
    "exact": True,
    "exact_search": True,
    "keep_copies": True,
    "max_variance": 0.9,
    "selector": "mmr",
    "settings": {"relevance": 0.7},
}


def test_every_option_is_read_and_written_back() -> None:
    assert set(FULL) == {part.name for part in fields(SearchOptions)}
    options = SearchOptions.from_dict(FULL)
    assert options.to_dict() == FULL
    assert SearchOptions().to_dict() == {}
    assert SearchOptions.from_dict(dict.fromkeys(FULL)) == SearchOptions()


def test_they_become_a_query_and_a_selector() -> None:
    options = SearchOptions.from_dict(FULL)
    assert options.query(["part one", "part two"]) == Query(
        ("part one", "part two"),
        k=3,
        where=Filter(("docs/*",), (("tag", "x"), ("tag", "y"))),
        known=("a.md",),
        known_texts=("Owls hunt.",),
        weights=(1.0, 2.0),
        stopping=Stopping(variance=0.5, explained=0.6, alpha=0.1, tokens=200, fill=True),
        context=2,
        exact=True,
        exact_search=True,
        max_variance=0.9,
    )
    assert options.make_selector() == Mmr(relevance=0.7)
    assert SearchOptions().query("one") == Query("one")
    assert SearchOptions().make_selector() == Sift()


def test_a_selector_itself_will_do_and_is_written_by_name() -> None:
    options = SearchOptions(selector=Mmr(relevance=0.7))
    assert options.make_selector() == Mmr(relevance=0.7)
    assert SearchOptions.from_dict(options.to_dict()).make_selector() == Mmr(relevance=0.7)
    with pytest.raises(ValueError, match="carries its own"):
        replace(options, settings={"relevance": 0.5})


def test_a_filter_may_be_spelled_as_conditions() -> None:
    options = SearchOptions.from_dict({"where": ["source=docs/*", "tag=x"]})
    assert options.where == Filter(("docs/*",), (("tag", "x"),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"token_buget": 3}, "Did you mean 'token_budget'"),
        ({"k": 0}, "k must be >= 1"),
        ({"k": "3"}, "k must be a whole number, but got '3'"),
        ({"k": True}, "k must be a whole number"),
        ({"exact": 1}, "exact must be true or false"),
        ({"known": [1]}, "known must be a list of texts"),
        ({"weights": "much"}, "weights must be a list of numbers"),
        ({"candidate_limit": 0}, "candidate_limit must be >= 1"),
        ({"stop_explained": 2}, "explained must be in"),
        ({"where": {"source": []}}, "not 'source': expected an object such as {\"sources\""),
        ({"where": {"field": "meta.year", "operator": ">=", "value": 2024}}, "not 'field': expected an object such as"),
        ({"where": 3}, "where must be a sift_rag.Filter, texts such as 'year>=2024', or an object"),
        ({"filter": {"year": 2024}}, "Filters are given as 'where'"),
        ({"filters": object()}, "Filters are given as 'where'"),
        ({"where": {"metadata": {"tag": [[1]]}}}, "texts, numbers or truth values"),
        ({"selector": "mrr"}, "Did you mean 'mmr'"),
        ({"settings": {"lengthscales": 1}}, "Did you mean 'lengthscale'"),
        ({"settings": []}, "settings must be an object"),
    ],
)
def test_what_cannot_be_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchOptions.from_dict(change)


def test_a_filter_of_another_library_is_refused_by_its_type() -> None:
    with pytest.raises(TypeError, match="but got dict"):
        SearchOptions(where={"field": "meta.year"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"questions": 3}, "questions must be texts, but got 3"),
        ({"questions": ["why?", None]}, "questions must be texts, but got None"),
        ({"k": "3"}, "k must be a whole number, but got '3'"),
        ({"k": 2.5}, "k must be a whole number"),
        ({"k": float("nan")}, "k must be a whole number"),
        ({"k": True}, "k must be a whole number"),
        ({"known": [3]}, "known must be texts"),
        ({"known_texts": 3}, "known_texts must be texts"),
        ({"weights": "1"}, "weights must be a list of numbers"),
        ({"weights": ["1"]}, "weights must be numbers"),
        ({"where": "source=docs/*"}, "where must be a sift_rag.Filter, but got str"),
        ({"where": {"sources": ["docs/*"]}}, "where must be a sift_rag.Filter, but got dict"),
    ],
)
def test_a_value_of_another_type_is_named_when_a_query_or_options_are_made(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        Query(**{"questions": "why?", **change})
    if "questions" not in change:
        with pytest.raises(TypeError, match=message):
            SearchOptions(**change)


@pytest.mark.parametrize("weights", [[float("nan")], [-1.0], [0.0], [float("inf")], [10**400]])
def test_weights_that_cannot_be_are_refused_when_made(weights: list[float]) -> None:
    for make in (lambda: Query("why?", weights=tuple(weights)), lambda: SearchOptions(weights=tuple(weights))):
        with pytest.raises(ValueError, match=r"(?i)weights must be"):
            make()


@pytest.mark.parametrize("name", ["questions", "known", "known_texts"])
def test_what_is_not_unicode_is_refused_in_words(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be Unicode text") as refused:
        Query(**{"questions": "why?", name: ["\ud800"]})
    assert not isinstance(refused.value, UnicodeError)


def test_a_number_of_json_without_end_is_refused_in_words() -> None:
    for change in ({"max_variance": 10**400}, {"weights": [10**400]}, {"settings": {"noise_variance": 10**400}}):
        with pytest.raises(ValueError, match="must be a number"):
            SearchOptions.from_dict(change)


@pytest.mark.parametrize("selector", ["mmr", Mmr, 3])
def test_a_retriever_and_a_reranker_take_a_selector_and_not_its_name(selector: Any) -> None:
    embedder = HashingEmbedder()
    for make in (Retriever.from_texts, lambda _, part, *, selector: Reranker(part, selector=selector)):
        with pytest.raises(TypeError, match="A selector must be a value such as"):
            make(["Owls hunt."], embedder, selector=selector)


def test_a_reranking_by_the_default_selector_is_left_to_the_reranker() -> None:
    assert SearchOptions().reranking_selector() is None
    assert SearchOptions(selector="sift").reranking_selector() is None
    assert SearchOptions(selector=Sift()).reranking_selector() == Sift()
    assert SearchOptions(settings={"centring": 0.5}).reranking_selector() == Sift()
    assert SearchOptions(selector="mmr").reranking_selector() == Mmr()


def test_one_string_is_not_a_list_of_texts() -> None:
    for call in (Retriever.from_texts, lambda text, part: Reranker(part).rerank("why?", text)):
        with pytest.raises(ValueError, match="texts is one string"):
            call("Owls hunt.", HashingEmbedder())
