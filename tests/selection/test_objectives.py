"""Weights, information, kernel functions, precision: what ``raw_sift`` can be asked for beyond the plain choice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sift_rag.selection import posterior_variance
from sift_rag.selection.conditioning import ArrayPosterior, TensorPosterior
from sift_rag.selection.greedy import first_largest
from sift_rag.selection.information import TARGET_JITTER
from tests.oracles import (
    greedy_argmax,
    greedy_by_definition,
    information,
    kernel_values,
    raw_problem,
    raw_sift,
    unit_rows,
)

KERNELS = ["rbf", "linear"]


class TestWeights:
    def test_the_heavier_target_is_answered_first(self) -> None:
        targets = np.eye(2, dtype=np.float32)
        assert raw_sift(targets, targets, 1, weights=[1, 3]).indices.tolist() == [1]
        assert raw_sift(targets, targets, 1, weights=[3, 1]).indices.tolist() == [0]

    @pytest.mark.parametrize("kernel", KERNELS)
    @pytest.mark.parametrize("targets", [1, 3])
    def test_weighted_targets_equal_the_definition(self, kernel: Any, targets: int) -> None:
        rng = np.random.default_rng(targets)
        query, candidates, known = (unit_rows(rng, n, 10, dtype=np.float64) for n in (targets, 25, 2))
        weights = rng.uniform(0.1, 5.0, targets)
        settings: Any = {"kernel": kernel, "lengthscale": 0.5, "noise_variance": 0.3, "weights": weights}
        wanted, variances = greedy_by_definition(query, candidates, 6, known=known, **settings)
        got = raw_sift(query, candidates, 6, known=known, **settings)
        assert got.indices.tolist() == wanted
        np.testing.assert_allclose(got.posterior_variances, variances, rtol=1e-9)
        assert got.prior_variance == pytest.approx(posterior_variance(query, known, **settings))

    def test_a_target_of_weight_zero_is_no_target(self) -> None:
        rng = np.random.default_rng(0)
        query, candidates = unit_rows(rng, 2, 8), unit_rows(rng, 20, 8)
        alone, weighted = raw_sift(query[0], candidates, 5), raw_sift(query, candidates, 5, weights=[1, 0])
        assert weighted.indices.tolist() == alone.indices.tolist()
        np.testing.assert_allclose(weighted.posterior_variances, alone.posterior_variances, rtol=1e-6)

    @pytest.mark.parametrize("weights", [[1.0], [1, -1], [0, 0], [1, np.nan], [[1, 1]]])
    def test_weights_out_of_range_are_refused(self, weights: Any) -> None:
        rows = unit_rows(np.random.default_rng(0), 4, 4)
        with pytest.raises(ValueError, match=r"[Ww]eight"):
            raw_sift(rows[:2], rows, 2, weights=weights)


class TestInformation:
    @pytest.mark.parametrize("kernel", KERNELS)
    @pytest.mark.parametrize("targets", [1, 3])
    @pytest.mark.parametrize("noise_variance", [0.05, 1.0])
    @pytest.mark.parametrize("known", [0, 2])
    def test_each_step_and_its_gain_are_the_difference_of_log_determinants(
        self, kernel: Any, targets: int, noise_variance: float, known: int
    ) -> None:
        rng = np.random.default_rng(10 * targets + known)
        query, candidates, given = (unit_rows(rng, n, 10, spread=2, dtype=np.float64) for n in (targets, 20, known))
        settings: Any = {"kernel": kernel, "lengthscale": 0.7, "noise_variance": noise_variance}

        def told(rows: np.ndarray) -> float:
            return information(query, np.concatenate([given, rows]), jitter=TARGET_JITTER, **settings)

        wanted = greedy_argmax(20, 6, lambda chosen, i: told(candidates[[*chosen, i]]))
        got = raw_sift(query, candidates, 6, objective="information", known=given, **settings)
        assert got.indices.tolist() == wanted
        np.testing.assert_allclose(got.gains.sum(), told(candidates[wanted]) - told(candidates[:0]), rtol=1e-6)
        alone = [told(candidates[[i]]) - told(candidates[:0]) for i in wanted]
        np.testing.assert_allclose(got.relevance, alone, rtol=1e-6)
        measured = posterior_variance(query, np.concatenate([given, candidates[wanted]]), **settings)
        assert got.posterior_variances[-1] == pytest.approx(measured)

    def test_targets_of_any_length_are_known_up_to_the_same_share(self) -> None:
        rng = np.random.default_rng(8)
        query = np.array([[30.0], [5.0]]) * unit_rows(rng, 2, 6).astype(float)
        candidates = unit_rows(rng, 10, 6).astype(float)
        settings: Any = {"kernel": "linear", "lengthscale": 1.0, "noise_variance": 1e-4}
        got = raw_sift(query, candidates, 4, objective="information", kernel="linear", noise_variance=1e-4)
        largest = float((query**2).sum(axis=1).max())
        told = information(query, candidates[got.indices], jitter=TARGET_JITTER * largest, **settings)
        assert got.gains.sum() == pytest.approx(told, rel=1e-6)

    def test_tensors_are_told_the_same(self) -> None:
        rng = np.random.default_rng(5)
        query, candidates = unit_rows(rng, 3, 8), unit_rows(rng, 30, 8)
        wanted = raw_sift(query, candidates, 6, kernel=cubic, objective="information")
        tensors = torch.from_numpy(query), torch.from_numpy(candidates)
        got = raw_sift(*tensors, 6, kernel=cubic, objective="information")
        assert got.indices.tolist() == wanted.indices.tolist()
        np.testing.assert_allclose(got.gains, wanted.gains, rtol=1e-9)

    def test_on_one_target_it_makes_the_choice_of_the_variance(self) -> None:
        rng = np.random.default_rng(3)
        query, candidates = unit_rows(rng, 1, 12, dtype=np.float64), unit_rows(rng, 40, 12, dtype=np.float64)
        by_variance, by_information = (
            raw_sift(query, candidates, 10, noise_variance=0.1, objective=objective)
            for objective in ("variance", "information")
        )
        assert by_information.indices.tolist() == by_variance.indices.tolist()

    def test_equal_targets_are_no_failure_and_no_second_question(self) -> None:
        rng = np.random.default_rng(4)
        query, candidates = unit_rows(rng, 1, 12), unit_rows(rng, 30, 12)
        one, three = (
            raw_sift(np.repeat(query, times, axis=0), candidates, 8, objective="information") for times in (1, 3)
        )
        assert three.indices.tolist() == one.indices.tolist()
        np.testing.assert_allclose(three.gains, one.gains, rtol=1e-4)

    def test_a_longer_target_counts_for_more_in_the_sum_and_for_no_more_in_information(self) -> None:
        targets, candidates = np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[0.5, 0.0], [0.0, 0.8]])
        chosen = {
            objective: raw_sift(targets, candidates, 1, kernel="linear", objective=objective).indices.tolist()
            for objective in ("variance", "information")
        }
        assert chosen == {"variance": [0], "information": [1]}

    def test_weights_and_unknown_objectives_are_refused(self) -> None:
        rows = unit_rows(np.random.default_rng(0), 4, 4)
        with pytest.raises(ValueError, match="Weights"):
            raw_sift(rows[:2], rows, 2, objective="information", weights=[1, 2])
        with pytest.raises(ValueError, match="objective"):
            raw_sift(rows[:2], rows, 2, objective="surprise")


def cubic(rows: Any, points: Any) -> Any:
    return (rows @ points.T + 1.0) ** 3


class TestKernelFunctions:
    def test_a_function_equals_the_definition(self) -> None:
        rng = np.random.default_rng(1)
        query, candidates, known = (unit_rows(rng, n, 6, dtype=np.float64) for n in (2, 70, 2))
        settings: Any = {"kernel": cubic, "lengthscale": 1.0, "noise_variance": 0.5, "known": known}
        wanted, variances = greedy_by_definition(query, candidates, 6, **settings)
        got = raw_sift(query, candidates, 6, **settings)
        assert got.indices.tolist() == wanted
        np.testing.assert_allclose(got.posterior_variances, variances, rtol=1e-8)

    @pytest.mark.parametrize("kernel", KERNELS)
    def test_a_function_that_is_a_named_kernel_makes_its_choice(self, kernel: Any) -> None:
        rng = np.random.default_rng(2)
        query, candidates = unit_rows(rng, 2, 8), unit_rows(rng, 40, 8)
        by_name = raw_sift(query, candidates, 8, kernel=kernel, lengthscale=0.5)
        by_function = raw_sift(query, candidates, 8, kernel=lambda a, b: kernel_values(a, b, kernel, 0.5))
        assert by_function.indices.tolist() == by_name.indices.tolist()
        np.testing.assert_allclose(by_function.posterior_variances, by_name.posterior_variances, rtol=1e-5)

    def test_a_function_on_tensors_is_given_tensors(self) -> None:
        rng = np.random.default_rng(2)
        query, candidates = unit_rows(rng, 2, 8), unit_rows(rng, 40, 8)

        def kernel(rows: Any, points: Any) -> Any:
            return torch.matmul(rows, points.T).add(1.0).pow(3)

        got = raw_sift(torch.from_numpy(query), torch.from_numpy(candidates), 8, kernel=kernel, irreducible=True)
        wanted = raw_sift(query, candidates, 8, kernel=cubic, irreducible=True)
        assert isinstance(got.gains, torch.Tensor)
        assert got.indices.tolist() == wanted.indices.tolist()
        assert got.irreducible_variance == pytest.approx(wanted.irreducible_variance, rel=1e-4)

    @pytest.mark.parametrize(
        ("kernel", "message"),
        [
            (lambda a, b: a @ b.T[:, :1], "shape"),
            (lambda a, b: np.full((len(a), len(b)), np.nan), "finite"),
            (lambda a, b: np.full((len(a), len(b)), -1.0), "negative"),
        ],
    )
    def test_what_is_no_kernel_is_refused(self, kernel: Any, message: str) -> None:
        rows = unit_rows(np.random.default_rng(0), 5, 4)
        with pytest.raises(ValueError, match=message):
            raw_sift(rows[0], rows[1:], 2, kernel=kernel)


class TestPrecision:
    @pytest.mark.parametrize("kernel", KERNELS)
    @pytest.mark.parametrize("noise_variance", [1e-6, 1e-4, 2e-3, 1.0, 1e3, 1e6])
    @pytest.mark.parametrize("copies", [1, 3])
    def test_float32_rows_give_the_variances_of_the_definition(
        self, kernel: Any, noise_variance: float, copies: int
    ) -> None:
        rng = np.random.default_rng(6)
        query = unit_rows(rng, 2, 24)
        candidates = np.repeat(unit_rows(rng, 60, 24), copies, axis=0)
        got = raw_sift(query, candidates, 40, kernel=kernel, noise_variance=noise_variance)
        for t in (1, 5, 20, 40):
            rows = candidates[got.indices[:t]]
            wanted = posterior_variance(query, rows, kernel=kernel, noise_variance=noise_variance)
            told = got.prior_variance - wanted
            assert got.prior_variance - got.posterior_variances[t - 1] == pytest.approx(told, rel=3e-6)
            assert got.posterior_variances[t - 1] == pytest.approx(wanted, rel=2e-4)

    def test_a_small_lengthscale_is_computed_in_float64(self) -> None:
        rng = np.random.default_rng(1)
        query, candidates = unit_rows(rng, 1, 8, spread=0.02), unit_rows(rng, 30, 8, spread=0.02)
        got = raw_sift(query, candidates, 5, lengthscale=0.01)
        wanted = posterior_variance(query, candidates[got.indices], lengthscale=0.01)
        assert got.posterior_variances[-1] == pytest.approx(wanted, rel=1e-9)

    def test_thousands_of_copies_are_one_candidate_first_and_the_rest_in_order(self) -> None:
        rng = np.random.default_rng(2)
        distinct = unit_rows(rng, 4, 32, spread=2)
        candidates = np.repeat(distinct, 1000, axis=0)
        query = unit_rows(rng, 1, 32, spread=2)
        got = raw_sift(query, candidates, 8, kernel="linear", noise_variance=1e-6)
        wanted = raw_sift(query, distinct, 4, kernel="linear", noise_variance=1e-6)
        assert got.indices[:4].tolist() == (1000 * wanted.indices).tolist()
        assert got.posterior_variances[-1] <= got.posterior_variances[3] + 1e-12
        assert np.isfinite(got.gains).all()

    @pytest.mark.parametrize("n", [7, 1001, 5003])
    def test_copies_tie_whatever_their_place_in_the_array(self, n: int) -> None:
        rng = np.random.default_rng(n)
        row = unit_rows(rng, 1, 100)
        got = raw_sift(unit_rows(rng, 1, 100), np.repeat(row, n, axis=0), 5)
        assert got.indices.tolist() == [0, 1, 2, 3, 4]

    def test_rows_rounded_to_bfloat16_are_taken_for_their_directions(self) -> None:
        rows = torch.from_numpy(unit_rows(np.random.default_rng(1), 30, 32)).bfloat16()
        directions = rows.double() / rows.double().norm(dim=1, keepdim=True)
        got = raw_sift(rows[:2], rows[2:], 6)
        wanted = raw_sift(directions[:2], directions[2:], 6)
        assert got.indices.tolist() == wanted.indices.tolist()
        np.testing.assert_allclose(got.posterior_variances, wanted.posterior_variances, rtol=1e-5)
        chosen = directions[2:][wanted.indices].numpy()
        assert float(got.posterior_variances[-1]) == pytest.approx(posterior_variance(directions[:2], chosen), rel=1e-5)


class TestNothingToTell:
    def test_zero_vectors_tell_nothing_and_come_last(self) -> None:
        candidates = np.array([[0, 0], [0.5, 0], [0, 0], [1, 1]], dtype=np.float32)
        got = raw_sift(np.array([1, 0], np.float32), candidates, 4, kernel="linear")
        assert got.indices.tolist() == [3, 1, 0, 2]
        assert got.gains[2:].tolist() == [0, 0]

    @pytest.mark.parametrize("objective", ["variance", "information"])
    def test_a_zero_query_has_nothing_to_be_told(self, objective: Any) -> None:
        got = raw_sift(np.zeros(3), np.eye(3), 2, kernel="linear", objective=objective)
        assert got.indices.tolist() == [0, 1]
        assert got.prior_variance == 0
        assert got.gains.tolist() == [0, 0]

    def test_rows_too_long_for_float32_are_refused(self) -> None:
        rows = np.full((2, 3), 1e30, dtype=np.float32)
        with pytest.raises(ValueError, match="finite"), np.errstate(over="ignore"):
            raw_sift(rows[0], rows, 1, kernel="linear")


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("weighted", [False, True])
def test_tensors_off_the_cpu_follow_the_same_recurrence(kernel: Any, weighted: bool) -> None:
    # There need not be a GPU: the class that serves one runs on CPU tensors too.
    rng = np.random.default_rng(9)
    query, candidates, known = unit_rows(rng, 3, 16), unit_rows(rng, 40, 16), unit_rows(rng, 2, 16)
    settings: Any = {"kernel": kernel, "lengthscale": 0.5, "noise_variance": 0.7}
    settings["weights"] = rng.uniform(1, 2, 3) if weighted else None
    arrays = ArrayPosterior(raw_problem(query, candidates, known=known, **settings), 12)
    problem = raw_problem(torch.from_numpy(query), torch.from_numpy(candidates), known=known, tensors=True, **settings)
    tensors = TensorPosterior(problem, 12)
    assert tensors.prior_variance == pytest.approx(arrays.prior_variance)
    for row, noise_variance in ((40, None), (41, 0.05), (3, None), (3, 2.0), (17, None), (0, None)):
        told = tensors.observe(row, noise_variance)
        assert told == pytest.approx(arrays.observe(row, noise_variance), rel=1e-4)
        np.testing.assert_allclose(tensors.gains(), arrays.gains(), rtol=1e-3, atol=1e-7)
        np.testing.assert_allclose(tensors.noisy_variances, arrays.noisy_variances, rtol=1e-5)


def test_scores_equal_to_rounding_go_to_the_first_and_others_to_the_largest() -> None:
    assert first_largest(np.array([0.5, 1.0 - 1e-16, 1.0, 1.0])) == 1
    assert first_largest(np.array([1.0 - 1e-3, 1.0])) == 1
    assert first_largest(np.array([1.0 - 1e-3, 1.0]), lambda index, best: 1e15) == 0
    assert first_largest(np.array([0.98, 1.0]), lambda index, best: 1e15) == 1  # never so far apart
    assert first_largest(np.array([-3.0, -2.0, -2.0])) == 1
    assert first_largest(np.array([0.0, 0.0])) == 0
    assert first_largest(torch.tensor([0.5, 1.0, 1.0])) == 1
