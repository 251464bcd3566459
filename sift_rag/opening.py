"""Puts the parts together: the one module that knows every concrete store, embedder and model.

A store is named by a string: a folder (the embedded store; None for the user's data folder), or a URL (a server).
Nothing is imported before it is needed, so that listing a collection costs no second of loading torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag.embedders.sentence_transformer import DEFAULT_EMBEDDER, load_sentence_transformer
from sift_rag.errors import ConfigurationError, StoreConflict
from sift_rag.protocols import Embedder, LanguageModel, PassageIndex, PassageStore, Selector
from sift_rag.stores.registry import open_database
from sift_rag.types import CollectionInfo

if TYPE_CHECKING:
    from sift_rag.evaluation import Comparison, Task
    from sift_rag.evaluation.journal import Journal
    from sift_rag.finetuning import FineTuning, Tuner
    from sift_rag.models.local import LocalModel
    from sift_rag.retrieval.reranker import Reranker
    from sift_rag.retrieval.retriever import Retriever
    from sift_rag.stores.qdrant.layout import Layout

DEFAULT_COLLECTION = "documents"
# Equal to those of the modules that use them, which a test holds: importing those would slow down `sift-rag list`.
DEFAULT_MAX_BYTES = 64 * 2**20
DEFAULT_CANDIDATE_LIMIT = 100


def open_retriever(
    store: str | Path | PassageIndex | None = None,
    collection: str = DEFAULT_COLLECTION,
    embedder: str | Embedder | None = None,
    *,
    selector: Selector | None = None,
    candidate_limit: int = DEFAULT_CANDIDATE_LIMIT,
    keep_copies: bool = False,
    api_key: str | None = None,
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
        api_key: key of a server; the environment is not read.
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

    opened, part = _open_both(store, collection, embedder, api_key, layout)
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
    store: str | Path | PassageIndex | None,
    collection: str,
    embedder: str | Embedder | None,
    api_key: str | None,
    layout: Layout | None,
) -> tuple[PassageIndex, Embedder]:
    from sift_rag.stores.qdrant.layout import Layout, SeveralVectors

    layout = layout or Layout()
    if store is not None and not isinstance(store, (str, Path)):
        return store, _embedder_for(store.info, embedder)
    try:
        opened = open_index(store, collection, api_key=api_key, layout=layout)
    except SeveralVectors:
        if embedder is None:
            raise
        embedder = open_embedder(embedder) if isinstance(embedder, str) else embedder
        fitting = replace(layout, dimension=embedder.dimension)
        opened = open_index(store, collection, api_key=api_key, layout=fitting)
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
    store: str | Path | None = None, collection: str = DEFAULT_COLLECTION, *, api_key: str | None = None
) -> PassageStore:
    """Open an existing collection to read and write.

    Args:
        store: folder or URL; None for the user's data folder.
        collection: name of the collection.
        api_key: key of a server.

    Raises:
        CollectionNotFound: no such collection.
        StoreConflict: another tool made it: ``open_index`` reads it.
        StoreInUse: another process holds it.
    """
    return open_database(store, api_key=api_key).open(collection)


def open_index(
    store: str | Path | None = None,
    collection: str = DEFAULT_COLLECTION,
    *,
    api_key: str | None = None,
    layout: Layout | None = None,
) -> PassageIndex:
    """Open an existing collection to read, whichever tool made it.

    Args:
        store: folder or URL; None for the user's data folder.
        collection: name of the collection.
        api_key: key of a server.
        layout: known fields of a server's collection that another tool made; the others are inferred.

    Raises:
        CollectionNotFound: no such collection.
        ConfigurationError: another tool made it, and its vector or its text cannot be told.
        StoreInUse: another process holds it.
    """
    return open_database(store, api_key=api_key, layout=layout).open_index(collection)


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


def comparison_journal(tasks: Sequence[Task], comparison: Comparison, *, model: str, store: PassageIndex) -> Journal:
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
