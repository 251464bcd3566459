"""Cut a text into sentences, and tell those that claim something.

Written for answers of language models: Markdown with lists, tables, headings and code, in any script. A sentence ends
at a full stop that no abbreviation, initial or number explains, at the marks of scripts that put no space after them,
and at the end of a list item, a table row or a paragraph. Citations right after the full stop belong to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from sift_rag.answering.citations import BRACKET, with_plain_brackets, without_citations

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)[^\n]*\n.*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r" {0,3}#{1,6}(?:\s|$)|\s*(?:\*\*|__)[^*_]+(?:\*\*|__):?\s*$")
_RULE = re.compile(r"\s*(?:[-*_=]\s*){3,}$|\s*\|?(?:\s*:?-+:?\s*\|)+\s*:?-*:?\s*$")
_ITEM = re.compile(r"\s*(?:>\s?)*(?:[-*+\u2022\u00b7\u2013]\s+|[0-9]{1,3}[.)]\s+(?=\S)|\(?[0-9A-Za-z]{1,3}\)\s+(?=\S))")
_BARE_NUMBER = re.compile(r"\s*[0-9]{1,3}[.)]\s*\Z")
"""Number of a list item without its text, where an answer was cut off."""
_BEFORE_RULE = re.compile(r"[ \t|]*\n[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+[ \t:-]*(?:\n|\Z)")
_QUOTED = re.compile(r"\s*(?:>\s?)+")
_ROW = re.compile(r"\s*\|")

_CLOSING = "\"'\u2019\u201d\u00bb\u203a)\\]*_\u300d\u300f\uff09\u3011"
_CITED = rf"(?:\s?{BRACKET})*"
_END = re.compile(
    rf"(?:[.!?\u2026]+[{_CLOSING}]*{_CITED}(?:[.!?](?=\s|$))?(?=\s|$)"  # a space must follow: 3.5, torch.nn, a.b()
    rf"|[\u3002\uff01\uff1f\uff0e\uff61\u0964\u0965\u061f\u06d4\u1362\u17d4\u0589]+[{_CLOSING}]*{_CITED})"
)
_ABBREVIATIONS = frozenset(
    (  # noqa: SIM905 - a list would take a line a word
        "mr mrs ms dr prof st jr sr rev gen col lt sgt capt gov sen rep hon pres mt ft no nos vol vols ed eds fig figs "
        "eq eqs sec ch chap pp p art inc ltd co corp dept est approx ca cf vs v viz al e.g i.e eg ie resp max min "
        "jan feb mar apr jun jul aug sep sept oct nov dec nr str bzw ggf usw vgl abs z.b d.h u.a s.o u.u bspw inkl "
        "m mme mlle av env p.ex sr sra dña ud aprox núm pág tel"
    ).split()
)
_LAST_WORD = re.compile(r"(?:\w+\.)*\w+\Z")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]\Z")
_GERMAN_DAY = re.compile(
    r"\s+(?:Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember|Jahrhundert)\b"
)
_STARTS = re.compile(r"\s+(?:The|It|He|She|They|We|This|These|That|In|On|At|A|An|But|However|Its|His|Her|Their)\b")
_WRAPPED = range(50, 120)
"""Lengths of a line that an editor may have wrapped: a sentence goes on after it."""

_QUESTION = re.compile(rf"[?\uff1f\u061f][{_CLOSING}\s]*$")
_LEAD_IN = re.compile(r"[:\uff1a][*_\s]*$")
_DISCLAIMER = re.compile(
    r"""
    \b(?:i|we)\s+(?:do\s+not|don['’]t|can(?:no|')t|cannot|could\s+not|couldn['’]t|am\s+not|am\s+unable|'m\s+not)\b
        .*\b(?:know|find|answer|tell|say|sure|determine|provide|see|have|able)\b
    | \b(?:passages?|documents?|texts?|sources?|context|excerpts?|information)\b.{0,60}?
        \b(?:do(?:es)?\s+not|don['’]t|doesn['’]t|cannot|can['’]t|fails?\s+to)
        \b.{0,40}\b(?:say|state|mention|contain|provide|hold|specify|give|include|tell|answer|address|name|explain
            |describe|discuss|indicate|cover)\b
    | \b(?:passages?|documents?|texts?|sources?|context|excerpts?)\s+(?:lacks?|says?\s+nothing|(?:is|are)\s+silent)\b
    | \b(?:no|not\s+(?:enough|sufficient))\s+(?:\w+\s+){0,2}(?:information|passages?|mention)\b
    | \b(?:is|are|was|were)\s+not\s+(?:\w+\s+)?(?:mentioned|stated|given|specified|provided|found|included|answered)\b
        .{0,40}\b(?:passages?|documents?|texts?|sources?|context)\b
    | \b(?:passagen|textstellen|abschnitte|quellen|texte|dokumente)\s.{0,60}?
        \b(?:sagen|nennen|enthalten|erwähnen|beantworten|geben|liefern)\b.{0,60}\b(?:nicht|kein\w*|nichts)\b
    | \A\W*(?:no\s+idea|unknown|i\s+have\s+no\s+idea|keine\s+ahnung)\W*\Z
    | \bich\s+weiß\b.{0,20}\bnicht\b
    | \b(?:je\s+ne\s+(?:sais|peux|trouve)|les\s+(?:passages|extraits|documents|sources)\s+ne)\b
    | \b(?:no\s+(?:lo\s+)?s[ée]\b|los\s+(?:pasajes|textos|documentos|fragmentos)\s+no\b)
    | 我不知道 | (?:段落|文本|文档|资料|文中|原文)[^。]{0,20}(?:没有|未|不) | 分かりません | わかりません
    | (?:文書|本文|資料|文章|記載)[^。]{0,20}(?:ありません|いません|ない)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TURN = re.compile(
    r"\b(?:but|however|though|although|still|yet|aber|jedoch|mais|pero|sin embargo)\b|但|しかし", re.IGNORECASE
)
_COURTESY = re.compile(
    r"\s*(?:(?:please\s+)?let\s+me\s+know|feel\s+free|i\s+hope|(?:i\s+(?:would|'d)|i['’]d)\s+be\s+happy|you(?:'re|’re|\s+are)"
    r"\s+welcome|sure|certainly|of\s+course|great\s+question|here\s+(?:is|are)\s+(?:the|a|an|my|some)\b(?!.*\bis\b))\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]")
_YES_OR_NO = re.compile(
    r"\W*(?:yes|no|ja|nein|oui|non|sí|si|はい|いいえ|是|不是|okay|ok|true|false)\W*\Z", re.IGNORECASE
)


class Sentence(NamedTuple):
    """A sentence and its place in a text."""

    text: str
    """``whole[start:end]``, with its citations, without the mark of a list item."""
    start: int
    end: int


def split_sentences(text: str) -> tuple[Sentence, ...]:
    """Return the sentences of a text in order, without overlap. Fenced code, headings and rules are left out."""
    plain = with_plain_brackets(text)
    found = [
        cut
        for start, end in _blocks(_FENCE.sub(lambda match: _blank(match[0]), text))
        for first, last in _cut(plain, start, end)
        if (cut := _stripped(text, first, last)).text
    ]
    return tuple(found)


def claims_of(text: str) -> tuple[Sentence, ...]:
    """Return the sentences that claim something.

    Left out are questions, lead-ins that end in a colon, courtesies, a bare yes or no, the names of a table's columns,
    a last list item without text, and sentences that only say that the answer is not known or not in the passages.
    """
    sentences = split_sentences(text)
    if len(sentences) > 1 and _BARE_NUMBER.match(sentences[-1].text):
        sentences = sentences[:-1]
    return tuple(
        sentence for sentence in sentences if _claims(sentence.text) and not _BEFORE_RULE.match(text, sentence.end)
    )


def _claims(sentence: str) -> bool:
    said = without_citations(sentence).strip()
    if not _WORD.search(said) or _YES_OR_NO.match(said):
        return False
    if _QUESTION.search(said) or _LEAD_IN.search(said) or _COURTESY.match(said):
        return False
    return not _DISCLAIMER.search(said) or _TURN.search(said) is not None


def _blank(code: str) -> str:
    return re.sub(r"[^\n]", " ", code)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each paragraph, list item and table row."""
    begun: int | None = None
    end, previous = 0, ""
    for match in re.finditer(r"[^\n]*\n?", text):
        line, start = match[0].rstrip("\r\n"), match.start()
        apart = not line.strip() or _HEADING.match(line) or _RULE.match(line)
        mark = _ITEM.match(line) or _ROW.match(line)
        if begun is not None and (apart or mark or not _goes_on(previous, line)):
            yield begun, end
            begun = None
        if not apart:
            if begun is None:
                marked = mark or _QUOTED.match(line)
                begun = start + (marked.end() if marked else 0)
            end, previous = start + len(line), line
    if begun is not None:
        yield begun, end


def _goes_on(line: str, following: str) -> bool:
    """Return True if a sentence may go on from one line to the next."""
    first = _QUOTED.sub("", following, count=1).lstrip()[:1]
    return first.islower() or len(line) in _WRAPPED or line.endswith(("  ", ",", "-"))


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    first = start
    for match in _END.finditer(text, start, end):
        if _ends(text, first, match, end):
            yield first, match.end()
            first = match.end()
    yield first, end


def _ends(text: str, first: int, match: re.Match[str], end: int) -> bool:
    """Return False if the full stop belongs to an abbreviation, an initial or a date."""
    if not match[0].startswith(".") or match.end() >= end:
        return True
    following = text[match.end() : end]
    if following.lstrip()[:1].islower():
        return False
    if match[0][1:2] not in {"", "[", " "}:  # an ellipsis, a quotation that ends
        return True
    before = _LAST_WORD.search(text, max(first, match.start() - 24), match.start())
    word = before[0] if before else ""
    if _INITIALS.match(word):
        return "." in word and _STARTS.match(following) is not None
    if word.isdigit() and len(word) <= 2:
        return _GERMAN_DAY.match(following) is None
    return word.casefold() not in _ABBREVIATIONS


def _stripped(text: str, start: int, end: int) -> Sentence:
    """Return the stretch without blanks around it."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    piece = piece.strip()
    return Sentence(piece, start, start + len(piece))
