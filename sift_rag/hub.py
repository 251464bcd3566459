"""Find the files of a model on this machine, or fetch them from the hub.

The only module that talks to ``huggingface_hub``. Loading from the folder that it returns keeps transformers from
asking the hub for every file that a model may have: with a complete cache and no network that took three minutes of
retries, and an unknown name took over one.
"""

from __future__ import annotations

from pathlib import Path

from sift_rag.errors import ModelUnavailable
from sift_rag.extras import require

HUB_TIMEOUT_SECONDS = 10.0

_FILES = ["*.json", "*.jinja", "*.safetensors", "*.model", "*.txt", "README.md"]
_NOT_FILES = ["onnx/*", "openvino/*", "consolidated*"]
"""Patterns of other formats of the same weights, and of second copies."""


def named_folder(name: str) -> str | None:
    """Return the absolute path of a folder if the name is one or looks like one; None for a name on the hub."""
    if name.startswith((".", "/", "~")) or Path(name).is_dir():
        return str(Path(name).expanduser().resolve())
    return None


def model_folder(name: str) -> Path:
    """Return the folder of a model's files: ``name`` itself, a complete copy in the local cache, or fetched now.

    Raises:
        MissingExtra: ``huggingface_hub`` is not installed.
        ModelUnavailable: no such folder, not cached, and it cannot be fetched now.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    require("huggingface_hub", "sentence-transformers")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        cached = Path(snapshot_download(name, allow_patterns=_FILES, ignore_patterns=_NOT_FILES, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        cached = None
    if cached is not None and any(cached.rglob("*.safetensors")):
        return cached
    _require_known(name)
    try:
        return Path(snapshot_download(name, allow_patterns=_FILES, ignore_patterns=_NOT_FILES))
    except Exception as error:  # the hub's client passes on the errors of its HTTP library
        raise ModelUnavailable(
            f"The model {name!r} could not be fetched ({type(error).__name__}). Check the network and the free space, "
            "or name a folder that holds the model."
        ) from error


def model_file(name: str, file: str) -> Path:
    """Return one file of a model: in the folder ``name``, in the local cache, or fetched now.

    Raises:
        MissingExtra: ``huggingface_hub`` is not installed.
        ModelUnavailable: no such folder or file, not cached, and it cannot be fetched now.
    """
    folder = named_folder(name)
    if folder is not None:
        path = Path(folder) / file
        if not path.is_file():
            raise ModelUnavailable(f"There is no file {str(path)!r}.")
        return path
    require("huggingface_hub", "sentence-transformers")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name, file, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        _require_known(name)
    try:
        return Path(hf_hub_download(name, file))
    except Exception as error:  # the hub's client passes on the errors of its HTTP library
        raise ModelUnavailable(
            f"The file {file} of the model {name!r} could not be fetched ({type(error).__name__}): expected a model "
            "that has one, or a file on this machine."
        ) from error


def _require_known(name: str) -> None:
    """Return if the hub answers and knows ``name``.

    Raises:
        ModelUnavailable: it does not; the message says why.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelUnavailable(f"There is no model folder {name!r}.")
    try:
        if constants.HF_HUB_OFFLINE:
            raise ModelUnavailable(
                f"The model {name!r} is not in the local cache, and HF_HUB_OFFLINE forbids fetching it. "
                "Name a folder that holds it, or unset HF_HUB_OFFLINE."
            )
        HfApi().model_info(name, timeout=HUB_TIMEOUT_SECONDS)
    except HFValidationError as error:
        raise ModelUnavailable(f"{name!r} is neither a folder nor the name of a model.") from error
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"The model {name!r} is gated: accept its terms on the hub and set HF_TOKEN, or choose another."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(
            f"There is no folder and no model {name!r} on the hub (or it is private and HF_TOKEN is not set)."
        ) from error
    except ModelUnavailable:
        raise
    except Exception as error:  # the hub's client passes on the errors of its HTTP library
        raise ModelUnavailable(
            f"The model {name!r} is not on this machine, and the model hub cannot be reached "
            f"({type(error).__name__}). Check the network, or name a folder that holds the model."
        ) from error
