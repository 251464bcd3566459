"""What a saved pipeline holds of our values, and what is refused before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sift_rag.selection import SelectorSettings
from sift_rag.filters import Filter


def selector_saved(selector: SelectorSettings | None) -> dict[str, Any] | None:
    """As a dictionary."""
    return None if selector is None else asdict(selector)


def selector_loaded(saved: Mapping[str, Any] | None) -> SelectorSettings | None:
    """The opposite of ``selector_saved``."""
    return None if saved is None else SelectorSettings(**saved)


def filter_saved(where: Filter | None) -> dict[str, Any] | None:
    """As a dictionary of lists."""
    return (
        None if where is None else {"sources": list(where.sources), "labels": [list(label) for label in where.labels]}
    )


def filter_loaded(saved: Mapping[str, Any] | None) -> Filter | None:
    """The opposite of ``filter_saved``."""
    if saved is None:
        return None
    return Filter(tuple(saved["sources"]), tuple((key, value) for key, value in saved["labels"]))


def check_top_k(top_k: int | None) -> None:
    """Raise ``ValueError`` unless it is None or at least 1."""
    if top_k is not None and top_k <= 0:
        raise ValueError(f"top_k must be > 0, but got {top_k}")
