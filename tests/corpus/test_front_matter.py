"""Front matter of Markdown files becomes metadata, as written; hostile YAML becomes nothing, at no cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.corpus.front_matter import MAX_CHARACTERS, front_matter, read_metadata
from sift_rag.filters import LABEL_LENGTH
from sift_rag.stores.validation import check_passages
from sift_rag.types import Passage, Span


def test_texts_and_lists_of_texts_stay_as_they_are_written() -> None:
    content = """
title: 'Notes: one'
tags: [a, "b c"]
list:
  - one
  - 2
year: 2020
date: 2024-01-31
country: no
version: 1.10
path: {nested: x}
author:
  name: Ada
mixed: [a, [b], {c: d}, e]
"""
    assert read_metadata(content) == {
        "title": "Notes: one",
        "tags": ["a", "b c"],
        "list": ["one", "2"],
        "year": "2020",
        "date": "2024-01-31",
        "country": "no",
        "version": "1.10",
        "mixed": ["a", "e"],
    }


def test_what_is_empty_null_or_longer_than_a_label_is_left_out() -> None:
    content = f"a:\nb: ~\nc: null\nd: ''\ne: []\nf: [~, x]\ng: {'x' * (LABEL_LENGTH + 1)}\nh: 'null'"
    assert read_metadata(content) == {"f": ["x"], "h": "null"}


@pytest.mark.parametrize(
    "content",
    ["just words", "- a\n- b", "a: [", "a: b: c", "\t", "", "a: *nothing", "'", "%YAML 9", '"\\U7fffffff": x', "\x00"],
)
def test_what_is_no_mapping_gives_nothing(content: str) -> None:
    assert read_metadata(content) == {}


def test_no_alias_is_followed_and_no_tag_constructs_anything() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
    )
    assert read_metadata(bomb) == {"a": ["x", "x"]}
    assert read_metadata("a: !!python/object/apply:os.system [echo]\nb: !!python/name:os.system x") == {
        "a": ["echo"],
        "b": "x",
    }
    assert read_metadata("<<: {a: b}\nk: v") == {"k": "v"}


def test_depth_ends_the_reading() -> None:
    assert read_metadata("k: v\na: " + "[" * 30 + "x" + "]" * 30) == {"k": "v"}
    assert read_metadata("k: v\na: " + "[" * 40 + "x" + "]" * 40) == {}
    assert read_metadata("a: " + "[" * MAX_CHARACTERS) == {}


def test_long_front_matter_is_no_text_and_gives_its_title_but_no_metadata() -> None:
    text = "---\ntitle: T\n" + "k: v\n" * (MAX_CHARACTERS // 5) + "---\nText\n"
    front = front_matter(text)
    assert front is not None
    assert (front.title, front.metadata) == ("T", {})
    assert text[len(front.text) :] == "Text\n"


def test_half_characters_are_replaced() -> None:
    assert read_metadata('"k\\ud800": "v\\udfff"') == {"k\ufffd": "v\ufffd"}


@given(st.text(st.sampled_from("ab:-[]{},&*!|>'\"%@`#?~\\ \n\tud80")) | st.text())
def test_whatever_stands_there_can_be_stored(content: str) -> None:
    front = front_matter(f"---\nk: v\n{content}\n---\n")
    assert front is not None
    identifier = "6b1de4f4-1b80-4a3e-9a71-5b1f0e9ab0cf"
    check_passages([Passage(identifier, "", "", Span(0, 0), metadata=front.metadata | read_metadata(content))])
