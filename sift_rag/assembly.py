"""Puts the parts together: the one module that knows every concrete store, embedder and model.

A store is named by a string: a folder (the embedded store; None for the user's data folder), or a URL (a server).
Nothing is imported before it is needed, so that listing a collection costs no second of loading torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag.embedders.sentence_transformer import DEFAULT_EMBEDDER, load_sentence_transformer
from sift_rag.errors import CollectionNotFound, ConfigurationError, StoreConflict, StoreDamaged
from sift_rag.protocols import Embedder, LanguageModel, PassageStore, Selector
from sift_rag.types import CollectionInfo

if TYPE_CHECKING:
    from sift_rag.corpus.ingest import IngestReport, Progress
    from sift_rag.evaluation import Comparison, Task
    from sift_rag.evaluation.journal import Journal
    from sift_rag.finetuning import FineTuning, Tuner
    from sift_rag.models.local import LocalModel
    from sift_rag.reranker import Reranker
    from sift_rag.retriever import Retriever
    from sift_rag.stores.records import DocumentRecords

DEFAULT_COLLECTION = "documents"
# Equal to those of the modules that use them, which a test holds: importing those would slow down `sift-rag list`.
DEFAULT_MAX_BYTES = 64 * 2**20
DEFAULT_CANDIDATE_LIMIT = 100


def open_retriever(
    store: str | Path | PassageStore | None = None,
    collection: str = DEFAULT_COLLECTION,
    embedder: str | Embedder | None = None,
    *,
    selector: Selector | None = None,
    candidate_limit: int = DEFAULT_CANDIDATE_LIMIT,
    keep_copies: bool = False,
) -> Retriever:
    """A retriever over a collection that exists.

    Args:
        store: folder or URL, an open store, or None for the user's data folder.
        collection: its name; not used with an open store.
        embedder: name, folder or object; by default the one that the collection was made with. Loaded at first use.
        selector: how to choose; by default SIFT with the setting for context windows.
        candidate_limit: how many distinct candidates the choice is made from.
        keep_copies: let passages that say the same be candidates each for themselves; for comparison.

    Raises:
        CollectionNotFound: no such collection.
        StoreConflict: the collection was made with another embedder.
        StoreInUse: another process holds it.
        ModelUnavailable: the embedder cannot be loaded.
    """
    from sift_rag.retriever import Retriever

    opened = open_store(store, collection) if store is None or isinstance(store, (str, Path)) else store
    try:
        name = opened.info.embedder
        if isinstance(embedder, str):
            _check_embedder(opened.info, _identity(embedder), None)
        part = open_embedder(embedder or name) if embedder is None or isinstance(embedder, str) else embedder
        _check_embedder(opened.info, part.name, part.dimension)
    except BaseException:
        if opened is not store:
            opened.close()
        raise
    return Retriever(part, opened, selector=selector, candidate_limit=candidate_limit, keep_copies=keep_copies)


def open_reranker(embedder: str | Embedder | None = None, *, selector: Selector | None = None) -> Reranker:
    """Orders given texts: see ``sift_rag.reranker.Reranker``.

    Args:
        embedder: name, folder or object; the default one by default. Loaded now.
        selector: how to choose; by default SIFT with the setting for context windows.

    Raises:
        ModelUnavailable: the embedder cannot be loaded.
    """
    from sift_rag.reranker import Reranker

    part = open_embedder(embedder) if embedder is None or isinstance(embedder, str) else embedder
    return Reranker(part, selector=selector)


def open_store(store: str | Path | None = None, collection: str = DEFAULT_COLLECTION) -> PassageStore:
    """A collection that exists, for reading and writing. See ``open_retriever`` for what it raises."""
    from sift_rag.stores.edge import open_collection

    return open_collection(_folder(store), collection)


def open_or_create_store(store: str | Path | None, collection: str, embedder: Embedder) -> PassageStore:
    """The collection, made for this embedder if it does not exist yet."""
    from sift_rag.stores.edge import create_collection

    try:
        opened = open_store(store, collection)
    except CollectionNotFound:
        return create_collection(_folder(store), _info(collection, embedder))
    try:
        _check_embedder(opened.info, embedder.name, embedder.dimension)
    except StoreConflict:
        opened.close()
        raise
    return opened


def open_records(store: str | Path | None = None, collection: str = DEFAULT_COLLECTION) -> DocumentRecords:
    """What a collection knows of its documents, read-only; also while another process writes to it."""
    from sift_rag.stores import records

    return records.open_records(_folder(store), collection)


def list_collections(store: str | Path | None = None) -> list[CollectionInfo]:
    """Every collection of a store, by name; none for a folder that does not exist."""
    from sift_rag.stores import folders

    return folders.list_collections(_folder(store))


def drop_collection(store: str | Path | None, collection: str) -> None:
    """Delete a collection with all it holds."""
    from sift_rag.stores import folders

    folders.drop_collection(_folder(store), collection)


def optimize_collection(store: str | Path | None, collection: str) -> bool:
    """Merge and compact what many writes have left behind; False if there was nothing to do."""
    from sift_rag.stores.edge import open_collection

    with closing(open_collection(_folder(store), collection)) as opened:
        return opened.optimize()


def examine_collection(store: str | Path | None, collection: str) -> list[str]:
    """What is wrong with a collection, in words; nothing for a healthy one. Reads every vector."""
    from sift_rag.stores import examination

    return examination.examine_collection(_folder(store), collection)


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
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring a collection up to date with files and folders, making it if need be: see ``sift_rag.corpus.ingest``.

    With ``reindex`` everything is embedded anew, into a collection that takes the place of the old one only when it is
    complete: documents under ``paths`` from their files, all others from the passages in the store.
    """
    from sift_rag.corpus.ingest import ingest, reembed
    from sift_rag.embedders.lazy import LazyEmbedder
    from sift_rag.stores import folders
    from sift_rag.stores.memory import MemoryStore

    existing = next((info for info in list_collections(store) if info.name == collection), None)
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
            progress=progress,
        )

    if dry_run and (existing is None or reindex):
        return run(MemoryStore(_info(collection, embedder)))
    if existing is None or not reindex:
        with closing(open_or_create_store(store, collection, embedder)) as opened:
            return run(opened)

    replacement = folders.reindex_name(collection)
    with closing(open_store(store, collection)) as old, closing(_resume(store, replacement, embedder)) as new:
        report = run(new)
        reembed(old, new, embedder)
        report = replace(report, collection=collection, passages_total=new.count())
    folders.replace_collection(_folder(store), collection, replacement)
    return report


def _resume(store: str | Path | None, replacement: str, embedder: Embedder) -> PassageStore:
    """The collection that a reindex fills: what a killed one left, if of this embedder and schema, or an empty one."""
    try:
        opened = open_or_create_store(store, replacement, embedder)
        if opened.info.schema_version == _info(replacement, embedder).schema_version:
            return opened
        opened.close()
    except (StoreConflict, StoreDamaged):
        pass
    drop_collection(store, replacement)
    return open_or_create_store(store, replacement, embedder)


def default_store() -> Path:
    """The user's data folder for sift-rag."""
    from platformdirs import user_data_path

    return user_data_path("sift-rag", appauthor=False)


def _folder(store: str | Path | None) -> Path:
    if store is None:
        return default_store()
    if isinstance(store, str) and "://" in store:
        raise ConfigurationError(
            f"The store {store!r} is a server, and this version knows the embedded store only: give a folder."
        )
    return Path(store).expanduser()


def _info(collection: str, embedder: Embedder) -> CollectionInfo:
    from sift_rag.stores.manifest import SCHEMA_VERSION

    return CollectionInfo(
        name=collection, embedder=embedder.name, dimension=embedder.dimension, schema_version=SCHEMA_VERSION
    )


def _identity(name: str) -> str:
    return name.removeprefix("sentence-transformers/")


def _check_embedder(info: CollectionInfo, name: str, dimension: int | None) -> None:
    if info.embedder == name and dimension in {None, info.dimension}:
        return
    given = name if dimension is None else f"{name} ({dimension} dimensions)"
    raise StoreConflict(
        f"Collection {info.name!r} was made with the embedder {info.embedder} ({info.dimension} dimensions), and this "
        f"is {given}. Ask with --embedder {info.embedder}, or ingest again with --embedder {name} --reindex."
    )
