"""Filters: which passages a search may find, by source and by metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from sift_rag.comparisons import OPERATORS, SIGNS, Condition, KeyConditions, check_comparison
from sift_rag.types import JsonValue, Passage
from sift_rag.unicode import is_text

LABEL_LENGTH = 256
"""Maximum number of characters of a label's key and value together: longer values are content, not labels."""

_CONDITION = re.compile(
    r'(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<key>(?:(?![!~]=)[^=<>])+))(?P<sign>(?>!=|~=|<=|>=|=|<|>))(?P<value>.+)',
    re.DOTALL,
)


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
    comparisons: tuple[Condition, ...] = ()
    """Further conditions on labels (``year>=2024``), all required; globs for one key are alternatives. ``gt``, ``gte``,
    ``lt`` and ``lte`` ask for one value that meets all of those for its key, a number by a number and a date by a date.
    ``not`` also matches a passage that lacks the key."""
    excluded: tuple[str, ...] = ()
    """Globs over ``Passage.source``; none may match."""

    def __post_init__(self) -> None:
        """Check the filter. A single glob need not be in a tuple.

        Raises:
            TypeError: a glob, a key or a value is no text.
            ValueError: a glob or a key is empty, a key holds a ``=``, a label is longer than any can be, a comparison
                demands an order of what has none, or something is not Unicode text.
        """
        for name in ("sources", "excluded"):
            globs: Any = getattr(self, name)
            object.__setattr__(self, name, (globs,) if isinstance(globs, str) else tuple(globs))
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "comparisons", tuple(_comparison(entry) for entry in self.comparisons))
        for label in self.labels:
            if not isinstance(label, tuple) or len(label) != 2:
                raise TypeError(f"A filter's labels must be pairs of a key and a value, but got {label!r}.")
        asked = [*self.labels, *((key, value) for key, _, value in self.comparisons)]
        texts = (*self.sources, *self.excluded, *(text for label in asked for text in label))
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(f"A filter's globs, keys and values must be texts, but got {text!r}.")
        if not all((*self.sources, *self.excluded)):
            raise ValueError("A filter's glob for sources is empty: expected one such as 'docs/*'.")
        for key, value in asked:
            _check_label(key, value)
        for text in texts:
            if not is_text(text):
                raise ValueError(f"A filter asks for {text!r}, which is not Unicode text.")
        for comparison in self.comparisons:
            check_comparison(comparison)

    @classmethod
    def parse(cls, conditions: Sequence[str]) -> Filter:
        """Return the filter that texts such as ``source=docs/*``, ``tag=x`` and ``year>=2024`` ask for.

        The first of ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=`` and ``~=`` (a glob) in a text separates key and value;
        spaces around all but ``=`` do not count. A key that holds one of them, or a field of the metadata that is
        itself named ``source``, is written as a JSON string: ``"a>b"=c``.

        Raises:
            ValueError: one is not of this form, or asks for what a ``Filter`` refuses.
        """
        sources: list[str] = []
        excluded: list[str] = []
        labels: list[tuple[str, str]] = []
        comparisons: list[Condition] = []
        for condition in conditions:
            key, sign, value = _parts(condition)
            if key is not None:
                if sign == "=":
                    labels.append((key, value))
                else:
                    comparisons.append(Condition(key, SIGNS[sign], value))
            elif sign in {"=", "~="}:
                sources.append(value)
            elif sign == "!=":
                excluded.append(value)
            else:
                raise ValueError(f"The filter {condition!r} asks for an order of sources: expected source='docs/*'.")
        return cls(tuple(sources), tuple(labels), tuple(comparisons), tuple(excluded))

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> Filter:
        """Return the filter of ``{"sources": [...], "metadata": {key: [values]}}``; a single value needs no list.

        Instead of values, a key may have conditions, all required: ``{"is": [...], "not": [...], "gt": 1, "gte": 1,
        "lt": 2, "lte": 2, "glob": ["a*"]}``. Sources may be ``{"glob": [...], "not": [...]}``.

        Raises:
            ValueError: another key, or a value that is no text, number or truth value.
        """
        if unknown := sorted(map(str, set(value) - {"sources", "metadata"})):
            raise ValueError(
                f"A filter has 'sources' and 'metadata', but not {unknown[0]!r}: expected an object such as "
                '{"sources": ["docs/*"], "metadata": {"tag": ["x"], "year": {"gte": 2024}}}.'
            )
        metadata = value.get("metadata") or {}
        if not isinstance(metadata, Mapping):
            raise ValueError(f"A filter's metadata must be an object of keys and values, but got {metadata!r}.")
        labels: list[tuple[str, str]] = []
        comparisons: list[Condition] = []
        for key, asked in metadata.items():
            for name, item in _entries(asked, "is", OPERATORS, f"conditions on {key!r}"):
                if not isinstance(item, bool | int | float | str):
                    raise ValueError(f"A filter's metadata must be texts, numbers or truth values, but got {item!r}.")
                text = item if isinstance(item, str) else json.dumps(item)
                if name == "is":
                    labels.append((str(key), text))
                else:
                    comparisons.append(Condition(str(key), name, text))
        globs: dict[str, list[str]] = {"glob": [], "not": []}
        for name, glob in _entries(value.get("sources") or [], "glob", ("not",), "sources"):
            if not isinstance(glob, str):
                raise ValueError(f"A filter's sources must be globs, but got {value['sources']!r}.")
            globs[name].append(glob)
        return cls(tuple(globs["glob"]), tuple(labels), tuple(comparisons), tuple(globs["not"]))

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON shape that ``from_dict`` reads."""
        sources: JsonValue = list(self.sources)
        if self.excluded:
            sources = {"glob": list(self.sources), "not": list(self.excluded)}
        return {
            "sources": sources,
            "metadata": {key: _written(conditions) for key, conditions in self.conditions().items()},
        }

    def __bool__(self) -> bool:
        """Return True if it asks for anything."""
        return bool(self.sources or self.excluded or self.asks_for_labels)

    @property
    def asks_for_labels(self) -> bool:
        """True if it has conditions on metadata."""
        return bool(self.labels or self.comparisons)

    def choices(self) -> dict[str, list[str]]:
        """Return the accepted values for each key of a label."""
        choices: dict[str, list[str]] = {}
        for key, value in dict.fromkeys(self.labels):
            choices.setdefault(key, []).append(value)
        return choices

    def conditions(self) -> dict[str, KeyConditions]:
        """Return all conditions on metadata, by key."""
        choices, comparisons = self.choices(), dict.fromkeys(self.comparisons)
        return {
            key: KeyConditions(choices.get(key, []), [one for one in comparisons if one.key == key])
            for key in dict.fromkeys([*choices, *(one.key for one in comparisons)])
        }

    def conditions_in_words(self) -> list[str]:
        """Return the conditions on metadata for a message: ``tag=x or y``, ``year>=2024``."""
        choices = (f"{key}={' or '.join(values)}" for key, values in self.choices().items())
        return [*choices, *map(str, dict.fromkeys(self.comparisons))]

    def matches_source(self, source: str) -> bool:
        """Return True if a document's passages may be found, labels aside."""
        return (not self.sources or _any_matches(self.sources, source)) and not _any_matches(self.excluded, source)

    def matches(self, passage: Passage) -> bool:
        """Return True if the passage may be found: the meaning of every store's ``where``."""
        if not self.matches_source(passage.source):
            return False
        borne: dict[str, list[str]] = {}
        for key, value in labels_of(passage.metadata) if self.asks_for_labels else ():
            borne.setdefault(key, []).append(value)
        return all(conditions.match(borne.get(key, [])) for key, conditions in self.conditions().items())


def _any_matches(globs: Sequence[str], source: str) -> bool:
    return any(fnmatchcase(source, f"{glob}*" if glob.endswith("/") else glob) for glob in globs)


def _check_label(key: str, value: str) -> None:
    if not key or "=" in key:
        raise ValueError(f"A filter cannot ask for the metadata key {key!r}: expected a name without '='.")
    if len(key) + len(value) > LABEL_LENGTH:
        raise ValueError(
            f"A filter asks for a {key!r} of {len(value):,} characters: key and value have at most "
            f"{LABEL_LENGTH} together, because filters cannot use longer metadata."
        )


def _comparison(entry: object) -> Condition:
    if not isinstance(entry, tuple) or len(entry) != 3:
        raise TypeError(f"A filter's comparisons must be of a key, an operator and a value, but got {entry!r}.")
    return Condition(*entry)


def _parts(condition: str) -> tuple[str | None, str, str]:
    """Return key, sign and value of a condition; the key is None for the passage's source."""
    match = _CONDITION.fullmatch(condition)
    if match is not None:
        key, sign, value = match["key"], match["sign"], match["value"]
        if sign != "=":
            key, value = key and key.strip(), value.strip()
        with suppress(ValueError):  # what stands in quotes is no JSON
            name = None if key == "source" else json.loads(match["quoted"]) if key is None else key
            if value:
                return name, sign, value
    raise ValueError(
        f"The filter {condition!r} is not of the form KEY=VALUE, such as source='docs/*'; KEY!=VALUE, KEY>=VALUE "
        "(or >, <=, <) and KEY~=GLOB are others."
    )


def _entries(asked: object, usual: str, others: Sequence[Any], what: str) -> list[tuple[Any, object]]:
    """Return (name, value) of a list of values, whose name is ``usual``, or of an object of such lists."""
    if not isinstance(asked, Mapping):
        return [(usual, item) for item in _as_list(asked)]
    names = (usual, *others)
    if unknown := [name for name in asked if name not in names] or ([] if asked else ["nothing"]):
        raise ValueError(f"A filter's {what} may be {', '.join(names)}, but not {unknown[0]!r}.")
    return [(name, item) for name, items in asked.items() for item in _as_list(items)]


def _written(conditions: KeyConditions) -> JsonValue:
    if not conditions.compared:
        return list(conditions.values)
    values: dict[str, JsonValue] = {"is": list(conditions.values)} if conditions.values else {}
    return values | {name: list(texts) for name, texts in conditions.compared.items()}


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]
