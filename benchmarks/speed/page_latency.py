"""Time and weight of the server's page in a browser, over a collection of random vectors.

python -m benchmarks.speed.page_latency [--passages 50000] [--moves 60]

A move sets the slider of repetition to a value that it has not had for this question, and waits until the reply is
painted. Needs Playwright and Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from benchmarks.common.turns import unit_rows
from sift_rag import defaults
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.store import create_collection
from sift_rag.types import CollectionInfo, Embedding, Passage, Span, passage_id
from sift_rag_server import RunningServer, ServerSettings

DIMENSION = 384
BATCH = 1000
WORDS = 120
QUESTIONS = (
    "word17 word230 word4 and who pays for it?",
    "word5 or word81?",
    "why word12 and not word9?",
    "word33, word2?",
)

MOVE = """
async (value) => {
  const slider = document.querySelector("#spread");
  const painted = new Promise((resolve) => {
    const results = document.querySelector(".ask-results");
    const watch = new MutationObserver(() => {
      if (results.hasAttribute("aria-busy")) return;
      watch.disconnect();
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
    });
    watch.observe(results, { attributeFilter: ["aria-busy"] });
  });
  const begun = performance.now();
  slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  return (await painted) - begun;
}
"""
WEIGHT = """
() => [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")]
  .filter((entry) => !entry.name.includes("/page/choice")).map((entry) => entry.encodedBodySize)
"""


def text(draw: np.random.Generator) -> str:
    return " ".join(f"word{number}" for number in draw.zipf(1.3, WORDS).clip(max=20_000))


def passage(number: int, draw: np.random.Generator) -> Passage:
    made = Passage("", f"{number} {text(draw)}", f"folder/file{number // 20}.md", Span(number, number + 1))
    return Passage(str(passage_id(made, 0)), made.text, made.source, made.span)


def fill(folder: Path, rows: Embedding, made: Callable[[int, np.random.Generator], Passage] = passage) -> None:
    """Make a collection of one passage for each row."""
    draw = np.random.default_rng(0)
    info = CollectionInfo(defaults.COLLECTION, defaults.EMBEDDER, DIMENSION, SCHEMA_VERSION)
    store = create_collection(folder, info)
    for start in range(0, len(rows), BATCH):
        stop = min(start + BATCH, len(rows))
        store.upsert([made(number, draw) for number in range(start, stop)], rows[start:stop])
    store.close()


def measured(url: str, moves: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(url)
        page.wait_for_selector("#question")
        page.goto("about:blank")
        page.goto(url)
        page.wait_for_selector("#question")
        first = page.evaluate("performance.now()")
        weight = page.evaluate(WEIGHT)
        values = [value for value in range(-10, 11) if value]
        times = []
        for question in islice(cycle(QUESTIONS), -(-moves // len(values))):
            page.locator("#spread").fill("0")
            page.fill("#question", question)
            with page.expect_response("**/page/choice"):
                page.keyboard.press("Enter")
            page.wait_for_selector(".ask-results:not([aria-busy]) .ask-columns", timeout=60_000)
            times += [page.evaluate(MOVE, value) for value in values]
        browser.close()
    return {"first_ms": first, "bytes": sum(weight), "files": len(weight), "times": times[:moves]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=50_000)
    parser.add_argument("--moves", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), unit_rows(arguments.passages, DIMENSION, 0))
        server = RunningServer(ServerSettings(port=0, store=folder))
        thread = Thread(target=server.run)
        thread.start()
        try:
            found = measured(server.url, arguments.moves)
        finally:
            server.stop()
            thread.join()
    low, middle, high = np.percentile(found["times"], [5, 50, 95])
    print(f"page: {found['bytes'] / 1e3:.0f} kB in {found['files']} files; first view after {found['first_ms']:.0f} ms")
    print(
        f"slider to new picture, {arguments.passages:,} passages: median {middle:.0f} ms, p5 {low:.0f}, p95 {high:.0f}"
    )


if __name__ == "__main__":
    main()
