"""SIFT four ways: hand-sized geometry, the brute-force oracle, properties, golden values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sift_rag.selection import posterior_variance
from tests.examples import examples
from tests.oracles import greedy_by_definition, raw_sift, unit_rows

KERNELS = ["rbf", "linear"]


def on_circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


class TestGeometry:
    """In the plane every choice can be checked by hand."""

    def test_the_first_choice_is_the_nearest(self) -> None:
        assert raw_sift(on_circle(0)[0], on_circle(50, 20, 70), 1).indices.tolist() == [1]

    def test_one_observation_leaves_one_minus_squared_cosine_over_one_plus_noise(self) -> None:
        chosen = raw_sift(on_circle(0)[0], on_circle(60), 1, kernel="linear", noise_variance=0.5)
        assert chosen.prior_variance == pytest.approx(1.0)
        assert chosen.posterior_variances.tolist() == pytest.approx([1 - 0.25 / 1.5])

    def test_a_near_duplicate_is_not_chosen_second(self) -> None:
        query, candidates = on_circle(0)[0], on_circle(20, 21, -25)
        assert raw_sift(query, candidates, 2, kernel="linear", noise_variance=0.1).indices.tolist() == [0, 2]
        assert raw_sift(query, candidates, 2, noise_variance=0.1).indices.tolist() == [0, 2]

    @pytest.mark.parametrize(("offset", "second"), [(+0.01, 2), (-0.01, 1)])
    def test_right_angles_beat_a_repeat_exactly_above_the_papers_threshold(self, offset: float, second: int) -> None:
        # facts of the method: preferred to repeating iff its squared cosine exceeds λ/(2+λ) times the first's
        noise, first = 0.8, 0.7
        other = np.sqrt(first**2 * noise / (2 + noise)) + offset
        query = np.array([first, other, np.sqrt(1 - first**2 - other**2)], dtype=np.float32)
        candidates = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32)
        chosen = raw_sift(query, candidates, 2, kernel="linear", noise_variance=noise)
        assert chosen.indices.tolist() == [0, second]

    def test_the_linear_kernel_takes_the_opposite_direction_for_informative_and_rbf_does_not(self) -> None:
        query, candidates = on_circle(0)[0], on_circle(180, 45)
        assert raw_sift(query, candidates, 1, kernel="linear").indices.tolist() == [0]
        assert raw_sift(query, candidates, 1, kernel="rbf").indices.tolist() == [1]

    def test_what_is_given_is_not_told_again(self) -> None:
        query, candidates = on_circle(0)[0], on_circle(20, -25)
        assert raw_sift(query, candidates, 1).indices.tolist() == [0]
        known = raw_sift(query, candidates, 1, known=on_circle(21), noise_variance=0.1)
        assert known.indices.tolist() == [1]
        assert known.prior_variance < 1.0

    def test_with_several_targets_each_side_is_answered(self) -> None:
        targets, candidates = on_circle(0, 90), on_circle(2, 4, 6, 80)
        assert set(raw_sift(targets, candidates, 2, noise_variance=0.3).indices.tolist()) == {0, 3}

    def test_a_repeat_is_chosen_when_repeats_are_allowed_and_nothing_else_helps(self) -> None:
        query, candidates = on_circle(0)[0], on_circle(0, 90)
        assert raw_sift(query, candidates, 3, with_repeats=True).indices.tolist() == [0, 0, 0]
        assert raw_sift(query, candidates, 3).indices.tolist() == [0, 1]


class TestOracle:
    """Pick for pick what the definition chooses, by one linear solve for every candidate at every step."""

    @pytest.mark.parametrize("kernel", KERNELS)
    @pytest.mark.parametrize("noise_variance", [1e-2, 1.0])
    @pytest.mark.parametrize("with_repeats", [False, True])
    @pytest.mark.parametrize(("targets", "known"), [(1, 0), (1, 3), (4, 0), (3, 2)])
    def test_equals_the_definition(
        self, kernel: str, noise_variance: float, with_repeats: bool, targets: int, known: int
    ) -> None:
        rng = np.random.default_rng(targets * 10 + known)
        query, candidates, given_rows = (unit_rows(rng, n, 12, dtype=np.float64) for n in (targets, 30, known))
        wanted, variances = greedy_by_definition(
            query,
            candidates,
            8,
            kernel=kernel,
            lengthscale=0.5,
            noise_variance=noise_variance,
            with_repeats=with_repeats,
            known=given_rows,
        )
        got = raw_sift(
            query,
            candidates,
            8,
            kernel=kernel,
            lengthscale=0.5,
            noise_variance=noise_variance,
            with_repeats=with_repeats,
            known=given_rows,
        )
        assert got.indices.tolist() == wanted
        np.testing.assert_allclose(got.posterior_variances, variances, rtol=1e-9, atol=1e-12)
        single = raw_sift(
            query.astype(np.float32),
            candidates.astype(np.float32),
            8,
            kernel=kernel,
            lengthscale=0.5,
            noise_variance=noise_variance,
            with_repeats=with_repeats,
            known=given_rows,
        )
        np.testing.assert_allclose(single.posterior_variances, variances, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("kernel", KERNELS)
    def test_prior_variance_is_the_definition_with_what_is_given(self, kernel: str) -> None:
        rng = np.random.default_rng(5)
        query, known = unit_rows(rng, 2, 8), unit_rows(rng, 4, 8)
        got = raw_sift(query, unit_rows(rng, 3, 8), 1, kernel=kernel, known=known)
        assert got.prior_variance == pytest.approx(posterior_variance(query, known, kernel=kernel), rel=1e-5)


settings_of_selection = st.fixed_dictionaries(
    {
        "kernel": st.sampled_from(KERNELS),
        "lengthscale": st.floats(0.2, 2.0),
        "noise_variance": st.floats(1e-2, 1e2),
        "with_repeats": st.booleans(),
    }
)


class TestProperties:
    @given(seed=st.integers(0, 2**32), parameters=settings_of_selection, targets=st.integers(1, 4))
    @settings(deadline=None, max_examples=examples(40))
    def test_the_first_five_of_ten_are_the_five(self, seed: int, parameters: dict, targets: int) -> None:
        rng = np.random.default_rng(seed)
        query, candidates = unit_rows(rng, targets, 10), unit_rows(rng, 25, 10)
        ten, five = (raw_sift(query, candidates, k, **parameters) for k in (10, 5))
        assert ten.indices[:5].tolist() == five.indices.tolist()
        assert ten.posterior_variances[:5].tolist() == five.posterior_variances.tolist()

    @given(seed=st.integers(0, 2**32), parameters=settings_of_selection, targets=st.integers(1, 4))
    @settings(deadline=None, max_examples=examples(40))
    def test_variance_never_rises_and_stays_between_zero_and_the_prior(
        self, seed: int, parameters: dict, targets: int
    ) -> None:
        rng = np.random.default_rng(seed)
        got = raw_sift(unit_rows(rng, targets, 6), unit_rows(rng, 30, 6, spread=0.3), 20, **parameters)
        steps = np.concatenate([[got.prior_variance], got.posterior_variances])
        assert (np.diff(steps) <= 1e-6).all()
        assert steps[-1] >= 0.0

    @given(seed=st.integers(0, 2**32), parameters=settings_of_selection)
    @settings(deadline=None, max_examples=examples(40))
    def test_the_order_of_candidates_and_a_rotation_of_space_change_nothing(self, seed: int, parameters: dict) -> None:
        rng = np.random.default_rng(seed)
        query, candidates = unit_rows(rng, 2, 8).astype(float), unit_rows(rng, 20, 8).astype(float)
        rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0]
        order = rng.permutation(20)
        plain = raw_sift(query, candidates, 6, **parameters)
        moved = raw_sift(query @ rotation, candidates[order] @ rotation, 6, **parameters)
        assert order[moved.indices].tolist() == plain.indices.tolist()
        np.testing.assert_allclose(moved.posterior_variances, plain.posterior_variances, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("kernel", KERNELS)
    def test_a_huge_noise_variance_gives_the_order_of_absolute_similarity(self, kernel: str) -> None:
        rng = np.random.default_rng(11)
        query, candidates = unit_rows(rng, 1, 16)[0].astype(float), unit_rows(rng, 40, 16, spread=3).astype(float)
        cosines = candidates @ query
        assert (cosines < 0).any()
        wanted = np.argsort(-np.abs(cosines) if kernel == "linear" else -cosines)[:10]
        got = raw_sift(query, candidates, 10, kernel=kernel, lengthscale=1.0, noise_variance=1e6)
        assert got.indices.tolist() == wanted.tolist()

    def test_ties_go_to_the_lowest_index(self) -> None:
        row = unit_rows(np.random.default_rng(0), 1, 8)
        assert raw_sift(row[0], np.repeat(row, 6, axis=0), 4).indices.tolist() == [0, 1, 2, 3]

    def test_equal_input_gives_equal_output_after_other_calls(self) -> None:
        rng = np.random.default_rng(3)
        query, candidates = unit_rows(rng, 1, 16), unit_rows(rng, 50, 16)
        before = candidates.copy()
        first = raw_sift(query, candidates, 10)
        raw_sift(unit_rows(rng, 2, 16), candidates, 20, kernel="linear", with_repeats=True)
        again = raw_sift(query, candidates, 10)
        assert first.indices.tolist() == again.indices.tolist()
        assert first.posterior_variances.tolist() == again.posterior_variances.tolist()
        assert (candidates == before).all()


class TestArrays:
    def test_torch_tensors_give_torch_tensors_and_the_same_choice(self) -> None:
        rng = np.random.default_rng(8)
        query, candidates = unit_rows(rng, 2, 16), unit_rows(rng, 40, 16)
        wanted = raw_sift(query, candidates, 7)
        got = raw_sift(torch.from_numpy(query), torch.from_numpy(candidates), 7)
        assert isinstance(got.indices, torch.Tensor)
        assert got.indices.dtype == torch.int64
        assert got.indices.tolist() == wanted.indices.tolist()
        assert got.posterior_variances.tolist() == wanted.posterior_variances.tolist()

    def test_bfloat16_is_computed_in_float32(self) -> None:
        rows = torch.from_numpy(unit_rows(np.random.default_rng(1), 20, 32)).bfloat16()
        got = raw_sift(rows[0], rows[1:], 5)
        assert got.indices.tolist() == raw_sift(rows[0].float(), rows[1:].float(), 5).indices.tolist()

    def test_no_candidates_or_nothing_wanted_gives_an_empty_choice(self) -> None:
        row = unit_rows(np.random.default_rng(0), 1, 4)
        for got in (raw_sift(row[0], row[:0], 3), raw_sift(row[0], row, 0)):
            assert len(got) == 0
            assert got.prior_variance == pytest.approx(1.0)

    def test_k_beyond_the_candidates_takes_them_all(self) -> None:
        rows = unit_rows(np.random.default_rng(0), 6, 4)
        assert sorted(raw_sift(rows[0], rows, 50).indices.tolist()) == list(range(6))

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    @pytest.mark.parametrize("where", ["query", "candidates", "given"])
    def test_what_is_not_finite_is_refused(self, bad: float, where: str) -> None:
        rows = {
            name: unit_rows(np.random.default_rng(i), n, 4)
            for i, (name, n) in enumerate([("query", 2), ("candidates", 5), ("given", 2)])
        }
        rows[where][1, 2] = bad
        for kernel in KERNELS:
            with pytest.raises(ValueError, match="finite"):
                raw_sift(rows["query"], rows["candidates"], 2, known=rows["given"], kernel=kernel)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"noise_variance": 0.0}, "noise_variance"),
            ({"noise_variance": float("nan")}, "noise_variance"),
            ({"lengthscale": -1.0}, "lengthscale"),
            ({"kernel": "cubic"}, "kernel"),
            ({"k": -1}, "k must be"),
            ({"query": np.ones((0, 4), np.float32)}, "target"),
            ({"query": np.ones(5, np.float32)}, "Dimensions disagree"),
            ({"candidates": np.ones((2, 2, 4), np.float32)}, "Expected query"),
            ({"candidates": 3 * np.ones((2, 4), np.float32)}, "unit norm"),
            ({"candidates": np.zeros((2, 4), np.float32)}, "unit norm"),
        ],
    )
    def test_arguments_out_of_range_are_named(self, change: dict, message: str) -> None:
        rows = unit_rows(np.random.default_rng(0), 4, 4)
        with pytest.raises(ValueError, match=message):
            raw_sift(**{"query": rows[0], "candidates": rows[1:], "k": 2, **change})

    def test_the_linear_kernel_needs_no_unit_norm(self) -> None:
        candidates = np.array([[1, 0], [3, 0], [0, 0]], dtype=np.float32)
        assert raw_sift(np.array([1, 0], np.float32), candidates, 1, kernel="linear").indices.tolist() == [1]


def test_golden_values() -> None:
    # Regenerate: python -c "from tests.selection.test_sift import golden; print(golden())"
    assert golden() == (
        [95, 28, 5, 110, 2],
        [0.98809, 0.9779, 0.97143, 0.9662, 0.96158],
    )


def golden() -> tuple[list[int], list[float]]:
    rng = np.random.default_rng(20260101)
    got = raw_sift(unit_rows(rng, 1, 32)[0], unit_rows(rng, 200, 32), 5, lengthscale=0.354, noise_variance=1.0)
    return got.indices.tolist(), [round(v, 5) for v in got.posterior_variances.tolist()]
