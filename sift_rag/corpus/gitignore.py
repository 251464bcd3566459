"""Decide by gitignore patterns, one file or folder at a time.

The walk decides folder by folder, as git does: nothing under an ignored folder is visited. A pattern must therefore
match the entry *itself*, not one of its parents; otherwise ``*``, ``!*/``, ``!*.md`` (nothing but Markdown) would mean
"everything".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sift_rag.corpus.glob_regex import path_regex
from sift_rag.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class _Rule:
    regex: re.Pattern[str]
    """Regular expression for the whole path of an entry, relative to the rules' folder."""
    ignores: bool
    """True, or False for a pattern that begins with ``!``."""
    folders_only: bool


class IgnoreRules:
    """The patterns of one ``.gitignore`` file, or a list of patterns to include or to exclude."""

    def __init__(self, rules: Iterable[_Rule] = (), *, bytewise: bool = False) -> None:
        """Keep the rules.

        Args:
            rules: in the order of the file.
            bytewise: the rules are of bytes, each written as the character of its number. Git matches bytes: to it
                ``?`` is half of an ``é``.
        """
        self._last_first = tuple(rules)[::-1]
        self._bytewise = bytewise

    def __bool__(self) -> bool:
        return bool(self._last_first)

    def decide(self, path: str, *, folder: bool) -> bool | None:
        """Apply the last pattern that matches ``path``: True for a plain one, False for one with ``!``, None for none.

        ``path`` is relative to the rules' folder, with ``/`` between names and none at its end.
        """
        if self._bytewise and not path.isascii():
            path = path.encode("utf-8", "surrogateescape").decode("latin-1")
        for rule in self._last_first:
            if (folder or not rule.folders_only) and rule.regex.fullmatch(path):
                return rule.ignores
        return None

    def covers(self, path: str) -> bool:
        """Return True if a pattern selects the file at ``path``, or else the nearest of its folders with a match."""
        decision = self.decide(path, folder=False)
        while decision is None and "/" in path:
            path = path.rpartition("/")[0]
            decision = self.decide(path, folder=True)
        return decision is True


def gitignore_rules(content: bytes) -> IgnoreRules:
    """Parse a ``.gitignore`` file. Like git, it skips patterns that cannot match anything."""
    rules: list[_Rule] = []
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        rule = _parse(line.removesuffix(b"\r").decode("latin-1"))
        if rule:
            rules.append(rule)
    return IgnoreRules(rules, bytewise=True)


def pattern_rules(patterns: Iterable[str]) -> IgnoreRules:
    """Parse patterns that a user wrote.

    Raises:
        ConfigurationError: a pattern cannot match anything.
    """
    rules: list[_Rule] = []
    for pattern in patterns:
        rule = _parse(pattern)
        if rule is None:
            raise ConfigurationError(
                f"{pattern!r} is not a file pattern: expected one as in a .gitignore, such as '*.md' or 'docs/'."
            )
        rules.append(rule)
    return IgnoreRules(rules)


def _parse(line: str) -> _Rule | None:
    """Parse a line; None if it is blank, a comment, or a pattern that cannot match anything."""
    pattern = _without_trailing_spaces(line)
    if not pattern or pattern.startswith("#"):
        return None
    ignores = not pattern.startswith("!")
    pattern = pattern if ignores else pattern[1:]
    folders_only = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    if not pattern:
        return None
    regex = path_regex(pattern)
    return _Rule(regex, ignores, folders_only) if regex is not None else None


def _without_trailing_spaces(line: str) -> str:
    stripped = line.rstrip(" ")
    escaped = (len(stripped) - len(stripped.rstrip("\\"))) % 2 == 1
    return stripped + " " if escaped and len(stripped) < len(line) else stripped
