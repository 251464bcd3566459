"""Print hits at a terminal or to a pipe. ``explanation.py`` prints the reasons for a selection."""

from __future__ import annotations

import math
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag import defaults
from sift_rag_cli.highlighting import marked_words
from sift_rag_cli.match_levels import match_level
from sift_rag_cli.output import bar, console, count_of, is_terminal, one_line, printable, show, write

if TYPE_CHECKING:
    from rich.text import Text

    from sift_rag.protocols import PassageIndex
    from sift_rag.retrieval.matching import MatchLevel
    from sift_rag.retrieval.retriever import Retriever
    from sift_rag.types import Hit, Passage, Retrieval

_LINES_SHOWN = 6
_COPIES_SHOWN = 3
_CONTEXT_LINES = 3
"""Lines of the text before a hit, and of that after it."""
_INDENT = "   "
_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*")
_CONTEXT = " │ "
_MATCH_CELLS = 8

_STOPPED = {
    "variance": "stopped by stop_variance",
    "explained": "stopped by stop_explained",
    "alpha": "stopped by alpha",
    "tokens": "no more fit into --token-budget",
}


@dataclass(frozen=True)
class HitView:
    """The remarks of a terminal on hits."""

    questions: Sequence[str] = ()
    """Their words are highlighted."""
    language: str = defaults.LANGUAGE
    level: MatchLevel | None = None
    """Similarity of unrelated questions in the collection; None if it was not measured."""
    links: Mapping[str, str] = field(default_factory=dict)
    """URLs by source."""


def locate(passage: Passage) -> str:
    """Return a passage's position on one line, safe to show: ``guide/travel.md:12``, ``report.pdf, page 3``."""
    from sift_rag.answering.prompt import locate as location

    return one_line(location(passage))


def heading_path(passage: Passage) -> str:
    """Return the headings above a passage, outermost first, on one line."""
    return one_line(" > ".join(passage.headings))


def body_of(passage: Passage) -> str:
    """Return a passage's text, safe to show, without those of the headings above it that it begins with."""
    lines = passage.text.strip("\n").split("\n")
    first = 0
    while first < len(lines) and (not lines[first].strip() or _is_above(lines[first], passage)):
        first += 1
    return printable("\n".join(lines[first:] or lines))


def _is_above(line: str, passage: Passage) -> bool:
    found = _HEADING.fullmatch(line)
    return found is not None and found[1] in passage.headings


def write_hits(retrieval: Retrieval, *, full: bool, view: HitView) -> None:
    """Write each hit: a line with its position and scores, then its text.

    At a terminal the text is wrapped, and shortened unless ``full``; in a pipe nothing is cut.
    """
    shares = retrieval.added()
    if not is_terminal(sys.stdout):
        for hit, share in zip(retrieval.hits, shares, strict=True):
            parts = (str(hit.rank), locate(hit.passage), heading_path(hit.passage), _scores(hit, share))
            write("  ".join(part for part in parts if part))
            write(textwrap.indent(body_of(hit.in_context), _INDENT))
            write("".join(f"{_INDENT}{line}\n" for line in copy_lines(hit.copies, limit=None)))
        return
    width = console().width
    for hit, share in zip(retrieval.hits, shares, strict=True):
        show(_header(hit, width, view), _match_line(hit, share, view), *_body(hit, width, view, full=full), "")


def summary(retrieval: Retrieval) -> str:
    """Return one line: the share of the information that the hits cover, and the rule that stopped selection."""
    count = len(retrieval.hits)
    parts = [_coverage(retrieval) or f"{count_of(count, 'passage')} of {retrieval.candidates:,}"]
    if retrieval.exact is not None:
        proven = "proven" if retrieval.exact.proven else "not proven"
        parts.append(f"{proven} to be the best selection by embeddings from the whole collection")
    elif not retrieval.exact_search:
        parts.append("approximate search: a few of the nearest may be missing")
    if retrieval.stopped in _STOPPED:
        parts.append(_STOPPED[retrieval.stopped])
    return "; ".join(parts)


def _coverage(retrieval: Retrieval) -> str:
    count = len(retrieval.hits)
    if not count or not math.isfinite(retrieval.irreducible_variance):
        return ""
    told = percent(retrieval.explained(retrieval.hits[-1].posterior_variance))
    who = "This one covers" if count == 1 else f"These {count} cover"
    if retrieval.exact is not None:
        return f"{who} {told} of what {count_of(retrieval.candidates, 'candidate')} contain"
    if retrieval.candidates == 1:
        return f"{who} {told} of what the nearest passage contains"
    return f"{who} {told} of what the {retrieval.candidates:,} nearest passages contain"


def weak_match(retrieval: Retrieval, level: MatchLevel | None) -> str:
    """Return a sentence if no hit matches better than passages match unrelated questions; else an empty string."""
    if level is None or not retrieval.hits or any(hit.reranker_score is not None for hit in retrieval.hits):
        return ""
    best = max(hit.similarity for hit in retrieval.hits)
    if not level.is_weak(best):
        return ""
    return (
        f"Nothing here matches the question well: the best match is {number(best)}, and questions about other things "
        f"reach {number(level.high)} in this collection."
    )


def view_of(retriever: Retriever, retrieval: Retrieval, store: str | None) -> HitView:
    """Return what to show about the hits of a search in a store."""
    level = match_level(retriever, store)
    return HitView(retrieval.questions, retriever.language, level, links_of(retrieval, retriever.store))


def links_of(retrieval: Retrieval, store: PassageIndex) -> dict[str, str]:
    """Return the URL of each hit's document: an address as it is, or a file that is on this machine."""
    from sift_rag.corpus.locations import is_here, path_at

    found: dict[str, str] = {}
    for source in {hit.passage.source for hit in retrieval.hits}:
        record = next(iter(store.documents(source)), None)
        location = record.location if record is not None and record.source == source else ""
        for url in (source, location):
            if url.startswith(("http://", "https://")) and one_line(url) == url:
                found[source] = url
        if source not in found and location and is_here(location):
            found[source] = Path(path_at(location)).absolute().as_uri()
    return found


def copy_lines(copies: Sequence[Passage], *, limit: int | None = _COPIES_SHOWN) -> list[str]:
    """Return a line for each other place that has the passage; beyond ``limit``, one line with their number."""
    lines = [f"also in {locate(copy)}" for copy in copies]
    if limit is None or len(lines) <= limit:
        return lines
    return [*lines[:limit], f"... and {len(lines) - limit} more places"]


def percent(share: float, digits: int = 0) -> str:
    """Return a share as per cent; a dash for NaN."""
    return f"{100 * share:.{digits}f} %" if math.isfinite(share) else "-"


def number(value: float) -> str:
    """Return a similarity with two decimal places; a dash for NaN."""
    return f"{value:.2f}" if math.isfinite(value) else "-"


def _header(hit: Hit, width: int, view: HitView) -> Text:
    from rich.style import Style
    from rich.text import Text

    place = locate(hit.passage)
    room = width - len(_INDENT) - Text(place).cell_len - 2
    style = Style(bold=True, color="cyan", link=view.links.get(hit.passage.source))
    first, *rest = Text(place, style=style).wrap(console(), max(width - len(_INDENT), 20))
    header = Text.assemble((f"{hit.rank:<{len(_INDENT)}}", "bold"), first)
    for line in rest:
        header.append(f"\n{_INDENT}").append_text(line)
    heading = Text(heading_path(hit.passage), style="dim")
    if heading.plain and room >= 12:
        heading.truncate(room, overflow="ellipsis")
        header.append("  ").append_text(heading)
    return header


def _match_line(hit: Hit, share: float, view: HitView) -> Text:
    from rich.text import Text

    strength = hit.similarity if view.level is None else view.level.strength(hit.similarity)
    cells = bar(strength, _MATCH_CELLS).replace("·", "░")
    line = Text.assemble(_INDENT, ("match ", "dim"), number(hit.similarity), " ", (cells, "green"))
    if hit.reranker_score is not None:
        line.append("  reranker ", style="dim").append(number(hit.reranker_score))
    if math.isfinite(share):
        line.append("  adds ", style="dim").append(percent(share))
    return line


def _body(hit: Hit, width: int, view: HitView, *, full: bool) -> Iterator[Text]:
    from rich.text import Text

    text = Text(body_of(hit.passage))
    for start, end in marked_words(text.plain, view.questions, view.language):
        text.stylize("bold yellow", start, end)
    lines = text.wrap(console(), max(width - len(_INDENT), 20), tab_size=4)
    shown = list(lines) if full else list(lines)[:_LINES_SHOWN]
    yield from _context_lines(hit.before, width, full=full, ending=True)
    for line in shown:
        yield Text(_INDENT).append_text(line)
    if len(shown) == len(lines):
        yield from _context_lines(hit.after, width, full=full, ending=False)
    if len(shown) < len(lines):
        yield Text(f"{_INDENT}... {count_of(len(lines) - len(shown), 'more line')}: --full", style="dim")
    for copy in copy_lines(hit.copies, limit=None if full else _COPIES_SHOWN):
        yield Text(f"{_INDENT}{copy}", style="dim")


def _scores(hit: Hit, share: float) -> str:
    parts = [f"match {number(hit.similarity)}"]
    if hit.reranker_score is not None:
        parts.append(f"reranker {number(hit.reranker_score)}")
    if math.isfinite(share):
        parts.append(f"adds {percent(share, 1)}")
    return "  ".join(parts)


def _context_lines(passages: Sequence[Passage], width: int, *, full: bool, ending: bool) -> Iterator[Text]:
    """Yield the text around a hit, dim and behind a bar; of a long one the lines next to the hit, unless ``full``."""
    from rich.text import Text

    lines = [
        line
        for passage in passages
        for line in Text(printable(passage.text.strip("\n")), style="dim").wrap(
            console(), max(width - len(_CONTEXT), 20), tab_size=4
        )
    ]
    shown = lines if full else lines[-_CONTEXT_LINES:] if ending else lines[:_CONTEXT_LINES]
    cut = [Text(f"{_CONTEXT}...", style="dim")] if len(shown) < len(lines) else []
    marked = [Text(_CONTEXT, style="dim").append_text(line) for line in shown]
    yield from [*cut, *marked] if ending else [*marked, *cut]
