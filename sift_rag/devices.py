"""Choose the device and the number format that suit this machine, for everything that loads a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
