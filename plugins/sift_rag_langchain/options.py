"""The search options as fields of a pydantic model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import BaseModel, create_model

from sift_rag import SearchOptions

NAMES = tuple(field.name for field in fields(SearchOptions))


def with_options(base: type[BaseModel]) -> type[BaseModel]:
    """Return a subclass of ``base`` with one field for each search option, of the same name and default."""
    default = SearchOptions()
    options: dict[str, Any] = {name: (Any, getattr(default, name)) for name in NAMES}  # SearchOptions checks the types
    return create_model(f"{base.__name__}WithOptions", __base__=base, **options)


def options_of(model: BaseModel, overrides: Mapping[str, Any]) -> SearchOptions:
    """Return the search options that the fields hold, some of them overridden.

    Raises:
        ValueError: an unknown name, or a value of another type, such as a filter of LangChain's, or out of range.
    """
    return SearchOptions.from_dict({**{name: getattr(model, name) for name in NAMES}, **overrides})
