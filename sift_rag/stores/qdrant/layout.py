"""The layout of another tool's points: their vector, the payload fields with the text and the document's name.

Fields left unset are inferred if there is exactly one candidate. LangChain, LlamaIndex, Haystack and the client's own
helper each have their names for the text; if none of those exists, the only long text of the payload is taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sift_rag.errors import ConfigurationError, Remedy

NODE_CONTENT = "_node_content"
"""Field in which LlamaIndex keeps a node as JSON, its text included."""
SAMPLE = 64
"""Number of points that are looked at."""

_TEXT_KEYS = ("page_content", "text", "content", "document", "chunk", "passage", "body", NODE_CONTENT)
_SOURCE_NAMES = ("source", "file_path", "file_name", "filename", "path", "url", "document_id", "doc_id", "title")
_METADATA = ("metadata", "meta")
"""Objects in a payload that hold its writer's metadata."""
_LONG = 80
"""Least median number of characters of a field that is taken for the text."""


class SeveralVectors(ConfigurationError):
    """Several vectors could be meant; the embedder's dimension may decide."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The known fields of another tool's collection; None is inferred."""

    vector: str | None = None
    """Name of the vector; empty for the unnamed one."""
    text: str | None = None
    """Payload field with the text; a dot leads into an object: ``metadata.body``."""
    source: str | None = None
    """Payload field that names the document, likewise."""
    dimension: int | None = None
    """Dimension of the embedder: among several vectors, the only one of this dimension is taken."""


def choose_vector(dimensions: Mapping[str, int], layout: Layout, label: str) -> str:
    """Return the name of the vector to search.

    Raises:
        ConfigurationError: the one named does not exist, or there is none.
        SeveralVectors: there are several candidates.
    """
    there = ", ".join(f"{name or '(unnamed)'} of {size}" for name, size in sorted(dimensions.items()))
    if layout.vector is not None:
        if layout.vector in dimensions:
            return layout.vector
        raise ConfigurationError(
            f"{label} has no vector {layout.vector!r} to search by (there: {there or 'none'}).",
            remedy=Remedy("vector-name"),
        )
    fitting = [name for name, size in dimensions.items() if layout.dimension in {None, size}] or list(dimensions)
    if len(fitting) == 1:
        return fitting[0]
    if not dimensions:
        raise ConfigurationError(f"{label} has no dense vector per point: it cannot be searched by similarity.")
    raise SeveralVectors(
        f"{label} has several vectors ({there} dimensions): expected the name of one.", remedy=Remedy("vector-name")
    )


def choose_text(payloads: Sequence[Mapping[str, Any]], layout: Layout, label: str) -> str:
    """Return the path of the text, inferred from a sample of payloads.

    Raises:
        ConfigurationError: there is no candidate, or several; or the field named holds no text.
    """
    texts = [{path: value for path, value in _leaves(payload) if isinstance(value, str)} for payload in payloads]
    everywhere = set.intersection(*map(set, texts)) if texts else set()
    there = ", ".join(sorted({path for found in texts for path in found})) or "none"
    if layout.text is not None:
        if any(value_at(payload, layout.text) is not None for payload in payloads) or not payloads:
            return layout.text
        raise ConfigurationError(
            f"{label} has no field {layout.text!r} in the payloads looked at (texts there: {there}).",
            remedy=Remedy("text-key"),
        )
    usual = [path for path in _TEXT_KEYS if path in everywhere]
    if not usual:
        usual = [path for path in sorted(everywhere) if median(len(found[path]) for found in texts) >= _LONG]
    if len(usual) == 1 or not payloads:
        return usual[0] if usual else _TEXT_KEYS[0]
    if set(usual) == {"text", NODE_CONTENT}:  # one node, written twice
        return "text"
    found = f"it might be {' or '.join(usual)}" if usual else f"texts there: {there}"
    raise ConfigurationError(
        f"{label} was made by another tool, and the payload field with the text cannot be identified ({found}).",
        remedy=Remedy("text-key"),
    )


def choose_source(payloads: Sequence[Mapping[str, Any]], layout: Layout) -> str | None:
    """Return the path of the field that names a point's document; None if there is none."""
    if layout.source is not None:
        return layout.source
    paths = {path for payload in payloads for path, value in _leaves(payload) if isinstance(value, str)}
    for name in _SOURCE_NAMES:
        for path in (name, *(f"{outer}.{name}" for outer in _METADATA)):
            if path in paths:
                return path
    return None


def value_at(payload: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path with dots, or None; a key that itself has dots comes first."""
    if path in payload:
        return payload[path]
    first, dot, rest = path.partition(".")
    inner = payload.get(first)
    return value_at(inner, rest) if dot and isinstance(inner, Mapping) else None


def text_at(payload: Mapping[str, Any], path: str) -> str:
    """Return the text at a path; empty if there is none."""
    value = value_at(payload, path)
    if path == NODE_CONTENT and isinstance(value, str):
        try:
            node = json.loads(value)
        except (ValueError, RecursionError):
            return ""
        value = node.get("text") if isinstance(node, dict) else None
    return value if isinstance(value, str) else ""


def metadata_of(payload: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return the other fields of a payload and those of its metadata object, which win."""
    kept = {key: value for key, value in payload.items() if key not in {text, NODE_CONTENT, *_METADATA}}
    for outer in _METADATA:
        inner = payload.get(outer)
        if isinstance(inner, Mapping):
            kept |= {key: value for key, value in inner.items() if f"{outer}.{key}" != text}
        elif inner is not None:
            kept[outer] = inner
    return kept


def paths_of(key: str) -> list[str]:
    """Return the paths at which metadata of that key may be."""
    return [key, *(f"{outer}.{key}" for outer in _METADATA)]


def _leaves(payload: Mapping[str, Any], prefix: str = "", depth: int = 3) -> Iterator[tuple[str, Any]]:
    for key, value in payload.items():
        if isinstance(value, Mapping) and depth:
            yield from _leaves(value, f"{prefix}{key}.", depth - 1)
        else:
            yield f"{prefix}{key}", value
