"""A reranker at a Cohere-compatible endpoint: Cohere, Jina, vLLM, llama.cpp, LocalAI, ...

The only module that talks to ``httpx`` (extra ``openai``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import sleep
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from sift_rag.endpoints import message_in
from sift_rag.errors import ModelError, ModelUnavailable, ModelUnsuitable, Remedy
from sift_rag.extras import require
from sift_rag.hosts import check_api_key, is_http_address
from sift_rag.relevance.scores import checked_scores
from sift_rag.unicode import written

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from httpx import Response

CONNECT_SECONDS = 5.0
READ_SECONDS = 300.0
"""Read timeout in seconds; a laptop that scores a hundred texts sends nothing for minutes."""

MOST_DOCUMENTS = 1000
"""Number of texts in one request: the limit of Cohere and of our own server."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0
"""Seconds before the first retry, and the longest pause; pauses double."""

_TRANSIENT = frozenset({408, 409, 429})


class EndpointRelevance:
    """A ``Relevance`` at an endpoint. Nothing is sent before the first ``score``, and then to this address only."""

    def __init__(self, url: str, model: str | None = None, api_key: str | None = None, *, max_retries: int = 2) -> None:
        """Create the client; the endpoint is not contacted yet.

        Args:
            url: address up to and including ``/v1`` or ``/rerank``.
            model: the model's name at the endpoint; None for one that serves only one.
            api_key: None for an endpoint without keys.
            max_retries: number of retries, with growing pauses, if the endpoint cannot be reached or answers 429 or
                5xx.

        Raises:
            MissingExtra: ``httpx`` is not installed.
            ConfigurationError: ``api_key`` cannot be sent.
            ValueError: ``url`` is not an http address, or holds a user or a password; or ``max_retries`` is negative.
        """
        parts = urlsplit(url) if is_http_address(url) else None
        if parts is None:
            raise ValueError(f"The reranker's address is {url!r}: expected one like http://localhost:8000/v1.")
        if "@" in parts.netloc:
            raise ValueError("The reranker's address holds a user or a password: give its API key instead.")
        if max_retries < 0:
            raise ValueError(f"max_retries must be >= 0, but got {max_retries}.")
        check_api_key(api_key, f"the reranker {url}")
        require("httpx", "openai")
        import httpx

        path = parts.path.rstrip("/")
        self.url = parts._replace(path=path if path.endswith("/rerank") else f"{path}/rerank", fragment="").geturl()
        self.name = model or self.url
        self._model = model
        self._max_retries = max_retries
        self._client = httpx.Client(
            headers={"authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        )

    def score(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """Implement ``Relevance.score``.

        Raises:
            ModelUnavailable: no connection, a refused key, no such model, an overloaded endpoint, or a reply that is
                not a ranking of the texts.
            ModelUnsuitable: the endpoint refuses the request, or a score is outside [0, 1].
        """
        parts = [
            self._scored(question, texts[start : start + MOST_DOCUMENTS])
            for start in range(0, len(texts), MOST_DOCUMENTS)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def close(self) -> None:
        """Close the connections. Closing twice is allowed."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EndpointRelevance({self.url!r}, {self._model!r})"

    def _scored(self, question: str, texts: Sequence[str]) -> np.ndarray:
        documents = [written(text) for text in texts]
        body: dict[str, object] = {"query": written(question), "documents": documents, "top_n": len(texts)}
        if self._model is not None:
            body["model"] = self._model
        response = self._post(body)
        if response.status_code != 200:
            raise self._status_error(response)
        return checked_scores(self._scores_in(response, len(texts)), len(texts), self.name)

    def _post(self, body: Mapping[str, object]) -> Response:
        """Return the endpoint's response, retrying transient failures."""
        import httpx

        pause = FIRST_PAUSE
        for left in range(self._max_retries, -1, -1):
            if self._client.is_closed:
                raise ModelUnavailable(f"The reranker at {self.url} was closed: open it again.")
            try:
                response = self._client.post(self.url, json=body)
            except httpx.TransportError as error:
                if not left:
                    raise self._transport_error(error) from error
            except httpx.DecodingError as error:
                raise self._no_ranking() from error
            else:
                busy = response.status_code in _TRANSIENT or response.status_code >= 500
                if not (busy and left):
                    return response
            sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        raise AssertionError("the last attempt returns or raises")

    def _scores_in(self, response: Response, count: int) -> list[Any]:
        """Return the scores in the order of the texts.

        Raises:
            ModelUnavailable: the response is not a ranking of all texts, each once.
        """
        try:
            results = response.json()["results"]
            scores = {result["index"]: result["relevance_score"] for result in results}
            if len(results) == count:
                return [scores[index] for index in range(count)]
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        raise self._no_ranking(f" of {count} texts")

    def _no_ranking(self, of: str = "") -> ModelError:
        return ModelUnavailable(
            f"The endpoint {self.url} did not return a ranking{of}: check that it is the address of a "
            "Cohere-compatible reranker."
        )

    def _transport_error(self, error: Exception) -> ModelError:
        import httpx

        if isinstance(error, httpx.TimeoutException):
            return ModelUnavailable(
                f"The endpoint {self.url} did not answer in time: try again, or check that it is running."
            )
        return ModelUnavailable(
            f"The endpoint {self.url} cannot be reached, or closed the connection ({_one_line(str(error))}): check the "
            "address and that it is running."
        )

    def _status_error(self, response: Response) -> ModelError:
        """Return the error for a status. The endpoint's reason is left out where it might quote the key."""
        status, url = response.status_code, self.url
        model = "the model" if self._model is None else repr(self._model)
        match status:
            case 401 | 403:
                return ModelUnavailable(
                    f"The endpoint {url} refuses the API key ({status}): use a key with access to {model}.",
                    remedy=Remedy("reranker-api-key", url=url),
                )
            case 404:
                return ModelUnavailable(
                    f"The endpoint {url} has no reranker {model}, or is not the address of one (404): check both."
                )
            case 429:
                return ModelUnavailable(
                    f"The endpoint {url} is rate-limiting requests (429: {_reason(response)}): try again later."
                )
            case _ if status >= 500:
                return ModelUnavailable(f"The endpoint {url} failed ({status}: {_reason(response)}): try again later.")
            case _:
                return ModelUnsuitable(  # without the address, which is not for a server's clients
                    f"The endpoint of {model} rejects the request ({status}: {_reason(response)})."
                )


def _reason(response: Response) -> str:
    """Return the error message of a response, in one line."""
    told = message_in(response)
    return _one_line(response.reason_phrase if told is None else told)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300] or "no reason given"
