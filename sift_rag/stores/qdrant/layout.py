"""How another tool's points are read: which vector, which payload field is the text, which one names the document.

What is not named is found out where there is one candidate. LangChain, LlamaIndex, Haystack and the client's own helper
each have their names for the text; where none of those is there, the only long text of the payload is taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sift_rag.errors import ConfigurationError

NODE_CONTENT = "_node_content"
"""Where LlamaIndex keeps a node as JSON text, the node's own text among it."""
SAMPLE = 64
"""Points that are looked at."""

_TEXT_KEYS = ("page_content", "text", "content", "document", "chunk", "passage", "body", NODE_CONTENT)
_SOURCE_NAMES = ("source", "file_path", "file_name", "filename", "path", "url", "document_id", "doc_id", "title")
_METADATA = ("metadata", "meta")
"""Objects in a payload that hold what its writer calls metadata."""
_LONG = 80
"""Characters that the text of a passage has in the middle of the sample, at least."""


class SeveralVectors(ConfigurationError):
    """Which vector is meant cannot be told without the embedder's dimension, or not at all."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a person knows of another tool's collection; None is found out."""

    vector: str | None = None
    """Name of the vector; empty for the unnamed one."""
    text: str | None = None
    """Payload field that is the text; a dot leads into an object: ``metadata.body``."""
    source: str | None = None
    """Likewise the one that names the document."""
    dimension: int | None = None
    """Of the embedder: among several vectors, the only one of this dimension is taken."""


def choose_vector(dimensions: Mapping[str, int], layout: Layout, where: str) -> str:
    """The name of the vector that is searched, of those that are there.

    Raises:
        ConfigurationError: the one named is not there, or there is none.
        SeveralVectors: there are several that it might be.
    """
    there = ", ".join(f"{name or '(unnamed)'} of {size}" for name, size in sorted(dimensions.items()))
    if layout.vector is not None:
        if layout.vector in dimensions:
            return layout.vector
        raise ConfigurationError(
            f"{where} has no vector {layout.vector!r} to search by (there: {there or 'none'}). Name another with "
            "--vector-name."
        )
    fitting = [name for name, size in dimensions.items() if layout.dimension in {None, size}] or list(dimensions)
    if len(fitting) == 1:
        return fitting[0]
    if not dimensions:
        raise ConfigurationError(f"{where} has no dense vectors, one a point: it cannot be searched by meaning.")
    raise SeveralVectors(f"{where} has several vectors ({there} dimensions). Name one with --vector-name.")


def choose_text(payloads: Sequence[Mapping[str, Any]], layout: Layout, where: str) -> str:
    """The path of the text, as far as a sample of payloads tells.

    Raises:
        ConfigurationError: it tells nothing, or too much; or the field named holds no text.
    """
    texts = [{path: value for path, value in _leaves(payload) if isinstance(value, str)} for payload in payloads]
    everywhere = set.intersection(*map(set, texts)) if texts else set()
    there = ", ".join(sorted({path for found in texts for path in found})) or "none"
    if layout.text is not None:
        if any(value_at(payload, layout.text) is not None for payload in payloads) or not payloads:
            return layout.text
        raise ConfigurationError(
            f"{where} has no field {layout.text!r} in the payloads looked at (texts there: {there}). Name another with "
            "--text-key."
        )
    usual = [path for path in _TEXT_KEYS if path in everywhere]
    if not usual:
        usual = [path for path in sorted(everywhere) if median(len(found[path]) for found in texts) >= _LONG]
    if len(usual) == 1 or not payloads:
        return usual[0] if usual else _TEXT_KEYS[0]
    if set(usual) == {"text", NODE_CONTENT}:  # one node, told twice
        return "text"
    found = f"it might be {' or '.join(usual)}" if usual else f"texts there: {there}"
    raise ConfigurationError(
        f"{where} was made by another tool, and which field of the payload is the text cannot be told ({found}). Name "
        "it with --text-key."
    )


def choose_source(payloads: Sequence[Mapping[str, Any]], layout: Layout) -> str | None:
    """The path of what names a point's document; None if nothing does."""
    if layout.source is not None:
        return layout.source
    paths = {path for payload in payloads for path, value in _leaves(payload) if isinstance(value, str)}
    for name in _SOURCE_NAMES:
        for path in (name, *(f"{outer}.{name}" for outer in _METADATA)):
            if path in paths:
                return path
    return None


def value_at(payload: Mapping[str, Any], path: str) -> Any:
    """What stands at a path with dots; a key that itself has dots comes first. None for nothing."""
    if path in payload:
        return payload[path]
    first, dot, rest = path.partition(".")
    inner = payload.get(first)
    return value_at(inner, rest) if dot and isinstance(inner, Mapping) else None


def text_at(payload: Mapping[str, Any], path: str) -> str:
    """The text at a path; empty if there is none."""
    value = value_at(payload, path)
    if path == NODE_CONTENT and isinstance(value, str):
        try:
            node = json.loads(value)
        except (ValueError, RecursionError):
            return ""
        value = node.get("text") if isinstance(node, dict) else None
    return value if isinstance(value, str) else ""


def metadata_of(payload: Mapping[str, Any], text: str) -> dict[str, Any]:
    """What else a payload says: its own fields, and those of its metadata object, which win."""
    kept = {key: value for key, value in payload.items() if key not in {text, NODE_CONTENT, *_METADATA}}
    for outer in _METADATA:
        inner = payload.get(outer)
        if isinstance(inner, Mapping):
            kept |= {key: value for key, value in inner.items() if f"{outer}.{key}" != text}
        elif inner is not None:
            kept[outer] = inner
    return kept


def paths_of(key: str) -> list[str]:
    """Where in a payload the metadata of that key may stand."""
    return [key, *(f"{outer}.{key}" for outer in _METADATA)]


def _leaves(payload: Mapping[str, Any], prefix: str = "", depth: int = 3) -> Iterator[tuple[str, Any]]:
    for key, value in payload.items():
        if isinstance(value, Mapping) and depth:
            yield from _leaves(value, f"{prefix}{key}.", depth - 1)
        else:
            yield f"{prefix}{key}", value
