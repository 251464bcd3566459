"""Files, texts and documents in memory to ingest: named at once, and read only when needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from numpy.typing import ArrayLike

from sift_rag.corpus.decoding import one_line, universal_newlines, without_surrogates
from sift_rag.corpus.documents import FileState, SourceDocument, read_document, stat_file
from sift_rag.corpus.formats import SYNTAXES
from sift_rag.corpus.json_lines import storable
from sift_rag.corpus.locations import location_of
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.planning import revision_of
from sift_rag.corpus.sections import Section
from sift_rag.errors import SkippedDocument
from sift_rag.types import Embedding, JsonValue, Passage, Span, passage_id
from sift_rag.vectors import as_unit_rows


class Incoming(Protocol):
    """A document to ingest: a file or a text."""

    @property
    def source(self) -> str:
        """Name of the document in the collection."""

    @property
    def location(self) -> str:
        """Absolute path of the file, as ``location_of`` writes it; "" for a text."""

    @property
    def size(self) -> int:
        """Size in bytes; 0 if unknown."""

    def state(self) -> FileState | None:
        """Return the file's state, so that an unchanged file need not be read; None if it must be read."""

    def read(self, options: IngestOptions) -> SourceDocument:
        """Return the document as text.

        Raises:
            MissingExtra: the package that reads this format is not installed.
            UnreadableDocument: the document cannot become text.
        """


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file to ingest."""

    source: str
    path: Path

    @property
    def location(self) -> str:
        """Implement ``Incoming.location``."""
        return location_of(self.path)

    @property
    def size(self) -> int:
        """Implement ``Incoming.size``."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def state(self) -> FileState:
        """Implement ``Incoming.state``."""
        return stat_file(self.path)

    def read(self, options: IngestOptions) -> SourceDocument:
        """Implement ``Incoming.read``."""
        return read_document(self.path, options)


@dataclass(frozen=True, slots=True)
class IncomingText:
    """A text to ingest that is not a file."""

    source: str
    text: str
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    title: str = ""
    vector: Embedding | None = None
    """Vector of the whole text, which is one passage then."""
    location: str = field(default="", init=False)

    @property
    def size(self) -> int:
        """Implement ``Incoming.size``."""
        return len(self.text.encode())

    def state(self) -> None:
        """Implement ``Incoming.state``: a text is always read."""

    def read(self, options: IngestOptions) -> SourceDocument:
        """Implement ``Incoming.read``. A suffix of the name, such as ``.md``, decides how a text is split."""
        if not self.text.strip():
            raise SkippedDocument("empty")
        read = SourceDocument(
            content_hash=self._content_hash(),
            state=FileState(size=self.size, modified_ns=0, changed_ns=0),
            title=self.title,
            syntax=SYNTAXES.get(Path(self.source).suffix.lower(), "plain"),
            sections=[Section(self.text, metadata=self.metadata)],
        )
        if self.vector is None:
            return read
        return replace(
            read, passages=(self._only_passage(revision_of(read.content_hash, options)),), vector=self.vector
        )

    def _content_hash(self) -> str:
        plain = _text_hash(self.text, self.metadata)
        if not self.title and self.vector is None:
            return plain
        digest = blake2b(f"{plain}\n{self.title}\n".encode(), digest_size=32)
        digest.update(b"" if self.vector is None else self.vector.tobytes())
        return digest.hexdigest()

    def _only_passage(self, revision: str) -> Passage:
        passage = Passage(
            id="",
            text=self.text,
            source=self.source,
            span=Span(0, len(self.text)),
            title=self.title,
            metadata=self.metadata,
            revision=revision,
        )
        return replace(passage, id=str(passage_id(passage, copy=0)))


@dataclass(frozen=True, slots=True)
class SourceText:
    """A document in memory: a text under an id, with metadata and perhaps its vector."""

    id: str
    """Name of the document in the collection, by which hits cite it. A document replaces the one of its id. "" for a
    name made from text and metadata."""
    text: str
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    """A JSON object that a filter can ask for."""
    title: str = ""
    """Title, which the embedder reads before each passage."""
    vector: ArrayLike | None = field(default=None, compare=False, repr=False)
    """Vector of the whole text, from the collection's embedder. The document is one passage then."""


def incoming_documents(documents: Sequence[SourceText], dimension: int) -> list[IncomingText]:
    """Check documents, so that they can be ingested like files.

    Args:
        documents: with different ids.
        dimension: length of a vector.

    Raises:
        ValueError: an id that is not Unicode or used twice, metadata that are not JSON, or a vector of another
            dimension, not finite or of norm 0.
    """
    for _ in _distinct([document.id for document in documents if document.id]):
        pass
    checked = [_checked(document, dimension) for document in documents]
    return list({item.source: item for item in checked}.values())  # equal ones without ids are one document


def _checked(document: SourceText, dimension: int) -> IncomingText:
    text = universal_newlines(without_surrogates(document.text))
    metadata = _json_object(document.metadata)
    source = document.id or f"text-{_text_hash(text, metadata)[:16]}"
    vector = None
    if document.vector is not None:
        vector = as_unit_rows([document.vector], dimension, what=f"The vectors of {source!r}")[0]
    return IncomingText(source, text, metadata, one_line(without_surrogates(document.title)), vector)


def incoming_texts(
    texts: Sequence[str],
    *,
    sources: Sequence[str] | None = None,
    metadata: Sequence[Mapping[str, JsonValue]] | None = None,
) -> list[IncomingText]:
    """Name texts, so that they can be ingested like files.

    Args:
        texts: any strings; line ends are normalised.
        sources: a name for each, all different. By default a name is made from text and metadata, so that equal texts
            are one document.
        metadata: JSON objects, one for each text.

    Raises:
        ValueError: ``texts`` is one string, not one source or one object for each text, a source that is empty, not
            Unicode or used twice, or metadata that are not JSON.
    """
    if isinstance(texts, str):
        raise ValueError("texts is one string: expected a sequence of strings.")
    for name, values in (("sources", sources), ("metadata", metadata)):
        if values is not None and len(values) != len(texts):
            raise ValueError(f"There are {len(texts)} texts, but {len(values)} {name}: expected one for each.")
    cleaned = [universal_newlines(without_surrogates(text)) for text in texts]
    objects = [_json_object(values) for values in metadata] if metadata is not None else [{} for _ in texts]
    if sources is None:
        named = (
            IncomingText(f"text-{_text_hash(text, values)[:16]}", text, values)
            for text, values in zip(cleaned, objects, strict=True)
        )
        return list({item.source: item for item in named}.values())
    return list(map(IncomingText, _distinct(sources), cleaned, objects))


def _distinct(sources: Sequence[str]) -> Iterator[str]:
    seen: set[str] = set()
    for source in sources:
        if not source or source != without_surrogates(source):
            raise ValueError(f"{source!r} cannot be the name of a text: expected Unicode that is not empty.")
        if source in seen:
            raise ValueError(f"Two texts are called {source!r}: expected a different name for each.")
        seen.add(source)
        yield source


def _json_object(values: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        parsed = json.loads(json.dumps(dict(values)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"The metadata of a text are not JSON: {error}.") from error
    return {without_surrogates(name): storable(value) for name, value in parsed.items()}


def _text_hash(text: str, metadata: Mapping[str, JsonValue]) -> str:
    content = json.dumps([text, metadata], sort_keys=True)
    return blake2b(content.encode(), digest_size=32).hexdigest()
