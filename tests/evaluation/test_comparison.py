"""Every arm against its own computation, made from the parts."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from sift_rag.errors import ModelUnsuitable, TrainingFailed
from sift_rag.evaluation import Comparison, Outcome, Task, compare
from sift_rag.evaluation.comparison import _holds
from sift_rag.evaluation.contexts import ANSWER_TOKENS, ContextBuilder
from sift_rag.evaluation.metrics import exact_match, token_f1
from sift_rag.evaluation.outcomes import Measurement
from sift_rag.evaluation.selectors import COMPARED_SELECTORS
from sift_rag.finetuning import FineTuning, Tuner, score_text
from sift_rag.models.local import LocalModel
from sift_rag.retrieval.candidates import distinct_candidates
from sift_rag.selection import Pool, Texts, fine_tuning_selector
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import Candidate, Passage, Span
from tests.doubles import HashingEmbedder
from tests.evaluation.conftest import PASSAGES, TEXT, tiny_model
from tests.finetuning.states import state_of
from tests.retrieval.test_candidates import filled

TASK = Task("t", "g", TEXT)
QUESTION = Task("q", "g", "owls", "Who hunts at night?")
TUNING = FineTuning(rank=4, learning_rate=1e-2)
COMPARISON = Comparison(
    arms=("context", "finetune", "both"), selectors=("nearest", "sift"), ks=(1, 3), candidate_limit=4, tuning=TUNING
)


def outcomes(
    tasks: Sequence[Task], model: LocalModel, store: MemoryStore, embedder: HashingEmbedder, comparison: Comparison
) -> list[Outcome]:
    return list(compare(tasks, model=model, embedder=embedder, store=store, comparison=comparison))


def figures(measurements: Iterable[Measurement]) -> dict[tuple[str, str, int], Measurement]:
    """Return the figures by arm, selector and k, without the times."""
    measurements = list(measurements)
    found = {
        (one.arm, one.selector, one.k): replace(one, seconds=0.0, learning_seconds=0.0, reading_seconds=0.0)
        for one in measurements
    }
    assert len(found) == len(measurements)
    return found


def chosen(name: str, asked: str, store: MemoryStore, embedder: HashingEmbedder, k: int) -> tuple[list[str], ...]:
    """Return the passages that go into the context, and those that are trained on."""
    targets = embedder.embed_queries([asked])
    candidates = distinct_candidates(store, targets, COMPARISON.candidate_limit)
    rows = embedder.embed_passages([one.passage.embedding_text for one in candidates])
    selectors = (COMPARED_SELECTORS[name].for_context, fine_tuning_selector(name))
    pool = Pool(targets, rows, texts=Texts([asked], [one.passage.embedding_text for one in candidates]))
    orders = [() if one is None else one.select(pool, k).selection.indices for one in selectors]
    return tuple([candidates[i].passage.text for i in order] for order in orders)


def bits(model: LocalModel, passages: Sequence[str], task: Task = TASK) -> float:
    builder = ContextBuilder(model, task)
    score = score_text(model, builder.scored_text, context=builder.build(passages).tokens)
    return score.bits / len(task.text.encode())


@pytest.mark.parametrize("method", ["lora", "full"])
def test_each_arm_is_what_its_parts_give(
    method: Any, tokenizer: Any, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    tuning = replace(TUNING, method=method)
    comparison = replace(COMPARISON, tuning=tuning)
    (outcome,) = outcomes([TASK], tiny_model(tokenizer), store, embedder, comparison)
    model = tiny_model(tokenizer)
    assert outcome.base.bits_per_byte == score_text(model, TEXT).bits_per_byte
    found = figures(outcome.measurements)
    assert len(found) == 3 * 2 * 2
    tuner = Tuner(model, tuning)
    for selector in comparison.selectors:
        for k in comparison.ks:
            shown, trained = chosen(selector, TEXT, store, embedder, k)
            assert found["context", selector, k].bits_per_byte == bits(model, shown)
            assert found["context", selector, k].passages == k
            with tuner.tuned(trained) as result:
                finetune, both = found["finetune", selector, k], found["both", selector, k]
                assert finetune.bits_per_byte == bits(model, [])
                assert both.bits_per_byte == bits(model, shown)
            assert finetune.tokens == result.tokens
            assert both.tokens == result.tokens + found["context", selector, k].tokens
            assert len({finetune.bits_per_byte, both.bits_per_byte, outcome.base.bits_per_byte}) == 3


@pytest.mark.slow
def test_a_sweep_over_k_is_a_run_for_each(tokenizer: Any, embedder: HashingEmbedder) -> None:
    """Also where passages teach nothing, and where the collection is smaller than k."""
    texts = {"x.md": "x", "at.md": "at"} | PASSAGES
    task = Task("t", "g", "Owls AT X. By night owls hunt mice with ears; where bees dance; rain; moon.")
    store, ks = filled(texts, embedder), (1, 2, 5, 12)
    comparison = replace(
        COMPARISON, ks=ks, candidate_limit=20, selectors=("nearest", "repeated-nearest", "sift", "hull")
    )
    (together,) = outcomes([task], tiny_model(tokenizer), store, embedder, comparison)
    assert together.left_out == 0  # the passages of one token, which are in the pool
    apart: dict[tuple[str, str, int], Measurement] = {}
    for k in ks:
        (one,) = outcomes([task], tiny_model(tokenizer), store, embedder, replace(comparison, ks=(k,)))
        apart |= figures(one.measurements)
    assert figures(together.measurements) == apart
    assert len(apart) == len(ks) * (3 + 4 + 3)  # repeated-nearest has no context


@pytest.mark.slow
def test_passages_of_one_token_are_no_steps(tokenizer: Any, embedder: HashingEmbedder) -> None:
    store = filled({"a.md": "owls", "b.md": "at", "c.md": "x"}, embedder)
    model = tiny_model(tokenizer)
    lengths = [len(model.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in ("at", "x")]
    assert lengths == [1, 1]
    task = Task("q", "g", "owls", "at x")
    comparison = replace(COMPARISON, selectors=("nearest",), ks=(2, 3))
    (outcome,) = outcomes([task], model, store, embedder, comparison)
    found = figures(outcome.measurements)
    assert found["finetune", "nearest", 2].bits_per_byte == outcome.base.bits_per_byte
    assert found["finetune", "nearest", 2].tokens == 0
    assert found["both", "nearest", 2].bits_per_byte == found["context", "nearest", 2].bits_per_byte
    assert found["finetune", "nearest", 3].tokens > 0
    assert found["finetune", "nearest", 3].bits_per_byte != outcome.base.bits_per_byte


@pytest.mark.slow
def test_an_empty_collection_leaves_every_arm_at_the_base(model: LocalModel, embedder: HashingEmbedder) -> None:
    everything = replace(COMPARISON, selectors=("nearest", "repeated-nearest", "uncertainty", "mmr", "sift", "hull"))
    for store, task in (
        (filled({}, embedder), TASK),
        (filled({"t.md": TEXT, "part.md": TEXT[:20]}, embedder), TASK),  # all of it is left out
    ):
        (outcome,) = outcomes([task], model, store, embedder, everything)
        found = figures(outcome.measurements)
        assert len(found) == 2 * (5 + 6 + 5)
        assert {one.bits_per_byte for one in found.values()} == {outcome.base.bits_per_byte}
        assert {(one.tokens, one.passages, one.predicted) for one in found.values()} == {(0, 0, 0.0)}
        assert outcome.left_out == store.count()
    (outcome,) = outcomes([QUESTION], model, filled({}, embedder), embedder, replace(COMPARISON, ks=(3,)))
    assert outcome.base.answered is not None
    assert {one.answered for one in outcome.measurements} == {outcome.base.answered}


def test_the_text_itself_and_its_parts_do_not_help_to_predict_it(
    model: LocalModel, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    (expected,) = outcomes([TASK], model, store, embedder, replace(COMPARISON, candidate_limit=20))
    own = {"t.md": TEXT.replace(" ", "\n"), "whole.md": f"Before. {TEXT} After.", "part.md": TEXT[:30]}
    with_it = filled(PASSAGES | own, embedder)
    (outcome,) = outcomes([TASK], model, with_it, embedder, replace(COMPARISON, candidate_limit=20))
    assert outcome.left_out == 3
    assert figures(outcome.measurements) == figures(expected.measurements)
    assert outcome.examples == expected.examples


@pytest.mark.slow
def test_equal_tasks_give_equal_figures_whatever_came_before(
    model: LocalModel, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    tasks = [TASK, QUESTION, Task("u", "g", "Bees dance in the rain."), replace(TASK, id="again")]
    comparison = replace(COMPARISON, selectors=("sift",))
    first, question, _, again = outcomes(tasks, model, store, embedder, comparison)
    assert figures(first.measurements) == figures(again.measurements)
    (alone,) = outcomes([QUESTION], model, store, embedder, comparison)
    assert figures(alone.measurements) == figures(question.measurements)


@pytest.mark.slow
def test_the_model_is_bit_for_bit_what_it_was(model: LocalModel, store: MemoryStore, embedder: HashingEmbedder) -> None:
    before = state_of(model.network)
    outcomes([TASK, QUESTION], model, store, embedder, replace(COMPARISON, selectors=("sift",)))
    assert state_of(model.network) == before


def test_also_after_an_error_in_the_middle_of_a_task(
    model: LocalModel, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    before = state_of(model.network)
    wild = replace(COMPARISON, ks=(6,), tuning=FineTuning(method="full", learning_rate=1e30))
    with pytest.raises(TrainingFailed):
        outcomes([TASK], model, store, embedder, wild)
    assert state_of(model.network) == before
    assert outcomes([TASK], model, store, embedder, COMPARISON)


def test_also_when_it_is_interrupted_and_what_was_measured_stays(
    model: LocalModel, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    before = state_of(model.network)
    seen: list[str] = []

    def interrupt(task: Task) -> None:
        if task.id == "u":
            raise KeyboardInterrupt
        seen.append(task.id)

    tasks = [TASK, replace(TASK, id="u")]
    running = compare(tasks, model=model, embedder=embedder, store=store, comparison=COMPARISON, on_task=interrupt)
    kept = []
    with pytest.raises(KeyboardInterrupt):
        kept.extend(outcome.task.id for outcome in running)
    assert seen == ["t"]
    assert state_of(model.network) == before


def test_a_caller_that_stops_early_leaves_the_model_free(
    model: LocalModel, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    before = state_of(model.network)
    running = compare([TASK] * 3, model=model, embedder=embedder, store=store, comparison=COMPARISON)
    assert len(list(islice(running, 1))) == 1
    assert state_of(model.network) == before
    with Tuner(model, TUNING).tuned(["Owls hunt."]):
        pass


@pytest.mark.slow
def test_a_question_is_answered_by_the_model_as_it_is_in_each_arm(
    tokenizer: Any, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    assert QUESTION.question is not None
    comparison = replace(COMPARISON, selectors=("sift",))
    (outcome,) = outcomes([QUESTION], tiny_model(tokenizer), store, embedder, comparison)
    model = tiny_model(tokenizer)
    found, builder, tuner = figures(outcome.measurements), ContextBuilder(model, QUESTION), Tuner(model, TUNING)

    def answer(passages: Sequence[str]) -> str:
        text = "".join(model.stream(builder.messages(passages), max_new_tokens=ANSWER_TOKENS))
        return text.strip().partition("\n")[0].strip()

    assert outcome.base.answered is not None
    assert outcome.base.answered.answer == answer([])
    shown, trained = chosen("sift", QUESTION.question, store, embedder, 3)
    with tuner.tuned(trained):
        expected = {"finetune": answer([]), "both": answer(shown)}
        assert found["finetune", "sift", 3].bits_per_byte == bits(model, [], QUESTION)
        assert found["both", "sift", 3].bits_per_byte == bits(model, shown, QUESTION)
    expected["context"] = answer(shown)
    for arm, text in expected.items():
        answered = found[arm, "sift", 3].answered
        assert answered is not None
        assert answered.answer == text
        assert (answered.exact_match, answered.f1) == (exact_match(text, "owls"), token_f1(text, "owls"))
    assert expected["finetune"] != outcome.base.answered.answer


@pytest.mark.slow
def test_whether_the_answer_was_selected_is_told_for_all_that_was(tokenizer: Any, embedder: HashingEmbedder) -> None:
    """Not only for what the window held, and for what was trained on too."""
    texts = {"a.md": "who hunts " + "at night " * 25, "b.md": "who hunts: owls"}
    store = filled(texts, embedder)
    task = Task("q", "g", "Owls", "Who hunts at night?")
    comparison = replace(COMPARISON, selectors=("nearest",), ks=(1, 2))
    (outcome,) = outcomes([task], tiny_model(tokenizer, window=144), store, embedder, comparison)
    for (_, _, k), one in figures(outcome.measurements).items():
        assert one.answered is not None
        assert one.answered.in_passages is (k == 2), one
        assert one.passages < 2  # the window holds the first at most
    assert outcome.base.answered is not None
    assert not outcome.base.answered.in_passages


@pytest.mark.parametrize("window", [40, 64, 100, 255])
def test_a_limited_context_is_the_same_selection_cut_to_the_window(
    tokenizer: Any, store: MemoryStore, embedder: HashingEmbedder, window: int
) -> None:
    comparison = replace(COMPARISON, arms=("context",), ks=(1, 3, 6), window=window)
    model = tiny_model(tokenizer)
    (outcome,) = outcomes([TASK], model, store, embedder, comparison)
    (without,) = outcomes([TASK], model, store, embedder, replace(comparison, window=None))
    found = figures(outcome.measurements)
    of_context = {key: one for key, one in found.items() if key[0] == "context"}
    assert of_context == figures(without.measurements)  # the other arms keep the model's window
    assert outcome.base.bits_per_byte == without.base.bits_per_byte
    length = len(tokenizer(TEXT, add_special_tokens=False)["input_ids"])
    for (_, selector, k), one in of_context.items():
        limited = found["window", selector, k]
        builder = ContextBuilder(model, TASK, window)
        context = builder.build(chosen(selector, TEXT, store, embedder, k)[0])
        assert limited.passages == context.passages <= one.passages
        assert limited.tokens == (len(context.tokens) if context.passages else 0)
        assert limited.tokens + length <= window
        score = score_text(model, TEXT, context=context.tokens)
        assert limited.bits_per_byte == score.bits / len(TEXT.encode())
        if limited.passages == one.passages:
            assert limited.bits_per_byte == one.bits_per_byte


@pytest.mark.parametrize("arms", [("context",), ("finetune",)])
def test_a_limited_context_is_an_arm_beside_any_other(
    arms: tuple[str, ...], tokenizer: Any, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    comparison = replace(COMPARISON, arms=arms, selectors=("sift", "repeated-nearest"), ks=(1,), window=128)
    comparison = comparison if arms == ("finetune",) else replace(comparison, selectors=("sift",))
    (outcome,) = outcomes([TASK], tiny_model(tokenizer), store, embedder, comparison)
    assert {one.arm for one in outcome.measurements} == {*arms, "window"}
    assert [one.selector for one in outcome.measurements if one.arm == "window"] == ["sift"]


@pytest.mark.parametrize("window", [256, 1000])
def test_a_limit_that_is_none_is_refused_before_anything_is_measured(
    window: int, model: LocalModel, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    with pytest.raises(ValueError, match=rf"window is {window:,} tokens, but 'tiny' itself reads 256: expected fewer"):
        outcomes([TASK], model, store, embedder, replace(COMPARISON, window=window))


def test_times_and_tokens_are_those_of_learning_and_of_reading(
    model: LocalModel, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    (outcome,) = outcomes([TASK], model, store, embedder, COMPARISON)
    for one in (outcome.base, *outcome.measurements):
        learns = one.arm in {"finetune", "both"}
        assert one.reading_seconds > 0
        assert one.learning_seconds + one.reading_seconds <= one.seconds
        assert (one.learning_seconds > 0) is (one.learnt_tokens > 0) is learns
        assert (one.tokens > one.learnt_tokens) is (one.arm in {"context", "both"})


@pytest.mark.slow
def test_one_training_is_scored_at_every_k_and_nothing_is_left_behind(
    model: LocalModel, store: MemoryStore, embedder: HashingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings: list[int] = []
    tuned = Tuner.tuned

    def counted(self: Tuner, passages: Sequence[str], **keywords: Any) -> Any:
        trainings.append(len(passages))
        return tuned(self, passages, **keywords)

    monkeypatch.setattr(Tuner, "tuned", counted)
    comparison = replace(COMPARISON, ks=(1, 5, 20, 50), candidate_limit=20)
    tasks = [replace(TASK, id=str(number)) for number in range(6)]
    tensors = []
    for outcome in compare(tasks, model=model, embedder=embedder, store=store, comparison=comparison):
        assert len(figures(outcome.measurements)) == 3 * 2 * 4
        gc.collect()
        tensors.append(sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects()))
    assert trainings == [6, 50] * len(tasks)  # the collection has 6 passages, and sift may repeat them
    assert len(set(tensors[1:])) == 1


def test_what_a_task_says_is_predicted_lies_between_nothing_and_all(
    model: LocalModel, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    (outcome,) = outcomes([TASK], model, store, embedder, COMPARISON)
    found = figures(outcome.measurements)
    assert outcome.base.predicted is None
    for arm in ("context", "finetune", "both"):
        few, many = (found[arm, "sift", k].predicted for k in (1, 3))
        assert few is not None
        assert many is not None
        assert 0 < few < many < 1
        nearest = found[arm, "nearest", 3].predicted
        assert nearest is not None
        assert nearest <= many  # of the same surrogate sift explains most


def test_examples_are_the_first_passages_chosen_and_how_often_they_are_trained_on(
    model: LocalModel, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    repeated = replace(COMPARISON, selectors=("repeated-nearest", "nearest"), ks=(7,))
    (outcome,) = outcomes([TASK], model, store, embedder, repeated)
    _, trained = chosen("repeated-nearest", TEXT, store, embedder, 7)
    assert [(example.text, example.times) for example in outcome.examples["repeated-nearest"]] == [(trained[0], 7)]
    assert [example.times for example in outcome.examples["nearest"]] == [1, 1, 1]


def test_a_time_budget_ends_the_training_and_every_k_still_has_a_figure(
    tokenizer: Any, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    hurried = replace(COMPARISON, selectors=("repeated-nearest",), ks=(2, 9), tuning=replace(TUNING, seconds=1e-9))
    (outcome,) = outcomes([TASK], tiny_model(tokenizer), store, embedder, hurried)
    model = tiny_model(tokenizer)
    with Tuner(model, TUNING).tuned(chosen("repeated-nearest", TEXT, store, embedder, 1)[1]):
        expected = bits(model, [])
    assert {one.k: one.bits_per_byte for one in outcome.measurements} == {2: expected, 9: expected}


def test_a_text_that_is_too_long_is_named_before_anything_is_measured(
    model: LocalModel, store: MemoryStore, embedder: HashingEmbedder
) -> None:
    with pytest.raises(ValueError, match="'endless' is longer than 64 times what the embedder reads"):
        next(
            compare(
                [TASK, Task("endless", "g", "owls " * 64 * 65)],
                model=model,
                embedder=embedder,
                store=store,
                comparison=COMPARISON,
            )
        )


def test_a_long_text_is_searched_by_all_its_pieces(tokenizer: Any, embedder: HashingEmbedder) -> None:
    store = filled({"bees.md": "Bees dance in daylight.", "owls.md": "Owls hunt in moonlight."}, embedder)
    text = "owls hunt mice " * 30 + "bees dance there " * 30
    comparison = replace(COMPARISON, arms=("context",), selectors=("nearest",), ks=(2,), candidate_limit=1)
    (outcome,) = outcomes([Task("t", "g", text)], tiny_model(tokenizer), store, embedder, comparison)
    assert {example.source for example in outcome.examples["nearest"]} == {"bees.md", "owls.md"}


def test_a_question_without_room_is_named(tokenizer: Any, store: MemoryStore, embedder: HashingEmbedder) -> None:
    with pytest.raises(ModelUnsuitable, match="question of 'q'"):
        outcomes(
            [replace(QUESTION, question="owls " * 60)], tiny_model(tokenizer, window=64), store, embedder, COMPARISON
        )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"arms": ("context", "magic")}, "arms is magic: expected some of context, finetune, both"),
        ({"arms": ()}, "arms is empty"),
        ({"selectors": ("random",)}, "selectors is random: expected some of nearest, "),
        ({"selectors": ()}, "selectors is empty"),
        ({"ks": ()}, "at least one number"),
        ({"ks": (5, 0)}, "each at least 1"),
        ({"candidate_limit": 0}, "candidate_limit must be >= 1"),
        ({"window": 1}, "window is 1: expected at least 2 tokens"),
        ({"arms": ("context", "both"), "selectors": ("repeated-nearest",)}, "is only for fine-tuning"),
    ],
)
def test_what_cannot_be_compared_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Comparison(**wrong)


@pytest.mark.parametrize(
    ("passage", "is_left_out"),
    [
        ("{text}", True),
        ("{middle}", True),
        ("before it {text} after it", True),
        ("a sentence that comes before. {start}", True),
        ("{end} A sentence that comes after.", True),
        ("{end}", True),
        ("a sentence before. {short} and another one", False),
        ("{middle} But it goes on otherwise, as a version of the text does.", False),
    ],
)
def test_what_stands_around_the_text_in_its_own_document_is_left_out(passage: str, is_left_out: bool) -> None:
    words = [f"word{number}" for number in range(60)]
    text = " ".join(words)
    parts = {
        "text": text,
        "middle": " ".join(words[20:40]),
        "start": " ".join(words[:20]),
        "end": "\n".join(words[40:]),
        "short": " ".join(words[:5]),
    }
    candidate = Candidate(Passage("id", passage.format(**parts), "a.txt", Span(0, 1)), 0.5, np.ones(1, np.float32))
    assert _holds(text, candidate) is is_left_out
