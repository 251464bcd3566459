"""Helpers for loading models: device and number format of this machine, and a quiet stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def default_device() -> str:
    """Return the GPU if there is one, else the processor."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def native_dtype(device: str) -> torch.dtype:
    """Return bfloat16 for devices that compute with it, else float32: emulated bfloat16 is slower."""
    import torch

    if device.partition(":")[0] != "cpu":
        return torch.bfloat16
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return torch.bfloat16 if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else torch.float32


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence progress bars and the load report on stderr; failures still raise."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging  # unannotated
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
