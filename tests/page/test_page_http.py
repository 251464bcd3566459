"""The page's files and its first request, without a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sift_rag_server.page.assets import STATIC, read_assets
from tests.http.serving import Served, serving


def test_the_page_is_served_with_a_strict_policy(server: Served) -> None:
    reply = server.client.get("/")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert reply.headers["x-frame-options"] == "DENY"
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_browser_that_has_a_file_is_not_sent_it_again(server: Served) -> None:
    first = server.client.get("/page/static/style.css")
    again = server.client.get("/page/static/style.css", headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


@pytest.mark.parametrize("name", ["../assets.py", "%2e%2e/assets.py", "..%2f..%2fapp.py", "nothing.js", ""])
def test_nothing_but_the_static_files_is_served(server: Served, name: str) -> None:
    assert server.client.get(f"/page/static/{name}").status_code == 404


def test_every_file_that_the_page_names_exists() -> None:
    index = (STATIC / "index.html").read_text()
    named = set(re.findall(r'(?:href|src)="page/static/([^"]+)"', index))
    assert named
    assert named <= set(read_assets())


def test_the_page_writes_no_markup_from_text_and_loads_nothing_from_elsewhere() -> None:
    scripts = [path for path in STATIC.rglob("*.js") if "vendor" not in path.parts]
    for path in [*scripts, *STATIC.glob("*.html"), *STATIC.rglob("views/*.css"), STATIC / "style.css"]:
        text = path.read_text()
        forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|@import"
        assert not re.search(forbidden, text), path.name
        links = re.findall(r"https?://[^\s\"'`)]+", text.replace("http://www.w3.org/", ""))
        assert links == [], path.name


def test_the_first_request_tells_what_there_is(server: Served) -> None:
    session = server.client.get("/page/session").json()
    [collection] = session["collections"]
    assert (collection["name"], collection["documents"], collection["embedder"]) == ("documents", 7, "hashing")
    assert collection["passages"] >= 7
    assert session["default_collection"] == "documents"
    assert session["model"] is None
    assert len(session["token"]) > 30


def test_a_server_with_a_key_serves_the_shell_to_all_and_data_to_those_with_the_key(store: Path) -> None:
    with serving(store=store, idle_seconds=0, api_key="secret") as served:
        statuses = [
            client.get(path, headers={"host": "example.org"}).status_code
            for client in (served.bare, served.client)
            for path in ("/", "/page/static/app.js", "/page/session")
        ]
    assert statuses == [200, 200, 401, 200, 200, 200]


def test_a_server_without_a_key_serves_the_page_under_its_own_names_only(server: Served) -> None:
    assert server.client.get("/", headers={"host": "example.org"}).status_code == 403
    assert server.client.get("/page/session", headers={"origin": "http://example.org"}).status_code == 403


def test_the_openapi_document_leaves_the_page_out(server: Served) -> None:
    assert not [path for path in server.client.get("/openapi.json").json()["paths"] if path.startswith("/page")]
