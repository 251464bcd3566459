"""Words for a value that a schema refuses, from the kinds of Pydantic's errors: its own texts are for programmers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_WORDS = {
    "string_type": "it must be text",
    "string_unicode": "it must be valid Unicode",
    "string_too_long": "it must have at most {max_length} characters",
    "string_too_short": "it must have at least {min_length} characters",
    "string_pattern_mismatch": "it is not written as it must be",
    "int_type": "it must be a whole number",
    "int_parsing": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "int_parsing_size": "it is too large",
    "float_type": "it must be a number",
    "float_parsing": "it must be a number",
    "finite_number": "it must be a finite number",
    "bool_type": "it must be true or false",
    "bool_parsing": "it must be true or false",
    "list_type": "it must be a list",
    "tuple_type": "it must be a list",
    "dict_type": "it must be an object",
    "model_type": "it must be an object",
    "model_attributes_type": "it must be an object",
    "greater_than_equal": "it must be at least {ge}",
    "greater_than": "it must be greater than {gt}",
    "less_than_equal": "it must be at most {le}",
    "less_than": "it must be less than {lt}",
    "too_long": "it must have at most {max_length} items",
    "too_short": "it must have at least {min_length} items",
    "literal_error": "it must be {expected}",
    "none_required": "it must be null",
    "extra_forbidden": "it is not known",
    "missing": "it is missing",
}
_OTHER = "its value is not accepted"


def what_is_wrong(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return a clause on what is wrong with a field, such as "it must be text or a list".

    Args:
        errors: those of one field, as ``ValidationError.errors()`` has them. Where several types are allowed there is
            one for each. Of these, one that lies deeper, within a list, and one that is not about the type say more.
    """
    deepest = max(len(_items(error)) for error in errors)
    found = [error for error in errors if len(_items(error)) == deepest]
    found = [error for error in found if not error["type"].endswith("_type")] or found
    first, *others = dict.fromkeys(_words(error) for error in found)
    same = "it must be "
    alternatives = [words.removeprefix(same) if first.startswith(same) else words for words in others]
    clause = " or ".join([first, *alternatives])
    return clause if not deepest else f"{clause.replace('it ', f'item {_items(found[0])[-1] + 1} ', 1)}"


def _items(error: Mapping[str, Any]) -> list[int]:
    """Return the positions in lists on the way to the value."""
    return [part for part in error["loc"] if isinstance(part, int)]


def _words(error: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    if error["type"] in ("value_error", "assertion_error"):
        return str(context.get("error", _OTHER)).rstrip(".")
    if context.get("pattern") == r"\S":
        return "it must not be blank"
    words = _WORDS.get(error["type"], _OTHER).format_map({key: _shown(value) for key, value in context.items()})
    return words.replace(" 1 characters", " 1 character").replace(" 1 items", " 1 item")


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
