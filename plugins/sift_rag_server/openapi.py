"""The OpenAPI document. Routes parse their bodies themselves, off the event loop, so FastAPI learns the types here."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from sift_rag_server.dialects import DIALECTS
from sift_rag_server.replies import ErrorReply
from sift_rag_server.settings import ServerSettings

_REFERENCE = "#/components/schemas/{model}"
_ERRORS = {
    400: "The request is invalid.",
    401: "The API key is missing or wrong.",
    403: "The server has no key, and the request came under another machine's name.",
    404: "There is no such model, collection or passage, or nothing in the collection that could answer.",
    408: "The body did not arrive in time.",
    409: "The collection was made with another embedder, or without what the filter asks for.",
    413: "The request is larger than the server accepts.",
    422: "The request is invalid, or does not suit the model.",
    429: "The server is working on as many requests as it accepts at once.",
    500: "A bug in the server, or a damaged collection.",
    501: "The server was started without a part that this needs.",
    503: "The server, the store or the model is not available at the moment.",
    504: "The request took longer than the server allows.",
}


def operation(body: Any, reply: Any) -> dict[str, Any]:
    """Return the keyword arguments of a route that describe its body and its replies."""
    error_model = reduce(or_, (dialect.error_model for dialect in DIALECTS), ErrorReply)
    return {
        "response_model": None,
        "responses": {
            200: {"model": reply},
            **{code: {"model": error_model, "description": text} for code, text in _ERRORS.items()},
        },
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": _schema(body)}}}
        },
    }


def describe(app: FastAPI, settings: ServerSettings) -> None:
    """Complete the application's OpenAPI document: the types of bodies, and the API key if there is one."""
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
    """Return a type's JSON schema. Its ``$defs`` are referenced by the place to which ``describe`` moves them."""
    return TypeAdapter(body).json_schema(ref_template=_REFERENCE)
