from __future__ import annotations

from benchmarks.common.small_corpus import reference_page, without_overlap, word_runs

EVALUATED = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen."


def test_a_paragraph_that_shares_thirteen_words_in_a_row_with_an_evaluated_text_is_left_out() -> None:
    shared = "ten, nine; TWO three four\nfive six seven eight nine ten eleven twelve thirteen fourteen, and so on.\n\n"
    text = f"Before it.\n\n{shared}After it."
    assert without_overlap(text, word_runs([EVALUATED])) == "Before it.\n\nAfter it."


def test_twelve_words_in_a_row_may_be_shared() -> None:
    text = "two three four five six seven eight nine ten eleven twelve thirteen, but then something else follows"
    assert without_overlap(text, word_runs([EVALUATED])) == text


def test_nothing_of_a_text_without_overlap_is_lost() -> None:
    text = "\n\n\n  a\n\nb \n\n\n\nc\n\n"
    assert without_overlap(text, word_runs([EVALUATED])) == text


def test_a_reference_page_holds_the_docstrings_in_source_order_under_their_signatures() -> None:
    source = '''"""A tower."""

class Tower:
    """High."""

    def climb(self, steps: int = 3) -> None:
        """Upwards."""

        def rest():
            """On a landing."""

    def silent(self): ...

def demolish():
    """Downwards."""
'''
    assert reference_page("towers", source) == (
        "towers\n\nA tower.\n\n"
        "towers.Tower\n\nHigh.\n\n"
        "towers.Tower.climb(self, steps: int=3)\n\nUpwards.\n\n"
        "towers.Tower.climb.rest()\n\nOn a landing.\n\n"
        "towers.demolish()\n\nDownwards."
    )


def test_a_module_without_docstrings_has_no_reference_page() -> None:
    assert reference_page("towers", "x = 1\n\ndef f(): ...\n") == ""
