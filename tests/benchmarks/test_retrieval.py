from __future__ import annotations

import numpy as np
import pytest

from benchmarks.datasets import RetrievalTask
from benchmarks.retrieval import (
    KS,
    EmbeddedTask,
    found_by,
    paired_difference,
    read_method,
    select_fused,
    select_in_turn,
)
from sift_rag.selection import select_sift


def on_the_sphere(rows: int, dimension: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def small_task() -> EmbeddedTask:
    passages = on_the_sphere(30, 8, seed=1)
    task = RetrievalTask(
        name="small",
        passages=tuple(f"p{i}" for i in range(30)),
        holds=tuple(frozenset({i}) for i in range(30)),
        questions=(("q",),),
        needs=(frozenset(range(30)),),
    )
    return EmbeddedTask(task, passages, (on_the_sphere(1, 8, seed=2),), (np.arange(30),))


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_a_variant_that_changes_nothing_chooses_what_sift_chooses(targets: int, noise: float) -> None:
    embedded = small_task()
    asked = on_the_sphere(targets, 8, seed=3)
    chosen = read_method(f"variant:noise_variance={noise}", embedded)(asked, embedded.passages, 12)
    assert list(chosen) == select_sift(asked, embedded.passages, 12, noise_variance=noise).indices.tolist()


def test_a_share_is_given_for_each_k() -> None:
    shares = found_by("nearest", small_task())
    assert shares.shape == (1, len(KS))
    assert shares[0].tolist() == pytest.approx([k / 30 for k in KS])


def test_reciprocal_rank_fusion_prefers_what_two_rankings_share_and_turns_take_each_ones_best() -> None:
    candidates = np.array([[1.0, 0.0], [0.9, 0.8], [0.0, 1.0], [0.1, 0.1]])
    targets = np.eye(2)
    assert list(select_fused(targets, candidates, 1)) == [1]
    assert list(select_in_turn(targets, candidates, 3)) == [0, 2, 1]


def test_the_interval_of_a_difference_holds_its_mean_and_is_the_same_in_every_run() -> None:
    generator = np.random.default_rng(0)
    theirs = generator.random(200)
    ours = theirs + generator.normal(0.05, 0.2, size=200)
    difference = paired_difference(ours, theirs)
    assert difference.low < difference.mean < difference.high
    assert difference == paired_difference(ours, theirs)
    standard_error = 100 * (ours - theirs).std() / 200**0.5
    assert difference.high - difference.low == pytest.approx(2 * 1.96 * standard_error, rel=0.05)
    assert paired_difference(theirs, theirs) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("text", ["unknown", "sift:lambda=1", "mmr:relevance=2", "variant:colour=1"])
def test_a_method_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(SystemExit, match="is not a method"):
        read_method(text, small_task())
