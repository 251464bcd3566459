"""Server settings: the address, what is served, and the limits of requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sift_rag import defaults
from sift_rag.embedders.endpoint import EmbedderEndpoint
from sift_rag.errors import ConfigurationError
from sift_rag.hosts import is_loopback
from sift_rag.protocols import LanguageModel, Relevance
from sift_rag.stores.registry import default_store

KEY_VARIABLE = "SIFT_RAG_SERVER_API_KEY"
"""Environment variable from which ``sift-rag serve`` reads the API key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one request and of all together. Each is checked before the work that it bounds."""

    body_bytes: int = 8 * 2**20
    documents: int = 1000
    """Maximum number of documents in one rerank request."""
    characters: int = 200_000
    """Maximum length of one text. The embedder truncates texts much earlier."""
    upload_bytes: int = defaults.MAX_BYTES
    """Maximum size of a file that is uploaded; it is written to disk as it arrives."""
    upload_seconds: float = 600.0
    """Time for such a file to arrive."""
    requests: int = 128
    """Maximum number of requests in progress or waiting; more get 429. One whose body is still arriving is neither."""
    arriving_bytes: int = 256 * 2**20
    """Maximum size of all bodies together that are still arriving; more get 429."""
    answers: int = 4
    """Maximum number of answers that a language model writes at once; more get 429."""
    seconds: float = 60.0
    """Time from the last byte of a request to its reply."""
    head_seconds: float = 10.0
    """Time for the head of a request to arrive; then the connection is closed."""
    body_seconds: float = 30.0
    """Time for the body of a request to arrive; then it gets 408."""
    answer_seconds: float = 300.0
    """The same time where a language model answers."""
    cache_bytes: int = 256 * 2**20
    """Memory for cached embeddings."""
    ingest_seconds: float = 24 * 3600.0
    """Time for which the progress of one ingest can be followed."""
    stopping_seconds: float = 6.0
    """Time that a stopping server waits for requests in progress; what is left then gets 503, or an ``error`` event."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value, least = getattr(self, name), 0 if name == "cache_bytes" else 1
            if not value >= least and not (name.endswith("seconds") and value > 0):
                raise ValueError(f"The limit {name} is {value}, but must be at least {least}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Settings of a server. A server that other machines can reach needs an API key.

    Raises:
        ConfigurationError: other machines can reach it and there is no key, or no client could send the key; or there
            are roots and no uploads.
    """

    host: str = "127.0.0.1"
    port: int = 8600
    """TCP port; 0 for any free one."""
    api_key: str | None = field(default=None, repr=False)
    """Key that clients send as ``Authorization: Bearer KEY``; None for no access control."""
    embedder: str | EmbedderEndpoint | None = None
    """Embedder for reranking: a name, a folder or an endpoint; None for the default. Collections are searched with
    their own: at the endpoint if there is one and it is of the same name, or of none."""
    served_names: tuple[str, ...] = ()
    """Additional names under which clients may ask for the reranker."""
    store: str | Path | None = None
    """Location of the collections, as in ``open_retriever``."""
    store_api_key: str | None = field(default=None, repr=False)
    """Key of the server that keeps the collections, if a server does."""
    collection: str = defaults.COLLECTION
    """Collection to search when a request names none."""
    runtime: str = defaults.RUNTIME
    """Runtime that computes the vectors of embedders, one of ``defaults.RUNTIMES``."""
    idle_seconds: float = 5.0
    """Time after which an idle collection is closed. Until then no other process can write to it if it is embedded."""
    uploads: Path | None = None
    """Folder for documents that are uploaded on the page, which keeps them; None to change no collection."""
    roots: tuple[Path, ...] = ()
    """Folders that agents may ingest from; none: no ingesting."""
    language_model: LanguageModel | None = None
    """Model that answers ``/v1/ask``; None to serve no answers."""
    relevance: Relevance | None = None
    """Model that scores the relevance of documents and candidates; None for embeddings and words."""
    workers: int = 2
    """Number of threads that search and select; the embedder has its own."""
    processes: int = 0
    """Number of processes that rank documents when several requests come at the same time; 0 to use threads only. A
    program that sets it must be importable without side effects, as ``multiprocessing`` asks for."""
    json_log: bool = True
    """Log JSON lines, for programs; False for short lines, for people."""
    limits: Limits = field(default_factory=Limits)

    @property
    def may_ingest(self) -> bool:
        """True if the page and agents may add documents to collections, and delete them."""
        return self.uploads is not None

    def __post_init__(self) -> None:
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable() and self.api_key):
            raise ConfigurationError(
                f"The API key in {KEY_VARIABLE} must be printable ASCII, or no client can send it."
            )
        if self.api_key is None and not is_loopback(self.host):
            raise ConfigurationError(
                f"Other machines can reach {self.host}, and no API key is set. Set one in {KEY_VARIABLE}, or listen on "
                "127.0.0.1."
            )
        if self.roots and not self.may_ingest:
            raise ConfigurationError("Agents may not ingest from a root unless the server may change its collections.")
        if not 0 <= self.port < 2**16:
            raise ValueError(f"The port is {self.port}, but must be in [0, 65535].")
        if self.workers < 1:
            raise ValueError(f"workers is {self.workers}, but must be >= 1.")
        if self.processes < 0:
            raise ValueError(f"processes is {self.processes}, but must be >= 0.")


def default_uploads(store: str | Path | None) -> Path:
    """Return the folder that keeps uploads unless another is named: ``.uploads`` beside embedded collections.

    No collection can have this name. Uploads to collections on a server are kept in the user's data folder.
    """
    is_folder = store is not None and "://" not in str(store)
    return (Path(store).expanduser() if store is not None and is_folder else default_store()) / ".uploads"
