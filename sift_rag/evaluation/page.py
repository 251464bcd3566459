"""HTML shell shared by the reports: a self-contained page that also prints and fits a phone."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from html import escape

from sift_rag.evaluation.judge import Unmatched

LISTED = 50
"""Maximum number of items in a list of what is missing or was not found."""
LONGEST = 480
"""Maximum number of characters to show of a text."""

_CSS = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #5b6570; --line: #d9dee3; --tint: #f4f6f8;
  --c1: #0072b2; --c2: #d55e00; --c3: #009e73; --c4: #aa4499; --c5: #c98500; --c6: #56b4e9; }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e4e8eb; --soft: #9aa5af;
  --line: #343b42; --tint: #1f2429; --c1: #4ea8de; --c2: #f28e4c; --c3: #2fc79a; --c4: #e29bc4; --c5: #f0b93a;
  --c6: #a5dcff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
.verdict { background: var(--tint); border-left: 4px solid var(--c1); padding: .8rem 1rem; font-size: 1.1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: .5rem 0; overflow-x: auto; }
figure svg { display: block; width: 100%; max-width: 32rem; height: auto; }
figure svg.wide { min-width: 40rem; max-width: 60rem; }
figcaption, .note { color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; min-width: 100%; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { vertical-align: bottom; white-space: normal; }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
tr.best td { font-weight: 600; }
tr.arm td:first-child::before { content: "\\25a0"; color: var(--soft); margin-right: .4em; }
tr.context td:first-child::before { color: var(--c1); } tr.finetune td:first-child::before { color: var(--c2); }
tr.both td:first-child::before { color: var(--c3); } tr.window td:first-child::before { color: var(--c4); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--tint); padding: .6rem .8rem; font-size: .8rem;
  margin: .3rem 0; } details { margin: .5rem 0; } summary { cursor: pointer; overflow-wrap: anywhere; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 1rem; }
.sides > * { min-width: 0; }
@media (max-width: 32rem) { dl { display: block; } dt { margin-top: .4rem; } th, td { padding: .25rem .2rem; }
  table { font-size: .75rem; } body { padding: 1rem .8rem 3rem; } .verdict { font-size: 1rem; } }
@media print { details { break-inside: avoid; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Content security policy: the page loads nothing and runs nothing, whatever a text in it says."""


def render_page(title: str, sections: Sequence[str], *, style: str = "") -> str:
    """Return a self-contained HTML page; the title is text, the sections are HTML, ``style`` is added to the sheet."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_CSS}{style}</style></head><body>{''.join(sections)}</body></html>\n"
    )


def facts_list(facts: Mapping[str, str]) -> str:
    """Return names and values, both text, as a definition list."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in facts.items())}</dl>"


def section(title: str, figure: str, note: str) -> str:
    """Return a section: title, figure (HTML) and note."""
    return f"<h2>{escape(title)}</h2><figure>{figure}<figcaption>{escape(note)}</figcaption></figure>"


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], best: Container[int] = (), *, arms: Sequence[str] = ()
) -> str:
    """Return a table of texts that scrolls; the rows with the numbers in ``best`` are bold.

    With ``arms``, a name for each row, rows begin with a square in the arm's colour.
    """
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr{_classes(number in best, arms[number] if arms else '')}>"
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        for number, row in enumerate(rows)
    )
    return f"<div class=scroll><table><tr>{names}</tr>{body}</table></div>"


def _classes(best: bool, arm: str) -> str:
    found = [*(["best"] if best else []), *(["arm", escape(arm)] if arm else [])]
    return f' class="{" ".join(found)}"' if found else ""


def rest_of(count: int) -> str:
    """Return the note on those of ``count`` items that a list of ``LISTED`` leaves out; empty if it leaves out none."""
    return f"<p class=note>... and {count - LISTED:,} more.</p>" if count > LISTED else ""


def unmatched_section(unmatched: Sequence[Unmatched]) -> str:
    """Return the section on relevant items that are not in the collection; empty if there are none."""
    if not unmatched:
        return ""
    items = "".join(
        f"<li>{escape(cut(one.name))} <span class=note>{escape(one.question)}</span></li>" for one in unmatched[:LISTED]
    )
    return (
        f"<h2>Not in the collection</h2><p class=note>{len(unmatched):,} relevant items match no source, passage id or "
        f"text, and count as not found.</p><ul>{items}</ul>{rest_of(len(unmatched))}"
    )


def cut(text: str) -> str:
    """Return the text, cut to ``LONGEST`` characters."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()} …"
