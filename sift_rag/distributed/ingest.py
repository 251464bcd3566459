"""An ingest's engine on a Ray cluster: files -> readers -> parcels of passages -> embedders -> a store on a server.

Readers and embedders are actor pools of Ray Data, which moves the parcels, holds readers back while embedders are
busy, and replaces actors that die. What they do is in ``corpus/elsewhere.py``. The driver reads no file and loads no
model; it keeps the records.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sift_rag.clusters import RayCluster
from sift_rag.corpus.elsewhere import Ack, Job, Parcel, Reader, bundles, store_parcel
from sift_rag.corpus.options import IngestOptions
from sift_rag.distributed.connection import Failure, Share, attempted, checked, connected, plain_errors
from sift_rag.distributed.flow import Stage, flow, message_in, table_of
from sift_rag.errors import ClusterUnavailable, CollectionNotFound, ConfigurationError, ModelUnsuitable, SiftRagError
from sift_rag.opening import collection_info, open_or_make
from sift_rag.protocols import Embedder, PassageStore
from sift_rag.stores.registry import open_database
from sift_rag.types import CollectionInfo, Embedding

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Load = Callable[[CollectionInfo | None], Embedder]
"""Opens the embedder of a collection, or of one that does not exist yet."""

PROBE = "The owl hunts mice at night while the bees sleep, and nobody pays for a taxi."
"""Text whose vector tells whether two machines have one embedder."""

LEAST_COSINE = 0.99
"""Cosine of its vectors below which they have not. Formats of numbers alone leave more than 0.997."""


@dataclass(frozen=True)
class Target:
    """The collection that workers write to."""

    url: str
    collection: str
    api_key: str | None = field(default=None, repr=False)
    begun: CollectionInfo | None = None
    """Its description if it does not exist yet: whoever stores the first passages creates it."""

    def open(self) -> PassageStore:
        """Open it."""
        database = open_database(self.url, api_key=self.api_key)
        begun = self.begun
        if begun is None:
            return database.open(self.collection)
        return open_or_make(database, self.collection, lambda: database.begin(begun))


class Description(NamedTuple):
    """An embedder on a worker, as far as others have to know it."""

    name: str
    dimension: int
    max_tokens: int
    tokenizer: str
    """The tokenizer as JSON."""
    languages: tuple[str, ...] | None
    precision: str
    vector: Embedding
    """Vector of ``PROBE``."""
    host: str
    version: str
    """The worker's version of sift-rag."""


class DescribedEmbedder:
    """An embedder that is loaded on workers only. This process knows its name, its tokenizer, and how it computes."""

    def __init__(self, description: Description) -> None:
        self.name, self.dimension = description.name, description.dimension
        self.max_tokens, self.languages = description.max_tokens, description.languages
        self.precision = description.precision
        self._tokenizer = description.tokenizer

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Implement ``Embedder.tokenizer``."""
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self._tokenizer)

    def embed_queries(self, texts: Sequence[str]) -> Embedding:  # noqa: ARG002
        """Raise ``SiftRagError``: workers do that."""
        raise SiftRagError(f"The embedder {self.name} is loaded on the workers only.")

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """Raise ``SiftRagError``: workers do that."""
        return self.embed_queries(texts)


class RayEngine:
    """Implements ``Engine`` on a Ray cluster, which is connected to when there is something to do."""

    def __init__(self, cluster: RayCluster, target: Target, load: Load) -> None:
        """Prepare; nothing is started yet.

        Args:
            cluster: where the work is done.
            target: a collection on a server.
            load: opens the embedder, on a worker.

        Raises:
            ConfigurationError: the store is a folder.
        """
        if "://" not in target.url:
            raise ConfigurationError(
                f"The store {target.url!r} is a folder, to which one process can write: a cluster needs a store on a "
                "server, such as http://localhost:6333."
            )
        self._cluster, self._target, self._load = cluster, target, load
        self._stack = ExitStack()

    def close(self) -> None:
        """Disconnect; a cluster that was started on this machine ends."""
        self._stack.close()

    def embedder(self, info: CollectionInfo | None) -> DescribedEmbedder:
        """Load the embedder on one worker, and return its description.

        Args:
            info: the collection; None if it does not exist yet.

        Raises:
            ModelUnavailable: a worker cannot load it.
            others: what ``connected`` raises.
        """
        return DescribedEmbedder(self._described(info))

    def bring_in(self, jobs: Sequence[Job], options: IngestOptions) -> Generator[Ack, None, None]:
        """Implement ``Engine.bring_in``."""
        share = self._share
        target, info = self._target, None
        with suppress(CollectionNotFound), closing(target.open()) as store:
            info = store.info
        description = self._described(info)
        if info is None:
            target = replace(target, begun=collection_info(target.collection, DescribedEmbedder(description)))
        work = bundles(jobs, share.readers + share.workers)
        reading = (target, description, options)
        embedding = (target, description, partial(self._load, info))
        yield from flow(
            work,
            Stage(ReadingWorker, reading, 1, share.readers, share.reader_cpus),
            Stage(EmbeddingWorker, embedding, share.workers, share.workers, share.cpus, share.gpus),
        )

    @cached_property
    def _share(self) -> Share:
        return self._stack.enter_context(connected(self._cluster))

    def _described(self, info: CollectionInfo | None) -> Description:
        if "_description" not in vars(self):
            share = self._share
            with plain_errors():
                import ray

                describe = ray.remote(_describe).options(num_cpus=share.cpus, num_gpus=share.gpus or None)
                found = checked(ray.get(describe.remote(partial(self._load, info))))
            if found.version != (own := version("sift-rag")):
                raise ClusterUnavailable(
                    f"{found.host} has sift-rag {found.version}, this machine {own}: expected one version."
                )
            self._description = found
        return self._description


class ReadingWorker:
    """Reads bundles of files, and yields parcels of their passages. An actor of Ray Data."""

    def __init__(self, target: Target, description: Description, options: IngestOptions) -> None:
        self._target, self._description, self._options = target, description, options

    def __call__(self, table: Any) -> Iterator[Any]:
        """Yield a table of one parcel, or of one failure, at a time."""
        parcels = self._parcels(message_in(table))
        while (parcel := attempted(partial(next, parcels, None))) is not None:
            yield table_of(parcel)
            if isinstance(parcel, Failure):
                break

    def close(self) -> None:
        """Release the store and the process that converts."""
        if "_reader" in vars(self):
            self._reader.close()
            self._store.close()

    def _parcels(self, jobs: Sequence[Job]) -> Iterator[Parcel]:
        for parcel in self._reader.parcels(jobs):
            if parcel.absent:
                raise ConfigurationError(
                    f"There is no {parcel.absent!r} on {platform.node()}: files to ingest must lie where all "
                    "machines of the cluster see them."
                )
            yield parcel

    @cached_property
    def _reader(self) -> Reader:
        tokenizer = DescribedEmbedder(self._description).tokenizer
        return Reader(self._store, tokenizer, self._description.max_tokens, self._options)

    @cached_property
    def _store(self) -> PassageStore:
        return self._target.open()


class EmbeddingWorker:
    """Embeds and stores parcels, and returns their acknowledgements. An actor of Ray Data."""

    def __init__(self, target: Target, description: Description, load: Callable[[], Embedder]) -> None:
        self._target, self._description, self._load = target, description, load

    def __call__(self, table: Any) -> Any:
        """Return a table of one acknowledgement, or of one failure."""
        parcel: Parcel | Failure = message_in(table)
        if isinstance(parcel, Failure):
            return table_of(parcel)
        return table_of(attempted(lambda: store_parcel(parcel, self._store, self._embedder)))

    def close(self) -> None:
        """Release the store."""
        if "_store" in vars(self):
            self._store.close()

    @cached_property
    def _store(self) -> PassageStore:
        return self._target.open()

    @cached_property
    def _embedder(self) -> Embedder:
        embedder = self._load()
        vector = embedder.embed_passages([PROBE])[0]
        cosine = float(np.dot(vector, self._description.vector)) if len(vector) == self._description.dimension else 0.0
        if cosine < LEAST_COSINE:
            raise ModelUnsuitable(
                f"The embedder {embedder.name} on {platform.node()} is not the one on {self._description.host}: their "
                f"vectors of one text have the cosine {cosine:.2f}. Expected the same weights on all machines."
            )
        return embedder


def _describe(load: Callable[[], Embedder]) -> Description | Failure:
    return attempted(lambda: _description_of(load()))


def _description_of(embedder: Embedder) -> Description:
    vector = embedder.embed_passages([PROBE])[0]
    return Description(
        name=embedder.name,
        dimension=embedder.dimension,
        max_tokens=embedder.max_tokens,
        tokenizer=embedder.tokenizer.to_str(),
        languages=getattr(embedder, "languages", None),
        precision=getattr(embedder, "precision", ""),
        vector=vector,
        host=platform.node(),
        version=version("sift-rag"),
    )
