"""Turn records (rows of a table, objects of JSON) into sections that keep all their fields together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sift_rag.corpus.decoding import one_line, universal_newlines
from sift_rag.corpus.sections import SECTION_BREAK, Section
from sift_rag.errors import UnreadableDocument
from sift_rag.types import JsonValue

TEXT_FIELDS = ("text", "content", "contents", "body", "passage", "document", "abstract", "description", "page_content")
"""Names of fields that hold the text, in order of preference and in any case, unless one is named."""

TITLE_FIELDS = ("title", "heading", "headline")

_SHORT = 200
"""Characters up to which a field is short: it stands with every passage of its record."""
_LEAD = 400
"""Characters of the short fields that stand with every passage, half of what a passage holds; others stand once."""
_DEPTH = 3
_INNER_FIELDS = 20
"""Objects nested deeper than ``_DEPTH`` or with more fields than this are only metadata."""


class Record(NamedTuple):
    """A record of a file, with the place where it stands."""

    fields: Mapping[str, JsonValue]
    line: int | None = None
    """Line of the file, or row of the sheet, on which it begins, from 1."""
    headings: tuple[str, ...] = ()
    """Headings above it: the name of its sheet."""


class Records(Protocol):
    """The records of a file, which can be iterated again."""

    def __iter__(self) -> Iterator[Record]:
        """Iterate from the first record on.

        Raises:
            UnreadableDocument: a record cannot be read.
        """


@dataclass(frozen=True, slots=True)
class RecordSections:
    """The records of a file as sections: read anew at each iteration, with one record in memory at a time.

    Iterating raises ``UnreadableDocument`` at a record that cannot be read, or if no record has ``text_field``.
    """

    records: Records
    text_field: str | None = None
    """Field that holds the text; None: the first of ``TEXT_FIELDS`` that a record has, or else its long fields."""

    def __iter__(self) -> Iterator[Section]:
        start = 0
        seen: dict[str, None] = {}
        found = False
        for record in self.records:
            if self.text_field is not None and self.text_field not in record.fields:
                seen.update(dict.fromkeys(list(record.fields)[:20]))
                continue
            found = True
            section = _section(record, self.text_field, start)
            if section is not None:
                yield section
                start += len(section.text) + len(SECTION_BREAK)
        if seen and not found:
            raise UnreadableDocument(f"no row has the field {self.text_field!r}: they have {', '.join(seen)}")


def _section(record: Record, text_field: str | None, start: int) -> Section | None:
    """Return None for a record without text."""
    fields = record.fields
    by_name = {name.lower(): name for name in reversed(list(fields))}
    main = text_field or _first_text(fields, by_name, TEXT_FIELDS)
    title = _first_text(fields, by_name, TITLE_FIELDS)
    heading = one_line(str(fields[title])) if title is not None and title != main else ""
    if len(heading) > _SHORT:
        heading, title = "", None
    shown = dict(_shown({name: value for name, value in fields.items() if name not in {main, title}}))
    lead, text, in_text = _arranged(shown, _as_text(fields[main]) if main is not None else "", named=bool(text_field))
    if not text.strip():
        text = f"{title}: {heading}" if heading and text_field is None else ""
    if not text.strip():
        return None
    return Section(
        text,
        start=start,
        line=record.line,
        keeps_lines=False,
        headings=(*record.headings, *([heading] if heading else [])),
        metadata={name: value for name, value in fields.items() if name != main and name not in in_text},
        lead=lead,
    )


def _arranged(shown: Mapping[str, str], text: str, *, named: bool) -> tuple[str, str, set[str]]:
    """Return the lead, the text, and the names of the fields that are in the text and no metadata.

    Args:
        shown: the fields but for the text and the title, as they are to be read.
        text: the text field, or "".
        named: True if the text field was named: then other long fields are no text.
    """
    text = universal_newlines(text)
    if named and not text.strip():
        return "", "", set()
    lines = {name: f"{name}: {one_line(value)}" for name, value in shown.items() if len(value) <= _SHORT}
    long = {name: value for name, value in shown.items() if name not in lines and not named and _is_prose(value)}
    long = {name: universal_newlines(value).strip() for name, value in long.items() if value not in text}
    paragraphs = [*([text] if text.strip() else []), *(f"{name}: {value}" for name, value in long.items())]
    if not paragraphs:
        return "", "\n".join(lines.values()), set()
    lead, rest = _fitting(list(lines.values()), _LEAD)
    return "\n".join(lead), "\n\n".join([*(["\n".join(rest)] if rest else []), *paragraphs]), set(long)


def _fitting(lines: Iterable[str], room: int) -> tuple[list[str], list[str]]:
    """Return the lines that have room, in their order, and the others."""
    fit: list[str] = []
    others: list[str] = []
    for line in lines:
        (fit if len(line) < room else others).append(line)
        room -= len(line) + 1 if len(line) < room else 0
    return fit, others


def _is_prose(value: str) -> bool:
    """Return False for what nobody reads: encoded data, vectors, long addresses."""
    words = value.split()
    letters = sum(map(str.isalpha, value[:1000]))
    return letters > len(value[:1000]) // 3 and (not value.isascii() or len(value) < 40 * len(words))


def _first_text(fields: Mapping[str, JsonValue], by_name: Mapping[str, str], wanted: tuple[str, ...]) -> str | None:
    """Return the first of the ``wanted`` fields that holds a text."""
    for name in wanted:
        value = fields[by_name[name]] if name in by_name else None
        if isinstance(value, str) and value.strip():
            return by_name[name]
    return None


def _shown(fields: Mapping[str, JsonValue], above: str = "", depth: int = 1) -> Iterator[tuple[str, str]]:
    """Yield each field that is not empty as it is to be read; those of an object within as ``name.inner``."""
    for name, value in fields.items():
        path = f"{above}{name}"
        match value:
            case dict():
                if depth < _DEPTH and len(value) <= _INNER_FIELDS:
                    yield from _shown(value, f"{path}.", depth + 1)
            case list():
                scalars = [_as_text(item) for item in value if not isinstance(item, dict | list)]
                turns = [_turn(item) for item in value if isinstance(item, dict)]
                if scalars and len(scalars) == len(value):
                    yield path, ", ".join(filter(None, scalars))
                elif turns and len(turns) == len(value) and all(turns):
                    yield path, "\n".join(turns)
                elif value and len(written := _as_text(value)) <= _SHORT:
                    yield path, written
                elif any(rows := [_row(item) for item in value[:_INNER_ROWS]]):
                    yield path, "\n".join(filter(None, rows))
            case _:
                if (written := _as_text(value)).strip():
                    yield path, written


_INNER_ROWS = 100
"""Objects of a list within a record that are read."""


def _row(value: JsonValue) -> str:
    """Return an object of a list, the lines of an invoice for example, on one line; "" for anything else."""
    if not isinstance(value, dict) or len(value) > _INNER_FIELDS:
        return ""
    fields = ((name, _as_text(field)) for name, field in value.items() if not isinstance(field, dict | list))
    return ", ".join(f"{name}: {text}" for name, text in fields if text.strip())


_TURN = frozenset(("role", "from", "speaker", "author", "name", "user", "sender"))
"""Names of the field that says who speaks, in a list of turns of a conversation."""


def _turn(fields: Mapping[str, JsonValue]) -> str:
    """Return what somebody says in a conversation, after who says it; "" for any other object."""
    if len(fields) != 2 or not all(isinstance(value, str) for value in fields.values()):
        return ""
    (name, speaker), (_, words) = sorted(fields.items(), key=lambda field: field[0].lower() not in _TURN)
    return f"{speaker}: {words}" if name.lower() in _TURN else ""


def _as_text(value: JsonValue) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
