"""Questions asked together keep all their parts and all their evidence."""

from __future__ import annotations

from benchmarks.common.datasets import RetrievalTask
from research.asked_together import together


def test_each_question_is_used_once_with_its_evidence() -> None:
    task = RetrievalTask(
        "small",
        passages=("p",),
        holds=(frozenset({0}),),
        questions=tuple((f"q{number}",) for number in range(7)),
        needs=tuple(frozenset({number, 10}) for number in range(7)),
    )
    joined = together(task, 3)
    assert joined.questions == (("q0", "q2", "q4"), ("q1", "q3", "q5"))
    assert joined.needs == (frozenset({0, 2, 4, 10}), frozenset({1, 3, 5, 10}))
