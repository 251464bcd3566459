"""A search apart from its index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sift_rag.types import Candidate


@dataclass(frozen=True, slots=True)
class SearchFunction:
    """A ``Searcher`` that consists of one function."""

    search: Callable[..., list[list[Candidate]]]
