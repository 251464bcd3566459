"""The length of this folder's tests: short with all the others, long with ``make soak``.

SIFT_RAG_TEST_SOAK   how many times as long; 1 if not set, 10 by `make soak`, 50 by `make soak SOAK=50`
SIFT_RAG_TEST_SEED   with which seed; 0 if not set. Each failure names it.
"""

from __future__ import annotations

import os

SOAK = int(os.environ.get("SIFT_RAG_TEST_SOAK", "1"))
SEED = int(os.environ.get("SIFT_RAG_TEST_SEED", "0"))
