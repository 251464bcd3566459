"""Protocols of the parts that can be replaced. Implementations need not inherit: they are checked by shape.

Every implementation of a protocol passes the same contract tests (``tests/contracts/``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

from sift_rag.filters import Filter
from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, Passage

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sift_rag.selection import Choice, Stopping


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
        """Number of tokens that the model reads, special tokens included; text beyond them is not seen."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, which counts tokens as the model does."""

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """Return unit-norm float32 ``(n, d)``, row i for text i; ``(0, d)`` for no texts."""

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """Return unit-norm float32 ``(n, d)``, row i for text i; ``(0, d)`` for no texts."""


class PassageStore(Protocol):
    """One collection of passages with their vectors, and the records of the documents they were cut from.

    A call that returns is durable: what it wrote is there after the process or the machine dies. A call that raises may
    have been applied in part; every write can be repeated without harm.
    """

    @property
    def info(self) -> CollectionInfo:
        """What the collection says of itself."""

    def count(self) -> int:
        """How many passages it holds."""

    def search(
        self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None
    ) -> list[list[Candidate]]:
        """For each row of ``targets`` ``(m, d)``, its nearest passages by cosine, with their vectors.

        Similarity descending, ties by passage id ascending; ``offset`` skips the first ones. Exact. ``where`` leaves
        only passages that it matches, as if there were no others; the sources it names are looked up in the records of
        documents, so that of a document without a record nothing may be found then.

        Raises:
            ValueError: a target is not finite, has norm 0, or is not of the collection's dimension.
            StoreConflict: the collection is of a schema version without labels, and ``where`` asks for some.
        """

    def fetch(self, ids: Sequence[str]) -> list[Candidate]:
        """The passages of these ids that exist, in the order asked (similarity is NaN: there was no question)."""

    def passages(self, source: str) -> Iterator[Candidate]:
        """All passages of one document in reading order (similarity is NaN); none for an unknown source."""

    def embeddings(self, texts: Sequence[str]) -> Mapping[str, Embedding]:
        """Vectors ``(d,)`` already held for any of these *embedding texts*, so that nothing is embedded twice."""

    def upsert(self, passages: Sequence[Passage], embeddings: Embedding) -> None:
        """Insert or replace by id. ``embeddings`` is ``(n, d)``, row i for passage i.

        Raises:
            ValueError: shapes disagree, a value is not finite, a row has norm 0, an id is not a UUID or metadata is
                not JSON. Nothing was written then.
        """

    def delete_passages(self, source: str, *, except_revision: str | None = None) -> int:
        """Delete a document's passages, but for those of one revision; how many were deleted."""

    def document(self, source: str) -> Document | None:
        """The record of one document."""

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Records whose source starts with ``prefix``, by source ascending."""

    def put_documents(self, documents: Sequence[Document]) -> None:
        """Insert or replace records by source, all or none."""

    def drop_documents(self, sources: Sequence[str]) -> None:
        """Delete records (not passages), all or none; unknown sources are ignored."""

    def close(self) -> None:
        """Release what is held. Closing twice is allowed; any other call after it raises ``StoreError``."""


@runtime_checkable
class Scannable(Protocol):
    """A store that can also hand out all its vectors, at less cost a row than searches have."""

    def scan(self, limit: int, *, where: Filter | None = None) -> Iterator[tuple[list[str], Embedding]]:
        """Ids and vectors ``(n, d)`` of all passages in blocks of at most ``limit``, by id ascending.

        A passage that stays as it is meanwhile comes exactly once; one that is written or deleted meanwhile may come
        or not. ``where`` is that of ``search``.

        Raises:
            ValueError: ``limit`` is less than 1.
            StoreConflict: as for ``search``.
        """


class Totals(NamedTuple):
    """What the records of a collection add up to."""

    ingested: int
    """Documents in this state."""
    pending: int
    failed: int
    passages: int
    """Over all records."""
    size: int
    """Bytes, over all records."""


class Records(Protocol):
    """The records of a collection's documents, to be read while others write."""

    @property
    def info(self) -> CollectionInfo:
        """What the collection says of itself."""

    def document(self, source: str) -> Document | None:
        """The record of one document."""

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Records whose source starts with ``prefix``, by source ascending."""

    def totals(self) -> Totals:
        """Counts by state, and sums."""

    def close(self) -> None:
        """Release what is held. Closing twice is allowed."""


class Database(Protocol):
    """Where collections are kept: a folder, or a server.

    Every call raises ``CollectionNotFound`` for a name that is not there, and ``ValueError`` for one that cannot be.
    """

    def collections(self) -> list[CollectionInfo]:
        """All of this library's, by name; those being built are not among them."""

    def open(self, name: str) -> PassageStore:
        """The collection, for reading and writing."""

    def create(self, info: CollectionInfo) -> PassageStore:
        """A new, empty collection, open.

        Raises:
            StoreConflict: the name is taken.
        """

    def records(self, name: str) -> Records:
        """What the collection knows of its documents, without what a search needs."""

    def drop(self, name: str) -> None:
        """Remove the collection, in one step to whoever looks."""

    def building_name(self, name: str) -> str:
        """Under which to fill what will take the collection's place: kept until then, also when interrupted."""

    def replace(self, name: str, replacement: str) -> None:
        """Let ``replacement``, filled and closed, take the place of ``name`` in one step; what was there is removed."""

    def optimize(self, name: str) -> bool:
        """Merge and compact what many writes have left behind; False if there was nothing to do."""

    def examine(self, name: str) -> list[str]:
        """What is wrong with the collection, in words; nothing for a healthy one. Reads every vector."""


class Selector(Protocol):
    """A way to choose k of n candidates, with its parameters."""

    @property
    def name(self) -> str:
        """``sift``, ``nearest``, ``mmr``, ..."""

    def select(
        self,
        targets: Embedding,
        candidates: Embedding,
        k: int,
        *,
        known: Embedding | None = None,
        weights: Sequence[float] | None = None,
        stopping: Stopping | None = None,
        token_counts: Sequence[int] | None = None,
    ) -> Choice:
        """Arrays ``(m, d)``, ``(n, d)`` and ``(g, d)`` in, indices out: see ``sift_rag.selection.select_sift``.

        ``weights`` None leaves the shares of the targets to the method.
        """


class Message(NamedTuple):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


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

        Raises:
            ModelUnavailable: the endpoint does not answer.
            ValueError: the prompt leaves no room for an answer.
        """


@runtime_checkable
class TrainableModel(Protocol):
    """A causal language model in this process, with its weights at hand."""

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
        """Keep everybody else from reading or changing the weights within the block.

        It yields a function that aborts unfinished answers; call it before the weights are restored.

        Raises:
            ModelInUse: somebody is reading or changing them.
        """
