"""Make the pictures of the README and the site, and fill in what the README's commands print.

    python scripts/make_pictures.py             # the README's commands run again; pictures from the recorded retrieval
    python scripts/make_pictures.py --record    # the retrieval, too: ingests Python's language reference (two minutes)

The recorded retrieval is ``docs/assets/retrieval.json``: the demo's question, what nearest neighbour takes, and what
SIFT takes. Its passages are those of the Python that the file names.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from html import escape
from io import StringIO
from pathlib import Path

from huggingface_hub.constants import HF_HOME
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).parent.parent
ASSETS = ROOT / "docs" / "assets"
RECORD = ASSETS / "retrieval.json"
SESSION = re.compile(r"(<!-- session:.*?-->\n```console\n)(.*?)(```)", re.DOTALL)
SECONDS = re.compile(r"\d+\.\d s\b")
"""The time that a run takes: the only part of an output that changes from run to run."""


@dataclass(frozen=True)
class Card:
    """A passage in the picture; ``repeats`` is the rank of the passage that it says again."""

    where: str
    heading: str
    text: str
    repeats: int | None = None


@dataclass(frozen=True)
class Recorded:
    """A question with what two searches take for it."""

    question: str
    python: str
    nearest: tuple[Card, ...]
    sift: tuple[Card, ...]

    def to_json(self) -> str:
        """Return the record as it is kept in its file."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def read_record() -> Recorded:
    """Return the recorded retrieval."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    nearest, sift = (tuple(Card(**card) for card in record[side]) for side in ("nearest", "sift"))
    return Recorded(record["question"], record["python"], nearest, sift)


def record() -> Recorded:
    """Ingest the demo's corpus and retrieve passages for its question, by similarity alone and by SIFT."""
    sys.path.insert(0, str(ROOT / "examples"))
    demo = importlib.import_module("demo")
    from sift_rag import Nearest, Retriever, ingest_paths, open_retriever
    from sift_rag.answering.prompt import locate
    from sift_rag.types import Hit

    def card(hit: Hit, repeats: int | None = None) -> Card:
        where = locate(hit.passage).removeprefix("python-reference/")
        return Card(where, hit.passage.headings[-1], beginning(hit.passage.text), repeats)

    demo.write_corpus()
    ingest_paths([demo.CORPUS], store=demo.STORE, collection=demo.COLLECTION)
    with open_retriever(demo.STORE, demo.COLLECTION) as retriever:
        plain = Retriever(retriever.embedder, retriever.store, selector=Nearest(), keep_copies=True)
        joint, near = retriever.retrieve(demo.QUESTION, demo.K), plain.retrieve(demo.QUESTION, demo.K)
    original = {copy.id: hit.passage.id for hit in joint for copy in (hit.passage, *hit.copies)}
    first: dict[str, int] = {}
    cards = []
    for hit in near:
        rank = first.setdefault(original.get(hit.passage.id, hit.passage.id), hit.rank)
        cards.append(card(hit, rank if rank != hit.rank else None))
    python = ".".join(platform.python_version_tuple()[:2])
    return Recorded(demo.QUESTION, python, tuple(cards), tuple(card(hit) for hit in joint))


def beginning(text: str) -> str:
    """Return the first words of a passage, without a heading over it and without marks of emphasis."""
    text = re.sub(r"\A.*\n[=~\-*]{3,}\n", "", text).replace("**", "")
    return " ".join(text.split())[:160]


# --- the two columns of cards

WIDTH, CARD, GAP, TOP, MARGIN = 860, 66, 10, 96, 20
STYLE = """
.panel{fill:#fff;stroke:#d0d7de}.card{fill:#e6f4f1;stroke:#0f766e}.repeat{fill:#f3f4f6;stroke:#c4c9d0}
text{font:13px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2328}
.question{font-size:17px;font-weight:600}.side{font-size:15px;font-weight:600}.count{fill:#57606a}
.rank{font-size:17px;font-weight:700;fill:#0f766e}.where{font-weight:600}.text{font-size:12px;fill:#3d444d}
.grey text,text.grey{fill:#6a727c}.again{font-weight:600}
@media (prefers-color-scheme:dark){
.panel{fill:#161b22;stroke:#3d444d}.card{fill:#10312d;stroke:#2dd4bf}.repeat{fill:#1f242b;stroke:#454c55}
text{fill:#f0f6fc}.count{fill:#9aa4af}.rank{fill:#2dd4bf}.text{fill:#d1d7e0}.grey text,text.grey{fill:#98a2ad}}
"""


def draw(recorded: Recorded) -> str:
    """Return the picture: what nearest neighbour takes on the left, what SIFT takes on the right."""
    height = TOP + len(recorded.sift) * (CARD + GAP) + MARGIN - GAP
    repeated = sum(card.repeats is not None for card in recorded.nearest)
    k = len(recorded.nearest)
    left = f"{k} passages, {repeated} of them repeats"
    right = f"{k} passages, no two the same"
    alt = (
        f"The question {recorded.question!r}. Nearest neighbour: {left}. SIFT: {right}. "
        "Passages of Python's language reference."
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
        f'aria-label="{escape(alt)}">',
        f"<style>{STYLE}</style>",
        f'<rect class="panel" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>',
        f'<text class="question" x="{MARGIN}" y="36">{escape(recorded.question)}</text>',
    ]
    for side, title, count, cards in (
        (0, "Nearest neighbour", left, recorded.nearest),
        (1, "SIFT", right, recorded.sift),
    ):
        x = MARGIN + side * (WIDTH - MARGIN) // 2
        lines.append(f'<text class="side" x="{x}" y="66">{title}</text>')
        lines.append(f'<text class="count" x="{x}" y="85">{count}</text>')
        lines += [one(card, rank, x) for rank, card in enumerate(cards, 1)]
    return "\n".join([*lines, "</svg>\n"])


def one(card: Card, rank: int, x: int) -> str:
    """Return one card of the picture."""
    y = TOP + (rank - 1) * (CARD + GAP)
    width = (WIDTH - 3 * MARGIN) // 2
    if card.repeats is not None:
        return (
            '<g class="grey"><rect class="repeat" stroke-dasharray="4 3" '
            f'x="{x}" y="{y}" width="{width}" height="{CARD}" rx="6"/>'
            f'<text x="{x + 14}" y="{y + 25}">{rank}</text>'
            f'<text x="{x + 38}" y="{y + 25}">{escape(card.where)}</text>'
            f'<text class="again" x="{x + 38}" y="{y + 47}">the same text as {card.repeats}</text></g>'
        )
    words = textwrap.wrap(card.text, 52)[:2]
    body = "".join(
        f'<text class="text" x="{x + 38}" y="{y + 39 + 16 * i}">{escape(line)}{" …" if i else ""}</text>'
        for i, line in enumerate(words)
    )
    return (
        f'<g><rect class="card" x="{x}" y="{y}" width="{width}" height="{CARD}" rx="6"/>'
        f'<text class="rank" x="{x + 14}" y="{y + 25}">{rank}</text>'
        f'<text class="where" x="{x + 38}" y="{y + 21}">{escape(card.where)}'
        f'<tspan class="count" font-weight="400" dx="8">{escape(card.heading)}</tspan></text>{body}</g>'
    )


# --- what each passage adds

ROWS = 6


def told() -> list[tuple[str, float]]:
    """Return the passages that SIFT takes from the handbook, with the share told after each."""
    from sift_rag import ingest_paths, open_retriever

    with tempfile.TemporaryDirectory() as store:
        ingest_paths([ROOT / "examples" / "handbook"], store=store, collection="handbook")
        with open_retriever(store, "handbook") as retriever:
            retrieval = retriever.retrieve("What does the company pay for on a business trip?", ROWS)
    names = [hit.passage.source.removeprefix("handbook/") for hit in retrieval]
    return list(zip(names, (retrieval.explained(hit.posterior_variance) for hit in retrieval), strict=True))


def draw_told(steps: list[tuple[str, float]]) -> str:
    """Return a picture of a bar that fills with each passage."""
    left, full, row = 190, 500, 38
    height = MARGIN * 2 + row * len(steps) + 30
    alt = "; ".join(f"after {name}: {share:.0%}" for name, share in steps)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
        f'aria-label="The share told so far, {escape(alt)}.">',
        f"<style>{STYLE}.new{{fill:#0f766e}}@media (prefers-color-scheme:dark){{.new{{fill:#2dd4bf}}}}</style>",
        f'<rect class="panel" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>',
        f'<text class="side" x="{MARGIN}" y="34">Told so far, of what all nine passages could tell</text>',
    ]
    before = 0.0
    for rank, (name, share) in enumerate(steps, 1):
        y = 30 + MARGIN + (rank - 1) * row
        old, new = round(full * before), round(full * (share - before))
        lines.append(f'<text x="{MARGIN}" y="{y + 18}"><tspan font-weight="600">{rank}</tspan>  {escape(name)}</text>')
        lines.append(f'<rect class="repeat" x="{left}" y="{y}" width="{full}" height="26" rx="4"/>')
        lines.append(f'<rect class="card" x="{left}" y="{y}" width="{old}" height="26" rx="4"/>' if old else "")
        lines.append(f'<rect class="new" x="{left + old}" y="{y}" width="{new}" height="26" rx="4"/>')
        lines.append(
            f'<text x="{left + full + 12}" y="{y + 18}"><tspan font-weight="600">{share:.0%}</tspan>'
            f'<tspan class="count" dx="8">{share - before:+.0%}</tspan></text>'
        )
        before = share
    return "\n".join([*filter(None, lines), "</svg>\n"])


# --- the README's commands, and the recording of a terminal


def commands(text: str) -> list[str]:
    """Return the commands of a session, without what they print."""
    return [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]


def run(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Return what a ``sift-rag`` command prints in a folder, notices first."""
    words = shlex.split(command, comments=True)
    if words[0] != "sift-rag":
        raise ValueError(f"expected a sift-rag command: {command}")
    code = "import runpy; runpy.run_module('sift_rag_cli', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, *words[1:]],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=True,
    )
    return "\n".join(line.rstrip() for line in (done.stdout + done.stderr).splitlines()).strip()


def session(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each command with what it prints, run from a copy of the examples in a home without a cache or a store."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "examples" / "handbook", folder / "examples" / "handbook")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SIFT_RAG_")}
        environment |= {
            "SIFT_RAG_STORE": str(folder / "store"),
            "XDG_CACHE_HOME": str(folder / ".cache"),
            "HF_HOME": HF_HOME,
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "HF_HUB_OFFLINE": "1",
        }
        environment["PYTHONPATH"] = os.pathsep.join(str(ROOT / part) for part in ("", "cli", "plugins"))
        for line in lines:
            yield line, run(line, folder, environment).replace(str(folder), "~")


def transcript(ran: list[tuple[str, str]]) -> str:
    """Return a session as the README has it."""
    return "\n\n".join(f"$ {command}\n{printed}" for command, printed in ran) + "\n"


def record_terminal(ran: list[tuple[str, str]]) -> str:
    """Return a session as a picture of a terminal in which the lines appear one after the other."""
    console = Console(record=True, width=100, file=StringIO(), force_terminal=True, highlight=False)
    rows, delays, clock = 0, [], 0.4
    for command, printed in ran:
        for line in [f"$ {command}", *printed.splitlines(), ""]:
            typed = line.startswith("$ ")
            text = Text(line, style="bold bright_green" if typed else "bold" if re.match(r"\d  ", line) else "")
            wrapped = text.wrap(console, 100) or [text]
            for piece in wrapped:
                console.print(piece)
            clock += 1.2 if typed else 0.12
            delays += [clock] * len(wrapped)
            rows += len(wrapped)
        clock += 1.5
    picture = console.export_svg(title="sift-rag", theme=MONOKAI, code_format=TERMINAL, unique_id="t")
    rules = "".join(f'[clip-path="url(#t-line-{row})"]{{animation-delay:{at:.1f}s}}' for row, at in enumerate(delays))
    return picture.replace("/*lines*/", rules)


TERMINAL = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" \
aria-label="A terminal in which the three commands of the README run.">
<style>
.{unique_id}-matrix{{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;\
font-size:{char_height}px;line-height:{line_height}px}}
.{unique_id}-title{{font-size:18px;font-weight:bold;font-family:system-ui,sans-serif}}
{styles}
@media (prefers-reduced-motion:no-preference){{
.{unique_id}-matrix text{{opacity:0;animation:show .1s forwards}}/*lines*/}}
@keyframes show{{to{{opacity:1}}}}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}</defs>
{chrome}
<g transform="translate({terminal_x},{terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g></g></svg>
"""


def main() -> None:
    recorded = record() if "--record" in sys.argv[1:] else read_record()
    RECORD.write_text(recorded.to_json(), encoding="utf-8")
    (ASSETS / "selection.svg").write_text(draw(recorded), encoding="utf-8")
    (ASSETS / "told.svg").write_text(draw_told(told()), encoding="utf-8")
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    found = SESSION.search(text)
    if found is None:
        sys.exit("The README has no block of a session.")
    ran = list(session(commands(found[2])))
    readme.write_text(text.replace(found[2], transcript(ran)), encoding="utf-8")
    (ASSETS / "terminal.svg").write_text(record_terminal(ran), encoding="utf-8")


if __name__ == "__main__":
    main()
