"""``seal.json``: what the files of a collection were when it was closed, to find damage before the engine meets it.

The engine does not check its files: some damage kills the process, some is passed over in silence. So closing notes the
size of each of its files, and a checksum of all but the large ones: those hold texts and vectors, which ``check`` reads
passage by passage, and, in a large collection, their indexes, which would take seconds at each opening. Opening
compares and removes the seal: a process that is killed leaves none, and nothing is compared then.

A seal holds the words of the lock file, which every process that opens the collection rewrites. So one that an earlier
release has left behind, which knows no seals, is not mistaken for a current one.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING
from zlib import crc32

from sift_rag.errors import Remedy, StoreDamaged
from sift_rag.stores.embedded.locking import is_locked
from sift_rag.stores.embedded.manifest import SHARD, os_errors
from sift_rag.stores.embedded.readers import LOG, stored_parts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SEAL = "seal.json"

_CHECKED_BYTES = 4 * 2**20
"""Bytes on disk up to which any file is checksummed."""
_PAGE = 4096
_VERSION = 1
"""Version of what a seal says; another one is ignored."""


def write_seal(folder: Path, words: str) -> None:
    """Note the state of the files of a collection whose shard is closed.

    Args:
        folder: the collection's, whose lock the caller holds.
        words: the words of the lock file.
    """
    content = {"version": _VERSION, "lock": words, "files": _state(folder / SHARD, durable=True)}
    draft = folder / f"{SEAL}.draft"
    with os_errors(draft):
        draft.write_text(json.dumps(content), encoding="utf-8")
        draft.replace(folder / SEAL)


def is_sealed(folder: Path, signed: str) -> bool:
    """Return True if the collection was closed properly by the process whose words these are, the last writer."""
    return _read(folder / SEAL, signed) is not None


def check_seal(folder: Path, label: str, signed: str) -> bool:
    """Compare the files of a collection with its seal; return True if there is a valid one.

    Args:
        folder: the collection's, to which nobody writes.
        label: the collection, for the message.
        signed: words of the lock file, as the last writer left them.

    Raises:
        StoreDamaged: a file is not what it was.
    """
    sealed = _read(folder / SEAL, signed)
    if sealed is None:
        return False
    found = _state(folder / SHARD, like=sealed)
    changed = next((name for name, state in sorted(sealed.items()) if found.get(name) != state), None)
    if changed is None:
        return True
    if is_locked(folder / SHARD / LOG):
        return False  # another program runs the engine on it, which the engine will say
    raise StoreDamaged(
        f"{label} is damaged: {folder / SHARD / changed} {_change(sealed[changed], found.get(changed))}.",
        remedy=Remedy("check-or-reindex"),
    )


def break_seal(folder: Path, label: str, signed: str) -> bool:
    """Compare the files of a collection with its seal and remove that; return True if there was a valid one.

    Args:
        folder: the collection's, whose lock the caller holds.
        label: the collection, for the message.
        signed: words of the lock file before the caller took it.

    Raises:
        StoreDamaged: a file is not what it was. The seal stays.
    """
    was_sealed = check_seal(folder, label, signed)
    if not was_sealed and is_locked(folder / SHARD / LOG):
        return False
    with os_errors(folder), suppress(FileNotFoundError):
        (folder / SEAL).unlink()
    return was_sealed


def _read(path: Path, signed: str) -> dict[str, list[int]] | None:
    """Return the states of the files in a seal; None if there is no valid one."""
    try:
        content = json.loads(path.read_bytes())
        if not signed or (content["version"], content["lock"]) != (_VERSION, signed):
            return None
        return {str(name): [int(number) for number in state] for name, state in content["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # the seal itself may be damaged


def _state(shard: Path, *, like: Mapping[str, list[int]] | None = None, durable: bool = False) -> dict[str, list[int]]:
    """Return size and, unless it is large, checksum of each file under ``shard``, by its path there.

    With ``like``, the files that have a checksum there get one, however much room they take now: the file system may
    have moved a file, and a copy may store zeros that the original leaves out. With ``durable``, what is checksummed is
    on the disk, so that no power failure makes the seal a false alarm.
    """
    states: dict[str, list[int]] = {}
    for base, _, names in os.walk(shard):
        for name in names:
            path = os.path.join(base, name)  # noqa: PTH118 - hundreds of files, at each opening
            status = os.stat(path)  # noqa: PTH116
            relative = os.path.relpath(path, shard)
            states[relative] = [status.st_size]
            if like is not None:
                checked = len(like.get(relative, ())) > 1
            else:
                checked = 512 * status.st_blocks <= _CHECKED_BYTES or not _is_large(name)
            if checked:
                states[relative].append(_checksum(path, durable=durable))
    return states


def _is_large(name: str) -> bool:
    """Return True for files that grow with the texts, the vectors and their indexes, and for the log."""
    grows = name.endswith((".mmap", ".dat", ".bin")) or name.startswith("id_tracker.")
    return (grows and name != "tracker.dat") or name.startswith("open-")


def _checksum(path: str, *, durable: bool) -> int:
    """Return a CRC-32 of a file's pages that are not all zero: copies may store zeros that the original leaves out."""
    checksum = 0
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if durable:
            os.fsync(descriptor)
        end = os.fstat(descriptor).st_size
        for start, stop in stored_parts(descriptor, end):
            for offset in range(start - start % _PAGE, stop, _PAGE):
                page = os.pread(descriptor, _PAGE, offset)
                if page.strip(b"\0"):
                    checksum = crc32(page, crc32(offset.to_bytes(8, "little"), checksum))
    finally:
        os.close(descriptor)
    return checksum


def _change(before: list[int], now: list[int] | None) -> str:
    if now is None:
        return "is missing"
    if now[0] != before[0]:
        return f"has {now[0]:,} bytes instead of {before[0]:,}"
    return "has changed since the collection was closed"
