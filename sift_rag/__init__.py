"""sift-rag: passages that jointly answer a question.

    from sift_rag import open_retriever
    with open_retriever("store") as retriever:
        hits = retriever.retrieve("How do generators relate to coroutines?", k=5)

Names are imported when they are first used: ``import sift_rag`` loads neither torch nor a store.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sift_rag import defaults

if TYPE_CHECKING:
    from sift_rag.answering.answer import Answer as Answer
    from sift_rag.answering.assistant import Assistant as Assistant
    from sift_rag.answering.checking import CheckedSentence as CheckedSentence
    from sift_rag.answering.checking import Verdict as Verdict
    from sift_rag.answering.citations import Citation as Citation
    from sift_rag.answering.conversation import Conversation as Conversation
    from sift_rag.answering.conversation import Turn as Turn
    from sift_rag.answering.prepared import PreparedPrompt as PreparedPrompt
    from sift_rag.answering.prompt import Prompt as Prompt
    from sift_rag.answering.settings import AnswerSettings as AnswerSettings
    from sift_rag.answering.settings import Mode as Mode
    from sift_rag.answering.stream import AnswerStream as AnswerStream
    from sift_rag.answering.tuning import TuningReport as TuningReport
    from sift_rag.clusters import RayCluster as RayCluster
    from sift_rag.comparisons import Condition as Condition
    from sift_rag.comparisons import KeyConditions as KeyConditions
    from sift_rag.comparisons import Operator as Operator
    from sift_rag.corpus.incoming import SourceText as SourceText
    from sift_rag.corpus.options import IngestOptions as IngestOptions
    from sift_rag.corpus.options import OcrMode as OcrMode
    from sift_rag.corpus.report import IngestReport as IngestReport
    from sift_rag.corpus.report import Outcome as Outcome
    from sift_rag.corpus.report import Phase as Phase
    from sift_rag.corpus.report import Problem as Problem
    from sift_rag.corpus.report import Progress as Progress
    from sift_rag.corpus.shards import Shard as Shard
    from sift_rag.embedders.endpoint import EmbedderEndpoint as EmbedderEndpoint
    from sift_rag.embedders.endpoint import EndpointEmbedder as EndpointEmbedder
    from sift_rag.embedders.functions import FunctionEmbedder as FunctionEmbedder
    from sift_rag.embedders.token_counting import Tokenization as Tokenization
    from sift_rag.errors import AdapterNotSaved as AdapterNotSaved
    from sift_rag.errors import ClusterUnavailable as ClusterUnavailable
    from sift_rag.errors import CollectionNotFound as CollectionNotFound
    from sift_rag.errors import ConfigurationError as ConfigurationError
    from sift_rag.errors import DocumentNotFound as DocumentNotFound
    from sift_rag.errors import MissingExtra as MissingExtra
    from sift_rag.errors import ModelError as ModelError
    from sift_rag.errors import ModelInUse as ModelInUse
    from sift_rag.errors import ModelUnavailable as ModelUnavailable
    from sift_rag.errors import ModelUnsuitable as ModelUnsuitable
    from sift_rag.errors import NoEvidence as NoEvidence
    from sift_rag.errors import NothingToIngest as NothingToIngest
    from sift_rag.errors import NothingToLearn as NothingToLearn
    from sift_rag.errors import Remedy as Remedy
    from sift_rag.errors import SiftRagError as SiftRagError
    from sift_rag.errors import StoreConflict as StoreConflict
    from sift_rag.errors import StoreDamaged as StoreDamaged
    from sift_rag.errors import StoreError as StoreError
    from sift_rag.errors import StoreFull as StoreFull
    from sift_rag.errors import StoreInUse as StoreInUse
    from sift_rag.errors import StoreUnreachable as StoreUnreachable
    from sift_rag.errors import TrainingFailed as TrainingFailed
    from sift_rag.errors import UnreadableDocument as UnreadableDocument
    from sift_rag.filters import Filter as Filter
    from sift_rag.finetuning import FineTuning as FineTuning
    from sift_rag.finetuning import Tuner as Tuner
    from sift_rag.finetuning import TuningResult as TuningResult
    from sift_rag.finetuning import TuningStep as TuningStep
    from sift_rag.finetuning import fine_tuned as fine_tuned
    from sift_rag.ingestion import delete_documents as delete_documents
    from sift_rag.ingestion import ingest_documents as ingest_documents
    from sift_rag.ingestion import ingest_paths as ingest_paths
    from sift_rag.ingestion import ingest_texts as ingest_texts
    from sift_rag.ingestion import passages_of as passages_of
    from sift_rag.ingestion import reindex as reindex
    from sift_rag.ingestion import watch_paths as watch_paths
    from sift_rag.models.options import ModelOptions as ModelOptions
    from sift_rag.opening import open_assistant as open_assistant
    from sift_rag.opening import open_embedder as open_embedder
    from sift_rag.opening import open_index as open_index
    from sift_rag.opening import open_model as open_model
    from sift_rag.opening import open_relevance as open_relevance
    from sift_rag.opening import open_reranker as open_reranker
    from sift_rag.opening import open_retriever as open_retriever
    from sift_rag.opening import open_store as open_store
    from sift_rag.opening import open_tokenizer as open_tokenizer
    from sift_rag.opening import open_tuner as open_tuner
    from sift_rag.protocols import Database as Database
    from sift_rag.protocols import DocumentRecords as DocumentRecords
    from sift_rag.protocols import Embedder as Embedder
    from sift_rag.protocols import FinishReason as FinishReason
    from sift_rag.protocols import LanguageModel as LanguageModel
    from sift_rag.protocols import Message as Message
    from sift_rag.protocols import Neighbours as Neighbours
    from sift_rag.protocols import PassageIndex as PassageIndex
    from sift_rag.protocols import PassageStore as PassageStore
    from sift_rag.protocols import Relevance as Relevance
    from sift_rag.protocols import Selector as Selector
    from sift_rag.protocols import Totals as Totals
    from sift_rag.protocols import TrainableModel as TrainableModel
    from sift_rag.relevance.cross_encoder import CrossEncoderRelevance as CrossEncoderRelevance
    from sift_rag.relevance.endpoint import EndpointRelevance as EndpointRelevance
    from sift_rag.repetition import CopyGroup as CopyGroup
    from sift_rag.repetition import Duplicates as Duplicates
    from sift_rag.repetition import NearestPlaces as NearestPlaces
    from sift_rag.repetition import RepeatedDocument as RepeatedDocument
    from sift_rag.repetition import find_duplicates as find_duplicates
    from sift_rag.retrieval.hit_metadata import hit_metadata as hit_metadata
    from sift_rag.retrieval.options import SearchOptions as SearchOptions
    from sift_rag.retrieval.queries import Query as Query
    from sift_rag.retrieval.reranker import RankedText as RankedText
    from sift_rag.retrieval.reranker import Reranker as Reranker
    from sift_rag.retrieval.reranker import Reranking as Reranking
    from sift_rag.retrieval.retriever import Retriever as Retriever
    from sift_rag.retrieval.scores import falling_scores as falling_scores
    from sift_rag.selection import Array as Array
    from sift_rag.selection import BatchSelection as BatchSelection
    from sift_rag.selection import Choice as Choice
    from sift_rag.selection import Features as Features
    from sift_rag.selection import GaussianProcess as GaussianProcess
    from sift_rag.selection import GreedySelection as GreedySelection
    from sift_rag.selection import Kernel as Kernel
    from sift_rag.selection import Linear as Linear
    from sift_rag.selection import Rbf as Rbf
    from sift_rag.selection import Redundancy as Redundancy
    from sift_rag.selection import Sift as Sift
    from sift_rag.selection import Stopping as Stopping
    from sift_rag.selection import posterior_variance as posterior_variance
    from sift_rag.selection import select_sift as select_sift
    from sift_rag.selection import select_sift_batch as select_sift_batch
    from sift_rag.selection import selector_from as selector_from
    from sift_rag.selection.arrays import ArrayLike as ArrayLike
    from sift_rag.selection.greedy import Accept as Accept
    from sift_rag.selection.result import StopReason as StopReason
    from sift_rag.selection.selectors import *  # noqa: F403 - every selector
    from sift_rag.selection.settings import NamedSelector as NamedSelector
    from sift_rag.selection.settings import SettingValue as SettingValue
    from sift_rag.selection.sift import Objective as Objective
    from sift_rag.stores.migration import Migration as Migration
    from sift_rag.stores.migration import MigrationProgress as MigrationProgress
    from sift_rag.stores.migration import migrate_collection as migrate_collection
    from sift_rag.stores.qdrant.layout import Layout as Layout
    from sift_rag.stores.qdrant.options import ServerOptions as ServerOptions
    from sift_rag.stores.registry import DatabaseFactory as DatabaseFactory
    from sift_rag.stores.registry import default_store as default_store
    from sift_rag.stores.registry import open_database as open_database
    from sift_rag.stores.registry import register_database as register_database
    from sift_rag.stores.waiting import Wait as Wait
    from sift_rag.stores.waiting import Waiting as Waiting
    from sift_rag.types import Candidate as Candidate
    from sift_rag.types import CollectionInfo as CollectionInfo
    from sift_rag.types import Document as Document
    from sift_rag.types import Embedding as Embedding
    from sift_rag.types import ExactReport as ExactReport
    from sift_rag.types import Hit as Hit
    from sift_rag.types import JsonValue as JsonValue
    from sift_rag.types import Passage as Passage
    from sift_rag.types import PassedOver as PassedOver
    from sift_rag.types import Retrieval as Retrieval
    from sift_rag.types import Span as Span
    from sift_rag.types import Timings as Timings

__version__ = "0.1.0"

_HOME = {
    **dict.fromkeys(defaults.SELECTORS.values(), "selection"),
    "Accept": "selection.greedy",
    "AdapterNotSaved": "errors",
    "Answer": "answering.answer",
    "AnswerSettings": "answering.settings",
    "AnswerStream": "answering.stream",
    "Array": "selection",
    "ArrayLike": "selection.arrays",
    "ArrayPool": "selection",
    "Assistant": "answering.assistant",
    "BatchSelection": "selection",
    "Candidate": "types",
    "CheckedSentence": "answering.checking",
    "Choice": "selection",
    "Citation": "answering.citations",
    "ClusterUnavailable": "errors",
    "CollectionInfo": "types",
    "CollectionNotFound": "errors",
    "Condition": "comparisons",
    "ConfigurationError": "errors",
    "Conversation": "answering.conversation",
    "CopyGroup": "repetition",
    "CrossEncoderRelevance": "relevance.cross_encoder",
    "Database": "protocols",
    "DatabaseFactory": "stores.registry",
    "Document": "types",
    "DocumentNotFound": "errors",
    "DocumentRecords": "protocols",
    "Duplicates": "repetition",
    "Embedder": "protocols",
    "EmbedderEndpoint": "embedders.endpoint",
    "EndpointEmbedder": "embedders.endpoint",
    "Embedding": "types",
    "EndpointRelevance": "relevance.endpoint",
    "ExactReport": "types",
    "Features": "selection",
    "Filter": "filters",
    "FineTuning": "finetuning",
    "FinishReason": "protocols",
    "Followed": "selection.result",
    "FunctionEmbedder": "embedders.functions",
    "GaussianProcess": "selection",
    "GreedySelection": "selection",
    "Hit": "types",
    "IngestOptions": "corpus.options",
    "OcrMode": "corpus.options",
    "IngestReport": "corpus.report",
    "JsonValue": "types",
    "Kernel": "selection",
    "KeyConditions": "comparisons",
    "LanguageModel": "protocols",
    "Layout": "stores.qdrant.layout",
    "Linear": "selection",
    "Message": "protocols",
    "Migration": "stores.migration",
    "MigrationProgress": "stores.migration",
    "MissingExtra": "errors",
    "Mode": "answering.settings",
    "ModelError": "errors",
    "ModelInUse": "errors",
    "ModelOptions": "models.options",
    "ModelUnavailable": "errors",
    "ModelUnsuitable": "errors",
    "NamedSelector": "selection.settings",
    "NearestPlaces": "repetition",
    "NoEvidence": "errors",
    "NothingToIngest": "errors",
    "NothingToLearn": "errors",
    "Objective": "selection.sift",
    "Operator": "comparisons",
    "Passage": "types",
    "Neighbours": "protocols",
    "PassageIndex": "protocols",
    "PassageStore": "protocols",
    "PassedOver": "types",
    "Pool": "selection",
    "PreparedPrompt": "answering.prepared",
    "Outcome": "corpus.report",
    "Phase": "corpus.report",
    "Problem": "corpus.report",
    "Progress": "corpus.report",
    "Prompt": "answering.prompt",
    "Query": "retrieval.queries",
    "RankedText": "retrieval.reranker",
    "RayCluster": "clusters",
    "Rbf": "selection",
    "Redundancy": "selection",
    "Relevance": "protocols",
    "Remedy": "errors",
    "RepeatedDocument": "repetition",
    "Reranker": "retrieval.reranker",
    "Reranking": "retrieval.reranker",
    "Retrieval": "types",
    "Retriever": "retrieval.retriever",
    "SearchOptions": "retrieval.options",
    "Selector": "protocols",
    "ServerOptions": "stores.qdrant.options",
    "SettingValue": "selection.settings",
    "Shard": "corpus.shards",
    "Sift": "selection",
    "SiftRagError": "errors",
    "SourceText": "corpus.incoming",
    "Span": "types",
    "StopReason": "selection.result",
    "Stopping": "selection",
    "StoreConflict": "errors",
    "StoreDamaged": "errors",
    "StoreError": "errors",
    "StoreFull": "errors",
    "StoreInUse": "errors",
    "StoreUnreachable": "errors",
    "Target": "selection",
    "Texts": "selection",
    "Timings": "types",
    "Totals": "protocols",
    "TrainableModel": "protocols",
    "TrainingFailed": "errors",
    "Tuner": "finetuning",
    "Tokenization": "embedders.token_counting",
    "TuningReport": "answering.tuning",
    "TuningResult": "finetuning",
    "TuningStep": "finetuning",
    "Turn": "answering.conversation",
    "UnreadableDocument": "errors",
    "Verdict": "answering.checking",
    "Wait": "stores.waiting",
    "Waiting": "stores.waiting",
    "default_store": "stores.registry",
    "delete_documents": "ingestion",
    "falling_scores": "retrieval.scores",
    "find_duplicates": "repetition",
    "fine_tuned": "finetuning",
    "hit_metadata": "retrieval.hit_metadata",
    "ingest_documents": "ingestion",
    "ingest_paths": "ingestion",
    "ingest_texts": "ingestion",
    "watch_paths": "ingestion",
    "migrate_collection": "stores.migration",
    "open_assistant": "opening",
    "open_database": "stores.registry",
    "open_embedder": "opening",
    "open_index": "opening",
    "open_model": "opening",
    "open_relevance": "opening",
    "open_reranker": "opening",
    "open_retriever": "opening",
    "open_store": "opening",
    "open_tokenizer": "opening",
    "open_tuner": "opening",
    "passages_of": "ingestion",
    "posterior_variance": "selection",
    "register_database": "stores.registry",
    "reindex": "ingestion",
    "select_sift": "selection",
    "select_sift_batch": "selection",
    "selector_from": "selection",
}

__all__ = [*sorted(_HOME), "__version__"]  # noqa: PLE0604 - every element is a string


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
