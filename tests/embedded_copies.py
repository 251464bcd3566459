"""Copies of embedded collections: making a durable one takes a hundred times as long as copying its files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def copy_store(source: Path, target: Path) -> None:
    """Copy a folder of closed collections, or one of them."""
    shutil.copytree(source, target, copy_function=copy_sparse, dirs_exist_ok=True)


def copy_sparse(source: str, target: str) -> None:
    """Copy a file without its holes: the engine's files are long and mostly hole."""
    with Path(source).open("rb") as old, Path(target).open("wb") as new:
        size = os.fstat(old.fileno()).st_size
        new.truncate(size)
        start = 0
        while (start := _next_data(old.fileno(), start, size)) < size:
            end = os.lseek(old.fileno(), start, os.SEEK_HOLE)
            old.seek(start)
            new.seek(start)
            new.write(old.read(end - start))
            start = end


def _next_data(file: int, start: int, size: int) -> int:
    try:
        return os.lseek(file, start, os.SEEK_DATA)
    except OSError:  # none follows
        return size
