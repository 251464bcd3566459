"""What the hardware of this machine does well. Imported by whoever loads a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def default_device() -> str:
    """The GPU where there is one."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def native_dtype(device: str) -> torch.dtype:
    """bfloat16 on a GPU and on a processor that has it; elsewhere it is emulated, and slower than float32."""
    import torch

    if device.partition(":")[0] != "cpu":
        return torch.bfloat16
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return torch.bfloat16 if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else torch.float32
