"""The repetition in a collection is what comparing every passage with every other one finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import pytest

from sift_rag import near_duplicates, repetition
from sift_rag.errors import ConfigurationError
from sift_rag.near_duplicates import leaders_of_copies, says_the_same
from sift_rag.repetition import Duplicates, find_duplicates
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import Candidate, CollectionInfo, Embedding, Passage, Span

WORDS = ("owls", "Owls", "hunt", "not", "7", "8", "----", "bees")

SEEDS = [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 30))]


def random_store(seed: int) -> MemoryStore:
    """Return a collection of 1 to 80 passages in up to 6 documents, with copies by text, by cosine and by both."""
    rng = np.random.default_rng(seed)
    count, d = int(rng.integers(1, 81)), 6
    centres = rng.normal(size=(int(rng.integers(1, 30)), d))
    rows = centres[rng.integers(len(centres), size=count)] + rng.choice([0.0, 0.03, 0.3], count)[:, None] * rng.normal(
        size=(count, d)
    )
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 4))) for _ in range(count)]
    sources = [f"{rng.integers(6)}.md" for _ in range(count)]
    return stored(texts, sources, rows / np.linalg.norm(rows, axis=1, keepdims=True))


def stored(texts: Sequence[str], sources: Sequence[str], rows: np.ndarray) -> MemoryStore:
    """Return a store of passages that stand in this order within their sources."""
    store = MemoryStore(CollectionInfo("repeating", "none", rows.shape[1], 1))
    passages = [
        Passage(str(uuid5(NAMESPACE_URL, str(place))), text, source, Span(place, place + 1, line=place + 1))
        for place, (text, source) in enumerate(zip(texts, sources, strict=True))
    ]
    store.upsert(passages, rows.astype(np.float32))
    return store


def candidates_of(store: MemoryStore) -> list[Candidate]:
    return [candidate for source in "012345" for candidate in store.passages(f"{source}.md")]


def groups_of(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Put each passage into a group by the definition, comparing pairs one at a time."""
    by_text = [Candidate(c.passage, c.similarity, np.zeros_like(c.embedding)) for c in candidates]
    group_of: list[int] = []
    for place, candidate in enumerate(candidates):
        equal = (i for i in range(place) if says_the_same(by_text[i], by_text[place]))
        first = next(equal, None)
        leaders = (i for i in range(place) if group_of[i] == i and says_the_same(candidates[i], candidate))
        group_of.append(next(leaders, place) if first is None else group_of[first])
    return [[candidates[i] for i in range(len(candidates)) if group_of[i] == leader] for leader in sorted({*group_of})]


def members(found: Duplicates) -> list[list[str]]:
    return [[passage.id for passage in (group.passage, *group.copies)] for group in found.groups]


@pytest.fixture(autouse=True, params=[3, 256])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare and read few passages at a time, so that small collections have several blocks; and many."""
    monkeypatch.setattr(near_duplicates, "_BLOCK", request.param)
    monkeypatch.setattr(repetition, "_PAGE", request.param)


@pytest.fixture(params=["whole rows", "short rows", "short rows that leave too many pairs"])
def short_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare small collections as large ones are, by a bound in two dimensions; and without."""
    if request.param != "whole rows":
        monkeypatch.setattr(near_duplicates, "_TILE", 4)
        monkeypatch.setattr(near_duplicates, "_DIMENSIONS", (2,))
        monkeypatch.setattr(near_duplicates, "_FEW_PAIRS", 1.0)
        monkeypatch.setattr(near_duplicates, "_MOST_PAIRS", 0.0 if "too many" in request.param else 1.0)


@pytest.mark.usefixtures("short_rows")
@pytest.mark.parametrize("seed", SEEDS)
def test_groups_documents_and_counts_are_those_of_a_comparison_of_all_pairs(seed: int) -> None:
    store = random_store(seed)
    candidates = candidates_of(store)
    assert len(candidates) == store.count()
    groups = groups_of(candidates)
    found = find_duplicates(store)
    assert found.passages == len(candidates)
    assert found.distinct == len(groups)
    assert found.repeated == len(candidates) - len(groups)
    assert found.share_repeated == pytest.approx(1 - len(groups) / len(candidates))
    repeated = sorted((group for group in groups if len(group) > 1), key=lambda group: -len(group))
    assert members(found) == [[candidate.passage.id for candidate in group] for group in repeated]
    expected = []
    for source in sorted({candidate.passage.source for candidate in candidates}):
        own = [candidate for candidate in candidates if candidate.passage.source == source]
        elsewhere = sum(
            any(other.passage.source != source for other in group)
            for candidate in own
            for group in groups
            if candidate in group
        )
        expected += [(source, len(own), elsewhere)] if elsewhere else []
    assert list(found.documents) == sorted(expected, key=lambda row: (-row[2], row[0]))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("k", "probes"), [(1, 5), (4, 7), (8, 100)])
def test_places_are_counted_one_question_at_a_time(seed: int, k: int, probes: int) -> None:
    store = random_store(seed)
    candidates = candidates_of(store)
    asked = min(probes, len(candidates))
    copies = []
    for probe in range(asked):
        nearest = store.search(candidates[probe * len(candidates) // asked].embedding[None], k)[0]
        copies.append(len(nearest) - len(groups_of(nearest)))
    found = find_duplicates(store, k=k, probes=probes).places
    assert (found.k, found.probes) == (k, asked)
    assert found.copies == pytest.approx(np.mean(copies))


@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_large_collection_is_grouped_as_by_comparing_whole_rows(
    monkeypatch: pytest.MonkeyPatch, seed: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    rows = np.eye(80)[0] * spread + rng.normal(size=(600, 80)) / np.arange(1, 81) ** rng.choice([0, 0.5, 1])
    copies = rng.choice(600, 300, replace=False)
    rows[copies] = rows[rng.integers(600, size=300)] + rng.choice([0, 0.01, 0.1], (300, 1)) * rows[copies]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    texts = [
        f"{place:b} says {rng.choice(['7', '8', 'nothing'])}".translate({48: "o", 49: "i"}) for place in range(600)
    ]
    expected = leaders_of_copies(texts, rows.astype(np.float32))
    assert len(set(expected)) < 600
    monkeypatch.setattr(near_duplicates, "_TILE", 64)
    assert leaders_of_copies(texts, rows.astype(np.float32)) == expected


def test_a_passage_repeated_within_its_document_alone_does_not_stand_elsewhere() -> None:
    rows = np.eye(4)[[0, 0, 1, 1, 2]]
    store = stored(["tea", "tea", "milk", "milk", "bread"], ["0.md", "0.md", "0.md", "1.md", "1.md"], rows)
    found = find_duplicates(store, k=2)
    assert [(group.passage.text, len(group)) for group in found.groups] == [("tea", 2), ("milk", 2)]
    assert list(found.documents) == [("0.md", 3, 1), ("1.md", 2, 1)]
    assert found.places.copies == pytest.approx(4 / 5)  # bread alone has no copy


def test_the_json_has_one_shape_and_names_every_place() -> None:
    rows = np.eye(4)[[0, 0, 1]]
    written = find_duplicates(stored(["tea", "Tea", "milk"], ["0.md", "1.md", "2.md"], rows), k=3).to_dict()
    (group,) = written.pop("groups")  # type: ignore[misc]
    assert written == {
        "passages": 3,
        "distinct": 2,
        "repeated": 1,
        "share_repeated": pytest.approx(1 / 3),
        "documents": [
            {"source": "0.md", "passages": 1, "elsewhere": 1},
            {"source": "1.md", "passages": 1, "elsewhere": 1},
        ],
        "places": {"k": 3, "probes": 3, "copies": 1.0},
    }
    assert group["size"] == 2
    assert (group["text"], group["source"]) == ("tea", "0.md")
    assert [(copy["source"], copy["line"]) for copy in group["also_in"]] == [("1.md", 2)]


def test_an_empty_collection_and_one_of_a_single_passage_repeat_nothing() -> None:
    empty = find_duplicates(stored([], [], np.empty((0, 4))))
    assert (empty.passages, empty.distinct, empty.share_repeated, empty.groups, empty.documents) == (0, 0, 0.0, (), ())
    assert empty.to_dict()["places"] == {"k": 8, "probes": 0, "copies": None}
    single = find_duplicates(stored(["tea"], ["0.md"], np.eye(4)[:1]))
    assert (single.passages, single.distinct, single.share_repeated, single.groups) == (1, 1, 0.0, ())
    assert single.places == (8, 1, 0.0)


def test_a_passage_deleted_while_the_collection_is_read_is_left_out() -> None:
    class Shrinking(MemoryStore):
        def scan(self, limit: int, **options: object) -> Iterator[tuple[list[str], Embedding]]:
            blocks = list(super().scan(limit))
            self.delete_passages("1.md")
            return iter(blocks)

    whole = stored(["tea", "tea", "tea"], ["0.md", "1.md", "2.md"], np.eye(4)[[0, 0, 0]])
    store = Shrinking(whole.info)
    for candidate in candidates_of(whole):
        store.upsert([candidate.passage], candidate.embedding[None])
    found = find_duplicates(store)
    assert (found.passages, found.distinct) == (2, 1)
    assert [document.source for document in found.documents] == ["0.md", "2.md"]


def test_a_store_that_cannot_be_scanned_and_numbers_out_of_range_are_refused() -> None:
    class SearchOnly:
        info = CollectionInfo("theirs", "none", 4, 1)

    with pytest.raises(ConfigurationError, match=r"'theirs'.*Scannable"):
        find_duplicates(SearchOnly())  # type: ignore[arg-type]
    store = stored(["tea"], ["0.md"], np.eye(4)[:1])
    with pytest.raises(ValueError, match="k must be >= 1"):
        find_duplicates(store, k=0)
    with pytest.raises(ValueError, match="probes must be >= 0"):
        find_duplicates(store, probes=-1)
