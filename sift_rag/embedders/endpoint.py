"""An embedder behind an OpenAI-compatible endpoint: OpenAI, Ollama, TEI, vLLM, llama.cpp, LM Studio, ...

Needs ``openai`` (extra ``openai``), and neither torch nor a model on this machine.

Texts go out in batches, a few at a time, and come back in order. An endpoint that says "too many requests" is asked
again after the time that it names; one that finds a batch too large gets it in halves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property
from threading import Event, Lock, Thread
from time import monotonic, time
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import finalize

import numpy as np

from sift_rag.embedders.token_counting import estimated_tokenizer, load_tokenizer
from sift_rag.endpoints import Asked, checked_address, mapped_errors, not_expected, openai_client, reason_of
from sift_rag.errors import ConfigurationError, ModelUnavailable, ModelUnsuitable, Remedy
from sift_rag.tokens import without_limits
from sift_rag.types import Embedding
from sift_rag.unicode import written
from sift_rag.vectors import as_unit_rows

if TYPE_CHECKING:
    from openai import APIStatusError
    from tokenizers import Tokenizer

MAX_TOKENS = 256
"""Tokens that every common embedding model reads. Most read 512 or more."""

BATCH_SIZE = 32
"""Texts in one request: what a TEI server takes by default. OpenAI takes 2,048."""

BATCH_CHARACTERS = 100_000
"""Characters in one request, more or less: a third of the tokens that OpenAI takes."""

CONCURRENCY = 4
PATIENCE = 60.0
"""Seconds that one request waits, in all, for an endpoint that is busy."""

_ATTEMPTS = 3
"""Number of attempts while the endpoint fails or closes the connection."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0
"""Seconds before the second attempt, and the longest pause; pauses double."""
_SPECIAL_TOKENS = 2
"""Number of special tokens that most models add, which an estimate cannot know."""
_BUSY = frozenset({429, 503})
_TRANSIENT = frozenset({408, 409})
_TOO_LARGE = frozenset({400, 413, 422})
"""Statuses with which endpoints refuse too many or too long texts."""

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class EmbedderEndpoint:
    """An embedding model at an OpenAI-compatible endpoint: its address, and what the endpoint does not tell about it.

    The name and the dimension identify the vectors, not the address: a model may move.

    Raises:
        ConfigurationError: ``api_key`` cannot be sent.
        ValueError: ``url`` is not an http address, or a number is out of range.
    """

    url: str
    """Address up to and including ``/v1``."""
    name: str | None = None
    """The model's name at the endpoint; None for the name that the collection records."""
    api_key: str | None = field(default=None, repr=False, compare=False)
    """None for an endpoint without keys."""
    tokenizer: str | None = None
    """The model's tokenizer: a file such as tokenizer.json, a folder that holds one, or a name on the hub. None: tokens
    are estimated."""
    max_tokens: int = MAX_TOKENS
    """Number of tokens that the model reads. Passages are made to fit; of other texts, the rest is cut off."""
    query_prefix: str = ""
    """Text that the model expects before a question, such as "query: "."""
    passage_prefix: str = ""
    """Text that the model expects before a passage, such as "passage: "."""
    batch_size: int = BATCH_SIZE
    """Maximum number of texts in one request."""
    concurrency: int = CONCURRENCY
    """Maximum number of requests at once."""
    patience: float = PATIENCE
    """Seconds that one request waits, in all, for an endpoint that is busy."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", checked_address(self.url, "The embedder's address"))
        for name, least in (("max_tokens", 32), ("batch_size", 1), ("concurrency", 1), ("patience", 0)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least {least}.")

    def open(self, name: str | None = None, dimension: int | None = None) -> EndpointEmbedder:
        """Return the embedder. Nothing is sent yet.

        Args:
            name: the model's name, if the endpoint's description has none.
            dimension: the length of its vectors, if it is known.

        Raises:
            ConfigurationError: no name is given, or the key cannot be sent.
            MissingExtra: ``openai`` is not installed.
        """
        known = self.name or name
        if not known:
            raise ConfigurationError(
                f"The embedder at {self.url} needs the name of a model.", remedy=Remedy("embedder-name-required")
            )
        return EndpointEmbedder(self, known, dimension)


class EndpointEmbedder:
    """An ``Embedder`` at an endpoint. Nothing is sent before its dimension or a vector is asked for."""

    def __init__(self, endpoint: EmbedderEndpoint, model: str, dimension: int | None = None) -> None:
        """Create the client.

        Args:
            endpoint: where the model is.
            model: its name there.
            dimension: the length of its vectors; None to ask the endpoint when it is needed.

        Raises:
            ConfigurationError: the key cannot be sent.
            MissingExtra: ``openai`` is not installed.
        """
        self.name = model.removeprefix("sentence-transformers/")  # like a model of that name on this machine
        self.endpoint = endpoint
        self._model = model
        self._known_dimension = dimension
        self._asked = Asked(model, endpoint.url, "embeddings", Remedy("embedder-api-key", url=endpoint.url))
        self._client = openai_client(endpoint.url, endpoint.api_key, max_retries=0)
        finalize(self, self._client.close)  # its connections end with this object, in whatever order that is collected
        self._most = endpoint.batch_size  # texts in a request that the endpoint has not refused
        self._lock = Lock()

    @cached_property
    def dimension(self) -> int:
        """Implement ``Embedder.dimension``; embeds a word to find out, unless it is known.

        Raises:
            ModelUnavailable: see ``embed_passages``.
            ModelUnsuitable: likewise.
        """
        if self._known_dimension is not None:
            return self._known_dimension
        [vector] = self._request(["dimension"], Event())
        return int(vector.size)

    @property
    def texts_at_once(self) -> int:
        """Implement ``EmbedsAtOnce.texts_at_once``."""
        return self.endpoint.batch_size * self.endpoint.concurrency

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Implement ``Embedder.tokenizer``; an estimate unless the endpoint's description names one.

        Raises:
            MissingExtra: ``tokenizers`` is not installed.
            ModelUnavailable: the tokenizer cannot be found.
            ModelUnsuitable: the file is not a tokenizer.
        """
        return load_tokenizer(self.endpoint.tokenizer) if self.endpoint.tokenizer else estimated_tokenizer()

    @cached_property
    def max_tokens(self) -> int:
        """Implement ``Embedder.max_tokens``, with room for the prefixes."""
        counter = without_limits(self.tokenizer)
        prefixes = (self.endpoint.query_prefix, self.endpoint.passage_prefix)
        longest = max(len(counter.encode(prefix, add_special_tokens=False)) for prefix in prefixes)
        return self.endpoint.max_tokens - longest - (0 if self.endpoint.tokenizer else _SPECIAL_TOKENS)

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_queries``; raises what ``embed_passages`` does."""
        return self._embed(texts, self.endpoint.query_prefix)

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_passages``.

        Raises:
            ModelUnavailable: no connection, a refused key, no such model, an endpoint that stays busy, or a reply that
                is not one vector for each text.
            ModelUnsuitable: the endpoint refuses a text, or its vectors have another dimension, norm 0, or values that
                are not finite.
        """
        return self._embed(texts, self.endpoint.passage_prefix)

    def __repr__(self) -> str:
        return f"EndpointEmbedder({self._model!r} at {self.endpoint.url})"

    def _embed(self, texts: Sequence[str], prefix: str) -> Embedding:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        stop = Event()
        batches = list(_batches([prefix + self._shortened(written(text)) for text in texts], self._most))

        def embed(batch: list[str]) -> list[np.ndarray]:
            return self._in_halves(batch, stop)

        found = _in_threads(embed, batches, self.endpoint.concurrency, stop)
        return self._rows([vector for vectors in found for vector in vectors])

    def _rows(self, vectors: Sequence[np.ndarray]) -> Embedding:
        expected = self._known_dimension or vars(self).get("dimension") or vectors[0].size
        other = next((vector.size for vector in vectors if vector.size != expected), None)
        if other is not None:
            raise ModelUnsuitable(
                f"The endpoint {self.endpoint.url} gives vectors of {other:,} dimensions for {self._model!r}: expected "
                f"{expected:,}, as before.",
                remedy=Remedy("embedder-dimension", embedder=self.name),
            )
        try:
            return as_unit_rows(vectors, expected, what=f"The vectors of {self._model!r} at {self.endpoint.url}")
        except ValueError as error:
            raise ModelUnsuitable(str(error)) from error

    def _shortened(self, text: str) -> str:
        """Return what the model reads of a text, and something in place of nothing, which endpoints refuse."""
        if not text.strip():
            return "."
        room = self.max_tokens
        if len(text.encode()) <= room:  # a token is at least a byte
            return text
        counter = without_limits(self.tokenizer)
        room -= counter.num_special_tokens_to_add(is_pair=False)
        offsets = counter.encode(text, add_special_tokens=False).offsets
        return text if len(offsets) <= room else text[: offsets[room - 1][1]]

    def _in_halves(self, batch: list[str], stop: Event) -> list[np.ndarray]:
        """Return the vectors of a batch, which is halved as long as the endpoint finds it too large.

        Of a single text that it finds too long, the second half is left out: an estimate of tokens may be wrong.
        """
        from openai import APIStatusError

        try:
            return self._request(batch, stop)
        except ModelUnsuitable as error:
            cause = error.__cause__
            if not (isinstance(cause, APIStatusError) and cause.status_code in _TOO_LARGE):
                raise
            if len(batch) == 1 and not _says_too_long(cause):
                raise
            if len(batch) == 1 and len(batch[0]) < self.max_tokens:  # of one letter a token: that cannot be too long
                raise
        if len(batch) == 1:
            return self._in_halves([batch[0][: len(batch[0]) // 2]], stop)
        half = -(-len(batch) // 2)
        found = self._in_halves(batch[:half], stop) + self._in_halves(batch[half:], stop)
        with self._lock:
            self._most = min(self._most, half)
        return found

    def _request(self, texts: list[str], stop: Event) -> list[np.ndarray]:
        """Return the vectors of one request, as the endpoint gives them."""
        with mapped_errors(self._asked):
            reply = self._patiently(lambda: self._send(texts), stop)
            return self._vectors_in(reply, len(texts))

    def _send(self, texts: list[str]) -> object:
        return self._client.embeddings.create(model=self._model, input=texts, encoding_format="float")

    def _patiently(self, send: Callable[[], _T], stop: Event) -> _T:
        """Return the reply, after further attempts if the endpoint is busy or fails for the moment."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        pause, attempt, deadline = _FIRST_PAUSE, 1, monotonic() + self.endpoint.patience
        while True:
            try:
                return send()
            except APITimeoutError:
                raise
            except APIConnectionError:
                if attempt >= _ATTEMPTS:
                    raise
                wait = pause
            except APIStatusError as error:
                wait = max(pause, _retry_after(error) or 0.0) if error.status_code in _BUSY else pause
                if not self._is_worth_another(error, attempt, monotonic() + wait > deadline):
                    raise
            attempt += 1
            pause = min(2 * pause, _LONGEST_PAUSE)
            if stop.wait(wait):
                raise ModelUnavailable(f"The request to {self.endpoint.url} was given up.")

    def _is_worth_another(self, error: APIStatusError, attempt: int, too_late: bool) -> bool:
        if too_late:
            return False
        if error.status_code in _BUSY:
            return "quota" not in reason_of(error).lower()  # it does not come back within a minute
        return attempt < _ATTEMPTS and (error.status_code in _TRANSIENT or error.status_code >= 500)

    def _vectors_in(self, reply: Any, count: int) -> list[np.ndarray]:
        """Return the vectors of a reply in the order of the texts.

        Raises:
            ModelUnavailable: the reply is not one vector for each text.
        """
        data = getattr(reply, "data", None)
        if not isinstance(data, list):
            raise not_expected(self._asked, "no list of vectors")
        if len(data) != count:
            raise not_expected(self._asked, f"{len(data)} vectors for {count} texts")
        by_place = {getattr(item, "index", None): item for item in data}
        if set(by_place) == set(range(count)):
            data = [by_place[place] for place in range(count)]
        elif set(by_place) != {None}:  # a few servers leave the index out
            raise not_expected(self._asked, "an index that is not that of a text, or the same twice")
        return [self._vector(getattr(item, "embedding", None)) for item in data]

    def _vector(self, values: object) -> np.ndarray:
        try:
            vector = np.asarray(values, dtype=np.float64) if isinstance(values, list) else np.empty((0, 0))
        except (TypeError, ValueError):
            vector = np.empty((0, 0))
        if vector.ndim != 1 or not vector.size:
            raise not_expected(self._asked, "a vector that is not a list of numbers")
        return vector


def _batches(texts: list[str], most: int) -> Iterator[list[str]]:
    """Yield the texts in order, in batches of a bounded number and size."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) >= most or size + len(text) > BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def _in_threads(work: Callable[[_T], _R], items: Sequence[_T], threads: int, stop: Event) -> list[_R]:
    """Return the results in the order of the items; after the first error, no further item is begun.

    The threads end with the process, so that Ctrl-C need not wait for an endpoint that is silent.
    """
    if len(items) == 1:
        return [work(items[0])]
    results: dict[int, _R] = {}
    errors: list[tuple[int, BaseException]] = []
    upcoming, lock = iter(enumerate(items)), Lock()

    def run() -> None:
        while not stop.is_set():
            with lock:
                place, item = next(upcoming, (-1, None))
            if item is None:
                return
            try:
                results[place] = work(item)
            except BaseException as error:  # noqa: BLE001 - raised below
                errors.append((place, error))
                stop.set()

    running = [Thread(target=run, daemon=True) for _ in range(min(threads, len(items)))]
    try:
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    finally:
        stop.set()
    if errors:
        raise errors[0][1]
    return [results[place] for place in range(len(items))]


def _retry_after(error: APIStatusError) -> float | None:
    """Return the seconds that the endpoint asks to wait; None if it names none."""
    value = error.response.headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except (TypeError, ValueError):
            return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _says_too_long(error: APIStatusError) -> bool:
    said = str(error).lower()
    return error.status_code == 413 or any(word in said for word in ("too long", "length", "token", "context", "large"))
