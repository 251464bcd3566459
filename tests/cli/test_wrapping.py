"""Streamed text is wrapped between words, and otherwise as it was."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sift_rag_cli.wrapping import wrapped

TEXT = "A decorator is a function that takes a function and returns one.\n\n- first item\n- second item\n"


def test_lines_end_between_words() -> None:
    assert "".join(wrapped([TEXT], 20)) == (
        "A decorator is a\nfunction that takes\na function and\nreturns one.\n\n- first item\n- second item\n"
    )


def test_code_is_left_as_it_is() -> None:
    code = "```python\nvalue = some_function(with_many, arguments)\n```\nOne two three four five six.\n"
    assert "".join(wrapped([code], 20)) == code.replace("four five six", "four\nfive six")


def test_wide_characters_take_two_columns() -> None:
    assert "".join(wrapped(["日本 語文 字列"], 9)) == "日本 語文\n字列"


@given(st.text("ab日 \n`", max_size=80), st.lists(st.integers(0, 80), max_size=10), st.integers(1, 30))
def test_only_blanks_become_line_breaks_however_the_text_comes_in_pieces(
    text: str, cuts: list[int], width: int
) -> None:
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    written = "".join(wrapped((text[start:end] for start, end in pairwise(bounds)), width))
    assert written.split() == text.split()
    assert written == "".join(wrapped([text], width))
    if "```" not in text:
        words = max((cell_len(word) for word in text.split()), default=0)
        blanks = max(
            (len(run) for run in text.replace("日", "a").replace("b", "a").replace("\n", "a").split("a")), default=0
        )
        assert all(cell_len(line.rstrip()) <= max(width, words + blanks) for line in written.split("\n"))


def test_a_text_without_blanks_is_shown_while_it_is_written() -> None:
    """Chinese and Japanese have none: a whole paragraph would be held back."""
    pieces = iter("答案：打印机在三楼请使用员工卡登录后打印文件")
    taken = 0

    def counted() -> Iterator[str]:
        nonlocal taken
        for piece in pieces:
            taken += 1
            yield piece

    for shown, _ in enumerate(wrapped(counted(), 20), 1):
        assert shown == taken


def test_of_a_word_in_progress_at_most_the_rest_of_the_line_is_held_back() -> None:
    text = "答案 " + "打印机在三楼请使用员工卡登录后打印文件"
    written = list(wrapped(text, 20))
    assert "".join(written) == text.replace(" ", "\n")
    assert max(map(cell_len, written)) <= 20
