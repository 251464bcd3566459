"""Restore a model exactly: weights, buffers, flags, gradients, module tree and random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch.nn import Module


class WeightStore:
    """Memory for a copy of a network's parameters, allocated once and used for every prompt."""

    def __init__(self, network: Module) -> None:
        import torch

        self._copies = [torch.empty_like(parameter, requires_grad=False) for parameter in network.parameters()]

    def keep(self, network: Module) -> None:
        """Copy the current parameters."""
        import torch

        with torch.no_grad():
            torch._foreach_copy_(self._copies, list(network.parameters()))

    def put_back(self, network: Module) -> None:
        """Restore the parameters of the last ``keep``, in place."""
        import torch

        with torch.no_grad():
            torch._foreach_copy_(list(network.parameters()), self._copies)


@contextmanager
def unchanged(network: Module, weights: WeightStore | None) -> Iterator[None]:
    """Restore the network bit for bit on leaving the block, however that happens.

    Args:
        network: its parameters and buffers must stay on their devices within the block.
        weights: memory for the parameters' values; None if nothing within the block writes to them.
    """
    import torch

    modules = list(network.modules())
    training = [module.training for module in modules]
    children = [dict(module._modules) for module in modules]  # noqa: SLF001 - the tree, names and order
    buffers = [dict(module._buffers) for module in modules]  # noqa: SLF001 - including those replaced as a whole
    values = {id(tensor): tensor.clone() for held in buffers for tensor in held.values() if tensor is not None}
    parameters = [(parameter, parameter.requires_grad, parameter.grad) for parameter in network.parameters()]
    attributes = set(vars(network))

    def restore() -> None:
        for module, flag, held, tensors in zip(modules, training, children, buffers, strict=True):
            module.training = flag
            if module._modules != held:  # noqa: SLF001
                module._modules.clear()  # noqa: SLF001
                module._modules.update(held)  # noqa: SLF001
            module._buffers.clear()  # noqa: SLF001
            module._buffers.update(tensors)  # noqa: SLF001
            with torch.no_grad():
                for tensor in tensors.values():
                    if tensor is not None:
                        tensor.copy_(values[id(tensor)])
        if weights is not None:
            weights.put_back(network)
        for parameter, flag, gradient in parameters:
            parameter.requires_grad = flag
            parameter.grad = gradient
        for name in set(vars(network)) - attributes:
            delattr(network, name)

    if weights is not None:
        weights.keep(network)
    try:
        yield
    finally:
        to_the_end(restore)


@contextmanager
def seeded(network: Module, seed: int) -> Iterator[None]:
    """Seed the random numbers within the block; afterwards they continue as if nothing had been drawn."""
    import torch

    devices = sorted({parameter.device for parameter in network.parameters()}, key=str)
    states: list[tuple[Callable[[torch.Tensor], object], torch.Tensor]] = [(torch.set_rng_state, torch.get_rng_state())]
    for device in devices:
        if device.type == "cuda":
            generator = torch.cuda.default_generators[device.index]
            states.append((generator.set_state, generator.get_state()))
        elif device.type == "mps":
            states.append((torch.mps.set_rng_state, torch.mps.get_rng_state()))

    def restore() -> None:
        for put_back, state in states:
            put_back(state)

    try:
        torch.default_generator.manual_seed(seed)
        for device in devices:
            if device.type == "cuda":
                torch.cuda.default_generators[device.index].manual_seed(seed)
            elif device.type == "mps":
                torch.mps.manual_seed(seed)
        yield
    finally:
        to_the_end(restore)


def to_the_end(restore: Callable[[], None]) -> None:
    """Call ``restore``, and restart it each time that Ctrl-C interrupts it, so that it always completes."""
    interruption: KeyboardInterrupt | None = None
    while True:
        try:
            restore()
            break
        except KeyboardInterrupt as error:  # a key that is held down sends many
            interruption = error
    if interruption is not None:
        raise interruption
