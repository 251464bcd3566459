"""The types of settings: how each is described, checked in a file and parsed from text."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from sift_rag import defaults

CHOICES: Mapping[str, Sequence[str]] = {
    "kernel": defaults.KERNELS,
    "mode": defaults.MODES,
    "ocr": defaults.OCR_MODES,
    "preset": defaults.PRESETS,
    "runtime": defaults.RUNTIMES,
    "selector": tuple(defaults.SELECTORS),
}
"""The allowed values of options and settings whose type does not list them."""


class Kind(NamedTuple):
    """A type of settings."""

    words: str
    """The type in words, as in "must be a whole number"."""

    accepts: Callable[[object], bool]
    """Return True for a value of this type as TOML gives it."""

    parse: Callable[[str], object]
    """Parse a value from text; raise ValueError if the text is not one."""


def _switch(text: str) -> bool:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


TEXT = Kind("text", lambda value: isinstance(value, str), str)
TEXTS = Kind(
    "a list of texts",
    lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    lambda text: text.split(","),
)
TEXT_OR_TEXTS = Kind(
    "text, or a list of texts",
    lambda value: TEXT.accepts(value) or TEXTS.accepts(value),
    lambda text: text.split(",") if "," in text else text,
)
WHOLE = Kind("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool), int)
NUMBER = Kind("a number", _is_number, float)
NUMBERS = Kind(
    "a list of numbers", lambda value: isinstance(value, list) and all(_is_number(item) for item in value), _numbers
)
SWITCH = Kind("true or false", lambda value: isinstance(value, bool), _switch)


def one_of(choices: Sequence[str]) -> Kind:
    """Return the type whose values are these texts."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return Kind("one of " + ", ".join(choices), lambda value: value in choices, parse)


_KINDS = {bool: SWITCH, int: WHOLE, float: NUMBER, str: TEXT}


def kind_of(annotation: Any) -> Kind | None:
    """Return the setting type for a Python annotation; None if text cannot express such a value.

    ``None`` in a union is ignored: it is the value of a setting that is not set.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType) and {str, tuple[str, ...]} <= set(arguments):
        return TEXT_OR_TEXTS
    if origin in (Union, types.UnionType):
        kinds = [kind_of(argument) for argument in arguments if argument is not type(None)]
        return next((kind for kind in kinds if kind is not None), None)
    if origin is Literal:
        return one_of(arguments) if all(isinstance(argument, str) for argument in arguments) else None
    if origin is tuple and arguments == (float, ...):
        return NUMBERS
    if origin is list and arguments == (str,):
        return TEXTS
    return _KINDS.get(annotation) if isinstance(annotation, type) else None
