"""A suggestion is close to the name that was given, and a slip of the keyboard gets one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.suggestions import CLOSE, _shared, different_parts, endings, suggestion

WORDS = st.text("abcdefgh", min_size=1, max_size=9)
FILES = st.builds("{}/{}.{}".format, WORDS, WORDS, st.sampled_from(["md", "pdf"]))
NAMES = st.one_of(WORDS, FILES)


def suggested(name: str, known: list[str]) -> str:
    """Return the suggested name; empty if there is none."""
    return suggestion(name, known).removeprefix(" Did you mean '").removesuffix("'?")


def in_common(left: str, right: str) -> int:
    """Return the length of the longest common subsequence."""
    lengths = [0] * (len(right) + 1)
    for letter in left:
        diagonal = 0
        for place, other in enumerate(right, 1):
            diagonal, lengths[place] = (
                lengths[place],
                diagonal + 1 if letter == other else max(lengths[place], lengths[place - 1]),
            )
    return lengths[-1]


def are_close(left: str, right: str) -> bool:
    return 2 * in_common(left, right) >= CLOSE * (len(left) + len(right))


@given(NAMES, st.lists(NAMES, max_size=8))
def test_a_suggestion_is_known_and_close_in_the_parts_that_differ(name: str, known: list[str]) -> None:
    found = suggested(name, known)
    if found:
        file, other = (one.rpartition("/")[2] for one in (name, found))
        assert found in known
        assert (
            endings(name, [found])
            or are_close(*different_parts(name, found))
            or file == other
            or are_close(*different_parts(file, other))
        )


@given(st.text("abcdefgh", min_size=4, max_size=9), st.data(), st.sampled_from(["", "handbook/", "a/b.c/"]))
def test_one_wrong_letter_gets_a_suggestion_in_any_folder(stem: str, data: st.DataObject, folder: str) -> None:
    place = data.draw(st.integers(0, len(stem) - 1))
    name, known = f"{folder}{stem[:place]}z{stem[place + 1 :]}.md", f"{folder}{stem}.md"
    assert suggested(name, ["other.md", known, f"{folder}unlike.md"]) == known


@given(st.text("abcd", min_size=1, max_size=9), st.text("wxyz", min_size=1, max_size=9), WORDS)
def test_sharing_a_folder_and_an_ending_is_not_being_close(left: str, right: str, folder: str) -> None:
    assert suggestion(f"{folder}/{left}.md", [f"{folder}/{right}.md"]) == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nosuch.md", ""),
        ("handbook/nosuch.md", ""),
        ("insurence.md", "handbook/insurance.md"),
        ("handbok/2024/hotels.md", "handbook/2024/hotels.md"),
        ("handbook/2024/hotel.md", "handbook/2024/hotels.md"),
        ("old/hotels.md", "handbook/2024/hotels.md"),
        ("insurance", "handbook/insurance.md"),
        ("", ""),
    ],
)
def test_the_suggestions_of_a_handbook(name: str, expected: str) -> None:
    assert suggested(name, ["handbook/insurance.md", "handbook/2024/hotels.md"]) == expected


@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_shared_characters_are_those_of_the_longest_common_subsequence(one: str, other: str) -> None:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, left in enumerate(one):
        for j, right in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if left == right else max(table[i][j + 1], table[i + 1][j])
    assert _shared(one, other) == table[-1][-1]
