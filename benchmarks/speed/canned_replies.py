"""A server that answers every query with the same bytes, in no time: what is measured against it is the client.

    python -m benchmarks.speed.canned_replies POINTS DIMENSION

Prints its two ports as JSON and answers until its input ends. It is no Qdrant: it reads no request.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import grpc
import numpy as np
from qdrant_client import grpc as messages
from qdrant_client import models
from qdrant_client.conversions.conversion import RestToGrpc

from benchmarks.common.turns import unit_rows
from sift_rag.stores.payloads import payload_of
from sift_rag.types import Passage, Span

TEXT = "a passage of about as many words as a window of the default splitter holds, told in plain prose; " * 8


def points(count: int, dimension: int) -> list[models.ScoredPoint]:
    """Make points as sift-rag stores them: 0.8 kB of text, its payload, and a unit vector each."""
    rows = unit_rows(count, dimension, 0)
    return [
        models.ScoredPoint(
            id=(identifier := str(uuid5(NAMESPACE_URL, str(rank)))),
            version=0,
            score=float(np.float32(1 - rank / 1000)),
            payload=payload_of(Passage(identifier, TEXT, f"folder/file{rank}.md", Span(rank, rank + 1))),
            vector=row.tolist(),
        )
        for rank, row in enumerate(rows)
    ]


def rest_replies(found: list[models.ScoredPoint]) -> tuple[bytes, bytes]:
    """Encode the points as REST replies to a query, and to a batch of one."""
    answer = {"points": [point.model_dump(mode="json") for point in found]}
    single, batch = (json.dumps({"result": one, "status": "ok", "time": 0.0}).encode() for one in (answer, [answer]))
    return single, batch


def grpc_replies(found: list[models.ScoredPoint]) -> tuple[bytes, bytes]:
    """Encode the points as gRPC replies to a query, and to a batch of one."""
    scored = [RestToGrpc.convert_scored_point(point) for point in found]
    single = messages.QueryResponse(result=scored)
    batch = messages.QueryBatchResponse(result=[messages.BatchResult(result=scored)])
    return single.SerializeToString(), batch.SerializeToString()


class _Rest(ThreadingHTTPServer):
    daemon_threads = True
    replies: tuple[bytes, bytes]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Rest

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        reply = self.server.replies[self.path.split("?")[0].endswith("/batch")]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing."""


def main() -> None:
    found = points(int(sys.argv[1]), int(sys.argv[2]))
    rest = _Rest(("127.0.0.1", 0), _Handler)
    rest.replies = rest_replies(found)
    Thread(target=rest.serve_forever, daemon=True).start()
    single, batch = grpc_replies(found)
    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(lambda *_, reply=reply: reply)
        for name, reply in (("Query", single), ("QueryBatch", batch))
    }
    rpc = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_send_message_length", -1)])
    rpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("qdrant.Points", handlers),))
    grpc_port = rpc.add_insecure_port("127.0.0.1:0")
    rpc.start()
    print(json.dumps({"port": rest.server_port, "grpc_port": grpc_port}), flush=True)
    sys.stdin.read()
    rpc.stop(None).wait()
    rest.shutdown()


if __name__ == "__main__":
    main()
