from __future__ import annotations

import numpy as np
import pytest

from research.stopping_rules import LONGEST, RULES, Trace, compare, found_at, prefix_sizes, threshold_for
from sift_rag.selection import Pool, Sift, Stopping


def on_the_sphere(rows: int, dimension: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(rows, dimension))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


CANDIDATES = on_the_sphere(60, 6, seed=1)
TARGETS = on_the_sphere(20, 6, seed=2)


def trace_of(target: np.ndarray, found: np.ndarray | None = None) -> Trace:
    selection = Sift().select(Pool(target[None], CANDIDATES), LONGEST).selection
    shares = np.minimum(np.arange(LONGEST + 1) / 10, 1.0) if found is None else found
    return Trace(selection, target @ CANDIDATES[selection.indices].T, shares)


TRACES = [trace_of(target) for target in TARGETS]


@pytest.mark.parametrize("rule", ["variance", "explained", "alpha"])
def test_a_prefix_by_the_librarys_rule_is_what_the_library_keeps(rule: str) -> None:
    threshold = threshold_for(RULES[rule], TRACES, 6)
    argument = 1 - threshold if rule == "explained" else threshold
    kept = [
        len(Sift().select(Pool(t[None], CANDIDATES), LONGEST, stopping=Stopping(**{rule: argument})).selection)
        for t in TARGETS
    ]
    sizes = prefix_sizes(RULES[rule], TRACES, threshold)
    off = np.abs(sizes - kept)
    assert off.sum() <= 1  # the question that the threshold was read from may fall on either side of it
    assert sizes.std() > 0 or rule == "alpha"


@pytest.mark.parametrize("rule", RULES)
def test_a_threshold_gives_the_average_size_that_was_asked_for(rule: str) -> None:
    sizes = prefix_sizes(RULES[rule], TRACES, threshold_for(RULES[rule], TRACES, 5))
    assert sizes.mean() == pytest.approx(5.0, abs=0.5)


def test_a_fixed_size_between_two_whole_ones_finds_the_mix_of_both() -> None:
    found = np.array([[0.0, 0.2, 0.6], [0.0, 0.0, 1.0]])
    assert found_at(found, 1.25).tolist() == pytest.approx([0.3, 0.25])
    assert found_at(found, 2.0).tolist() == pytest.approx([0.6, 1.0])


def test_a_rule_that_spends_places_where_the_evidence_is_beats_a_fixed_size() -> None:
    needy = np.minimum(np.arange(LONGEST + 1) / 8, 1.0)
    content = np.minimum(np.arange(LONGEST + 1), 1.0)
    traces = [trace_of(target, needy if place % 2 else content) for place, target in enumerate(TARGETS)]

    def knowing(trace: Trace) -> np.ndarray:
        return np.concatenate([np.diff(trace.found), []]) > 0

    compared = compare(lambda trace: knowing(trace).astype(float), traces, traces, 4)
    assert compared["size"] == pytest.approx(4.5)  # 8 where they are needed, 1 where they are not
    assert compared["found"] == pytest.approx(100.0)
    assert compared["low"] > 0
