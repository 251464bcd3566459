"""Write tables, charts and code as Markdown."""

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


def with_unit(title: str, unit: str) -> str:
    """Return the title of a chart with what its figures are: "Visitors (thousands)"."""
    return f"{title} ({unit})" if title and unit else title or unit


def fenced(code: str, language: str = "") -> str:
    """Return code in a fence that is longer than any run of backticks in it."""
    longest = max(map(len, re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"


_POWER = re.compile(r"[-+\u2212\u2013]?(?:\d{1,3}|[nkmxij])")
_HAS_POWER = re.compile(r"(?:\d|(?<![^\W\d_])(?:[^\W\d_]|[kcdm\u00b5\u03bcn]m|ft|in|yd|mi|sec|min|ha|\u00c5)|[)\]])$")
"""End of a text after which a raised number is a power: a number, a variable, a unit of length or of time."""


def with_raised(before: str, raised: str, *, may_be_power: bool = True) -> str:
    """Return raised characters so that they do not become part of what stands before them.

    10 to the power of 6 must not become 106, nor may the number of a note become part of a word.

    Args:
        before: text before them.
        raised: what is raised.
        may_be_power: False for what is known to be the number of a note.
    """
    mark = raised.strip()
    if may_be_power and _POWER.fullmatch(mark) and _HAS_POWER.search(before[-12:]):
        return f"^{mark}"
    return f"[{mark}]" if mark.isdecimal() else raised
