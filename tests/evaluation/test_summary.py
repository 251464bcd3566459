"""Rows and sentences compared with values worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sift_rag.evaluation import Outcome, Task, summarise
from sift_rag.evaluation.metrics import bootstrap
from sift_rag.evaluation.rows import ALL
from tests.evaluation.conftest import answered, measured, outcome
from tests.examples import examples


def two_arms(context: list[float], finetune: list[float], seconds: tuple[float, float] = (1.0, 40.0)) -> list[Outcome]:
    """Tasks whose base needs 1 bit a byte, with these shares of it."""
    return [
        outcome(
            f"t{number}",
            1.0,
            measured("context", "nearest", 5, ours, seconds=seconds[0], passages=5),
            measured("finetune", "sift", 20, theirs, seconds=seconds[1]),
        )
        for number, (ours, theirs) in enumerate(zip(context, finetune, strict=True))
    ]


def test_a_row_is_the_mean_over_tasks_of_each_one_s_per_cent() -> None:
    outcomes = [
        outcome("a", 2.0, measured("context", "sift", 5, 1.0, seconds=1.0, tokens=10, passages=5)),
        outcome("b", 4.0, measured("context", "sift", 5, 3.0, seconds=2.0, tokens=30, passages=2)),
        outcome("c", 1.0, measured("context", "sift", 5, 1.0, seconds=6.0, tokens=50, passages=2)),
    ]
    (row,) = summarise(outcomes).rows
    assert (row.group, row.arm, row.selector, row.k, row.tasks) == (ALL, "context", "sift", 5, 3)
    assert row.percent_of_base == pytest.approx((50 + 75 + 100) / 3)
    assert row.standard_error == pytest.approx(25 / math.sqrt(3))
    assert row.difference == bootstrap([-50.0, -25.0, 0.0])
    assert (row.seconds_per_task, row.tokens_per_task, row.passages_per_task) == (3.0, 30.0, 3.0)
    assert (row.exact_match, row.f1, row.in_passages) == (None, None, None)


def test_the_base_is_all_bits_over_all_bytes() -> None:
    outcomes = [
        outcome("a", 1.0, measured("context", "sift", 5, 1.0), task=Task("a", "g", "x" * 10)),
        outcome("b", 4.0, measured("context", "sift", 5, 1.0), task=Task("b", "g", "é" * 15)),  # 30 bytes
    ]
    summary = summarise(outcomes)
    assert summary.base_bits_per_byte == pytest.approx((10 * 1 + 30 * 4) / 40)
    assert (summary.protocol, summary.tasks, summary.base_f1) == ("texts", 2, None)


def test_rows_come_by_arm_selector_and_k_first_of_all_tasks_then_by_group() -> None:
    def one(name: str, group: str, share: float) -> Outcome:
        rows = (("finetune", 20), ("finetune", 5), ("context", 5))
        return outcome(name, 1.0, *(measured(arm, "sift", k, share) for arm, k in rows), group=group)  # type: ignore[arg-type]

    summary = summarise([one("a", "law", 0.5), one("b", "code", 0.7), one("c", "law", 0.9)])
    assert [(row.group, row.arm, row.k) for row in summary.rows] == [
        (group, arm, k)
        for group in (ALL, "law", "code")
        for arm, k in (("context", 5), ("finetune", 5), ("finetune", 20))
    ]
    assert [row.percent_of_base for row in summary.rows[::3]] == pytest.approx([70.0, 70.0, 70.0])
    assert [row.tasks for row in summary.rows[::3]] == [3, 2, 1]
    assert {row.group for row in summarise([one("a", "law", 0.5)]).rows} == {ALL}  # one group is all


def test_a_group_named_all_is_not_taken_for_all_tasks() -> None:
    outcomes = [*two_arms([0.9], [0.5]), outcome("x", 1.0, measured("context", "nearest", 5, 0.1), group=ALL)]
    rows = [row for row in summarise(outcomes).rows if row.arm == "context"]
    assert [(row.group, row.tasks) for row in rows] == [(ALL, 2), ("one", 1), ("all (group)", 1)]
    assert [(row.group, row.tasks, row.percent_of_base) for row in summarise(outcomes).base] == [
        (ALL, 2, 100.0),
        ("one", 1, 100.0),
        ("all (group)", 1, 100.0),
    ]
    assert "with about 2 of 5 passages in the context (nearest) 50 %" in summarise(outcomes).verdict


def test_arms_are_weighed_over_the_tasks_that_all_of_them_have() -> None:
    more = [outcome("x", 1.0, measured("context", "nearest", 5, 0.01))]
    decision = summarise([*two_arms([0.9] * 10, [0.5] * 10), *more * 10]).decision
    assert (decision.recommended.arm, decision.alternative.arm) == ("finetune", "context")
    assert decision.margin == pytest.approx((40.0, 40.0, 40.0))
    with pytest.raises(ValueError, match="No task was measured in every arm"):
        summarise([*more, outcome("y", 1.0, measured("finetune", "nearest", 5, 0.5))])


def test_answers_are_shares_of_the_questions() -> None:
    question = Task("q", "g", "owls", "Who hunts?")
    right, wrong = answered("owls", exact=True, f1=1.0, found=True), answered("bees", f1=0.5)
    outcomes = [
        outcome("a", 1.0, measured("both", "sift", 5, 0.5, answered=right), task=question, answered=wrong),
        outcome("b", 1.0, measured("both", "sift", 5, 0.5, answered=wrong), task=question, answered=wrong),
    ]
    summary = summarise(outcomes)
    assert (summary.protocol, summary.base_exact_match, summary.base_f1) == ("questions", 0.0, 0.5)
    (row,) = summary.rows
    assert (row.exact_match, row.f1, row.in_passages) == (0.5, 0.75, 0.5)


def test_predictions_correlate_the_explained_share_with_the_bits_saved_at_the_largest_k() -> None:
    def one(name: str, predicted: float, share: float) -> Outcome:
        return outcome(
            name,
            2.0,
            measured("finetune", "sift", 5, 2 * (1 - share), predicted=predicted),
            measured("finetune", "sift", 20, 2 * share, predicted=predicted),
        )

    ten = [one(str(number), number / 100, 0.9 - number / 100) for number in range(10)]
    (prediction,) = summarise(ten).predictions
    assert (prediction.arm, prediction.selector, prediction.k) == ("finetune", "sift", 20)
    assert prediction.rank_correlation == pytest.approx(1.0)
    (prediction,) = summarise(ten[:9]).predictions
    assert prediction.rank_correlation is None


def test_candidates_left_out_are_counted_over_all_tasks() -> None:
    outcomes = [outcome(name, 1.0, measured("context", "sift", 5, 0.5), left_out=3) for name in "ab"]
    assert summarise(outcomes).left_out == 6


WIDE = [0.80, 0.82, 0.84, 0.86, 0.88, 0.90, 0.92, 0.94, 0.96, 0.98]
NARROW = [share - 0.11 for share in WIDE]


def test_fine_tuning_wins_where_the_interval_of_the_pairs_says_so() -> None:
    assert summarise(two_arms(WIDE, NARROW)).verdict == (
        "Fine-tune the model on passages: after 20 steps of fine-tuning (sift) the model needs 78 % of the bits "
        "that it needs alone, with 5 passages in the context (nearest) 89 %. Fine-tuning is ahead of the context by 11 "
        "points (95 % interval 11.0 to 11.0) and takes 40 times as long."
    )


def test_context_wins_where_the_interval_of_the_pairs_says_so() -> None:
    assert summarise(two_arms(NARROW, WIDE)).verdict == (
        "Put passages into the context: with 5 passages in the context (nearest) the model needs 78 % of the bits that "
        "it needs alone, after 20 steps of fine-tuning (sift) 89 %. The context is ahead of fine-tuning by 11 points "
        "(95 % interval 11.0 to 11.0) and is 40 times as fast."
    )


def test_within_chance_the_cheaper_one_is_recommended() -> None:
    level = two_arms([*WIDE, *NARROW], [*NARROW, *WIDE])
    summary = summarise(level)
    assert not summary.decision.beyond_chance
    assert summary.verdict.startswith("Put passages into the context: ")
    assert "no difference beyond chance between the context and fine-tuning (0 points, 95 %" in summary.verdict
    assert summary.verdict.endswith("the context is 40 times as fast.")
    dear = two_arms([*WIDE, *NARROW], [*NARROW, *WIDE], seconds=(40.0, 1.0))
    assert summarise(dear).decision.recommended.arm == "finetune"


def test_passages_that_do_harm_are_not_recommended() -> None:
    summary = summarise(two_arms([1.02] * 10, [1.1] * 10))
    assert summary.decision.recommended.arm == "base"
    assert summary.verdict == (
        "Leave the model as it is: with 5 passages in the context (nearest) the model needs 102 % of the bits that it "
        "needs alone, after 20 steps of fine-tuning (sift) 110 %. The model alone is ahead of the context by 2 points "
        "(95 % interval 2.0 to 2.0) and takes about as long."
    )


def test_every_arm_takes_part_with_its_best_setting() -> None:
    outcomes = [
        outcome(
            f"t{number}",
            1.0,
            measured("context", "nearest", 5, 0.5, passages=5),
            measured("context", "sift", 5, 0.4, passages=5),
            measured("window", "sift", 5, 0.45, passages=2),
            measured("finetune", "sift", 5, 0.9),
            measured("finetune", "sift", 20, 0.7),
            measured("both", "sift", 20, 0.1),
        )
        for number in range(10)
    ]
    assert summarise(outcomes, window=1024).verdict == (
        "Put passages into the context and fine-tune on them: with both (sift, k = 20) the model needs 10 % of the "
        "bits that it needs alone, with 5 passages in the context (sift) 40 %, with about 2 of 5 passages within 1,024 "
        "tokens (sift) 45 %, after 20 steps of fine-tuning (sift) 70 %. Doing both is ahead of the context by 30 "
        "points (95 % interval 30.0 to 30.0) and takes about as long."
    )


SHARES = st.lists(st.tuples(st.floats(0.2, 1.5), st.floats(0.2, 1.5)), min_size=1, max_size=20)
SECONDS = st.tuples(st.floats(1.5, 50.0), st.floats(1.5, 50.0))


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(SHARES, SECONDS)
def test_the_winner_s_margin_is_positive_and_swapping_the_arms_swaps_the_winner(
    shares: list[tuple[float, float]], seconds: tuple[float, float]
) -> None:
    first, second = [ours for ours, _ in shares], [theirs for _, theirs in shares]
    decision = summarise(two_arms(first, second, seconds)).decision
    swapped = summarise(two_arms(second, first, (seconds[1], seconds[0]))).decision
    for one in (decision, swapped):
        assert one.margin.mean >= -1e-9
        assert one.margin.low <= one.margin.mean + 1e-9 <= one.margin.high + 2e-9
        assert one.recommended != one.alternative
        if one.beyond_chance:
            assert one.margin.low > 0
            assert one.recommended.percent_of_base < one.alternative.percent_of_base
        elif len(shares) > 1:
            assert one.recommended.seconds_per_task <= one.alternative.seconds_per_task
    assume(fmean(first) != fmean(second) and seconds[0] != seconds[1])
    other = {"base": "base", "context": "finetune", "finetune": "context"}
    assert other[decision.recommended.arm] == swapped.recommended.arm
    assert other[decision.alternative.arm] == swapped.alternative.arm
    assert decision.margin.mean == pytest.approx(swapped.margin.mean)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_tasks_are_said_to_be_few(count: int) -> None:
    verdict = summarise(two_arms(WIDE[:count], NARROW[:count])).verdict
    assert verdict.endswith(f"Only {count} task{'s' if count > 1 else ''}: use more for a firmer result.")


def test_one_task_has_no_interval() -> None:
    summary = summarise(two_arms([0.9], [0.5]))
    assert not summary.decision.beyond_chance
    assert "Fine-tuning is ahead of the context by 40 points on the one task" in summary.verdict
    assert "interval" not in summary.verdict


def test_one_arm_alone_is_measured_against_the_base() -> None:
    outcomes = [
        outcome(str(n), 2.0, measured("finetune", "sift", 5, 1.0), measured("finetune", "mmr", 5, 1.2))
        for n in range(10)
    ]
    assert summarise(outcomes).verdict == (
        "Fine-tune the model on passages: after 5 steps of fine-tuning (sift) the model needs 50 % of the bits that it "
        "needs alone. Fine-tuning is ahead of the model alone by 50 points (95 % interval 50.0 to 50.0) and takes "
        "about as long."
    )


def test_the_model_alone_is_a_row_of_each_group() -> None:
    outcomes = [
        outcome("a", 2.0, measured("context", "sift", 5, 1.0), group="law"),
        outcome("b", 3.0, measured("context", "sift", 5, 1.0), group="code"),
    ]
    summary = summarise(outcomes)
    assert [(row.group, row.arm) for row in summary.all_rows] == [
        (group, arm) for group in (ALL, "law", "code") for arm in ("base", "context")
    ]
    for row in summary.base:
        assert (row.percent_of_base, row.standard_error, row.difference) == (100.0, 0.0, (0.0, 0.0, 0.0))
        assert (row.selector, row.k, row.seconds_per_task, row.tokens_per_task) == ("", 0, 1.0, 0)
        assert (row.reading_per_1000, row.training_per_1000) == (None, None)


def test_the_cost_of_a_thousand_tokens_is_that_of_all_tasks_together() -> None:
    def one(name: str, *, context: int, learnt: int, seconds: float) -> Outcome:
        both = measured(
            "both",
            "sift",
            5,
            1.0,
            tokens=context + learnt,
            learnt_tokens=learnt,
            learning_seconds=seconds,
            reading_seconds=0.5 + context / 1000,
        )
        found = outcome(name, 2.0, both)
        return replace(found, base=replace(found.base, reading_seconds=0.5))

    outcomes = [one("a", context=500, learnt=100, seconds=1.0), one("b", context=1500, learnt=300, seconds=1.0)]
    (row,) = summarise(outcomes).rows
    assert row.reading_per_1000 == pytest.approx(1.0)
    assert row.training_per_1000 == pytest.approx(5.0)


def test_a_context_too_short_to_cost_time_has_no_cost_of_a_thousand_tokens() -> None:
    (row,) = summarise([outcome("a", 2.0, measured("context", "sift", 5, 1.0))]).rows
    assert (row.reading_per_1000, row.training_per_1000) == (None, None)


def test_no_outcomes_have_no_summary() -> None:
    with pytest.raises(ValueError, match="no outcomes to summarise"):
        summarise([])
