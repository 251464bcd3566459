"""Find the words of questions in a text, to highlight them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sift_rag.errors import MissingExtra

_WORD = re.compile(r"\w+")


def marked_words(text: str, questions: Sequence[str], language: str) -> list[tuple[int, int]]:
    """Return where words of the questions stand in a text, in any inflection; nothing without a stemmer."""
    from sift_rag.words import bag_of

    try:
        wanted = {number for question in questions for number in bag_of(question, language).ids.tolist()}
        return [
            match.span()
            for match in _WORD.finditer(text)
            if not wanted.isdisjoint(bag_of(match[0], language).ids.tolist())
        ]
    except MissingExtra:
        return []
