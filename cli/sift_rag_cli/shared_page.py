"""Render a search or an answer as one self-contained HTML page to share.

Style sheet and shell are those of the reports. All text passes through :func:`shown`: escaped for HTML, with control
characters and those that change the direction of writing written out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag_cli.answers import check_summary, remark_on
from sift_rag_cli.explanation import reason_for
from sift_rag_cli.highlighting import marked_words
from sift_rag_cli.hits import HitView, body_of, copy_lines, heading_path, locate, number, percent, summary, weak_match
from sift_rag_cli.output import one_line, printable, say, write_page

if TYPE_CHECKING:
    from sift_rag.answering.answer import Answer
    from sift_rag.answering.checking import CheckedSentence
    from sift_rag.types import Hit, Passage, PassedOver, Retrieval

_STYLE = """
h1 { overflow-wrap: anywhere; } .answer, .text { white-space: pre-wrap; overflow-wrap: anywhere; }
.answer { background: var(--tint); border-left: 4px solid var(--c1); padding: .8rem 1rem; margin: 0; }
.answer a, .place a { color: var(--c1); }
.unsupported { text-decoration: underline wavy var(--c2); text-underline-offset: .2em; }
.remark { color: var(--soft); font-size: .85em; } .unsupported + .remark { color: var(--c2); }
article { border-top: 1px solid var(--line); padding: .8rem 0 .4rem; } article:target { background: var(--tint); }
article h3 { margin: 0; overflow-wrap: anywhere; } article p { margin: .2rem 0; }
.place { font-weight: 600; overflow-wrap: anywhere; } .text { margin-top: .6rem; }
.around { color: var(--soft); margin: .5rem 0; }
.bar { display: inline-block; width: 5rem; height: .6em; background: var(--line); border-radius: .3em;
  overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--c3); } .why { font-style: italic; }
mark { background: none; color: inherit; font-weight: 700; border-bottom: 2px solid var(--c5); }
ul { padding-left: 1.2rem; } li { overflow-wrap: anywhere; }
"""
_LEGEND = (
    "Match: cosine similarity to the question. Adds: what a passage adds to those before it, as a share of what the "
    "candidates contain together."
)
_MARKS = "Underlined: the passages do not support it, or not those that it cites. The check can be wrong."


@dataclass(frozen=True)
class SharedPage:
    """The content of the page."""

    retrieval: Retrieval
    view: HitView
    command: str
    collection: str
    answer: Answer | None = None
    """None for a search, or without a language model."""


def shown(text: str) -> str:
    """Return text as HTML that shows it: markup escaped, control and direction characters written out."""
    return escape(printable(text))


def write_shared(path: Path | None, page: SharedPage) -> None:
    """Write the page, if there is a file for it, and say so.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    if path is not None:
        write_page(path, render_shared(page))
        say(one_line(f"Wrote {path}."))


def render_shared(page: SharedPage) -> str:
    """Return the page."""
    from sift_rag.evaluation.page import render_page

    questions = page.retrieval.questions
    return render_page(printable(" / ".join(questions)), [*_head(questions), *_sections(page)], style=_STYLE)


def _head(questions: Sequence[str]) -> Iterator[str]:
    yield f"<h1>{shown(questions[0])}</h1>"
    if len(questions) > 1:
        yield f"<p>and</p><ul>{''.join(f'<li>{shown(question)}</li>' for question in questions[1:])}</ul>"


def _sections(page: SharedPage) -> Iterator[str]:
    retrieval = page.retrieval
    if page.answer is not None:
        yield from _answer(page.answer)
    fine_tuned = page.answer is not None and page.answer.mode == "finetune"
    yield f"<h2>{'Passages for fine-tuning' if fine_tuned else 'Passages'}</h2>"
    yield f"<p class=note>{shown(summary(retrieval))}. {_LEGEND}</p>"
    weak = weak_match(retrieval, page.view.level)
    if weak:
        yield f"<p class=verdict>{shown(weak)}</p>"
    yield from _passages(page)
    if retrieval.passed_over:
        yield f"<h2>Passed over</h2><ul>{''.join(map(_passed, retrieval.passed_over))}</ul>"
    yield f"<h2>How this was made</h2>{_facts(page)}"


def _passages(page: SharedPage) -> Iterator[str]:
    said: set[str] = set()
    numbers = {hit.passage.id: hit.rank for hit in page.retrieval.hits}
    if page.answer is not None and page.answer.mode != "finetune":
        numbers = {passage.id: at for at, passage in page.answer.prompt.numbered.items()}
    for hit, share in zip(page.retrieval.hits, page.retrieval.added(), strict=True):
        why = reason_for(hit, said)
        said.update(hit.shared_words)
        yield _passage(hit, share, why, page.view, cited_as=numbers.get(hit.passage.id))


def _passage(hit: Hit, share: float, why: str, view: HitView, *, cited_as: int | None) -> str:
    link = view.links.get(hit.passage.source, "")
    place = shown(locate(hit.passage))
    if link.startswith(("http://", "https://")):  # never the path of a file on this machine
        place = f'<a rel="noreferrer" href="{escape(link)}">{place}</a>'
    path = heading_path(hit.passage)
    headings = f"<p class=note>{shown(path)}</p>" if path else ""
    label = "Not in the prompt: " if cited_as is None else f"[{cited_as}] "
    anchor = "" if cited_as is None else f" id=passage-{cited_as}"
    also = "".join(f"<p class=note>{shown(line)}</p>" for line in copy_lines(hit.copies, limit=None))
    return (
        f"<article{anchor}><h3>{label}<span class=place>{place}</span></h3>{headings}"
        f"<p class=note>{_scores(hit, share, view)}</p><p class=why>Why: {shown(why)}.</p>"
        f"<div class=text>{_around(hit.before)}{_marked(hit.passage, view)}{_around(hit.after)}</div>{also}</article>"
    )


def _scores(hit: Hit, share: float, view: HitView) -> str:
    strength = hit.similarity if view.level is None else view.level.strength(hit.similarity)
    filled = min(max(strength, 0.0), 1.0) if math.isfinite(strength) else 0.0
    parts = [f'match {number(hit.similarity)} <span class=bar><i style="width:{filled:.0%}"></i></span>']
    if hit.reranker_score is not None:
        parts.append(f"reranker {number(hit.reranker_score)}")
    if math.isfinite(share):
        parts.append(f"adds {percent(share)}")
    return " · ".join(parts)


def _marked(passage: Passage, view: HitView) -> str:
    text = body_of(passage)
    pieces, at = [], 0
    for start, end in marked_words(text, view.questions, view.language):
        pieces += [escape(text[at:start]), f"<mark>{escape(text[start:end])}</mark>"]
        at = end
    return "".join([*pieces, escape(text[at:])])


def _around(passages: Sequence[Passage]) -> str:
    return "".join(f"<div class=around>{shown(passage.text.strip(chr(10)))}</div>" for passage in passages)


def _passed(passed: PassedOver) -> str:
    where = f"{locate(passed.passage)} (match {number(passed.similarity)})"
    return f"<li>{shown(where)}: {shown(passed.reason)}</li>"


def _answer(answer: Answer) -> Iterator[str]:
    sentences = answer.sentences or ()
    yield f"<h2>Answer</h2><div class=answer>{_with_remarks(answer.text, sentences, answer)}</div>"
    if sentences:
        yield f"<p class=note>{shown(check_summary(sentences))} {_MARKS}</p>"
    yield from (f"<p class=note>{shown(notice)}</p>" for notice in answer.notices)


def _with_remarks(text: str, sentences: Sequence[CheckedSentence], answer: Answer) -> str:
    pieces, at = [], 0
    for sentence in sorted(sentences, key=lambda one: one.start):
        pieces.append(_linked(text[at : sentence.start], answer))
        pieces.append(f"<span class={sentence.verdict}>{_linked(sentence.text, answer)}</span>")
        remark = remark_on(sentence)
        if remark:
            pieces.append(f" <span class=remark>({_linked(remark, answer)})</span>")
        at = sentence.end
    return "".join([*pieces, _linked(text[at:], answer)])


def _linked(text: str, answer: Answer) -> str:
    """Return text as HTML, with a link at each number of a passage in brackets."""
    from sift_rag.answering.citations import citation_marks

    pieces, at = [], 0
    for mark in citation_marks(text, answer.prompt.numbered):
        links = (f'<a href="#passage-{number}">[{number}]</a>' for number in mark.numbers)
        pieces += [shown(text[at : mark.start]), *links]
        at = mark.end
    return "".join([*pieces, shown(text[at:])])


def _facts(page: SharedPage) -> str:
    from sift_rag import __version__
    from sift_rag.evaluation.page import facts_list

    facts: Mapping[str, str] = {
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
        "collection": page.collection,
        **({} if page.answer is None else {"language model": page.answer.model}),
        "version": f"sift-rag {__version__}",
        "command": page.command,
    }
    return facts_list({name: printable(value) for name, value in facts.items()})
