"""The page's static files: read once, served with a strict policy.

``GET /`` is ``static/index.html``; ``GET /page/static/NAME`` is any other file. They hold no data, so no key is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

from sift_rag_server.errors import HTTPError
from sift_rag_server.handlers import context_of, error_response

STATIC = Path(__file__).parent / "static"
STATIC_PATH = "/page/static/"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
}

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""Content type by the ending of a file's name. Files of other kinds are not served."""


class Asset(NamedTuple):
    """A static file."""

    content: bytes
    kind: str
    tag: str
    """``ETag``: changes with the content."""

    def response(self, request: Request, policy: Mapping[str, str] = HEADERS) -> Response:
        """Return the reply to a request: without the content if the browser has it already."""
        headers = {**policy, "etag": self.tag, "cache-control": "no-cache"}  # ask whether it changed
        if self.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(self.content, media_type=self.kind, headers=headers)


def asset_of(name: str, content: bytes) -> Asset:
    """Return the static file of a name and content."""
    return Asset(content, _KINDS[Path(name).suffix], f'"{blake2b(content, digest_size=12).hexdigest()}"')


def read_assets(folder: Path = STATIC) -> dict[str, Asset]:
    """Return the static files by their names below the folder, with forward slashes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in _KINDS and path.is_file():
            name = path.relative_to(folder).as_posix()
            found[name] = asset_of(name, path.read_bytes())
    return found


def asset_routes() -> APIRouter:
    """Return the routes of the static files."""
    router = APIRouter(include_in_schema=False)
    assets = read_assets()

    @router.get("/")
    async def index(request: Request) -> Response:
        return assets["index.html"].response(request)

    @router.get(STATIC_PATH + "{name:path}")
    async def static(request: Request, name: str) -> Response:
        asset = assets.get(name)
        if asset is None:
            return error_response(
                HTTPError(HTTPStatus.NOT_FOUND, "The page has no such file."), context_of(request.scope)
            )
        return asset.response(request)

    return router
