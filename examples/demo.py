"""The whole way on one page: documents -> passages -> vectors -> joint selection -> prompt.

The corpus is on every machine: Python's language reference, as the standard library carries it for ``help()``.
Run it with ``make demo``. It writes only below ``.demo/`` in the working directory.
"""

from __future__ import annotations

from pathlib import Path

HOME = Path(".demo")
CORPUS = HOME / "python-reference"
STORE = HOME / "store"
QUESTION = (
    "When does a name in a nested function or class body refer to the enclosing scope, and how can it be rebound?"
)
