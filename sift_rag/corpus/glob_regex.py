"""Translate gitignore patterns to regular expressions over paths, reading each character as git does.

Each star but the last of its kind matches as little as it can, and is never tried again (an atomic group): a match
there leaves the most for the star after it. So no pattern takes more than the square of a path's length.

Git reads a bracket to its end, across slashes too, before anything else; a library that splits the pattern at its
slashes sees another set, or none. So patterns are read from left to right, as git's ``wildmatch`` does.
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
"""Character classes of git's own table: ASCII only."""

_SPECIAL = re.compile(r"[*?\[\\]")
_STARS = re.compile(r"\*+")


def path_regex(pattern: str) -> re.Pattern[str] | None:
    """Compile an expression; None if the pattern cannot match anything.

    That of a pattern with a slash is for whole paths, relative to the folder of the pattern's file; that of one without
    is for the last name of a path.
    ``pattern`` comes without ``!`` and without a slash at its end; paths have ``/`` between names and none at either
    end.
    """
    if "/" not in pattern:
        expression = _translate(pattern)
        return None if expression is None else re.compile(f"(?s:{expression})")
    pattern = pattern.removeprefix("/")
    special = _SPECIAL.search(pattern)
    literal = len(pattern) if special is None else special.start()
    expression = _translate(pattern[literal:])  # git compares the literal first: a ** after it is at a beginning
    return None if expression is None else re.compile(f"(?s:{re.escape(pattern[:literal])}{expression})")


def _translate(pattern: str) -> str | None:
    """Translate a pattern; None if it is malformed: an open bracket, a backslash at the end."""
    before, done, piece = "", "", ""  # piece: everything after the last star; done: that after the last double star
    place = 0
    while place < len(pattern):
        character = pattern[place]
        if stars := _STARS.match(pattern, place):
            place = stars.end()
            bounded = (stars.start() == 0 or pattern[stars.start() - 1] == "/") and len(stars[0]) > 1
            if bounded and (place == len(pattern) or pattern.startswith(("/", "\\/"), place)):
                before, done = f"{before}(?>{done}{piece})", ""
                piece = "(?:.*?/)??" if pattern.startswith("/", place) else ".*?"
                place += pattern.startswith("/", place)
            else:
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
    return before + done + piece


def _bracket(pattern: str, place: int) -> tuple[str, int] | None:
    """Translate the set whose ``[`` is before ``place``, and say where it ends; None if it is malformed."""
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
    """Return the character at a place (after its backslash, if any) and the place after it; None at the end."""
    place += pattern[place : place + 1] == "\\"
    return (pattern[place], place + 1) if place < len(pattern) else None
