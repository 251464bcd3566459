"""A search option that is a selector itself, in place of a name."""

from __future__ import annotations

import pytest

from sift_rag import GaussianProcess, Mmr, Nearest, Rbf, SearchOptions


def test_a_selector_is_used_as_it_is() -> None:
    selector = Mmr(relevance=0.7)
    assert SearchOptions(selector=selector).make_selector() is selector
    assert SearchOptions.from_dict({"selector": selector}).make_selector() is selector


def test_a_selector_is_written_as_its_name_and_settings() -> None:
    selector = Mmr(GaussianProcess(Rbf(lengthscale=0.25), noise_variance=2.0), relevance=0.7)
    written = SearchOptions(selector=selector).to_dict()
    assert written["selector"] == "mmr"
    assert SearchOptions.from_dict(written).make_selector() == selector


def test_settings_beside_a_selector_are_refused() -> None:
    with pytest.raises(ValueError, match="carries its own"):
        SearchOptions(selector=Mmr(), settings={"relevance": 0.7})


@pytest.mark.parametrize("value", [5, Mmr, None.__class__])
def test_something_else_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a selector or the name of one"):
        SearchOptions.from_dict({"selector": value})


def test_a_selector_that_no_name_stands_for_is_not_written() -> None:
    class Other(Nearest):
        pass

    assert SearchOptions(selector=Other()).make_selector() == Other()
    with pytest.raises(ValueError, match="cannot be written as a name and settings"):
        SearchOptions(selector=Other()).to_dict()
