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

_CONTRAST = 64
"""Difference to the colour of the paper, of 255, that is ink."""

_MARGIN = 60
"""Pixels of paper left around the ink."""


def is_installed() -> bool:
    """Return True if the packages of the extra ``ocr`` are installed. They are not imported."""
    return all(find_spec(package) is not None for package in ("rapidocr", "onnxruntime"))


def read_image(image: NDArray[np.uint8]) -> list[Piece]:
    """Return the pieces of lines on an image, from the top; a second or more for a page, on one thread at a time.

    Args:
        image: shape ``(height, width, 3)``, red, green and blue.
    """
    left, top, right, bottom = _inked(image)
    if right <= left:
        return []
    with _reading:
        found = _engine()(image[top:bottom, left:right, ::-1].copy())
    if found.boxes is None or found.txts is None:
        return []
    pieces = []
    for box, text in zip(found.boxes, found.txts, strict=True):
        near, far = (*box.min(axis=0), left, top), (*box.max(axis=0), left, top)
        if text.strip():
            pieces.append(Piece(text.strip(), float(near[0]), float(near[1]), float(far[0]), float(far[1])))
    return pieces


def _inked(image: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what is on the paper: a few small lines on a large sheet are not found."""
    import numpy as np

    grey = image.min(axis=2)
    paper = int(np.median(grey[::8, ::8]))
    ink = (grey < paper - _CONTRAST) | (grey > paper + _CONTRAST if paper < 255 - _CONTRAST else False)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    left, top = max(0, int(columns[0]) - _MARGIN), max(0, int(rows[0]) - _MARGIN)
    return left, top, int(columns[-1]) + _MARGIN, int(rows[-1]) + _MARGIN


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
