"""Turn failed requests, over either protocol, into our errors, and tell whether to retry."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from sift_rag.errors import (
    CollectionNotFound,
    ConfigurationError,
    Remedy,
    SiftRagError,
    StoreConflict,
    StoreError,
    StoreFull,
    StoreUnreachable,
)

_KEY = Remedy("qdrant-key")

CLIENT_ERRORS = (ApiException, QdrantException, grpc.RpcError, httpx.HTTPError)
"""Exceptions of the client that the outside world causes."""

_LONGEST_REASON = 300
_STATUS_OF = {
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.OUT_OF_RANGE: 413,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.ABORTED: 503,
    grpc.StatusCode.CANCELLED: 503,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
_TOO_LARGE = ("larger than", "too large")
"""Reasons given for a request that is too large, with status 400 over REST, and over gRPC as if out of range."""
_TRANSIENT = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class RequestFailure:
    """One failed request."""

    error: SiftRagError
    """Exception to raise if it is not retried."""
    transient: bool
    """True if the same request may succeed later."""
    retry_after: float | None = None
    """Seconds that the server asks to wait."""


def failure_of(error: Exception, *, where: str, label: str, has_key: bool) -> RequestFailure:
    """Return the failure behind an exception of the client.

    Args:
        error: one of ``CLIENT_ERRORS``.
        where: the server, for the message.
        label: subject of the request, for the message: ``The collection 'news'``.
        has_key: True if a key was sent.
    """
    match error:
        case ResourceExhaustedResponse():
            return _failure(429, error.message, where, label, has_key, retry_after=float(error.retry_after_s))
        case grpc.RpcError():
            return _of_grpc(error, where, label, has_key)
        case UnexpectedResponse():
            retry_after = _seconds(error.headers.get("retry-after"))
            return _failure(
                error.status_code or 0, _reason(error.content), where, label, has_key, retry_after=retry_after
            )
        case QdrantException():  # a Retry-After that is no number of seconds
            return _failure(429, str(error), where, label, has_key)
        case _:
            return _of_http(error.source if isinstance(error, ResponseHandlingException) else error, where)


def _of_http(error: Exception, where: str) -> RequestFailure:
    """Return the failure of a request without an answer, or with one that makes no sense."""
    if isinstance(error, httpx.TimeoutException):
        return RequestFailure(StoreUnreachable(_no_answer(where, "it took too long")), transient=True)
    if isinstance(error, httpx.HTTPError):
        return RequestFailure(StoreUnreachable(_no_answer(where, str(error) or type(error).__name__)), transient=True)
    broken = StoreError(
        f"{where} gave an answer that cannot be understood ({type(error).__name__}). Check that it is a Qdrant "
        "server, of a version that this qdrant-client knows."
    )
    return RequestFailure(broken, transient=True)  # cut off on its way, perhaps


def _of_grpc(error: Any, where: str, label: str, has_key: bool) -> RequestFailure:
    code = error.code() if callable(getattr(error, "code", None)) else grpc.StatusCode.UNKNOWN
    details = str(error.details() if callable(getattr(error, "details", None)) else error)
    status = _STATUS_OF.get(code, 500)
    trailing = error.trailing_metadata() if callable(getattr(error, "trailing_metadata", None)) else ()
    retry_after = next((value for key, value in trailing or () if key.lower() == "retry-after"), None)
    if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
        return RequestFailure(StoreUnreachable(_no_answer(where, _short(details))), transient=True)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return RequestFailure(StoreUnreachable(_no_answer(where, "it took too long")), transient=True)
    return _failure(status, details, where, label, has_key, retry_after=_seconds(retry_after))


def _failure(
    status: int, reason: str, where: str, label: str, has_key: bool, *, retry_after: float | None = None
) -> RequestFailure:
    reason = _short(reason)
    said = f" It says: {reason}" if reason else ""
    error: SiftRagError
    if any(sign in reason for sign in _TOO_LARGE):
        status = 413
    match status:
        case 401 | 403 if not has_key:
            error = ConfigurationError(f"{where} asks for an API key, but none is set.", remedy=_KEY)
        case 401:
            error = ConfigurationError(f"{where} does not accept the API key.{said}", remedy=_KEY)
        case 403:
            error = ConfigurationError(f"{where} does not allow this with the API key.{said}", remedy=_KEY)
        case 404:
            error = CollectionNotFound(
                f"{label} is not (or no longer) on {where}: never created, or deleted or replaced meanwhile.",
                remedy=Remedy("list-collections"),
            )
        case 409:
            error = StoreConflict(f"{label} on {where} already exists.{said}")
        case _ if "already exists" in reason:
            error = StoreConflict(f"{label} on {where} already exists.{said}")
        case _ if "No space left" in reason or "out of disk" in reason.lower():
            error = StoreFull(f"{where} has no space left. Free some there and try again.{said}")
            return RequestFailure(error, transient=False)
        case 413:
            error = StoreError(
                f"{where} does not accept a request of this size: a passage, or its metadata, is too long. Split or "
                f"shorten it.{said}"
            )
        case 429:
            error = StoreUnreachable(f"{where} is receiving too many requests and refuses more. Try again later.{said}")
        case _ if status in _TRANSIENT:
            error = StoreUnreachable(f"{where} cannot answer now (status {status}). Try again later.{said}")
        case _:
            error = StoreError(f"{label} on {where} could not be used (status {status}).{said}")
    return RequestFailure(error, transient=status in _TRANSIENT, retry_after=retry_after)


def _no_answer(where: str, reason: str) -> str:
    return f"There is no answer from {where} ({reason}). Check that it is running, and that host and port are right."


def _reason(content: bytes) -> str:
    try:
        answer = json.loads(content)
    except ValueError:
        return ""  # a proxy's page
    status = answer.get("status") if isinstance(answer, dict) else None
    reason = status.get("error") if isinstance(status, dict) else status
    return reason if isinstance(reason, str) else ""


def _short(reason: str) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]} ..."


def _seconds(value: object) -> float | None:
    try:
        return max(0.0, float(str(value)))
    except ValueError:
        return None
