"""Converted language models in the user's cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sift_rag.errors import ModelUnavailable, Remedy
from sift_rag.user_cache import FolderCache, is_disk_error, reason_of


class ConversionCache(FolderCache):
    """Folders of a model each, with its configuration and its weights as safetensors."""

    def is_complete(self, folder: Path) -> bool:
        """Implement ``FolderCache.is_complete``."""
        return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))

    def add(
        self,
        key: str,
        fill: Callable[[Path], None],
        *,
        on_start: Callable[[], None],
        on_wait: Callable[[], None],
    ) -> Path:
        """Do as ``FolderCache.add`` does.

        Raises:
            ModelUnavailable: the cache cannot be written. Nothing of this conversion is left.
        """
        try:
            return super().add(key, fill, on_start=on_start, on_wait=on_wait)
        except Exception as error:
            if not is_disk_error(error):
                raise
            raise ModelUnavailable(
                f"The converted model cannot be kept in {str(self.root)!r}: {reason_of(error)}.",
                remedy=Remedy("model-cache", folder=str(self.root)),
            ) from error
