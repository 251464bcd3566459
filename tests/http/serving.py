"""A server on a loopback port while a block runs, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

import httpx

from sift_rag.protocols import Embedder
from sift_rag_server import RunningServer, ServerSettings
from tests.doubles import HashingEmbedder


@dataclass(frozen=True)
class Served:
    """A server that answers, and a client with its address."""

    server: RunningServer
    client: httpx.Client
    bare: httpx.Client
    """A client that sends no key."""
    embedder: Embedder

    @property
    def url(self) -> str:
        return self.server.url

    def rerank(self, query: object, documents: object, path: str = "/v2/rerank", **more: object) -> httpx.Response:
        return self.client.post(path, json={"query": query, "documents": documents, **more})

    def metric(self, name: str) -> float:
        """The value of a metric without labels, or of all its labels together."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name)


@contextmanager
def serving(embedder: Embedder | None = None, *, ready: bool = True, **settings: Any) -> Iterator[Served]:
    """Serve on a free port; with ``ready`` from when the embedder is loaded."""
    embedder = embedder or HashingEmbedder()
    server = RunningServer(ServerSettings(port=0, **settings), embedder=embedder)
    thread = Thread(target=server.run)
    thread.start()
    key = settings.get("api_key")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        # verify=False: certificates are not loaded, which takes longer than most requests
        with (
            httpx.Client(base_url=server.url, headers=headers, timeout=30, verify=False) as client,
            httpx.Client(base_url=server.url, timeout=30, verify=False) as bare,
        ):
            while ready and client.get("/ready").status_code != 200:
                assert server.service.failure is None
            yield Served(server, client, bare, embedder)
    finally:
        server.stop()
        thread.join()
