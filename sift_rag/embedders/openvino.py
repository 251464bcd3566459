"""An exported embedder, run by OpenVINO: in bfloat16 where the processor computes with it.

The only module that talks to ``openvino`` (extra ``openvino``).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sift_rag.embedders.onnx import OnnxEmbedder, Session, load_export
from sift_rag.extras import require
from sift_rag.types import Embedding

PRECISIONS = {"bf16": "bfloat16 by openvino", "f32": "float32 by openvino"}
"""Names of the precisions that a collection records, by OpenVINO's."""
_opening = Lock()


def load_openvino(name: str, folder: Path, *, threads: int | None = None) -> OnnxEmbedder:
    """Load an export with OpenVINO, on the processor.

    Args:
        name: identity of the vector space.
        folder: the export.
        threads: as in ``load_onnx``.

    Raises:
        MissingExtra: ``openvino`` or ``tokenizers`` is not installed.
        ModelUnsuitable: the files cannot be read.
    """
    require("openvino", "openvino")
    return load_export(name, folder, _session, threads)


def _session(graph: Path, inputs: Sequence[str], threads: int) -> Session:
    import openvino

    core: Any = openvino.Core()
    hint = "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
    settings = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads}
    compiled: Any = core.compile_model(core.read_model(str(graph)), "CPU", settings)
    if sorted(known.any_name for known in compiled.inputs) != sorted(inputs):
        raise ValueError(f"the graph does not take {', '.join(inputs)}")
    idle: SimpleQueue[Any] = SimpleQueue()  # a request serves one thread at a time

    def run(arrays: dict[str, NDArray[np.int64]]) -> Embedding:
        request = None
        with suppress(Empty):
            request = idle.get_nowait()
        request = request or compiled.create_infer_request()
        try:
            return np.array(request.infer(arrays)[0], dtype=np.float32)  # a copy: the request reuses its memory
        finally:
            idle.put(request)

    with _opening:  # the bindings set up numpy at their first use, and two threads at once would wait for each other
        run({name: np.zeros((1, 1), dtype=np.int64) for name in inputs})
    return Session(run, PRECISIONS[hint])
