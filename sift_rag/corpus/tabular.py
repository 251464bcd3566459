"""JSON lines and CSV: each row becomes a section, with one field as its text and the others as metadata."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sift_rag.corpus.decoding import one_line, universal_newlines
from sift_rag.corpus.json_lines import read_json_lines, split_lines
from sift_rag.corpus.sections import SECTION_BREAK, Section
from sift_rag.errors import UnreadableDocument
from sift_rag.types import JsonValue

TEXT_FIELDS = ("text", "content", "contents", "body", "passage", "document", "abstract", "description", "page_content")
"""Names of fields that hold the text, in order of preference and in any case, unless one is named."""

TITLE_FIELDS = ("title", "heading", "headline")

_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a file as sections: read anew at each iteration, with one row in memory at a time.

    Iterating raises ``UnreadableDocument`` at a row that is not a JSON object, or if no row has ``text_field``.
    """

    text: str
    format: Literal["jsonl", "csv"]
    text_field: str | None = None
    """Field that holds the text; None: the first of ``TEXT_FIELDS`` that a row has, or else all its fields."""

    def __iter__(self) -> Iterator[Section]:
        records = read_json_lines(self.text) if self.format == "jsonl" else _csv_rows(self.text)
        start = 0
        seen: dict[str, None] = {}
        found = False
        for line, record in records:
            if self.text_field is not None and self.text_field not in record:
                seen.update(dict.fromkeys(list(record)[:20]))
                continue
            found = True
            section = _section(record, self.text_field, start, line)
            if section is not None:
                yield section
                start += len(section.text) + len(SECTION_BREAK)
        if seen and not found:
            raise UnreadableDocument(f"no row has the field {self.text_field!r}: they have {', '.join(seen)}")


def _section(record: Mapping[str, JsonValue], text_field: str | None, start: int, line: int) -> Section | None:
    """Return None for a row without text."""
    by_name = {name.lower(): name for name in reversed(list(record))}
    field = text_field or _first_text(record, by_name, TEXT_FIELDS)
    title = _first_text(record, by_name, TITLE_FIELDS)
    if field is None:
        text = "\n".join(f"{name}: {_as_text(value)}" for name, value in record.items() if value not in (None, ""))
        metadata: dict[str, JsonValue] = {}
    else:
        text = _as_text(record[field])
        metadata = {name: value for name, value in record.items() if name != field}
    text = universal_newlines(text)
    if not text.strip():
        return None
    headings = (one_line(str(record[title])),) if title is not None and title != field else ()
    return Section(text, start=start, line=line, keeps_lines=False, headings=headings, metadata=metadata)


def _first_text(record: Mapping[str, JsonValue], by_name: Mapping[str, str], wanted: tuple[str, ...]) -> str | None:
    """Return the first of the ``wanted`` fields that holds a text."""
    for name in wanted:
        value = record[by_name[name]] if name in by_name else None
        if isinstance(value, str) and value.strip():
            return by_name[name]
    return None


def _as_text(value: JsonValue) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, JsonValue]]]:
    # A text may be as long as the file; the default of 131,072 characters is a guard for other uses.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    header_line = next((line for line in split_lines(text) if line.strip()), "")
    delimiter = max(_DELIMITERS, key=header_line.count)
    reader = csv.reader((f"{line}\n" for line in split_lines(text)), delimiter=delimiter)
    names: list[str] = []
    first_line = 1
    try:
        for row in reader:
            line, first_line = first_line, reader.line_num + 1
            if not any(row):
                continue
            if not names:
                names = [name.strip() or f"column {number}" for number, name in enumerate(row, start=1)]
                continue
            names += [f"column {number}" for number in range(len(names) + 1, len(row) + 1)]
            yield line, dict(zip(names, row, strict=False))
    except csv.Error as error:
        raise UnreadableDocument(f"line {reader.line_num} is not CSV: {error}") from error
