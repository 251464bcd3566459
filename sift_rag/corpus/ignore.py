"""Gitignore patterns, decided for one file or folder at a time.

The walk decides folder by folder, as git does: what lies under an ignored folder is never looked at. A pattern must
therefore match the entry *itself*; ``pathspec`` also lets a pattern match through a parent, which turns ``*``, ``!*/``,
``!*.md`` (nothing but Markdown) into "everything". So each pattern is matched alone and in full here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pathspec.patterns.gitignore.base import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from sift_rag.errors import ConfigurationError

_EVERYTHING = frozenset({"*", "**", "/**", "**/*", "/**/*", "**/**"})

_CHARACTER_CLASSES = {
    "[:alnum:]": "a-zA-Z0-9",
    "[:alpha:]": "a-zA-Z",
    "[:blank:]": " \t",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:space:]": " \t\r\f\v",
    "[:upper:]": "A-Z",
    "[:xdigit:]": "0-9a-fA-F",
}
"""git knows them, pathspec takes them for sets of letters."""


@dataclass(frozen=True, slots=True)
class _Rule:
    regex: re.Pattern[str]
    """Matches the whole path of an entry, relative to where the rules stand."""
    ignores: bool
    """False for a pattern that begins with ``!``."""
    folders_only: bool


class IgnoreRules:
    """The patterns of one ``.gitignore``, or of one ``--include`` or ``--exclude`` option."""

    def __init__(self, rules: Iterable[_Rule] = ()) -> None:
        self._last_first = tuple(rules)[::-1]

    def __bool__(self) -> bool:
        return bool(self._last_first)

    def decide(self, path: str, *, folder: bool) -> bool | None:
        """By the last pattern that matches ``path``: True for a plain one, False for one with ``!``, None without any.

        ``path`` is relative to where the rules stand, with ``/`` between and none at its end.
        """
        for rule in self._last_first:
            if (folder or not rule.folders_only) and rule.regex.fullmatch(path):
                return rule.ignores
        return None

    def covers(self, path: str) -> bool:
        """Whether the file at ``path``, or else the nearest of its folders that any pattern matches, is matched."""
        decision = self.decide(path, folder=False)
        while decision is None and "/" in path:
            path = path.rpartition("/")[0]
            decision = self.decide(path, folder=True)
        return decision is True


def gitignore_rules(content: bytes) -> IgnoreRules:
    """The rules of a ``.gitignore`` file; like git, passes over patterns that mean nothing."""
    rules: list[_Rule] = []
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        try:
            rule = _parse(line.removesuffix(b"\r").decode("utf-8", "surrogateescape"))
        except GitIgnorePatternError:
            continue
        if rule:
            rules.append(rule)
    return IgnoreRules(rules)


def pattern_rules(patterns: Iterable[str]) -> IgnoreRules:
    """The rules of patterns that a person gave.

    Raises:
        ConfigurationError: a pattern means nothing.
    """
    rules: list[_Rule] = []
    for pattern in patterns:
        try:
            rule = _parse(pattern)
        except GitIgnorePatternError:
            rule = None
        if rule is None:
            raise ConfigurationError(
                f"{pattern!r} is no file pattern. Write one as in a .gitignore, e.g. '*.md', 'docs/'."
            )
        rules.append(rule)
    return IgnoreRules(rules)


def _parse(line: str) -> _Rule | None:
    pattern = _without_trailing_spaces(line)
    if not pattern or pattern.startswith("#"):
        return None
    ignores = not pattern.startswith("!")
    pattern = pattern if ignores else pattern[1:]
    folders_only = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    if not pattern:
        return None
    if pattern in _EVERYTHING:
        return _Rule(re.compile(r"(?s:.+)"), ignores, folders_only)
    if folders_only and "/" not in pattern:
        pattern = f"**/{pattern}"
    if pattern.endswith("/**"):
        pattern += "/*"  # what is inside, not the folder itself
    if pattern.startswith(("!", "#")):
        pattern = f"\\{pattern}"
    for name, characters in _CHARACTER_CLASSES.items():
        pattern = pattern.replace(name, characters)
    regex = GitIgnoreSpecPattern(pattern).regex
    return _Rule(regex, ignores, folders_only) if regex is not None else None


def _without_trailing_spaces(line: str) -> str:
    stripped = line.rstrip(" ")
    escaped = (len(stripped) - len(stripped.rstrip("\\"))) % 2 == 1
    return stripped + " " if escaped and len(stripped) < len(line) else stripped
