"""Puts the parts together: the one module that knows every concrete store, embedder and model.

A store is named by a string: a folder (the embedded store; None for the user's data folder), or a URL (a server).
Nothing is imported before it is needed, so that listing a collection costs no second of loading torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag.embedders.sentence_transformer import DEFAULT_EMBEDDER, load_sentence_transformer
from sift_rag.errors import CollectionNotFound, ConfigurationError, StoreConflict, StoreDamaged
from sift_rag.protocols import Embedder, LanguageModel, PassageStore, Place, Records, Selector
from sift_rag.types import CollectionInfo

if TYPE_CHECKING:
    from sift_rag.corpus.ingest import IngestReport, Progress
    from sift_rag.corpus.shares import Share
    from sift_rag.evaluation import Comparison, Task
    from sift_rag.evaluation.journal import Journal
    from sift_rag.finetuning import FineTuning, Tuner
    from sift_rag.models.local import LocalModel
    from sift_rag.retriever import Retriever
    from sift_rag.stores.migration import Migration, MigrationProgress
    from sift_rag.stores.server.connection import Connection
    from sift_rag.stores.server.layout import Layout
    from sift_rag.stores.server.options import ServerOptions

DEFAULT_COLLECTION = "documents"
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
    from sift_rag.retriever import Retriever

    opened, part = _open_both(store, collection, embedder, layout)
    return Retriever(part, opened, selector=selector, candidate_limit=candidate_limit, keep_copies=keep_copies)


def _open_both(
    store: str | Path | PassageStore | None, collection: str, embedder: str | Embedder | None, layout: Layout | None
) -> tuple[PassageStore, Embedder]:
    from sift_rag.stores.server.layout import Layout, SeveralVectors

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
        _check_embedder(info, _identity(embedder), None)
    part = open_embedder(embedder or info.embedder) if embedder is None or isinstance(embedder, str) else embedder
    _check_embedder(info, part.name, part.dimension)
    return part


def open_store(
    store: str | Path | None = None, collection: str = DEFAULT_COLLECTION, *, layout: Layout | None = None
) -> PassageStore:
    """A collection that exists, for reading and writing. See ``open_retriever`` for ``layout`` and what it raises."""
    return open_place(store, layout=layout).open(collection)


def open_or_create_store(
    store: str | Path | None, collection: str, embedder: Embedder, *, server: ServerOptions | None = None
) -> PassageStore:
    """The collection, made for this embedder (and, on a server, with these options) if it does not exist yet."""
    place = open_place(store, server=server)
    try:
        opened = place.open(collection)
    except CollectionNotFound:
        try:
            return place.create(_info(collection, embedder))
        except StoreConflict:  # another process has made it just now
            opened = place.open(collection)
    try:
        if not opened.info.embedder:
            raise StoreConflict(
                f"Collection {collection!r} was made by another tool: it can be searched, but not written. Ingest into "
                "a --collection of another name."
            )
        _check_embedder(opened.info, embedder.name, embedder.dimension)
    except StoreConflict:
        opened.close()
        raise
    return opened


def open_records(store: str | Path | None = None, collection: str = DEFAULT_COLLECTION) -> Records:
    """What a collection knows of its documents, read-only; also while another process writes to it."""
    return open_place(store).records(collection)


def list_collections(store: str | Path | None = None) -> list[CollectionInfo]:
    """Every collection of a store, by name; none for a folder that does not exist."""
    return open_place(store).collections()


def drop_collection(store: str | Path | None, collection: str) -> None:
    """Delete a collection with all it holds."""
    open_place(store).drop(collection)


def optimize_collection(store: str | Path | None, collection: str) -> bool:
    """Merge and compact what many writes have left behind; False if there was nothing to do."""
    return open_place(store).optimize(collection)


def examine_collection(store: str | Path | None, collection: str) -> list[str]:
    """What is wrong with a collection, in words; nothing for a healthy one. Reads every vector."""
    return open_place(store).examine(collection)


def open_place(
    store: str | Path | None = None, *, server: ServerOptions | None = None, layout: Layout | None = None
) -> Place:
    """Where the collections of a store are: a folder, or a server for a URL. Nothing is opened or asked yet.

    A server's API key comes from the environment, so that it is in no command line and in no configuration file.

    Args:
        store: folder or URL; None for the user's data folder.
        server: for the collections that are made on a server.
        layout: how collections of other tools are read, on a server.

    Raises:
        ConfigurationError: the URL names no server, or there are options for one and the store is a folder.
    """
    if isinstance(store, str) and "://" in store:
        from sift_rag.stores.server.address import parse_address

        key = next((os.environ[name] for name in QDRANT_KEYS if os.environ.get(name)), None)
        address = parse_address(store, api_key=key)

        def connected() -> Connection:
            from sift_rag.stores.server.connection import connect

            return connect(address)

        from sift_rag.stores.server.place import ServerPlace

        return ServerPlace(connected, server, layout)
    folder = default_store() if store is None else Path(store).expanduser()
    if server is not None:
        raise ConfigurationError(
            f"Shards, replicas, float16 and the like are a server's; the store {str(folder)!r} is a folder. Leave them "
            "out, or name a server with --store http://HOST:6333."
        )
    from sift_rag.stores.folder_place import FolderPlace

    return FolderPlace(folder)


def open_embedder(name: str | None = None) -> Embedder:
    """A sentence-transformers model, by name or folder."""
    return load_sentence_transformer(name or DEFAULT_EMBEDDER)


def open_model(name: str | None, *, base_url: str | None = None, api_key: str | None = None) -> LanguageModel:
    """A language model: at an OpenAI-compatible endpoint if there is a ``base_url``, else local, by name or folder."""
    if base_url is not None:
        if name is None:
            raise ConfigurationError("An endpoint (base_url) needs the name of a model: give --model.")
        from sift_rag.models.remote import RemoteModel

        return RemoteModel(name, base_url=base_url, api_key=api_key)
    if name is None:
        raise ConfigurationError("No language model is named: give a name or a folder, or an endpoint.")
    return open_local_model(name)


def open_local_model(name: str) -> LocalModel:
    """A language model in this process, which can be fine-tuned: by name or folder."""
    from sift_rag.models.local import load_local_model

    return load_local_model(name)


def comparison_journal(tasks: Sequence[Task], comparison: Comparison, *, model: str, store: PassageStore) -> Journal:
    """Where the outcomes of this comparison are kept, in the user's state folder: the same file for the same one."""
    from platformdirs import user_state_path

    from sift_rag.evaluation.journal import Journal, fingerprint, revisions_of

    name = fingerprint(
        tasks,
        comparison,
        model=model,
        collection=store.info.name,
        passages=store.count(),
        revisions=revisions_of(store.documents()),
    )
    return Journal(user_state_path("sift-rag", appauthor=False) / "comparisons" / f"{name}.jsonl")


def open_tuner(model: LanguageModel, settings: FineTuning | None = None) -> Tuner:
    """Fine-tuning of an open model, prompt by prompt: see ``sift_rag.finetuning.Tuner``.

    Raises:
        ConfigurationError: the model is at an endpoint, which gives answers and not its weights.
        ModelInUse: it is fine-tuned, or read, now.
        ModelUnsuitable: it cannot be fine-tuned as asked.
    """
    from sift_rag.finetuning import Tuner
    from sift_rag.models.local import LocalModel

    if not isinstance(model, LocalModel):
        raise ConfigurationError(
            f"The model {model.name!r} is at an endpoint, which does not give its weights: to fine-tune, choose a "
            "model that runs here."
        )
    return Tuner(model, settings)


def ingest_paths(
    paths: Sequence[str | Path],
    *,
    store: str | Path | None = None,
    collection: str = DEFAULT_COLLECTION,
    embedder: str | Embedder | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    prune: bool = False,
    reindex: bool = False,
    dry_run: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
    text_field: str | None = None,
    share: Share | None = None,
    server: ServerOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring a collection up to date with files and folders, making it if need be: see ``sift_rag.corpus.ingest``.

    With ``reindex`` everything is embedded anew, into a collection that takes the place of the old one only when it is
    complete: documents under ``paths`` from their files, all others from the passages in the store. That is the work of
    one: with a ``share`` it is refused. ``server`` says how a server keeps a collection that is made.
    """
    if reindex and share is not None:
        raise ValueError("A collection is indexed anew by one process: leave out the share, or do not reindex.")
    from sift_rag.corpus.ingest import ingest, reembed
    from sift_rag.embedders.lazy import LazyEmbedder
    from sift_rag.stores.memory import MemoryStore

    place = open_place(store, server=server)
    existing = next((info for info in place.collections() if info.name == collection), None)
    if isinstance(embedder, str) and existing is not None and not reindex:
        _check_embedder(existing, _identity(embedder), None)  # before its weights are loaded
    if embedder is None or isinstance(embedder, str):
        if existing is not None and not reindex:  # a run that finds nothing changed needs no weights
            embedder = LazyEmbedder(existing.embedder, existing.dimension, partial(open_embedder, existing.embedder))
        else:
            embedder = open_embedder(embedder or (existing.embedder if existing else None))

    def run(opened: PassageStore) -> IngestReport:
        return ingest(
            [Path(path) for path in paths],
            opened,
            embedder,
            include=include,
            exclude=exclude,
            prune=prune,
            dry_run=dry_run,
            max_bytes=max_bytes,
            text_field=text_field,
            share=share,
            progress=progress,
        )

    if dry_run and (existing is None or reindex):
        return run(MemoryStore(_info(collection, embedder)))
    if existing is None or not reindex:
        with closing(open_or_create_store(store, collection, embedder, server=server)) as opened:
            return run(opened)

    replacement = place.building_name(collection)
    with closing(place.open(collection)) as old, closing(_resume(store, replacement, embedder, server)) as new:
        report = run(new)
        reembed(old, new, embedder)
        report = replace(report, collection=collection, passages_total=new.count())
    place.replace(collection, replacement)
    return report


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
    from sift_rag.stores.manifest import SCHEMA_VERSION
    from sift_rag.stores.migration import migrate

    name = target_collection or collection
    if name == collection and _identity_of(origin) == _identity_of(target):
        raise ValueError(f"Collection {collection!r} cannot be carried over into itself: name another store or name.")
    place = open_place(target, server=server)
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
        from sift_rag.stores.server.address import parse_address

        address = parse_address(store)
        return address.host, address.port
    return (default_store() if store is None else Path(store).expanduser()).resolve()


def _resume(
    store: str | Path | None, replacement: str, embedder: Embedder, server: ServerOptions | None
) -> PassageStore:
    """The collection that a reindex fills: what a killed one left, if of this embedder and schema, or an empty one."""
    try:
        opened = open_or_create_store(store, replacement, embedder, server=server)
        if opened.info.schema_version == _info(replacement, embedder).schema_version:
            return opened
        opened.close()
    except (StoreConflict, StoreDamaged):
        pass
    drop_collection(store, replacement)
    return open_or_create_store(store, replacement, embedder, server=server)


def default_store() -> Path:
    """The user's data folder for sift-rag."""
    from platformdirs import user_data_path

    return user_data_path("sift-rag", appauthor=False)


def _info(collection: str, embedder: Embedder) -> CollectionInfo:
    from sift_rag.corpus.passages import RECIPE
    from sift_rag.stores.manifest import SCHEMA_VERSION

    return CollectionInfo(
        name=collection,
        embedder=embedder.name,
        dimension=embedder.dimension,
        schema_version=SCHEMA_VERSION,
        splitter=RECIPE,
    )


def _identity(name: str) -> str:
    return name.removeprefix("sentence-transformers/")


def _check_embedder(info: CollectionInfo, name: str, dimension: int | None) -> None:
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
