"""Gradient checkpointing within a block: activations are computed twice instead of kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sift_rag.finetuning.restore import to_the_end

if TYPE_CHECKING:
    from torch.nn import Module

_FLAG = "gradient_checkpointing"
_NAMES = (_FLAG, "_gradient_checkpointing_func", "training")


def can_checkpoint(network: Module) -> bool:
    """Return True if transformers knows the layer boundaries of this architecture."""
    return bool(getattr(network, "supports_gradient_checkpointing", False))


@contextmanager
def checkpointed(network: Module) -> Iterator[None]:
    """Let each layer keep only its input within the block, and run again in the backward pass. No hooks are used.

    transformers checkpoints only layers in training mode. The layers alone are put into it, not their submodules, so
    dropout stays off.
    """
    from functools import partial

    from torch.utils.checkpoint import checkpoint

    layers = [module for module in network.modules() if hasattr(module, _FLAG)]
    before = [{name: vars(layer)[name] for name in _NAMES if name in vars(layer)} for layer in layers]

    def restore() -> None:
        for layer, attributes in zip(layers, before, strict=True):
            for name in _NAMES:
                vars(layer).pop(name, None)
            vars(layer).update(attributes)

    try:
        for layer in layers:
            vars(layer).update(dict.fromkeys(_NAMES, True))
            vars(layer)["_gradient_checkpointing_func"] = partial(checkpoint, use_reentrant=False)
        yield
    finally:
        to_the_end(restore)
