"""The metadata of frameworks' documents, which hold any Python value, as JSON objects."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, is_dataclass
from datetime import date, time
from enum import Enum
from typing import Any

from sift_rag.types import JsonValue


def metadata_as_json(values: Mapping[Any, Any]) -> dict[str, JsonValue]:
    """Return metadata as a JSON object: dates in ISO 8601, sets as lists, and whatever JSON lacks as its text."""
    return {_key(name): _value(value) for name, value in values.items()}


def _key(name: Any) -> str:
    return name if isinstance(name, str) else str(_plain(name))


def _value(value: Any) -> JsonValue:
    value = _plain(value)
    if isinstance(value, Mapping):
        return metadata_as_json(value)
    if isinstance(value, AbstractSet):
        return sorted((_value(item) for item in value), key=str)
    if isinstance(value, list | tuple):
        return [_value(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _plain(value: Any) -> Any:
    """Return what a date, a member of an enumeration, a dataclass, a model or an array stands for."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date | time):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    for method in ("model_dump", "tolist"):  # pydantic's models; numpy's arrays and numbers
        if callable(convert := getattr(value, method, None)) and not isinstance(value, type):
            return convert()
    return value
