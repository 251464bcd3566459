"""A selection reports: gains, relevance, redundancy, irreducible variance, and the pick that made each redundant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sift_rag.defaults import SELECTORS
from sift_rag.selection import Pool, Redundancy, posterior_variance, selector_from
from tests.examples import examples
from tests.oracles import raw_measure, raw_sift, unit_rows


@pytest.mark.parametrize("name", SELECTORS)
def test_gains_are_the_steps_of_the_variance_and_relevance_what_each_tells_alone(name: Any) -> None:
    rng = np.random.default_rng(2)
    targets, candidates, known = (unit_rows(rng, n, 8, dtype=np.float64) for n in (2, 20, 2))
    model: Any = {"lengthscale": 0.6, "noise_variance": 0.3}
    selector = selector_from(name, model | {"centring": 0.0})
    got = selector.select(Pool(targets, candidates, known=known, weights=[1.0, 1.0]), 6).selection
    steps = -np.diff([got.prior_variance, *got.posterior_variances])
    np.testing.assert_allclose(got.gains, steps, rtol=1e-8)
    alone = [got.prior_variance - posterior_variance(targets, [*known, candidates[i]], **model) for i in got.indices]
    np.testing.assert_allclose(got.relevance, alone, rtol=1e-8)
    np.testing.assert_allclose(got.redundancy, got.relevance - got.gains)
    assert got.redundancy[0] == 0


def test_a_copy_is_redundant_by_what_the_original_told_of_it() -> None:
    query = np.array([1.0, 0.0])
    got = raw_sift(query, np.array([[1.0, 0.0]] * 2), 2, kernel="linear", noise_variance=1.0)
    # variances 1, 1/2, 1/3: alone a copy tells 1/2, after the original 1/6
    np.testing.assert_allclose(got.gains, [1 / 2, 1 / 6])
    np.testing.assert_allclose(got.relevance, [1 / 2, 1 / 2])
    np.testing.assert_allclose(got.redundancy, [0, 1 / 3])


def test_picks_that_help_each_other_have_negative_redundancy() -> None:
    # The second reads off the noise that the first shares with it.
    query = np.array([1.0, 0.0])
    got = raw_sift(query, np.array([[1.0, 1.0], [0.0, 1.0]]), 2, kernel="linear", noise_variance=0.1)
    assert got.indices.tolist() == [0, 1]
    assert got.relevance[1] == 0
    assert got.redundancy[1] < 0


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("n", [5, 60])
def test_the_irreducible_variance_is_what_all_candidates_leave(kernel: Any, n: int) -> None:
    # 60 rows of 12 dimensions take the linear kernel's other way to the same value
    rng = np.random.default_rng(n)
    targets, candidates, known = (unit_rows(rng, rows, 12, dtype=np.float64) for rows in (2, n, 3))
    arguments: Any = {"kernel": kernel, "noise_variance": 0.2, "known": known, "weights": [1.0, 2.0]}
    got = raw_sift(targets, candidates, n, irreducible=True, **arguments)
    assert got.irreducible_variance == pytest.approx(got.posterior_variances[-1], rel=1e-9)
    assert raw_sift(targets, candidates, n, **arguments).irreducible_variance is None


def redundancy(query: Any, candidates: Any, order: Any, **options: Any) -> Redundancy:
    return raw_measure(query, candidates, order, **options).redundancy


class TestWhichPick:
    def test_a_copy_is_redundant_with_its_original(self) -> None:
        rng = np.random.default_rng(1)
        distinct = unit_rows(rng, 5, 16, spread=2)
        candidates = np.concatenate([distinct, distinct[::-1]])
        query = distinct.mean(0) / np.linalg.norm(distinct.mean(0))
        chosen = raw_sift(query, candidates, 5, noise_variance=0.01)
        got = redundancy(query, candidates, chosen.indices, noise_variance=0.01)
        place = {int(index): rank for rank, index in enumerate(chosen.indices)}
        for index in range(10):
            copy = 9 - index
            assert got.picks[index] == (-1 if index in place else place[copy])

    @given(seed=st.integers(0, 2**32), kernel=st.sampled_from(["rbf", "linear"]), targets=st.integers(1, 3))
    @settings(deadline=None, max_examples=examples(25))
    def test_it_is_the_largest_loss_of_gain_by_the_definition(self, seed: int, kernel: Any, targets: int) -> None:
        rng = np.random.default_rng(seed)
        query, candidates, known = (unit_rows(rng, n, 6, dtype=np.float64) for n in (targets, 12, 1))
        arguments: Any = {"kernel": kernel, "lengthscale": 0.7, "noise_variance": 0.3}
        chosen = raw_sift(query, candidates, 4, known=known, **arguments).indices
        got = redundancy(query, candidates, chosen, known=known, **arguments)

        def gain(index: int, picks: Any) -> float:
            before = np.concatenate([known, candidates[picks]])
            after = np.concatenate([before, candidates[[index]]])
            return posterior_variance(query, before, **arguments) - posterior_variance(query, after, **arguments)

        for index in range(12):
            if index in chosen:
                assert (got.picks[index], got.taken[index], got.gains[index]) == (-1, 0, 0)
                continue
            gains = np.array([gain(index, chosen[:t]) for t in range(5)])
            losses = gains[:-1] - gains[1:]
            assert got.gains[index] == pytest.approx(gains[-1], rel=1e-6, abs=1e-12)
            assert got.taken[index] == pytest.approx(max(losses.max(), 0), rel=1e-6, abs=1e-12)
            if losses.max() > 1e-9:
                assert losses[got.picks[index]] == pytest.approx(losses.max(), rel=1e-6)

    def test_nothing_chosen_makes_nothing_redundant(self) -> None:
        rows = unit_rows(np.random.default_rng(0), 4, 4)
        assert redundancy(rows[0], rows, []).picks.tolist() == [-1] * 4

    def test_tensors_give_tensors(self) -> None:
        rows = torch.from_numpy(unit_rows(np.random.default_rng(0), 6, 4))
        got = redundancy(rows[0], rows, torch.tensor([2, 3]))
        assert isinstance(got.picks, torch.Tensor)
        assert got.picks.tolist() == redundancy(rows[0].numpy(), rows.numpy(), [2, 3]).picks.tolist()

    def test_an_index_that_is_no_candidate_is_refused(self) -> None:
        rows = unit_rows(np.random.default_rng(0), 4, 4)
        with pytest.raises(ValueError, match="Indices"):
            redundancy(rows[0], rows, [4])
