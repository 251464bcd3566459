"""Pages of a list of documents: searched, filtered and sorted, by the store itself where it can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from sift_rag.types import Document

DocumentKind: TypeAlias = Literal["all", "ingested", "failed", "pending", "scans", "notices"]
"""A state of documents, or ``scans``: those with pages without text, ``notices``: those with something to know."""

DocumentOrder: TypeAlias = Literal["source", "passages", "size", "ingested"]
"""``source`` ascends; the others descend, and equal ones are in the order of sources."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The documents to list, and which of them."""

    words: Sequence[str] = ()
    """Texts that must all stand in the source or the title, in any case."""
    kind: DocumentKind = "all"
    language: str | None = None
    """Language that a record names, "" for none; None: any."""
    order: DocumentOrder = "source"
    offset: int = 0
    """Number of documents to pass over, at least 0."""
    limit: int = 50
    """Largest number of documents to return, at least 0."""

    def __post_init__(self) -> None:
        """Fold the case of the words."""
        object.__setattr__(self, "words", tuple(word.casefold() for word in self.words))

    def holds(self, source: str, title: str) -> bool:
        """Return True if all words stand in the source or the title."""
        searched = f"{source}\n{title}".casefold()
        return all(word in searched for word in self.words)


class ListedDocuments(NamedTuple):
    """A page of documents, and what the collection holds besides."""

    documents: list[Document]
    counts: Mapping[DocumentKind, int]
    """Number of documents of each kind that hold the words and are of the language; that of the kind asked for is the
    length of the list."""
    languages: Mapping[str, int]
    """Number of documents of each language that hold the words and are of the kind."""
    in_all: int
    """Number of documents of the collection."""
    passages: int
    """Number of passages of the collection, by its records."""
    size: int
    """Number of bytes of its files."""


@runtime_checkable
class ListsDocuments(Protocol):
    """Document records that list a page without handing out all of them."""

    def listed(self, listing: Listing) -> ListedDocuments:
        """Return a page, as ``listed`` does."""


KINDS: Mapping[DocumentKind, Callable[[Document], bool]] = {
    "all": lambda _: True,
    "ingested": lambda document: document.state == "ingested",
    "failed": lambda document: document.state == "failed",
    "pending": lambda document: document.state == "pending",
    "scans": lambda document: document.pages_without_text > 0,
    "notices": lambda document: bool(document.notices),
}

_ORDERS: Mapping[DocumentOrder, Callable[[Document], int | str]] = {
    "source": lambda document: document.source,
    "passages": lambda document: document.passages,
    "size": lambda document: document.size,
    "ingested": lambda document: document.ingested_at,
}


def listed(documents: Iterable[Document], listing: Listing) -> ListedDocuments:
    """Return a page of documents that come by source ascending. Reads all of them."""
    found = list(documents)
    matching = [one for one in found if listing.holds(one.source, one.title)] if listing.words else found
    of_kind = [one for one in matching if KINDS[listing.kind](one)]
    of_language = [one for one in matching if listing.language in {None, one.language}]
    shown = [one for one in of_kind if listing.language in {None, one.language}]
    if listing.order != "source":
        shown.sort(key=_ORDERS[listing.order], reverse=True)
    return ListedDocuments(
        shown[listing.offset : listing.offset + listing.limit],
        {kind: sum(map(is_of, of_language)) for kind, is_of in KINDS.items()},
        Counter(one.language for one in of_kind),
        len(found),
        sum(document.passages for document in found),
        sum(document.size for document in found),
    )
