"""Messages that break JSON-RPC, and the error that answers each.

The SDK alone answers them in the words of its parser over HTTP, and not at all over stdin.
"""

from __future__ import annotations

from typing import Any

from mcp_types import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter
from pydantic import ValidationError
from pydantic_core import from_json


def refusal(content: str | bytes) -> JSONRPCError | None:
    """Return the error that answers a message, with its id if that can be read; None if it is well-formed."""
    try:
        message = from_json(content)
    except ValueError:
        return _error(None, PARSE_ERROR, "The message is not JSON.")
    if not isinstance(message, dict):
        return _error(None, INVALID_REQUEST, "A message is one JSON object; batches are not supported.")
    asked = message.get("id")
    readable = asked if _is_id(asked) and not ("result" in message or "error" in message) else None
    if (reason := _malformed(message)) is not None:
        return _error(readable, INVALID_REQUEST, reason)
    if not isinstance(message.get("params"), dict | None):
        return _error(readable, INVALID_PARAMS, "'params' must be an object.")
    try:
        jsonrpc_message_adapter.validate_python(message, by_name=False)
    except ValidationError:
        return _error(readable, INVALID_REQUEST, "The message is neither a request, a notification nor a reply.")
    return None


def _malformed(message: dict[str, Any]) -> str | None:
    """Return what is wrong with the members of a message; None if nothing is."""
    if message.get("jsonrpc") != "2.0":
        return "'jsonrpc' must be '2.0'."
    if "method" not in message:
        return None if "result" in message or "error" in message else "The member 'method' is missing."
    if not isinstance(message["method"], str):
        return "'method' must be a string."
    if "id" in message and not _is_id(message["id"]):
        return "'id' must be a string or a whole number."
    return None


def _is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _error(message_id: Any, code: int, reason: str) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=message_id, error=ErrorData(code=code, message=reason))
