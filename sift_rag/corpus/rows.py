"""JSON lines and CSV: each row a document's part, one field of it the text and the rest metadata."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sift_rag.corpus.sections import PART_BREAK, Section
from sift_rag.corpus.text import one_line, universal_newlines, without_surrogates
from sift_rag.errors import UnreadableDocument
from sift_rag.types import JsonValue

TEXT_FIELDS = ("text", "content", "contents", "body", "passage", "document", "abstract", "description", "page_content")
"""Names looked for, in this order and whatever their case, where none is given."""

TITLE_FIELDS = ("title", "heading", "headline")

_DELIMITERS = ",;\t|"
_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a file as parts: read anew at each iteration, one row in memory at a time.

    Iterating raises ``UnreadableDocument`` at a row that is no JSON object, or where no row has the field asked for.
    """

    text: str
    format: Literal["jsonl", "csv"]
    text_field: str | None = None
    """The field that is the text; None: the first of ``TEXT_FIELDS`` that a row has, or else all its fields."""

    def __iter__(self) -> Iterator[Section]:
        records = _json_lines(self.text) if self.format == "jsonl" else _csv_rows(self.text)
        start = 0
        seen: dict[str, None] = {}
        found = False
        for line, record in records:
            if self.text_field is not None and self.text_field not in record:
                seen.update(dict.fromkeys(list(record)[:20]))
                continue
            found = True
            part = _part(record, self.text_field, start, line)
            if part is not None:
                yield part
                start += len(part.text) + len(PART_BREAK)
        if seen and not found:
            raise UnreadableDocument(f"no row has the field {self.text_field!r}: they have {', '.join(seen)}")


def _part(record: Mapping[str, JsonValue], text_field: str | None, start: int, line: int) -> Section | None:
    """None for a row without text."""
    by_name = {name.lower(): name for name in reversed(list(record))}
    field = text_field or _first_text(record, by_name, TEXT_FIELDS)
    title = _first_text(record, by_name, TITLE_FIELDS)
    if field is None:
        text = "\n".join(f"{name}: {_written(value)}" for name, value in record.items() if value not in (None, ""))
        metadata: dict[str, JsonValue] = {}
    else:
        text = _written(record[field])
        metadata = {name: value for name, value in record.items() if name != field}
    text = universal_newlines(text)
    if not text.strip():
        return None
    headings = (one_line(str(record[title])),) if title is not None and title != field else ()
    return Section(text, start=start, line=line, keeps_lines=False, headings=headings, metadata=metadata)


def _first_text(record: Mapping[str, JsonValue], by_name: Mapping[str, str], wanted: tuple[str, ...]) -> str | None:
    """The first of the ``wanted`` fields that holds a text."""
    for name in wanted:
        value = record[by_name[name]] if name in by_name else None
        if isinstance(value, str) and value.strip():
            return by_name[name]
    return None


def _written(value: JsonValue) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, JsonValue]]]:
    for number, line in enumerate(_lines(text), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UnreadableDocument(f"line {number} is not JSON: {error.msg} at column {error.colno}") from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits; lists nested thousands deep
            raise UnreadableDocument(f"line {number} cannot be read as JSON: {one_line(str(error))[:100]}") from error
        if not isinstance(record, dict):
            raise UnreadableDocument(f"line {number} is not a JSON object, but {type(record).__name__}")
        yield number, {without_surrogates(name): _storable(value) for name, value in record.items()}


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, JsonValue]]]:
    # A text may be as long as the file; the default of 131,072 characters is a guard for other uses.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    header_line = next((line for line in _lines(text) if line.strip()), "")
    delimiter = max(_DELIMITERS, key=header_line.count)
    reader = csv.reader((f"{line}\n" for line in _lines(text)), delimiter=delimiter)
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


def _lines(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def _storable(value: object) -> JsonValue:
    """What a store can hold of a value: no half characters, no NaN or infinity, no integer beyond 64 bits."""
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, Mapping):
        return {without_surrogates(str(name)): _storable(item) for name, item in value.items()}
    if isinstance(value, Iterable):
        return [_storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and not -_INT64 <= value < _INT64:
        return str(value)
    return value if isinstance(value, bool | int | float) else None
