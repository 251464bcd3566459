"""The time that each door adds to the library's call: ``/v1/search``, MCP over HTTP and stdio, chat completions.

    python -m benchmarks.speed.doors_overhead [--passages 2000] [--runs 100] [--agents 50] [--seconds 10] [--json FILE]

The server is a process of its own, the library's call is made here, on the same collection; every round asks each once,
a new question. What is printed are medians in milliseconds and the median and quartiles of the differences, round by
round; then the processor time of each call, which other work on the machine hardly changes. The language model is an
endpoint that writes the time as its first token. Agents are connections that search without a pause.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from time import clock_gettime, monotonic_ns, perf_counter, process_time
from typing import Any

import psutil

from benchmarks.speed.doors_process import embedder, fill, model
from sift_rag import open_retriever
from sift_rag.answering.assistant import Assistant

ADDED_MS, FIRST_TOKEN_MS = 5.0, 30.0
"""Goals."""

MODERN = "2026-07-28"
HANDSHAKE = "2025-06-18"
JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}

_numbers = count()


def question() -> str:
    return f"word17 word230 word{next(_numbers)} and who pays for it?"


class Connection(HTTPConnection):
    """A connection that is opened anew after a pause, for the server closes an idle one."""

    used = 0.0

    def request(self, *words: Any, **more: Any) -> None:
        if perf_counter() - self.used > 2.0:
            self.close()
        super().request(*words, **more)

    def getresponse(self) -> HTTPResponse:
        self.used = perf_counter()
        return super().getresponse()


@dataclass
class Door:
    """One way to ask, beside the library's call that does the same work."""

    name: str
    ask: Callable[[], object]
    library: str
    process: psutil.Process
    ms: list[float] = field(default_factory=list)
    processor_ms: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.passages:,} passages\n")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, options.passages)
        with (
            child("benchmarks.speed.canned_model") as (_, canned),
            child("benchmarks.speed.doors_process", "http", name, str(canned["port"])) as (server, address),
            child("benchmarks.speed.doors_process", "stdio", name, speaks=False) as (speaker, _),
            closing(Connection("127.0.0.1", address["port"])) as connection,
            open_retriever(folder, embedder=embedder()) as retriever,
        ):
            wait_until_ready(connection)
            assistant = Assistant(retriever, model(str(canned["port"])))
            library: dict[str, Callable[[], object]] = {
                "search": lambda: retriever.retrieve(question()).to_dict(),
                "ask": lambda: assistant.ask(question()).to_dict(),
            }
            doors = [
                Door("/v1/search", lambda: search(connection), "search", server),
                Door(f"/mcp, {MODERN}", lambda: call(connection, MODERN), "search", server),
                Door(f"/mcp, {HANDSHAKE}", lambda: call(connection, HANDSHAKE), "search", server),
                Door("sift-rag mcp", Stdio(speaker).search, "search", speaker),
                Door("/v1/chat/completions", lambda: chat(connection), "ask", server),
            ]
            figures["doors"] = measure(doors, library, options.runs)
            figures["first_token_ms"] = first_tokens(connection, options.runs)
            figures["agents"] = agents(address["port"], server, options.agents, options.seconds)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def measure(doors: Sequence[Door], library: dict[str, Callable[[], object]], runs: int) -> list[dict[str, Any]]:
    for ask in (*library.values(), *(door.ask for door in doors)):
        ask(), ask()  # what is loaded at first use
    library_ms: dict[str, list[float]] = {name: [] for name in library}
    library_processor_ms: dict[str, list[float]] = {name: [] for name in library}
    for _ in range(runs):
        for name, ask in library.items():
            begun = process_time()
            library_ms[name].append(timed(ask))
            library_processor_ms[name].append(1e3 * (process_time() - begun))
        for door in doors:
            used = busy(door.process)
            door.ms.append(timed(door.ask))
            door.processor_ms.append(1e3 * (busy(door.process) - used))
    records = []
    for door in doors:
        record = {
            "door": door.name,
            "library": door.library,
            **compared("", door.ms, library_ms[door.library]),
            **compared("processor_", door.processor_ms, library_processor_ms[door.library]),
        }
        print(as_line(record), flush=True)
        records.append(record)
    return records


def compared(kind: str, ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Return the medians, and the quartiles of the differences of each round."""
    added = [one - other for one, other in zip(ours, theirs, strict=True)]
    return {
        f"door_{kind}ms": median(ours),
        f"library_{kind}ms": median(theirs),
        f"added_{kind}ms": quantiles(added, n=4),
    }


def as_line(record: dict[str, Any]) -> str:
    texts = []
    for kind in ("", "processor_"):
        low, middle, high = record[f"added_{kind}ms"]
        texts.append(
            f"{record[f'door_{kind}ms']:.1f} ms, {record['library']} {record[f'library_{kind}ms']:.1f} ms, "
            f"added {middle:+.1f} [{low:+.1f}, {high:+.1f}]"
        )
    verdict = "within" if record["added_ms"][1] <= ADDED_MS else "BEYOND"
    return f"{record['door']}: {texts[0]}, {verdict} {ADDED_MS:g}; processor: {texts[1]}"


def first_tokens(connection: HTTPConnection, runs: int) -> list[float]:
    late = sorted(first_token(connection) for _ in range(runs))
    verdict = "within" if median(late) <= FIRST_TOKEN_MS else "BEYOND"
    print(
        f"first token after the model's own: {median(late):.1f} ms, {quantiles(late, n=20)[-1]:.1f} at the 95th "
        f"percentile, {verdict} {FIRST_TOKEN_MS:g}"
    )
    return late


def agents(port: int, server: psutil.Process, many: int, seconds: float) -> dict[str, Any]:
    """Measure requests a second and processor time of each. Any error ends the benchmark."""
    figures = {}
    for name, ask in (("/v1/search", search), ("/mcp", lambda connection: call(connection, HANDSHAKE))):
        for clients in (1, many):
            used = busy(server)
            rate = throughput(port, ask, clients, seconds)
            cost = 1e3 * (busy(server) - used) / (rate * seconds)
            figures[f"{name}, {clients}"] = {"rate": rate, "processor_ms": cost}
            print(f"{clients} at {name}: {rate:.1f} searches a second, {cost:.1f} ms of processor each, no error")
    return figures


def throughput(port: int, ask: Callable[[HTTPConnection], object], clients: int, seconds: float) -> float:
    until = perf_counter() + seconds

    def client(_: int) -> int:
        done = 0
        with closing(Connection("127.0.0.1", port)) as connection:
            while perf_counter() < until:
                ask(connection)
                done += 1
        return done

    started = perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(client, range(clients))) / (perf_counter() - started)


def search(connection: HTTPConnection) -> Any:
    return post(connection, "/v1/search", {"query": question()}, JSON)


def chat(connection: HTTPConnection) -> Any:
    reply = post(connection, "/v1/chat/completions", chat_body(stream=False), JSON)
    return reply["choices"][0]["message"]["content"]


def chat_body(*, stream: bool) -> dict[str, Any]:
    return {"model": "sift", "stream": stream, "messages": [{"role": "user", "content": question()}]}


def first_token(connection: HTTPConnection) -> float:
    """Return the milliseconds from when the model wrote its first token to when it was here."""
    connection.request("POST", "/v1/chat/completions", json.dumps(chat_body(stream=True)), JSON)
    reply = connection.getresponse()
    late = None
    while line := reply.readline():
        if late is None and line.startswith(b"data: {"):
            now = monotonic_ns()
            if text := json.loads(line[6:])["choices"][0]["delta"].get("content"):
                late = 1e-6 * (now - int(text))
    if late is None:
        raise RuntimeError("There was no token.")
    return late


def call(connection: HTTPConnection, version: str) -> Any:
    """Search by a call of a tool, in one of the protocol's two eras."""
    asked, headers = message(version), {**JSON, "mcp-protocol-version": version}
    if version == MODERN:
        headers |= {"mcp-method": "tools/call", "mcp-name": "search"}
    return checked(post(connection, "/mcp", asked, headers))


def message(version: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {"name": "search", "arguments": {"questions": [question()]}}
    if version == MODERN:
        parameters["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}


def checked(reply: Any) -> Any:
    if reply["result"]["isError"]:
        raise RuntimeError(str(reply))
    return reply["result"]["structuredContent"]


def post(connection: HTTPConnection, path: str, body: object, headers: dict[str, str]) -> Any:
    connection.request("POST", path, json.dumps(body), headers)
    reply = connection.getresponse()
    content = reply.read()
    if reply.status != 200:
        raise RuntimeError(f"{reply.status}: {content!r}")
    return json.loads(content)


class Stdio:
    """A client of an MCP server over its input and output."""

    def __init__(self, process: psutil.Popen) -> None:
        self._process = process
        client = {"name": "benchmark", "version": "1"}
        self._ask("initialize", {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": client})
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def search(self) -> Any:
        return checked(self._ask("tools/call", message(HANDSHAKE)["params"]))

    def _ask(self, method: str, parameters: dict[str, Any]) -> Any:
        self._send({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        while "id" not in (reply := json.loads(self._process.stdout.readline())):
            pass
        return reply

    def _send(self, sent: dict[str, Any]) -> None:
        self._process.stdin.write(json.dumps(sent) + "\n")
        self._process.stdin.flush()


def timed(call: Callable[[], object]) -> float:
    started = perf_counter()
    call()
    return 1e3 * (perf_counter() - started)


def busy(process: psutil.Process) -> float:
    """Seconds of processor that it has used."""
    if sys.platform == "linux":
        return clock_gettime((~process.pid << 3) | 2)  # as clock_getcpuclockid has it, to the nanosecond
    used = process.cpu_times()
    return float(used.user + used.system)


@contextmanager
def child(module: str, *words: str, speaks: bool = True) -> Iterator[tuple[psutil.Popen, Any]]:
    """Run a module: the process, and the JSON of the first line that it prints if it speaks."""
    process = psutil.Popen(
        [sys.executable, "-m", module, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process, json.loads(process.stdout.readline()) if speaks else None
    finally:
        process.terminate()
        process.communicate()


def wait_until_ready(connection: HTTPConnection) -> None:
    status = 0
    while status != 200:
        connection.request("GET", "/ready")
        reply = connection.getresponse()
        reply.read()
        status = reply.status


if __name__ == "__main__":
    main()
