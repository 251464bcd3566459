"""Remember in the user's cache how well unrelated questions match a collection.

Measuring it takes longer than a search.
A level is kept for a store, a collection, an embedder and a revision of the documents; what was kept for an earlier
revision is measured again. The cache may be lost or not be writable: the level is measured then.
"""

from __future__ import annotations

import json
import math
from contextlib import closing, suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag.errors import SiftRagError

if TYPE_CHECKING:
    from sift_rag.retrieval.matching import MatchLevel
    from sift_rag.retrieval.retriever import Retriever


def match_level(retriever: Retriever, store: str | None) -> MatchLevel | None:
    """Return the level of the retriever's collection in a store, measured once for each revision."""
    from sift_rag.retrieval.matching import FEWEST_PASSAGES, measure_level

    if retriever.store.count() < FEWEST_PASSAGES:
        return None
    file = _file(retriever, store)
    level = _remembered(file)
    if level is None:
        level = measure_level(retriever.embedder, retriever.store)
        if level is not None:
            _remember(file, level)
    return level


def cache_folder() -> Path:
    """Return the folder of remembered levels."""
    from platformdirs import user_cache_path

    return user_cache_path("sift-rag", appauthor=False) / "match-levels"


def _file(retriever: Retriever, store: str | None) -> Path:
    from sift_rag import __version__
    from sift_rag.stores.registry import default_store

    is_url = store is not None and "://" in store
    where = str(store) if is_url else str((Path(store).expanduser() if store else default_store()).resolve())
    info = retriever.store.info
    parts = [where, info.name, retriever.embedder.name, *_revision(retriever, None if is_url else where), __version__]
    name = blake2b("\0".join(parts).encode(errors="backslashreplace"), digest_size=16).hexdigest()
    return cache_folder() / f"{name}.json"


def _revision(retriever: Retriever, folder: str | None) -> list[str]:
    """Return what changes when documents do: the number of passages, and the sums over the records of a folder."""
    found = [str(retriever.store.count())]
    if folder is not None:
        from sift_rag.stores.registry import open_database

        with (
            suppress(SiftRagError, OSError),
            closing(open_database(folder, wait=0).documents(retriever.store.info.name)) as records,
        ):
            found += map(str, records.totals())
    return found


def _remembered(file: Path) -> MatchLevel | None:
    from sift_rag.retrieval.matching import MatchLevel

    try:
        typical, high = map(float, json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return MatchLevel(typical, high) if math.isfinite(typical) and math.isfinite(high) else None


def _remember(file: Path, level: MatchLevel) -> None:
    from sift_rag.user_cache import replace_text

    with suppress(OSError):
        replace_text(file, json.dumps(level))
