"""Import optional packages, or say which extra of sift-rag installs them."""

from __future__ import annotations

from importlib import import_module

from sift_rag.errors import MissingExtra


def require(module: str, extra: str) -> None:
    """Import a module of an optional package.

    Args:
        module: its dotted name, ``pypdfium2`` for example.
        extra: the extra that installs it: ``pdf`` stands for ``sift-rag[pdf]``.

    Raises:
        MissingExtra: the package is not installed. The message holds the pip line.
    """
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # the package is there, and something that it needs is not
        raise MissingExtra(package, extra) from error
