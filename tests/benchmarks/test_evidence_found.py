from __future__ import annotations

import numpy as np
import pytest

from benchmarks.common.datasets import RetrievalTask
from benchmarks.common.embedding import EmbeddedTask, nearest_rows
from benchmarks.common.intervals import area_under_curve, over_questions, paired_difference
from benchmarks.common.methods import alternatives, read_method, select_fused, select_in_turn
from benchmarks.quality.evidence_found import KS, affordable, found_by, found_within
from sift_rag import defaults
from sift_rag.selection import Nearest, Pool, Sift, Stopping, select_sift, selector_from


def on_the_sphere(rows: int, dimension: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def nearest(target: np.ndarray, candidates: np.ndarray, k: int) -> list[int]:
    chosen: list[int] = Nearest().select(Pool(target, candidates), k).selection.indices.tolist()
    return chosen


def asked_of(targets: np.ndarray, candidates: np.ndarray) -> Pool:
    return Pool(targets, candidates, token_counts=3 + np.arange(len(candidates)) % 7)


def small_task() -> EmbeddedTask:
    passages = on_the_sphere(30, 8, seed=1)
    task = RetrievalTask(
        name="small",
        passages=tuple(f"p{i}" for i in range(30)),
        holds=tuple(frozenset({i}) for i in range(30)),
        questions=(("q",),),
        needs=(frozenset(range(30)),),
    )
    return EmbeddedTask(task, passages, np.full(30, 10), (on_the_sphere(1, 8, seed=2),), (np.arange(30),))


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_a_variant_that_changes_nothing_chooses_what_sift_chooses(targets: int, noise: float) -> None:
    asked = asked_of(on_the_sphere(targets, 8, seed=3), on_the_sphere(30, 8, seed=1))
    chosen = read_method(f"variant:noise_variance={noise}", asked.candidates)(asked, 12)
    expected = select_sift(
        asked.targets, asked.candidates, 12, noise_variance=noise, centring=0, weights=np.ones(targets)
    )
    assert list(chosen) == expected.indices.tolist()


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("name", defaults.SELECTORS)
def test_a_method_without_parameters_chooses_what_the_product_chooses(name: str, targets: int) -> None:
    asked = asked_of(on_the_sphere(targets, 8, seed=3), on_the_sphere(30, 8, seed=1))
    chosen = read_method(name, asked.candidates)(asked, 12)
    product = selector_from(name).select(Pool(asked.targets, asked.candidates), 12)
    assert list(chosen) == product.selection.indices.tolist()


def test_sift_weighs_targets_the_same_where_it_is_told_not_to_balance_them() -> None:
    asked = asked_of(on_the_sphere(3, 8, seed=3), on_the_sphere(30, 8, seed=1))
    balanced, plain = (read_method(text, asked.candidates)(asked, 12) for text in ("sift", "sift:balanced=0"))
    weighted = Sift().select(Pool(asked.targets, asked.candidates, weights=np.ones(3)), 12)
    assert list(plain) == weighted.selection.indices.tolist()
    assert list(balanced) != list(plain)


def test_centring_changes_what_a_baseline_compares() -> None:
    candidates = on_the_sphere(30, 8, seed=1) + np.eye(8, dtype=np.float32)[0]
    candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
    target = on_the_sphere(1, 8, seed=2)
    shift = 0.9 * candidates.mean(axis=0)
    shifted = (candidates - shift) / np.linalg.norm(candidates - shift, axis=1, keepdims=True)
    by_hand = np.argsort(-(shifted @ (target[0] - shift)))[:12].tolist()
    plain, centred = (
        list(read_method(text, candidates)(asked_of(target, candidates), 12))
        for text in ("nearest", "nearest:centring=0.9")
    )
    assert centred == by_hand != plain == nearest(target, candidates, 12)


def test_alternatives_stand_for_every_combination() -> None:
    assert list(alternatives("nearest")) == ["nearest"]
    assert list(alternatives("mmr:relevance=0.8/0.9,centring=0/0.5")) == [
        "mmr:relevance=0.8,centring=0",
        "mmr:relevance=0.8,centring=0.5",
        "mmr:relevance=0.9,centring=0",
        "mmr:relevance=0.9,centring=0.5",
    ]


def test_a_share_is_given_for_each_k() -> None:
    found = found_by("nearest", small_task())
    assert found.shares.shape == (1, len(KS))
    assert found.shares[0].tolist() == pytest.approx([k / 30 for k in KS])
    assert found.sizes[0].tolist() == list(KS)


def test_a_budget_ends_at_what_does_not_fit_or_passes_over_it() -> None:
    token_counts = np.array([5, 4, 1, 3])
    order = [1, 0, 2, 3]
    assert affordable(order, token_counts, 8, "stop") == [1]
    assert affordable(order, token_counts, 8, "skip") == [1, 2, 3]
    assert affordable(order, token_counts, 13, "stop") == [1, 0, 2, 3]
    assert affordable(order, token_counts, 3, "stop") == []


def test_what_a_budget_affords_of_an_order_by_gain_per_token_is_what_the_library_stops_at() -> None:
    asked = asked_of(on_the_sphere(1, 8, seed=3), on_the_sphere(30, 8, seed=1))
    order = read_method("sift:per_token=1", asked.candidates)(asked, 30)
    choice = Sift().select(
        Pool(asked.targets, asked.candidates, token_counts=asked.token_counts), 30, stopping=Stopping(tokens=40)
    )
    assert 1 < len(choice.selection) < 30
    assert affordable(order, asked.token_counts, 40, "stop") == choice.selection.indices.tolist()


def test_a_budget_too_small_for_any_passage_finds_nothing() -> None:
    stopping, skipping = found_within("nearest", small_task(), [9, 35])
    assert stopping.shares[0].tolist() == skipping.shares[0].tolist() == pytest.approx([0.0, 3 / 30])
    assert stopping.sizes[0].tolist() == [0, 3]


def test_a_pool_leaves_out_what_it_is_told_to() -> None:
    passages = on_the_sphere(30, 8, seed=1)
    target = on_the_sphere(1, 8, seed=2)
    order = nearest(target, passages, 30)
    assert nearest_rows(target, passages, 5).tolist() == order[:5]
    assert nearest_rows(target, passages, 5, without=order[:2]).tolist() == order[2:7]
    assert nearest_rows(target, passages, 100, without=order[:2]).tolist() == order[2:]


def test_reciprocal_rank_fusion_prefers_what_two_rankings_share_and_turns_take_each_ones_best() -> None:
    asked = asked_of(np.eye(2), np.array([[1.0, 0.0], [0.9, 0.8], [0.0, 1.0], [0.1, 0.1]]))
    assert list(select_fused(asked, 1)) == [1]
    assert list(select_in_turn(asked, 3)) == [0, 2, 1]


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


def test_the_area_under_the_curve_counts_pairs_in_the_right_order_and_ties_half() -> None:
    assert area_under_curve(np.array([3.0, 2.0]), np.array([1.0, 0.0])) == 1.0
    assert area_under_curve(np.array([1.0, 0.0]), np.array([3.0, 2.0])) == 0.0
    assert area_under_curve(np.array([2.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(3.5 / 4)
    scores = np.random.default_rng(0).random(200)
    estimate = over_questions(area_under_curve, scores + 0.2, scores)
    assert 0.5 < estimate.low < estimate.value < estimate.high < 1.0


@pytest.mark.parametrize(
    "text", ["unknown", "sift:lambda=1", "sift:centring=2", "mmr:relevance=2", "variant:colour=1", "mmr:relevance"]
)
def test_a_method_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(SystemExit, match="is not a method"):
        read_method(text, small_task().passages)
