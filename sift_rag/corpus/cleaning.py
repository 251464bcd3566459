"""Remove from a text what nobody searches for: data addresses, comments, the code of a page. Line numbers stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sift_rag.corpus.blocks import outline
from sift_rag.corpus.sections import SECTION_BREAK, Section

# Data addresses

_TYPE = r"data:[\w.+-]{1,60}/[\w.+-]{1,100}(?:;[\w.+-]{1,60}=[^\s;,]{1,100}){0,5}"
_BASE64 = r";base64,[^\S\n]?(?=[\w+/%-]{4})[\w+/=%-]+(?:\n[^\S\n]{0,16}[A-Za-z0-9+/=]{40,})*"
_PLAIN = r"""(?:;[\w-]{1,20})?,(?=[^\s"'()<>]{32})[^\s"'()<>]+"""
_ADDRESS = f"{_TYPE}(?:{_BASE64}|{_PLAIN})"
_DATA_ADDRESS = re.compile(_ADDRESS, re.IGNORECASE)
_MARKDOWN_IMAGE = re.compile(r"!\[([^\[\]]{0,1000})\]\(\s{0,9}<?(data:[^\s()<>]*)", re.IGNORECASE)
_IMAGE_END = re.compile(r"[^()\n]{0,1000}\)")
_DEFINITION = re.compile(
    rf"^ {{0,3}}\[([^\]\n]{{1,200}})\]:[^\S\n]{{0,9}}<?{_ADDRESS}[^\n]*$", re.IGNORECASE | re.MULTILINE
)
_REFERENCE = re.compile(r"!\[([^\[\]]{0,1000})\](?:\[([^\[\]]{0,200})\])?")
_HTML_IMAGE = re.compile(r"<img\b[^<>]*>", re.IGNORECASE)
_ALTERNATIVE = re.compile(r"""\balt\s{0,9}=\s{0,9}(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+))""", re.IGNORECASE)
_DATA_SCHEME = re.compile("data:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CleanSections:
    """Sections without data addresses, placed anew where one becomes shorter; those left without text are dropped."""

    sections: Iterable[Section]

    def __iter__(self) -> Iterator[Section]:
        start = 0
        for section in self.sections:
            text, lead = without_data_addresses(section.text), without_data_addresses(section.lead)
            if text.strip() or lead.strip():
                yield replace(section, text=text, lead=lead, start=start)
                start += len(text) + len(SECTION_BREAK)


def without_data_addresses(text: str) -> str:
    """Return the text with an image whose address holds its data as its alternative text, and no other such address.

    Every line break stays. An address that a program completes (``data:image/png;base64,{data}``) stays, as does a
    short one that is not in base64. ``O(len(text))``.
    """
    if not _DATA_SCHEME.search(text):
        return text
    labels: set[str] = set()

    def defined(match: re.Match[str]) -> str:
        labels.add(_label(match[1]))
        return _line_breaks(match[0])

    text = _DEFINITION.sub(defined, text)
    if labels:
        text = _REFERENCE.sub(lambda match: match[1] if _label(match[2] or match[1]) in labels else match[0], text)
    text = _HTML_IMAGE.sub(_alternative_of_html, text)
    text = "".join(_with_alternatives(text))
    return _DATA_ADDRESS.sub(lambda match: _line_breaks(match[0]), text)


def _label(label: str) -> str:
    return " ".join(label.split()).casefold()


def _line_breaks(text: str) -> str:
    return "\n" * text.count("\n")


def _alternative_of_html(image: re.Match[str]) -> str:
    if not _DATA_SCHEME.search(image[0]):
        return image[0]
    found = _ALTERNATIVE.search(image[0])
    words = next((words for words in found.groups() if words), "") if found else ""
    return words + "\n" * (image[0].count("\n") - words.count("\n"))


def _with_alternatives(text: str) -> Iterator[str]:
    """Yield the text with the alternative text in place of each Markdown image whose address holds its data."""
    place = 0
    for image in _MARKDOWN_IMAGE.finditer(text):
        if image.start() < place or not (end := _IMAGE_END.match(text, image.end())):
            continue
        yield text[place : image.start()]
        yield image[1] + "\n" * (text.count("\n", image.start(), end.end()) - image[1].count("\n"))
        place = end.end()
    yield text[place:]


# Markdown


def clean_markdown(text: str, *, is_mdx: bool) -> str:
    """Return Markdown with its comments and, in MDX, imports, exports and lone tags replaced by empty lines.

    Code stays as it is. ``O(len(text))``.

    Raises:
        MissingExtra: ``markdown-it-py`` is not installed.
    """
    if "<!--" in text:
        text = _without_comments(text)
    return _without_modules_and_tags(text) if is_mdx else text


def _code(text: str) -> list[tuple[int, int]]:
    found = outline(text, "markdown")
    return [(block.start, block.end) for block in found.blocks if block.kind == "code"] if found else []


_LONGEST_SPAN = 1000
"""Characters before a comment that are searched for the beginning of code in its line."""


def _without_comments(text: str) -> str:
    code = iter([*_code(text), (len(text), len(text))])
    code_start, code_end = next(code)
    parts: list[str] = []
    kept = place = 0
    while (start := text.find("<!--", place)) >= 0:
        while code_end <= start:
            code_start, code_end = next(code)
        end = text.find("-->", start + 4) + 3
        if end < 3:
            break
        line = max(text.rfind("\n", max(0, start - _LONGEST_SPAN), start) + 1, start - _LONGEST_SPAN, 0)
        if code_start <= start or text.count("`", line, start) % 2:  # in a fence, or in `code`
            place = start + 4
            continue
        parts += [text[kept:start], _line_breaks(text[start:end])]
        kept = place = end
    return "".join([*parts, text[kept:]])


_MODULE = re.compile(
    r"import\s+(?:[\"'{*]|type\s|[\w$]+\s{0,9}(?:,|from\b))|"
    r"export\s+(?:default|const|let|var|function|class|async|type|interface|\{|\*)"
)
_TAG = re.compile(r"\s*</?(?:[A-Za-z][\w.:-]*(?:\s[^<>]*)?)?/?>\s*")
_TAG_START = re.compile(r"\s*<[A-Z][\w.]*(?:\s[^<>]*)?")
_LONGEST_MODULE = 50
"""Lines after the first empty one that are searched for the end of an import or export."""
_LONGEST_TAG = 30


def _without_modules_and_tags(text: str) -> str:
    lines = text.split("\n")
    number, fence = 0, ""
    while number < len(lines):
        mark = _FENCE.match(lines[number])
        last = number + 1
        if fence:
            is_closing = mark and mark[1].startswith(fence) and not lines[number][mark.end() :].strip()
            fence = "" if is_closing else fence
        elif mark:
            fence = mark[1]
        elif end := _module_or_tag_end(lines, number):
            last = end
            lines[number:last] = [""] * (last - number)
        number = last
    return "\n".join(lines)


_FENCE = re.compile(r"[\s>]{0,100}(?:(?:[-+*]|\d{1,9}[.)])\s{1,9}){0,9}(`{3,}|~{3,})")
"""Fence of code at any depth; in MDX, no code is marked by its indentation."""


def _module_or_tag_end(lines: list[str], first: int) -> int:
    """Return one past the last line of the import, export or tags that begin on a line; 0 if none does."""
    if _MODULE.match(lines[first]):
        return _module_end(lines, first)
    if _TAG.fullmatch(lines[first]):
        return first + 1
    return _tag_end(lines, first) if _TAG_START.fullmatch(lines[first]) else 0


def _module_end(lines: list[str], first: int) -> int:
    """Return one past the last line: the one before an empty line where all brackets are closed, or any empty line."""
    depth, first_empty = 0, 0
    for number in range(first, len(lines)):
        line = lines[number]
        if not line.strip():
            if depth <= 0:
                return number
            first_empty = first_empty or number
        if first_empty and number > first_empty + _LONGEST_MODULE:
            return first_empty
        depth += sum(map(line.count, "({[")) - sum(map(line.count, ")}]"))
    return len(lines) if depth <= 0 or not first_empty else first_empty


def _tag_end(lines: list[str], first: int) -> int:
    """Return one past the line on which a tag of several lines ends; 0 if an empty line comes before."""
    for number in range(first + 1, min(len(lines), first + _LONGEST_TAG)):
        line = lines[number].strip()
        if not line or line.startswith("<"):
            return 0
        if line.endswith(">") and not line.endswith("=>"):
            return number + 1
    return 0
