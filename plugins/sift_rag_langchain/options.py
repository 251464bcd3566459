"""The search options as fields of a pydantic model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from pydantic import BaseModel, SkipValidation, create_model

from sift_rag import SearchOptions

NAMES = tuple(field.name for field in fields(SearchOptions))


def with_options(base: type[BaseModel]) -> type[BaseModel]:
    """Return a subclass of ``base`` with one field for each search option, of the same name and default."""
    types, default = get_type_hints(SearchOptions), SearchOptions()
    options: dict[str, Any] = {name: (SkipValidation[types[name]], getattr(default, name)) for name in NAMES}
    return create_model(f"{base.__name__}WithOptions", __base__=base, **options)


def options_of(model: BaseModel, overrides: Mapping[str, Any]) -> SearchOptions:
    """Return the search options that the fields hold, some of them overridden.

    Raises:
        ValueError: an unknown name, or a value of another type, such as a filter of LangChain's, or out of range.
    """
    return SearchOptions.from_dict({**{name: getattr(model, name) for name in NAMES}, **overrides})
