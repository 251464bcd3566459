"""Helpers for loading models: device and number format of this machine, and a quiet stderr."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sift_rag.errors import ConfigurationError
from sift_rag.extras import require

if TYPE_CHECKING:
    import torch


def default_device() -> str:
    """Return the GPU if there is one, else the processor."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def require_device(name: str) -> None:
    """Raise ``ConfigurationError`` if this machine has no such device, or if torch cannot use it."""
    require("torch", "finetune")
    import torch

    try:
        kind: str | None = torch.device(name).type
    except RuntimeError:
        kind = None
    if kind in {None, "meta"}:  # meta holds shapes without values
        raise ConfigurationError(
            f"The device {name!r} cannot be used here: no such kind. Expected a name such as cpu, cuda, cuda:1 or mps."
        )
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch raises any of them
        reason = str(error).partition("\n")[0].partition(". ")[0].rstrip(".")  # lists of all backends follow
        raise ConfigurationError(f"The device {name!r} cannot be used here: {reason}.") from error


def native_dtype(device: str) -> torch.dtype:
    """Return bfloat16 for devices that compute with it, else float32: emulated bfloat16 is slower."""
    import torch

    if device.partition(":")[0] != "cpu":
        return torch.bfloat16
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return torch.bfloat16 if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else torch.float32


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence progress bars, the load report and what imports say on stderr; failures still raise."""
    from transformers.utils import logging as transformers_logging

    its_logging: Any = transformers_logging  # unannotated
    bars, verbosity = its_logging.is_progress_bar_enabled(), its_logging.get_verbosity()
    quantization = logging.getLogger("bitsandbytes")  # on some processors its import asks for a package
    level = quantization.level
    its_logging.disable_progress_bar()
    its_logging.set_verbosity_error()
    quantization.setLevel(logging.ERROR)
    try:
        yield
    finally:
        quantization.setLevel(level)
        its_logging.set_verbosity(verbosity)
        if bars:
            its_logging.enable_progress_bar()
