"""Build a hit's metadata for the frameworks: the passage's own, its place, and why it was selected."""

from __future__ import annotations

from sift_rag.types import Hit, JsonValue

CHOICE = "sift"
"""Key of the part that says why the hit was chosen."""


def hit_metadata(hit: Hit) -> dict[str, JsonValue]:
    """Return a new dictionary for JSON: the passage's metadata, and these keys, which win over equal ones in it.

    ``source``; ``title``, ``heading``, ``line`` and ``page`` where there are such; and ``sift``, ``Hit.to_dict``
    without texts and metadata. What the passage's own metadata have under one of these keys is in ``sift``, under
    ``replaced``.
    """
    passage = hit.passage
    place: dict[str, JsonValue] = {
        "title": passage.title or None,
        "heading": " > ".join(passage.headings) or None,
        "line": passage.span.line,
        "page": passage.span.page,
    }
    ours = {"source": passage.source, **{key: value for key, value in place.items() if value is not None}}
    replaced = {key: value for key, value in passage.metadata.items() if key == CHOICE or ours.get(key, value) != value}
    return {
        **passage.metadata,
        **ours,
        CHOICE: {
            **{key: value for key, value in hit.to_dict().items() if key not in {"text", "metadata"}},
            "before": [neighbour.place() for neighbour in hit.before],
            "after": [neighbour.place() for neighbour in hit.after],
            **({"replaced": replaced} if replaced else {}),
        },
    }
