"""Make the pictures of the server's page: ``docs/assets/page-light.png`` and ``page-dark.png``.

    python scripts/make_screenshots.py

Serves ``examples/handbook`` on this machine and takes the pictures with Chromium. Needs Playwright (extra ``dev``).
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode

from playwright.sync_api import Browser, sync_playwright

from sift_rag import ingest_paths
from sift_rag_server import RunningServer, ServerSettings

ROOT = Path(__file__).parent.parent
ASSETS = ROOT / "docs" / "assets"
QUESTION = "What does the company pay for on a business trip?"
SIZE = {"width": 1200, "height": 860}


def take(browser: Browser, url: str, scheme: str) -> None:
    """Take the picture of one colour scheme."""
    page = browser.new_page(viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(f"{url}/#/ask?{urlencode({'q': QUESTION, 'k': 4})}")
    page.get_by_role("heading", name="SIFT").first.wait_for()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=ASSETS / f"page-{scheme}.png")
    page.close()


def main() -> None:
    """Take both pictures."""
    with tempfile.TemporaryDirectory() as folder:
        ingest_paths([ROOT / "examples" / "handbook"], store=folder)
        server = RunningServer(ServerSettings(port=0, store=folder))
        serving = Thread(target=server.run)
        serving.start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                for scheme in ("light", "dark"):
                    take(browser, server.url, scheme)
                browser.close()
        finally:
            server.stop()
            serving.join()


if __name__ == "__main__":
    main()
