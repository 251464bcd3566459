"""Options for loading a language model into this process."""

from __future__ import annotations

from dataclasses import dataclass

_BITS = (8, 4)


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Options for loading a language model into this process.

    Raises:
        ValueError: ``bits`` is neither 8 nor 4.
    """

    device: str | None = None
    """Device such as ``cpu`` or ``cuda:1``; None: the GPU if there is one."""
    bits: int | None = None
    """Bits of a weight of the linear layers, 8 or 4; None: bfloat16 or float32. A model of a few bits fits a small GPU
    and can be fine-tuned by LoRA alone. Needs the extra ``quantized``."""

    def __post_init__(self) -> None:
        if self.bits is not None and self.bits not in _BITS:
            raise ValueError(f"bits is {self.bits}: expected 8 or 4, or none for the weights as they are.")
