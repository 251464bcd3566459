"""Every rule that ends a selection keeps a prefix, and says its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sift_rag.selection import Stopping, posterior_variance
from tests.examples import examples
from tests.oracles import greedy_argmax, raw_measure, raw_sift, unit_rows


def rows_of(seed: int, targets: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return unit_rows(rng, targets, 8), unit_rows(rng, 20, 8), rng.integers(1, 50, 20)


rules = st.one_of(
    st.builds(Stopping, variance=st.floats(0, 1.2)),
    st.builds(Stopping, explained=st.floats(0.05, 1)),
    st.builds(Stopping, alpha=st.floats(0.01, 3)),
    st.builds(Stopping, tokens=st.integers(0, 600)),
    st.builds(Stopping, st.floats(0, 1), st.floats(0.3, 1), st.floats(0.01, 0.5), st.integers(50, 600)),
)


@given(
    seed=st.integers(0, 2**32),
    rule=rules,
    targets=st.integers(1, 3),
    objective=st.sampled_from(["variance", "information"]),
    with_repeats=st.booleans(),
)
@settings(deadline=None, max_examples=examples(80))
def test_what_is_kept_is_a_prefix_of_the_unstopped_selection(
    seed: int, rule: Stopping, targets: int, objective: Any, with_repeats: bool
) -> None:
    query, candidates, counts = rows_of(seed, targets)
    arguments: Any = {"objective": objective, "with_repeats": with_repeats, "noise_variance": 0.2}
    if rule.tokens is not None:
        arguments["token_counts"] = counts
    whole = raw_sift(query, candidates, 15, **arguments)
    kept = raw_sift(query, candidates, 15, stopping=rule, **arguments)
    assert whole.stopped == "k"
    for field in ("indices", "posterior_variances", "gains", "relevance"):
        assert getattr(kept, field).tolist() == getattr(whole, field)[: len(kept)].tolist()
    assert (kept.stopped == "k") == (len(kept) == 15)


class TestReasons:
    def test_k_and_no_more_candidates(self) -> None:
        query, candidates, _ = rows_of(0)
        assert raw_sift(query, candidates, 20).stopped == "k"
        assert raw_sift(query, candidates, 21).stopped == "exhausted"
        assert raw_sift(query, candidates[:0], 1).stopped == "exhausted"
        assert raw_sift(query, candidates[:0], 0).stopped == "k"

    def test_variance_stops_at_the_first_step_that_reaches_it(self) -> None:
        query, candidates, _ = rows_of(1)
        whole = raw_sift(query, candidates, 10).posterior_variances
        for threshold in (whole[3], (whole[2] + whole[3]) / 2):
            got = raw_sift(query, candidates, 10, stopping=Stopping(variance=float(threshold)))
            assert (len(got), got.stopped) == (4, "variance")
        assert len(raw_sift(query, candidates, 10, stopping=Stopping(variance=1.0))) == 0

    @pytest.mark.parametrize("share", [0.3, 0.8, 0.95])
    def test_explained_stops_once_that_share_of_what_can_be_told_is_told(self, share: float) -> None:
        query, candidates, _ = rows_of(2)
        got = raw_sift(query, candidates, 20, stopping=Stopping(explained=share), known=candidates[:1])
        least = posterior_variance(query, np.concatenate([candidates, candidates[:1]]))
        assert got.irreducible_variance == pytest.approx(least, rel=1e-5)
        steps = np.array([got.prior_variance, *got.posterior_variances])
        shares = (got.prior_variance - steps) / (got.prior_variance - least)
        assert got.stopped == "explained"
        assert shares[-1] >= share > shares[-2]

    def test_the_irreducible_variance_alone_stops_nothing(self) -> None:
        query, candidates, _ = rows_of(2)
        got = raw_sift(query, candidates, 20, irreducible=True, stopping=Stopping(variance=0.0))
        assert (len(got), got.stopped) == (20, "k")

    def test_nothing_is_chosen_where_nothing_can_be_told(self) -> None:
        got = raw_sift(
            np.array([1.0, 0.0]), np.array([[0.0, 1.0]]), 1, kernel="linear", stopping=Stopping(explained=0.5)
        )
        assert (len(got), got.stopped) == (0, "explained")

    @pytest.mark.parametrize("alpha", [0.1, 0.25, 0.5, 1.0, 2.0])
    def test_alpha_keeps_the_steps_before_the_first_whose_deviation_exceeds_one_over_alpha_n(
        self, alpha: float
    ) -> None:
        query, candidates, _ = rows_of(3)
        whole = raw_sift(query, candidates, 15, noise_variance=0.01)
        deviations = np.sqrt(whole.posterior_variances)
        fails = [n for n in range(1, 16) if deviations[n - 1] > 1 / (alpha * n)]
        got = raw_sift(query, candidates, 15, noise_variance=0.01, stopping=Stopping(alpha=alpha))
        assert len(got) == (fails[0] - 1 if fails else 15)
        assert got.stopped == ("alpha" if fails else "k")

    def test_alpha_keeps_a_step_that_just_keeps_pace(self) -> None:
        rule = Stopping(alpha=0.5)
        assert rule.justifies(1, 4.0)
        assert rule.justifies(4, 0.25)
        assert not rule.justifies(1, 4.0 + 1e-9)


class TestTokens:
    def test_each_step_takes_the_largest_gain_per_token(self) -> None:
        query, candidates, counts = rows_of(4, targets=2)

        def gain_per_token(chosen: list[int], i: int) -> float:
            before, after = (posterior_variance(query, candidates[rows]) for rows in (chosen, [*chosen, i]))
            return (before - after) / counts[i]

        got = raw_sift(query.astype(float), candidates.astype(float), 8, token_counts=counts)
        assert got.indices.tolist() == greedy_argmax(20, 8, gain_per_token)

    def test_the_first_choice_beyond_the_budget_ends_it(self) -> None:
        query, candidates, counts = rows_of(5)
        order = raw_sift(query, candidates, 20, token_counts=counts).indices
        spent = np.cumsum(counts[order])
        for budget in (0, int(spent[0]) - 1, int(spent[4]), int(spent[4]) + 1, int(spent[-1])):
            got = raw_sift(query, candidates, 20, token_counts=counts, stopping=Stopping(tokens=budget))
            assert len(got) == (spent <= budget).sum()
            assert got.stopped == ("k" if budget == spent[-1] else "tokens")

    def test_a_budget_that_is_filled_passes_over_what_no_longer_fits(self) -> None:
        query, candidates, counts = rows_of(7, targets=2)

        def gain(chosen: list[int], i: int) -> float:
            before, after = (posterior_variance(query, candidates[rows]) for rows in (chosen, [*chosen, i]))
            fits = counts[[*chosen, i]].sum() <= budget
            return before - after if fits else -1.0

        for budget in (0, int(counts.min()), 150, 400, int(counts.sum())):
            rule = Stopping(tokens=budget, fill=True)
            got = raw_sift(query.astype(float), candidates.astype(float), 20, token_counts=counts, stopping=rule)
            assert got.indices.tolist() == greedy_argmax(20, len(got), gain)
            left = budget - counts[got.indices].sum()
            unchosen = np.delete(counts, got.indices)
            assert left >= 0
            assert (unchosen > left).all()
            assert got.stopped == ("k" if budget == counts.sum() else "tokens")

    def test_any_other_order_is_filled_in_turn(self) -> None:
        query, candidates, _ = rows_of(8)
        counts = np.array([5, 9, 3, 4, 9] * 4)
        got = raw_measure(
            query, candidates, [1, 0, 4, 2, 3], token_counts=counts, stopping=Stopping(tokens=20, fill=True)
        ).selection
        assert (got.indices.tolist(), got.stopped) == ([1, 0, 2], "tokens")
        whole = raw_measure(query, candidates, [1, 0, 2]).selection
        np.testing.assert_array_equal(got.posterior_variances, whole.posterior_variances)

    @pytest.mark.parametrize("counts", [None, [1, 2], [1] * 19 + [0], [1] * 19 + [float("nan")]])
    def test_counts_that_cannot_be_are_refused(self, counts: Any) -> None:
        query, candidates, _ = rows_of(6)
        with pytest.raises(ValueError, match=r"[Tt]oken"):
            raw_sift(query, candidates, 3, token_counts=counts, stopping=Stopping(tokens=10))


@pytest.mark.parametrize(
    "change",
    [
        {"variance": -1},
        {"explained": 0},
        {"explained": 1.1},
        {"alpha": 0},
        {"alpha": np.inf},
        {"tokens": -1},
        {"fill": True},
    ],
)
def test_thresholds_out_of_range_are_refused(change: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        Stopping(**change)
