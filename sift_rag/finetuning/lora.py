"""A LoRA adapter on a network's linear layers: allocated once, attached and detached, reset for every prompt.

The only module that talks to PEFT.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sift_rag.devices import quiet_transformers
from sift_rag.errors import AdapterNotSaved, ModelUnsuitable
from sift_rag.extras import require
from sift_rag.finetuning.restore import seeded, to_the_end, unchanged
from sift_rag.finetuning.settings import FineTuning, is_small

if TYPE_CHECKING:
    import torch
    from peft import LoraModel
    from transformers import PreTrainedModel

_ADAPTER = "default"
_PREFIX = "base_model."
"""Prefix of PEFT's own wrapper before the names of an adapter's tensors in a file."""


def allocate_adapter(network: PreTrainedModel, settings: FineTuning, *, name: str) -> Adapter:
    """Allocate the adapter without attaching it: the network is unchanged.

    Raises:
        MissingExtra: ``peft`` is not installed.
        ModelUnsuitable: the network has an adapter already, or PEFT has no addition for such layers (as for some
            quantisations).
        ValueError: ``target_modules`` names no layer.
    """
    require("peft", "finetune")
    with quiet_transformers():
        from peft import LoraConfig, LoraModel
        from peft.tuners.tuners_utils import BaseTunerLayer

    if any(isinstance(module, BaseTunerLayer) for module in network.modules()):
        raise ModelUnsuitable(f"{name!r} carries an adapter already: merge it into the weights first.")
    targets = settings.target_modules or _default_targets(network)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        bias="none",
        task_type="CAUSAL_LM",
        fan_in_fan_out=any(type(module).__name__ == "Conv1D" for module in network.modules()),  # GPT-2's layout
        base_model_name_or_path=name,
    )
    with unchanged(network, None), seeded(network, settings.seed), warnings.catch_warnings():
        # PEFT draws weights, which are replaced below. It warns that an addition to an output tied to the input cannot
        # be merged, which never happens here, and that layers of two layouts are mixed, which it then handles.
        for what in ("Model has `tie_word_embeddings=True`", "fan_in_fan_out is set to"):
            warnings.filterwarnings("ignore", what)
        try:
            return Adapter(LoraModel(network, config, _ADAPTER), settings.seed)
        except ValueError as error:
            if "arget module" not in str(error):
                raise
            if "not supported" in str(error):
                raise ModelUnsuitable(f"LoRA cannot be added to the layers of {name!r}: {error}") from error
            raise ValueError(
                f"target_modules is {targets!r}, and {name!r} has no such layers: give 'all-linear', or the ends of "
                "its layers' names."
            ) from error


class Adapter:
    """The LoRA adapter of one network. ``allocate_adapter`` creates it."""

    def __init__(self, lora: LoraModel, seed: int) -> None:
        import torch
        from peft.tuners.lora import LoraLayer

        self._lora = lora
        tree = dict(lora.model.named_modules())
        self._places: list[tuple[Any, str, Any]] = [  # parent, name there, layer
            (tree[path.rpartition(".")[0]], path.rpartition(".")[2], module)
            for path, module in tree.items()
            if isinstance(module, LoraLayer)
        ]
        self._layers = [layer for _, _, layer in self._places]
        self._downward = [layer.lora_A[_ADAPTER].weight for layer in self._layers]
        self._upward = [layer.lora_B[_ADAPTER].weight for layer in self._layers]
        for weight in (*self._downward, *self._upward):
            weight.data = weight.data.float()  # steps are smaller than the spacing of bfloat16
        self._start = _first_weights(self._downward, torch.Generator().manual_seed(seed))

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """Trained parameters, in float32."""
        return [*self._downward, *self._upward]

    def reset(self) -> None:
        """Restore the state before any training, the same for every prompt: the adapter adds nothing."""
        import torch

        with torch.no_grad():
            torch._foreach_copy_(self._downward, self._start)
            torch._foreach_zero_(self._upward)
        for weight in self.parameters:
            weight.grad = None

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Attach its layers within the block, in place of the layers that they add to."""

        def detach() -> None:
            for parent, name, layer in self._places:
                parent._modules[name] = layer.base_layer  # noqa: SLF001 - keeps the order of the tree

        try:
            for parent, name, layer in self._places:
                layer.eval()
                parent._modules[name] = layer  # noqa: SLF001
            yield
        finally:
            to_the_end(detach)

    @contextmanager
    def dropping(self) -> Iterator[None]:
        """Turn on the adapter's dropout within the block, and no other."""
        drops = [layer.lora_dropout for layer in self._layers]
        try:
            for drop in drops:
                drop.train()
            yield
        finally:
            for drop in drops:
                drop.eval()

    def save(self, folder: Path) -> None:
        """Write the adapter in PEFT's format. The folder appears complete or not at all.

        Raises:
            AdapterNotSaved: the folder is not empty or read-only, or its disk is full.
        """
        from peft import get_peft_model_state_dict
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        config = copy.copy(self._lora.peft_config[_ADAPTER])
        config.inference_mode = True
        tensors = get_peft_model_state_dict(self._lora, adapter_name=_ADAPTER, save_embedding_layers=False)
        unfinished = folder.parent / f".{folder.name}.{uuid4().hex}"
        try:
            if folder.is_dir() and any(folder.iterdir()):
                raise AdapterNotSaved(f"The folder {str(folder)!r} is not empty: give a new folder for the adapter.")
            unfinished.mkdir(parents=True)
            save_file(
                {_PREFIX + key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()},
                unfinished / "adapter_model.safetensors",
                metadata={"format": "pt"},
            )
            config.save_pretrained(str(unfinished))
            unfinished.rename(folder)
        except (OSError, SafetensorError) as error:
            raise AdapterNotSaved(
                f"The adapter could not be written to {str(folder)!r}: {error}. Give a folder that can be created, "
                "on a disk with space."
            ) from error
        finally:
            rmtree(unfinished, ignore_errors=True)


def _default_targets(network: PreTrainedModel) -> str | tuple[str, ...]:
    """Return the default of ``FineTuning.target_modules`` for this network."""
    import torch
    from transformers.pytorch_utils import Conv1D

    if not is_small(network.num_parameters()):
        return "all-linear"
    linear = [path for path, module in network.named_modules() if isinstance(module, torch.nn.Linear | Conv1D)]
    return tuple(sorted({path.rpartition(".")[2] for path in linear}))


def _first_weights(like: list[torch.nn.Parameter], generator: torch.Generator) -> list[torch.Tensor]:
    """Draw first weights as PEFT does, but on the processor and from a generator of their own: equal on all devices."""
    import torch

    drawn = []
    for weight in like:
        start = torch.empty(weight.shape, dtype=weight.dtype)
        torch.nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)
        drawn.append(start.to(weight.device))
    return drawn
