"""Everything about a model that fine-tuning must give back, in a form that can be compared."""

from __future__ import annotations

from typing import Any

import torch


def state_of(network: Any) -> dict[str, Any]:
    """Return weights and buffers as bytes; flags, gradients, hooks, tree, attributes, configuration; random numbers."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")
    return {
        "weights": {name: _bytes(tensor) for name, tensor in network.state_dict().items()},
        "buffers": {name: (id(tensor), _bytes(tensor)) for name, tensor in network.named_buffers()},
        "parameters": {name: id(parameter) for name, parameter in network.named_parameters()},
        "requires_grad": {name: parameter.requires_grad for name, parameter in network.named_parameters()},
        "gradients": {name: parameter.grad for name, parameter in network.named_parameters()},
        "tree": [(name, id(module)) for name, module in network.named_modules()],
        "training": [module.training for module in network.modules()],
        "hooks": [{hook: dict(getattr(module, hook)) for hook in hooks} for module in network.modules()],
        "attributes": [_attributes(module) for module in network.modules()],
        "configuration": network.config.to_dict(),
        "random": torch.get_rng_state().tolist(),
    }


def weights_of(network: Any) -> dict[str, bytes]:
    """Return every parameter by name, as bytes."""
    return {name: _bytes(parameter) for name, parameter in network.named_parameters()}


def _attributes(module: Any) -> dict[str, Any]:
    return {name: "" if isinstance(value, dict) else repr(value) for name, value in vars(module).items()}


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().view(torch.uint8).numpy().tobytes()
