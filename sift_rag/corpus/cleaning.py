"""Remove from a text what nobody searches for: data addresses, comments, the code of a page. Line numbers stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from sift_rag.corpus.blocks import html_blocks, outline
from sift_rag.corpus.decoding import one_line
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


# reStructuredText and LaTeX

_RST_DIRECTIVES = (
    "contents", "currentmodule", "default-role", "highlight", "image", "index", "meta", "module", "section-numbering",
    "sectnum", "tabularcolumns", "target-notes", "title", "toctree",
)  # fmt: skip
_RST_UNSEEN = re.compile(
    rf"^(?P<indent> *)\.\. (?:(?:\|[^|\n]{{1,100}}\| )?(?:{'|'.join(_RST_DIRECTIVES)})::[^\n]*"
    r"(?:\n(?:[ \t]*\n){0,3}(?P=indent) +\S[^\n]*)*|_(?:`[^`\n]{1,200}`|[^\n:]{1,200}):[ \t]*(?:\S+[ \t]*)?$)"
    r"|^[ \t]*(?:\|[\w. -]{1,60}\|[ \t]*)+$",
    re.MULTILINE,
)
"""Directives that show no text of their own, with what is indented below them, targets of links, and lines of nothing
but the names of images."""


def clean_rst(text: str) -> str:
    """Return reStructuredText with its tables of contents, entries of the index and targets replaced by empty lines."""
    return _RST_UNSEEN.sub(lambda unseen: _line_breaks(unseen[0]), text)


_LATEX_SETUP = re.compile(
    r"^[ \t]*(?:%[^\n]*|\\(?:documentclass|usepackage|RequirePackage|PassOptionsToPackage|input|include|hypersetup|"
    r"geometry|pagestyle|thispagestyle|setlength|setcounter|numberwithin|theoremstyle|newtheorem\*?|makeindex|"
    r"makeatletter|makeatother|graphicspath|bibliographystyle|bibliography|addbibresource|printbibliography|maketitle|"
    r"tableofcontents|listoffigures|listoftables|clearpage|newpage|frontmatter|mainmatter|backmatter|appendix)"
    r"(?![A-Za-z])(?:\s{0,3}[\[{][^\[\]{}\n]{0,500}[\]}]){0,5}[ \t]*(?:%[^\n]*)?"
    r"|\\(?:begin|end)\{document\}[ \t]*)$",
    re.MULTILINE,
)
"""Lines that set a document up and show nothing, and remarks."""
_VERBATIM = re.compile(r"\\begin\{(verbatim|lstlisting|minted|comment)\*?\}.*?\\end\{\1\*?\}", re.DOTALL)


def clean_latex(text: str) -> str:
    """Return LaTeX with lines that only set the document up, and remarks on lines of their own, as empty lines."""
    parts: list[str] = []
    place = 0
    for verbatim in _VERBATIM.finditer(text):
        parts += [_LATEX_SETUP.sub("", text[place : verbatim.start()]), verbatim[0]]
        place = verbatim.end()
    return "".join([*parts, _LATEX_SETUP.sub("", text[place:])])


# Markdown

_ADDRESSED = r"(?:\([^()\n]{0,500}\)|\[[^\[\]\n]{0,200}\])"
_BADGES = re.compile(rf"^[ \t]{{0,3}}(?:\[!\[[^\[\]\n]{{0,200}}\]{_ADDRESSED}\]{_ADDRESSED}[ \t]*)+$", re.MULTILINE)
"""Line of images that are links, as the signs of a build or a version above a text."""
_SIGNS = re.compile(
    r"^[ \t]{0,3}(?:!\[[^\[\]\n]{0,200}\]\([^()\n]{0,300}(?:shields\.io|badge|travis-ci)[^()\n]{0,300}\)[ \t]*)+$",
    re.MULTILINE | re.IGNORECASE,
)
_CONTENTS = re.compile(
    r"^(?:[ \t]{0,12}(?:[-*+]|\d{1,3}[.)])[ \t]+(?:\*\*|__|[*_])?\[[^\n]{1,300}\]\(#[^()\n]{0,300}\)"
    r"(?:\*\*|__|[*_])?[ \t]*(?:\n(?:[ \t]*\n){0,2}|\Z)){2,}",
    re.MULTILINE,
)
"""List of nothing but links to headings of the same text."""


def clean_markdown(text: str, *, is_mdx: bool) -> str:
    """Return Markdown with empty lines for comments, badges, tables of contents and, in MDX, modules and lone tags.

    Code stays as it is. ``O(len(text))``.

    Raises:
        MissingExtra: ``markdown-it-py`` is not installed.
    """
    text = _without_comments(text, "<!--", "-->")
    if is_mdx:
        text = _without_comments(text, "{/*", "*/}")
    if _HTML_BLOCK.search(text):
        text = _without_html(text)
    if "![" in text or "](#" in text:
        text = _outside_code(text, _without_signs)
    return _ADMONITION.sub(r"\1", _without_modules_and_tags(text)) if is_mdx else text


_ADMONITION = re.compile(r"^[ \t]*:::+[ \t]*(?:[a-z]+[ \t]*(?:\[([^\]\n]*)\])?)?[ \t]*$", re.MULTILINE)
"""Lines that begin and end a remark in a box, of whose first the title stays."""


def _without_signs(part: str) -> str:
    return _CONTENTS.sub(_emptied, _SIGNS.sub("", _BADGES.sub("", part)))


_HTML_BLOCK = re.compile(r"^ {0,3}</?[a-z]", re.MULTILINE)
_ELEMENTS = (
    "a|article|b|blockquote|br|caption|center|code|dd|details|div|dl|dt|em|figcaption|figure|font|footer|h[1-6]|header|hr|"
    "i|img|kbd|li|nav|ol|p|picture|section|small|source|span|strong|sub|summary|sup|table|tbody|td|tfoot|th|thead|tr|u|ul"
)
_HTML_TAG = re.compile(rf"</?({_ELEMENTS})(?:\s[^<>]*)?/?>")
_HTML_HEADING = re.compile(r"^[ \t]*<h([1-6])(?:\s[^<>\n]*)?>(?=[^\n]*</h\1>)", re.MULTILINE)
_CELL_END = re.compile(r"</t[dh]>\s*(?=<t[dh]\b)")
_KEPT_HTML = re.compile(r"<(?:pre|script|style|textarea|code)\b", re.IGNORECASE)


def _without_html(text: str) -> str:
    """Return Markdown with the words of its blocks of HTML, and the descriptions of the images in them.

    Blocks that hold code or a program stay.
    """
    parts: list[str] = []
    place = 0
    for start, end in html_blocks(text):
        block = text[start:end]
        if not _KEPT_HTML.search(block):
            parts += [text[place:start], _words_of_html(block)]
            place = end
    return "".join([*parts, text[place:]])


def _words_of_html(block: str) -> str:
    def shown(tag: re.Match[str]) -> str:
        breaks = _line_breaks(tag[0])
        if tag[1] == "img" and (found := _ALTERNATIVE.search(tag[0])):
            return one_line(next((words for words in found.groups() if words), "")) + breaks
        return breaks

    block = _HTML_HEADING.sub(lambda heading: f"{'#' * int(heading[1])} ", block)
    block = _CELL_END.sub(lambda end: " " + _line_breaks(end[0]), block)
    words = _HTML_TAG.sub(shown, block)
    return words if words == block else "\n".join(line.strip() for line in words.split("\n"))


def _emptied(found: re.Match[str]) -> str:
    return _line_breaks(found[0])


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return the text with each stretch between two blocks of code changed."""
    parts: list[str] = []
    place = 0
    for start, end in _code(text):
        parts += [change(text[place:start]), text[start:end]]
        place = end
    return "".join([*parts, change(text[place:])])


def _code(text: str) -> list[tuple[int, int]]:
    found = outline(text, "markdown")
    return [(block.start, block.end) for block in found.blocks if block.kind == "code"] if found else []


_LONGEST_SPAN = 1000
"""Characters before a comment that are searched for the beginning of code in its line."""


def _without_comments(text: str, opening: str, closing: str) -> str:
    """Return Markdown with the line breaks alone of each comment between the two marks, but for those in code."""
    if opening not in text:
        return text
    code = iter([*_code(text), (len(text), len(text))])
    code_start, code_end = next(code)
    parts: list[str] = []
    kept = place = 0
    while (start := text.find(opening, place)) >= 0:
        while code_end <= start:
            code_start, code_end = next(code)
        end = text.find(closing, start + len(opening))
        if end < 0:
            break
        end += len(closing)
        line = max(text.rfind("\n", max(0, start - _LONGEST_SPAN), start) + 1, start - _LONGEST_SPAN, 0)
        if code_start <= start or text.count("`", line, start) % 2:  # in a fence, or in `code`
            place = start + len(opening)
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
