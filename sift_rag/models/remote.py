"""A language model behind an OpenAI-compatible endpoint: OpenAI itself, vLLM, llama.cpp, Ollama, LM Studio, ...

Needs ``openai`` (extra ``openai``).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from weakref import finalize

from sift_rag.endpoints import OPENAI_URL, Asked, mapped_errors, openai_client, reason_of
from sift_rag.errors import ModelUnavailable, ModelUnsuitable, Remedy
from sift_rag.hosts import is_http_address
from sift_rag.models.chat import without_system_role
from sift_rag.protocols import REASONING_BEGINS, REASONING_ENDS, FinishReason, Message

DEFAULT_CONTEXT_LENGTH = 8192

_TOKENS_OF_A_CHAT = 32
_TOKENS_OF_A_MESSAGE = 16
_OTHER_STATUSES = frozenset({401, 403, 404, 429})
"""Refusals that have nothing to do with the length of a prompt."""


class RemoteModel:
    """A ``LanguageModel`` at an endpoint. ``count_tokens`` is an upper estimate, made without the endpoint.

    Nothing is sent before the first ``stream``, and then to ``base_url`` only: no environment variable changes the
    address, the key or the account.
    """

    def __init__(
        self,
        name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        context_length: int = DEFAULT_CONTEXT_LENGTH,
        *,
        max_retries: int = 2,
    ) -> None:
        """Create the client; the endpoint is not contacted yet.

        Args:
            name: the model's name at the endpoint.
            base_url: address up to and including ``/v1``; OpenAI's own by default.
            api_key: None for an endpoint without keys.
            context_length: tokens that the endpoint allows. They cannot be queried: raise this for models that read
                more.
            max_retries: number of retries, with growing pauses, while the endpoint answers 429 or 5xx.

        Raises:
            ConfigurationError: ``api_key`` cannot be sent.
            MissingExtra: ``openai`` is not installed.
            ValueError: ``context_length`` is not positive, or ``base_url`` is not an http address.
        """
        if context_length < 1:
            raise ValueError(f"context_length is {context_length}: expected a number of tokens above 0.")
        if base_url is not None and not is_http_address(base_url):
            raise ValueError(f"base_url is {base_url!r}: expected an address like http://localhost:8000/v1.")
        self.name = name
        self.context_length = context_length
        self._url = base_url or OPENAI_URL
        self._client = openai_client(self._url, api_key, max_retries=max_retries)
        finalize(self, self._client.close)  # its connections end with this object, in whatever order that is collected
        self._asked = Asked(name, self._url, "an answer", Remedy("endpoint-api-key", base_url=self._url, model=name))
        self._knows_system = True

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Implement ``LanguageModel.count_tokens``: half the UTF-8 bytes, but a token for each ASCII digit or mark.

        Common tokenizers count no more. Prose takes about a quarter of a token a byte, so it is counted about twice;
        digits and punctuation, which are a token each in many tokenizers, are not undercounted. An allowance for the
        chat template is added.
        """
        return _TOKENS_OF_A_CHAT + sum(_TOKENS_OF_A_MESSAGE + _tokens_at_most(message.content) for message in messages)

    def stream(self, messages: Sequence[Message], *, max_new_tokens: int) -> Iterator[str]:
        """Implement ``LanguageModel.stream``. Closing the iterator closes the connection.

        If the endpoint refuses the role ``system``, instructions move to the top of the question, from then on.

        Raises:
            ModelUnavailable: no connection, a refused key, no such model, an overloaded endpoint, or an answer that
                breaks off.
            ModelUnsuitable: the endpoint refuses the request, for example because the prompt is too long.
            ValueError: no messages, or ``max_new_tokens`` below 1.
        """
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {max_new_tokens}: an answer needs at least 1.")
        if not messages:
            raise ValueError("There are no messages: give the model at least one.")
        return self._stream(messages, max_new_tokens)

    def _stream(self, messages: Sequence[Message], max_new_tokens: int) -> Generator[str, None, FinishReason]:
        finish: str | None = None
        thinking = written = begun = False
        with (
            mapped_errors(self._asked),
            _too_long_told(self._asked),
            self._open(messages, max_new_tokens) as chunks,
        ):
            kind = _media_type(chunks.response)
            for chunk in chunks:
                begun = True
                choice = _choice(chunk)
                reasoning, content = _parts(getattr(choice, "delta", None))
                if reasoning and not written:  # later reasoning would stand in the answer
                    yield reasoning if thinking else REASONING_BEGINS + reasoning
                    thinking = True
                if content:
                    yield REASONING_ENDS + content if thinking else content
                    thinking, written = False, written or not content.isspace()
                finish = _finish_of(choice) or finish
        if not begun and kind in _NO_STREAMS:
            raise ModelUnavailable(
                f"The endpoint {self._url} sent {_NO_STREAMS[kind]}, and no answer of a model: check that it is the "
                "address of an OpenAI-compatible endpoint, which streams answers and needs no sign-in in a browser."
            )
        if finish is None or finish in _BROKEN_OFF:
            raise ModelUnavailable(
                f"The answer of {self.name!r} at {self._url} broke off before its end: ask again. "
                "If that does not help, check that the address is that of an OpenAI-compatible endpoint."
            )
        if finish in _CALLS and not written:
            raise ModelUnsuitable(
                f"The model {self.name!r} called a tool instead of answering, though none was offered: ask again, or "
                "choose another model."
            )
        return _FINISH_REASONS.get(finish, "stop")

    def _open(self, messages: Sequence[Message], max_new_tokens: int) -> AbstractContextManager[Any]:
        """Send the request; once more, without the role ``system``, if the endpoint refuses that role."""
        from openai import BadRequestError, UnprocessableEntityError

        if not self._knows_system:
            messages = without_system_role(messages)
        try:
            return self._send(messages, max_new_tokens)
        except (BadRequestError, UnprocessableEntityError) as error:
            if "system" not in str(error).lower() or not any(message.role == "system" for message in messages):
                raise
        opened = self._send(without_system_role(messages), max_new_tokens)
        self._knows_system = False
        return opened

    def _send(self, messages: Sequence[Message], max_new_tokens: int) -> AbstractContextManager[Any]:
        # OpenAI's newer models refuse the old name of the limit, many other servers know only that one
        limit = "max_completion_tokens" if self._url == OPENAI_URL else "max_tokens"
        create: Any = self._client.chat.completions.create
        sent = [message._asdict() for message in messages]
        opened: AbstractContextManager[Any] = create(
            model=self.name, messages=sent, stream=True, **{limit: max_new_tokens}
        )
        return opened


_NO_STREAMS = {
    "text/html": "a page of HTML",
    "application/xhtml+xml": "a page of HTML",
    "application/json": "one piece of JSON",
}
"""Media types of replies that hold no answer: pages to sign in, other services."""
_CALLS = frozenset({"tool_calls", "function_call"})
_FINISH_REASONS: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "sensitive": "content_filter",
}
"""Reasons of the end, in lower case: those of OpenAI, Gemini, Mistral and Zhipu. Any other is the model's own end."""
_BROKEN_OFF = frozenset({"abort", "error", "insufficient_system_resource", "network_error"})
"""Reasons of an answer that the server gave up: those of vLLM, OpenRouter, DeepSeek and Zhipu."""
_REASONING_FIELDS = ("reasoning_content", "reasoning")
"""Fields in which servers send reasoning apart from the answer: DeepSeek and vLLM; Ollama and OpenRouter."""


def _choice(chunk: object) -> object:
    """Return the first choice of a chunk; None if it has none."""
    choices = getattr(chunk, "choices", None)
    return choices[0] if isinstance(choices, list) and choices else None


def _finish_of(choice: object) -> str | None:
    """Return the reason of the end that a choice names, in lower case; None if it names none."""
    reason = getattr(choice, "finish_reason", None)
    return reason.lower() if isinstance(reason, str) and reason else None


def _parts(delta: object) -> tuple[str, str]:
    """Return the reasoning and the text of a chunk; either may be empty."""
    reasoning = next((text for name in _REASONING_FIELDS if (text := getattr(delta, name, None))), "")
    content = getattr(delta, "content", None)
    if isinstance(content, list):  # Mistral's models that reason
        reasoning, content = _text_of(content, "thinking"), _text_of(content, "text")
    return reasoning if isinstance(reasoning, str) else "", content if isinstance(content, str) else ""


def _text_of(content: object, kind: str) -> str:
    """Return the text of the parts of one kind: a part holds a text, or parts again."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(_text_of(part.get(kind), "text") for part in parts if isinstance(part, dict) and kind in part)


def _media_type(response: object) -> str:
    """Return the media type of a response, in lower case; empty if it names none."""
    return str(getattr(response, "headers", {}).get("content-type", "")).partition(";")[0].strip().lower()


def _tokens_at_most(text: str) -> int:
    size = len(text.encode("utf-8", "replace"))
    marks = sum(1 for char in text if char < "\x80" and not char.isalpha() and char != " ")
    return (size + marks + 1) // 2


@contextmanager
def _too_long_told(asked: Asked) -> Iterator[None]:
    """Raise an error of its own if the endpoint refuses a prompt for its length."""
    from openai import APIStatusError

    try:
        yield
    except APIStatusError as error:
        status = error.status_code
        if status in _OTHER_STATUSES or status >= 500 or "context" not in str(error).lower():
            raise
        raise ModelUnsuitable(
            f"The prompt is too long for {asked.model!r} ({status}: {reason_of(error)}): "
            "ask for fewer passages, or state the model's true context length."
        ) from error
