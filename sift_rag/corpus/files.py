"""Find the files to ingest under a folder, one at a time and always in the same order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sift_rag.corpus.decoding import valid_name
from sift_rag.corpus.documents import open_at_once
from sift_rag.corpus.gitignore import IgnoreRules, gitignore_rules, pattern_rules
from sift_rag.errors import NothingToIngest

NEVER_ENTERED = frozenset({".git", ".hg", ".svn", ".bzr", ".jj", "CVS", "node_modules", "__pycache__", ".venv"})
"""Folders of version control, installed packages and byte code, which hold no documents."""

_VIRTUAL_ENVIRONMENT = "pyvenv.cfg"
"""File that marks a Python environment, whatever the folder's name."""


_MAX_GITIGNORE = 1 << 20
"""Bytes of a ``.gitignore``; those that people write have a few thousand."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to ingest, whatever its format. Files that cannot be read raise when they are read."""

    source: str
    """Name ``<ingested folder>/<path in it>``: the same on every machine, and always valid Unicode."""
    path: Path


@dataclass(frozen=True, slots=True)
class Unlistable:
    """A folder that cannot be listed. None of its files counts as gone."""

    source: str
    reason: str
    path: Path | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class LinkOut:
    """A link that leads out of the ingested folder, and is not followed."""

    source: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """One name in a folder, links followed."""

    path: Path
    relative: str
    """Path from the ingested root, with ``/`` between names and none at the end."""
    is_folder: bool
    is_link: bool = False
    leads_out: bool = False
    """True for a link out of the root that is not followed."""


@dataclass(frozen=True, slots=True)
class _Gitignore:
    """One ``.gitignore`` file in force."""

    rules: IgnoreRules
    skip: int = 0
    """Length of the path from the root to the file's folder, if that is under the root."""
    way_down: str = ""
    """Path from the file's folder to the root, if that folder is above the root."""

    def decide(self, relative: str, *, folder: bool) -> bool | None:
        return self.rules.decide(self.way_down + relative[self.skip :], folder=folder)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder on the path from the root to the walk's current folder."""

    real_path: str
    gitignores: tuple[_Gitignore, ...]
    """Files in force, outermost first."""
    entries: Iterator[_Entry]


def find_files(
    root: Path,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    is_entered: Callable[[str], bool] | None = None,
) -> Iterator[FoundFile | Unlistable | LinkOut]:
    """Yield the files under ``root``, by source ascending; ``root`` itself if it is a file.

    - ``.gitignore`` files count as they do for git: at every level, and above ``root`` up to the top of the repository.
    - Hidden files and folders are skipped, unless a pattern of ``include`` names a hidden one (``.github/**``).
      Folders in ``NEVER_ENTERED`` and Python environments always are.
    - A link to something under ``root`` is skipped: it is found under its own name. One that leads out of it is
      followed only if ``follow_links``; each folder that such links lead to is walked once. ``root`` may be a link.
    - Pipes, sockets and devices are found like files, and refused when they are read.
    - If ``root`` is a file, it is found whatever the patterns say.

    Memory: the folders between ``root`` and the current file. A caller may stop at any point.

    Args:
        root: a folder or a file.
        include: gitignore-style patterns relative to ``root``; if there are any, only files that match are found.
        exclude: likewise; files and folders that match are not found.
        follow_links: follow links that lead out of ``root``.
        is_entered: says of a folder under ``root``, by its path, whether it is worth a look; None if all are.

    Raises:
        NothingToIngest: ``root`` does not exist.
        ConfigurationError: a pattern cannot match anything.
    """
    walk = _Walk(
        root=Path(os.path.abspath(root)),  # noqa: PTH100 - resolve() would replace a link's name by its target's
        include=pattern_rules(include),
        include_hidden=pattern_rules(pattern for pattern in include if _names_hidden(pattern)),
        exclude=pattern_rules(exclude),
        follow_links=follow_links,
        is_entered=is_entered,
    )
    if not os.path.lexists(walk.root):
        raise NothingToIngest(f"There is no file or folder {str(root)!r}; relative paths start at {Path.cwd()}.")
    return walk.files()


@dataclass(frozen=True, slots=True)
class _Walk:
    root: Path
    include: IgnoreRules
    include_hidden: IgnoreRules
    """Patterns of ``include`` that name a hidden file or folder."""
    exclude: IgnoreRules
    follow_links: bool = False
    is_entered: Callable[[str], bool] | None = None
    reached_by_link: set[Path] = field(default_factory=set)
    """Real paths of the folders outside the root that links have led to."""

    def files(self) -> Iterator[FoundFile | Unlistable | LinkOut]:
        if not self.root.is_dir():
            yield FoundFile(_join(valid_name(self.root.parent.name), valid_name(self.root.name)), self.root)
            return
        real_root = os.path.realpath(self.root)
        top = _Entry(self.root, "", is_folder=True)
        try:
            opened = self._open(top, real_root, _gitignores_above(Path(real_root)))
        except ValueError as error:
            opened = self._without_rules(top, error)
        path: list[_Folder] = []  # an explicit stack: a tree may be deeper than Python's
        while True:
            if isinstance(opened, _Folder):
                path.append(opened)
            elif opened is not None:
                yield opened
            opened = None
            if not path:
                return
            entry = next(path[-1].entries, None)
            if entry is None:
                path.pop()
            elif entry.leads_out:
                yield LinkOut(self._source(entry.relative))
            elif not entry.is_folder:
                yield FoundFile(self._source(entry.relative), entry.path)
            elif self.is_entered is None or self.is_entered(str(entry.path)):
                # Resolving every folder anew would make a deep tree cost the cube of its depth.
                above = path[-1].real_path
                real_path = os.path.realpath(entry.path) if entry.is_link else os.path.join(above, entry.path.name)  # noqa: PTH118
                if all(real_path != folder.real_path for folder in path):
                    opened = self._open(entry, real_path, path[-1].gitignores)

    def _open(self, folder: _Entry, real_path: str, above: tuple[_Gitignore, ...]) -> _Folder | Unlistable | None:
        """List a folder; None for a Python environment."""
        try:
            with os.scandir(folder.path) as listing:
                names = {entry.name: entry for entry in listing}
        except OSError as error:
            reason = f"cannot be listed: {error.strerror or error}"
            return Unlistable(self._source(folder.relative), reason, folder.path)
        if _VIRTUAL_ENVIRONMENT in names and folder.relative:
            return None
        try:
            own = _gitignore(folder.path / ".gitignore") if ".gitignore" in names else None
        except ValueError as error:
            return self._without_rules(folder, error)
        gitignores = (*above, _Gitignore(own, skip=len(folder.relative) + bool(folder.relative))) if own else above
        wanted = [entry for name in names.values() if (entry := self._entry(folder, name, gitignores))]
        # As strings sort: "a-b.md" before "a/b.md".
        wanted.sort(key=lambda entry: (valid_name(entry.path.name) + "/" * entry.is_folder, entry.path.name))
        return _Folder(real_path, gitignores, iter(wanted))

    def _without_rules(self, folder: _Entry, error: ValueError) -> Unlistable:
        """Leave a folder out: without its rules, what was to stay outside would go in."""
        reason = f"left out, because of a .gitignore that cannot be applied: {error}"
        return Unlistable(self._source(folder.relative), reason, folder.path)

    def _entry(self, folder: _Entry, listed: os.DirEntry[str], gitignores: tuple[_Gitignore, ...]) -> _Entry | None:
        """Return the entry of a name, or None if it is not wanted."""
        if listed.name in NEVER_ENTERED or (listed.name.startswith(".") and not self.include_hidden):
            return None
        try:
            is_link, is_folder = listed.is_symlink(), listed.is_dir()
        except OSError:  # a circle of links: reading it will raise
            is_link, is_folder = True, False
        relative = f"{folder.relative}/{listed.name}" if folder.relative else listed.name
        entry = _Entry(folder.path / listed.name, relative, is_folder, is_link)
        if self.exclude.decide(relative, folder=is_folder) or not (is_folder or self._included(relative)):
            return None
        # To git a link is a file, even if it leads to a folder.
        if _ignored(relative, gitignores, folder=is_folder and not is_link):
            return None
        return self._followed(entry) if is_link else entry

    def _included(self, relative: str) -> bool:
        if any(part.startswith(".") for part in relative.split("/")):
            return self.include_hidden.covers(relative)
        return not self.include or self.include.covers(relative)

    def _followed(self, link: _Entry) -> _Entry | None:
        """Return the entry of a link; None if what it leads to is found without it."""
        target = Path(os.path.realpath(link.path))
        real_root = os.path.realpath(self.root)
        if target.is_relative_to(real_root):
            # A hidden target would not be found under its own name (Kubernetes mounts files as links into ..data/).
            hidden = any(part.startswith(".") for part in target.relative_to(real_root).parts)
            return link if hidden else None
        if not self.follow_links:
            return replace(link, leads_out=True)
        if link.is_folder:
            if target in self.reached_by_link:
                return None
            self.reached_by_link.add(target)
        return link

    def _source(self, relative: str) -> str:
        return _join(valid_name(self.root.name), valid_name(relative))


def _ignored(relative: str, gitignores: tuple[_Gitignore, ...], *, folder: bool) -> bool:
    """Return True if git ignores an entry: the innermost file with an opinion decides."""
    decisions = (gitignore.decide(relative, folder=folder) for gitignore in reversed(gitignores))
    return next((decision for decision in decisions if decision is not None), False)


def _gitignores_above(folder: Path) -> tuple[_Gitignore, ...]:
    """Return the files from the top of the repository that holds ``folder`` down to its parent."""
    found: list[_Gitignore] = []
    for parent in (folder, *folder.parents):
        if parent != folder and (rules := _gitignore(parent / ".gitignore")):
            found.append(_Gitignore(rules, way_down=f"{folder.relative_to(parent).as_posix()}/"))
        if os.path.lexists(parent / ".git"):
            return tuple(reversed(found))
    return ()


def _gitignore(path: Path) -> IgnoreRules | None:
    """Return the rules of a file, or None if there are none.

    Raises:
        ValueError: it is too large, or has too many patterns.
    """
    try:
        if not path.is_file():  # a pipe or a device could be read for ever
            return None
        with open(path, "rb", opener=open_at_once) as file:
            content = file.read(_MAX_GITIGNORE + 1)
    except OSError:
        return None  # as for git: a .gitignore that is a folder, or unreadable, ignores nothing
    if len(content) > _MAX_GITIGNORE:
        raise ValueError(f"larger than {_MAX_GITIGNORE >> 20} MB")
    return gitignore_rules(content) or None


def _names_hidden(pattern: str) -> bool:
    return any(part.startswith(".") for part in pattern.removeprefix("!").split("/"))


def _join(folder: str, relative: str) -> str:
    return "/".join(part for part in (folder, relative) if part)
