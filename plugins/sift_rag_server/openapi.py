"""The OpenAPI document: bodies are read by hand, off the event loop, so FastAPI is told here what they are."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from sift_rag_server.bodies import ErrorReply, TeiErrorReply
from sift_rag_server.settings import ServerSettings

_REFERENCE = "#/components/schemas/{model}"
_FAULTS = {
    400: "The request cannot be used as it is.",
    401: "The key is missing or wrong.",
    403: "Asked by a name that is not this machine's, without a key.",
    404: "There is no such model, collection or passage, or nothing in it that could answer.",
    409: "The collection was made with something else.",
    413: "More than the server takes.",
    422: "The request cannot be used as it is.",
    429: "As many requests as are taken are being worked on.",
    500: "A defect of the server, or a damaged collection.",
    501: "The server was started without a part that this needs.",
    503: "Not ready, or not reachable, now.",
    504: "It took longer than the server allows.",
}


def operation(body: Any, reply: Any, *, media_type: str = "application/json") -> dict[str, Any]:
    """Keywords of a route: its body and its replies."""
    return {
        "response_model": None,
        "responses": {
            200: {"model": reply} if media_type == "application/json" else {"content": {media_type: {}}},
            **{code: {"model": ErrorReply | TeiErrorReply, "description": text} for code, text in _FAULTS.items()},
        },
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": _schema(body)}}}
        },
    }


def describe(app: FastAPI, settings: ServerSettings) -> None:
    """Have the document say what bodies are, and that a key is needed where one is."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            schemas = document["components"]["schemas"]
            for path in document["paths"].values():
                for route in path.values():
                    if "requestBody" in route:
                        schema = route["requestBody"]["content"]["application/json"]["schema"]
                        schemas.update(schema.pop("$defs", {}))
            if settings.api_key is not None:
                document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
                document["security"] = [{"key": []}]
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _schema(body: Any) -> dict[str, Any]:
    """With its parts under ``$defs``, but spoken of as where ``describe`` puts them."""
    return TypeAdapter(body).json_schema(ref_template=_REFERENCE)
