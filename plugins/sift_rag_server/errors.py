"""Errors as HTTP statuses, and the JSON object that reports one."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import CancelledError
from http import HTTPStatus

from sift_rag import errors

_STATUS: Mapping[type[Exception], HTTPStatus] = {
    ValueError: HTTPStatus.BAD_REQUEST,
    errors.SiftRagError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.ConfigurationError: HTTPStatus.BAD_REQUEST,
    errors.MissingExtra: HTTPStatus.NOT_IMPLEMENTED,
    errors.NoEvidence: HTTPStatus.NOT_FOUND,
    errors.CollectionNotFound: HTTPStatus.NOT_FOUND,
    errors.DocumentNotFound: HTTPStatus.NOT_FOUND,
    errors.StoreConflict: HTTPStatus.CONFLICT,
    errors.StoreInUse: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ModelUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ModelInUse: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ModelUnsuitable: HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""HTTP status of each error; a class that is not listed has the status of its nearest ancestor."""

_PUBLIC_MESSAGES: Mapping[type[Exception], str | None] = {
    errors.CollectionNotFound: "There is no such collection on this server.",
    errors.StoreInUse: "Another process is writing to the collection. Try again later.",
    errors.StoreError: "The collection cannot be read at the moment; the server's log has the reason.",
    errors.ModelUnavailable: "The model cannot be reached at the moment; the server's log has the reason.",
    errors.StoreConflict: None,
    errors.DocumentNotFound: None,
}
"""Message for clients where the error's own names folders or processes of this machine; None where it does not."""

_REMEDIES: Mapping[str, tuple[HTTPStatus | None, str]] = {
    "local-model-required": (
        HTTPStatus.NOT_IMPLEMENTED,
        'This server\'s model cannot be fine-tuned. Ask with "mode": "context".',
    ),
    "longer-answer": (None, 'Allow it more with "max_new_tokens" (in a chat, "max_tokens").'),
}
"""Status (None for the error's own) and advice for each remedy of the library that a client can act on."""


class HTTPError(Exception):
    """An error reply."""

    def __init__(self, status: HTTPStatus, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
        """Seconds to wait before trying again; None where that does not help."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the status."""
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        if self.status is HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = "Bearer"
        if self.status is HTTPStatus.REQUEST_TIMEOUT:
            headers["connection"] = "close"  # the rest of the body is not read
        return headers


def http_error(error: Exception) -> HTTPError | None:
    """Return the reply for an error; None for a bug, whose message stays on the server."""
    if isinstance(error, HTTPError):
        return error
    if isinstance(error, TimeoutError):
        return HTTPError(
            HTTPStatus.GATEWAY_TIMEOUT, "The request took longer than this server allows. Send less, or try again."
        )
    if isinstance(error, CancelledError):  # its queue was closed
        return HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping. Try again.", retry_after=5)
    if isinstance(error, UnicodeError):  # a ValueError, but never the fault of an argument
        return None
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), None)
    if status is None:
        return None
    public = next((_PUBLIC_MESSAGES[kind] for kind in type(error).__mro__ if kind in _PUBLIC_MESSAGES), None)
    message = public or str(error)
    if isinstance(error, errors.SiftRagError) and error.remedy is not None and error.remedy.key in _REMEDIES:
        remedy_status, advice = _REMEDIES[error.remedy.key]
        status, message = remedy_status or status, f"{message} {advice}"
    return HTTPError(status, message, retry_after=1 if status is HTTPStatus.SERVICE_UNAVAILABLE else None)


def openai_error_body(error: HTTPError, request_id: str) -> dict[str, object]:
    """Return the JSON object for an error on a route of OpenAI's API, with its types, and no code."""
    kind = _OPENAI_TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    body = error_body(error, request_id)
    return {**body, "error": {"message": error.message, "type": kind, "param": None, "code": None}}


_OPENAI_TYPES: Mapping[HTTPStatus, str] = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}


def error_body(error: HTTPError, request_id: str) -> dict[str, object]:
    """Return the JSON object for an error, which clients of Cohere, Jina, vLLM and OpenAI all read.

    They look under ``message``, ``detail`` and ``error``.
    """
    kind = error.status.phrase.replace(" ", "")
    return {
        "id": request_id,
        "message": error.message,
        "detail": error.message,
        "error": {"message": error.message, "type": kind, "param": None, "code": int(error.status)},
    }
