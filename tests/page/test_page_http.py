"""The page's files and its first request, without a browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sift_rag_server.page import problems
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


QUESTION = "Can I return a lamp and get a refund?"
ASKED: list[dict[str, Any]] = [
    {},
    {"settings": {"noise_variance": 0.5}},
    {"settings": {"noise_variance": 50.0, "words": 0.0}},
    {"k": 2, "where": ["source=shop/r*"]},
    {"query": [QUESTION, "When do you open?"]},
]


@pytest.mark.parametrize("asked", ASKED)
def test_both_sides_are_what_a_search_finds(server: Served, asked: dict[str, Any]) -> None:
    body = {"query": QUESTION, "k": 5, **asked}
    sides = [server.client.post("/page/choice", json=body).json() for _ in range(2)]  # the second from what is kept
    nearest = {**body, "settings": {}, "selector": "nearest", "keep_copies": True}
    for reply in sides:
        for side, search in (("sift", body), ("nearest", nearest)):
            found = server.client.post("/v1/search", json=search).json()["hits"]
            assert [hit["id"] for hit in reply[side]["hits"]] == [hit["id"] for hit in found]


def test_the_usual_choice_is_measured_as_a_retrieval_measures_it(server: Served) -> None:
    body = {"query": QUESTION, "k": 5}
    found = server.client.post("/v1/search", json=body).json()
    reply = server.client.post("/page/choice", json=body).json()
    could = found["prior_variance"] - found["irreducible_variance"]
    told = [(found["prior_variance"] - hit["posterior_variance"]) / could for hit in found["hits"]]
    assert [hit["told"] for hit in reply["sift"]["hits"]] == pytest.approx(told, rel=1e-5)


def test_a_copy_is_a_repeat_and_adds_nothing(server: Served) -> None:
    reply = server.client.post("/page/choice", json={"query": QUESTION, "k": 5}).json()
    first, second, *_ = reply["nearest"]["hits"]
    assert first["text"] == second["text"]
    assert (first["repeats"], second["repeats"]["rank"], second["repeats"]["kind"]) == (None, 1, "copy")
    assert second["adds"] == 0
    told = [hit["told"] for hit in reply["nearest"]["hits"]]
    assert told == sorted(told)
    assert reply["nearest"]["repeats"] >= 1
    assert all(hit["repeats"] is None or hit["repeats"]["kind"] == "near" for hit in reply["sift"]["hits"])


def test_what_is_known_is_repeated_by_nearest_neighbour_alone(server: Served) -> None:
    body = {"query": QUESTION, "k": 3}
    known = server.client.post("/page/choice", json=body).json()["sift"]["hits"][0]["id"]
    reply = server.client.post("/page/choice", json={**body, "known": [known]}).json()
    assert reply["nearest"]["hits"][0]["repeats"]["kind"] == "known"
    assert known not in [hit["id"] for hit in reply["sift"]["hits"]]


@pytest.mark.parametrize("body", [{}, {"query": ""}, {"query": "x", "k": 0}, {"query": "x", "colour": 1}, []])
def test_a_wrong_request_is_refused_in_the_servers_words(server: Served, body: object) -> None:
    reply = server.client.post("/page/choice", json=body)
    assert reply.status_code == 400
    assert reply.json()["message"]


@pytest.mark.parametrize("settings", [{}, {"noise_variance": 0.5}, {"noise_variance": 50.0}, {"words": 0.0}])
def test_what_is_kept_between_moves_changes_no_reply(
    server: Served, monkeypatch: pytest.MonkeyPatch, settings: dict[str, float]
) -> None:
    body = {"query": "Can I return a lamp?", "k": 4, "settings": settings}
    warm = [server.client.post("/page/choice", json=body).json() for _ in range(2)][-1]
    monkeypatch.setattr(problems, "MOST_CANDIDATES", 0)
    cold = server.client.post("/page/choice", json=body).json()
    assert {**warm, "timings_ms": None} == {**cold, "timings_ms": None}
