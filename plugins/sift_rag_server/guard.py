"""Access control, the limit on concurrent requests, and one log line per request."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from http import HTTPStatus
from re import Pattern
from time import perf_counter
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sift_rag.hosts import is_loopback
from sift_rag_server.errors import HTTPError, openai_error_body
from sift_rag_server.handlers import RequestContext, error_response
from sift_rag_server.page.assets import STATIC_PATH
from sift_rag_server.service import Service
from sift_rag_server.tracing import request_span

OPEN_PATHS = frozenset({"/health", "/ready"})
"""Paths for monitoring: no key is needed, and no limit applies."""

_OPENAI_PATHS = ("/v1/chat/", "/v1/embeddings", "/v1/models")
"""Beginnings of paths of OpenAI's API."""

_log = logging.getLogger("sift_rag_server")


class Guard:
    """The outermost ASGI middleware.

    Without a key only programs on this machine can connect. A web page in a browser on it is such a program, too, so
    host names other than this machine's (a page can bind its own to a loopback address) and foreign origins are
    refused.
    """

    def __init__(self, app: ASGIApp, service: Service, paths: Mapping[str, Pattern[str]]) -> None:
        """Keep the parts.

        Args:
            app: handles the requests that are let in.
            service: its settings and metrics.
            paths: the paths of the routes, with parameters in braces, and what each matches.
        """
        self._app = app
        self._service = service
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Implement the ASGI interface."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = RequestContext(method=scope["method"])
        if context.method == "HEAD":  # the reply to GET; the server leaves out its body
            scope = {**scope, "method": "GET"}
        if (path := scope["path"].rstrip("/")) in self._paths:  # some clients write a slash at the end
            scope = {**scope, "path": path}
        if scope["path"].startswith(_OPENAI_PATHS):
            context.error_body = openai_error_body
        scope.setdefault("state", {})["context"] = context

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = context.id
                headers["x-content-type-options"] = "nosniff"
            await send(message)

        try:
            headers = Headers(scope=scope)
            with request_span(context, self._route(scope), headers):
                refusal = self._refusal(headers, scope)
                if refusal is not None:
                    await error_response(refusal, context)(scope, receive, send_with_headers)
                else:
                    await self._app(scope, receive, send_with_headers)
        finally:
            if context.has_slot:
                self._service.slots.free()
            self._record(scope, context, perf_counter() - context.started)

    def _refusal(self, headers: Headers, scope: Scope) -> HTTPError | None:
        """Return the error to refuse a request with; None to accept it."""
        if scope["path"] in OPEN_PATHS:
            return None
        key = self._service.settings.api_key
        refusal = None
        if key is None:
            refusal = _foreign(headers)
        elif not _is_shell(scope):
            refusal = _unauthorized(headers, key)
        if refusal is None and scope["method"] == "POST":
            try:
                self._service.slots.check()
            except HTTPError as full:
                return full
        return refusal

    def _route(self, scope: Scope) -> str:
        """Return the path, without what a client chose in it, or one word for all unknown ones."""
        asked = scope["path"]
        if asked in self._paths:
            return str(asked)
        return next((path for path, form in self._paths.items() if "{" in path and form.match(asked)), "other")

    def _record(self, scope: Scope, context: RequestContext, seconds: float) -> None:
        route = self._route(scope)
        metrics = self._service.metrics
        metrics.requests.labels(route, context.status).inc()
        metrics.seconds.labels(route).observe(seconds)
        if context.documents is not None:
            metrics.documents.inc(context.documents)
        facts = {
            "request": context.id,
            "method": context.method,
            "route": route,
            "status": context.status,
            "milliseconds": round(1e3 * seconds, 2),
            "bytes": context.received,
            "documents": context.documents,
        }
        level = logging.DEBUG if scope["path"] in OPEN_PATHS else logging.INFO
        _log.log(level, "request", extra={"facts": facts})


def _is_shell(scope: Scope) -> bool:
    """Return True for the page's static files: they hold no data, and ask for the key that the data needs."""
    path: str = scope["path"]
    return scope["method"] == "GET" and (path in {"/", "/docs", "/redoc"} or path.startswith(STATIC_PATH))


def _foreign(headers: Headers) -> HTTPError | None:
    """Refuse requests under another machine's name, and requests from web pages of other origins."""
    origin = headers.get("origin")
    if _is_this_machine(f"//{headers.get('host', '')}") and (origin is None or _is_this_machine(origin)):
        return None
    return HTTPError(
        HTTPStatus.FORBIDDEN,
        "This server has no key, so it answers only under its own machine's names, such as localhost. To reach it "
        "under another name, start it with a key.",
    )


def _unauthorized(headers: Headers, key: str) -> HTTPError | None:
    scheme, _, sent = headers.get("authorization", "").partition(" ")
    # compared as bytes: compare_digest refuses strings that are not ASCII
    matches = hmac.compare_digest(sent.strip().encode(), key.encode())
    if scheme.lower() == "bearer" and matches:
        return None
    return HTTPError(
        HTTPStatus.UNAUTHORIZED, "The API key is missing or wrong. Send it in the header Authorization: Bearer KEY."
    )


def _is_this_machine(url: str) -> bool:
    """Return True if a URL names this machine by a loopback name or address."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)
