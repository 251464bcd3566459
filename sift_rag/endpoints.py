"""Clients of OpenAI-compatible endpoints, and what their failures mean.

The only module that talks to ``openai`` (extra ``openai``), apart from the calls of the client that it returns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from sift_rag.errors import ModelError, ModelUnavailable, ModelUnsuitable, Remedy
from sift_rag.extras import require
from sift_rag.hosts import check_api_key, is_http_address

if TYPE_CHECKING:
    from httpx import Response
    from openai import APIStatusError, OpenAI

OPENAI_URL = "https://api.openai.com/v1"
CONNECT_SECONDS = 5.0
READ_SECONDS = 300.0
"""Seconds of silence; a laptop that reads a long prompt is silent for minutes before the first word."""


class Asked(NamedTuple):
    """The request, and its place."""

    model: str
    url: str
    expected: str
    """The reply that was expected, as in "an answer"."""
    key_remedy: Remedy
    """The remedy for a refused API key."""


def checked_address(url: str, what: str) -> str:
    """Return an address up to and including ``/v1``, without a slash at its end.

    Args:
        url: the address.
        what: what is there, in words that begin a sentence.

    Raises:
        ValueError: not an http address, or it holds a user or a password.
    """
    if not is_http_address(url):
        raise ValueError(f"{what} is {url!r}: expected an address like http://localhost:8000/v1.")
    if "@" in urlsplit(url).netloc:
        raise ValueError(f"{what} holds a user or a password: give its API key instead.")
    return url.rstrip("/")


def openai_client(url: str, api_key: str | None, *, max_retries: int) -> OpenAI:
    """Return a client for one endpoint. No environment variable changes the address, the key or the account.

    Raises:
        ConfigurationError: ``api_key`` cannot be sent.
        MissingExtra: ``openai`` is not installed.
    """
    check_api_key(api_key, f"the endpoint {url}")
    require("openai", "openai")
    from openai import OpenAI, Timeout, omit

    headers: Any = {"OpenAI-Organization": omit, "OpenAI-Project": omit}  # else taken from the environment
    return OpenAI(
        api_key=api_key or "none",  # else taken from the environment, where it is meant for another address
        base_url=url,
        default_headers=headers,
        timeout=Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        max_retries=max_retries,
    )


@contextmanager
def mapped_errors(asked: Asked) -> Iterator[None]:
    """Raise the errors of ``openai`` as our own."""
    from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

    url = asked.url
    try:
        yield
    except APITimeoutError as error:
        raise ModelUnavailable(
            f"The endpoint {url} did not answer in time: try again, or check that it is running."
        ) from error
    except APIConnectionError as error:
        raise ModelUnavailable(
            f"The endpoint {url} cannot be reached, or closed the connection ({reason_of(error)}): "
            "check the address, and that it is running."
        ) from error
    except APIStatusError as error:
        raise _status_error(error, asked) from error
    except (APIError, ValueError, RecursionError) as error:
        if type(error) is APIError and error.body is not None:  # an error amid a stream
            raise ModelUnavailable(f"The endpoint {url} failed ({reason_of(error)}): try again later.") from error
        raise not_expected(asked, reason_of(error)) from error


def not_expected(asked: Asked, reason: str) -> ModelError:
    """Return the error for a reply that makes no sense."""
    return ModelUnavailable(
        f"The endpoint {asked.url} sent something that is not {asked.expected} ({reason}): "
        "check that it is the address of an OpenAI-compatible endpoint."
    )


def reason_of(error: Exception) -> str:
    """Return the reason in one line; that of a connection error is in its cause."""
    cause = error.__cause__
    text = str(cause if cause is not None and str(cause) else error)
    body = getattr(error, "body", None)
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        text = body["message"]
    return " ".join(text.split())[:300] or type(error).__name__


def message_in(reply: Response) -> str | None:
    """Return the error message in the JSON of a reply, under any name that servers use; None if there is none."""
    try:
        body = reply.json()
    except ValueError:
        return None
    for key in ("message", "detail", "error"):
        value = body.get(key) if isinstance(body, dict) else None
        value = value.get("message") if isinstance(value, dict) else value
        if isinstance(value, str):
            return value
    return None


def _status_error(error: APIStatusError, asked: Asked) -> ModelError:
    """Return the error for a status. It never quotes the key: the endpoint's words are left out where they may."""
    status, url, model = error.status_code, asked.url, asked.model
    match status:
        case 401 | 403:
            return ModelUnavailable(
                f"The endpoint {url} refuses the API key ({status}): give a key that may use {model!r}.",
                remedy=asked.key_remedy,
            )
        case 404:
            return ModelUnavailable(
                f"The endpoint {url} has no model {model!r}, or is not the address of an OpenAI-compatible endpoint "
                f"(404): check both; {url}/models lists its models."
            )
        case 429:
            return ModelUnavailable(
                f"The endpoint {url} accepts no more requests now (429: {reason_of(error)}): try again later."
            )
        case _ if status >= 500:
            return ModelUnavailable(f"The endpoint {url} failed ({status}: {reason_of(error)}): try again later.")
        case _:
            return ModelUnsuitable(  # without the address, which is not for a server's clients
                f"The endpoint of {model!r} rejects the request ({status}: {reason_of(error)})."
            )
