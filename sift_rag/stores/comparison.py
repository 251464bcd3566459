"""Compare sets of passages: by a fingerprint, and side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from heapq import merge
from itertools import groupby

import numpy as np

from sift_rag.stores.payloads import payload_of
from sift_rag.types import Candidate

MODULUS = 2**128
"""Fingerprints are added modulo this."""


def fingerprint(candidates: Iterable[Candidate]) -> int:
    """Return a 128-bit number for a set of passages: their ids, content and vectors bit by bit, whatever their order.

    The passages' hashes (BLAKE2b) are added, so the fingerprint of two disjoint sets together is the sum of theirs,
    modulo ``MODULUS``. It detects accidents, not forgeries.
    """
    return sum(map(_digest, candidates)) % MODULUS


def paired(
    ours: Iterable[Candidate], theirs: Iterable[Candidate]
) -> Iterator[tuple[Candidate | None, Candidate | None]]:
    """Pair passages of one id and start, None where a side has none; both come in reading order."""

    def position(entry: tuple[int, Candidate]) -> tuple[int, str]:
        passage = entry[1].passage
        return passage.span.start, passage.id

    both = merge(((0, candidate) for candidate in ours), ((1, candidate) for candidate in theirs), key=position)
    for _, group in groupby(both, key=position):
        sides = dict(group)
        yield sides.get(0), sides.get(1)


def _digest(candidate: Candidate) -> int:
    content = json.dumps([candidate.passage.id, payload_of(candidate.passage)], sort_keys=True)
    row = np.ascontiguousarray(candidate.embedding, dtype="<f4").tobytes()
    return int.from_bytes(blake2b(content.encode() + row, digest_size=16).digest())
