"""Evaluation of searches on judged questions: matching of hits, metrics, and the verdict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from sift_rag import Retriever, SearchOptions
from sift_rag.errors import ModelUnsuitable, NoEvidence
from sift_rag.evaluation import JudgedQuestion, Relevant, evaluate, searches_with
from sift_rag.evaluation.found import Evaluation, Judged, Ranking, Score, judge_searches, sum_up
from sift_rag.evaluation.found_report import difference_in_words, render_found
from sift_rag.evaluation.judge import Judge
from sift_rag.evaluation.metrics import Interval
from sift_rag.stores.memory import MemoryStore
from tests.doubles import HashingEmbedder, WordRelevance
from tests.evaluation.conftest import PASSAGES
from tests.evaluation.test_report import EVIL, Page


def question(text: str | tuple[str, ...], *relevant: str | Relevant, name: str = "q") -> JudgedQuestion:
    asked = (text,) if isinstance(text, str) else text
    return JudgedQuestion(name, asked, tuple(one if isinstance(one, Relevant) else Relevant(one) for one in relevant))


def measured(store: MemoryStore, *questions: JudgedQuestion, ks: Sequence[int] = (1, 2)) -> Evaluation:
    return evaluate(questions, embedder=HashingEmbedder(), store=store, ks=ks)


def unmatched(store: MemoryStore, *relevant: str | Relevant) -> list[str]:
    return [one.name for one in Judge([question("Who?", *relevant)], store).unmatched]


def folder_of(*names: str) -> Retriever:
    return Retriever.from_texts([f"About {name}." for name in names], HashingEmbedder(), sources=names)


def ranking(*finds: int) -> Ranking:
    return Ranking((), tuple((1,) * some for some in finds))


def judged(pairs: Sequence[tuple[Ranking, Ranking]], relevant: int = 2) -> Evaluation:
    """Sum up the rankings of sift and nearest, question by question."""
    names = [f"q{number}" for number in range(len(pairs))]
    asked = [question("Who?", *(f"s{i}" for i in range(relevant)), name=name) for name in names]
    with folder_of(*(f"s{i}" for i in range(relevant))) as retriever:
        judge = Judge(asked, retriever.store)
    return sum_up(
        [Judged(one, {"sift": pair[0], "nearest": pair[1]}) for one, pair in zip(asked, pairs, strict=True)],
        judge,
        (2, 1),
    )


# What a hit finds


def test_a_name_is_a_source_an_id_or_a_text_and_what_is_none_is_told(store: MemoryStore) -> None:
    (candidate,) = store.passages("owls.md")
    assert unmatched(store, "owls.md", candidate.passage.id, "by the LIGHT of moon,", "owls", "nobody.md") == [
        "nobody.md"
    ]
    assert unmatched(store, Relevant("owls.md", is_text=True), Relevant("bees dance", is_text=True)) == ["owls.md"]
    assert unmatched(store, "...", "00000000-0000-0000-0000-000000000000", "ance to tell") != []


def test_the_end_of_one_path_names_it_and_that_of_two_does_not() -> None:
    with folder_of("a/birds/owls.md", "b/birds/owls.md", "a/bees.txt") as retriever:
        judge = Judge(
            [question("Who?", "bees", "bees.txt", "owls.md", "a/birds/owls.md", "irds/owls.md")], retriever.store
        )
    assert [one.name for one in judge.unmatched] == ["owls.md", "irds/owls.md"]


def test_two_names_of_one_document_are_one_thing_to_find_with_the_better_grade(store: MemoryStore) -> None:
    (candidate,) = store.passages("owls.md")
    names = (Relevant("owls.md"), Relevant("nobody.md"), Relevant("owls", 2), Relevant(candidate.passage.id))
    [asked] = Judge([question("Who?", *names)], store).questions
    assert asked.relevant == (Relevant("owls", 2), Relevant("nobody.md"), Relevant(candidate.passage.id))


def test_several_passages_of_one_source_count_once_and_a_copy_counts_as_its_source() -> None:
    texts = ["Owls hunt at night.", "Owls hunt mice.", "owls hunt at night!", "Bees dance."]
    sources = ["owls.md", "owls.md", "copy.md", "bees.md"]
    with Retriever.from_texts(texts, HashingEmbedder(), sources=sources) as retriever:
        judge = Judge([asked := question("Owls hunt", "owls.md", "copy.md", "bees.md")], retriever.store)
        hits = retriever.retrieve("Owls hunt", 4).hits
        found = judge.found(asked, hits)
    assert len(hits) == 3
    held = [{passage.source for passage in (hit.passage, *hit.copies)} for hit in hits]
    assert sum("owls.md" in sources for sources in held) == 2
    named = [[one.name for one in some] for some in found]
    assert sorted(name for names in named for name in names) == ["bees.md", "copy.md", "owls.md"]
    first = next(rank for rank, sources in enumerate(held) if "owls.md" in sources)
    assert "owls.md" in named[first]
    assert "copy.md" in named[next(rank for rank, hit in enumerate(hits) if hit.copies)]


def test_every_passage_that_holds_an_answer_finds_it_once(store: MemoryStore) -> None:
    asked = question("Where is a mouse?", Relevant("a mouse", is_text=True))
    judge = Judge([asked], store)
    with Retriever(HashingEmbedder(), store) as retriever:
        hits = retriever.retrieve("Where is a mouse?", len(PASSAGES)).hits
    found = judge.found(asked, hits)
    assert sum("mouse" in hit.passage.text for hit in hits) == 2
    assert [bool(some) for some in found].count(True) == 1
    assert "mouse" in hits[[bool(some) for some in found].index(True)].passage.text


# The figures


def test_a_search_that_finds_all_and_one_question_of_which_nothing_is_there(store: MemoryStore) -> None:
    result = measured(
        store,
        question("Bees dance to tell where flowers are.", "bees.md", name="bees"),
        question("Owls hunt at night and sleep by day.", "nobody.md", "owls.md", name="owls"),
        question("Bees dance", "nobody.md", name="none"),
    )
    assert {row.selector for row in result.rows} == {"sift", "nearest", "hybrid", "mmr", "dpp"}
    nearest = next(row for row in result.rows if (row.selector, row.k) == ("nearest", 1))
    assert nearest.recall.mean == pytest.approx((1 + 0.5 + 0) / 3)
    assert nearest.reciprocal_rank.mean == pytest.approx(2 / 3)
    assert nearest.recall.difference is None
    assert all(row.recall.difference is not None for row in result.rows if row.selector != "nearest")
    assert [(one.question, one.name) for one in result.unmatched] == [("owls", "nobody.md"), ("none", "nobody.md")]
    assert [failure.question.id for failure in result.failures] == ["none"]
    assert result.failures[0].hits[0].passage.source == "bees.md"
    value = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert value["questions"] == 3
    assert value["rows"][0]["recall"]["difference"]["low"] <= value["rows"][0]["recall"]["difference"]["high"]
    assert value["failures"][0]["hits"][0]["source"] == "bees.md"


def test_the_first_k_hits_are_those_of_a_search_with_this_k(store: MemoryStore) -> None:
    embedder = HashingEmbedder()
    searches = searches_with(("sift", "hull", "mmr", "facility-location"))
    judge = Judge([question(text, "owls.md", name=text) for text in ("owls mice", "where mice hear")], store)
    for one in judge_searches(judge, embedder=embedder, store=store, searches=searches, ks=(2, 5)):
        for name, found in one.rankings.items():
            for k in range(1, 6):
                alone = searches[name].retriever(embedder, store).retrieve(one.question.questions, k)
                assert [hit.passage.id for hit in found.hits[:k]] == [hit.passage.id for hit in alone]


def test_each_question_is_embedded_once_for_all_searches(store: MemoryStore) -> None:
    class Counting(HashingEmbedder):
        asked = 0

        def embed_queries(self, texts: Sequence[str]):  # type: ignore[no-untyped-def]
            self.asked += bool(texts)
            return super().embed_queries(texts)

    embedder = Counting()
    asked = [question(("owls", "mice"), "owls.md", name="1"), question("owls", "owls.md", name="2")]
    evaluate(asked, embedder=embedder, store=store)
    assert embedder.asked == 2


def test_a_setting_goes_to_the_selectors_that_have_it() -> None:
    searches = searches_with(("mmr", "sift"), SearchOptions(candidate_limit=7), {"relevance": 0.5, "words": 0.25})
    assert list(searches) == ["mmr", "sift", "nearest"]
    assert searches["mmr"].settings == {"relevance": 0.5, "words": 0.25}
    assert searches["sift"].settings == searches["nearest"].settings == {"words": 0.25}
    assert {options.candidate_limit for options in searches.values()} == {7}
    with pytest.raises(ValueError, match=r"has a setting 'relevanse'. Did you mean 'relevance'\?"):
        searches_with(("mmr",), settings={"relevanse": 0.5})
    with pytest.raises(ValueError, match="Did you mean 'hybrid'"):
        searches_with(("hybird",))


def test_what_cannot_be_evaluated_is_refused_before_any_search(store: MemoryStore) -> None:
    asked = question("owls", "owls.md")
    with pytest.raises(ValueError, match="each at least 1"):
        measured(store, asked, ks=(0, 4))
    with pytest.raises(ValueError, match="expected nearest among them"):
        evaluate([asked], embedder=HashingEmbedder(), store=store, searches={"sift": SearchOptions()})
    with pytest.raises(ValueError, match=r"Question 'long' cannot be asked\. The question is too long"):
        measured(store, asked, question("owls " * 5000, "owls.md", name="long"))
    with pytest.raises(ValueError, match="no questions to sum up"):
        measured(store)


def test_a_search_that_refuses_to_answer_finds_nothing_and_an_empty_collection_is_an_error(store: MemoryStore) -> None:
    asked = [question("owls", "owls.md")]
    searches = searches_with(("sift",), SearchOptions(max_variance=0.0))
    result = evaluate(asked, embedder=HashingEmbedder(), store=store, searches=searches)
    assert {row.recall.mean for row in result.rows} == {0.0}
    with pytest.raises(NoEvidence, match="is empty"):
        evaluate(asked, embedder=HashingEmbedder(), store=MemoryStore(store.info))


# The verdict


def test_a_search_that_finds_more_throughout_wins() -> None:
    result = judged([(ranking(1, 1), ranking(1, 0))] * 8 + [(ranking(1, 1), ranking(0, 1))] * 4)
    assert result.best == "sift"
    assert result.verdict.startswith("sift finds 16.7 points more than nearest at k = 1 [")
    assert result.verdict.endswith("], 12 questions.")
    (row,) = [row for row in result.rows if (row.selector, row.k) == ("sift", 2)]
    assert row.recall.mean == 1.0
    assert row.recall.difference == pytest.approx((0.5, 0.5, 0.5))


def test_a_difference_that_may_be_chance_is_none() -> None:
    one, none = ranking(1, 1), ranking(0, 0)
    result = judged([(one, none)] * 6 + [(none, one)] * 5)
    assert result.verdict.startswith("No significant difference: sift finds 4.5 points more than nearest at k = 1 [-")
    result = judged([(one, none)] * 5 + [(none, one)] * 6)
    assert result.best == "nearest"
    assert result.verdict.startswith("No significant difference: nearest finds 4.5 points more than sift at k = 1 [-")
    assert judged([(one, one)] * 12).verdict == (
        "No significant difference: sift finds as much as nearest at k = 1 [0.0, 0.0], 12 questions."
    )


def test_nearest_wins_with_the_interval_turned_round() -> None:
    result = judged([(ranking(0, 0), ranking(1, 1))] * 9 + [(ranking(1, 1), ranking(1, 1))] * 3)
    assert result.verdict.startswith("nearest finds 37.5 points more than sift at k = 1 [2")
    assert len(judged([(ranking(0, 0), ranking(1, 0))] * 12).failures) == 0


def test_few_questions_show_nothing() -> None:
    result = judged([(ranking(1, 1), ranking(0, 0))] * 3)
    assert result.verdict.startswith("Too few questions to show a difference: sift finds 50.0 points more than nearest")


def test_a_difference_of_nothing_has_no_minus() -> None:
    assert difference_in_words(Score(0.5, Interval(-0.0001, -0.0002, 0.0))) == "+0.0 [0.0, 0.0]"
    assert difference_in_words(Score(0.5, Interval(-0.031, -0.05, 0.001))) == "-3.1 [-5.0, 0.1]"
    assert difference_in_words(Score(0.5, None)) == ""


# The page


def test_the_page_has_the_verdict_every_row_the_failures_and_what_is_missing_with_all_text_escaped() -> None:
    pytest.importorskip("matplotlib", reason="the page has a plot")
    with Retriever.from_texts([EVIL, "Bees dance."], HashingEmbedder(), sources=[EVIL, "bees.md"]) as retriever:
        asked = [question(f"{EVIL} {n}", f"gone {EVIL}", name=f"{EVIL}{n}") for n in range(60)]
        result = evaluate(asked, embedder=retriever.embedder, store=retriever.store, ks=(1, 2))
    text = render_found(result, collection=EVIL, settings=EVIL)
    page = Page(text)
    assert "<script" not in text
    assert not [name for name, _ in page.elements if name in {"link", "img", "iframe"}]
    words = " ".join(page.words)
    assert result.verdict in words
    assert "60 of 60 questions, with the first hits." in words
    assert words.count("... and 10 more.") == 2
    assert len([name for name, _ in page.elements if name == "tr"]) == 1 + len(result.rows) == 11
    assert "Where" not in render_found(judged([(ranking(1), ranking(1))] * 2), collection="c")


def test_a_reranker_scores_each_pair_once_for_all_searches(store: MemoryStore) -> None:
    reranker = WordRelevance("flowers")
    asked = [question(("owls", "mice"), "owls.md", name="1"), question("owls", "owls.md", name="2")]
    evaluate(asked, embedder=HashingEmbedder(), store=store, relevance=reranker)
    assert reranker.scored
    assert len(reranker.scored) == len(set(reranker.scored))


def test_a_reranker_that_gives_lists_is_one_and_too_few_scores_are_told(store: MemoryStore) -> None:
    class Lists:
        name = "lists"
        missing = 0

        def score(self, question: str, texts: Sequence[str]) -> Any:
            return [0.5] * (len(texts) - self.missing)

    reranker = Lists()
    asked = [question("owls", "owls.md")]
    assert evaluate(asked, embedder=HashingEmbedder(), store=store, relevance=reranker).questions == 1
    reranker.missing = 1
    with pytest.raises(ModelUnsuitable, match="'lists' gave scores of shape"):
        evaluate(asked, embedder=HashingEmbedder(), store=store, relevance=reranker)
