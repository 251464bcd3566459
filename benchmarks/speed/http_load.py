"""`sift-rag serve` on loopback: time of a request, many clients against one, memory.

    python -m benchmarks.speed.http_load [--clients 50] [--seconds 60] [--json FILE]

The server is a process of its own with the default embedder. Asked are 200 documents (windows of 60 words of this
project's documentation) whose embeddings it holds; a *new* question must be embedded, a *known* one was asked before.
Throughput: so many clients, each with a connection and a new question at every request, against one client; the runs
take turns. The figures are wall times of a machine shared with others: read them beside its load, which is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, sleep
from urllib.parse import urlsplit

import psutil

DOCUMENTS = 200
WORDS = 60
ROUNDS = 3
FOLDER = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the soak")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    documents = passages()
    results: dict[str, object] = {"load_average": os.getloadavg()[0], "cores": os.cpu_count()}
    with server() as (process, port, startup):
        results["seconds_until_health"], results["seconds_until_ready"] = startup
        with closing(HTTPConnection("127.0.0.1", port)) as connection:
            ask(connection, body(documents, 0, 10))
            numbers = count(1)
            for name, top_n, known, sift in (
                ("known question, 10 best", 10, True, None),
                ("the same, by embeddings alone", 10, True, {"settings": {"words": 0.0, "follow": 0.0}}),
                ("known question, all", None, True, None),
                ("new question, 10 best", 10, False, None),
                ("new question, all", None, False, None),
            ):
                asked = (body(documents, 0 if known else next(numbers), top_n, sift) for _ in range(100))
                times = [timed(connection, content) for content in asked]
                results[name] = spread(times)
                print(f"{name}: p50 {median(times):.1f} ms, p90 {quantiles(times, n=10)[-1]:.1f} ms")
        runs: dict[int, list[tuple[float, float]]] = {1: [], options.clients: []}
        for clients in (1, options.clients) * ROUNDS:
            used = busy(process)
            rate = throughput(port, documents, numbers, clients=clients, seconds=10.0)
            runs[clients].append((rate, 1e3 * (busy(process) - used) / (10.0 * rate)))
        for clients, measured in runs.items():
            rates, costs = zip(*measured, strict=True)
            print(f"{clients} clients: {figures(rates)} requests a second, {figures(costs)} ms of processor each")
        (one, one_costs), (many, costs) = (zip(*measured, strict=True) for measured in runs.values())
        results["throughput"] = runs
        print(f"ratio of the medians: {median(many) / median(one):.2f}, ", end="")
        print(f"of the processor's time {median(one_costs) / median(costs):.2f}")
        results["soak"] = soak(process, port, documents, numbers, options.clients, options.seconds)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


def passages() -> list[str]:
    """Cut the project's documents into windows of words, all different."""
    files = [*sorted(FOLDER.glob("docs/**/*.md")), *sorted(FOLDER.glob("benchmarks/**/*.md")), FOLDER / "README.md"]
    text = " ".join(path.read_text(encoding="utf-8") for path in files)
    words = text.split()
    return [" ".join(words[start : start + WORDS]) for start in range(0, DOCUMENTS * WORDS, WORDS)][:DOCUMENTS]


def body(documents: Sequence[str], number: int, top_n: int | None, sift: object = None) -> bytes:
    question = f"What was measured in experiment {number}, and what did it change?"
    more = {} if sift is None else {"sift": sift}
    return json.dumps({"query": question, "documents": documents, "top_n": top_n, **more}).encode()


def ask(connection: HTTPConnection, content: bytes) -> None:
    connection.request("POST", "/v2/rerank", content, {"content-type": "application/json"})
    reply = connection.getresponse()
    if reply.status != 200:
        raise RuntimeError(f"{reply.status}: {reply.read()!r}")
    reply.read()


def timed(connection: HTTPConnection, content: bytes) -> float:
    """Return the milliseconds of one request."""
    started = perf_counter()
    ask(connection, content)
    return 1e3 * (perf_counter() - started)


def throughput(port: int, documents: Sequence[str], numbers: Iterator[int], *, clients: int, seconds: float) -> float:
    """Return the requests a second, each with a question of its own."""
    until = perf_counter() + seconds

    def client(_: int) -> int:
        done = 0
        with closing(HTTPConnection("127.0.0.1", port)) as connection:
            while perf_counter() < until:
                ask(connection, body(documents, next(numbers), 10))
                done += 1
        return done

    started = perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(client, range(clients))) / (perf_counter() - started)


def busy(process: psutil.Process) -> float:
    """Seconds of processor that it and its processes have used."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def soak(
    process: psutil.Process, port: int, documents: Sequence[str], numbers: Iterator[int], clients: int, seconds: float
) -> dict[str, object]:
    """Measure the server's memory while all clients ask; any error ends the benchmark."""
    memory = [process.memory_info().rss]
    with ThreadPoolExecutor(1) as pool:
        rate = pool.submit(throughput, port, documents, numbers, clients=clients, seconds=seconds)
        while not rate.done():
            sleep(min(1.0, seconds / 20))
            memory.append(process.memory_info().rss)
    megabytes = [round(value / 2**20, 1) for value in memory]
    quarter = max(1, len(megabytes) // 4)
    first, last = median(megabytes[quarter : 2 * quarter]), median(megabytes[-quarter:])
    print(f"soak of {seconds:.0f} s: {rate.result() * seconds:.0f} requests, no error; ", end="")
    print(f"memory {megabytes[0]} MiB before, {first} MiB in its second quarter, {last} MiB in its last")
    return {"requests": round(rate.result() * seconds), "megabytes": megabytes}


@contextmanager
def server() -> Iterator[tuple[psutil.Process, int, tuple[float, float]]]:
    """Start a server: its process, its port, and the seconds until it answered and until it was ready."""
    command = [
        sys.executable,
        "-c",
        "from sift_rag_cli.app import main; main()",
        "serve",
        "--port",
        "0",
        "--timeout",
        "600",
    ]
    started = perf_counter()
    process = psutil.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        port = urlsplit(json.loads(process.stderr.readline())["url"]).port
        # what it logs must be read, or it waits for that
        with ThreadPoolExecutor(1) as pool:
            pool.submit(process.stderr.read)
            try:
                seconds = (until(port, "/health", started), until(port, "/ready", started))
                print(f"startup: answers after {seconds[0]:.1f} s, ready after {seconds[1]:.1f} s")
                yield process, port, seconds
            finally:
                process.terminate()
    finally:
        process.wait()


def until(port: int, path: str, started: float) -> float:
    """Return the seconds from ``started`` until the path answers with 200."""
    while True:
        with closing(HTTPConnection("127.0.0.1", port)) as connection:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return perf_counter() - started
        sleep(0.02)


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"p10": quantiles(values, n=10)[0], "p50": median(values), "p90": quantiles(values, n=10)[-1]}


def figures(values: Sequence[float]) -> str:
    return f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
