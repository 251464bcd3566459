"""Read the front matter of Markdown files: YAML between two lines of ``---``. The only module that knows PyYAML.

Only its events are read: no object is constructed, no alias followed, no recursion entered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sift_rag.corpus.decoding import one_line, without_surrogates
from sift_rag.extras import require
from sift_rag.filters import LABEL_LENGTH
from sift_rag.types import JsonValue

if TYPE_CHECKING:
    import yaml

MAX_CHARACTERS = 1 << 14
"""Length above which front matter gives no metadata, since each passage of the document would carry it."""

_DEEPEST = 32
"""Levels of YAML that are read: PyYAML's time for n open brackets grows with n²."""

_BEGINS = re.compile(r"---[ \t]*\n(?:[ \t]*\n|#[^\n]*\n)*[\w-]+[ \t]*:")
_ENDS = re.compile(r"^(?:---|\.\.\.)[ \t]*$\n?", re.MULTILINE)
_TITLE = re.compile(r"^title[ \t]*:[ \t]*(?P<quote>[\"']?)(?P<title>[^|>\n].*?)(?P=quote)[ \t]*$", re.MULTILINE)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The front matter of one file."""

    text: str
    """The whole front matter, with its first and last line."""
    title: str
    """The title that it states, or ""."""
    metadata: dict[str, JsonValue]
    """Fields as ``read_metadata`` gives them; empty if it is not YAML, or longer than ``MAX_CHARACTERS``."""


def front_matter(text: str) -> FrontMatter | None:
    """Return the front matter of a Markdown text, or None."""
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
    """Return the fields of a YAML mapping that hold a text or a list of texts, as written; {} for anything else.

    Values that are nested deeper, empty, null, or longer than a label can be are left out: a description is content.
    Dates, numbers and words such as ``no`` stay texts, since a filter asks for them as written. Of equal keys, the
    last one wins.

    Raises:
        MissingExtra: PyYAML is not installed.
    """
    require("yaml", "ingest")
    import yaml

    try:
        return dict(_fields(yaml.parse(content, Loader=yaml.BaseLoader)))
    except (yaml.YAMLError, ValueError):  # a ValueError: an escape beyond Unicode, or nested too deep
        return {}


def _fields(events: Iterator[yaml.Event]) -> Iterator[tuple[str, JsonValue]]:
    """Yield the fields of the mapping that is the first document."""
    import yaml

    preamble = (yaml.StreamStartEvent, yaml.DocumentStartEvent)
    if not isinstance(next(event for event in events if not isinstance(event, preamble)), yaml.MappingStartEvent):
        return
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _node(event, events)
        value = _node(next(events), events)
        if isinstance(key, str) and key and value is not None:
            yield key, value


def _node(event: yaml.Event, events: Iterator[yaml.Event]) -> str | list[JsonValue] | None:
    """Read the node that begins with this event to its end: a text, a list of texts, or None for anything else."""
    import yaml

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
