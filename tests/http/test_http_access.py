"""Access control, the limit on concurrent requests, and the time limit."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection

import pytest

from sift_rag.errors import ConfigurationError, ModelUnavailable, ModelUnsuitable
from sift_rag_server import Limits, ServerSettings
from tests.http.gates import FailingEmbedder, GatedEmbedder, SlowToLoad
from tests.http.serving import Served, serving

TEXT = {"query": "a question", "documents": ["a document", "another"]}
KEY = "a-long-key-of-its-own"


@pytest.fixture(scope="module")
def keyed() -> Iterator[Served]:
    with serving(api_key=KEY) as running:
        yield running


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_listening_where_others_can_reach_it_needs_a_key(host: str) -> None:
    with pytest.raises(ConfigurationError, match="SIFT_RAG_SERVER_API_KEY"):
        ServerSettings(host=host)
    assert ServerSettings(host=host, api_key=KEY).api_key == KEY


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_listening_on_loopback_needs_none(host: str) -> None:
    assert ServerSettings(host=host).api_key is None


@pytest.mark.parametrize("key", ["", "schlüssel", "with\nbreak"])
def test_a_key_that_no_client_can_send_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="printable ASCII"):
        ServerSettings(api_key=key)


def test_the_settings_do_not_show_the_key() -> None:
    assert KEY not in repr(ServerSettings(api_key=KEY))


@pytest.mark.parametrize("sent", [None, "", "Bearer", f"Bearer {KEY}x", f"Basic {KEY}", KEY, "Bearer ключ"])
@pytest.mark.parametrize(
    "path", ["/v1/rerank", "/v1/search", "/v1/ask", "/v1/models", "/metrics", "/openapi.json", "/x"]
)
def test_without_the_key_nothing_is_answered(keyed: Served, path: str, sent: str | None) -> None:
    headers = {} if sent is None else {"authorization": sent.encode()}
    reply = keyed.bare.post(path, json=TEXT, headers=headers)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert "Bearer" in reply.json()["message"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_with_the_key_it_answers_under_any_name(keyed: Served, scheme: str) -> None:
    headers = {"authorization": f"{scheme} {KEY}", "host": "rerank.example.org", "origin": "https://example.org"}
    assert keyed.bare.post("/v1/rerank", json=TEXT, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_whoever_watches_over_it_needs_no_key(keyed: Served, path: str) -> None:
    assert keyed.bare.get(path).status_code == 200


@pytest.mark.parametrize("sent", ["", "Bearer ", "Bearer any-key-that-a-client-insists-on"])
def test_without_a_key_of_its_own_it_takes_any(served: Served, sent: str) -> None:
    connection = HTTPConnection("127.0.0.1", served.server.port)  # httpx refuses to send what some clients send
    with closing(connection):
        connection.request("POST", "/rerank", json.dumps(TEXT), {"authorization": sent})
        assert connection.getresponse().status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_without_a_key_other_names_and_pages_are_refused(served: Served, headers: dict[str, str]) -> None:
    reply = served.bare.post("/rerank", json=TEXT, headers=headers)
    assert reply.status_code == 403
    assert "start it with a key" in reply.json()["message"]


@pytest.mark.parametrize("headers", [{"host": "localhost:1"}, {"host": "[::1]"}, {"origin": "http://localhost:3000"}])
def test_without_a_key_its_own_machines_names_are_taken(served: Served, headers: dict[str, str]) -> None:
    assert served.bare.post("/rerank", json=TEXT, headers=headers).status_code == 200


@pytest.mark.parametrize("header", ["host", "origin"])
def test_a_header_that_is_no_address_is_refused(served: Served, header: str) -> None:
    assert served.bare.post("/rerank", json=TEXT, headers={header: "http://[oops"}).status_code == 403


def test_no_page_may_read_a_reply(served: Served) -> None:
    reply = served.bare.options("/rerank", headers={"origin": "http://localhost:3000"})
    assert reply.status_code == 405
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_one_request_too_many_is_told_to_come_again() -> None:
    embedder = GatedEmbedder()
    with serving(embedder, limits=Limits(requests=2)) as served, ThreadPoolExecutor() as others:
        first = others.submit(served.rerank, **TEXT)
        assert embedder.arrived.wait(30)
        second = others.submit(served.rerank, "other", ["texts"])
        while served.server.service.metrics.in_flight.collect()[0].samples[0].value < 2:
            pass
        refused = served.rerank(**TEXT)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert served.client.get("/health").status_code == 200
        embedder.open.set()
        assert (first.result().status_code, second.result().status_code) == (200, 200)
        assert served.rerank(**TEXT).status_code == 200


def test_a_request_that_takes_too_long_is_a_504_and_the_server_goes_on() -> None:
    embedder = GatedEmbedder()
    with serving(embedder, limits=Limits(seconds=0.05)) as served:
        reply = served.rerank(**TEXT)
        assert reply.status_code == 504
        assert "longer than" in reply.json()["message"]
        tei = served.client.post("/rerank", json={"query": "q", "texts": ["a"]})
        assert (tei.status_code, tei.json()["error_type"]) == (504, "Overloaded")
        embedder.open.set()
        assert served.client.get("/health").status_code == 200


def test_what_was_embedded_for_a_request_that_took_too_long_is_there_when_it_comes_again() -> None:
    embedder = GatedEmbedder()
    documents = [f"document {number}" for number in range(10)]
    with serving(embedder, limits=Limits(seconds=0.2)) as served:
        assert served.rerank("a question", documents).status_code == 504
        embedder.open.set()
        while served.rerank("a question", documents).status_code != 200:
            pass
    assert [call for call in embedder.calls if "document 0" in call] == [documents]


def test_health_is_told_at_once_and_the_rest_when_the_embedder_is_loaded() -> None:
    embedder = SlowToLoad()
    with serving(embedder, ready=False) as served:
        assert served.client.get("/health").json() == {"status": "ok"}
        for reply in (served.client.get("/ready"), served.client.get("/v1/models"), served.rerank(**TEXT)):
            assert reply.status_code == 503
            assert reply.headers["retry-after"] == "1"
            assert "still loading" in reply.json()["message"]
        assert served.metric("sift_rag_ready") == 0
        embedder.open.set()
        while served.client.get("/ready").status_code != 200:
            pass
        assert served.rerank(**TEXT).status_code == 200
        assert served.metric("sift_rag_ready") == 1


def test_a_server_whose_embedder_cannot_be_loaded_ends_with_the_reason() -> None:
    class Missing(SlowToLoad):
        def embed_queries(self, texts: object) -> object:  # type: ignore[override]
            raise ModelUnavailable("no such model")

    from sift_rag_server import RunningServer

    with pytest.raises(ModelUnavailable, match="no such model"):
        RunningServer(ServerSettings(port=0), embedder=Missing()).run()


def test_what_was_begun_ends_well_when_the_server_is_stopped() -> None:
    embedder = GatedEmbedder()
    with ThreadPoolExecutor() as others, serving(embedder) as served:
        begun = others.submit(served.rerank, **TEXT)
        assert embedder.arrived.wait(30)
        served.server.stop()
        embedder.open.set()
        assert begun.result().status_code == 200


def test_a_port_that_is_taken_is_told_in_words(served: Served) -> None:
    from sift_rag_server import RunningServer

    port = served.server.port
    with pytest.raises(ConfigurationError) as told:
        RunningServer(ServerSettings(port=port))
    assert str(told.value) == f"Port {port} is in use. Choose another with --port."


def test_an_address_of_another_machine_is_told_once() -> None:
    from sift_rag_server import RunningServer

    with pytest.raises(ConfigurationError) as told:
        RunningServer(ServerSettings(host="192.0.2.1", port=8600, api_key="secret"))
    assert str(told.value) == f"Cannot listen on 192.0.2.1, port 8600: {os.strerror(errno.EADDRNOTAVAIL)}."


def test_a_defect_is_a_500_that_tells_and_logs_no_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sift_rag_server")
    with serving(FailingEmbedder(RuntimeError("broken at s3cr3t"))) as served:
        reply = served.rerank("q", ["s3cr3t"])
    assert reply.status_code == 500
    assert reply.json()["id"] in reply.json()["message"]
    assert "s3cr3t" not in reply.text
    facts = [vars(record).get("facts", {}) for record in caplog.records]
    assert any(fact.get("error") == "RuntimeError" and fact["request"] == reply.json()["id"] for fact in facts)
    assert "s3cr3t" not in str([vars(record) for record in caplog.records])


def test_a_text_that_the_embedder_cannot_take_is_a_422() -> None:
    with serving(FailingEmbedder(ModelUnsuitable("The embedder gave a vector that is not finite."))) as served:
        assert served.rerank(**TEXT).status_code == 422


def test_requests_are_logged_and_counted_by_route_and_not_by_what_they_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "sift_rag_server")
    with serving(api_key=KEY) as served:
        served.rerank("s3cr3t question", ["s3cr3t document", "other"], "/v1/rerank")
        served.client.get("/s3cr3t?s3cr3t")
        metrics = served.client.get("/metrics").text
    told = [vars(record)["facts"] for record in caplog.records if record.message == "request"]
    assert [(fact["route"], fact["status"]) for fact in told] == [
        ("/v1/rerank", 200),
        ("other", 404),
        ("/metrics", 200),
    ]
    assert told[-3]["documents"] == 2
    assert 'sift_rag_requests_total{route="/v1/rerank",status="200"} 1.0' in metrics
    assert "sift_rag_documents_total 2.0" in metrics
    assert "s3cr3t" not in metrics + str(told)
    assert KEY not in metrics + str([vars(record) for record in caplog.records])


def test_repeated_documents_are_embedded_once(served: Served) -> None:
    before = served.metric("sift_rag_embeddings_not_cached_total")
    for _ in range(3):
        served.rerank("a new question", ["a new document", "a second one"])
    assert served.metric("sift_rag_embeddings_not_cached_total") - before == 3
