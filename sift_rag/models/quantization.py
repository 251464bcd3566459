"""Weights of 8 and 4 bits, by bitsandbytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sift_rag.errors import ModelUnsuitable
from sift_rag.extras import require

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_DEVICES = ("cpu", "cuda", "xpu")


def quantized(bits: int, device: str, dtype: torch.dtype, name: str) -> dict[str, Any]:
    """Return what tells transformers to quantise a model's linear layers, except the output, while it loads them.

    Four bits are those of QLoRA (arXiv 2305.14314): normal floats whose constants are quantised themselves.

    Args:
        bits: 8 or 4.
        device: where the model will be.
        dtype: the format that it computes in.
        name: what an error calls the model.

    Raises:
        MissingExtra: ``bitsandbytes`` is not installed.
        ModelUnsuitable: it cannot compute on the device.
    """
    if device.partition(":")[0] not in _DEVICES:
        raise ModelUnsuitable(
            f"{name!r} cannot be loaded with {bits} bits on {device!r}: bitsandbytes computes on {', '.join(_DEVICES)} "
            "only. Load it without bits, or on another device."
        )
    require("bitsandbytes", "quantized")
    from transformers import BitsAndBytesConfig

    chosen: dict[str, Any] = {"load_in_8bit": True}
    if bits == 4:
        chosen = {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": dtype,
        }
    make: Any = BitsAndBytesConfig  # unannotated
    return {"quantization_config": make(**chosen), "device_map": {"": device}}


def keep_gradients(model: PreTrainedModel) -> None:
    """Keep weights of 4 bits in the layout that gradients pass through.

    On processors with bfloat16, bitsandbytes packs them anew when the model is first read, for a product of matrices
    whose gradient it does not compute: a LoRA adapter would learn something else.
    """
    module: Any
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
