"""Language models in GGUF files, the format of llama.cpp, Ollama and LM Studio, through transformers.

Reading one takes transformers a quarter of a minute and more. So a file is converted once, into an ordinary folder in
the user's cache, under the hash of its content and the number format that it is loaded in: a file that is loaded in
bfloat16 rounds its weights, and one in float32 must not find those. ``conversion_cache.py`` keeps the folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sift_rag.devices import quiet_transformers
from sift_rag.errors import ModelError, ModelUnavailable, ModelUnsuitable, first_line
from sift_rag.extras import require
from sift_rag.models.conversion_cache import ConversionCache
from sift_rag.models.gguf_header import GgufHeader, read_header
from sift_rag.models.weights import require_causal, require_complete
from sift_rag.user_cache import is_disk_error, require_room

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

OnStage: TypeAlias = Callable[[str], None]
"""Called with what begins now, in words to show as they are: ``converting model.gguf (93 MB), once``."""

SUFFIX = ".gguf"
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_LONGEST_NAME = 100

_SLACK = 2
"""Factor of weights that a model may have beyond those in the file: a tied matrix counts once there."""


def gguf_file(name: str) -> Path | None:
    """Return the GGUF file that a name stands for: the file itself, or the only one in a folder without safetensors.

    Any file counts as one, since Ollama's have no suffix; ``convert_gguf`` checks the content.

    Raises:
        ModelUnavailable: the name ends in ``.gguf``, and there is no such file; or it cannot be looked up.
        ModelUnsuitable: a folder with several GGUF files, which are not the parts of one model.
    """
    try:
        path = Path(name).expanduser()
        if path.is_file():
            return path
        if not path.is_dir():
            if path.suffix.lower() == SUFFIX:
                raise ModelUnavailable(f"There is no file {name!r}.")
            return None
        files = sorted(file for file in path.iterdir() if file.suffix.lower() == SUFFIX and file.is_file())
    except (OSError, RuntimeError) as error:  # too long for a name, not to be entered, or in the home of nobody
        shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise ModelUnavailable(f"There is no model {shown!r}: {reason}.") from error
    if not files or any(path.glob("*.safetensors")):
        return None
    if len(files) > 1 and not all(_PART.search(file.name) for file in files):  # a part says itself what to do
        listed = ", ".join(file.name for file in files)
        raise ModelUnsuitable(f"{name!r} holds {len(files)} GGUF files: {listed}. Name one of them, with its folder.")
    return files[0]


def converted_folder(file: Path, dtype: torch.dtype, on_stage: OnStage | None = None) -> Path:
    """Return a folder with a file's model as safetensors, with tokenizer and chat template; converted if there is none.

    Args:
        file: a GGUF file.
        dtype: number format that the model will be loaded in.
        on_stage: called before a conversion, and before waiting for that of another process.

    Raises:
        MissingExtra: a package of the extra ``gguf`` is not installed.
        ModelUnavailable: the file cannot be read, or the user's cache cannot be written or has too little room.
        ModelUnsuitable: the file is damaged, has no tokenizer, or holds no language model that transformers can load.
    """
    require("platformdirs", "gguf")
    from platformdirs import user_cache_path

    cache = ConversionCache(user_cache_path("sift-rag", appauthor=False) / "models")
    try:
        key = f"{cache.digest(file)}-{str(dtype).removeprefix('torch.')}"
        megabytes = file.stat().st_size / 1e6
    except OSError as error:
        raise ModelUnavailable(f"The file {str(file)!r} cannot be read: {error.strerror or error}.") from error
    found = cache.find(key)
    if found is not None:
        return found
    require("gguf", "gguf")
    tell = on_stage or _untold
    return cache.add(
        key,
        lambda folder: convert_gguf(file, folder, dtype),
        on_start=lambda: tell(f"converting {file.name} ({megabytes:,.0f} MB), once"),
        on_wait=lambda: tell("waiting for another process, which is converting a model"),
    )


def convert_gguf(file: Path, folder: Path, dtype: torch.dtype) -> None:
    """Write the model of a GGUF file into a folder: safetensors, configuration, tokenizer, chat template.

    Raises:
        ModelUnavailable: the disk of the folder is too full.
        ModelUnsuitable: the file is damaged, has no tokenizer, or holds no language model that transformers can load.
    """
    header = read_header(file, file.name)
    _check(header, file.name)
    size = header.elements * dtype.itemsize
    _require_memory(size, file.name)
    require_room(folder, size)
    with quiet_transformers(), _no_bar(), _translated(file.name):
        from transformers import AutoConfig, AutoTokenizer

        source: dict[str, Any] = {
            "pretrained_model_name_or_path": str(file.resolve().parent),
            "gguf_file": file.resolve().name,
            "local_files_only": True,
        }
        config = AutoConfig.from_pretrained(**source)
        require_causal(config, file.name)
        _require_weights(config, header, file.name)
        tokenizer = AutoTokenizer.from_pretrained(**source)
        model = _model(source, config, dtype, file.name)
        _add_end_of_turn(model, header)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _untold(stage: str) -> None:
    """Tell nobody."""


def _check(header: GgufHeader, name: str) -> None:
    """Return if the header describes a language model with a tokenizer, as far as it can be told without loading."""
    kind = header.values.get("general.type", "model")
    if kind != "model":
        raise ModelUnsuitable(f"{name!r} is not a language model but of the type {kind!r}.")
    if header.parts > 1:
        raise ModelUnsuitable(
            f"{name!r} is one of the {header.parts} parts of a model: merge them into one file first, with llama.cpp's "
            "`llama-gguf-split --merge`."
        )
    if not _is_known(header.architecture):
        raise ModelUnsuitable(
            f"{name!r} holds a model of the architecture {header.architecture!r}, which transformers cannot load from "
            "GGUF: get the model as safetensors, or serve the file at an endpoint."
        )
    if not header.values.get("tokenizer.ggml.tokens") or "tokenizer.ggml.model" not in header.values:
        raise ModelUnsuitable(f"{name!r} holds no tokenizer: get a complete file of this model.")
    if not 0 < header.layers <= header.tensors:
        raise ModelUnsuitable(f"{name!r} states {header.layers} layers and holds {header.tensors} tensors.")


def _is_known(architecture: str) -> bool:
    """Return True if transformers reads GGUF files of this architecture."""
    from transformers.integrations.gguf.gguf_config_mapping import GGUF_CONFIG_ARCHS
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    def plain(name: str) -> str:  # the file says qwen2moe and gpt-oss, and transformers qwen2_moe and gpt_oss
        return name.replace("-", "").replace("_", "")

    return plain(architecture) in set(map(plain, [*GGUF_SUPPORTED_ARCHITECTURES, *GGUF_CONFIG_ARCHS]))


def _require_memory(size: int, name: str) -> None:
    """Return if a model of so many bytes fits the memory of this machine."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # a system that does not tell
        return
    if size > memory:
        raise ModelUnsuitable(
            f"{name!r} does not fit the memory of this machine: unpacked, its weights take {size / 1e9:,.1f} GB, and "
            f"the machine has {memory / 1e9:,.1f} GB."
        )


def _require_weights(config: PreTrainedConfig, header: GgufHeader, name: str) -> None:
    """Return if the model that the header describes is about as large as the tensors in the file.

    The rest would be filled with noise, and a wrong number in a header could fill the memory with it.
    """
    import torch
    from transformers import AutoModelForCausalLM

    make: Any = AutoModelForCausalLM.from_config
    with torch.device("meta"):
        described = sum(weight.numel() for weight in make(config).parameters())
    if described > _SLACK * header.elements:
        raise ModelUnsuitable(
            f"{name!r} describes a model of {described:,} weights and holds {header.elements:,}: get the complete file."
        )


def _model(source: dict[str, Any], config: PreTrainedConfig, dtype: torch.dtype, name: str) -> PreTrainedModel:
    """Return the model of a GGUF file, without what keeps transformers from saving it."""
    from transformers import AutoModelForCausalLM

    load: Any = AutoModelForCausalLM.from_pretrained
    model, loaded = load(**source, config=config, dtype=dtype, output_loading_info=True)
    require_complete(loaded, name)
    for attribute in ("hf_quantizer", "is_quantized", "quantization_method"):
        if attribute in vars(model):
            delattr(model, attribute)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model  # type: ignore[no-any-return]


def _add_end_of_turn(model: PreTrainedModel, header: GgufHeader) -> None:
    """Let the end of a turn end an answer too: some files state it apart from the end of a text."""
    end_of_turn, settings = header.values.get("tokenizer.ggml.eot_token_id"), model.generation_config
    if not isinstance(end_of_turn, int) or settings is None:
        return
    stated = settings.eos_token_id
    ends = [] if stated is None else [stated] if isinstance(stated, int) else list(stated)
    if end_of_turn not in ends:
        settings.eos_token_id = [*ends, end_of_turn]


@contextmanager
def _no_bar() -> Iterator[None]:
    """Silence the progress bar of transformers' GGUF reader, which its own switch does not reach."""
    from transformers import modeling_gguf_pytorch_utils as reader

    shown = vars(reader).get("tqdm")
    vars(reader)["tqdm"] = lambda items, **_: items
    try:
        yield
    finally:
        vars(reader)["tqdm"] = shown


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turn what the libraries raise into an error that names the file; errors of the disk are left to the cache."""
    try:
        yield
    except (ModelError, MemoryError):
        raise
    except Exception as error:  # a header can be wrong in many ways, and each library in the stack has its own errors
        if is_disk_error(error):
            raise
        raise ModelUnsuitable(f"{name!r} cannot be converted: {first_line(error)}") from error
