"""What a server is told when it starts: where it listens, what it serves, how much it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from sift_rag.errors import ConfigurationError
from sift_rag.opening import DEFAULT_COLLECTION
from sift_rag.protocols import LanguageModel

KEY_VARIABLE = "SIFT_RAG_SERVER_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request, and all of them together, may take. Each is checked before the work that it bounds."""

    body_bytes: int = 8 * 2**20
    documents: int = 1000
    characters: int = 200_000
    """Of one text. What is beyond the embedder's own length is not seen in any case."""
    requests: int = 128
    """Worked on or waiting at once; beyond it, 429."""
    answers: int = 4
    """That a language model writes at once; beyond it, 429."""
    seconds: float = 60.0
    """From the first byte of a request to the last of its reply."""
    answer_seconds: float = 300.0
    """The same for an answer of a language model."""
    cache_bytes: int = 256 * 2**20
    """Of embeddings kept for texts that come again."""
    stopping_seconds: int = 10
    """How long a server that is told to stop waits for what it has begun."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value, least = getattr(self, name), 0 if name == "cache_bytes" else 1
            if not value >= least and not (name.endswith("seconds") and value > 0):
                raise ValueError(f"The limit {name} must be at least {least}, but is {value}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """A server that is reached from elsewhere has a key; see ``KEY_VARIABLE``.

    Raises:
        ConfigurationError: no key although others can reach it, or a key that no client could send.
    """

    host: str = "127.0.0.1"
    port: int = 8600
    """0 for any that is free."""
    api_key: str | None = field(default=None, repr=False)
    """Clients send it as ``Authorization: Bearer``; None for none."""
    embedder: str | None = None
    """For reranking: a name or folder, by default the default embedder."""
    served_names: tuple[str, ...] = ()
    """Further names under which clients may ask for the reranker."""
    store: str | Path | None = None
    """Where the collections are, as in ``open_retriever``."""
    store_api_key: str | None = field(default=None, repr=False)
    """Key of the server that keeps the collections, if a server does."""
    collection: str = DEFAULT_COLLECTION
    """The one that is searched when a request names none."""
    release_seconds: float = 5.0
    """For how long a collection stays open that nobody searches: until then no other process can write to an embedded
    one."""
    language_model: LanguageModel | None = None
    """Writes the answers of ``/v1/ask``; None for none."""
    workers: int = 2
    """Threads that select; the embedder has one of its own."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable() and self.api_key):
            raise ConfigurationError(f"The key in {KEY_VARIABLE} must be printable ASCII, or no client can send it.")
        if self.api_key is None and not is_loopback(self.host):
            raise ConfigurationError(
                f"{self.host} can be reached from other machines, and no key is set: set {KEY_VARIABLE} for clients to "
                "send, or listen on 127.0.0.1."
            )
        if not 0 <= self.port < 2**16:
            raise ValueError(f"The port must be in [0, 65535], but is {self.port}.")
        if self.workers < 1:
            raise ValueError(f"workers must be >= 1, but is {self.workers}.")


def is_loopback(host: str) -> bool:
    """Whether a name or address, in brackets or not, is this machine's own and nobody else's."""
    bare = host.removeprefix("[").removesuffix("]").casefold()
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return False
