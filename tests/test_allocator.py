"""A thread that works on arrays of one size again and again finds their memory still there."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

WORK = """
import resource, sys, threading
import numpy as np
from sift_rag.allocator import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

def request():
    arrays = [np.ones(size) for size in (50_000, 60_000, 70_000)]
    return sum(array.sum() for array in arrays)

def requests():
    for _ in range(20):
        request()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        request()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=requests)
thread.start()
thread.join()
"""


def page_faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", WORK, how], capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="Only glibc's allocator has these settings.")
def test_kept_memory_is_not_taken_from_the_system_again() -> None:
    assert page_faults("kept") < page_faults("given back") / 10
