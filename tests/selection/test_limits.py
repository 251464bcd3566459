"""Selections with little to work with: nothing, repetitions only, hardly any noise, or nothing but noise."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from sift_rag.defaults import SELECTORS
from sift_rag.selection import Pool, posterior_variance, selector_from
from tests.oracles import greedy_by_definition, raw_batch, raw_block, raw_sift, unit_rows

KERNELS = ["rbf", "linear"]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("noise_variance", [1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e6])
def test_from_hardly_any_noise_to_nothing_but_noise_the_choice_is_that_of_the_definition(
    kernel: Any, noise_variance: float
) -> None:
    rng = np.random.default_rng(1)
    query, candidates = unit_rows(rng, 2, 12, dtype=np.float64), unit_rows(rng, 25, 12, spread=2, dtype=np.float64)
    settings: Any = {"kernel": kernel, "lengthscale": 0.5, "noise_variance": noise_variance}
    wanted, _ = greedy_by_definition(query, candidates, 6, **settings)
    assert raw_sift(query, candidates, 6, **settings).indices.tolist() == wanted
    assert raw_batch(query[None], candidates[None], 6, **settings).indices[0].tolist() == wanted


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("noise_variance", [1e-6, 2e-3, 1.0])
def test_hundreds_of_choices_leave_the_variance_of_the_definition(kernel: Any, noise_variance: float) -> None:
    rng = np.random.default_rng(2)
    query, candidates = unit_rows(rng, 1, 12), unit_rows(rng, 400, 12, spread=2)
    got = raw_sift(query, candidates, 400, kernel=kernel, noise_variance=noise_variance)
    assert sorted(got.indices.tolist()) == list(range(400))
    wanted = posterior_variance(query, candidates, kernel=kernel, noise_variance=noise_variance)
    assert got.posterior_variances[-1] == pytest.approx(wanted, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("objective", ["variance", "information"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("noise_variance", [1e-2, 1.0])
def test_copies_are_chosen_in_order_however_little_they_tell(
    kernel: Any, objective: Any, noise_variance: float
) -> None:
    # where in an array a row stands decides how its inner products are rounded
    for seed in range(12):
        rng = np.random.default_rng(seed)
        query, row = unit_rows(rng, 1 + 2 * (seed % 2), 256, spread=2), unit_rows(rng, 1, 256, spread=2)
        candidates = np.repeat(row, 50 + 17 * seed, axis=0)
        got = raw_sift(query, candidates, 8, kernel=kernel, objective=objective, noise_variance=noise_variance)
        assert got.indices.tolist() == list(range(8))
        if objective == "variance":
            several = raw_batch(query[None], candidates[None], 8, kernel=kernel, noise_variance=noise_variance)
            assert several.indices[0].tolist() == list(range(8))


@pytest.mark.parametrize("objective", ["variance", "information"])
def test_what_is_at_right_angles_tells_nothing_and_never_less(objective: Any) -> None:
    rng = np.random.default_rng(8)
    rotation = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    query, candidates = rng.normal(size=(2, 8)) @ rotation[:8], rng.normal(size=(40, 8)) @ rotation[8:]
    got = raw_sift(query, candidates, 40, kernel="linear", objective=objective, noise_variance=0.1)
    assert (got.gains >= 0).all()
    assert got.gains.max() < 1e-12


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_batch_of_copies_is_chosen_from_as_each_query_alone(kernel: Any) -> None:
    rng = np.random.default_rng(3)
    queries, distinct = unit_rows(rng, 3, 64), unit_rows(rng, 4, 64, spread=2)
    candidates = np.repeat(distinct, 250, axis=0)
    own = np.stack([candidates] * 3)[:, :150]
    for noise_variance in (1e-6, 0.1):
        shared = raw_batch(queries, candidates, 8, kernel=kernel, noise_variance=noise_variance)
        apart = raw_batch(queries, own, 40, kernel=kernel, noise_variance=noise_variance)
        for row, query in enumerate(queries):
            alone = raw_sift(query, candidates, 8, kernel=kernel, noise_variance=noise_variance)
            assert shared.indices[row].tolist() == alone.indices.tolist()
            assert apart.indices[row].tolist() == list(range(40))
            same = raw_sift(query, own[row], 40, kernel=kernel, noise_variance=noise_variance)
            assert same.indices.tolist() == list(range(40))


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_arithmetic_for_a_device_takes_copies_in_order(kernel: Any) -> None:
    rng = np.random.default_rng(3)
    queries = torch.from_numpy(unit_rows(rng, 8, 64, spread=2))[:, None]
    candidates = torch.from_numpy(unit_rows(rng, 8, 64, spread=2))[:, None].repeat(1, 151, 1)
    options: Any = {"kernel": kernel, "lengthscale": 0.5, "noise_variance": 0.1, "with_repeats": False}
    got = raw_block(queries, candidates, 10, **options)
    assert got.indices.tolist() == [list(range(10))] * 8


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize(("n", "k"), [(0, 0), (0, 3), (4, 0), (1, 5)])
def test_every_selector_takes_what_there_is(name: Any, n: int, k: int) -> None:
    rng = np.random.default_rng(4)
    got = selector_from(name).select(Pool(unit_rows(rng, 2, 8), unit_rows(rng, n, 8)), k).selection
    assert got.indices.tolist() == list(range(min(n, k)))
    assert got.indices.dtype == np.int64
    assert got.prior_variance == pytest.approx(2.0)
    assert got.stopped == ("k" if k <= n else "exhausted")


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("with_repeats", [False, True])
@pytest.mark.parametrize(("n", "k"), [(0, 0), (0, 3), (4, 0), (1, 5)])
def test_a_batch_takes_what_there_is(kernel: Any, with_repeats: bool, n: int, k: int) -> None:
    rng = np.random.default_rng(5)
    got = raw_batch(
        unit_rows(rng, 3, 8), unit_rows(rng, 3 * n, 8).reshape(3, n, 8), k, kernel=kernel, with_repeats=with_repeats
    )
    assert got.indices.shape == (3, k)
    taken = k if with_repeats and n else min(n, k)
    assert got.indices.tolist() == [[0] * taken + [-1] * (k - taken)] * 3
    assert [len(got[row]) for row in range(3)] == [taken] * 3


def test_zero_vectors_in_a_batch_tell_nothing_and_come_last() -> None:
    candidates = np.array([[0, 0], [0.5, 0], [0, 0], [1, 1]], dtype=np.float32)
    queries = np.array([[1, 0], [0, 0]], dtype=np.float32)
    got = raw_batch(queries, candidates, 4, kernel="linear")
    assert got.indices.tolist() == [[3, 1, 0, 2], [0, 1, 2, 3]]
    assert got.gains[0, 2:].tolist() == [0, 0]
    assert got.prior_variances.tolist() == [1, 0]


@pytest.mark.parametrize("kernel", KERNELS)
def test_from_two_threads_come_the_answers_of_one(kernel: Any) -> None:
    rng = np.random.default_rng(6)
    queries, candidates = unit_rows(rng, 16, 48), unit_rows(rng, 300, 48)

    def choose(query: np.ndarray) -> tuple[list[int], list[float]]:
        got = raw_sift(query, candidates, 20, kernel=kernel)
        return got.indices.tolist(), got.posterior_variances.tolist()

    wanted = [choose(query) for query in queries]
    with ThreadPoolExecutor(2) as threads:
        for _ in range(4):
            assert list(threads.map(choose, queries)) == wanted


class TestPosteriorVariance:
    def test_nothing_selected_leaves_the_prior(self) -> None:
        query = unit_rows(np.random.default_rng(7), 3, 8)
        for nothing in ([], np.zeros((0, 8))):
            assert posterior_variance(query, nothing) == pytest.approx(3.0)

    @pytest.mark.parametrize(
        ("query", "selected", "message"),
        [
            (np.ones(8), np.ones((6, 4)), "Expected query"),
            (np.ones(8), np.ones((2, 3, 8)), "Expected query"),
            (np.ones((2, 2, 8)), np.ones((2, 8)), "Expected query"),
            (np.full(8, np.nan), np.ones((2, 8)), "finite"),
            (np.ones(8), np.full((2, 8), np.inf), "finite"),
        ],
    )
    @pytest.mark.parametrize("kernel", KERNELS)
    def test_what_it_cannot_be_of_is_refused(
        self, query: np.ndarray, selected: np.ndarray, message: str, kernel: Any
    ) -> None:
        with pytest.raises(ValueError, match=message):
            posterior_variance(query, selected, kernel=kernel)
