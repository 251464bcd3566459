"""Write tables and code as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sift_rag.corpus.decoding import one_line


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as a table whose header is the first row; "" for no rows. Short rows are filled up."""
    width = max(map(len, rows), default=0)
    if not width:
        return ""
    padded = [[one_line(cell).replace("|", "\\|") for cell in row] + [""] * (width - len(row)) for row in rows]
    written = [f"| {' | '.join(row)} |" for row in padded]
    return "\n".join([written[0], f"|{' --- |' * width}", *written[1:]])


def fenced(code: str, language: str = "") -> str:
    """Return code in a fence that is longer than any run of backticks in it."""
    longest = max(map(len, re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"
