"""Rows and sentences compared with values worked out by hand."""

from __future__ import annotations

import math

import pytest

from sift_rag.evaluation import Outcome, Task, summarise
from sift_rag.evaluation.metrics import bootstrap
from sift_rag.evaluation.summary import ALL
from tests.evaluation.conftest import answered, measured, outcome


def two_arms(context: list[float], finetune: list[float], seconds: tuple[float, float] = (1.0, 40.0)) -> list[Outcome]:
    """Tasks whose base needs 1 bit a byte, with these shares of it."""
    return [
        outcome(
            f"t{number}",
            1.0,
            measured("context", "nearest", 5, ours, seconds=seconds[0]),
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
    assert "context (nearest, k = 5) 50 %" in summarise(outcomes).verdict


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

    (prediction,) = summarise([one("a", 0.1, 0.9), one("b", 0.2, 0.8), one("c", 0.3, 0.7)]).predictions
    assert (prediction.arm, prediction.selector, prediction.k) == ("finetune", "sift", 20)
    assert prediction.rank_correlation == pytest.approx(1.0)
    (prediction,) = summarise([one("a", 0.1, 0.9), one("b", 0.2, 0.8)]).predictions
    assert prediction.rank_correlation is None


def test_candidates_left_out_are_counted_over_all_tasks() -> None:
    outcomes = [outcome(name, 1.0, measured("context", "sift", 5, 0.5), left_out=3) for name in "ab"]
    assert summarise(outcomes).left_out == 6


WIDE = [0.80, 0.82, 0.84, 0.86, 0.88, 0.90, 0.92, 0.94, 0.96, 0.98]
NARROW = [share - 0.11 for share in WIDE]


def test_fine_tuning_wins_where_the_interval_of_the_pairs_says_so() -> None:
    verdict = summarise(two_arms(WIDE, NARROW)).verdict
    assert verdict == (
        "Fine-tuning (sift, k = 20) needs 78 % of the bits that the model needs alone, context (nearest, k = 5) 89 %: "
        "fine-tuning wins by 11 points on this corpus (95 % interval +11.0 to +11.0); context is 40 times cheaper."
    )


def test_context_wins_where_the_interval_of_the_pairs_says_so() -> None:
    verdict = summarise(two_arms(NARROW, WIDE, seconds=(5.0, 2.5))).verdict
    assert "context wins by 11 points on this corpus (95 % interval -11.0 to -11.0)" in verdict
    assert verdict.endswith("fine-tuning is 2 times cheaper.")


def test_nobody_wins_within_chance() -> None:
    verdict = summarise(two_arms([*WIDE, *NARROW], [*NARROW, *WIDE])).verdict
    assert "no difference beyond chance on this corpus (+0.0 points, 95 % interval -" in verdict
    assert "wins" not in verdict


def test_the_best_setting_of_each_arm_is_compared() -> None:
    outcomes = [
        outcome(
            f"t{number}",
            1.0,
            measured("context", "nearest", 5, 0.5),
            measured("context", "sift", 5, 0.4),
            measured("finetune", "sift", 5, 0.9),
            measured("finetune", "sift", 20, 0.7),
            measured("both", "sift", 20, 0.1),
        )
        for number in range(10)
    ]
    verdict = summarise(outcomes).verdict
    assert "Fine-tuning (sift, k = 20) needs 70 %" in verdict
    assert "context (sift, k = 5) 40 %: context wins by 30 points" in verdict


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_tasks_are_said_to_be_few(count: int) -> None:
    verdict = summarise(two_arms(WIDE[:count], NARROW[:count])).verdict
    assert verdict.endswith(f"Only {count} task{'s' if count > 1 else ''}: use more for a firmer result.")


def test_one_task_has_no_winner() -> None:
    verdict = summarise(two_arms([0.9], [0.5])).verdict
    assert "wins" not in verdict
    assert "fine-tuning is ahead by 40 points on the one task" in verdict


def test_one_arm_alone_is_measured_against_the_base() -> None:
    outcomes = [
        outcome(str(n), 2.0, measured("finetune", "sift", 5, 1.0), measured("finetune", "mmr", 5, 1.2))
        for n in range(10)
    ]
    assert summarise(outcomes).verdict == (
        "Fine-tuning with sift at k = 5 needs 50 % of the bits that the model needs alone."
    )


def test_no_outcomes_have_no_summary() -> None:
    with pytest.raises(ValueError, match="no outcomes to summarise"):
        summarise([])
