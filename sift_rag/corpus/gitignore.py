"""Decide by gitignore patterns, one file or folder at a time.

The walk decides folder by folder, as git does: nothing under an ignored folder is visited. A pattern must therefore
match the entry *itself*, not one of its parents; otherwise ``*``, ``!*/``, ``!*.md`` (nothing but Markdown) would mean
"everything".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sift_rag.corpus.glob_regex import path_regex
from sift_rag.errors import ConfigurationError

MAX_WILDCARDS = 1000
"""Number of patterns with a wildcard in one file: each is tried on every path, while others are looked up."""


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: str
    """The pattern, without ``!`` and without a slash at its end."""
    ignores: bool
    """True, or False for a pattern that begins with ``!``."""
    folders_only: bool

    @property
    def is_literal(self) -> bool:
        return _WILDCARD.search(self.pattern) is None


class _Verdict(NamedTuple):
    """The verdict of the rule at a place in its file."""

    place: int
    ignores: bool


class _Wildcard(NamedTuple):
    """A rule with a wildcard, and its place in its file."""

    place: int
    rule: _Rule
    regex: re.Pattern[str]
    """Regular expression for the path of an entry, relative to the rules' folder, or for its name."""
    of_names: bool


_WILDCARD = re.compile(r"[*?\[\\]")
_BEFORE_ALL = _Verdict(-1, ignores=False)


class IgnoreRules:
    """The patterns of one ``.gitignore`` file, or a list of patterns to include or to exclude."""

    def __init__(self, rules: Iterable[_Rule] = (), *, bytewise: bool = False) -> None:
        """Keep the rules.

        Args:
            rules: in the order of the file.
            bytewise: the rules are of bytes, each written as the character of its number. Git matches bytes: to it
                ``?`` is half of an ``é``.
        """
        self._bytewise = bytewise
        self._wildcards: list[_Wildcard] = []
        # By whether the entry is a folder: what is said of a path, and of the last name of one.
        self._paths: dict[bool, dict[str, _Verdict]] = {False: {}, True: {}}
        self._names: dict[bool, dict[str, _Verdict]] = {False: {}, True: {}}
        for place, rule in enumerate(rules):
            self._add(place, rule)
        self._wildcards.reverse()

    def __bool__(self) -> bool:
        return bool(self._wildcards or self._paths[True] or self._names[True])

    def _add(self, place: int, rule: _Rule) -> None:
        if not rule.is_literal:
            regex = path_regex(rule.pattern)
            if regex is not None:
                self._wildcards.append(_Wildcard(place, rule, regex, "/" not in rule.pattern))
            return
        table = self._paths if "/" in rule.pattern else self._names
        for folder in (True,) if rule.folders_only else (True, False):
            table[folder][rule.pattern.removeprefix("/")] = _Verdict(place, rule.ignores)

    def decide(self, path: str, *, folder: bool) -> bool | None:
        """Apply the last pattern that matches ``path``: True for a plain one, False for one with ``!``, None for none.

        ``path`` is relative to the rules' folder, with ``/`` between names and none at its end.
        """
        if self._bytewise and not path.isascii():
            path = path.encode("utf-8", "surrogateescape").decode("latin-1")
        name = path.rpartition("/")[2]
        last = max(self._paths[folder].get(path, _BEFORE_ALL), self._names[folder].get(name, _BEFORE_ALL))
        for place, rule, regex, of_names in self._wildcards:
            if place < last.place:
                break
            if (folder or not rule.folders_only) and regex.fullmatch(name if of_names else path):
                return rule.ignores
        return last.ignores if last.place >= 0 else None

    def covers(self, path: str) -> bool:
        """Return True if a pattern selects the file at ``path``, or else the nearest of its folders with a match."""
        decision = self.decide(path, folder=False)
        while decision is None and "/" in path:
            path = path.rpartition("/")[0]
            decision = self.decide(path, folder=True)
        return decision is True


def gitignore_rules(content: bytes) -> IgnoreRules:
    """Parse a ``.gitignore`` file. Like git, it skips patterns that cannot match anything.

    Raises:
        ValueError: it has more than ``MAX_WILDCARDS`` patterns with a wildcard.
    """
    rules: list[_Rule] = []
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        rule = _parse(line.removesuffix(b"\r").decode("latin-1"))
        if rule:
            rules.append(rule)
    if sum(not rule.is_literal for rule in rules) > MAX_WILDCARDS:
        raise ValueError(f"more than {MAX_WILDCARDS:,} patterns with a wildcard")
    return IgnoreRules(rules, bytewise=True)


def pattern_rules(patterns: Iterable[str]) -> IgnoreRules:
    """Parse patterns that a user wrote.

    Raises:
        ConfigurationError: a pattern cannot match anything.
    """
    rules: list[_Rule] = []
    for pattern in patterns:
        rule = _parse(pattern)
        if rule is None or not (rule.is_literal or path_regex(rule.pattern)):
            raise ConfigurationError(
                f"{pattern!r} is not a file pattern: expected one as in a .gitignore, such as '*.md' or 'docs/'."
            )
        rules.append(rule)
    return IgnoreRules(rules)


def _parse(line: str) -> _Rule | None:
    """Parse a line; None if it is blank or a comment."""
    pattern = _without_trailing_spaces(line)
    if not pattern or pattern.startswith("#"):
        return None
    ignores = not pattern.startswith("!")
    pattern = pattern if ignores else pattern[1:]
    folders_only = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    if not pattern:
        return None
    return _Rule(pattern, ignores, folders_only)


def _without_trailing_spaces(line: str) -> str:
    stripped = line.rstrip(" ")
    escaped = (len(stripped) - len(stripped.rstrip("\\"))) % 2 == 1
    return stripped + " " if escaped and len(stripped) < len(line) else stripped
