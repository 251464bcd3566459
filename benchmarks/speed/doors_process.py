"""A server over a collection of random vectors, as a process of its own: its questions cost next to nothing to embed.

    python -m benchmarks.speed.doors_process {http,stdio} FOLDER [MODEL_PORT]

``http`` prints its port; ``stdio`` speaks MCP over its input and output.
"""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path

import numpy as np

from benchmarks.common.turns import unit_rows
from benchmarks.speed.canned_model import NAME
from benchmarks.speed.page_latency import passage
from sift_rag import defaults
from sift_rag.embedders.functions import FunctionEmbedder
from sift_rag.models.remote import RemoteModel
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.store import create_collection
from sift_rag.types import CollectionInfo

DIMENSION = 384


def row(text: str) -> np.ndarray:
    return unit_rows(1, DIMENSION, zlib.crc32(text.encode()))[0]


def embedder() -> FunctionEmbedder:
    return FunctionEmbedder(row, lambda texts: [row(text) for text in texts], name="random")


def model(port: str) -> RemoteModel:
    return RemoteModel(NAME, f"http://127.0.0.1:{port}/v1")


def fill(folder: Path, size: int) -> None:
    draw = np.random.default_rng(0)
    store = create_collection(folder, CollectionInfo(defaults.COLLECTION, "random", DIMENSION, SCHEMA_VERSION))
    store.upsert([passage(number, draw) for number in range(size)], unit_rows(size, DIMENSION, 0))
    store.close()


def serve(folder: Path, model_port: str) -> None:
    from sift_rag_server import RunningServer, ServerSettings
    from sift_rag_server.logs import log_as_json_lines

    log_as_json_lines()
    settings = ServerSettings(port=0, store=folder, language_model=model(model_port))
    server = RunningServer(settings, embedder=embedder())
    print(json.dumps({"port": server.port}), flush=True)
    server.run()


def speak(folder: Path) -> None:
    from sift_rag_mcp import McpSettings, create_server

    create_server(McpSettings(store=folder, embedder=embedder(), read_only=True)).run("stdio")


if __name__ == "__main__":
    if sys.argv[1] == "http":
        serve(Path(sys.argv[2]), sys.argv[3])
    else:
        speak(Path(sys.argv[2]))
