"""What goes wrong, as a status and a body that clients of the asked dialect understand."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal, TypeAlias

from sift_rag import errors

Dialect: TypeAlias = Literal["object", "tei"]
"""``object``: Cohere, Jina, vLLM and our own; ``tei``: text-embeddings-inference."""

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
"""An error's status is that of its nearest ancestor here."""

_TOLD: Mapping[type[Exception], str] = {
    errors.CollectionNotFound: "There is no such collection here.",
    errors.StoreInUse: "Another process writes to the collection now: try again later.",
    errors.StoreError: "The collection cannot be read now; the server's log says why.",
    errors.ModelUnavailable: "The model cannot be reached now; the server's log says why.",
    errors.StoreConflict: "",
    errors.DocumentNotFound: "",
}
"""In place of messages that name this machine's folders and processes; empty for one that does not."""

_TEI_TYPES: Mapping[HTTPStatus, str] = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Validation",
    HTTPStatus.TOO_MANY_REQUESTS: "Overloaded",
    HTTPStatus.SERVICE_UNAVAILABLE: "Unhealthy",
    HTTPStatus.GATEWAY_TIMEOUT: "Overloaded",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Backend",
}


class HTTPError(Exception):
    """A request that is answered with an error. The message says what is, what was expected, and what to do."""

    def __init__(self, status: HTTPStatus, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
        """Seconds; None where trying again does not help."""

    @property
    def headers(self) -> dict[str, str]:
        """What goes along with the status."""
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        if self.status is HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = "Bearer"
        return headers


def fault_of(error: Exception) -> HTTPError | None:
    """What a client is told of an error; None for a defect, of which it is told nothing."""
    if isinstance(error, HTTPError):
        return error
    if isinstance(error, TimeoutError):
        return HTTPError(
            HTTPStatus.GATEWAY_TIMEOUT, "The request took longer than this server allows: send less, or try again."
        )
    if isinstance(error, UnicodeError):  # a ValueError, but never an argument's fault
        return None
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), None)
    if status is None:
        return None
    told = next((_TOLD[kind] for kind in type(error).__mro__ if kind in _TOLD), "")
    return HTTPError(status, told or str(error), retry_after=1 if status is HTTPStatus.SERVICE_UNAVAILABLE else None)


def error_body(fault: HTTPError, dialect: Dialect, request_id: str) -> dict[str, object]:
    """One shape that clients of Cohere (``message``), Jina (``detail``) and vLLM (``error``) read; or TEI's."""
    if dialect == "tei":
        return {"error": fault.message, "error_type": _TEI_TYPES.get(fault.status, "Validation")}
    kind = fault.status.phrase.replace(" ", "")
    return {
        "id": request_id,
        "message": fault.message,
        "detail": fault.message,
        "error": {"message": fault.message, "type": kind, "param": None, "code": int(fault.status)},
    }
