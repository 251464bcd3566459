"""From a question to hits, on the reference store and an embedder without weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sift_rag.errors import DocumentNotFound, NoEvidence, StoreError
from sift_rag.filters import Filter
from sift_rag.ingestion import ingest_texts
from sift_rag.opening import open_retriever
from sift_rag.retrieval.queries import MAX_PIECES, Query
from sift_rag.retrieval.retriever import Retriever
from sift_rag.selection import Stopping
from sift_rag.types import Document, Retrieval
from tests.doubles import HashingEmbedder
from tests.oracles import selector
from tests.retrieval.test_candidates import filled

TEXTS = {
    "owls.md": "owls hunt mice at night with silent wings",
    "owls2.md": "owls hunt mice at night with quiet wings",
    "bees.md": "bees dance to show where flowers grow",
    "rain.md": "rain falls in spring and flowers grow",
    "mice.md": "mice eat grain and hide from owls",
}


@pytest.fixture
def retriever() -> Retriever:
    embedder = HashingEmbedder()
    return Retriever(
        embedder, filled(TEXTS, embedder), selector=selector(lengthscale=1.0, noise_variance=0.1, words=0.0)
    )


def test_hits_come_in_the_order_chosen_with_falling_variance(retriever: Retriever) -> None:
    got = retriever.retrieve("how do owls hunt mice", k=3)
    assert [hit.rank for hit in got.hits] == [1, 2, 3]
    variances = [got.prior_variance, *(hit.posterior_variance for hit in got.hits)]
    assert variances == sorted(variances, reverse=True)
    assert got.questions == ("how do owls hunt mice",)
    assert got.candidates == 5
    assert got.explained(got.prior_variance) == 0.0
    everything = retriever.retrieve("how do owls hunt mice", k=5)
    assert everything.explained(everything.hits[-1].posterior_variance) == pytest.approx(1.0, abs=1e-4)


def test_joint_selection_passes_over_the_paraphrase_that_nearest_neighbour_takes(retriever: Retriever) -> None:
    question = "how do owls hunt mice at night"
    sift = retriever.retrieve(question, k=2)
    nearest = Retriever(retriever.embedder, retriever.store, selector=selector("nearest")).retrieve(question, k=2)
    assert {hit.passage.source for hit in nearest.hits} == {"owls.md", "owls2.md"}
    assert len({hit.passage.source for hit in sift.hits} & {"owls.md", "owls2.md"}) == 1
    passed = sift.passed_over[0]
    assert passed.passage.source in {"owls.md", "owls2.md"}
    assert passed.closest_rank == 1
    assert passed.closest_similarity > 0.8
    assert passed.redundant_with == 1
    assert passed.taken > 0.3 * passed.relevance
    assert 0 < passed.gain <= passed.relevance - passed.taken + 1e-9


def test_what_each_hit_told_adds_up_to_what_the_variance_fell(retriever: Retriever) -> None:
    got = retriever.retrieve("how do owls hunt mice", k=4)
    assert got.stopped == "k"
    fallen = got.prior_variance - got.hits[-1].posterior_variance
    assert sum(hit.gain for hit in got.hits) == pytest.approx(fallen, rel=1e-5)
    assert got.hits[0].redundancy == 0
    assert any(hit.redundancy > 0 for hit in got.hits[1:])


def test_a_budget_of_tokens_is_counted_in_the_embedder_s_tokens(retriever: Retriever) -> None:
    def tokens(got: Retrieval) -> list[int]:
        texts = [hit.passage.text for hit in got.hits]
        return [len(encoding.ids) for encoding in retriever.embedder.tokenizer.encode_batch(texts, False)]

    whole = retriever.retrieve(Query("how do owls hunt mice", k=5, stopping=Stopping(tokens=10_000)))
    assert (len(whole.hits), whole.stopped) == (5, "k")
    for budget in (sum(tokens(whole)[:2]), sum(tokens(whole)[:3]) - 1):
        got = retriever.retrieve(Query("how do owls hunt mice", k=5, stopping=Stopping(tokens=budget)))
        assert (len(got.hits), got.stopped) == (2, "tokens")
        assert sum(tokens(got)) <= budget


def test_the_heavier_question_is_answered_first(retriever: Retriever) -> None:
    questions = ("owls hunt mice at night", "bees dance where flowers grow")
    for weights, first in (((1.0, 0.01), "owls"), ((0.01, 1.0), "bees")):
        got = retriever.retrieve(Query(questions, k=1, weights=weights))
        assert got.hits[0].passage.source.startswith(first)
    assert got.targets == 2
    with pytest.raises(ValueError, match="one weight for each of 2 questions, but got 1"):
        Query(questions, k=1, weights=(1.0,))


def test_copies_are_kept_when_asked_as_a_plain_vector_search_does() -> None:
    embedder = HashingEmbedder()
    store = filled(TEXTS | {"copy.md": TEXTS["owls.md"]}, embedder)
    kept = Retriever(embedder, store, selector=selector("nearest"), keep_copies=True).retrieve("owls hunt", k=6)
    merged = Retriever(embedder, store, selector=selector("nearest")).retrieve("owls hunt", k=6)
    assert len(kept.hits) == 6
    assert all(hit.copies == () for hit in kept.hits)
    assert len(merged.hits) == 5
    assert [c.source for hit in merged.hits for c in hit.copies] == ["owls.md"]


def test_several_questions_are_answered_together(retriever: Retriever) -> None:
    got = retriever.retrieve(["owls hunt at night", "bees dance"], k=2)
    assert {hit.passage.source for hit in got.hits} >= {"bees.md"}
    assert got.prior_variance == pytest.approx(2.0)


def test_what_is_given_by_id_source_or_text_is_not_said_again(retriever: Retriever) -> None:
    question = "owls hunt mice at night"
    first = retriever.retrieve(question, k=1).hits[0]
    for known in (first.passage.id, first.passage.source):
        got = retriever.retrieve(Query(question, k=4, known=known))
        assert first.passage.id not in {hit.passage.id for hit in got.hits}
        assert got.prior_variance < 1.0
    told = retriever.retrieve(Query(question, k=4, known_texts=first.passage.text))
    assert first.passage.id not in {hit.passage.id for hit in told.hits}
    assert told.prior_variance < 1.0


def test_fewer_hits_come_back_when_the_collection_holds_fewer(retriever: Retriever) -> None:
    assert len(retriever.retrieve("owls", k=50).hits) == 5


def test_a_long_question_becomes_several_targets_and_an_endless_one_is_refused(retriever: Retriever) -> None:
    length = retriever.embedder.max_tokens
    assert retriever.retrieve("owls " * length, k=1).prior_variance == pytest.approx(1.0)
    assert retriever.retrieve("owls " * (2 * length + 1), k=1).prior_variance == pytest.approx(3.0)
    with pytest.raises(ValueError, match="too long"):
        retriever.retrieve("owls " * (MAX_PIECES * length + 1))
    with pytest.raises(ValueError, match="100,000 characters"):
        retriever.retrieve("x" * 100_000)


@pytest.mark.parametrize("question", ["", "  \n", [], ["owls", " "]])
def test_an_empty_question_is_refused(retriever: Retriever, question: str | list[str]) -> None:
    with pytest.raises(ValueError, match="empty"):
        retriever.retrieve(question)


def test_arguments_out_of_range_are_refused(retriever: Retriever) -> None:
    with pytest.raises(ValueError, match="k must"):
        retriever.retrieve("owls", k=0)
    with pytest.raises(ValueError, match="candidate_limit"):
        Retriever(retriever.embedder, retriever.store, candidate_limit=0)


def test_no_evidence_is_said_and_an_unknown_given_is_named(retriever: Retriever) -> None:
    empty = Retriever(retriever.embedder, filled({}, HashingEmbedder()))
    with pytest.raises(NoEvidence, match="empty"):
        empty.retrieve("owls")
    with pytest.raises(NoEvidence, match="beyond what is known"):
        retriever.retrieve(Query("owls", known=tuple(TEXTS)))
    with pytest.raises(DocumentNotFound, match=r"nowhere\.md"):
        retriever.retrieve(Query("owls", known="nowhere.md"))


def test_equal_questions_give_equal_answers_in_any_order(retriever: Retriever) -> None:
    first = retriever.retrieve("owls hunt mice", k=3)
    retriever.retrieve("bees dance", k=2)
    again = retriever.retrieve("owls hunt mice", k=3)
    assert first.hits == again.hits


def test_a_filter_leaves_the_choice_that_a_collection_of_the_rest_would_give(retriever: Retriever) -> None:
    left = {name: text for name, text in TEXTS.items() if name.startswith(("owls", "mice"))}
    alone = Retriever(retriever.embedder, filled(left, retriever.embedder), selector=retriever.selector)
    for exact in (False, True):
        got, expected = (
            one.retrieve(Query("how do owls hunt mice", k=3, exact=exact, where=where))
            for one, where in ((retriever, Filter(sources=("owls*", "mice*"))), (alone, None))
        )
        assert got.hits == expected.hits
        assert got.candidates == expected.candidates == 3
        assert got.exact == expected.exact


def test_what_is_given_may_be_of_what_the_filter_leaves_out(retriever: Retriever) -> None:
    got = retriever.retrieve(Query("how do owls hunt mice", k=1, known="owls.md", where=Filter(sources=("owls2.md",))))
    without = retriever.retrieve(Query("how do owls hunt mice", k=1, where=Filter(sources=("owls2.md",))))
    assert [hit.passage.source for hit in got.hits] == ["owls2.md"]
    assert got.prior_variance < without.prior_variance


def test_that_a_filter_left_nothing_is_said_with_how_far_it_came(retriever: Retriever) -> None:
    retriever.store.put_documents([Document(name, f"/{name}", "ingested") for name in TEXTS])
    for where, message in (
        (Filter(sources=("docs/*",)), "none of 5 documents matches docs/\\*; sources are such as 'bees.md'"),
        (Filter(labels=(("tag", "x"), ("tag", "y"))), "no passage of 5 documents has tag=x or y"),
        (Filter(("owls*",), (("tag", "x"),)), "no passage of 2 documents that match owls\\* has tag=x"),
    ):
        with pytest.raises(NoEvidence, match=message):
            retriever.retrieve(Query("how do owls hunt mice", where=where))
    with pytest.raises(NoEvidence, match="nothing that the filter matches beyond what is known"):
        retriever.retrieve(Query("how do owls hunt mice", known="bees.md", where=Filter(sources=("bees.md",))))


class TestAsAValue:
    def test_texts_in_memory_are_retrieved_from_and_closed_at_the_end(self) -> None:
        embedder = HashingEmbedder()
        texts = [*TEXTS.values(), TEXTS["owls.md"]]
        metadata = [{"place": number} for number in range(len(texts))]
        with Retriever.from_texts(texts, embedder, metadata=metadata) as retriever:
            got = retriever.retrieve("how do owls hunt mice", k=2)
            assert got.texts[0] in TEXTS.values()
            assert [hit.passage.text for hit in got] == got.texts
            assert len(got) == 2
            some = retriever.retrieve(Query("how do owls hunt mice", where=Filter(labels=(("place", "1"),))))
            assert [hit.passage.source for hit in some] == ["text-1"]
            assert "texts" in repr(retriever)
        with pytest.raises(StoreError):
            retriever.retrieve("owls")

    def test_texts_without_a_source_each_or_empty_ones_are_refused(self) -> None:
        with pytest.raises(ValueError, match="one source for each of 2 texts"):
            Retriever.from_texts(["a", "b"], HashingEmbedder(), sources=["a"])
        with pytest.raises(ValueError, match="empty"):
            Retriever.from_texts(["a", " "], HashingEmbedder())

    def test_it_is_short_to_look_at(self, retriever: Retriever) -> None:
        got = retriever.retrieve("how do owls hunt mice " * 10, k=3)
        assert len(repr(got)) < 120
        assert len(repr(got.hits[0])) < 80

    def test_a_query_that_no_candidates_can_answer_is_refused(self, retriever: Retriever) -> None:
        left = retriever.retrieve("how do owls hunt mice").irreducible_variance
        assert retriever.retrieve(Query("how do owls hunt mice", max_variance=left + 1e-6)).hits
        with pytest.raises(NoEvidence, match="more than the"):
            retriever.retrieve(Query("how do owls hunt mice", max_variance=left - 1e-6))

    def test_its_json_is_one_shape(self, retriever: Retriever) -> None:
        got = retriever.retrieve("how do owls hunt mice", k=2)
        value = json.loads(json.dumps(got.to_dict(explain=True), allow_nan=False))
        assert set(value) == {
            "questions", "hits", "prior_variance", "irreducible_variance", "candidates", "targets", "stopped", "exact",
            "exact_search", "timings_ms", "passed_over",
        }  # fmt: skip
        assert set(value["hits"][0]) == {
            "rank", "id", "source", "line", "page", "title", "headings", "text", "metadata", "similarity", "gain",
            "relevance", "redundancy", "posterior_variance", "shared_words", "brought_by", "also_in",
            "reranker_score", "before", "after",
        }  # fmt: skip
        assert "passed_over" not in got.to_dict()


def test_more_candidates_than_any_store_counts_are_all_of_them(tmp_path: Path) -> None:
    embedder = HashingEmbedder()
    ingest_texts(["owls hunt mice", "bees dance"], store=tmp_path / "store", embedder=embedder)
    with open_retriever(tmp_path / "store", embedder=embedder, candidate_limit=10**30) as retriever:
        assert len(retriever.retrieve("owls", k=10**30).hits) == 2
