"""The reason against a near neighbour is one sentence, which names a hit only if that says much of the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.types import SAYS_THE_SAME, Passage, PassedOver, Span, how_much

PASSAGE = Passage("id", "Owls hunt.", "owls.md", Span(0, 10))
SHARES = st.floats(0, 1)
REASON = re.compile(
    r"says nearly the same as #3|(a third|half|most|nearly all) of it is already in #2|"
    r"adds less than the passages selected"
)


def passed(closest: float = 0.5, taken: float = 0.0, relevance: float = 1.0, by: int | None = 2) -> PassedOver:
    return PassedOver(PASSAGE, 0.5, 3, closest, relevance, relevance - taken, by, taken)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (passed(closest=0.95, taken=0.08), "says nearly the same as #3"),
        (passed(closest=0.88, taken=0.08), "adds less than the passages selected"),
        (passed(taken=0.02), "adds less than the passages selected"),
        (passed(taken=0.3), "a third of it is already in #2"),
        (passed(taken=0.97), "nearly all of it is already in #2"),
        (passed(relevance=0.0), "adds less than the passages selected"),
        (passed(by=None), "adds less than the passages selected"),
        (passed(closest=float("nan"), taken=float("nan")), "adds less than the passages selected"),
    ],
)
def test_the_reason(one: PassedOver, reason: str) -> None:
    assert (one.reason, one.to_dict()["reason"]) == (reason, reason)


@given(SHARES, SHARES, SHARES, st.sampled_from([2, None]))
def test_a_hit_is_named_only_if_it_says_nearly_the_same_or_holds_a_fifth(
    closest: float, share: float, relevance: float, by: int | None
) -> None:
    one = passed(closest, share * relevance, relevance, by)
    assert REASON.fullmatch(one.reason)
    if "#" in one.reason:
        assert closest >= SAYS_THE_SAME or one.taken >= 0.2 * relevance


@given(st.lists(SHARES, min_size=2, max_size=2))
def test_more_is_never_said_to_be_less(shares: list[float]) -> None:
    steps = ["hardly any", "a little", "a third", "half", "most", "nearly all"]
    less, more = sorted(shares)
    assert steps.index(how_much(less, 1.0)) <= steps.index(how_much(more, 1.0))
