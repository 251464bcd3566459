"""Make the search options inputs of Haystack's components, and save them in pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from haystack import component

from sift_rag import SearchOptions
from sift_rag_haystack.filters import with_filters

NAMES = tuple(field.name for field in fields(SearchOptions))


def add_inputs(instance: Any) -> None:
    """Make every search option an input of the component's ``run``; None leaves it as configured."""
    for name in (*NAMES, "filters"):
        component.set_input_type(instance, name, Any, None)


def override(options: SearchOptions, overrides: Mapping[str, Any]) -> SearchOptions:
    """Return the search options of a run: None leaves one as configured, and ``top_k`` is Haystack's word for ``k``.

    Raises:
        ValueError: an unknown name, or a value of another type, such as a filter of Haystack's, or out of range.
    """
    given = {"k" if name == "top_k" else name: value for name, value in overrides.items() if value is not None}
    changed = with_filters(given)
    return SearchOptions.from_dict({**{name: getattr(options, name) for name in NAMES}, **changed})


def check_top_k(top_k: int | None) -> None:
    """Raise ``ValueError`` unless it is None or at least 1."""
    if top_k is not None and top_k <= 0:
        raise ValueError(f"top_k must be > 0, but got {top_k}")
