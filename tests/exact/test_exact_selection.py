"""Selection from a whole collection is its brute-force optimum, by searches or by a scan, and says what it proved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import pytest

from sift_rag.defaults import SELECTORS
from sift_rag.exact import search_bounds
from sift_rag.exact import selection as exact_selection
from sift_rag.exact.selection import WholeChoice, check_exact, choose_from_all
from sift_rag.filters import Filter
from sift_rag.retrieval.candidates import all_candidates, distinct_candidates
from sift_rag.retrieval.queries import Query
from sift_rag.retrieval.retriever import Retriever
from sift_rag.selection import Pool, Stopping
from sift_rag.selection.greedy import Rules
from sift_rag.selection.process import choose
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import Candidate, CollectionInfo, Embedding, ExactReport, Passage, Span
from tests.doubles import HashingEmbedder
from tests.oracles import greedy_by_definition
from tests.oracles import selector as make_selector
from tests.retrieval.test_candidates import filled

NO_ROWS = 0
"""A limit that allows no search, so that a store that can be scanned is scanned."""


class SearchOnly:
    """A store, as a server is, that answers searches and hands out nothing else; counts the rows that it gave."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.info = store.info
        self.rows_given = 0

    def search(
        self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None
    ) -> list[list[Candidate]]:
        found = self._store.search(targets, limit, offset=offset, where=where)
        self.rows_given += sum(map(len, found))
        return found

    def fetch(self, ids: Sequence[str]) -> list[Candidate]:
        return self._store.fetch(ids)


def stored(rows: Embedding, texts: Sequence[str] | None = None) -> MemoryStore:
    """Return a store in which row i is passage i, at i in its document."""
    store = MemoryStore(CollectionInfo("whole", "none", rows.shape[1], 1))
    texts = texts or [f"text {row}" for row in range(len(rows))]
    passages = [
        Passage(id=str(uuid5(NAMESPACE_URL, str(row))), text=text, source="a.md", span=Span(row, row + 1))
        for row, text in enumerate(texts)
    ]
    store.upsert(passages, rows)
    return store


def clustered(rng: np.random.Generator, count: int, dimension: int = 8, clusters: int = 12) -> Embedding:
    """Unit rows in clusters, as passages of a few subjects are."""
    centres = rng.normal(size=(clusters, dimension))
    rows = centres[rng.integers(clusters, size=count)] + 0.5 * rng.normal(size=(count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def places(found: WholeChoice) -> list[int]:
    """Return the rows chosen, in order."""
    return [found.candidates[index].passage.span.start for index in found.choice.selection.indices]


def both_ways(store: MemoryStore, *arguments: Any, **options: Any) -> list[WholeChoice]:
    """Select by searches alone, and by a scan."""
    return [
        choose_from_all(SearchOnly(store), *arguments, **options, row_limit=10**6),  # type: ignore[arg-type]
        choose_from_all(store, *arguments, **options, row_limit=NO_ROWS),
    ]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pages small, so that the first search does not read a small collection whole."""
    monkeypatch.setattr(search_bounds, "FIRST_PAGE", 4)
    monkeypatch.setattr(exact_selection, "COPIES_PAGE", 2)


SETTINGS = {
    "centred": make_selector(noise_variance=0.3),
    "mild": make_selector(),
    "far centre": make_selector(noise_variance=0.3, centring=0.95),
    "as embedded": make_selector(noise_variance=0.1, lengthscale=0.7, centring=0.0),
    "wide": make_selector(noise_variance=0.05, lengthscale=2.0),
    "linear": make_selector(kernel="linear", noise_variance=0.1),
    "linear, noisy": make_selector(kernel="linear", noise_variance=3.0),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("seed", range(4))
def test_both_ways_are_the_optimum_by_definition(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, targets = clustered(rng, 120), clustered(rng, 1 + seed % 3)
    known = np.repeat(targets, 3 * (seed % 2), axis=0) + np.float32(0.3) * clustered(rng, 3 * (seed % 2) * len(targets))
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    store, selector = stored(rows), SETTINGS[name]
    pool = distinct_candidates(store, targets, 6)
    weights = [0.5, 2.0, 1.0][: len(targets)] if seed == 2 else None
    given = [Candidate(Passage("given", "other", "given", Span(0, 1)), 0.0, row) for row in known]
    view = selector.process.problem(Pool(targets, np.stack([c.embedding for c in pool]), weights=weights)).view
    expected, variances = greedy_by_definition(
        view.seen(targets.astype(np.float64)),
        view.seen(rows.astype(np.float64)),
        5,
        kernel=selector.process.kernel,
        lengthscale=1.0,
        noise_variance=selector.process.noise_variance,
        known=view.seen(known.astype(np.float64)) if len(known) else None,
        weights=view.weights,
    )
    for found in both_ways(store, selector, targets, 5, pool, known=given, weights=weights):
        assert places(found) == expected
        assert found.report.proven
        assert found.choice.selection.posterior_variances == pytest.approx(variances, rel=1e-4)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("keep", [False, True])
def test_with_copies_both_ways_are_the_plain_choice_from_a_pool_of_everything(name: str, keep: bool) -> None:
    rng = np.random.default_rng(7)
    originals = clustered(rng, 60)
    copies = originals[rng.integers(60, size=60)]
    near = copies + np.float32(0.02) * rng.normal(size=copies.shape).astype(np.float32)
    rows = np.concatenate([originals, np.where(rng.random(60)[:, None] < 0.5, near, copies)])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    words = ["owl", "bee", "rain", "mouse", "spring"]
    store = stored(rows, [" ".join(rng.choice(words, 12)) for _ in rows])
    targets, selector = clustered(rng, 2), SETTINGS[name]
    gather = all_candidates if keep else distinct_candidates
    pool, everything = gather(store, targets, 6), gather(store, targets, len(rows))
    view = selector.process.problem(Pool(targets, np.stack([c.embedding for c in pool]))).view
    problem = selector.process.problem(Pool(targets, np.stack([c.embedding for c in everything])), view=view)
    order = choose(problem, 9, Rules()).selection.indices
    expected = [everything[index] for index in order]
    for found in both_ways(store, selector, targets, 9, pool, keep_copies=keep):
        hits = [found.candidates[index] for index in found.choice.selection.indices]
        if keep:  # of equal vectors any may stand first
            assert np.array_equal([hit.embedding for hit in hits], [candidate.embedding for candidate in expected])
        else:
            assert [hit.passage.id for hit in hits] == [candidate.passage.id for candidate in expected]
        assert [{c.id for c in hit.copies} for hit in hits] == [{c.id for c in other.copies} for other in expected]
        assert found.report.proven
    assert keep or any(candidate.copies for candidate in expected)


def test_what_lies_beyond_the_pool_is_found() -> None:
    near = np.array([[0.9, 0.3, 0.3], [0.9, 0.31, 0.29], [0.9, 0.29, 0.31], [0.7, -0.7, 0.14]], dtype=np.float32)
    rows = near / np.linalg.norm(near, axis=1, keepdims=True)
    store, target = stored(rows), np.eye(3, dtype=np.float32)[:1]
    selector = make_selector(noise_variance=0.01, lengthscale=1.0, centring=0.0)
    pool = distinct_candidates(store, target, 3)
    plain = selector.select(Pool(target, np.stack([c.embedding for c in pool])), 2)
    for found in both_ways(store, selector, target, 2, pool):
        assert 3 in places(found)
        assert found.choice.selection.posterior_variances[-1] < plain.selection.posterior_variances[-1]
        assert found.report.passages == 4


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_what_is_given_makes_the_farther_passage_the_better_one(kernel: Any) -> None:
    rng = np.random.default_rng(0)
    near = np.array([0.8, 0.6, 0.0]) + 0.005 * rng.normal(size=(40, 3))
    rows = np.concatenate([near, [[0.6, 0.0, 0.8]]]).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    store, target = stored(rows), np.eye(3, dtype=np.float32)[:1]
    known = [Candidate(Passage("given", "other", "given", Span(0, 1)), 0.0, row) for row in rows[:3]]
    pool = distinct_candidates(store, target, 4)
    selector = make_selector(kernel=kernel, noise_variance=0.01, lengthscale=1.5, centring=0.0)
    for found in both_ways(store, selector, target, 1, pool, known=known):
        assert places(found) == [40]


def test_passages_of_one_text_are_not_both_chosen_however_their_vectors_differ() -> None:
    rng = np.random.default_rng(8)
    rows, target = clustered(rng, 40), clustered(rng, 1)
    store = stored(rows, [f"text {row % 10}" for row in range(40)])
    pool = distinct_candidates(store, target, 3)
    assert any(candidate.copies for candidate in pool)
    searched, scanned = both_ways(store, make_selector(noise_variance=0.1), target, 40, pool)
    assert places(searched) == places(scanned)
    assert sorted(place % 10 for place in places(searched)) == list(range(10))
    merged = {copy.id for candidate in pool for copy in candidate.copies}
    assert not merged & {hit.passage.id for hit in searched.candidates}


def test_a_passage_that_points_away_counts_for_the_linear_kernel_and_is_found() -> None:
    rng = np.random.default_rng(0)
    target = np.eye(8, dtype=np.float32)[:1]
    rows = np.concatenate([clustered(rng, 60), -target])
    store = stored(rows)
    pool = distinct_candidates(store, target, 5)
    for found in both_ways(store, make_selector(kernel="linear", noise_variance=0.5), target, 1, pool):
        assert places(found) == [60]


@pytest.mark.parametrize("name", ["mild", "linear"])
def test_a_proof_reads_a_part_of_the_collection_and_without_rows_there_is_none(name: str) -> None:
    rng = np.random.default_rng(1)
    rows = clustered(rng, 600, clusters=60)
    store = stored(rows)
    target, selector = rows[:1], SETTINGS[name]
    pool = distinct_candidates(store, target, 20)
    proven = choose_from_all(SearchOnly(store), selector, target, 2, pool)  # type: ignore[arg-type]
    assert proven.report.proven
    assert proven.report.passages < 300
    for limit in (NO_ROWS, 8):
        server = SearchOnly(store)
        tried = choose_from_all(server, selector, target, 2, pool, keep_copies=True, row_limit=limit)  # type: ignore[arg-type]
        assert not tried.report.proven
        assert server.rows_given <= limit
        assert len(places(tried)) == 2


@pytest.mark.parametrize("name", ["centred", "linear"])
def test_a_direction_wanted_twice_is_searched_once_and_no_row_of_it_is_skipped(name: str) -> None:
    rng = np.random.default_rng(5)
    rows = clustered(rng, 120)
    store, target = stored(rows), clustered(rng, 1)
    twice = np.repeat(target, 2, axis=0)
    pool = distinct_candidates(store, target, 6)
    expected = both_ways(store, SETTINGS[name], target, 6, pool)[1]
    server = SearchOnly(store)
    found = choose_from_all(server, SETTINGS[name], twice, 6, pool, row_limit=10**6)  # type: ignore[arg-type]
    assert places(found) == places(expected)


def test_pages_of_a_direction_join_and_what_is_left_is_below_the_cap() -> None:
    rng = np.random.default_rng(6)
    rows = clustered(rng, 120)
    directions = [row.astype(np.float64) * 3.0 for row in clustered(rng, 3)]
    seen = search_bounds.SearchBounds(stored(rows), [], 1000)
    assert seen.cap(directions[0]) == pytest.approx(3.0)
    for _ in range(4):
        assert seen.search_on([*directions, directions[0].copy()])
        left = [row for i, row in enumerate(rows) if str(uuid5(NAMESPACE_URL, str(i))) not in seen.found]
        for direction in directions:
            products = np.sort(rows.astype(np.float64) @ direction)
            assert (np.array(left) @ direction).max() <= seen.cap(direction)
            assert np.abs(products - seen.cap(direction)).min() < 1e-4
    assert not seen.whole
    assert not seen.search_on(directions * 1 + [row.astype(np.float64) for row in clustered(rng, 300)])


def test_the_choice_is_made_again_when_making_it_found_something() -> None:
    rng = np.random.default_rng(6)
    rows = clustered(rng, 40)
    store, selector = stored(rows), make_selector(centring=0.0)
    everything = store.search(rows[:1], 40)[0]
    seen = search_bounds.SearchBounds(store, everything[:4], 1000)
    asked = 0

    def order() -> list[Candidate]:
        nonlocal asked
        asked += 1
        seen.add(everything[: 4 + asked])
        return everything[:1]

    view = selector.process.problem(Pool(rows[:1], rows)).view
    search_bounds.choose_by_search(seen, selector.process, view, rows[:1], rows[:4], rows[:0], order, lambda picks: 0)
    assert asked > len(seen.found) - 4 > 30


def test_a_scannable_store_is_scanned_only_where_searches_would_read_too_much() -> None:
    rng = np.random.default_rng(1)
    rows = clustered(rng, 600, clusters=60)
    store = stored(rows)
    searched, scanned = (
        choose_from_all(store, SETTINGS[name], rows[:1], k, distinct_candidates(store, rows[:1], 20))
        for name, k in (("mild", 1), ("wide", 20))
    )
    assert searched.report.passages < 300
    assert scanned.report.passages == 600
    assert searched.report.proven
    assert scanned.report.proven


def test_more_hits_than_the_collection_holds_are_all_there_is() -> None:
    rng = np.random.default_rng(2)
    rows, target = clustered(rng, 30), clustered(rng, 1)
    store = stored(rows)
    known = store.fetch([store.search(target, 1)[0][0].passage.id])
    for found in both_ways(store, make_selector(), target, 50, distinct_candidates(store, target, 5), known=known):
        assert len(places(found)) == 29
        assert known[0].passage.span.start not in places(found)
        assert found.choice.selection.stopped == "exhausted"
        assert found.report.proven


@pytest.mark.parametrize(
    ("rule", "kept"),
    [({"explained": 0.95}, None), ({"alpha": 0.6}, 1), ({"variance": "after 3"}, 3), ({"variance": 1e-9}, 8)],
    ids=str,
)
def test_rules_end_the_choice_early_and_the_same_both_ways(rule: dict[str, Any], kept: int | None) -> None:
    rng = np.random.default_rng(3)
    rows, target = clustered(rng, 100), clustered(rng, 1)
    store, selector = stored(rows), make_selector(noise_variance=0.5)
    pool = distinct_candidates(store, target, 10)
    free = both_ways(store, selector, target, 8, pool)[0]
    if rule.get("variance") == "after 3":
        rule = {"variance": free.choice.selection.posterior_variances[2] * (1 + 1e-6)}
    searched, scanned = both_ways(store, selector, target, 8, pool, stopping=Stopping(**rule))
    assert places(searched) == places(scanned) == places(free)[: len(places(searched))]
    assert searched.choice.selection.stopped == scanned.choice.selection.stopped
    assert len(places(searched)) == kept or (kept is None and 1 < len(places(searched)) < 8)
    assert searched.report.proven


def test_only_the_steps_that_are_kept_must_be_proven() -> None:
    rng = np.random.default_rng(1)
    rows = clustered(rng, 600, clusters=60)
    store, target = stored(rows), rows[:1]
    pool = distinct_candidates(store, target, 20)
    server = SearchOnly(store)
    rule = Stopping(variance=0.999)
    found = choose_from_all(server, SETTINGS["mild"], target, 20, pool, stopping=rule, row_limit=100)  # type: ignore[arg-type]
    assert len(places(found)) == 1
    assert found.report.proven
    without = choose_from_all(server, SETTINGS["mild"], target, 20, pool, row_limit=100)  # type: ignore[arg-type]
    assert not without.report.proven


@pytest.mark.parametrize("name", sorted(set(SELECTORS) - {"sift", "nearest"}))
def test_other_selectors_and_budgets_of_tokens_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"not '{name}'"):
        check_exact(make_selector(name), None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="token budget"):
        check_exact(make_selector(), Stopping(tokens=100))


TEXTS = {f"{row}.md": f"owls and {word} number {row}" for row, word in enumerate(["mice", "bees", "rain"] * 5)}


class TestRetriever:
    def retriever(self, chooser: Any = None, limit: int = 3) -> Retriever:
        embedder = HashingEmbedder()
        chooser = chooser or make_selector(words=0.0, follow=0.0)  # an exact choice is by embeddings alone
        return Retriever(embedder, filled(TEXTS, embedder), selector=chooser, candidate_limit=limit)

    def test_an_exact_choice_looks_beyond_the_limit_and_says_that_it_is_certified(self) -> None:
        plain = self.retriever().retrieve("owls", k=3)
        whole = self.retriever().retrieve(Query("owls", k=3, exact=True))
        assert plain.exact is None
        assert whole.exact == ExactReport(proven=True, passages=15)
        assert plain.candidates == 3
        assert whole.candidates < 15
        assert whole.hits[-1].posterior_variance <= plain.hits[-1].posterior_variance
        assert whole.prior_variance == plain.prior_variance
        assert 0.0 < whole.explained(whole.hits[-1].posterior_variance) <= 1.0
        assert not {hit.passage.id for hit in whole.hits} & {other.passage.id for other in whole.passed_over}

    def test_a_limit_that_holds_everything_makes_no_difference(self) -> None:
        plain, whole = (
            self.retriever(limit=15).retrieve(Query(["owls", "bees"], k=5, weights=(1.0, 2.0), exact=exact))
            for exact in (False, True)
        )
        assert plain == replace(whole, exact=None, timings_ms=plain.timings_ms)

    def test_the_nearest_are_certified_without_looking_further(self) -> None:
        nearest = make_selector("nearest", words=0.0)
        plain, whole = (
            self.retriever(nearest).retrieve(Query("owls rain", k=3, exact=exact)) for exact in (False, True)
        )
        assert plain == replace(whole, exact=None, timings_ms=plain.timings_ms)
        assert whole.exact is not None
        assert whole.exact.proven

    def test_what_was_given_and_its_copies_stay_out(self) -> None:
        retriever = self.retriever()
        first = retriever.retrieve(Query("owls", k=1, exact=True)).hits[0].passage
        for known in ({"known": first.id}, {"known_texts": first.text.upper()}):
            got = retriever.retrieve(Query("owls", k=15, exact=True, **known))  # type: ignore[arg-type]
            assert first.id not in {hit.passage.id for hit in got.hits}
            assert len(got.hits) == 14

    def test_what_cannot_be_is_refused_before_anything_is_embedded(self) -> None:
        with pytest.raises(ValueError, match="Only 'sift'"):
            self.retriever(make_selector("mmr")).retrieve(Query("owls", exact=True))
