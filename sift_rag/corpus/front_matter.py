"""What a Markdown file says of itself above its text, between two lines of ``---``. The only module that knows PyYAML.

Only its events are read: nothing is constructed, no alias is followed, no depth is recursed into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from sift_rag.corpus.text import one_line, without_surrogates
from sift_rag.filters import LABEL_LENGTH
from sift_rag.types import JsonValue

MAX_CHARACTERS = 1 << 14
"""Longer front matter gives no metadata: each passage of the document would carry it."""

_DEEPEST = 32
"""Levels of YAML that are looked into: what PyYAML takes for n open brackets grows with n²."""

_BEGINS = re.compile(r"---[ \t]*\n(?:[ \t]*\n|#[^\n]*\n)*[\w-]+[ \t]*:")
_ENDS = re.compile(r"^(?:---|\.\.\.)[ \t]*$\n?", re.MULTILINE)
_TITLE = re.compile(r"^title[ \t]*:[ \t]*(?P<quote>[\"']?)(?P<title>[^|>\n].*?)(?P=quote)[ \t]*$", re.MULTILINE)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The front matter of one file."""

    text: str
    """All of it, with the lines that begin and end it."""
    title: str
    """The one that it states, or nothing."""
    metadata: dict[str, JsonValue]
    """See ``read_metadata``; nothing where it is not YAML, or longer than ``MAX_CHARACTERS``."""


def front_matter(text: str) -> FrontMatter | None:
    """What stands above a Markdown text, if anything does."""
    if not _BEGINS.match(text) or (end := _ENDS.search(text, 4)) is None:
        return None
    front = text[: end.end()]
    stated = _TITLE.search(front)
    content = front[text.index("\n") + 1 : end.start()]
    return FrontMatter(
        text=front,
        title=one_line(stated["title"]) if stated else "",
        metadata=read_metadata(content) if len(content) <= MAX_CHARACTERS else {},
    )


def read_metadata(content: str) -> dict[str, JsonValue]:
    """The fields of a YAML mapping that hold a text or a list of texts, as they are written; {} for anything else.

    Left out are what is nested deeper, what is empty or null, and what is longer than a label can be: a description is
    content. Dates, numbers and words such as ``no`` stay the texts that they are, for they will be asked for as
    written. Of a key that stands twice the last one counts.
    """
    try:
        return dict(_fields(yaml.parse(content, Loader=yaml.BaseLoader)))
    except (yaml.YAMLError, ValueError):  # a ValueError: an escape beyond Unicode, or nested too deep
        return {}


def _fields(events: Iterator[yaml.Event]) -> Iterator[tuple[str, JsonValue]]:
    """Of the mapping that the first document is."""
    if not isinstance(next(event for event in events if not isinstance(event, _PREAMBLE)), yaml.MappingStartEvent):
        return
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _node(event, events)
        value = _node(next(events), events)
        if isinstance(key, str) and key and value is not None:
            yield key, value


def _node(event: yaml.Event, events: Iterator[yaml.Event]) -> str | list[JsonValue] | None:
    """The text or the texts that begin with this event; None for what is neither. Reads to its end."""
    if isinstance(event, yaml.ScalarEvent):
        return _text(event)
    if not isinstance(event, yaml.CollectionStartEvent):
        return None  # an alias
    texts: list[JsonValue] = []
    depth = 1
    while depth:
        inner = next(events)
        depth += isinstance(inner, yaml.CollectionStartEvent) - isinstance(inner, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        if depth == 1 and isinstance(inner, yaml.ScalarEvent) and (text := _text(inner)) is not None:
            texts.append(text)
    return texts if texts and isinstance(event, yaml.SequenceStartEvent) else None


def _text(event: yaml.ScalarEvent) -> str | None:
    value = without_surrogates(event.value)
    is_null = event.style is None and value in _NULL
    return None if is_null or not value or len(value) > LABEL_LENGTH else value


_PREAMBLE = (yaml.StreamStartEvent, yaml.DocumentStartEvent)
