"""What a selector with bound parameters adds to the functions: centring, balance, one way to measure and to stop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sift_rag import defaults
from sift_rag.defaults import SELECTORS
from sift_rag.selection import (
    ArrayPool,
    Dpp,
    Mmr,
    Pool,
    Random,
    Sift,
    Stopping,
    posterior_variance,
    select_sift,
    select_sift_batch,
    selector_from,
    selector_settings,
    settings_of,
)
from tests.oracles import raw_block, raw_sift, selector, unit_rows


def as_seen(rows: np.ndarray, candidates: np.ndarray, share: float) -> np.ndarray:
    """Return embeddings as the kernel sees them, by hand: minus a share of the candidates' mean, back on the sphere."""
    shifted = rows - share * candidates.mean(axis=0)
    return np.array([row / np.sqrt(row @ row) for row in shifted])


def problem(seed: int, *, targets: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    drift = 0.8 * unit_rows(rng, 1, 8)  # candidates of one subject, as a pool is
    near = [unit_rows(rng, n, 8, dtype=np.float64) + drift for n in (targets, 20, 2)]
    first, second, third = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in near)
    return first, second, third


def test_sift_chooses_by_what_the_candidates_do_not_have_in_common() -> None:
    asked, candidates, given = problem(0, targets=1)
    settings = selector(lengthscale=0.5, noise_variance=0.2, centring=0.6, follow=0.0)
    got = settings.select(Pool(asked, candidates, known=given), 6).selection
    seen = [as_seen(rows, candidates, 0.6) for rows in (asked, candidates, given)]
    wanted = raw_sift(seen[0], seen[1], 6, known=seen[2], lengthscale=0.5, noise_variance=0.2)
    assert got.indices.tolist() == wanted.indices.tolist()
    plain = raw_sift(asked, candidates, 6, known=given, lengthscale=0.5, noise_variance=0.2)
    assert got.indices.tolist() != plain.indices.tolist()
    uncentred = selector(lengthscale=0.5, noise_variance=0.2, centring=0.0, follow=0.0)
    assert (
        uncentred.select(Pool(asked, candidates, known=given), 6).selection.indices.tolist() == plain.indices.tolist()
    )


def test_the_linear_kernel_is_the_paper_without_centring_or_balance() -> None:
    asked, candidates, given = problem(1)
    got = selector(kernel="linear", noise_variance=0.3).select(Pool(asked, candidates, known=given), 6).selection
    wanted = select_sift(asked, candidates, 6, known=given, kernel="linear", noise_variance=0.3)
    assert got.indices.tolist() == wanted.indices.tolist()
    assert got.prior_variance == wanted.prior_variance


@pytest.mark.parametrize("name", SELECTORS)
def test_every_method_is_measured_on_one_scale(name: Any) -> None:
    asked, candidates, given = problem(2)
    weights = [0.5, 1.5]
    settings = selector(name, lengthscale=0.6, noise_variance=0.3, centring=0.4)
    choice = settings.select(Pool(asked, candidates, known=given, weights=weights), 5)
    got = choice.selection
    seen = [as_seen(rows, candidates, 0.4) for rows in (asked, candidates, given)]

    def left(rows: np.ndarray) -> float:
        known = np.concatenate([seen[2], rows])
        return posterior_variance(seen[0], known, lengthscale=0.6, noise_variance=0.3, weights=weights)

    assert len(set(got.indices.tolist())) == 5
    assert got.prior_variance == pytest.approx(left(seen[1][:0]), rel=1e-8)
    for t in range(1, 6):
        assert got.posterior_variances[t - 1] == pytest.approx(left(seen[1][got.indices[:t]]), rel=1e-8)
    assert got.irreducible_variance == pytest.approx(left(seen[1]), rel=1e-8)
    unchosen = next(i for i in range(20) if i not in got.indices.tolist())
    alone, after = got.prior_variance, left(seen[1][got.indices])
    assert choice.redundancy.relevance[unchosen] == pytest.approx(alone - left(seen[1][[unchosen]]), rel=1e-6)
    assert choice.redundancy.gains[unchosen] == pytest.approx(after - left(seen[1][[*got.indices, unchosen]]), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in SELECTORS if name != "sift"])
def test_a_baseline_chooses_by_its_own_definition(name: Any) -> None:
    asked, candidates, _ = problem(3)
    got = selector(name).select(Pool(asked, candidates), 6).selection
    wanted = selector(name).order(ArrayPool(asked, candidates, candidates[:0], None, None), 6)
    assert got.indices.tolist() == list(wanted)


@pytest.mark.parametrize("name", SELECTORS)
def test_rules_end_any_method_at_a_prefix_of_its_choice(name: Any) -> None:
    asked, candidates, _ = problem(4, targets=1)
    settings = selector(name, noise_variance=0.5)
    whole = settings.select(Pool(asked, candidates), 10).selection
    variance, left = whole.posterior_variances[4], whole.irreducible_variance
    assert left is not None
    share = (whole.prior_variance - variance) / (whole.prior_variance - left)
    for stopping in (Stopping(explained=0.999 * share), Stopping(variance=variance)):
        got = settings.select(Pool(asked, candidates), 10, stopping=stopping).selection
        assert 0 < len(got) < 10
        assert got.indices.tolist() == whole.indices[: len(got)].tolist()
        assert got.stopped in {"explained", "variance"}
    counts = np.full(20, 7)
    got = settings.select(Pool(asked, candidates, token_counts=counts), 10, stopping=Stopping(tokens=30)).selection
    assert (len(got), got.stopped) == (4, "tokens")


@pytest.mark.parametrize("name", SELECTORS)
def test_no_method_chooses_a_candidate_twice_or_fails_on_copies(name: Any) -> None:
    rng = np.random.default_rng(4)
    candidates = np.repeat(unit_rows(rng, 4, 8), 5, axis=0)
    got = selector(name).select(Pool(unit_rows(rng, 1, 8), candidates), 20).selection
    assert sorted(got.indices.tolist()) == list(range(20))
    assert np.isfinite(got.posterior_variances).all()


def test_a_question_whose_passages_are_far_gets_one_before_the_other_gets_its_second() -> None:
    def at(*degrees: float) -> np.ndarray:
        angles = np.radians(degrees)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)

    asked = at(0, 180)
    candidates = at(2, -25, 130)  # two near the first question, the nearest to the second at 50 degrees
    settings = selector(noise_variance=1.0, centring=0.0)
    assert settings.select(Pool(asked, candidates), 2).selection.indices.tolist() == [0, 2]
    alike = settings.select(Pool(asked, candidates, weights=[1.0, 1.0]), 2).selection
    assert alike.indices.tolist() == [0, 1]
    balanced = settings.select(Pool(asked, candidates), 2).selection
    assert balanced.prior_variance == pytest.approx(2)  # weights of mean 1: a sum over the questions still


def test_tensors_are_centred_like_arrays() -> None:
    asked, candidates, given = problem(5)
    wanted = selector().select(Pool(asked, candidates, known=given), 6).selection
    got = selector().select(Pool(*map(torch.from_numpy, (asked, candidates)), known=torch.from_numpy(given)), 6)
    assert got.selection.indices.tolist() == wanted.indices.tolist()
    np.testing.assert_allclose(got.selection.posterior_variances, wanted.posterior_variances)


def test_repeats_are_steps_of_their_own_where_a_method_knows_them() -> None:
    asked, candidates, _ = problem(6, targets=1)
    paper = selector(kernel="linear", noise_variance=1.0, with_repeats=True)
    got = paper.select(Pool(asked, candidates), 30).selection
    wanted = select_sift(asked, candidates, 30, kernel="linear", noise_variance=1.0, with_repeats=True)
    assert got.indices.tolist() == wanted.indices.tolist()
    assert len(set(got.indices.tolist())) < len(got) == 30
    again = selector("nearest", with_repeats=True).select(Pool(asked, candidates), 5).selection
    assert again.indices.tolist() == [int((candidates @ asked[0]).argmax())] * 5
    assert (np.diff(again.posterior_variances) < 0).all()
    hull = selector("hull", with_repeats=True).select(Pool(asked, candidates), 30).selection
    assert len(hull) == 30
    with pytest.raises(ValueError, match="The selector 'mmr' has no setting 'with_repeats'"):
        selector("mmr", with_repeats=True)


def test_no_candidates_leave_everything_open() -> None:
    choice = selector().select(Pool(np.eye(2, dtype=np.float32), np.zeros((0, 2), np.float32)), 3)
    assert (len(choice.selection), choice.selection.prior_variance) == (0, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"kernel": "cubic"},
        {"lengthscale": 0},
        {"lengthscale": 1e-300},
        {"lengthscale": 1e300},
        {"noise_variance": -1},
        {"noise_variance": float("inf")},
        {"noise_variance": 1e300},
        {"centring": 1.0},
        {"centring": -0.1},
    ],
)
def test_settings_out_of_range_are_refused_when_made(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        selector(**change)


def test_an_unknown_method_is_refused_when_made() -> None:
    with pytest.raises(ValueError, match=r"Unknown selector 'best': expected one of sift, "):
        selector("best")


class TestByName:
    @pytest.mark.parametrize("name", SELECTORS)
    def test_its_settings_make_a_selector_again(self, name: str) -> None:
        settings = {key: setting.default for key, setting in selector_settings(name).items()}
        settings |= {"lengthscale": 0.25, "noise_variance": 2.0, "centring": 0.0}
        made = selector_from(name, settings)
        assert made.name == name
        assert settings_of(made) == settings
        assert selector_from(name, settings_of(made)) == made

    def test_a_selectors_own_parameter_is_a_setting(self) -> None:
        assert selector_from("mmr", {"relevance": 0.7}) == Mmr(relevance=0.7)
        assert selector_from("mmr", {"relevance": "0.7"}) == Mmr(relevance=0.7)

    @pytest.mark.parametrize("name", SELECTORS)
    def test_every_setting_is_described(self, name: str) -> None:
        for setting in selector_settings(name).values():
            assert setting.description.endswith("."), setting

    @pytest.mark.parametrize(
        ("name", "settings", "message"),
        [
            ("mrr", {}, "Did you mean 'mmr'"),
            ("mmr", {"relevence": 0.7}, "Did you mean 'relevance'"),
            ("mmr", {"relevance": "much"}, "relevance must be a number, but got 'much'"),
            ("hull", {"iterations": 1.5}, "iterations must be a whole number"),
            ("sift", {"with_repeats": 1}, "with_repeats must be true or false"),
            ("mmr", {"relevance": 2}, "relevance must be in"),
            ("dpp", {"quality_scale": "nan"}, "quality_scale must be a number"),
            ("dpp", {"quality_scale": 1e300}, "quality_scale must be a number"),
            ("random", {"seed": -1}, "seed must be >= 0"),
            ("sift", {"kernel": "cubic"}, "Unknown kernel 'cubic'"),
        ],
    )
    def test_what_cannot_be_is_refused_with_a_suggestion(self, name: str, settings: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            selector_from(name, settings)


@pytest.mark.parametrize("kind", [Sift, Mmr, Dpp, Random])
def test_a_parameter_in_the_place_of_the_process_is_refused_when_made(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"process must be a GaussianProcess, but got 0\.7"):
        kind(0.7)


@pytest.mark.parametrize("settings", [{"lengthscale": size} for size in (1e-6, 1e6)] + [{"noise_variance": 1e30}])
@pytest.mark.parametrize("targets", [1, 3])
def test_at_the_ends_of_its_range_a_setting_gives_finite_variances(settings: Any, targets: int) -> None:
    asked, candidates, given = problem(8, targets=targets)
    for dtype in (np.float32, np.float64):
        rows = [part.astype(dtype) for part in (asked, candidates, given)]
        got = selector(**settings).select(Pool(rows[0], rows[1], known=rows[2]), 6).selection
        assert len(set(got.indices.tolist())) == 6
        assert np.isfinite(got.posterior_variances).all()
        assert (np.diff(got.posterior_variances) <= 1e-6).all()


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_arrays_alone_are_chosen_from_as_a_retriever_chooses(targets: int, kernel: str) -> None:
    asked, candidates, given = problem(6, targets=targets)
    wanted = selector(kernel=kernel).select(Pool(asked, candidates, known=given), 6).selection
    got = select_sift(asked, candidates, 6, known=given, kernel=kernel, follow=defaults.FOLLOW)
    assert got.indices.tolist() == wanted.indices.tolist()
    np.testing.assert_array_equal(got.posterior_variances, wanted.posterior_variances)
    wanted = selector(kernel=kernel, follow=0.0).select(Pool(asked, candidates, known=given), 6).selection
    several = select_sift_batch(asked[None], candidates, 6, known=given, kernel=kernel)
    own = select_sift_batch(np.stack([asked] * 3), np.stack([candidates] * 3), 6, known=given, kernel=kernel)
    for batch in (several, own):
        assert batch.indices[0].tolist() == wanted.indices.tolist()
        np.testing.assert_allclose(batch.posterior_variances[0], wanted.posterior_variances)


@pytest.mark.parametrize("seed", range(4))
def test_a_masked_batch_is_centred_on_what_each_query_may_choose(seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked, candidates, _ = problem(7, targets=2)
    mask = rng.random((3, 20)) < 0.7
    queries = np.stack([np.roll(asked, turn, axis=1) for turn in range(3)])
    got = select_sift_batch(queries, candidates, 5, mask=mask)
    tensors = raw_block(torch.from_numpy(queries), torch.from_numpy(candidates), 5, mask=mask, centring=0.5)
    for row in range(3):
        allowed = np.flatnonzero(mask[row])
        wanted = select_sift(queries[row], candidates[allowed], 5)
        assert got.indices[row].tolist() == allowed[wanted.indices].tolist()
        alike = select_sift(queries[row], candidates[allowed], 5, weights=[1.0, 1.0])
        assert tensors.indices[row].tolist() == allowed[alike.indices].tolist()
