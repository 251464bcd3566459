"""Remedies for errors, in the words of the command line. The library gives a key and values."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sift_rag.errors import Remedy

REMEDIES: Mapping[str, str] = {
    "adapter-folder-not-empty": "Name another one with --save-adapter.",
    "another-target-collection": "Name another one with --to-collection.",
    "check-or-reindex": "Run `sift-rag doctor`, or ingest again with --reindex.",
    "collection-not-found": "Make it with `sift-rag ingest`, or name another one with -c NAME.",
    "collection-of-another-tool": "Choose another name with --collection.",
    "decompose-needs-model": "Name one with --model, or leave out --decompose.",
    "embedder-api-key": "Set the endpoint's API key in SIFT_RAG_EMBEDDER_KEY or OPENAI_API_KEY.",
    "embedder-at-endpoint": "If {embedder} is a model at an endpoint, name its address with --embedder-url URL.",
    "embedder-dimension": "If {embedder} is another model now, ingest again with --reindex.",
    "embedder-mismatch": "Ask with --embedder {embedder}, or ingest again with --embedder {other} --reindex.",
    "embedder-name-required": "Name it: --embedder-url URL --embedder NAME.",
    "embedder-required": "Name it with --embedder NAME.",
    "endpoint-api-key": "Set the endpoint's API key in SIFT_RAG_API_KEY or OPENAI_API_KEY.",
    "journal-damaged": "Measure its tasks again, without --resume.",
    "list-collections": "`sift-rag collections` lists the collections in a store.",
    "local-model-required": "Name a model on this machine with --model, and no --base-url.",
    "longer-answer": "Allow it more than {limit} with --set max_new_tokens=NUMBER, or name another model with --model.",
    "model-cache": "Make room there, or set XDG_CACHE_HOME to a folder with room that you may write to.",
    "model-required": "Name one: --model NAME|PATH, or --base-url URL --model NAME for an endpoint.",
    "multilingual-embedder": "To use an embedder for many languages: --embedder {embedder} --reindex.",
    "no-passage-chosen": "Raise --token-budget, or loosen stop_variance, stop_explained or alpha.",
    "qdrant-key": "Set the server's API key in SIFT_RAG_QDRANT_API_KEY or QDRANT_API_KEY.",
    "reindex": "Ingest again with --reindex.",
    "reindex-to-filter": "Ingest again with --reindex, or filter by source only.",
    "reranker-api-key": "Set the reranker's API key in SIFT_RAG_RERANKER_KEY.",
    "reranker-required": "Name one: --reranker NAME|PATH, or --reranker-url URL for an endpoint.",
    "push-adapter-folder": "Add --save-adapter DIR.",
    "save-adapter-full": "Leave out --save-adapter, or set finetuning.method=lora.",
    "save-adapter-mode": "Add --mode finetune or --mode both, or leave out --save-adapter.",
    "server-options-for-a-folder": "Leave them out, or name a server with --store http://HOST:6333.",
    "shards-incomplete": "Run those shards again, with --resume if they were interrupted.",
    "text-key": "Name the field of the text with --set text_key=KEY.",
    "wait-longer": "To wait longer: --wait SECONDS.",
    "vector-name": "Name one with --set vector_name=NAME.",
}
"""A sentence or two for each key, with the remedy's values in braces."""


def message_of(error: BaseException) -> str:
    """Return an error's message, and what to do about it if the library names a remedy."""
    return with_remedy(str(error), getattr(error, "remedy", None))


def with_remedy(text: str, remedy: Remedy | None) -> str:
    """Return a text, followed by what to do about it if there is a remedy with words."""
    words = None if remedy is None else REMEDIES.get(remedy.key)
    if remedy is None or words is None:
        return text
    return f"{text} {_Lenient().vformat(words, (), remedy.values)}"


class _Lenient(Formatter):
    """A formatter that skips missing values: an error about an error helps nobody."""

    def get_value(self, key: int | str, args: object, kwargs: Mapping[str, object]) -> object:
        del args
        return kwargs.get(str(key), "...")
