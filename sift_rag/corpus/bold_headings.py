"""Find the headings of a document whose writer has only made them bold."""

from __future__ import annotations

import re

_BOLD = re.compile(r"\*\*((?:[^*\n]|\*(?!\*)){1,100})\*\*:?")
_HEADING = re.compile(r"(#{1,6})\s")
_FENCE = re.compile(r"(`{3,}|~{3,})")
_SENTENCE_END = (".", ",", ";", "!", "…")
_MOST = 0.5
"""Share of the paragraphs that may be headings: with more, bold letters say something else."""
_DEEPEST = 6


def with_bold_headings(markdown: str) -> str:
    """Return Markdown with a heading for each paragraph that is one short line of bold letters and leads to a text.

    Its level is one deeper than that of the heading above it; that of the first paragraph is 1, as a title's.
    """
    blocks = _blocks(markdown)
    titles = {number: title for number, block in enumerate(blocks) if (title := _title(block))}
    titles = {number: title for number, title in titles.items() if number + 1 < len(blocks)}
    texts = sum(not _HEADING.match(block) for block in blocks)
    if not titles or len(titles) > max(1, _MOST * texts):
        return markdown
    level = 0 if 0 in titles else 1
    for number, block in enumerate(blocks):
        if heading := _HEADING.match(block):
            level = len(heading[1])
        elif number in titles:
            blocks[number] = f"{'#' * min(_DEEPEST, level + 1)} {titles[number]}"
            level = 1 if number == 0 else level
    return "\n\n".join(blocks)


def _title(block: str) -> str:
    found = _BOLD.fullmatch(block)
    title = found[1].strip() if found else ""
    is_title = any(map(str.isalpha, title)) and not title.endswith(_SENTENCE_END)
    return title.removesuffix(":").rstrip() if is_title else ""


def _blocks(markdown: str) -> list[str]:
    """Return the stretches between empty lines, with code in one."""
    blocks: list[str] = []
    fence = ""
    for block in markdown.split("\n\n"):
        if fence:
            blocks[-1] += f"\n\n{block}"
        else:
            blocks.append(block)
        for line in block.split("\n"):
            mark = _FENCE.match(line.strip())
            if mark and not fence:
                fence = mark[1]
            elif mark and mark[1].startswith(fence) and line.strip() == mark[1]:
                fence = ""
    return blocks
