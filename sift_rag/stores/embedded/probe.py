"""Let a child process read a shard whole before this one does: damaged files can kill or stop the process that reads.

Run as ``python -m sift_rag.stores.embedded.probe FOLDER``, it loads the shard and reads every point.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from sift_rag.errors import StoreDamaged, StoreError, StoreFull

_LEAST_SECONDS = 60.0
_BYTES_PER_SECOND = 5e6
"""Bytes on disk that a child reads per second at the very least; one that needs longer is taken to hang."""
_DAMAGED, _FULL = 3, 4
"""Exit codes of the child."""


def probe_shard(folder: Path) -> str | None:
    """Return None if a shard can be read to its end, else the reason why it cannot, as a clause.

    The shard must not be open. Takes about a second, and 30 µs per passage.
    """
    package = Path(__file__).parents[3]
    paths = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")]))
    try:
        child = subprocess.run(  # noqa: S603 - this Python, on a module of our own
            [sys.executable, "-m", __name__, str(folder)],
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_seconds(folder),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "the search engine does not come to an end reading it"
    if child.returncode in {0, _FULL}:
        return None  # a full disk is told when it is opened
    if child.returncode == _DAMAGED:
        return child.stdout.strip() or "it cannot be read"
    return f"the search engine crashed reading it ({_ending(child.returncode)})"


def _seconds(folder: Path) -> float:
    blocks = sum(file.stat().st_blocks for file in folder.rglob("*") if file.is_file())
    return _LEAST_SECONDS + 512 * blocks / _BYTES_PER_SECOND


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"


def _main(folder: Path) -> int:
    from sift_rag.stores.embedded.engine import load_shard

    try:
        shard = load_shard(folder, "It")
        for _ in shard.points():
            pass
        shard.close()
    except StoreFull:
        return _FULL
    except (StoreDamaged, StoreError) as error:
        sys.stdout.write(str(error))
        return _DAMAGED
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1])))
