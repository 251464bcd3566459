"""What other software is told of a hit: the passage's metadata, where it stands, and why it was chosen."""

from __future__ import annotations

import math

from sift_rag.types import Hit, JsonValue

FACTS = "sift"
"""The key of what the choice says of a hit."""


def hit_metadata(hit: Hit) -> dict[str, JsonValue]:
    """A new dictionary, fit for JSON: the passage's metadata, and these keys, which win over equal ones in them.

    ``source``; ``title``, ``heading``, ``line`` and ``page`` where there are such; and ``sift`` with ``rank``,
    ``similarity``, ``gain``, ``relevance``, ``posterior_variance`` (None for what is no number) and ``also_in``, the
    sources of its copies. A passage's own key ``sift`` gives way.
    """
    passage = hit.passage
    place: dict[str, JsonValue] = {
        "title": passage.title or None,
        "heading": " > ".join(passage.headings) or None,
        "line": passage.span.line,
        "page": passage.span.page,
    }
    return {
        **passage.metadata,
        "source": passage.source,
        **{key: value for key, value in place.items() if value is not None},
        FACTS: {
            "rank": hit.rank,
            "similarity": _finite(hit.similarity),
            "gain": _finite(hit.gain),
            "relevance": _finite(hit.relevance),
            "posterior_variance": _finite(hit.posterior_variance),
            "also_in": [copy.source for copy in hit.copies],
        },
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
