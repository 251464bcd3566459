"""A server over a small collection, and a page of the system's Chromium in which no script may fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sift_rag import ingest_paths
from tests.doubles import HashingEmbedder
from tests.http.serving import Served, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DOCUMENTS = {
    "shop/refunds.md": "# Refunds\n\nYou can return a lamp within thirty days. A refund needs the receipt.\n",
    "shop/old/refunds.md": "# Refunds\n\nYou can return a lamp within thirty days. A refund needs the receipt.\n",
    "shop/faq.md": "# Questions\n\nYou can return a lamp within thirty days. A refund needs your receipt.\n",
    "shop/shipping.md": "# Shipping\n\nWe send the lamp back to you if the receipt is missing.\n",
    "shop/repairs.md": "# Repairs\n\nA broken lamp is repaired free of charge for two years.\n",
    "shop/opening.md": "---\nkind: hours\n---\n# Opening hours\n\nThe shop opens at nine, except on Sundays.\n",
    "shop/hostile.md": (
        "# A <img src=x onerror=alert(1)> lamp\n\nReturn <script>alert('lamp')</script> the \u202egnihton\u202c lamp.\n"
    ),
}


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few documents of a shop, two of them copies, in the collection ``documents``."""
    folder = tmp_path_factory.mktemp("documents")
    for name, text in DOCUMENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    path = tmp_path_factory.mktemp("store")
    ingest_paths([folder / "shop"], store=path, embedder=HashingEmbedder())
    return path


@pytest.fixture(scope="session")
def server(store: Path) -> Iterator[Served]:
    """A server on loopback, without a key and without a language model."""
    with serving(store=store, idle_seconds=0) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, without a window. Its event loop ends with the module, for no other can run beside it."""
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    missing = "Playwright" if find_spec("playwright") is None else "Chromium" if executable is None else None
    if missing:
        told = f"{missing} is not installed: the page is not tested in a browser."
        if os.environ.get("SIFT_RAG_TEST_BROWSER") == "required":
            pytest.fail(told)
        pytest.skip(told)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page 1,400 pixels wide. At the end, no script may have failed, and nothing refused by the policy."""
    with watched_page(browser) as opened:
        yield opened


class watched_page:  # noqa: N801 - a context manager, used like a function
    """A page in a context of its own, whose errors fail the test. Responses such as 401 are no errors."""

    def __init__(self, browser: Browser, *, width: int = 1400, height: int = 900, scheme: str = "light") -> None:
        self._context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        self._context.set_default_timeout(10_000)
        self._errors: list[str] = []

    def __enter__(self) -> Page:
        page = self._context.new_page()
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("console", self._note)
        return page

    def _note(self, message: object) -> None:
        text = str(getattr(message, "text", ""))
        if getattr(message, "type", "") == "error" and "Failed to load resource" not in text:
            self._errors.append(text)

    def __exit__(self, *_: object) -> None:
        self._context.close()
        assert self._errors == []
