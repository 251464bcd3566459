"""Exported embedders in the user's cache, by the content of the model's files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag.embedders.onnx import RECIPE, ExportedModel
from sift_rag.errors import ModelUnsuitable
from sift_rag.user_cache import FolderCache, replace_text

if TYPE_CHECKING:
    from sift_rag.embedders.sentence_transformer import SentenceTransformerEmbedder

_REFUSED = "refused"
_SUFFIXES = {".json", ".safetensors", ".model", ".txt", ".jinja"}


class OnnxCache(FolderCache):
    """Folders of an export each. One with a file that is cut off, changed or not of this export counts as absent."""

    @classmethod
    def of_user(cls) -> OnnxCache:
        """Return the cache of the user who runs this process; needs ``platformdirs``."""
        from platformdirs import user_cache_path

        return cls(user_cache_path("sift-rag", appauthor=False) / "embedders")

    def is_complete(self, folder: Path) -> bool:
        """Implement ``FolderCache.is_complete``, by the hashes that the export was written with."""
        try:
            return all(
                self.digest(folder / name) == expected for name, expected in ExportedModel.read(folder).hashes.items()
            )
        except (OSError, ValueError):
            return False

    def key(self, model: Path) -> str:
        """Return the key of a model, from the names and contents of its files.

        Raises:
            OSError: a file cannot be read.
        """
        folders = [model, *(model / path for path in _module_paths(model))]
        files = sorted(
            file
            for folder in folders
            if folder.is_dir()
            for file in folder.iterdir()
            if file.suffix in _SUFFIXES or file.name == "README.md"
        )
        listed = [str(RECIPE), *(f"{file.relative_to(model).as_posix()} {self.digest(file)}" for file in files)]
        return hashlib.blake2b("\n".join(listed).encode(), digest_size=16).hexdigest()

    def export(
        self,
        key: str,
        embedder: SentenceTransformerEmbedder,
        model: Path,
        on_stage: Callable[[str], None],
    ) -> Path:
        """Return the folder of a key, after exporting a model if there is none.

        Args:
            key: the model's.
            embedder: the model, loaded.
            model: folder that it was loaded from.
            on_stage: called with what begins now, in words.

        Raises:
            MissingExtra: ``onnx`` or ``onnxruntime`` is not installed.
            ModelUnsuitable: the model cannot be exported, as was found now or before with the same libraries.
            OSError: the cache cannot be written.
        """
        from sift_rag.embedders.onnx_export import export_onnx

        before = self._refusal(key)
        if before is not None:
            raise ModelUnsuitable(before)
        megabytes = 4 * sum(weight.numel() for weight in embedder.model.parameters()) / 1e6
        try:
            return self.add(
                key,
                lambda folder: export_onnx(embedder, model, folder, self.digest),
                on_start=lambda: on_stage(
                    f"exporting the embedder {embedder.name} to {self.root} ({megabytes:,.0f} MB), once"
                ),
                on_wait=lambda: on_stage("waiting for another process, which is exporting an embedder"),
            )
        except ModelUnsuitable as error:
            with suppress(OSError):
                replace_text(self.root / _REFUSED / key, json.dumps([library_versions(), str(error)]))
            raise

    def was_refused(self, key: str) -> bool:
        """Return True if the model could not be exported before, with the same libraries."""
        return self._refusal(key) is not None

    def _refusal(self, key: str) -> str | None:
        with suppress(OSError, ValueError):
            versions, reason = json.loads((self.root / _REFUSED / key).read_bytes())
            if versions == library_versions():
                return str(reason)
        return None


def _module_paths(model: Path) -> set[str]:
    """Return the folders within a model's that its parts are in."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        return {str(part["path"]) for part in json.loads((model / "modules.json").read_bytes()) if part["path"]}
    return set()


def library_versions() -> list[str]:
    """Return the versions of what exports and runs a model; empty for what is not installed."""
    packages = ("torch", "transformers", "sentence-transformers", "onnx", "onnxruntime", "openvino")
    return [_version(package) for package in packages]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
