"""Filters: what they refuse, and what they mean for one passage."""

from __future__ import annotations

from typing import Any

import pytest

from sift_rag.filters import LABEL_LENGTH, Filter, labels_of
from sift_rag.types import JsonValue, Passage, Span


def _passage(source: str = "docs/a.md", **metadata: JsonValue) -> Passage:
    return Passage("", "text", source, Span(0, 4), metadata=metadata)


@pytest.mark.parametrize(
    ("glob", "source", "matches"),
    [
        ("docs/*", "docs/a.md", True),
        ("docs/*", "docs/sub/deep/a.md", True),
        ("docs/*", "docs2/a.md", False),
        ("docs/", "docs/sub/a.md", True),
        ("docs", "docs/a.md", False),
        ("*.md", "docs/sub/a.md", True),
        ("*.md", "docs/a.MD", False),
        ("docs/?.md", "docs/a.md", True),
        ("docs/?.md", "docs/ab.md", False),
        ("docs/[ab].md", "docs/a.md", True),
        ("docs/[!ab].md", "docs/a.md", False),
        ("docs/a.md", "docs/a.md", True),
        ("docs/line\nbreak*", "docs/line\nbreak.md", True),
    ],
)
def test_a_glob_means_the_whole_source_and_its_star_crosses_slashes(glob: str, source: str, matches: bool) -> None:
    assert Filter(sources=(glob,)).matches(_passage(source)) is matches


def test_a_glob_of_many_stars_is_decided_at_once() -> None:
    assert not Filter(sources=("*a" * 40 + "b",)).matches(_passage("a" * 4000))


def test_labels_are_scalars_and_elements_of_lists_as_json_writes_them() -> None:
    metadata: dict[str, JsonValue] = {
        "text": "as it is",
        "whole": 3,
        "part": 2.50,
        "yes": True,
        "nothing": None,
        "list": ["a", 1, False, None, ["deeper"], {"k": "v"}, "a"],
        "object": {"k": "v"},
        "a=b": "c",
        "": "no name",
        "empty": "",
        "long": "x" * LABEL_LENGTH,
    }
    assert labels_of(metadata) == [
        ("text", "as it is"),
        ("whole", "3"),
        ("part", "2.5"),
        ("yes", "true"),
        ("list", "a"),
        ("list", "1"),
        ("list", "false"),
        ("empty", ""),
    ]


def test_the_longest_label_can_be_asked_for_and_a_longer_one_is_refused() -> None:
    longest = "x" * (LABEL_LENGTH - 3)
    assert Filter(labels=(("key", longest),)).matches(_passage(key=longest))
    with pytest.raises(ValueError, match="at most 256"):
        Filter(labels=(("key", f"{longest}x"),))


@pytest.mark.parametrize(
    ("sources", "labels", "complaint"),
    [
        (("docs/*", ""), (), "glob for sources is empty"),
        ((), (("", "x"),), "metadata key ''"),
        ((), (("a=b", "x"),), "metadata key 'a=b'"),
        (("\udcff",), (), "not Unicode text"),
        ((), (("key", "\udcff"),), "not Unicode text"),
    ],
)
def test_what_no_passage_can_have_is_refused(
    sources: tuple[str, ...], labels: tuple[tuple[str, str], ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Filter(sources, labels)


def test_an_empty_filter_asks_for_nothing() -> None:
    assert not Filter()
    assert Filter().matches(_passage())
    assert Filter(sources=("x",))
    assert Filter(labels=(("a", "b"),))


def test_a_single_glob_is_a_glob_and_not_its_letters() -> None:
    alone = Filter("docs/*")  # type: ignore[arg-type]
    assert alone == Filter(("docs/*",)) == Filter(["docs/*"])  # type: ignore[arg-type]
    assert not alone.matches(_passage("notes/a.md"))


@pytest.mark.parametrize("parts", [{"sources": (3,)}, {"labels": ("ab",)}, {"labels": (("year", 2021),)}])
def test_what_is_no_text_is_refused_by_its_type(parts: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="A filter's"):
        Filter(**parts)
