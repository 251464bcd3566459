"""Print hits at a terminal or to a pipe. ``explanation.py`` prints the reasons for a selection."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sift_rag_cli.output import console, count_of, is_terminal, one_line, printable, show, write

if TYPE_CHECKING:
    from rich.text import Text

    from sift_rag.types import Hit, Passage, Retrieval

_LINES_SHOWN = 6
_COPIES_SHOWN = 3
_INDENT = "   "

_STOPPED = {
    "variance": "stopped by stop_variance",
    "explained": "stopped by stop_explained",
    "alpha": "stopped by alpha",
    "tokens": "no more fit into --token-budget",
}


def locate(passage: Passage) -> str:
    """Return a passage's position on one line, safe to show: ``guide/travel.md:12``, ``report.pdf, page 3``."""
    from sift_rag.answering.prompt import locate as location

    return one_line(location(passage))


def heading_path(passage: Passage) -> str:
    """Return the headings above a passage, outermost first, on one line."""
    return one_line(" > ".join(passage.headings))


def write_hits(retrieval: Retrieval, *, full: bool) -> None:
    """Write each hit: a line with its position and scores, then its text.

    At a terminal the text is wrapped, and shortened unless ``full``; in a pipe nothing is cut.
    """
    shares = retrieval.added()
    if not is_terminal(sys.stdout):
        for hit, share in zip(retrieval.hits, shares, strict=True):
            parts = (str(hit.rank), locate(hit.passage), heading_path(hit.passage), _scores(hit, share))
            write("  ".join(part for part in parts if part))
            write(textwrap.indent(printable(hit.in_context.text.strip("\n")), _INDENT))
            write("".join(f"{_INDENT}{line}\n" for line in copy_lines(hit.copies, limit=None)))
        return
    width = console().width
    for hit, share in zip(retrieval.hits, shares, strict=True):
        show(_header(hit, width, _scores(hit, share)), *_body(hit, width, full=full), "")


def summary(retrieval: Retrieval) -> str:
    """Return one line: the number of passages, their share of the information, and the rule that stopped selection."""
    chosen = f"{len(retrieval.hits)} of {count_of(retrieval.candidates, 'distinct candidate')}"
    reference = "all of them"
    if retrieval.exact is not None:
        proven = "proven" if retrieval.exact.proven else "not proven"
        passages = count_of(len(retrieval.hits), "passage")
        chosen = f"{passages}, {proven} to be the best selection by embeddings from the whole collection"
        reference = count_of(retrieval.candidates, "candidate")
    parts = [chosen]
    if retrieval.hits and math.isfinite(retrieval.irreducible_variance):
        told = retrieval.explained(retrieval.hits[-1].posterior_variance)
        verb = "it explains" if len(retrieval.hits) == 1 else "they explain"
        parts.append(f"{verb} {told:.0%} of what {reference} could")
    if retrieval.stopped in _STOPPED:
        parts.append(_STOPPED[retrieval.stopped])
    return "; ".join(parts)


def copy_lines(copies: Sequence[Passage], *, limit: int | None = _COPIES_SHOWN) -> list[str]:
    """Return a line for each other place that has the passage; beyond ``limit``, one line with their number."""
    lines = [f"also in {locate(copy)}" for copy in copies]
    if limit is None or len(lines) <= limit:
        return lines
    return [*lines[:limit], f"... and {len(lines) - limit} more places"]


def percent(share: float) -> str:
    """Return a share with a decimal place; a dash for NaN."""
    return f"{share:.1%}" if math.isfinite(share) else "-"


def number(value: float) -> str:
    """Return a similarity with two decimal places; a dash for NaN."""
    return f"{value:.2f}" if math.isfinite(value) else "-"


def _header(hit: Hit, width: int, scores: str) -> Text:
    from rich.text import Text

    place = locate(hit.passage)
    room = width - len(_INDENT) - Text(place).cell_len - len(scores) - 4
    header = Text.assemble((f"{hit.rank:<{len(_INDENT)}}", "bold"), (place, "bold cyan"))
    heading = Text(heading_path(hit.passage), style="dim")
    if heading.plain and room >= 12:
        heading.truncate(room, overflow="ellipsis")
        header.append("  ").append_text(heading)
    gap = width - header.cell_len - len(scores)
    return header.append(" " * gap if gap >= 2 else "  ").append(scores, style="dim")


def _body(hit: Hit, width: int, *, full: bool) -> Iterator[Text]:
    from rich.text import Text

    lines = Text(printable(hit.passage.text.strip("\n"))).wrap(console(), max(width - len(_INDENT), 20), tab_size=4)
    shown = list(lines) if full else list(lines)[:_LINES_SHOWN]
    for line in _context_lines(hit.before, width):
        yield line
    for line in shown:
        yield Text(_INDENT).append_text(line)
    for line in _context_lines(hit.after, width) if len(shown) == len(lines) else ():
        yield line
    if len(shown) < len(lines):
        yield Text(f"{_INDENT}... {count_of(len(lines) - len(shown), 'more line')}: --full", style="dim")
    for copy in copy_lines(hit.copies, limit=None if full else _COPIES_SHOWN):
        yield Text(f"{_INDENT}{copy}", style="dim")


def _scores(hit: Hit, share: float) -> str:
    parts = [f"similarity {number(hit.similarity)}"]
    if hit.reranker_score is not None:
        parts.append(f"reranker {number(hit.reranker_score)}")
    if math.isfinite(share):
        parts.append(f"adds {percent(share)}")
    return "  ".join(parts)


def _context_lines(passages: Sequence[Passage], width: int) -> Iterator[Text]:
    """Yield the text around a hit, dim; passages apart."""
    from rich.text import Text

    for passage in passages:
        text = Text(printable(passage.text.strip("\n")), style="dim")
        for line in text.wrap(console(), max(width - len(_INDENT), 20), tab_size=4):
            yield Text(_INDENT).append_text(line)
