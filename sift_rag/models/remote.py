"""Language model behind an OpenAI-compatible endpoint: OpenAI itself, vLLM, llama.cpp, Ollama, LM Studio, ...

The one module that talks to ``openai`` (extra ``openai``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sift_rag.errors import MissingExtra, ModelError, ModelUnavailable, ModelUnsuitable
from sift_rag.protocols import Message

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_CONTEXT_LENGTH = 8192
CONNECT_SECONDS = 5.0
READ_SECONDS = 300.0
"""Between two pieces of an answer; a laptop that reads a long prompt is silent for minutes before the first."""

_TOKENS_OF_A_CHAT = 32
_TOKENS_OF_A_MESSAGE = 16


class RemoteModel:
    """See ``sift_rag.protocols.LanguageModel``. ``count_tokens`` is an upper estimate, made without the endpoint.

    Nothing is sent before the first ``stream``, and then to ``base_url`` only: no variable of the environment changes
    where, with which key or on whose account.
    """

    def __init__(
        self,
        name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        context_length: int = DEFAULT_CONTEXT_LENGTH,
        *,
        key_variable: str = "OPENAI_API_KEY",
        max_retries: int = 2,
    ) -> None:
        """Make the client; nothing is asked of the endpoint yet.

        Args:
            name: as the endpoint lists it.
            base_url: up to and including ``/v1``; OpenAI's own by default.
            api_key: None for an endpoint that asks for none.
            context_length: what the endpoint allows. It cannot be asked for: raise it for models that read more.
            key_variable: where the user keeps the key, for the message about a key that is refused.
            max_retries: after an overloaded endpoint's answers 429 and 5xx, with growing pauses.

        Raises:
            MissingExtra: ``openai`` is not installed.
            ValueError: ``context_length`` is not positive, or ``base_url`` is no http address.
        """
        if context_length < 1:
            raise ValueError(f"context_length is {context_length}: a number of tokens above 0 was expected.")
        if base_url is not None and not base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url is {base_url!r}: an address like http://localhost:8000/v1 was expected.")
        self.name = name
        self.context_length = context_length
        self._url = base_url or OPENAI_URL
        self._key_variable = key_variable
        self._client = _client(self._url, api_key, max_retries)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """At least what common tokenizers count: half the UTF-8 bytes, but a whole token for an ASCII digit or mark.

        Prose takes about a quarter of a token a byte, so it is counted about twice; digits and punctuation, of which
        many tokenizers make a token each, are not undercounted. What a chat template adds comes on top.
        """
        return _TOKENS_OF_A_CHAT + sum(_TOKENS_OF_A_MESSAGE + _tokens_at_most(message.content) for message in messages)

    def stream(self, messages: Sequence[Message], *, max_new_tokens: int) -> Iterator[str]:
        """The answer, piece by piece. Closing the iterator closes the connection.

        Raises:
            ModelUnavailable: no connection, no right to use it, no such model, an overloaded endpoint, or an answer
                that breaks off.
            ModelUnsuitable: the endpoint refuses the request, for one because the prompt is too long for the model.
            ValueError: no messages, or no new tokens asked for.
        """
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {max_new_tokens}: an answer needs at least 1.")
        if not messages:
            raise ValueError("There are no messages: a model needs at least one.")
        return self._stream([message._asdict() for message in messages], max_new_tokens)

    def _stream(self, messages: list[dict[str, Any]], max_new_tokens: int) -> Iterator[str]:
        # OpenAI's newer models refuse the old name of the limit, many other servers know only that one
        limit = "max_completion_tokens" if self._url == OPENAI_URL else "max_tokens"
        create: Any = self._client.chat.completions.create
        finished = False
        with (
            _errors_mapped(self.name, self._url, self._key_variable),
            create(model=self.name, messages=messages, stream=True, **{limit: max_new_tokens}) as chunks,
        ):
            for chunk in chunks:
                for choice in chunk.choices[:1]:
                    if choice.delta is not None and choice.delta.content:
                        yield choice.delta.content
                    finished = finished or choice.finish_reason is not None
        if not finished:
            raise ModelUnavailable(
                f"The answer of {self.name!r} at {self._url} broke off before its end: ask again. "
                "If that does not help, check that the address is that of an OpenAI-compatible endpoint."
            )


def _client(url: str, api_key: str | None, max_retries: int) -> OpenAI:
    try:
        from openai import OpenAI, Timeout, omit
    except ModuleNotFoundError as error:
        if error.name != "openai":
            raise
        raise MissingExtra("openai", "openai") from error
    headers: Any = {"OpenAI-Organization": omit, "OpenAI-Project": omit}  # it would take them from the environment
    return OpenAI(
        api_key=api_key or "none",  # without one it would take the environment's, which is not meant for this address
        base_url=url,
        default_headers=headers,
        timeout=Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        max_retries=max_retries,
    )


def _tokens_at_most(text: str) -> int:
    size = len(text.encode("utf-8", "replace"))
    marks = sum(1 for char in text if char < "\x80" and not char.isalpha() and char != " ")
    return (size + marks + 1) // 2


@contextmanager
def _errors_mapped(model: str, url: str, key_variable: str) -> Iterator[None]:
    from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

    try:
        yield
    except APITimeoutError as error:
        raise ModelUnavailable(
            f"The endpoint {url} did not answer in time: try again, or check that it runs."
        ) from error
    except APIConnectionError as error:
        raise ModelUnavailable(
            f"The endpoint {url} cannot be reached, or closed the connection ({_reason(error)}): "
            "check the address, and that it runs."
        ) from error
    except APIStatusError as error:
        raise _status_error(error, model, url, key_variable) from error
    except (APIError, ValueError) as error:
        raise ModelUnavailable(
            f"The endpoint {url} sent what is no answer ({_reason(error)}): "
            "check that it is the address of an OpenAI-compatible endpoint."
        ) from error


def _status_error(error: APIStatusError, model: str, url: str, key_variable: str) -> ModelError:
    """Never quotes the key: the endpoint's own words are left out where they may."""
    status = error.status_code
    match status:
        case 401 | 403:
            return ModelUnavailable(
                f"The endpoint {url} refuses the API key ({status}): set {key_variable} to one that may use {model!r}."
            )
        case 404:
            return ModelUnavailable(
                f"The endpoint {url} has no model {model!r}, or is not the address of an OpenAI-compatible endpoint "
                f"(404): check both; {url}/models lists its models."
            )
        case 429:
            return ModelUnavailable(
                f"The endpoint {url} takes no more requests now (429: {_reason(error)}): try again later."
            )
        case _ if status >= 500:
            return ModelUnavailable(f"The endpoint {url} failed ({status}: {_reason(error)}): try again later.")
        case _ if "context" in str(error).lower():
            return ModelUnsuitable(
                f"The prompt is too long for {model!r} ({status}: {_reason(error)}): "
                "ask for fewer passages, or state the model's true context length."
            )
        case _:
            return ModelUnsuitable(f"The endpoint {url} refuses the request to {model!r} ({status}: {_reason(error)}).")


def _reason(error: Exception) -> str:
    """In one line; a connection error says it in its cause."""
    cause = error.__cause__
    text = str(cause if cause is not None and str(cause) else error)
    body = getattr(error, "body", None)
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        text = body["message"]
    return " ".join(text.split())[:300] or type(error).__name__
