"""Read JSON lines, one object per line, and JSON arrays of objects."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sift_rag.corpus.decoding import one_line, without_surrogates
from sift_rag.corpus.records import Record
from sift_rag.errors import UnreadableDocument
from sift_rag.types import JsonValue

_INT64 = 1 << 63


def read_json_lines(text: str, *, prefix: str = "line ") -> Iterator[tuple[int, dict[str, JsonValue]]]:
    r"""Yield the number of each line, from 1, with its object, made fit for a store. Blank lines are skipped.

    Args:
        text: lines ended by ``\n``.
        prefix: text before the line's number in messages.

    Raises:
        UnreadableDocument: a line is not a JSON object.
    """
    for number, line in enumerate(split_lines(text), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UnreadableDocument(f"{prefix}{number} is not JSON: {error.msg} at column {error.colno}") from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits; lists nested thousands deep
            reason = one_line(str(error))[:100]
            raise UnreadableDocument(f"{prefix}{number} cannot be read as JSON: {reason}") from error
        if not isinstance(record, dict):
            raise UnreadableDocument(f"{prefix}{number} is {_KINDS[type(record)]}: expected a JSON object")
        yield number, _storable_fields(record)


_KINDS = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false", type(None): "null"}


@dataclass(frozen=True, slots=True)
class JsonLines:
    """The objects of JSON lines as records. Iterating raises ``UnreadableDocument`` at a line that is not one."""

    text: str

    def __iter__(self) -> Iterator[Record]:
        return (Record(fields, line) for line, fields in read_json_lines(self.text))


@dataclass(frozen=True, slots=True)
class JsonArray:
    """The objects of a JSON array as records, parsed one at a time. Iterating raises ``ValueError`` if it is none."""

    text: str
    begin: int = 0
    """Character at which the array begins, white space apart."""
    beside: Mapping[str, JsonValue] | None = None
    """The other fields of the object that holds the array; a record of its own, if a text is among them."""

    def __iter__(self) -> Iterator[Record]:
        decoder = json.JSONDecoder()
        if self.beside is not None and any(isinstance(value, str) for value in self.beside.values()):
            yield Record(self.beside, 1)
        position = _next(self.text, self.begin)
        line, counted = 1, 0
        while self.text[position : position + 1] != "]":
            if self.text[position : position + 1] != ("," if counted else "["):
                raise ValueError(f"no array of objects: character {position}")
            start = _next(self.text, position + 1)
            fields, end = decoder.raw_decode(self.text, start)
            if not isinstance(fields, dict):
                raise ValueError(f"no array of objects: it holds {type(fields).__name__}")
            line += self.text.count("\n", counted, start)
            counted = start
            yield Record(_storable_fields(fields), line)
            position = _next(self.text, end)
        if self.beside is None and _next(self.text, position + 1) != len(self.text):
            raise ValueError("more than an array")


def array_of_objects(text: str) -> JsonArray | None:
    """Return the records of a JSON array of objects, or of an object that holds one and little else.

    None for any other JSON, or if it is broken.
    """
    array = JsonArray(text) if re.match(r"\s*\[\s*\{", text) else _array_within(text)
    if array is None:
        return None
    try:
        for _ in array:
            pass
    except (ValueError, RecursionError):
        return None
    return array


_MOST = 0.7
"""Share of a text that its array of records must take; beside it stand the number of results, for example."""


def _array_within(text: str) -> JsonArray | None:
    """Return the array that is a field of the outermost object and nearly all of it, if there is one."""
    decoder = json.JSONDecoder()
    position, opening = _next(text, 0), "{"
    places: dict[str, tuple[int, int]] = {}
    values: dict[str, object] = {}
    try:
        while text[position : position + 1] == opening:
            name, position = decoder.raw_decode(text, _next(text, position + 1))
            position = _next(text, position)
            if text[position : position + 1] != ":":
                return None
            start = _next(text, position + 1)
            values[name], end = decoder.raw_decode(text, start)
            places[name] = end - start, start
            position, opening = _next(text, end), ","
    except (ValueError, TypeError, RecursionError):
        return None
    largest = max(places, key=places.__getitem__, default="")
    is_whole = text[position : position + 1] == "}" and _next(text, position + 1) == len(text)
    if not (is_whole and isinstance(values.get(largest), list) and places[largest][0] > _MOST * len(text)):
        return None
    beside = {name: value for name, value in values.items() if name != largest}
    return JsonArray(text, places[largest][1], _storable_fields(beside))


_SPACE = re.compile(r"\s*")


def _next(text: str, start: int) -> int:
    """Return the first position from ``start`` that is not white space."""
    found = _SPACE.match(text, start)
    return found.end() if found else start


def split_lines(text: str) -> Iterator[str]:
    r"""Yield the lines one at a time, split at ``\n`` only (``splitlines`` would also split at U+2028)."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def _storable_fields(record: Mapping[str, object]) -> dict[str, JsonValue]:
    return {without_surrogates(name): storable(value) for name, value in record.items()}


def storable(value: object) -> JsonValue:
    """Return the JSON value without what a store cannot hold.

    Lone surrogates become U+FFFD, NaN and infinity become null, and integers beyond 64 bits become texts.
    """
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, Mapping):
        return {without_surrogates(str(name)): storable(item) for name, item in value.items()}
    if isinstance(value, Iterable):
        return [storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and not -_INT64 <= value < _INT64:
        return str(value)
    return value if isinstance(value, bool | int | float) else None
