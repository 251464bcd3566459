"""``/docs`` (Swagger UI) and ``/redoc`` (ReDoc): the public routes, to read and to try.

Both programs come from the package ``fastapi-offline``, so that nothing is loaded from the internet. The pages hold no
data and need no key; they read ``/openapi.json``, which does need it where there is one. ``static/reference/*.js`` asks
for it and keeps it as the page at ``/`` does.

Swagger UI and ReDoc write styles into the page, and ReDoc searches in a worker: their policies allow just that.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from sift_rag_server.page.assets import HEADERS, STATIC, Asset, asset_of

if TYPE_CHECKING:
    from collections.abc import Mapping

LIBRARIES = ("redoc.standalone.js", "swagger-ui-bundle.js", "swagger-ui.css")
LIBRARY_PATH = "/page/static/reference/"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self' data:; worker-src blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Mapping[str, str] = {**HEADERS, "content-security-policy": _POLICY}

_ELSEWHERE = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
_NOTHING = b"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E"
"""ReDoc's logo, the one picture that it would load from elsewhere, and an empty picture in its place."""


def reference_routes() -> APIRouter:
    """Return the routes of the two pages and of what they load."""
    router = APIRouter(include_in_schema=False)
    held: dict[str, Asset] = {}

    def library(name: str) -> Asset:
        """Return a file of the package, read when it is first asked for: they are large, and few read them."""
        if name not in held:
            content = files("fastapi_offline").joinpath("static", name).read_bytes()
            held[name] = asset_of(name, content.replace(_ELSEWHERE, _NOTHING))
        return held[name]

    def add_library(name: str) -> None:
        @router.get(LIBRARY_PATH + name)
        async def file(request: Request) -> Response:
            return library(name).response(request)

    def add_page(path: str, name: str) -> None:
        asset = asset_of(name, (STATIC / "reference" / name).read_bytes())

        @router.get(path)
        async def page(request: Request) -> Response:
            return asset.response(request, _HEADERS)

    for name in LIBRARIES:
        add_library(name)
    add_page("/docs", "docs.html")
    add_page("/redoc", "redoc.html")
    return router
