"""Copies count once, and do not fill the pool."""

from __future__ import annotations

import math
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.near_duplicates import COPY_SIMILARITY, leaders_of_copies, merge_copies, says_the_same
from sift_rag.retrieval.candidates import adding, distinct_candidates
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import Candidate, CollectionInfo, Embedding, Passage, Span
from tests.doubles import HashingEmbedder


def passage(source: str, text: str, start: int = 0) -> Passage:
    return Passage(
        id=str(uuid5(NAMESPACE_URL, f"{source}#{start}")), text=text, source=source, span=Span(start, start + len(text))
    )


def filled(texts: dict[str, str], embedder: HashingEmbedder) -> MemoryStore:
    store = MemoryStore(CollectionInfo("pool", embedder.name, embedder.dimension, 1))
    passages = [passage(source, text) for source, text in texts.items()]
    store.upsert(passages, embedder.embed_passages([p.embedding_text for p in passages]))
    return store


@pytest.fixture
def embedder() -> HashingEmbedder:
    return HashingEmbedder()


def test_equal_texts_are_one_candidate_with_several_sources(embedder: HashingEmbedder) -> None:
    store = filled(
        {"b.md": "Owls hunt\nat  night.", "a.md": "owls hunt at night. ----", "c.md": "Bees dance."}, embedder
    )
    got = distinct_candidates(store, embedder.embed_queries(["owls night"]), 5)
    assert [(c.passage.source, [p.source for p in c.copies]) for c in got] == [("a.md", ["b.md"]), ("c.md", [])]


def test_a_pool_is_not_filled_by_copies(embedder: HashingEmbedder) -> None:
    copies = {f"{i:03}.md": "owls hunt at night" for i in range(150)}
    others = {f"other{i}.md": f"owls number{i}" for i in range(9)}
    got = distinct_candidates(filled(copies | others, embedder), embedder.embed_queries(["owls hunt at night"]), 10)
    assert len(got) == 10
    assert len(got[0].copies) == 149


def test_a_small_collection_is_exhausted_without_end(embedder: HashingEmbedder) -> None:
    store = filled({f"{i}.md": "the same words" for i in range(4)}, embedder)
    assert len(distinct_candidates(store, embedder.embed_queries(["words"]), 4)) == 1
    assert distinct_candidates(filled({}, embedder), embedder.embed_queries(["words"]), 4) == []


def test_each_target_brings_its_own_neighbours(embedder: HashingEmbedder) -> None:
    store = filled(
        {f"owl{i}.md": f"owls n{i}" for i in range(6)} | {f"bee{i}.md": f"bees m{i}" for i in range(6)}, embedder
    )
    sources = {c.passage.source[:3] for c in distinct_candidates(store, embedder.embed_queries(["owls", "bees"]), 3)}
    assert sources == {"owl", "bee"}


def test_what_is_known_does_not_come_back_nor_do_its_copies(embedder: HashingEmbedder) -> None:
    store = filled({"a.md": "owls hunt at night", "b.md": "Owls hunt at night", "c.md": "owls sleep by day"}, embedder)
    known = list(store.passages("b.md"))
    got = distinct_candidates(store, embedder.embed_queries(["owls"]), 5, known=known)
    assert [c.passage.source for c in got] == ["c.md"]


def near(cosine: float) -> list[Candidate]:
    rows = np.array([[1, 0], [cosine, np.sqrt(1 - cosine**2)]], dtype=np.float32)
    return [Candidate(passage(f"{i}.md", f"text {'ab'[i]}"), 0.9 - i / 10, row) for i, row in enumerate(rows)]


def test_texts_so_close_that_they_say_the_same_are_merged_and_others_are_not() -> None:
    assert len(merge_copies(near(COPY_SIMILARITY + 0.005))) == 1
    assert len(merge_copies(near(COPY_SIMILARITY - 0.005))) == 2


@pytest.mark.parametrize(
    ("first", "second", "groups"),
    [
        ("a night costs 80 euros", "one night costs 80 euros", 1),
        ("a night costs 80 euros", "a night costs 90 euros", 2),
        ("flights are paid", "flights are not paid", 2),
        ("flights are paid", "flights aren\u2019t paid", 2),
        ("not before 9, and not after 5", "not after 5, and not before 9", 1),
    ],
)
def test_texts_that_differ_in_a_number_or_a_negation_are_no_copies(first: str, second: str, groups: int) -> None:
    row = np.array([1, 0], dtype=np.float32)  # as near as can be
    candidates = [Candidate(passage(f"{i}.md", text), 0.9, row) for i, text in enumerate([first, second])]
    assert len(merge_copies(candidates)) == groups


TEXT_PARTS = [
    "Tea",
    "tea",
    "TEA",
    " ",
    "\n\t",
    "---",
    "===",
    "__",
    "\ufb01",
    "fi",
    "\u00df",
    "SS",
    "\uff34",
    "T",
    "no",
    "not",
    "7",
    "\u0130",
    "e",
]


ORIGIN = np.zeros(3, dtype=np.float32)


@given(
    st.lists(st.lists(st.sampled_from(TEXT_PARTS), max_size=4).map("".join), max_size=12),
    st.lists(st.integers(0, 2), min_size=12, max_size=12),
)
def test_each_text_joins_the_first_leader_that_says_the_same(texts: list[str], directions: list[int]) -> None:
    rows = np.eye(3, dtype=np.float32)[directions[: len(texts)]]
    expected: list[int] = []
    for place in range(len(texts)):
        equal = (i for i in range(place) if same(texts[i], texts[place]))
        close = (i for i in range(place) if expected[i] == i and same(texts[i], texts[place], rows[i], rows[place]))
        first_equal = next(equal, None)
        expected.append(next(close, place) if first_equal is None else expected[first_equal])
    assert leaders_of_copies(texts, rows) == expected


def same(first: str, second: str, row: Embedding = ORIGIN, other: Embedding = ORIGIN) -> bool:
    """Apply the rule for two texts; without rows, by the texts alone."""
    return says_the_same(Candidate(passage("a.md", first), 0.5, row), Candidate(passage("a.md", second), 0.5, other))


def test_merging_does_not_depend_on_the_order_given() -> None:
    embedder = HashingEmbedder()
    store = filled({f"{i}.md": text for i, text in enumerate(["a b", "A  b", "a c", "a b c", "b a"])}, embedder)
    candidates = store.search(embedder.embed_queries(["a b"]), 5)[0]
    forwards, backwards = merge_copies(candidates), merge_copies(reversed(candidates))
    assert [len(c.copies) for c in forwards] == [2, 0, 0]
    assert [(c.passage.id, [p.id for p in c.copies]) for c in forwards] == [
        (c.passage.id, [p.id for p in c.copies]) for c in backwards
    ]


@pytest.mark.parametrize("keep", [False, True])
def test_what_a_search_without_similarities_found_is_compared_by_its_own(keep: bool) -> None:
    """The copy nearest to the question represents all, whatever the order of a lexical search."""
    target = np.array([[1.0, 0.0]], dtype=np.float32)

    def found(name: str, text: str, cosine: float) -> Candidate:
        row = np.array([cosine, np.sqrt(1 - cosine**2)], dtype=np.float32)
        return Candidate(Passage(name, text, f"{name}.md", Span(0, 9)), math.nan, row)

    far, near, other = found("far", "The same.", 0.2), found("near", "the same.", 0.6), found("other", "Else.", 0.4)
    held = [found("held", "Else.", 0.9)]
    for order in ([far, near, other], [near, other, far], [other, far, near]):
        got = adding(order, held, target, keep_copies=keep)
        if keep:
            assert [one.passage.id for one in got] == [one.passage.id for one in order]
        else:
            assert [(one.passage.id, [copy.id for copy in one.copies]) for one in got] == [("near", ["far"])]
        assert {one.passage.id: round(one.similarity, 3) for one in got}["near"] == 0.6
    assert adding([near], [*held, near], target, keep_copies=keep) == []
