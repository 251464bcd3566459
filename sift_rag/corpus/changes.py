"""Changes in folders, as far as a file system tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

MANY = 1_000
"""Number of changes above which a whole folder is looked at: that costs less than to compare each."""


@dataclass(frozen=True)
class Changes:
    """The paths that may have changed. All are absolute, and true if there are any."""

    files: frozenset[str] = frozenset()
    """Files and folders that were written to."""
    trees: frozenset[str] = frozenset()
    """Files and folders that came or went, with everything under them."""
    everything: bool = False
    """Any path may have changed."""

    def __bool__(self) -> bool:
        return self.everything or bool(self.files) or bool(self.trees)

    def __or__(self, other: Changes) -> Changes:
        """Return the changes of both; everything, if they are many."""
        files, trees = self.files | other.files, self.trees | other.trees
        if self.everything or other.everything or len(files) + len(trees) > MANY:
            return EVERYTHING
        return Changes(files, trees)

    def hold(self, path: str) -> bool:
        """Return True if this path may have changed."""
        return self.everything or path in self.files or any(place in self.trees for place in _upwards(path))

    def reach_into(self, folder: str) -> bool:
        """Return True if anything in this folder, at any depth, may have changed."""
        return folder in self._folders or self.hold(folder)

    @cached_property
    def _folders(self) -> frozenset[str]:
        """The folders that hold what has changed."""
        return frozenset(place for path in self.files | self.trees for place in _upwards(path.rpartition("/")[0]))


EVERYTHING = Changes(everything=True)


def _upwards(path: str) -> Iterator[str]:
    """Yield a path and the folders that it is in."""
    while path:
        yield path
        path = path.rpartition("/")[0]
