"""Values that a schema refuses are told of in our words, never in those of the library that checks it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from sift_rag.wrong_values import what_is_wrong

Texts = (
    Annotated[str, Field(pattern=r"\S")] | Annotated[list[Annotated[str, Field(pattern=r"\S")]], Field(min_length=1)]
)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (Texts, 3, "it must be text or a list"),
        (Texts, ["why?", 3], "item 2 must be text"),
        (Texts, [], "it must have at least 1 item"),
        (Texts, " ", "it must not be blank"),
        (Annotated[int, Field(ge=1, le=2000)], 0, "it must be at least 1"),
        (Annotated[int, Field(ge=1, le=2000)], 9999, "it must be at most 2,000"),
        (int, "five", "it must be a whole number"),
        (bool, "maybe", "it must be true or false"),
        (float | None, [], "it must be a number"),
        (dict[str, int], 1, "it must be an object"),
        (Literal["a", "b"], "c", "it must be 'a' or 'b'"),
        (bytes, 1.5, "its value is not accepted"),
    ],
)
def test_what_is_wrong_is_told_in_plain_words(kind: Any, value: object, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    assert what_is_wrong(caught.value.errors()) == words
