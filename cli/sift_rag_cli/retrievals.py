"""How a retrieval is shown: its hits, and as JSON. Why they were chosen: ``explanation.py``."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from sift_rag_cli.inputs import filter_json
from sift_rag_cli.output import console, count_of, is_terminal, one_line, printable, show, write

if TYPE_CHECKING:
    from rich.text import Text

    from sift_rag.selection import SelectorSettings
    from sift_rag.filters import Filter
    from sift_rag.types import Hit, Passage, Retrieval

_LINES_SHOWN = 6
_COPIES_SHOWN = 3
_INDENT = "   "


def locate(passage: Passage) -> str:
    """Where a passage stands: ``guide/travel.md:12``, ``report.pdf, page 3``; one line, safe to show."""
    from sift_rag.answering.prompt import locate as location

    return one_line(location(passage))


def heading_path(passage: Passage) -> str:
    """The headings above a passage, outermost first, as one line."""
    return one_line(" > ".join(passage.headings))


def write_hits(retrieval: Retrieval, *, full: bool) -> None:
    """Each hit: a line that says where and how good, then its text.

    At a terminal the text is wrapped, and shortened unless ``full``; in a pipe nothing is cut.
    """
    places = decimals(retrieval)
    if not is_terminal(sys.stdout):
        for hit in retrieval.hits:
            parts = (str(hit.rank), locate(hit.passage), heading_path(hit.passage), _scores(hit, places))
            write("  ".join(part for part in parts if part))
            write(textwrap.indent(printable(hit.passage.text.strip("\n")), _INDENT))
            write("".join(f"{_INDENT}{line}\n" for line in copy_lines(hit, limit=None)))
        return
    width = console().width
    for hit in retrieval.hits:
        show(_header(hit, width, _scores(hit, places)), *_body(hit, width, full=full), "")


def summary(retrieval: Retrieval) -> str:
    """One line: how many of how many, what share of their information, and which rule ended the choice."""
    chosen = f"{len(retrieval.hits)} of {retrieval.candidates} distinct candidates"
    reference = "all of them"
    if retrieval.looked_at is not None:
        proven = "proven" if retrieval.certified else "not proven"
        chosen = f"{count_of(len(retrieval.hits), 'passage')}, {proven} the best choice of the whole collection"
        reference = count_of(retrieval.candidates, "candidate")
    parts = [chosen]
    if retrieval.hits and math.isfinite(retrieval.irreducible_variance):
        told = retrieval.explained(retrieval.hits[-1].posterior_variance)
        parts.append(f"they tell {told:.0%} of what {reference} could")
    if retrieval.stopped in _STOPPED:
        parts.append(_STOPPED[retrieval.stopped])
    return "; ".join(parts)


_STOPPED = {
    "variance": "ended by --stop-variance",
    "explained": "ended by --stop-explained",
    "alpha": "ended by --alpha",
    "tokens": "no more fit --token-budget",
}


def retrieval_json(
    retrieval: Retrieval,
    *,
    collection: str,
    selector: SelectorSettings,
    where: Filter | None = None,
    explain: bool = False,
) -> dict[str, object]:
    """The object that ``--json`` prints."""
    first, *others = retrieval.questions
    result: dict[str, object] = {
        "question": first,
        "also": others,
        "collection": collection,
        "filter": filter_json(where),
        "selector": {
            "name": selector.name,
            "kernel": selector.kernel,
            "lengthscale": selector.lengthscale,
            "noise_variance": selector.noise_variance,
            "centring": selector.centring,
            "candidates": retrieval.candidates,
        },
        "targets": retrieval.targets,
        "prior_variance": _finite(retrieval.prior_variance),
        "irreducible_variance": _finite(retrieval.irreducible_variance),
        "stopped": retrieval.stopped,
        "certified": retrieval.certified,
        "looked_at": retrieval.looked_at,
        "hits": [_hit_json(hit) for hit in retrieval.hits],
    }
    if explain:
        result["passed_over"] = [
            {
                **place_json(passed.passage),
                "similarity": _finite(passed.similarity),
                "closest_rank": passed.closest_rank,
                "closest_similarity": _finite(passed.closest_similarity),
                "relevance": _finite(passed.relevance),
                "gain": _finite(passed.gain),
                "redundant_with": passed.redundant_with,
                "taken": _finite(passed.taken),
            }
            for passed in retrieval.passed_over
        ]
    result["timings_ms"] = {step: round(ms, 3) for step, ms in retrieval.timings_ms._asdict().items()}
    return result


def place_json(passage: Passage) -> dict[str, object]:
    """Which passage, and where it stands."""
    return {
        "id": passage.id,
        "source": passage.source,
        "line": passage.span.line,
        "page": passage.span.page,
    }


def passage_json(passage: Passage) -> dict[str, object]:
    """Which passage, where it stands, and what it says."""
    return {
        **place_json(passage),
        "heading": " > ".join(passage.headings),
        "text": passage.text,
        "metadata": dict(passage.metadata),
    }


def _hit_json(hit: Hit) -> dict[str, object]:
    return {
        "rank": hit.rank,
        **passage_json(hit.passage),
        "similarity": _finite(hit.similarity),
        "posterior_variance": _finite(hit.posterior_variance),
        "gain": _finite(hit.gain),
        "relevance": _finite(hit.relevance),
        "redundancy": _finite(hit.redundancy),
        "also_in": [{key: place_json(copy)[key] for key in ("id", "source", "line")} for copy in hit.copies],
    }


def _finite(value: float) -> float | None:
    """The number, or None for what JSON has no number for."""
    return float(value) if math.isfinite(value) else None


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
    for line in shown:
        yield Text(_INDENT).append_text(line)
    if len(shown) < len(lines):
        yield Text(f"{_INDENT}... {len(lines) - len(shown)} more lines: --full", style="dim")
    for copy in copy_lines(hit, limit=None if full else _COPIES_SHOWN):
        yield Text(f"{_INDENT}{copy}", style="dim")


def copy_lines(hit: Hit, *, limit: int | None = _COPIES_SHOWN) -> list[str]:
    """Where else the passage stands, a line each; from ``limit`` on only how many."""
    lines = [f"also in {locate(copy)}" for copy in hit.copies]
    if limit is None or len(lines) <= limit:
        return lines
    return [*lines[:limit], f"... and {len(lines) - limit} more places"]


def _scores(hit: Hit, places: int) -> str:
    return f"sim {number(hit.similarity)}  var {number(hit.posterior_variance, places)}"


def decimals(retrieval: Retrieval) -> int:
    """Decimal places at which the smallest step of the variance shows, with two digits where there is room.

    A passage far from the question takes little from the variance: 0.00007 of 1 at similarity 0.4 with the default
    kernel.
    """
    variances = [retrieval.prior_variance, *(hit.posterior_variance for hit in retrieval.hits)]
    drops = (abs(before - after) for before, after in pairwise(variances))
    steps = [drop for drop in drops if math.isfinite(drop) and drop > 1e-9]
    return min(max(1 - math.floor(math.log10(min(steps))), 2), 6) if steps else 2


def number(value: float, places: int = 2) -> str:
    """To so many places; a dash for what is no number."""
    return f"{value:.{places}f}" if math.isfinite(value) else "-"
