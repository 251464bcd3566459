"""A queue that embeds the texts of concurrent requests in shared batches, each text once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import TYPE_CHECKING, Literal

import numpy as np

from sift_rag_server.cache import Embedded, EmbeddingCache, cache_keys

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from sift_rag.protocols import Embedder
    from sift_rag_server.metrics import Metrics

BATCH = 64
"""Number of texts per call of the embedder: two of its own batches, so that it can sort them by length."""

Role = Literal["query", "passage"]


class EmbeddingQueue:
    """A queue with a thread of its own that embeds in batches, shared evenly among the waiting requests.

    So a question does not wait for the thousand documents of another request. Batches are not held back to fill up: the
    next one gathers while one is being embedded.
    """

    def __init__(self, embedder: Embedder, cache: EmbeddingCache, metrics: Metrics) -> None:
        self.embedder = embedder
        self._cache = cache
        self._metrics = metrics
        self._tokenizer = _counting(embedder)
        self._waiting: deque[_Job] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name=f"embed {embedder.name}", daemon=True)
        self._thread.start()

    def embed(self, texts: Sequence[str], role: Role) -> Future[list[Embedded]]:
        """Return a future of the embeddings, one for each text in order. Cancelling it skips texts not embedded yet.

        Raises (from the future):
            ModelUnsuitable: the embedder returned an invalid vector.
        """
        job = _Job(role, list(texts), cache_keys(self.embedder.name, role, texts))
        job.found = self._cache.get(job.keys)
        missing = job.found.count(None)
        self._metrics.cached.inc(len(texts) - missing)
        self._metrics.not_cached.inc(missing)
        job.lacking = deque(i for i, entry in enumerate(job.found) if entry is None)
        if not job.lacking:
            job.settle()
            return job.future
        with self._changed:
            if self._closed:
                raise RuntimeError("The queue is closed.")
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def close(self, seconds: float | None = None) -> None:
        """Cancel waiting texts and end the thread; wait for it up to a number of seconds, by default for good."""
        with self._changed:
            self._closed = True
            for job in self._waiting:
                job.future.cancel()
            self._changed.notify()
        self._thread.join(seconds)

    @property
    def alive(self) -> bool:
        """True until the thread has ended."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                batch = self._next_batch()
            if batch:
                self._embed(batch)

    def _next_batch(self) -> list[tuple[_Job, int]]:
        """Take up to ``BATCH`` texts of one role, an even share of each waiting job; drop jobs with no texts left."""
        batch: list[tuple[_Job, int]] = []
        live = [job for job in self._waiting if not job.future.cancelled()]
        role: Role = "query" if any(job.role == "query" for job in live) else "passage"
        turn = [job for job in live if job.role == role]
        while turn and len(batch) < BATCH:
            share = max(1, (BATCH - len(batch)) // len(turn))
            for job in turn[: BATCH - len(batch)]:
                batch += [(job, job.lacking.popleft()) for _ in range(min(share, len(job.lacking)))]
            turn = [job for job in turn if job.lacking]
        # jobs that were served go to the back, in case there were more jobs than places
        served = {id(job) for job, _ in batch}
        live.sort(key=lambda job: id(job) in served)
        self._waiting = deque(job for job in live if job.lacking)
        return batch

    def _embed(self, batch: list[tuple[_Job, int]]) -> None:
        """Embed each text once and hand out the rows. A failure goes to every job of the batch."""
        made = {
            job.texts[i]: entry
            for (job, i), entry in zip(batch, self._cache.get([job.keys[i] for job, i in batch]), strict=True)
            if entry is not None  # embedded for another request in the meantime
        }
        texts = list(dict.fromkeys(job.texts[i] for job, i in batch if job.texts[i] not in made))
        embed = self.embedder.embed_queries if batch[0][0].role == "query" else self.embedder.embed_passages
        try:
            rows = np.ascontiguousarray(embed(texts), dtype=np.float32)
            lengths = [len(encoding.ids) for encoding in self._tokenizer.encode_batch(texts)]
        except Exception as error:  # noqa: BLE001 - raised where the result is awaited
            for job in {id(job): job for job, _ in batch}.values():
                job.lacking.clear()
                job.fail(error)
            return
        self._metrics.batch.observe(len(texts))
        # copied: a view of a row would keep its whole batch alive
        made |= {text: Embedded(row.copy(), length) for text, row, length in zip(texts, rows, lengths, strict=True)}
        for job, i in batch:
            job.found[i] = made[job.texts[i]]
            self._cache.put(job.keys[i], made[job.texts[i]])
        self._metrics.cache_bytes.set(self._cache.size)
        for job in {id(job): job for job, _ in batch}.values():
            job.settle()


@dataclass(eq=False)
class _Job:
    """The texts of one request."""

    role: Role
    texts: list[str]
    keys: list[bytes]
    found: list[Embedded | None] = field(default_factory=list)
    lacking: deque[int] = field(default_factory=deque)
    """Indices of the texts that no batch has taken yet."""
    future: Future[list[Embedded]] = field(default_factory=Future)

    def settle(self) -> None:
        """Set the result if it is complete and still wanted."""
        rows = [entry for entry in self.found if entry is not None]
        if len(rows) == len(self.texts) and self.future.set_running_or_notify_cancel():
            self.future.set_result(rows)

    def fail(self, error: Exception) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


def _counting(embedder: Embedder) -> Tokenizer:
    """Copy the embedder's tokenizer, set to count the tokens that the embedder reads."""
    tokenizer = type(embedder.tokenizer).from_str(embedder.tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.enable_truncation(embedder.max_tokens)
    return tokenizer
