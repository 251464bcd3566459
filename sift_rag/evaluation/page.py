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
:root { color-scheme: light; --ink: #1b1f24; --soft: #5b6570; --line: #d9dee3; --tint: #f4f6f8; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; background: #fff; color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
.verdict { background: var(--tint); border-left: 4px solid #0072b2; padding: .8rem 1rem; font-size: 1.1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: .5rem 0; } figure svg { width: 100%; max-width: 44rem; height: auto; }
figcaption, .note { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; min-width: 100%; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
tr.best td { font-weight: 600; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--tint); padding: .6rem .8rem; font-size: .8rem;
  margin: .3rem 0; } details { margin: .5rem 0; } summary { cursor: pointer; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 0 1rem; }
"""


def render_page(title: str, sections: Sequence[str]) -> str:
    """Return a self-contained HTML page; the title is text, the sections are HTML."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_CSS}</style><body>{''.join(sections)}</body></html>\n"
    )


def facts_list(facts: Mapping[str, str]) -> str:
    """Return names and values, both text, as a definition list."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in facts.items())}</dl>"


def section(title: str, figure: str, note: str) -> str:
    """Return a section: title, figure (HTML) and note."""
    return f"<h2>{escape(title)}</h2><figure>{figure}<figcaption>{escape(note)}</figcaption></figure>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], best: Container[int] = ()) -> str:
    """Return a table of texts that scrolls; the rows with the numbers in ``best`` are bold."""
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr{' class=best' if number in best else ''}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        for number, row in enumerate(rows)
    )
    return f"<div class=scroll><table><tr>{names}</tr>{body}</table></div>"


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
