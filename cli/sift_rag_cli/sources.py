"""Find a document by the name that a user gave: the whole source, or a unique ending of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from sift_rag.errors import DocumentNotFound
from sift_rag.suggestions import endings, some_of, suggestion

if TYPE_CHECKING:
    from sift_rag.types import Document


def full_source(name: str, documents: Callable[[str], Iterable[Document]], collection: str) -> str:
    """Return the source that a name stands for.

    Raises:
        DocumentNotFound: no source has the name or ends in it, or several end in it.
    """
    if any(document.source == name for document in documents(name)):
        return name
    sources = [document.source for document in documents("")]
    found = endings(name, sources)
    if len(found) == 1:
        return found[0]
    if found:
        raise DocumentNotFound(
            f"{len(found)} files of collection '{collection}' end in '{name}': {some_of(found)}. Name one."
        )
    raise not_found(name, sources, collection)


def no_prefix(prefix: str, sources: Sequence[str], collection: str) -> DocumentNotFound:
    """Return the error for a beginning that no source has, with the closest folder or file."""
    folders = {source[: end + 1] for source in sources for end, letter in enumerate(source) if letter == "/"}
    return DocumentNotFound(
        f"Collection '{collection}' has no file whose name starts with '{prefix}'."
        f"{suggestion(prefix, [*sorted(folders), *sources])} `sift-rag list` lists its files."
    )


def not_found(name: str, sources: Iterable[str], collection: str) -> DocumentNotFound:
    """Return the error for an unknown source, with the closest known one."""
    return DocumentNotFound(
        f"Collection '{collection}' has no file '{name}'.{suggestion(name, sources)} `sift-rag list` lists its files."
    )
