"""``sift-rag ui`` as a process, with a browser that only notes which page it was sent to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.slow


def test_it_serves_the_page_and_opens_it(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{noted}"\n')
    browser.chmod(0o700)
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from sift_rag_cli.app import main; main()",
            "ui",
            "--port",
            "0",
            "-s",
            tmp_path / "none",
        ],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "BROWSER": f"{browser} %s"},
        cwd=tmp_path,
    )
    assert process.stderr is not None
    try:
        found = re.search(r"The page is at (http://\S+/)", process.stderr.readline())
        assert found
        assert process.stderr.readline()  # the log begins: the browser was called
        assert httpx.get(found[1]).headers["content-type"].startswith("text/html")
        assert noted.read_text().strip() == found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
