"""The search options as parameters and inputs of Haystack's components, and in saved pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, get_type_hints

from haystack import component

from sift_rag import SearchOptions

NAMES = tuple(field.name for field in fields(SearchOptions))


def add_inputs(instance: Any) -> None:
    """Let every search option be an input of the component's ``run``; None leaves it as configured."""
    for name, kind in get_type_hints(SearchOptions).items():
        component.set_input_type(instance, name, kind, None)


def override(options: SearchOptions, top_k: int | None, overrides: Mapping[str, Any]) -> SearchOptions:
    """Return the options of a run: ``top_k`` is Haystack's word for ``k``, and None leaves an option as configured."""
    check_top_k(top_k)
    changed = {name: value for name, value in overrides.items() if value is not None}
    return replace(options, **changed) if top_k is None else replace(options, k=top_k, **changed)


def check_top_k(top_k: int | None) -> None:
    """Raise ``ValueError`` unless it is None or at least 1."""
    if top_k is not None and top_k <= 0:
        raise ValueError(f"top_k must be > 0, but got {top_k}")


def load_options(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a saved component with its search options read from JSON."""
    saved = {name: value for name, value in parameters.items() if name in NAMES}
    options = SearchOptions.from_dict(saved)
    return {**parameters, **{name: getattr(options, name) for name in saved}}
