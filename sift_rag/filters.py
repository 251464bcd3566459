"""Filters: which passages a search may find, by source and by metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from sift_rag.types import JsonValue, Passage
from sift_rag.unicode import is_text

LABEL_LENGTH = 256
"""Maximum number of characters of a label's key and value together: longer values are content, not labels."""


def labels_of(metadata: Mapping[str, JsonValue]) -> list[tuple[str, str]]:
    """Return the part of metadata that a filter can ask for: (key, value) of each scalar, in lists too.

    A number, true and false are as JSON writes them. Left out are null, what is nested deeper, keys that are empty or
    hold a ``=``, and what is longer than ``LABEL_LENGTH``. Each once, in the order of the metadata.
    """
    labels: dict[tuple[str, str], None] = {}
    for key, value in metadata.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, bool | int | float | str) and key and "=" not in key:
                text = item if isinstance(item, str) else json.dumps(item)
                if len(key) + len(text) <= LABEL_LENGTH:
                    labels[key, text] = None
    return list(labels)


@dataclass(frozen=True, slots=True)
class Filter:
    """The passages that may be found: those of these documents with these labels. An empty filter matches all."""

    sources: tuple[str, ...] = ()
    """Globs over ``Passage.source``; at least one must match the whole name. ``*`` matches any characters including
    ``/``, ``?`` one character, ``[ab]`` and ``[!ab]`` one of a set; a glob that ends in ``/`` matches everything below.
    Globs are case-sensitive."""
    labels: tuple[tuple[str, str], ...] = ()
    """(key, value) as ``labels_of`` gives them: for each key any of its values, and that for all keys."""

    def __post_init__(self) -> None:
        """Check the filter. A single glob need not be in a tuple.

        Raises:
            TypeError: a glob, a key or a value is no text.
            ValueError: a glob or a key is empty, a key holds a ``=``, a label is longer than any can be, or something
                is not Unicode text.
        """
        sources: Any = self.sources
        object.__setattr__(self, "sources", (sources,) if isinstance(sources, str) else tuple(sources))
        object.__setattr__(self, "labels", tuple(self.labels))
        for label in self.labels:
            if not isinstance(label, tuple) or len(label) != 2:
                raise TypeError(f"A filter's labels must be pairs of a key and a value, but got {label!r}.")
        for text in (*self.sources, *(text for label in self.labels for text in label)):
            if not isinstance(text, str):
                raise TypeError(f"A filter's globs, keys and values must be texts, but got {text!r}.")
        if not all(self.sources):
            raise ValueError("A filter's glob for sources is empty: expected one such as 'docs/*'.")
        for key, value in self.labels:
            if not key or "=" in key:
                raise ValueError(f"A filter cannot ask for the metadata key {key!r}: expected a name without '='.")
            if len(key) + len(value) > LABEL_LENGTH:
                raise ValueError(
                    f"A filter asks for a {key!r} of {len(value):,} characters: key and value have at most "
                    f"{LABEL_LENGTH} together, because filters cannot use longer metadata."
                )
        for text in (*self.sources, *(text for label in self.labels for text in label)):
            if not is_text(text):
                raise ValueError(f"A filter asks for {text!r}, which is not Unicode text.")

    @classmethod
    def parse(cls, conditions: Sequence[str]) -> Filter:
        """Return the filter that texts such as ``source=docs/*`` and ``tag=x`` ask for.

        Raises:
            ValueError: one is not of this form.
        """
        sources: list[str] = []
        labels: list[tuple[str, str]] = []
        for condition in conditions:
            key, equals, value = condition.partition("=")
            if not (equals and key and value):
                raise ValueError(f"The filter {condition!r} is not of the form KEY=VALUE, such as source='docs/*'.")
            if key == "source":
                sources.append(value)
            else:
                labels.append((key, value))
        return cls(tuple(sources), tuple(labels))

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Filter:
        """Return the filter of ``{"sources": [...], "metadata": {key: [values]}}``; a single value needs no list.

        Raises:
            ValueError: another key, or a value that is no text, number or truth value.
        """
        if unknown := sorted(set(value) - {"sources", "metadata"}):
            raise ValueError(f"A filter has 'sources' and 'metadata', but not {unknown[0]!r}.")
        metadata = value.get("metadata") or {}
        if not isinstance(metadata, Mapping):
            raise ValueError(f"A filter's metadata must be an object of keys and values, but got {metadata!r}.")
        sources = _as_list(value.get("sources") or [])
        if not all(isinstance(source, str) for source in sources):
            raise ValueError(f"A filter's sources must be globs, but got {sources!r}.")
        labels = [(key, item) for key, items in metadata.items() for item in _as_list(items)]
        if odd := [item for _, item in labels if not isinstance(item, bool | int | float | str)]:
            raise ValueError(f"A filter's metadata must be texts, numbers or truth values, but got {odd[0]!r}.")
        return cls(
            tuple(str(source) for source in sources),
            tuple((str(key), item if isinstance(item, str) else json.dumps(item)) for key, item in labels),
        )

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON shape that ``from_dict`` reads."""
        return {"sources": list(self.sources), "metadata": {key: list(v) for key, v in self.choices().items()}}

    def __bool__(self) -> bool:
        """Return True if it asks for anything."""
        return bool(self.sources or self.labels)

    def choices(self) -> dict[str, list[str]]:
        """Return the accepted values for each key of a label."""
        choices: dict[str, list[str]] = {}
        for key, value in dict.fromkeys(self.labels):
            choices.setdefault(key, []).append(value)
        return choices

    def matches_source(self, source: str) -> bool:
        """Return True if a document's passages may be found, labels aside."""
        globs = (f"{glob}*" if glob.endswith("/") else glob for glob in self.sources)
        return not self.sources or any(fnmatchcase(source, glob) for glob in globs)

    def matches(self, passage: Passage) -> bool:
        """Return True if the passage may be found: the meaning of every store's ``where``."""
        borne = set(labels_of(passage.metadata)) if self.labels else set()
        return self.matches_source(passage.source) and all(
            any((key, value) in borne for value in values) for key, values in self.choices().items()
        )


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]
