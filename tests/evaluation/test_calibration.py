"""Calibration: values that find more on held-out questions, and thresholds as percentiles."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import pytest

from sift_rag import Filter, Retriever, SearchOptions
from sift_rag.errors import ConfigurationError, ModelUnsuitable, NoEvidence
from sift_rag.evaluation import (
    Calibration,
    JudgedQuestion,
    Plan,
    Relevant,
    calibrate,
    read_foreign_questions,
    sentence_questions,
    written_questions,
)
from sift_rag.evaluation.calibration import choose, percentile, sum_up
from sift_rag.evaluation.calibration_report import render_calibration
from sift_rag.evaluation.judge import Judge
from sift_rag.evaluation.metrics import share
from sift_rag.evaluation.trials import Trial, Uncertainty, Values, try_out
from sift_rag.protocols import Message, WordIndex
from sift_rag.stores.memory import MemoryStore
from sift_rag.stores.remembering import RememberingIndex, RememberingWordIndex, Searches, remembering
from sift_rag.types import Embedding
from tests.doubles import HashingEmbedder
from tests.evaluation.conftest import PASSAGES
from tests.evaluation.test_report import EVIL, Page

DEFAULT = Values(0.5, 5.0, 1.0)


class BlindEmbedder(HashingEmbedder):
    """Embeds each text as a random direction, so that texts with shared words are no closer than others."""

    def _vector(self, text: str) -> Embedding:
        row = np.random.default_rng(list(text.encode())).normal(size=self.dimension)
        return (row / np.linalg.norm(row)).astype(np.float32)


def question(name: str, text: str, *relevant: str) -> JudgedQuestion:
    return JudgedQuestion(name, (text,), tuple(map(Relevant, relevant)))


def trials(plan: Plan, found: dict[Values, Sequence[float]], variances: Sequence[float] = ()) -> list[Trial]:
    """Trials in which one combination has the given recall, and any other that of the current one."""
    size = len(next(iter(found.values())))
    usual = found.get(plan.current, [0.5] * size)
    rows = [[found.get(values, usual)[n] for values in plan.combinations] for n in range(size)]
    left = variances or [0.9] * size
    return [
        Trial(question(str(n), "?", "x"), True, tuple(row), (left[n],) * len(row), round(1 - left[n], 6))
        for n, row in enumerate(rows)
    ]


def summed(plan: Plan, made: list[Trial], foreign: Sequence[Uncertainty] = ()) -> Calibration:
    with Retriever.from_texts(["x"], HashingEmbedder(), sources=["x"]) as retriever:
        judge = Judge([trial.question for trial in made], retriever.store)
    return sum_up(plan, choose(plan, made), made, foreign, judge)


def proposed(result: Calibration) -> Values:
    return Values(*(one.proposed for one in result.proposals))


# What is proposed


def test_where_words_alone_decide_more_words_are_proposed_with_an_interval_above_zero() -> None:
    generator = random.Random(4)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    names = ["".join(generator.sample(syllables, 3)) for _ in range(24)]
    texts = [f"{name} {' '.join(generator.sample(names, 6))}" for name in names for _ in range(4)]
    sources = [f"{number}.md" for number in range(len(texts))]
    asked = []
    for number, text in enumerate(texts[::6]):
        words = text.split()
        asked.append(question(str(number), " ".join(generator.sample(words, 3)), sources[6 * number]))
    embedder, few = BlindEmbedder(), SearchOptions(candidate_limit=20)
    with Retriever.from_texts(texts, embedder, sources=sources) as retriever:
        result = calibrate(asked, embedder=embedder, store=retriever.store, plan=Plan(options=few, ks=(1, 3)))
    assert result.brings is not None
    assert result.brings.low > 0
    words = result.proposals[0]
    assert (words.name, words.current) == ("words", 0.5)
    assert words.proposed > 0.5
    assert words.brings is not None
    assert words.brings.low > 0
    assert result.changes()["search"]["words"] == words.proposed
    assert result.verdict.startswith(f"words = {words.proposed:g}")


def test_where_nothing_matters_the_defaults_stay_and_one_sentence_says_so() -> None:
    texts = [f"Owls of kind {number} sleep by day." for number in range(12)]
    sources = [f"{number}.md" for number in range(12)]
    asked = [question(str(n), text, sources[n]) for n, text in enumerate(texts)]
    with Retriever.from_texts(texts, HashingEmbedder(), sources=sources) as retriever:
        result = calibrate(asked, embedder=HashingEmbedder(), store=retriever.store, plan=Plan(ks=(12,)))
    assert proposed(result) == DEFAULT
    assert all(one.brings is None for one in result.proposals)
    assert result.verdict.startswith(
        "Keep words = 0.5, noise_variance = 5 and follow = 1: no other values find significantly more"
    )
    assert "words" not in result.toml()


@pytest.mark.parametrize("seed", range(5))
def test_chance_proposes_nothing(seed: int) -> None:
    plan, generator = Plan(), np.random.default_rng(seed)
    made = trials(plan, {values: generator.integers(0, 2, 60).tolist() for values in plan.combinations})
    result = summed(plan, made)
    assert proposed(result) == DEFAULT
    assert max(one.difference.mean for one in result.combinations) >= 0.05  # the best of many looks better


def test_what_is_as_good_with_fewer_changes_is_preferred() -> None:
    one, two = DEFAULT._replace(words=0.75), DEFAULT._replace(words=0.75, follow=0.0)
    better = [1.0, 0.5] * 15
    result = summed(Plan(), trials(Plan(), {one: better, two: [*better[:-1], 1.0], DEFAULT: [0.5] * 30}))
    assert proposed(result) == one
    assert [proposal.changed for proposal in result.proposals] == [True, False, False]
    assert result.brings == result.proposals[0].brings
    assert result.brings is not None
    assert result.brings.mean == pytest.approx(0.25)


def test_each_setting_has_what_it_brings_beside_the_others() -> None:
    both, alone = DEFAULT._replace(words=0.9, noise_variance=20.0), DEFAULT._replace(words=0.9)
    zero = {DEFAULT: [0.0] * 20, alone: [0.4] * 20, both: [1.0] * 20}
    result = summed(Plan(), trials(Plan(), zero))
    assert [one.brings and round(one.brings.mean, 6) for one in result.proposals] == [1.0, 0.6, None]
    assert result.brings == (1.0, 1.0, 1.0)
    assert result.toml().startswith("[search]\nwords = 0.9\nnoise_variance = 20.0\n")


def test_few_questions_change_nothing() -> None:
    result = summed(Plan(), trials(Plan(), {DEFAULT._replace(words=0.9): [1.0] * 9}))
    assert proposed(result) == DEFAULT
    assert "a change needs at least 10 questions" in result.verdict
    assert result.changes() == {}
    assert summed(Plan(), trials(Plan(), {DEFAULT: [0.5]})).questions == 1


def test_the_values_in_use_are_compared_and_named_as_current() -> None:
    plan = Plan(options=SearchOptions(settings={"words": 0.6, "follow": 2.0}))
    assert plan.current == (0.6, 5.0, 2.0)
    assert plan.current in plan.combinations
    assert len(plan.combinations) == 6 * 3 * 3
    assert [one.current for one in summed(plan, trials(plan, {plan.current: [1.0] * 10})).proposals] == [0.6, 5.0, 2.0]


# Thresholds


def test_a_threshold_is_the_stated_percentile_and_lets_95_in_100_through() -> None:
    variances = [(800 + n) / 1000 for n in range(100)]
    random.Random(1).shuffle(variances)
    foreign = [Uncertainty(0.85, 0.15)] * 10 + [Uncertainty(0.95, 0.05)] * 30
    result = summed(Plan(), trials(Plan(), {DEFAULT: [1.0] * 100}, variances), foreign)
    variance, gain = result.thresholds
    assert (variance.name, variance.current, variance.proposed, variance.answerable) == (
        "max_variance",
        None,
        0.894,
        0.05,
    )
    assert (gain.name, gain.current, gain.proposed, gain.answerable) == ("min_gain", 0.3, 0.106, 0.05)
    assert variance.foreign is not None
    assert variance.foreign.mean == 0.75
    assert variance.foreign.low < 0.75 < variance.foreign.high
    assert result.changes() == {"search": {"max_variance": 0.894}, "ask": {"min_gain": 0.106}}
    assert "95th percentile over 100 answerable questions; it refuses 75 %" in variance.note


def test_without_foreign_questions_it_says_that_it_does_not_know() -> None:
    result = summed(Plan(), trials(Plan(), {DEFAULT: [1.0] * 20}))
    assert [one.foreign for one in result.thresholds] == [None, None]
    assert all(one.note.endswith("not checked on foreign questions.") for one in result.thresholds)


def test_a_threshold_that_refuses_foreign_questions_no_more_often_is_not_proposed() -> None:
    variances = [(800 + n) / 1000 for n in range(100)]
    foreign = [Uncertainty(0.85, 0.15)] * 40
    result = summed(Plan(), trials(Plan(), {DEFAULT: [1.0] * 100}, variances), foreign)
    assert [one.proposed for one in result.thresholds] == [None, None]
    assert all("separates the questions" in one.note for one in result.thresholds)
    assert result.changes() == {}


def test_questions_whose_answer_is_not_there_do_not_count_for_thresholds() -> None:
    made = trials(Plan(), {DEFAULT: [1.0] * 12})
    made = [Trial(t.question, n < 5, t.found, t.variances, t.gain) for n, t in enumerate(made)]
    result = summed(Plan(), made)
    assert len(result.answerable) == 5
    assert {one.note for one in result.thresholds} == {
        f"No {name}: at least 10 answerable questions are needed, and there are 5."
        for name in ("max_variance", "min_gain")
    }


@pytest.mark.parametrize("size", [1, 10, 19, 20, 100])
def test_a_percentile_is_never_below_95_in_100_values(size: int) -> None:
    values = np.random.default_rng(size).random(size).tolist()
    limit = percentile(values)
    assert np.mean([value <= limit for value in values]) >= 0.95
    assert limit == round(limit, 5)
    assert np.mean([value <= limit - 2e-5 for value in values]) < 0.95
    assert percentile([0.25] * size) == 0.25


def test_the_thresholds_are_what_a_search_and_an_assistant_compare_with(store: MemoryStore) -> None:
    from sift_rag.answering.assistant import AnswerSettings, Assistant

    embedder, text = HashingEmbedder(), "Owls hunt at night"
    plan = Plan(options=SearchOptions(max_variance=0.0), steps=7)
    (trial,) = try_out(plan, Judge([question("q", text, "owls.md")], store), embedder=embedder, store=store)
    retriever = SearchOptions().retriever(embedder, store)
    place = plan.combinations.index(DEFAULT)
    assert trial.variances[place] == pytest.approx(retriever.retrieve(text, 8).irreducible_variance)
    training = Assistant(retriever, None, AnswerSettings(steps=7))._training(SearchOptions().query(text))
    assert trial.gain == pytest.approx(training.predicted_gain)


# Trials


def test_a_trial_finds_what_a_search_with_these_values_finds(store: MemoryStore) -> None:
    embedder, plan = HashingEmbedder(), Plan(ks=(1, 5))
    judge = Judge([question("q", "Where do owls hear a mouse in the rain?", "ears.md", "rain.md", "none.md")], store)
    (trial,) = try_out(plan, judge, embedder=embedder, store=store)
    assert trial.answerable
    for values, found, variance in zip(plan.combinations, trial.found, trial.variances, strict=True):
        retriever = SearchOptions(settings=values._asdict()).retriever(embedder, store)
        hits = retriever.retrieve(judge.questions[0].questions, 5)
        named = [hit.passage.source in {"ears.md", "rain.md"} for hit in hits]
        assert found == pytest.approx((sum(named[:1]) / 3 + sum(named) / 3) / 2)
        assert variance == pytest.approx(hits.irreducible_variance)


def test_each_question_is_embedded_once_and_equal_searches_are_made_once(store: MemoryStore) -> None:
    searches: list[tuple[bytes, int, int]] = []

    class Counting(RememberingWordIndex):
        def search(self, targets, limit, *, offset=0, where=None):  # type: ignore[no-untyped-def]
            searches.append((targets.tobytes(), limit, offset))
            return store.search(targets, limit, offset=offset, where=where)

    class CountingEmbedder(HashingEmbedder):
        asked = 0

        def embed_queries(self, texts: Sequence[str]):  # type: ignore[no-untyped-def]
            self.asked += bool(texts)
            return super().embed_queries(texts)

    embedder, index = CountingEmbedder(), Counting(store, Searches())
    asked = [question("1", "owls", "owls.md"), question("2", "mice", "mice.md")]
    list(try_out(Plan(), Judge(asked, store), embedder=embedder, store=index))
    assert embedder.asked == 2
    assert len(searches) == len(set(searches)) > 2


def test_another_models_scores_are_asked_for_once_and_decide(store: MemoryStore) -> None:
    class Scoring:
        name = "scoring"
        asked: list[str] = []  # noqa: RUF012

        def score(self, question: str, texts: Sequence[str]) -> np.ndarray:
            self.asked += texts
            return np.array([float("dance" in text) for text in texts])

    relevance = Scoring()
    judge = Judge([question("q", "owls", "bees.md")], store)
    (trial,) = try_out(Plan(ks=(1,)), judge, embedder=HashingEmbedder(), store=store, relevance=relevance)
    assert set(trial.found) == {1.0}
    assert len(relevance.asked) == len(set(relevance.asked)) == len(PASSAGES)


def test_an_index_that_remembers_finds_the_same_and_keeps_what_it_can_do(store: MemoryStore) -> None:
    memory = Searches()
    index, target = remembering(store, memory), HashingEmbedder().embed_queries(["owls"])
    assert isinstance(index, WordIndex)
    assert not isinstance(RememberingIndex(store, memory), WordIndex)
    first = index.search(target, 3)
    first[0].clear()  # a caller's list is its own
    found = [candidate.passage for candidate in index.search(target, 3)[0]]
    assert found == [candidate.passage for candidate in store.search(target, 3)[0]]
    store.delete_passages("owls.md")
    assert [candidate.passage for candidate in index.search(target, 3)[0]] == found
    memory.forget()
    assert [candidate.passage for candidate in index.search(target, 3)[0]] != found


def test_what_cannot_be_calibrated_is_refused_before_any_search(store: MemoryStore) -> None:
    embedder, asked = HashingEmbedder(), [question("q", "owls", "owls.md")]
    for bad, message in (
        ({"ks": ()}, "each at least 1"),
        ({"ks": (0, 4)}, "each at least 1"),
        ({"steps": 0}, "steps must be"),
        ({"options": SearchOptions(selector="mmr")}, "only sift can be calibrated"),
        ({"options": SearchOptions(settings={"kernel": "linear"})}, "only rbf"),
    ):
        with pytest.raises(ValueError, match=message):
            Plan(**bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no questions to calibrate with"):
        calibrate([], embedder=embedder, store=store)
    with pytest.raises(ValueError, match="Question 'long' cannot be asked"):
        calibrate([*asked, question("long", "owls " * 5000, "owls.md")], embedder=embedder, store=store)
    with pytest.raises(ValueError, match="Question 'foreign:2' cannot be asked"):
        calibrate(asked, embedder=embedder, store=store, foreign=[["owls"], ["owls " * 5000]])
    with pytest.raises(NoEvidence, match="is empty"):
        calibrate(asked, embedder=embedder, store=MemoryStore(store.info))


# Generated questions


def test_sentences_are_the_same_in_every_run_and_of_their_own_passage() -> None:
    texts = [
        f"Number {n} hoots. The owl with the number {n} sleeps until the evening.\n\nx = {n}; y[{n}]" for n in range(9)
    ]
    texts += ["for i in range(10): print(i ** 2, file=sys.stderr)  # 1, 2", texts[0]]
    with Retriever.from_texts(texts, HashingEmbedder()) as retriever:
        made = list(sentence_questions(retriever.store))
        assert made == list(sentence_questions(retriever.store))
        assert len(made) == 9  # neither code nor a text twice
        assert len({one.id for one in made}) == 9
        for one in made:
            (passage,) = (candidate.passage for candidate in retriever.store.fetch([one.id]))
            assert one.relevant == (Relevant(passage.id),)
            assert one.questions[0] in passage.text
            assert one.questions[0].startswith("The owl with the number")
        (only,) = sentence_questions(retriever.store, where=Filter(("text-3",)))
        assert "3" in only.questions[0]


def test_sentences_of_a_script_without_blanks_serve_too() -> None:
    text = "梟は夜に狩りをして、昼のあいだは森の奥にある古い木の洞の中で静かに眠っている鳥である。短い。"
    with Retriever.from_texts([text], HashingEmbedder()) as retriever:
        (made,) = sentence_questions(retriever.store)
    assert made.questions == (text[:-3],)


class Writer:
    """A language model that answers from a list and counts calls."""

    name, context_length = "writer", 4096

    def __init__(self, *answers: str) -> None:
        self.answers, self.prompts = list(answers), []  # type: ignore[var-annotated]

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def stream(self, messages: Sequence[Message], *, max_new_tokens: int) -> Iterator[str]:
        del max_new_tokens
        self.prompts.append(messages[-1].content)
        yield from self.answers.pop(0)


def test_a_model_asks_one_question_about_each_passage_and_empty_answers_are_left_out(store: MemoryStore) -> None:
    model = Writer("When do owls hunt?\nWhat else?", "none", "", '1. "Who dances?"', "A statement.")
    made = list(islice(written_questions(store, model), 2))
    assert [one.questions for one in made] == [("When do owls hunt?",), ("Who dances?",)]
    assert len(model.prompts) == 4
    assert {one.id for one in made} <= {candidate.passage.id for name in PASSAGES for candidate in store.passages(name)}
    model.context_length = 100
    with pytest.raises(ModelUnsuitable, match="has room for 100"):
        next(written_questions(store, model))


def test_generated_questions_give_thresholds_only() -> None:
    texts = [f"The owl with the number {n} sleeps until the evening." for n in range(12)]
    with Retriever.from_texts(texts, HashingEmbedder()) as retriever:
        asked = list(sentence_questions(retriever.store))
        plan = Plan(origin="sentences")
        result = calibrate(asked, embedder=HashingEmbedder(), store=retriever.store, plan=plan)
    assert (result.proposals, result.combinations, result.brings) == ((), (), None)
    assert result.verdict.startswith("Generated questions give thresholds only")
    assert set(result.changes().get("search", {})) == {"max_variance"}


def test_foreign_questions_are_lines_with_a_question(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "foreign.jsonl"
    path.write_text('{"question": "Who?", "answer": 3}\n\n{"question": ["a", "b"]}\n', encoding="utf-8")
    assert read_foreign_questions(path) == [("Who?",), ("a", "b")]
    for text, message in (("", "contains no question"), ('{"query": "x"}', "has no 'question'"), ("[]", "1")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError, match=message):
            read_foreign_questions(path)


# What comes out


def test_the_json_has_one_shape_and_the_lines_are_toml() -> None:
    import tomllib

    foreign = [Uncertainty(0.99, 0.01)] * 20
    judged = summed(Plan(), trials(Plan(), {DEFAULT._replace(words=0.9): [1.0] * 20}), foreign)
    made = Plan(origin="sentences")
    for result in (judged, summed(made, trials(made, {DEFAULT: [1.0] * 20}))):
        value = json.loads(json.dumps(result.to_dict(), allow_nan=False))
        assert set(value) == set(judged.to_dict())
        assert [one["name"] for one in value["thresholds"]] == ["max_variance", "min_gain"]
        assert tomllib.loads(result.toml()) == value["changes"]


def test_a_share_of_all_has_an_interval_below_one() -> None:
    assert share([True] * 60).low == pytest.approx(0.9398, abs=1e-3)
    assert share([False] * 60).high == pytest.approx(1 - 0.9398, abs=1e-3)
    assert share([True, False] * 10) == pytest.approx((0.5, 0.2993, 0.7007), abs=1e-3)


def test_the_page_has_the_verdict_every_combination_and_all_text_escaped() -> None:
    pytest.importorskip("matplotlib", reason="the page has plots")
    foreign = [Uncertainty(0.99, 0.01)] * 20
    made = trials(Plan(), {DEFAULT._replace(words=0.9): [1.0] * 20})
    for plan, some in ((Plan(), made), (Plan(origin="sentences"), [Trial(*_first(trial)) for trial in made])):
        result = summed(plan, some, foreign)
        text = render_calibration(result, collection=EVIL)
        page = Page(text)
        assert "<script" not in text
        assert not [name for name, _ in page.elements if name in {"link", "img", "iframe"}]
        words = " ".join(page.words)
        assert result.verdict in words
        assert "max_variance" in words
        rows = len([name for name, _ in page.elements if name == "tr"])
        assert rows == (1 + 5 + 1 + 30 if plan.origin == "judged" else 1 + 2)


def _first(trial: Trial) -> tuple[JudgedQuestion, bool, tuple[float, ...], tuple[float, ...], float]:
    return trial.question, trial.answerable, trial.found[:1], trial.variances[:1], trial.gain
