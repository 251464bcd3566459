"""Which files a folder holds for us, one at a time and always in the same order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sift_rag.corpus.ignore import IgnoreRules, gitignore_rules, pattern_rules
from sift_rag.corpus.text import valid_name
from sift_rag.errors import NothingToIngest

NEVER_ENTERED = frozenset({".git", ".hg", ".svn", ".bzr", ".jj", "CVS", "node_modules", "__pycache__", ".venv"})
"""Folders of version control, of installed packages and of byte code, which are nobody's documents."""

_VIRTUAL_ENVIRONMENT = "pyvenv.cfg"
"""Whatever its name, a folder that holds this file is a Python environment."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to ingest, whatever its format: a file that cannot be read says so when it is read."""

    source: str
    """``<name of the ingested folder>/<path in it>``: the same on every machine, and always valid Unicode."""
    path: Path


@dataclass(frozen=True, slots=True)
class Unlistable:
    """A folder whose files are unknown: none of them counts as gone."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one name in a folder stands for, links followed."""

    path: Path
    relative: str
    """To the ingested root; ``/`` between, none at the end."""
    is_folder: bool
    is_link: bool = False


@dataclass(frozen=True, slots=True)
class _Gitignore:
    """One ``.gitignore`` file in force."""

    rules: IgnoreRules
    skip: int = 0
    """How many characters of a path relative to the root lead to the file's folder, if that is under the root."""
    way_down: str = ""
    """Leads from the file's folder to the root, if that is above the root."""

    def decide(self, relative: str, *, folder: bool) -> bool | None:
        return self.rules.decide(self.way_down + relative[self.skip :], folder=folder)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder on the way from the root to where the walk stands."""

    real_path: str
    gitignores: tuple[_Gitignore, ...]
    """Outermost first."""
    entries: Iterator[_Entry]


def find_files(
    root: Path, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Iterator[FoundFile | Unlistable]:
    """The files under ``root``, by source ascending; ``root`` itself if it is a file.

    - ``.gitignore`` files count as they do for git: at every level, and above ``root`` up to the repository's top.
    - Hidden files and folders are passed over, unless a pattern of ``include`` names a hidden one (``.github/**``); the
      folders in ``NEVER_ENTERED``, and Python environments, always are.
    - A link is followed, but each folder that links lead to is walked once, and a link to what ``root`` holds anyway is
      passed over: that file is found under its own name.
    - Pipes, sockets and devices are found like files, and refused when they are read.
    - A file given as ``root`` is found whatever the patterns say.

    Memory is that of the folders between ``root`` and the current file, so a caller may stop, or go on, at any point.

    Args:
        root: a folder or a file.
        include: gitignore-style patterns relative to ``root``; with any, only files that match are found.
        exclude: likewise; files and folders that match are not found.

    Raises:
        NothingToIngest: there is nothing at ``root``.
        ConfigurationError: a pattern means nothing.
    """
    walk = _Walk(
        root=Path(os.path.abspath(root)),  # noqa: PTH100 - resolve() would replace a link's name by its target's
        include=pattern_rules(include),
        include_hidden=pattern_rules(pattern for pattern in include if _names_hidden(pattern)),
        exclude=pattern_rules(exclude),
    )
    if not os.path.lexists(walk.root):
        raise NothingToIngest(
            f"There is no file or folder {str(root)!r}. Check the path; it is relative to {Path.cwd()}."
        )
    return walk.files()


@dataclass(frozen=True, slots=True)
class _Walk:
    root: Path
    include: IgnoreRules
    include_hidden: IgnoreRules
    """Those patterns of ``include`` that name a hidden file or folder."""
    exclude: IgnoreRules
    reached_by_link: set[Path] = field(default_factory=set)
    """The folders outside the root that links led to, by their real paths."""

    def files(self) -> Iterator[FoundFile | Unlistable]:
        if not self.root.is_dir():
            yield FoundFile(_join(valid_name(self.root.parent.name), valid_name(self.root.name)), self.root)
            return
        real_root = os.path.realpath(self.root)
        opened = self._open(_Entry(self.root, "", is_folder=True), real_root, _gitignores_above(Path(real_root)))
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
            elif not entry.is_folder:
                yield FoundFile(self._source(entry.relative), entry.path)
            else:
                # Resolving every folder anew would make a deep tree cost the cube of its depth.
                above = path[-1].real_path
                real_path = os.path.realpath(entry.path) if entry.is_link else os.path.join(above, entry.path.name)  # noqa: PTH118
                if all(real_path != folder.real_path for folder in path):
                    opened = self._open(entry, real_path, path[-1].gitignores)

    def _open(self, folder: _Entry, real_path: str, above: tuple[_Gitignore, ...]) -> _Folder | Unlistable | None:
        """Lists a folder; None for a Python environment."""
        try:
            with os.scandir(folder.path) as listing:
                names = {entry.name: entry for entry in listing}
        except OSError as error:
            return Unlistable(self._source(folder.relative), f"cannot be listed: {error.strerror or error}")
        if _VIRTUAL_ENVIRONMENT in names and folder.relative:
            return None
        own = _gitignore(folder.path / ".gitignore") if ".gitignore" in names else None
        gitignores = (*above, _Gitignore(own, skip=len(folder.relative) + bool(folder.relative))) if own else above
        wanted = [entry for name in names.values() if (entry := self._entry(folder, name, gitignores))]
        # As strings sort: "a-b.md" before "a/b.md".
        wanted.sort(key=lambda entry: valid_name(entry.path.name) + "/" * entry.is_folder)
        return _Folder(real_path, gitignores, iter(wanted))

    def _entry(self, folder: _Entry, listed: os.DirEntry[str], gitignores: tuple[_Gitignore, ...]) -> _Entry | None:
        """What a name stands for, if it is wanted."""
        if listed.name in NEVER_ENTERED or (listed.name.startswith(".") and not self.include_hidden):
            return None
        try:
            is_link, is_folder = listed.is_symlink(), listed.is_dir()
        except OSError:  # a link that leads round in a circle: reading it says so
            is_link, is_folder = True, False
        relative = f"{folder.relative}/{listed.name}" if folder.relative else listed.name
        entry = _Entry(folder.path / listed.name, relative, is_folder, is_link)
        if self.exclude.decide(relative, folder=is_folder) or not (is_folder or self._included(relative)):
            return None
        # To git a link is a file, also where it leads to a folder.
        if _ignored(relative, gitignores, folder=is_folder and not is_link):
            return None
        return entry if not is_link or self._worth_following(entry) else None

    def _included(self, relative: str) -> bool:
        if any(part.startswith(".") for part in relative.split("/")):
            return self.include_hidden.covers(relative)
        return not self.include or self.include.covers(relative)

    def _worth_following(self, link: _Entry) -> bool:
        target = Path(os.path.realpath(link.path))
        real_root = os.path.realpath(self.root)
        if target.is_relative_to(real_root):
            # What is hidden there would not be met under its own name (Kubernetes mounts files as links into ..data/).
            return any(part.startswith(".") for part in target.relative_to(real_root).parts)
        if link.is_folder:
            if target in self.reached_by_link:
                return False
            self.reached_by_link.add(target)
        return True

    def _source(self, relative: str) -> str:
        return _join(valid_name(self.root.name), valid_name(relative))


def _ignored(relative: str, gitignores: tuple[_Gitignore, ...], *, folder: bool) -> bool:
    """Whether git ignores an entry: the innermost file with an opinion decides."""
    decisions = (gitignore.decide(relative, folder=folder) for gitignore in reversed(gitignores))
    return next((decision for decision in decisions if decision is not None), False)


def _gitignores_above(folder: Path) -> tuple[_Gitignore, ...]:
    """From the top of the repository that holds ``folder`` down to its parent; none outside a repository."""
    found: list[_Gitignore] = []
    for parent in (folder, *folder.parents):
        if parent != folder and (rules := _gitignore(parent / ".gitignore")):
            found.append(_Gitignore(rules, way_down=f"{folder.relative_to(parent).as_posix()}/"))
        if os.path.lexists(parent / ".git"):
            return tuple(reversed(found))
    return ()


def _gitignore(path: Path) -> IgnoreRules | None:
    try:
        return gitignore_rules(path.read_bytes()) or None
    except OSError:
        return None  # as for git: a .gitignore that is a folder, or not ours to read, ignores nothing


def _names_hidden(pattern: str) -> bool:
    return any(part.startswith(".") for part in pattern.removeprefix("!").split("/"))


def _join(folder: str, relative: str) -> str:
    return "/".join(part for part in (folder, relative) if part)
