"""Gitignore patterns as regular expressions over paths, with git's own reading of each character.

Git takes a bracket to its end, over slashes too, before it looks at anything else; a library that splits the pattern at
its slashes reads another set, or none. So the pattern is read here from left to right, as git's ``wildmatch`` does.
"""

from __future__ import annotations

import re

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r"\ \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": r"\ -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\ \t\n\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
"""As git's character table has them: of ASCII alone."""

_SPECIAL = re.compile(r"[*?\[\\]")
_STARS = re.compile(r"\*+")


def path_regex(pattern: str) -> re.Pattern[str] | None:
    """Matches, in full, the paths that the pattern stands for; None if it can match nothing.

    A pattern with a slash stands where its file does; one without matches the last name of a path. ``pattern`` is
    without ``!`` and without a slash at its end; a path has ``/`` between and none at its beginning or end.
    """
    if "/" not in pattern:
        expression = _translated(pattern)
        return None if expression is None else re.compile(f"(?s:(?:.*/)?{expression})")
    pattern = pattern.removeprefix("/")
    special = _SPECIAL.search(pattern)
    literal = len(pattern) if special is None else special.start()
    expression = _translated(pattern[literal:])  # what is before is compared first: a ** after it is at a beginning
    return None if expression is None else re.compile(f"(?s:{re.escape(pattern[:literal])}{expression})")


def _translated(pattern: str) -> str | None:
    """The expression of a pattern; None where it cannot be read: an open bracket, a backslash at the end."""
    done, piece = "", ""  # the piece is what follows the last star
    place = 0
    while place < len(pattern):
        character = pattern[place]
        if stars := _STARS.match(pattern, place):
            place = stars.end()
            bounded = (stars.start() == 0 or pattern[stars.start() - 1] == "/") and len(stars[0]) > 1
            if bounded and pattern.startswith("/", place):
                place += 1
                piece += "(?:.*/)?"
            elif bounded and (place == len(pattern) or pattern.startswith("\\/", place)):
                piece += ".*"
            else:
                # Of two stars the first may take as little as it can, and need never be asked again.
                done += f"(?>{piece})" if piece.startswith("[^/]*?") else piece
                piece = "[^/]*?"
            continue
        if character == "[":
            bracket = _bracket(pattern, place + 1)
            if bracket is None:
                return None
            expression, place = bracket
            piece += expression
            continue
        if character == "?":
            piece, place = piece + "[^/]", place + 1
            continue
        read = _character(pattern, place)
        if read is None:
            return None
        piece, place = piece + re.escape(read[0]), read[1]
    return done + piece


def _bracket(pattern: str, place: int) -> tuple[str, int] | None:
    """The expression of a set whose ``[`` is before ``place``, and where it ends; None if it cannot be read."""
    negated = pattern[place : place + 1] in {"!", "^"}
    place += negated
    members, before, first = "", "", place
    while place == first or pattern[place : place + 1] != "]":
        begins_range = pattern[place : place + 1] == "-" and before and pattern[place + 1 : place + 2] not in {"", "]"}
        if pattern.startswith("[:", place) and (end := pattern.find("]", place + 2)) != place + 2:
            name = pattern[place + 2 : end]
            if end < 0 or (name.endswith(":") and name[:-1] not in _CLASSES):
                return None
            if name.endswith(":"):
                members, before, place = members + _CLASSES[name[:-1]], "", end + 1
                continue
        read = _character(pattern, place + 1 if begins_range else place)
        if read is None:
            return None
        character, place = read
        if not begins_range:
            members, before = members + re.escape(character), character
        else:
            members += f"{re.escape(before)}-{re.escape(character)}" if before <= character else ""
            before = ""
    return f"(?!/)[{'^' if negated else ''}{members}]", place + 1


def _character(pattern: str, place: int) -> tuple[str, int] | None:
    """The one that stands at a place, or after the backslash there, and the place after it; None at the end."""
    place += pattern[place : place + 1] == "\\"
    return (pattern[place], place + 1) if place < len(pattern) else None
