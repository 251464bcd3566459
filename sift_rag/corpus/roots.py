"""The folders and files of an ingest, walked so that no file comes twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sift_rag.corpus.changes import Changes
from sift_rag.corpus.files import FoundFile, LinkOut, Unlistable, find_files
from sift_rag.corpus.incoming import IncomingFile
from sift_rag.corpus.locations import RealPaths, is_here, is_under, path_at
from sift_rag.corpus.options import IngestOptions
from sift_rag.errors import StoreConflict
from sift_rag.types import Document


def in_order(roots: Sequence[Path]) -> list[Path]:
    """Return the roots, each place once, and those that hold others first: the outer one names what both hold.

    Raises:
        StoreConflict: two folders at different places have one name.
    """
    by_place: dict[Path, Path] = {}
    for root in roots:
        by_place.setdefault(Path(os.path.realpath(root)), root)
    by_name: dict[str, Path] = {}
    for root in by_place.values():
        other = by_name.setdefault(root.name, root) if root.is_dir() else root
        if other != root:
            raise StoreConflict(
                f"Two folders are called {root.name!r}: {other} and {root}. Their files would share names: ingest a "
                "folder that holds both, or use two collections."
            )
    places = list(by_place)
    return [by_place[place] for place in sorted(places, key=lambda place: sum(map(place.is_relative_to, places)))]


@dataclass(slots=True)
class RootWalk:
    """The walk through one root."""

    root: Path
    options: IngestOptions
    paths: RealPaths
    seen: set[str]
    """Real paths of the files that earlier walks have found; those of this one are added."""
    changes: Changes | None = None
    """All that is looked at, if only that may have changed."""
    found: int = 0
    """Number of files under the root, also of those that were seen before."""
    links_out: int = 0
    """Number of links out of the root that were not followed."""
    unlistable: list[Unlistable] = field(default_factory=list)
    earlier_places: set[str] = field(default_factory=set)
    """Where the root was before, as far as records of its files show."""

    def files(self) -> Iterator[IncomingFile]:
        """Yield the files that were not seen before, by source ascending."""
        for item in self._walk(None if self.changes is None else self.changes.reach_into):
            match item:
                case FoundFile():
                    self.found += 1
                    if self.changes is not None and not self.changes.hold(str(item.path)):
                        continue
                    place = self.paths.real(str(item.path))
                    if place not in self.seen:
                        self.seen.add(place)
                        yield IncomingFile(item.source, item.path)
                case LinkOut():
                    self.links_out += 1
                case Unlistable():
                    self.unlistable.append(item)

    def holds_files(self) -> bool:
        """Return True if there is any file under the root, also where nothing has changed."""
        return self.found > 0 or any(isinstance(item, FoundFile) for item in self._walk(None))

    def _walk(self, is_entered: Callable[[str], bool] | None) -> Iterator[FoundFile | Unlistable | LinkOut]:
        options = self.options
        return find_files(
            self.root,
            include=options.include,
            exclude=options.exclude,
            follow_links=options.follow_links,
            is_entered=is_entered,
        )

    def learn_from(self, record: Document, path: Path) -> None:
        """Learn where the root was before, if a record puts a file elsewhere that is no longer there."""
        rest = str(path).removeprefix(str(self.root))
        before = path_at(record.location)
        if rest and before.endswith(rest) and not is_here(record.location):
            self.earlier_places.add(before.removesuffix(rest))

    def lacks(self, record: Document) -> bool:
        """Return True if the file of a record was under the root and no longer is, as far as that can be seen."""
        if not record.location or is_here(record.location):
            return False
        places = list(self._places(path_at(record.location)))
        if self.changes is not None and not any(map(self.changes.hold, places)):
            return False
        return bool(places) and not any(os.path.lexists(place) or self._is_hidden_by_error(place) for place in places)

    def _places(self, path: str) -> Iterator[str]:
        """Yield the paths under the root as it is now, for one under the root by any of its names and places."""
        for place in {str(self.root), os.path.realpath(self.root), *self.earlier_places}:
            if is_under(path, place):
                yield f"{self.root}/{path[len(place) :].lstrip('/')}"
        real = self.paths.real(path)
        real_root = os.path.realpath(self.root)
        if is_under(real, real_root):
            yield f"{self.root}/{real[len(real_root) :].lstrip('/')}"

    def _is_hidden_by_error(self, path: str) -> bool:
        return any(folder.path is not None and is_under(path, str(folder.path)) for folder in self.unlistable)
