"""The files of this machine that an agent may ingest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sift_rag.errors import ConfigurationError


def allowed_paths(paths: Sequence[str], roots: Sequence[Path]) -> list[Path]:
    """Return the paths, links resolved, if each lies in one of the folders.

    Args:
        paths: absolute, or relative to the first of the folders.
        roots: folders that may be read.

    Raises:
        ConfigurationError: there is no folder, or a path leads out of all of them.
    """
    resolved = [root.resolve() for root in roots]
    if not resolved:
        raise ConfigurationError("This server ingests no files: it was started without --root.")
    found = []
    for path in paths:
        if "\0" in path:
            raise ConfigurationError(f"{path!r} is not a path.")
        wanted = (resolved[0] / Path(path).expanduser()).resolve()
        if not any(wanted.is_relative_to(root) for root in resolved):
            listed = ", ".join(map(str, resolved))
            raise ConfigurationError(f"{path!r} is outside the folders that may be ingested: {listed}.")
        found.append(wanted)
    return found
