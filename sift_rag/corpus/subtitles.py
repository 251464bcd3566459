"""Read subtitles as paragraphs that begin with their time. The only module that knows pysubs2."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from sift_rag.corpus.archives import reason
from sift_rag.corpus.decoding import one_line
from sift_rag.corpus.sections import Extracted, Section
from sift_rag.errors import UnreadableDocument
from sift_rag.extras import require

if TYPE_CHECKING:
    from pysubs2 import SSAFile

_READABLE = 400
"""Characters from which a paragraph ends with the next sentence, or at the latest at twice as many."""
_PAUSE = 4000
"""Milliseconds without speech after which a paragraph begins."""
_SENTENCE_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)\]]*$")
_VOICE = re.compile(r"<v(?:\.[^<>\s]{1,100})?\s+([^<>\n]{1,100})>")
_TAG = re.compile(r"<[^<>\n]{0,200}>")
_BLANK_LINE = re.compile(r"\n[ \t]+\n")


def read_subtitles(text: str, form: Literal["srt", "vtt"]) -> Extracted:
    """Return the cues as one section of paragraphs, each with the time of its first cue before it: ``00:12:03``.

    Speakers that WebVTT names stand before their words. Tags are removed, and so are comments, styles and
    names of cues, and lines that a cue repeats from the one before it.

    Raises:
        MissingExtra: ``pysubs2`` is not installed.
        UnreadableDocument: the file holds text and no cue.
    """
    require("pysubs2", "ingest")
    import pysubs2

    try:
        cues = _cues(text) if form == "vtt" else text
        subtitles = pysubs2.SSAFile.from_string(_VOICE.sub(r"\1: ", cues), format_=form)
    except (pysubs2.Pysubs2Error, ValueError, IndexError, OverflowError) as error:
        raise UnreadableDocument(f"broken subtitles: {reason(error)}") from error
    if not len(subtitles):
        raise UnreadableDocument("broken subtitles: no cue with a time")
    joined = "\n\n".join(_paragraphs(subtitles))
    return Extracted([Section(joined)] if joined else [])


def _cues(text: str) -> str:
    """Return the cues of WebVTT from their times on; pysubs2 would take what stands between them for their text."""
    blocks = _BLANK_LINE.sub("\n\n", text).split("\n\n")
    timed = ((block, block.find("-->")) for block in blocks)
    return "\n\n".join(block[block.rfind("\n", 0, arrow) + 1 :] for block, arrow in timed if arrow >= 0)


def _paragraphs(subtitles: SSAFile) -> Iterator[str]:
    paragraph = ""
    last_lines: list[str] = []
    end = 0
    for cue in sorted(subtitles, key=lambda cue: cue.start):
        lines = _lines(cue.plaintext)
        new = [line for line in lines if line not in last_lines]
        last_lines = lines or last_lines
        if not new:
            end = max(end, cue.end)
            continue
        is_long = len(paragraph) > _READABLE and (_SENTENCE_END.search(paragraph) or len(paragraph) > 2 * _READABLE)
        if paragraph and (is_long or cue.start - end > _PAUSE):
            yield paragraph
            paragraph = ""
        paragraph = " ".join((paragraph or _time(cue.start), *new))
        end = max(end, cue.end)
    if paragraph:
        yield paragraph


def _lines(text: str) -> list[str]:
    lines = (one_line(html.unescape(_TAG.sub("", line))) for line in text.split("\n"))
    return [line for line in lines if line]


def _time(milliseconds: int) -> str:
    seconds = max(0, milliseconds) // 1000
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
