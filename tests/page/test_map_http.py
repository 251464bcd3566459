"""``/page/map``: where passages lie, what is picked, and what repeats what."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from sift_rag_server.page.projection import plane_of
from tests.http.serving import Served

QUESTION = "How do I return a lamp?"


def drawn(server: Served, **body: object) -> Any:
    reply = server.client.post("/page/map", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_a_plane_shows_points_of_a_plane_at_their_distances_and_says_so() -> None:
    random = np.random.default_rng(0)
    flat = random.normal(size=(30, 2))
    turn, _ = np.linalg.qr(random.normal(size=(16, 2)))
    rows = (flat @ turn.T + random.normal(size=16)).astype(np.float32)
    plane = plane_of(rows)
    placed = plane.place(rows)
    assert plane.shown == pytest.approx(1.0, abs=1e-6)
    there = np.linalg.norm(placed[:, None] - placed[None], axis=2)
    assert there == pytest.approx(np.linalg.norm(flat[:, None] - flat[None], axis=2), abs=1e-5)


def test_equal_rows_are_one_point() -> None:
    plane = plane_of(np.full((3, 4), 0.5, dtype=np.float32))
    assert plane.shown == 1.0
    assert not plane.place(np.full((1, 4), 0.5, dtype=np.float32)).any()


def test_a_map_numbers_what_search_returns_and_links_copies(server: Served) -> None:
    found = drawn(server, query=QUESTION, k=3, points=50)
    hits = server.client.post("/v1/search", json={"query": QUESTION, "k": 3}).json()["hits"]
    points = found["points"]
    picked = {point["picked"]: point["id"] for point in points if point["picked"]}
    assert picked == {hit["rank"]: hit["id"] for hit in hits}
    by_similarity = sorted(point["similarity"] for point in points)[::-1]
    nearest = [point["similarity"] for point in sorted(points, key=lambda one: one["nearest"] or 9) if point["nearest"]]
    assert nearest == by_similarity[:3]
    [copy] = [point for point in points if point["copy_of"] is not None and "old" not in point["source"]]
    assert "old/refunds.md" in points[copy["copy_of"]]["source"]
    assert found["picks"]["picked"]["distinct"] == 3
    assert found["picks"]["nearest"]["distinct"] == 2


def test_without_a_question_the_whole_collection_is_shown_the_same_way_every_time(server: Served) -> None:
    first, second = drawn(server), drawn(server)
    assert first == second
    assert (len(first["points"]), first["passages"], first["picks"]) == (7, 7, None)
    assert Counter(point["similarity"] for point in first["points"]) == {None: 7}


@pytest.mark.parametrize("body", [{"query": QUESTION, "points": 501}, {"points": 2001}, {"query": QUESTION, "kk": 3}])
def test_what_is_too_large_or_unknown_is_refused(server: Served, body: dict[str, object]) -> None:
    assert server.client.post("/page/map", json=body).status_code == 400
