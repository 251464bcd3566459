"""Read the text of images. The only module that knows RapidOCR, whose models come with its package."""

from __future__ import annotations

import logging
import os
from functools import cache
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any

from sift_rag.corpus.pdf_pages import Piece

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_THREADS = 4
"""Threads of one engine: with more, an A4 page is hardly read faster."""

_reading = Lock()


def is_installed() -> bool:
    """Return True if the packages of the extra ``ocr`` are installed. They are not imported."""
    return all(find_spec(package) is not None for package in ("rapidocr", "onnxruntime"))


def read_image(image: NDArray[np.uint8]) -> list[Piece]:
    """Return the pieces of lines on an image, from the top; a second or more for a page, on one thread at a time.

    Args:
        image: shape ``(height, width, 3)``, red, green and blue.
    """
    with _reading:
        found = _engine()(image[:, :, ::-1].copy())
    if found.boxes is None or found.txts is None:
        return []
    pieces = []
    for box, text in zip(found.boxes, found.txts, strict=True):
        (left, top), (right, bottom) = box.min(axis=0), box.max(axis=0)
        if text.strip():
            pieces.append(Piece(text.strip(), float(left), float(top), float(right), float(bottom)))
    return pieces


@cache
def _engine() -> Any:
    """Return the engine, made once in a process; called under the lock."""
    from rapidocr import RapidOCR

    threads = min(_MOST_THREADS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    settings = {
        "Global.log_level": "critical",
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    engine = RapidOCR(params=settings)
    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    return engine
