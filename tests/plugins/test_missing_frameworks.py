"""A framework that is not installed is named with the line that installs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCKED = """
import sys
sys.modules["{module}"] = None  # as if it were not installed
from sift_rag.errors import MissingExtra
try:
    import {plugin}
except MissingExtra as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugin", "module", "extra"),
    [
        ("sift_rag_langchain", "langchain_core", "langchain"),
        ("sift_rag_llama_index", "llama_index", "llama-index"),
        ("sift_rag_haystack", "haystack", "haystack"),
    ],
)
def test_a_missing_framework_is_named_with_its_pip_line(plugin: str, module: str, extra: str) -> None:
    code = BLOCKED.format(plugin=plugin, module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"pip install 'sift-rag[{extra}]'" in done.stdout
