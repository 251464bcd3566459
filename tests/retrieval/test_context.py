"""Passages around a hit: one contiguous stretch of its document, each passage once, within the budget."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.answering.assistant import Assistant
from sift_rag.filters import Filter
from sift_rag.retrieval.context import ContextReader
from sift_rag.retrieval.queries import Query
from sift_rag.retrieval.retriever import Retriever
from sift_rag.selection import Stopping
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import CollectionInfo, Hit, Passage, Retrieval, Span
from tests.doubles import HashingEmbedder
from tests.retrieval.test_candidates import passage

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
EMBEDDER = HashingEmbedder()


def document(source: str = "a.md", *, texts: list[str] | None = None) -> list[Passage]:
    texts = texts or [f"{source} {word}" for word in WORDS]
    return [replace(passage(source, text, 100 * n), span=Span(100 * n, 100 * n + 50)) for n, text in enumerate(texts)]


def store_of(*documents: list[Passage]) -> MemoryStore:
    store = MemoryStore(CollectionInfo("context", EMBEDDER.name, EMBEDDER.dimension, 2))
    for passages in documents:
        store.upsert(passages, EMBEDDER.embed_passages([one.embedding_text for one in passages]))
    return store


def hit(one: Passage, rank: int) -> Hit:
    return Hit(one, rank, 0.5, 0.1, 0.1, 0.1)


def around(store: MemoryStore, picks: list[Passage], count: int) -> tuple[Hit, ...]:
    reader = ContextReader(store, count, tokens=lambda texts: [1] * len(texts))
    return reader.surrounded([hit(one, rank) for rank, one in enumerate(picks, 1)])


def search(store: MemoryStore, question: str, **rest: object) -> Retrieval:
    return Retriever(EMBEDDER, store).retrieve(Query((question,), **rest))  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True), st.integers(0, 4))
def test_the_context_of_all_hits_is_what_lies_around_them_each_passage_once(picks: list[int], count: int) -> None:
    first, second = document(), document("b.md")
    hits = around(store_of(first, second), [first[n] for n in picks], count)
    shown = [one for found in hits for one in (*found.before, found.passage, *found.after)]
    near = {n for pick in picks for n in range(max(0, pick - count), min(10, pick + count + 1))}
    assert sorted(one.id for one in shown) == sorted(first[n].id for n in near)
    assert [found.passage for found in hits] == [first[n] for n in picks]
    for found in hits:
        places = [first.index(one) for one in (*found.before, found.passage, *found.after)]
        assert places == list(range(places[0], places[-1] + 1))


def test_text_that_two_passages_share_is_shown_once() -> None:
    text = "".join(f"{word} " for word in WORDS)
    cut = [(0, 15), (9, 24), (20, 35)]
    passages = [replace(passage("a.md", text[a:b], a), span=Span(a, b, 1)) for a, b in cut]
    (found,) = around(store_of(passages), [passages[1]], 1)
    assert found.in_context.text == text[:35]
    assert found.in_context.span == Span(0, 35, 1)
    assert (found.in_context.id, found.passage) == (passages[1].id, passages[1])
    whole = around(store_of(passages), [passages[0], passages[2]], 1)
    assert "".join(one.in_context.text for one in whole) == text[:35]


def test_a_copy_of_what_is_shown_ends_the_context() -> None:
    passages = document(texts=["same", "first", "Same", "last"])
    (found,) = around(store_of(passages), [passages[1]], 3)
    assert ([one.text for one in found.before], [one.text for one in found.after]) == (["same"], [])


def test_context_matches_the_filter_and_is_not_what_is_known() -> None:
    passages = [replace(one, metadata={"n": n}) for n, one in enumerate(document())]
    store = store_of(passages)
    [found] = search(store, "a.md five", k=1, context=3, where=Filter.parse(["n>=4"]), known=(passages[7].id,)).hits
    assert [one.text for one in (*found.before, found.passage, *found.after)] == ["a.md four", "a.md five", "a.md six"]


@pytest.mark.parametrize("budget", range(3, 40, 3))
@pytest.mark.parametrize("context", [1, 3])
def test_hits_and_context_fit_the_budget_and_one_hit_always_does(budget: int, context: int) -> None:
    retrieval = search(
        store_of(document(), document("b.md")), "one five b.md", context=context, stopping=Stopping(tokens=budget)
    )
    texts = [one.text for found in retrieval for one in (*found.before, found.passage, *found.after)]
    assert 0 < sum(len(EMBEDDER.tokenizer.encode(text).ids) for text in texts) <= budget or budget < 4


def test_the_prompt_holds_the_context_and_a_citation_points_at_the_hit() -> None:
    store = store_of(document())
    prepared = Assistant(Retriever(EMBEDDER, store), None).prepare(Query(("a.md five",), k=1, context=1))
    prompt = prepared.prompt
    assert "> a.md four" in prompt.messages[-1].content
    assert prompt.numbered[1].id == document()[5].id
    assert [one["text"] for one in prepared.to_dict()["hits"][0]["before"]] == ["a.md four"]  # type: ignore[index]
    later = prepared.conversation.with_turn(prompt, "Six [1].", hits=prepared.retrieval.hits)
    assert set(later.known) == {one.id for one in document()[4:7]}


@pytest.mark.parametrize("context", [-1, 1.5, True])
def test_context_is_a_number_of_passages(context: object) -> None:
    with pytest.raises((TypeError, ValueError), match="context"):
        Query(("?",), context=context)  # type: ignore[arg-type]
