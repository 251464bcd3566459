"""Metrics for Prometheus. The only module that imports ``prometheus_client``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sift_rag.types import Timings
from sift_rag_server.tracing import record_spans, span

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_SECONDS = (0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG_SECONDS = (*_SECONDS, 60.0, 120.0, 300.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64)


STAGES = ("embed", "search", "select", "answer")
SPANS = {"answer": "generate"}
"""Names of the spans of stages, where they differ."""


class Metrics:
    """The metrics of one server. Labels are routes and statuses, never contents of requests."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("sift_rag_requests", "Requests answered.", ["route", "status"], registry=registry)
        self.seconds = Histogram(
            "sift_rag_request_seconds",
            "Time from a request's head to the end of its reply.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.stages = Histogram(
            "sift_rag_stage_seconds",
            "Time of a request's part, waiting included: embed, search, select, answer.",
            ["stage"],
            buckets=_LONG_SECONDS,
            registry=registry,
        )
        for stage in STAGES:
            self.stages.labels(stage)  # so that each is there before its first request
        self.first_token = Histogram(
            "sift_rag_first_token_seconds",
            "Time from a request's head to the first text of its streamed answer.",
            buckets=_LONG_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge("sift_rag_requests_in_flight", "Requests in progress or waiting.", registry=registry)
        self.documents = Counter("sift_rag_documents", "Documents reranked.", registry=registry)
        self.cached = Counter("sift_rag_embeddings_cached", "Texts whose embedding was cached.", registry=registry)
        self.not_cached = Counter("sift_rag_embeddings_not_cached", "Texts that had to be embedded.", registry=registry)
        self.cache_bytes = Gauge(
            "sift_rag_embedding_cache_bytes", "Memory of the cached embeddings.", registry=registry
        )
        self.batch = Histogram(
            "sift_rag_embedding_batch_texts", "Texts embedded at once.", buckets=_TEXTS, registry=registry
        )
        self.ready = Gauge("sift_rag_ready", "1 once the embedder is loaded.", registry=registry)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Observe the time of a block that is one stage, if it ends without an error, and trace it."""
        started = perf_counter()
        with span(SPANS.get(name, name)):
            yield
        self.stages.labels(name).observe(perf_counter() - started)

    def retrieved(self, timings: Timings) -> None:
        """Observe the stages of a retrieval that has just ended, and trace them."""
        milliseconds = {name: getattr(timings, name) for name in ("embed", "search", "select")}
        for name, duration in milliseconds.items():
            self.stages.labels(name).observe(duration / 1e3)
        record_spans(milliseconds)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
