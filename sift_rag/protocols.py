"""Protocols of the parts that can be replaced. Implementations need not inherit: they are checked by shape.

Every implementation of a protocol passes the same contract tests (``tests/contracts/``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np

from sift_rag.filters import Filter
from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, Passage

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sift_rag.selection import Choice, Pool, Stopping


class Embedder(Protocol):
    """A model that turns text into unit vectors."""

    @property
    def name(self) -> str:
        """Identity of the vector space: two embedders of one name must give interchangeable vectors."""

    @property
    def dimension(self) -> int:
        """Length d of a vector."""

    @property
    def max_tokens(self) -> int:
        """Number of tokens that the model reads, special tokens included; it ignores text beyond them."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, which counts tokens as the model does."""

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """Return unit-norm float32 ``(n, d)``, row i for text i; ``(0, d)`` for no texts."""

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """Return unit-norm float32 ``(n, d)``, row i for text i; ``(0, d)`` for no texts."""


@runtime_checkable
class LoadedAtFirstUse(Protocol):
    """An embedder that is loaded when its tokenizer or a vector is first asked for."""

    @property
    def is_loaded(self) -> bool:
        """False until then."""


@runtime_checkable
class EmbedsAtOnce(Protocol):
    """An embedder that works on several batches at once."""

    @property
    def texts_at_once(self) -> int:
        """Number of texts in one call that keeps it busy."""


class Neighbours(NamedTuple):
    """The passages next to one in its document, in reading order."""

    before: tuple[Passage, ...]
    after: tuple[Passage, ...]


class Searcher(Protocol):
    """A way to search a collection."""

    def search(
        self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None
    ) -> list[list[Candidate]]:
        """Return for each row of ``targets`` its nearest passages, as ``PassageIndex.search`` does, exactly or not."""


class PassageIndex(Protocol):
    """A collection of passages with their vectors, to read."""

    @property
    def info(self) -> CollectionInfo:
        """Description of the collection."""

    def count(self) -> int:
        """Return the number of passages."""

    def search(
        self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None
    ) -> list[list[Candidate]]:
        """Return for each row of ``targets`` ``(m, d)`` its nearest passages by cosine, with their vectors.

        Similarity descending, ties by passage id ascending; ``offset`` skips the first ones. Exact. ``where`` leaves
        only passages that it matches, as if there were no others; the sources it names are looked up in the records of
        documents, so that of a document without a record nothing may be found then.

        Raises:
            ValueError: a target is not finite, has norm 0, or is not of the collection's dimension.
            StoreConflict: the collection is of a schema version without labels, and ``where`` asks for some.
        """

    def fetch(self, ids: Sequence[str]) -> list[Candidate]:
        """Return the passages with these ids that exist, in the order asked. Their similarity is NaN."""

    def passages(self, source: str) -> Iterator[Candidate]:
        """Iterate over a document's passages in reading order; none for an unknown source. Their similarity is NaN."""

    def neighbours(self, passages: Sequence[Passage], count: int) -> list[Neighbours]:
        """Return for each passage up to ``count`` of its document's passages before it, and after it.

        Those of its source and revision, by position; none for a passage that the collection does not hold.

        Raises:
            ConfigurationError: the collection does not record where passages stand in their documents.
            ValueError: ``count`` is less than 1.
        """

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Iterate over the records of documents whose source starts with ``prefix``, by source ascending."""

    def close(self) -> None:
        """Release all resources. Closing twice is allowed; any other call after it raises ``StoreError``."""


class PassageStore(PassageIndex, Protocol):
    """A collection of passages with their vectors and the records of their documents, to read and write.

    A call that returns is durable: what it wrote survives the process and the machine. A call that raises may have been
    applied in part; every write can be repeated without harm.
    """

    def embeddings(self, texts: Sequence[str]) -> Mapping[str, Embedding]:
        """Return the vectors ``(d,)`` held for any of these *embedding texts*, so that none is embedded twice."""

    def upsert(self, passages: Sequence[Passage], embeddings: Embedding) -> None:
        """Insert or replace by id. ``embeddings`` is ``(n, d)``, row i for passage i.

        Raises:
            ValueError: shapes disagree, a value is not finite, a row has norm 0, an id is not a UUID or metadata is
                not JSON. Nothing was written then.
        """

    def delete_passages(self, source: str, *, except_revision: str | None = None) -> int:
        """Delete a document's passages, except those of one revision; return the number deleted."""

    def document(self, source: str) -> Document | None:
        """Return the record of one document."""

    def put_documents(self, documents: Sequence[Document]) -> None:
        """Insert or replace records by source, all or none."""

    def drop_documents(self, sources: Sequence[str]) -> None:
        """Delete records (not passages), all or none; unknown sources are ignored."""


@runtime_checkable
class Scannable(Protocol):
    """An index that can also hand out all its vectors, at less cost per row than searches have."""

    def scan(self, limit: int, *, where: Filter | None = None) -> Iterator[tuple[list[str], Embedding]]:
        """Iterate over ids and vectors ``(n, d)`` of all passages in blocks of at most ``limit``, by id ascending.

        A passage that stays as it is meanwhile comes exactly once; one that is written or deleted meanwhile may come
        or not. ``where`` is that of ``PassageIndex.search``.

        Raises:
            ValueError: ``limit`` is less than 1.
            StoreConflict: as for ``search``.
        """


class Graph(NamedTuple):
    """The graph of neighbours of a collection (HNSW)."""

    passages: int
    """Number of passages in it; 0 if there is none."""
    required: bool = False
    """True if the store searches in no other way, so that ``PassageIndex.search`` is approximate too."""


@runtime_checkable
class GraphSearch(Protocol):
    """An index that can also be searched by a graph of neighbours: faster if it is large, but not exact."""

    @property
    def graph(self) -> Graph:
        """The graph, as far as the index knows it: when it was opened, or now."""

    def by_graph(self) -> Searcher:
        """Return the search by the graph, which ends with this index.

        It may miss some of the nearest passages. Those that it finds have their true similarity and stand in the order
        of ``PassageIndex.search``. Equal searches find the same as long as the graph stays as it is.
        """


@runtime_checkable
class WordIndex(Protocol):
    """An index that also finds passages by their words."""

    def search_words(self, texts: Sequence[str], limit: int, *, where: Filter | None = None) -> list[list[Candidate]]:
        """Return for each text the passages that share words with it, by BM25 or a score like it, best first.

        Nothing for a text whose words no passage has, and nothing at all from a collection made before words were
        indexed. Their similarity is NaN. ``where`` is that of ``PassageIndex.search``.

        Raises:
            StoreConflict: as for ``search``.
        """


@runtime_checkable
class WordStatus(Protocol):
    """Document records that also say whether the collection has a word index."""

    @property
    def words_indexed(self) -> bool:
        """False for a collection made before words were indexed, until it is upgraded."""


@runtime_checkable
class GraphStatus(Protocol):
    """Document records that also say whether the collection has a graph of neighbours."""

    @property
    def has_graph(self) -> bool:
        """True if it can be searched by one: see ``GraphSearch``."""

    @property
    def outside_graph(self) -> int:
        """Number of passages that were written since the collection was optimised; 0 where that is done by itself."""


class Totals(NamedTuple):
    """Sums over the records of a collection's documents."""

    ingested: int
    """Number of documents in this state."""
    pending: int
    """Number of documents in this state."""
    failed: int
    """Number of documents in this state."""
    passages: int
    """Number of passages, over all records."""
    size: int
    """Number of bytes, over all records."""


class DocumentRecords(Protocol):
    """The records of a collection's documents, readable while others write."""

    @property
    def info(self) -> CollectionInfo:
        """Description of the collection."""

    def document(self, source: str) -> Document | None:
        """Return the record of one document."""

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Iterate over the records whose source starts with ``prefix``, by source ascending."""

    def totals(self) -> Totals:
        """Return counts by state, and sums."""

    def close(self) -> None:
        """Release all resources. Closing twice is allowed."""


class Database(Protocol):
    """A place that keeps collections: a folder, or a server. Nothing is opened or asked before the first call.

    Every call raises ``CollectionNotFound`` for a name that does not exist, and ``ValueError`` for an impossible one.
    """

    @property
    def location(self) -> str:
        """The folder or the server's URL, without a key. Equal for two names of the same place."""

    def collections(self) -> list[CollectionInfo]:
        """Return this library's collections, by name, without those being built."""

    def open(self, name: str) -> PassageStore:
        """Open a collection to read and write.

        Raises:
            StoreConflict: another tool made it: use ``open_index``.
        """

    def open_index(self, name: str) -> PassageIndex:
        """Open a collection to read, whichever tool made it."""

    def create(self, info: CollectionInfo) -> PassageStore:
        """Create an empty collection and open it.

        Raises:
            StoreConflict: the name is taken.
        """

    def begin(self, info: CollectionInfo) -> PassageStore:
        """Open a collection for its first ingest. It exists once a document goes in: until then, there is none.

        Records of documents that failed are kept back for it. Other processes that write to it lose nothing.

        Raises:
            StoreConflict: the name is taken.
        """

    def documents(self, name: str) -> DocumentRecords:
        """Open the records of a collection's documents alone."""

    def drop(self, name: str) -> None:
        """Remove the collection, atomically for readers."""

    def building_name(self, name: str) -> str:
        """Return the name under which to build the collection's replacement, which is kept if interrupted."""

    def replace(self, name: str, replacement: str) -> None:
        """Let ``replacement``, filled and closed, take the collection's place atomically; the old one is removed."""

    def optimize(self, name: str) -> bool:
        """Merge and compact what many writes have left behind; return False if there was nothing to do."""

    def check(self, name: str) -> list[str]:
        """Return the collection's problems, a sentence each; none if it is healthy. Reads every vector."""


class Relevance(Protocol):
    """Model that scores the relevance of texts to a question: a cross-encoder, or a reranker at an endpoint."""

    @property
    def name(self) -> str:
        """Name, as the user wrote it."""

    def score(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """Return ``(n,)`` in [0, 1], score i for text i; empty for no texts.

        A score depends on its question and text only, not on the other texts.

        Raises:
            ModelUnavailable: the endpoint does not answer.
            ModelUnsuitable: it does not return one score in [0, 1] per text.
        """


class Selector(Protocol):
    """A way to choose k of n candidates, with its parameters."""

    @property
    def name(self) -> str:
        """``sift``, ``nearest``, ``mmr``, ..."""

    def select(self, pool: Pool, k: int, *, stopping: Stopping | None = None) -> Choice:
        """Return up to k of the pool's candidates, in order, measured: see ``sift_rag.selection.select_sift``."""


class Message(NamedTuple):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


FinishReason: TypeAlias = Literal["stop", "length", "content_filter", "repetition"]
"""Reason why an answer ended: the model finished, reached the limit on its length, was cut off by its provider's
filter, or began to repeat itself."""


REASONING_BEGINS = "<think>"
REASONING_ENDS = "</think>"


class LanguageModel(Protocol):
    """A model that continues a chat."""

    @property
    def name(self) -> str:
        """Name, as the user wrote it."""

    @property
    def context_length(self) -> int:
        """Number of tokens that prompt and answer may have together."""

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Count the tokens of the prompt, template included: exactly, or as an upper estimate."""

    def stream(self, messages: Sequence[Message], *, max_new_tokens: int) -> Iterator[str]:
        """Yield the answer, piece by piece.

        Reasoning, from a model that writes any, comes first, between ``<think>`` and ``</think>``. A generator may
        return the ``FinishReason``; an iterator that returns none has finished by itself (``stop``).

        Raises:
            ModelUnavailable: the endpoint does not answer.
            ValueError: the prompt leaves no room for an answer.
        """


@runtime_checkable
class TrainableModel(Protocol):
    """A causal language model in this process, with access to its weights."""

    @property
    def name(self) -> str:
        """Name, as the user wrote it."""

    @property
    def context_length(self) -> int:
        """Number of tokens that the model reads at once."""

    @property
    def network(self) -> PreTrainedModel:
        """The PyTorch module."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer that the model was trained with."""

    def reading(self) -> AbstractContextManager[None]:
        """Keep the weights as they are within the block; several may read at once.

        Raises:
            ModelInUse: another prompt's fine-tuning is changing them.
        """

    def changing(self) -> AbstractContextManager[Callable[[], None]]:
        """Prevent everyone else from reading or changing the weights within the block.

        It yields a function that aborts unfinished answers; call it before the weights are restored.

        Raises:
            ModelInUse: somebody is reading or changing them.
        """
