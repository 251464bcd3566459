"""Puts the parts together: the one module that knows every concrete store, embedder and model.

A store is named by a string: a folder (the embedded store; None for the user's data folder), or a URL (a server).
Nothing is imported before it is needed, so that listing a collection costs no second of loading torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag import defaults
from sift_rag.embedders.sentence_transformer import load_sentence_transformer
from sift_rag.errors import CollectionNotFound, ConfigurationError, Remedy, StoreConflict
from sift_rag.protocols import Database, Embedder, LanguageModel, PassageStore, Records, Selector
from sift_rag.types import CollectionInfo

if TYPE_CHECKING:
    from sift_rag.answering.assistant import Assistant
    from sift_rag.answering.settings import AnswerSettings
    from sift_rag.finetuning import FineTuning, Tuner
    from sift_rag.models.local import LocalModel
    from sift_rag.retrieval.options import SearchOptions
    from sift_rag.retrieval.reranker import Reranker
    from sift_rag.retrieval.retriever import Retriever
    from sift_rag.stores.migration import Migration, MigrationProgress
    from sift_rag.stores.qdrant.connection import Connection
    from sift_rag.stores.qdrant.layout import Layout
    from sift_rag.stores.qdrant.options import ServerOptions

DEFAULT_COLLECTION = defaults.COLLECTION
DEFAULT_EMBEDDER = defaults.EMBEDDER
# Equal to those of the modules that use them, which a test holds: importing those would slow down `sift-rag list`.
DEFAULT_MAX_BYTES = 64 * 2**20
DEFAULT_CANDIDATE_LIMIT = 100
QDRANT_KEYS = ("SIFT_RAG_QDRANT_API_KEY", "QDRANT_API_KEY")
"""Environment variables that may hold the key of a Qdrant server; the first one that is set counts."""


def open_retriever(
    store: str | Path | PassageStore | None = None,
    collection: str = DEFAULT_COLLECTION,
    embedder: str | Embedder | None = None,
    *,
    selector: Selector | None = None,
    candidate_limit: int = DEFAULT_CANDIDATE_LIMIT,
    keep_copies: bool = False,
    layout: Layout | None = None,
) -> Retriever:
    """A retriever over a collection that exists.

    Args:
        store: folder or URL, an open store, or None for the user's data folder.
        collection: its name; not used with an open store.
        embedder: name, folder or object; by default the one that the collection was made with. Loaded at first use.
        selector: how to choose; by default SIFT with the setting for context windows.
        candidate_limit: how many distinct candidates the choice is made from.
        keep_copies: let passages that say the same be candidates each for themselves; for comparison.
        layout: how to read a server's collection that another tool made; what it leaves open is found out.

    Raises:
        CollectionNotFound: no such collection.
        ConfigurationError: another tool made the collection, and no embedder is named, or it cannot be told which
            vector or which field of the payload is meant.
        StoreConflict: the collection was made with another embedder.
        StoreInUse: another process holds it.
        ModelUnavailable: the embedder cannot be loaded.
    """
    from sift_rag.retrieval.retriever import Retriever

    opened, part = _open_both(store, collection, embedder, layout)
    return Retriever(part, opened, selector=selector, candidate_limit=candidate_limit, keep_copies=keep_copies)


def open_reranker(embedder: str | Embedder | None = None, *, selector: Selector | None = None) -> Reranker:
    """Orders given texts: see ``sift_rag.retrieval.reranker.Reranker``.

    Args:
        embedder: name, folder or object; the default one by default. Loaded now.
        selector: how to choose; by default SIFT with the setting for context windows.

    Raises:
        ModelUnavailable: the embedder cannot be loaded.
    """
    from sift_rag.retrieval.reranker import Reranker

    part = open_embedder(embedder) if embedder is None or isinstance(embedder, str) else embedder
    return Reranker(part, selector=selector)


def _open_both(
    store: str | Path | PassageStore | None, collection: str, embedder: str | Embedder | None, layout: Layout | None
) -> tuple[PassageStore, Embedder]:
    from sift_rag.stores.qdrant.layout import Layout, SeveralVectors

    layout = layout or Layout()
    if store is not None and not isinstance(store, (str, Path)):
        return store, _embedder_for(store.info, embedder)
    try:
        opened = open_store(store, collection, layout=layout)
    except SeveralVectors:
        if embedder is None:
            raise
        embedder = open_embedder(embedder) if isinstance(embedder, str) else embedder
        opened = open_store(store, collection, layout=replace(layout, dimension=embedder.dimension))
    try:
        return opened, _embedder_for(opened.info, embedder)
    except BaseException:
        opened.close()
        raise


def _embedder_for(info: CollectionInfo, embedder: str | Embedder | None) -> Embedder:
    """The embedder given, or the collection's own, checked."""
    if embedder is None and not info.embedder:
        raise ConfigurationError(
            f"Collection {info.name!r} was made by another tool and does not say with which embedder: name it with "
            f"--embedder. Its vectors have {info.dimension} dimensions."
        )
    if isinstance(embedder, str):
        check_embedder(info, embedder_identity(embedder), None)
    part = open_embedder(embedder or info.embedder) if embedder is None or isinstance(embedder, str) else embedder
    check_embedder(info, part.name, part.dimension)
    return part


def open_store(
    store: str | Path | None = None, collection: str = DEFAULT_COLLECTION, *, layout: Layout | None = None
) -> PassageStore:
    """A collection that exists, for reading and writing. See ``open_retriever`` for ``layout`` and what it raises."""
    return open_database(store, layout=layout).open(collection)


def open_records(store: str | Path | None = None, collection: str = DEFAULT_COLLECTION) -> Records:
    """What a collection knows of its documents, read-only; also while another process writes to it."""
    return open_database(store).records(collection)


def list_collections(store: str | Path | None = None) -> list[CollectionInfo]:
    """Every collection of a store, by name; none for a folder that does not exist."""
    return open_database(store).collections()


def drop_collection(store: str | Path | None, collection: str) -> None:
    """Delete a collection with all it holds."""
    open_database(store).drop(collection)


def optimize_collection(store: str | Path | None, collection: str) -> bool:
    """Merge and compact what many writes have left behind; False if there was nothing to do."""
    return open_database(store).optimize(collection)


def examine_collection(store: str | Path | None, collection: str) -> list[str]:
    """What is wrong with a collection, in words; nothing for a healthy one. Reads every vector."""
    return open_database(store).examine(collection)


def open_database(
    store: str | Path | None = None,
    *,
    server: ServerOptions | None = None,
    layout: Layout | None = None,
    only_own: bool = False,
) -> Database:
    """Where the collections of a store are: a folder, or a server for a URL. Nothing is opened or asked yet.

    A server's API key comes from the environment, so that it is in no command line and in no configuration file.

    Args:
        store: folder or URL; None for the user's data folder.
        server: for the collections that are made on a server.
        layout: how collections of other tools are read, on a server.
        only_own: refuse to open those, with ``StoreConflict``: for who is going to write.

    Raises:
        ConfigurationError: the URL names no server, or there are options for one and the store is a folder.
    """
    if isinstance(store, str) and "://" in store:
        from sift_rag.stores.qdrant.address import parse_address

        key = next((os.environ[name] for name in QDRANT_KEYS if os.environ.get(name)), None)
        address = parse_address(store, api_key=key)

        def connected() -> Connection:
            from sift_rag.stores.qdrant.connection import connect

            return connect(address)

        from sift_rag.stores.qdrant.database import QdrantDatabase

        return QdrantDatabase(connected, server, layout, only_own=only_own)
    folder = default_store() if store is None else Path(store).expanduser()
    if server is not None:
        raise ConfigurationError(
            f"Shards, replicas, float16 and the like are a server's; the store {str(folder)!r} is a folder. Leave them "
            "out, or name a server with --store http://HOST:6333."
        )
    from sift_rag.stores.embedded.database import FolderDatabase

    return FolderDatabase(folder)


def open_embedder(name: str | None = None) -> Embedder:
    """A sentence-transformers model, by name or folder."""
    return load_sentence_transformer(name or defaults.EMBEDDER)


def open_assistant(
    store: str | Path | PassageStore | None = None,
    collection: str = defaults.COLLECTION,
    embedder: str | Embedder | None = None,
    *,
    model: str | LanguageModel | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    layout: Layout | None = None,
    options: SearchOptions | None = None,
    settings: AnswerSettings | None = None,
) -> Assistant:
    """Open an assistant that answers from a collection that exists.

    Args:
        store: folder or URL, an open store, or None for the user's data folder.
        collection: name of the collection; not used with an open store.
        embedder: name, folder or object; by default the one that the collection was made with.
        model: language model by name or folder, or an open one; None for prompts without answers.
        base_url: OpenAI-compatible endpoint of the model; None for a model in this process.
        api_key: key of the endpoint.
        layout: how to read a collection on a server that another tool made.
        options: how to search.
        settings: how to answer.

    Raises:
        CollectionNotFound: no such collection.
        ConfigurationError: an endpoint without the name of a model, or a collection that does not say how to read it.
        ModelUnavailable: the model cannot be reached.
        ModelUnsuitable: the model cannot write answers.
        StoreConflict: the collection was made with another embedder.
        StoreInUse: another process holds the collection.
    """
    from sift_rag.answering.assistant import Assistant
    from sift_rag.retrieval.options import SearchOptions

    options = options or SearchOptions()
    retriever = open_retriever(
        store,
        collection,
        embedder,
        selector=options.make_selector(),
        candidate_limit=options.candidate_limit,
        keep_copies=options.keep_copies,
        layout=layout,
    )
    try:
        answers = _model_for(model, base_url, api_key)
    except BaseException:
        retriever.close()
        raise
    return Assistant(retriever, answers, settings, options=options)


def _model_for(model: str | LanguageModel | None, base_url: str | None, api_key: str | None) -> LanguageModel | None:
    """Return the model that is given or named; None if there is neither a model nor an endpoint."""
    if model is None and base_url is None:
        return None
    return open_model(model, base_url=base_url, api_key=api_key) if model is None or isinstance(model, str) else model


def open_model(name: str | None, *, base_url: str | None = None, api_key: str | None = None) -> LanguageModel:
    """Open a language model: at an OpenAI-compatible endpoint if there is a ``base_url``, else by name or folder.

    Raises:
        ConfigurationError: no model is named.
        ModelUnavailable: the model cannot be reached.
        ModelUnsuitable: the model cannot write answers.
    """
    if name is None:
        fact = "No language model is named" if base_url is None else "An endpoint needs the name of a model"
        raise ConfigurationError(f"{fact}.", remedy=Remedy("model-required", base_url=base_url))
    if base_url is not None:
        from sift_rag.models.remote import RemoteModel

        return RemoteModel(name, base_url=base_url, api_key=api_key)
    return open_local_model(name)


def open_local_model(name: str) -> LocalModel:
    """Open a language model in this process, which can be fine-tuned, by name or folder."""
    from sift_rag.models.local import load_local_model

    return load_local_model(name)


def open_tuner(model: LanguageModel, settings: FineTuning | None = None) -> Tuner:
    """Open a tuner, which fine-tunes a model for one prompt after the other.

    Raises:
        ConfigurationError: the model is at an endpoint, which does not give its weights.
        ModelInUse: the model is being fine-tuned, or read.
        ModelUnsuitable: the model cannot be fine-tuned as asked.
    """
    from sift_rag.answering.tuning import require_trainable
    from sift_rag.finetuning import Tuner

    return Tuner(require_trainable(model), settings)


def migrate_collection(
    origin: str | Path | None,
    target: str | Path | None,
    collection: str = DEFAULT_COLLECTION,
    *,
    target_collection: str | None = None,
    server: ServerOptions | None = None,
    progress: Callable[[MigrationProgress], None] | None = None,
) -> Migration:
    """Carry a collection over into another store, making it there if need be: see ``sift_rag.stores.migration``.

    No embedder is needed: the vectors go as they are. The origin is only read. Interrupted and run again it goes on.

    Args:
        origin: folder or URL; None for the user's data folder.
        target: likewise.
        collection: its name in the origin.
        target_collection: its name in the target, if another.
        server: how a server keeps the collection, if it is made.
        progress: called after each document.

    Raises:
        CollectionNotFound: the origin has no such collection. Nothing was made in the target.
        StoreConflict: the target's collection was made with another embedder.
        StoreInUse: another process holds one of the two.
        ValueError: origin and target are the same collection.
    """
    from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
    from sift_rag.stores.migration import migrate

    name = target_collection or collection
    if name == collection and _identity_of(origin) == _identity_of(target):
        raise ValueError(f"Collection {collection!r} cannot be carried over into itself: name another store or name.")
    place = open_database(target, server=server)
    with closing(open_store(origin, collection)) as old:
        try:
            opened = place.open(name)
        except CollectionNotFound:
            opened = place.create(replace(old.info, name=name, schema_version=SCHEMA_VERSION))
        with closing(opened) as new:
            if (new.info.embedder, new.info.dimension) != (old.info.embedder, old.info.dimension):
                raise StoreConflict(
                    f"Collection {name!r} of the target was made with the embedder {new.info.embedder} "
                    f"({new.info.dimension} dimensions), that of the origin with {old.info.embedder} "
                    f"({old.info.dimension}): their vectors cannot be compared. Name another --to-collection."
                )
            return migrate(old, new, progress=progress)


def _identity_of(store: str | Path | None) -> object:
    """Equal for two ways to name one folder, or one server."""
    if isinstance(store, str) and "://" in store:
        from sift_rag.stores.qdrant.address import parse_address

        address = parse_address(store)
        return address.host, address.port
    return (default_store() if store is None else Path(store).expanduser()).resolve()


def default_store() -> Path:
    """The user's data folder for sift-rag."""
    from platformdirs import user_data_path

    return user_data_path("sift-rag", appauthor=False)


def collection_info(collection: str, embedder: Embedder) -> CollectionInfo:
    """Return the description of a new collection for this embedder."""
    from sift_rag.corpus.passages import RECIPE
    from sift_rag.stores.embedded.manifest import SCHEMA_VERSION

    return CollectionInfo(
        name=collection,
        embedder=embedder.name,
        dimension=embedder.dimension,
        schema_version=SCHEMA_VERSION,
        splitter=RECIPE,
    )


def embedder_identity(name: str) -> str:
    """Return the name that a collection records: without the vendor of the default embedders."""
    return name.removeprefix("sentence-transformers/")


def check_embedder(info: CollectionInfo, name: str, dimension: int | None) -> None:
    """Raise ``StoreConflict`` unless the collection was made with this embedder; dimension None: not yet known."""
    if info.embedder == name and dimension in {None, info.dimension}:
        return
    if not info.embedder:
        if dimension in {None, info.dimension}:
            return
        raise StoreConflict(
            f"Collection {info.name!r} holds vectors of {info.dimension} dimensions, and the embedder {name} gives "
            f"{dimension}. Name the one that it was made with: --embedder NAME."
        )
    given = name if dimension is None else f"{name} ({dimension} dimensions)"
    raise StoreConflict(
        f"Collection {info.name!r} was made with the embedder {info.embedder} ({info.dimension} dimensions), and this "
        f"is {given}. Ask with --embedder {info.embedder}, or ingest again with --embedder {name} --reindex."
    )
