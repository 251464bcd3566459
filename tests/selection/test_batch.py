"""Row b of a batch is the single call for query b, pick for pick."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sift_rag.selection import BatchSelection, GreedySelection, array_block, batch
from tests.examples import examples
from tests.oracles import raw_batch, raw_block, raw_sift, unit_rows

KERNELS = ["rbf", "linear"]


def pools(rng: np.random.Generator, queries: int, targets: int, n: int, d: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rows = unit_rows(rng, queries * (targets + n), d).reshape(queries, targets + n, d)
    return rows[:, :targets], rows[:, targets:]


def assert_same(got: GreedySelection, wanted: GreedySelection) -> None:
    assert got.indices.tolist() == wanted.indices.tolist()
    assert got.prior_variance == pytest.approx(wanted.prior_variance)
    for field in ("posterior_variances", "gains", "relevance"):
        np.testing.assert_allclose(getattr(got, field), getattr(wanted, field), rtol=1e-4, atol=1e-6)
    assert got.stopped == wanted.stopped


class TestRows:
    @given(
        seed=st.integers(0, 2**32),
        kernel=st.sampled_from(KERNELS),
        targets=st.integers(1, 3),
        n=st.integers(0, 30),
        with_repeats=st.booleans(),
        noise_variance=st.sampled_from([1e-5, 0.1, 1.0, 1e4]),
    )
    @settings(deadline=None, max_examples=examples(40))
    def test_each_is_the_single_call(
        self, seed: int, kernel: Any, targets: int, n: int, with_repeats: bool, noise_variance: float
    ) -> None:
        rng = np.random.default_rng(seed)
        queries, candidates = pools(rng, 4, targets, n)
        arguments: Any = {"kernel": kernel, "noise_variance": noise_variance, "with_repeats": with_repeats}
        arguments["weights"] = rng.uniform(0.5, 2, targets)
        got = raw_batch(queries, candidates, 8, **arguments)
        assert got.indices.shape == (4, 8)
        for row in range(4):
            assert_same(got[row], raw_sift(queries[row], candidates[row], 8, **arguments))

    @pytest.mark.parametrize("kernel", KERNELS)
    def test_shared_candidates_serve_every_query(self, kernel: Any) -> None:
        rng = np.random.default_rng(1)
        queries, candidates = unit_rows(rng, 7, 12), unit_rows(rng, 40, 12)
        got = raw_batch(queries, candidates, 6, kernel=kernel)
        assert len(got) == 7
        for row in range(7):
            assert_same(got[row], raw_sift(queries[row], candidates, 6, kernel=kernel))

    @pytest.mark.parametrize("kernel", KERNELS)
    @pytest.mark.parametrize("shared", [False, True])
    @pytest.mark.parametrize("known_shape", [(3, 12), (5, 2, 12), (0, 12)])
    @pytest.mark.parametrize("tensors", [False, True])
    def test_what_is_given_is_known_to_every_reader_or_to_each(
        self, kernel: Any, shared: bool, known_shape: tuple[int, ...], tensors: bool
    ) -> None:
        rng = np.random.default_rng(11)
        queries, candidates = pools(rng, 5, 2, 30)
        candidates = candidates[0] if shared else candidates
        known = unit_rows(rng, int(np.prod(known_shape[:-1])), 12, dtype=np.float64).reshape(known_shape)
        mask = rng.random((5, 30)) < 0.7
        arguments: Any = {"kernel": kernel, "noise_variance": 0.1}
        rows: Any = (queries, candidates)
        queries_in, candidates_in = map(torch.from_numpy, rows) if tensors else rows
        got = raw_batch(queries_in, candidates_in, 6, known=known, mask=mask, **arguments)
        for row in range(5):
            allowed = np.flatnonzero(mask[row])
            own = (candidates if shared else candidates[row])[allowed]
            wanted = raw_sift(queries[row], own, 6, known=known if known.ndim == 2 else known[row], **arguments)
            assert got[row].indices.tolist() == allowed[wanted.indices].tolist()
            assert got[row].prior_variance == pytest.approx(wanted.prior_variance)
            np.testing.assert_allclose(got[row].relevance, wanted.relevance, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(got[row].posterior_variances, wanted.posterior_variances, rtol=1e-4, atol=1e-6)

    def test_the_copy_of_what_is_given_is_told_no_more(self) -> None:
        queries, candidates = np.array([[1.0, 0.0]] * 2), np.array([[0.8, 0.6], [0.8, -0.6]])
        got = raw_batch(queries, candidates, 1, known=candidates[:, None], noise_variance=0.1)
        assert got.indices[:, 0].tolist() == [1, 0]

    @pytest.mark.parametrize("kernel", KERNELS)
    @pytest.mark.parametrize("columns", [0, 1000])
    def test_the_gram_matrix_changes_nothing(self, kernel: Any, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
        queries, candidates = pools(np.random.default_rng(12), 6, 2, 25)
        monkeypatch.setattr(array_block, "COLUMNS_FOR_GRAM", columns)
        got = raw_batch(queries, candidates, 6, kernel=kernel)
        shared = raw_batch(queries, candidates[0], 6, kernel=kernel)
        for row in range(6):
            assert_same(got[row], raw_sift(queries[row], candidates[row], 6, kernel=kernel))
            assert_same(shared[row], raw_sift(queries[row], candidates[0], 6, kernel=kernel))

    @pytest.mark.parametrize("shared", [False, True])
    @pytest.mark.parametrize("tensors", [False, True])
    def test_large_candidates_are_taken_query_by_query(
        self, shared: bool, tensors: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rng = np.random.default_rng(13)
        queries, candidates = pools(rng, 5, 2, 20)
        mask = np.arange(20) < np.array([20, 7, 0, 3, 1])[:, None]
        arguments: Any = {"mask": mask, "known": unit_rows(rng, 10, 12).reshape(5, 2, 12), "weights": [1.0, 2.0]}
        rows: Any = (queries, candidates[0] if shared else candidates)
        queries, candidates = map(torch.from_numpy, rows) if tensors else rows
        together = raw_batch(queries, candidates, 6, **arguments)
        monkeypatch.setattr(batch, "ALONE_BYTES", 0)
        monkeypatch.setattr(batch, "BLOCK_BYTES", 0)
        alone = raw_batch(queries, candidates, 6, **arguments)
        for field in ("indices", "posterior_variances", "prior_variances", "gains", "relevance"):
            assert type(getattr(alone, field)) is type(getattr(together, field))
            assert getattr(alone, field).dtype == getattr(together, field).dtype
            np.testing.assert_allclose(getattr(alone, field), getattr(together, field), rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("threads", [2, 3, 50])
    @pytest.mark.parametrize("n", [25, 900])
    def test_the_number_of_threads_changes_nothing(self, threads: int, n: int) -> None:
        queries, candidates = pools(np.random.default_rng(14), 9, 2, n, 300)
        one, several = (raw_batch(queries, candidates, 6, threads=number) for number in (1, threads))
        assert several.indices.tolist() == one.indices.tolist()
        np.testing.assert_allclose(several.posterior_variances, one.posterior_variances, rtol=1e-6)

    def test_the_same_call_gives_the_same_bits(self) -> None:
        queries, candidates = pools(np.random.default_rng(15), 40, 1, 60, 48)
        first, again = (raw_batch(queries, candidates, 10, threads=2) for _ in range(2))
        assert first.posterior_variances.tolist() == again.posterior_variances.tolist()

    @pytest.mark.parametrize("shared", [False, True])
    def test_blocks_change_nothing(self, shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        queries, candidates = pools(np.random.default_rng(2), 9, 2, 25)
        candidates = candidates[0] if shared else candidates
        whole = raw_batch(queries, candidates, 6)
        monkeypatch.setattr(batch, "BLOCK_BYTES", 4 * 25 * (6 + (0 if shared else 12)) * 2)
        assert raw_batch(queries, candidates, 6).indices.tolist() == whole.indices.tolist()

    def test_copies_tie_to_the_lowest_index_in_every_row(self) -> None:
        rng = np.random.default_rng(3)
        distinct = unit_rows(rng, 5, 64)
        candidates = np.repeat(distinct, 3, axis=0)[None].repeat(4, axis=0)
        queries = unit_rows(rng, 4, 64)
        got = raw_batch(queries, candidates, 10, noise_variance=0.01)
        for row in range(4):
            single = raw_sift(queries[row], candidates[row], 10, noise_variance=0.01)
            assert got.indices[row].tolist() == single.indices.tolist()
        assert (got.indices[:, 0] % 3 == 0).all()

    def test_two_threads_give_the_answers_of_one(self) -> None:
        queries, candidates = pools(np.random.default_rng(4), 16, 1, 60, 48)
        wanted = raw_batch(queries, candidates, 10)
        with ThreadPoolExecutor(2) as threads:
            for got in threads.map(lambda _: raw_batch(queries, candidates, 10), range(8)):
                assert got.indices.tolist() == wanted.indices.tolist()
                assert got.posterior_variances.tolist() == wanted.posterior_variances.tolist()


class TestMask:
    @pytest.mark.parametrize("padding", [0.0, 7.0, np.nan, np.inf])
    @pytest.mark.parametrize("tensors", [False, True])
    def test_padded_rows_are_never_chosen_whatever_stands_there(self, padding: float, tensors: bool) -> None:
        queries, candidates = pools(np.random.default_rng(5), 3, 2, 12)
        lengths = [12, 5, 0]
        mask = np.arange(12) < np.array(lengths)[:, None]
        wanted = [raw_sift(queries[row], candidates[row, :length], 8) for row, length in enumerate(lengths)]
        candidates[~mask] = padding
        given: Any = (queries, candidates, mask)
        queries, candidates, mask = (torch.from_numpy(array) for array in given) if tensors else given
        got = raw_batch(queries, candidates, 8, mask=mask)
        for row in range(3):
            assert_same(got[row], wanted[row])
        assert got.indices[1].tolist()[5:] == [-1] * 3
        assert got.gains[1].tolist()[5:] == [0] * 3
        assert got.posterior_variances[2].tolist() == [2.0] * 8

    def test_holes_in_shared_candidates(self) -> None:
        rng = np.random.default_rng(6)
        queries, candidates = unit_rows(rng, 3, 12), unit_rows(rng, 20, 12)
        mask = rng.random((3, 20)) < 0.5
        got = raw_batch(queries, candidates, 5, mask=mask)
        for row in range(3):
            allowed = np.flatnonzero(mask[row])
            single = raw_sift(queries[row], candidates[allowed], 5)
            assert got[row].indices.tolist() == allowed[single.indices].tolist()


@pytest.mark.parametrize("kernel", KERNELS)
def test_gains_that_nearly_tie_are_settled_as_the_single_call_settles_them(kernel: Any) -> None:
    # Thousands of pairs that differ by a few units in the last place: whole products and single ones round otherwise.
    rng = np.random.default_rng(11)
    queries, candidates = unit_rows(rng, 120, 64)[:, None], unit_rows(rng, 120 * 20, 64).reshape(120, 20, 64)
    apart = np.geomspace(1e-8, 1e-6, 120)[:, None, None]
    twins = (candidates + apart * rng.normal(size=candidates.shape)).astype(np.float32)
    both = np.concatenate([candidates, twins / np.linalg.norm(twins, axis=2, keepdims=True)], axis=1)
    got = raw_batch(queries, both, 20, kernel=kernel, noise_variance=0.1)
    for query, rows, indices in zip(queries, both, got.indices, strict=True):
        assert indices.tolist() == raw_sift(query, rows, 20, kernel=kernel, noise_variance=0.1).indices.tolist()


class TestTensors:
    @pytest.mark.parametrize("kernel", KERNELS)
    @pytest.mark.parametrize("shared", [False, True])
    def test_they_give_tensors_and_the_same_choice(self, kernel: Any, shared: bool) -> None:
        queries, candidates = pools(np.random.default_rng(7), 5, 2, 20)
        candidates = candidates[0] if shared else candidates
        wanted = raw_batch(queries, candidates, 6, kernel=kernel)
        got = raw_batch(torch.from_numpy(queries), torch.from_numpy(candidates), 6, kernel=kernel)
        assert isinstance(got.indices, torch.Tensor)
        assert got.indices.tolist() == wanted.indices.tolist()

    @pytest.mark.parametrize("kernel", KERNELS)
    @pytest.mark.parametrize("shared", [False, True])
    @pytest.mark.parametrize("k", [0, 6, 25])
    @pytest.mark.parametrize("known_shape", [None, (2, 12), (5, 3, 12)])
    def test_the_arithmetic_for_a_device_makes_the_same_choice(
        self, kernel: Any, shared: bool, k: int, known_shape: Any
    ) -> None:
        # There need not be a GPU: what serves one runs on CPU tensors too.
        rng = np.random.default_rng(8)
        queries, candidates = pools(rng, 5, 2, 20)
        candidates = candidates[0] if shared else candidates
        known = (
            None if known_shape is None else unit_rows(rng, int(np.prod(known_shape)) // 12, 12).reshape(known_shape)
        )
        mask = rng.random((5, 20)) < 0.8
        arguments: Any = {"kernel": kernel, "mask": mask, "weights": [1.0, 2.0], "known": known}
        wanted = raw_batch(queries, candidates, k, **arguments)
        got = raw_block(torch.from_numpy(queries), torch.from_numpy(candidates), k, **arguments)
        for field in ("indices", "posterior_variances", "prior_variances", "gains", "relevance"):
            np.testing.assert_allclose(getattr(got, field), getattr(wanted, field), rtol=1e-4, atol=1e-6)


class TestArguments:
    def test_no_queries_give_no_choices(self) -> None:
        got = raw_batch(np.zeros((0, 4)), np.zeros((0, 3, 4)), 2)
        assert got.indices.shape == (0, 2)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"queries": np.ones(4)}, "Expected queries"),
            ({"candidates": np.ones((3, 5, 4))}, "Expected queries"),
            ({"candidates": np.ones((2, 5, 3))}, "Dimensions disagree"),
            ({"mask": np.ones((2, 4), bool)}, "mask"),
            ({"kernel": "cubic"}, "Unknown kernel"),
            ({"kernel": lambda rows, points: rows @ points.T}, "call select_sift for each query"),
            ({"k": -1}, "k must be"),
            ({"weights": [1, 2]}, "weight"),
            ({"threads": 0}, "threads must be"),
            ({"known": np.ones(4)}, "Expected known"),
            ({"known": np.ones((2, 3))}, "Expected known"),
            ({"known": np.ones((3, 1, 4))}, "Expected known"),
            ({"known": np.full((1, 4), np.nan)}, "finite"),
            ({"queries": np.full((2, 4), np.nan)}, "finite"),
        ],
    )
    def test_arguments_out_of_range_are_named(self, change: dict, message: str) -> None:
        rows = unit_rows(np.random.default_rng(0), 12, 4)
        arguments: Any = {"queries": rows[:2], "candidates": rows[2:].reshape(2, 5, 4), "k": 2, **change}
        with pytest.raises(ValueError, match=message):
            raw_batch(**arguments)

    def test_a_batch_is_its_rows(self) -> None:
        queries, candidates = pools(np.random.default_rng(9), 3, 1, 5)
        got = raw_batch(queries, candidates, 2)
        assert isinstance(got, BatchSelection)
        assert [len(got[row]) for row in range(len(got))] == [2, 2, 2]
