"""Name the extra of sift-rag that installs a missing optional package."""

from __future__ import annotations

from importlib.util import find_spec

from sift_rag.errors import MissingExtra


def require(package: str, extra: str) -> None:
    """Return if an optional package is installed. It is not imported: that is left to the caller, after this.

    Args:
        package: name that it is imported by, ``pypdfium2`` for example.
        extra: the extra that installs it: ``pdf`` stands for ``sift-rag[pdf]``.

    Raises:
        MissingExtra: the package is not installed. The message holds the pip line.
    """
    if find_spec(package) is None:
        raise MissingExtra(package, extra)
