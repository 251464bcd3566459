"""``/docs`` and ``/redoc``: from this machine alone, open without a key, which their data needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.http.serving import Served, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_a_page_loads_only_what_the_server_has(server: Served, path: str) -> None:
    reply = server.client.get(path)
    policy = reply.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    loaded = re.findall(r'(?:src|href)="([^"]+)"', reply.text)
    assert loaded
    for one in loaded:
        assert server.client.get(f"/{one}").status_code == 200, one


def test_the_pages_need_no_key_but_the_description_does(store: Path) -> None:
    with serving(store=store, idle_seconds=0, api_key="a-key") as served:
        answers = {path: served.bare.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")}
    assert answers == {"/docs": 200, "/redoc": 200, "/openapi.json": 401}


def test_another_host_name_is_refused(server: Served) -> None:
    assert server.client.get("/docs", headers={"host": "evil.example"}).status_code == 403


@pytest.mark.slow
@pytest.mark.parametrize(("path", "shown"), [("/docs", ".opblock"), ("/redoc", ".menu-content")])
def test_a_browser_shows_the_routes_and_asks_nobody_else(server: Served, page: Page, path: str, shown: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url + path)
    page.wait_for_selector(shown)
    assert all(url.startswith((server.url, "data:", "blob:")) for url in asked), asked
