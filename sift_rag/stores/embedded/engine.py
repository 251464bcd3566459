"""Qdrant Edge, wrapped: the one module that imports it and turns its exceptions into ours.

It raises bare ``Exception``, and panics that are not even ``Exception``, so they are told apart by their messages. It
holds the interpreter lock during each call: other threads wait. It does not sync by itself: each write here ends with
the log on the disk, from which loading brings back what the other files lack. It checks next to nothing: callers pass
what ``validation.py`` let through.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from itertools import islice
from struct import Struct
from time import sleep
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from qdrant_edge import (
    CountRequest,
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeVectorParams,
    FacetRequest,
    FieldCondition,
    Filter,
    KeywordIndexParams,
    MatchAny,
    MatchValue,
    Memory,
    Point,
    Query,
    QueryBatchRequest,
    QueryRequest,
    ScoredPoint,
    ScrollRequest,
    SearchParams,
    TextIndexParams,
    TextQuery,
    TextScoringParams,
    TextScoringType,
    TokenizerType,
    UpdateOperation,
)

from sift_rag import defaults
from sift_rag.errors import Remedy, StoreDamaged, StoreError, StoreFull, StoreInUse
from sift_rag.stores.embedded.manifest import os_errors
from sift_rag.stores.embedded.readers import LOG, UNFINISHED
from sift_rag.stores.filters import Condition
from sift_rag.stores.neighbours import Place
from sift_rag.stores.payloads import FILTERED_FIELDS, KEYWORD_FIELDS, REVISION, SOURCE, START, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sift_rag.types import Embedding

_T = TypeVar("_T")

LOADING_BYTES = 64 * 2**20
"""Free disk space needed to load: 16 MiB were seen to kill the process (SIGBUS), 24 were enough."""
_WRITE_BATCH = 256
_READ_BATCH = 256
_TIES = 32
"""Points requested beyond the limit, to see whether the last one has ties: costs next to nothing."""
_MATCH_BATCH = 512
_VALUES = 10_000
"""Distinct values of a field requested first; more, if there are as many."""
_SCROLL_PAGE = 2048
_IN_USE, _CLOSING = "Already borrowed", "Already mutably borrowed"
"""Messages of the engine: to a thread that closes while another reads, and to one that reads while another closes."""
_PAUSE = 0.001
"""Seconds between two attempts to close it."""
_REBUILD = Remedy("check-or-reindex")


class StoredPoint(NamedTuple):
    """A stored point."""

    id: str
    payload: dict[str, Any]
    vector: bytes
    """Numbers of the vector as float32, in this machine's order; empty if there is none."""


class PassageShard:
    """The passages of one collection, in its folder."""

    def __init__(self, shard: EdgeShard, log: Path, label: str) -> None:
        self._shard = shard
        self._label = label
        self._log = log
        self._flushed = _names(log)
        """Files of the log when all was flushed last."""
        self._unflushed = False

    def count(self) -> int:
        """Return the number of points."""
        with self._errors():
            return self._shard.count(CountRequest(exact=True))

    def count_of(self, source: str, *, except_revision: str | None = None) -> int:
        """Return the number of points of one document."""
        with self._errors():
            return self._shard.count(CountRequest(exact=True, filter=_of(source, except_revision)))

    def count_by_source(self) -> Counter[str]:
        """Return the number of points of each document, in one pass over the index."""
        with self._errors():
            most = self._shard.count(CountRequest(exact=True)) + 1
            facet = self._shard.facet(FacetRequest(SOURCE, limit=most, exact=True))
            return Counter({str(hit.value): hit.count for hit in facet.hits})

    def values(self, field: str) -> list[str]:
        """Return the distinct values of an indexed keyword field; some may belong to no point any more."""
        limit = _VALUES
        with self._errors():
            while True:
                hits = self._shard.facet(FacetRequest(field, limit=limit)).hits
                if len(hits) < limit:
                    return [str(hit.value) for hit in hits]
                limit *= 8

    def graph_count(self) -> int:
        """Return the number of points in the graphs of neighbours (HNSW) that ``optimize`` makes."""
        with self._errors():
            return self._shard.info().indexed_vectors_count

    def rankings(
        self, rows: Embedding, end: int, conditions: Sequence[Condition] = ()
    ) -> list[list[tuple[str, float]]]:
        """Return for each row the ids and cosines of its ``end`` nearest points that meet all conditions, exactly.

        By cosine descending, then by id. Of ties across the limit the engine keeps any of them. So a few more are
        requested, and more again as long as the last one ties with the one at the limit.
        """
        with self._errors():
            asked, wanted = end + _TIES, _all_of(conditions)
            found = self._shard.query_batch(QueryBatchRequest([_nearest(row, asked, wanted) for row in rows]))
            rankings = []
            for row, first in zip(rows, found, strict=True):
                points, limit = first, asked
                while len(points) == limit and _cosine(points[-1].score) == _cosine(points[end - 1].score):
                    limit *= 4
                    points = self._shard.query(_nearest(row, limit, wanted))
                rankings.append(_ranking(points)[:end])
            return rankings

    def rankings_by_graph(
        self, rows: Embedding, end: int, conditions: Sequence[Condition] = ()
    ) -> list[list[tuple[str, float]]]:
        """Return what ``rankings`` does by the graphs of neighbours, which may miss some of the nearest.

        Points that are in no graph are compared one by one. Where a filter leaves fewer points than asked for, or the
        graphs lead to fewer of them, the answer is exact.
        """
        with self._errors():
            effort, wanted = max(defaults.GRAPH_EFFORT, 2 * end), _all_of(conditions)
            asked = QueryBatchRequest([_nearest(row, end, wanted, effort) for row in rows])
            rankings = [_ranking(points) for points in self._shard.query_batch(asked)]
        for place, ranking in enumerate(rankings):
            if len(ranking) < end:
                [rankings[place]] = self.rankings(rows[place : place + 1], end, conditions)
        return rankings

    def missing_indexes(self, fields: Sequence[str]) -> list[str]:
        """Return those of these payload fields that are not indexed."""
        with self._errors():
            held = self._shard.info().payload_schema
            return [field for field in fields if field not in held]

    def has_words(self) -> bool:
        """Return True if the words of the passages are indexed."""
        with self._errors():
            return TEXT in self._shard.info().payload_schema

    def index_words(self) -> None:
        """Index the words of all passages, present and future, durably: about 0.2 ms a passage."""
        with self._errors():
            _index_words(self._shard)
            self._flush()

    def renew_indexes(self) -> bool:
        """Make those indexes anew, durably, that an earlier release made; return False if there are none.

        They are loaded into memory at opening, and the graph of neighbours gets links for each frequent word.
        """
        with self._errors():
            held = self._shard.info().payload_schema
            old = [field for field, index in held.items() if _is_old(field, index.params)]
            for field in old:
                if field == TEXT:
                    _index_words(self._shard)
                else:
                    _index_keyword(self._shard, field)
            if old:
                self._flush()
            return bool(old)

    def matches(self, text: str, limit: int, conditions: Sequence[Condition] = ()) -> list[str]:
        """Return the ids of the ``limit`` points of largest BM25 that meet all conditions; ties by id."""
        request = QueryRequest(
            limit=limit + _TIES,
            query=TextQuery(TEXT, text),
            filter=_all_of(conditions),
            with_payload=False,
            with_vector=False,
        )
        with self._errors():
            found = self._shard.query(request)
        ranking = sorted((-point.score, str(point.id)) for point in found if point.score > 0)
        return [identifier for _, identifier in ranking[:limit]]

    def scan(self, field: str, values: Sequence[str], *, read: str) -> Iterator[tuple[str, Any]]:
        """Iterate over id and payload field ``read`` of the points whose indexed ``field`` has one of the values."""
        for batch in _batches(values, _MATCH_BATCH):
            for point in self._scroll(_all_of([Condition(field, batch)]), payload=[read], vector=False):
                yield point.id, point.payload.get(read)

    def places(self, sources: Sequence[str]) -> Iterator[Place]:
        """Iterate over the places of all points of these documents."""
        for batch in _batches(sources, _MATCH_BATCH):
            wanted = _all_of([Condition(SOURCE, batch)])
            for point in self._scroll(wanted, payload=[SOURCE, REVISION, START], vector=False):
                yield Place(point.payload[SOURCE], point.payload[REVISION], point.payload[START], point.id)

    def points(self) -> Iterator[StoredPoint]:
        """Iterate over all points, by id."""
        return self._scroll(None, payload=True, vector=True)

    def vectors(self, page: int, conditions: Sequence[Condition] = ()) -> Iterator[list[StoredPoint]]:
        """Iterate by id over points that meet all conditions, without payloads, in lists of 1 to ``page``."""
        points = self._scroll(_all_of(conditions), payload=False, vector=True, page=page)
        while block := list(islice(points, page)):
            yield block

    def read(self, ids: Sequence[str], *, payload: bool = True) -> Iterator[StoredPoint]:
        """Iterate over the points with these ids that exist, in any order."""
        for batch in _batches(ids, _READ_BATCH):
            with self._errors():
                records = self._shard.retrieve(list(batch), payload, True)
            for record in records:
                yield StoredPoint(str(record.id), record.payload or {}, _packed(record.vector))

    def write(self, points: Sequence[tuple[str, Embedding, dict[str, Any]]]) -> None:
        """Insert or replace points (id, vector, payload), durably.

        The log goes to the disk batch by batch, beside the making of the next one, which leaves little to wait for.
        """
        with self._errors(), ThreadPoolExecutor(1) as beside:
            begun: list[Future[None]] = []
            for start in range(0, len(points), _WRITE_BATCH):
                # memoryviews, which the engine reads in a third of the time that an array's row or a list takes
                made = [
                    Point(identifier, memoryview(row), payload)  # type: ignore[arg-type]  # any sequence of numbers
                    for identifier, row, payload in points[start : start + _WRITE_BATCH]
                ]
                self._shard.update(UpdateOperation.upsert_points(made))
                self._unflushed = True
                if start + _WRITE_BATCH < len(points):
                    begun.append(beside.submit(self._sync_log))
            for one in begun:
                one.result()  # the system reports an error of the disk once
            self._sync()

    def delete_of(self, source: str, *, except_revision: str | None = None) -> None:
        """Delete points of one document, durably."""
        with self._errors():
            self._shard.update(UpdateOperation.delete_points_by_filter(_of(source, except_revision)))
            self._sync()

    def optimize(self) -> bool:
        """Merge and compact segments; return False if there was nothing to do."""
        with self._errors():
            changed = self._shard.optimize()
            self._flush()
            return changed

    def close(self) -> None:
        """Release the files, after what other threads are reading at this moment; closing twice is allowed."""
        with self._errors():
            if self._unflushed:
                self._flush()
            while True:
                try:
                    return self._shard.close()
                except RuntimeError as error:
                    if str(error) != _IN_USE:
                        raise
                sleep(_PAUSE)

    def _scroll(
        self, wanted: Filter | None, *, payload: bool | list[str], vector: bool, page: int = _SCROLL_PAGE
    ) -> Iterator[StoredPoint]:
        offset = None
        while True:
            request = ScrollRequest(offset=offset, limit=page, filter=wanted, with_payload=payload, with_vector=vector)
            with self._errors():
                records, offset = self._shard.scroll(request)
            for record in records:
                yield StoredPoint(str(record.id), record.payload or {}, _packed(record.vector))
            if offset is None:
                return

    def _sync(self) -> None:
        """Bring the log to the disk: a file or two, where ``flush`` brings hundreds there.

        Once the log has begun a further file, all is flushed, so that little is to be replayed after a crash.
        """
        self._unflushed = True
        if os.name == "nt" or _names(self._log) != self._flushed:  # there, fsync leaves out what was written by mapping
            self._flush()
        else:
            self._sync_log()

    def _sync_log(self) -> None:
        """Bring those files of the log to the disk that were there when all was flushed last."""
        with os_errors(self._log):
            for name in self._flushed:
                with suppress(FileNotFoundError):  # the log has begun a further file, and all will be flushed
                    descriptor = os.open(self._log / name, os.O_RDWR)
                    try:
                        os.fsync(descriptor)
                    finally:
                        os.close(descriptor)

    def _flush(self) -> None:
        self._shard.flush()
        self._flushed, self._unflushed = _names(self._log), False

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with _engine_errors(self._label):
            yield


def create_shard(folder: Path, dimension: int, label: str) -> None:
    """Create an empty shard of cosine vectors, with its payload indexes.

    Args:
        folder: must not exist yet, and must not be renamed while a shard is open in it: ``flush`` would fail.
        dimension: dimension of the vectors.
        label: the collection, for messages.
    """
    folder.mkdir()
    with _engine_errors(label):
        vectors = EdgeVectorParams(size=dimension, distance=Distance.Cosine)
        shard = EdgeShard.create(str(folder), EdgeConfig(vectors=vectors, id_tracker_memory=Memory.Cold))
        for field in KEYWORD_FIELDS:
            _index_keyword(shard, field)
        _index_words(shard)
        shard.flush()
        shard.close()


def shard_dimension(folder: Path) -> int | None:
    """Return the dimension of a shard's vectors by its configuration; None if that does not say."""
    try:
        return int(json.loads((folder / "edge_config.json").read_bytes())["vectors"][""]["size"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def load_shard(folder: Path, label: str) -> PassageShard:
    """Open a shard, replaying its log and removing what a killed optimisation has left.

    Raises:
        StoreFull: too little disk space is left: the engine writes while it loads, and dies of a full disk.
        StoreDamaged: it cannot be loaded; or its segments are gone, which the engine would replace by an empty one.
        StoreInUse: another program has it open.
    """
    segments = folder / "segments"
    if not segments.is_dir() or not any(segments.iterdir()):
        raise StoreDamaged(f"{label} has lost its passages: {segments} is missing or empty.", remedy=_REBUILD)
    free = shutil.disk_usage(folder).free
    if free < LOADING_BYTES:
        raise StoreFull(
            f"{label} cannot be opened: its disk has {free / 2**20:.0f} MiB left, and the engine needs "
            f"{LOADING_BYTES / 2**20:.0f} to start. Free some space; what is stored is safe."
        )
    with _engine_errors(label):
        shard = EdgeShard.load(str(folder))
    for left in (folder / UNFINISHED).glob("*"):  # the shard is ours now, and nothing is being optimised
        shutil.rmtree(left, ignore_errors=True)
    return PassageShard(shard, folder / LOG, label)


def _names(log: Path) -> frozenset[str]:
    """Return the names of the log's files; none for a shard without a log.

    A process that was killed while it began a file leaves a folder there, which is not part of the log.
    """
    if not log.is_dir():
        return frozenset()
    with os.scandir(log) as entries:
        return frozenset(entry.name for entry in entries if entry.is_file())


def float32_rows(vectors: Sequence[bytes], dimension: int) -> Embedding:
    """Return the vectors of points as a contiguous float32 array ``(n, dimension)``.

    Raises:
        ValueError: a vector is of another dimension.
    """
    if any(len(vector) != 4 * dimension for vector in vectors):
        raise ValueError(f"A vector is not of {dimension} dimensions.")
    return np.frombuffer(bytearray().join(vectors), dtype=np.float32).reshape(len(vectors), dimension)


def _index_keyword(shard: EdgeShard, field: str) -> None:
    """Index a field; read from the disk as needed, so that opening takes no time in proportion to the collection."""
    keywords = KeywordIndexParams(memory=Memory.Cold, enable_hnsw=field in FILTERED_FIELDS)
    shard.update(UpdateOperation.create_field_index(field, keywords))


def _index_words(shard: EdgeShard) -> None:
    """Index the words; no search by vectors filters by them, so that the graph needs no links for each."""
    words = TextIndexParams(
        tokenizer=TokenizerType.Word,
        lowercase=True,
        scoring=TextScoringParams(TextScoringType.Bm25),
        memory=Memory.Cold,
        enable_hnsw=False,
    )
    shard.update(UpdateOperation.create_field_index(TEXT, words))


def _is_old(field: str, params: object) -> bool:
    """Return True if the index of a field with these parameters is not as this release makes it."""
    if not isinstance(params, KeywordIndexParams | TextIndexParams) or params.memory != Memory.Cold:
        return True
    return params.enable_hnsw is not (field in FILTERED_FIELDS)


def _nearest(row: Embedding, limit: int, wanted: Filter | None, effort: int | None = None) -> QueryRequest:
    """Return the request for the nearest points: exactly, or by the graphs with this many candidates looked at."""
    return QueryRequest(
        limit=limit,
        query=Query.Nearest(row),  # type: ignore[arg-type]  # rows of numpy arrays are accepted, and faster than lists
        filter=wanted,
        params=SearchParams(exact=effort is None, hnsw_ef=effort),
        with_payload=False,
        with_vector=False,
    )


def _ranking(points: Sequence[ScoredPoint]) -> list[tuple[str, float]]:
    ranking = [(str(point.id), _cosine(point.score)) for point in points]
    return sorted(ranking, key=lambda entry: (-entry[1], entry[0]))


def _cosine(score: float) -> float:
    return min(1.0, max(-1.0, score))


def _all_of(conditions: Sequence[Condition]) -> Filter | None:
    if not conditions:
        return None
    required: list[Any] = []
    refused: list[Any] = []
    for field, values, negated in conditions:
        (refused if negated else required).append(FieldCondition(key=field, match=MatchAny(list(values))))
    return Filter(must=required, must_not=refused)


def _of(source: str, except_revision: str | None) -> Filter:
    must = FieldCondition(key=SOURCE, match=MatchValue(source))
    if except_revision is None:
        return Filter(must=[must])
    return Filter(must=[must], must_not=[FieldCondition(key=REVISION, match=MatchValue(except_revision))])


def _packed(vector: object) -> bytes:
    """Return a vector as float32. The engine returns lists of Python's floats, of which only one is held at a time.

    Packing them takes a tenth of the time of numpy's own conversion.
    """
    return _floats(len(vector)).pack(*vector) if isinstance(vector, list) else b""


@cache
def _floats(count: int) -> Struct:
    return Struct(f"{count}f")


def _batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _closed(label: str) -> StoreError:
    return StoreError(f"{label} was closed by another thread. Open it again to use it.")


@contextmanager
def _engine_errors(label: str) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if type(error) is RuntimeError and str(error) == _CLOSING:
            raise _closed(label) from error
        panic = type(error).__name__ == "PanicException"
        if type(error) is not Exception and not panic:
            raise
        reason = str(error).removeprefix("Service runtime error: ")
        if "WouldBlock" in reason:
            raise StoreInUse(f"{label} is open in another program. Wait until that program ends.") from error
        if "No space left" in reason:
            raise StoreFull(f"{label} could not be written: {reason}. Free some space and try again.") from error
        if "not initialized" in reason:
            raise _closed(label) from error
        if panic or any(sign in reason for sign in ("load", "WAL", "IO Error", "parse", "deserialize", "orrupt")):
            raise StoreDamaged(f"{label} is damaged: {reason}.", remedy=_REBUILD) from error
        raise StoreError(f"{label} could not be used: {reason}.") from error
