"""Copy files with their holes."""

from __future__ import annotations

import os
from pathlib import Path


def copy_sparse(source: str, target: str) -> None:
    """Copy a file without its holes: the engine's files are 186 MB of them, which would all be read again and again."""
    with Path(source).open("rb", buffering=0) as old, Path(target).open("wb", buffering=0) as new:
        size, place = os.fstat(old.fileno()).st_size, 0
        new.truncate(size)
        while place < size:
            try:
                place = os.lseek(old.fileno(), place, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                return
            end = os.lseek(old.fileno(), place, os.SEEK_HOLE)
            old.seek(place)
            new.seek(place)
            new.write(old.read(end - place))
            place = end
