"""The whole way on one page: documents -> passages -> vectors -> joint selection -> prompt, or answer.

The corpus is on every machine: Python's language reference, as the standard library carries it for ``help()``. It
repeats itself (the page on ``try`` is also a part of the page on compound statements), as real corpora do.

Run it with ``make demo``. It writes only below ``.demo/`` in the working directory.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from pydoc_data.topics import topics

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sift_rag import Retrieval, Retriever, SelectorSettings, SiftRagError, ingest_paths, open_retriever
from sift_rag.answering.answer import find_citations, stream_answer
from sift_rag.answering.prompt import build_prompt, locate, render
from sift_rag.corpus.report import Progress
from sift_rag.evaluation import Comparison, Task, summarise
from sift_rag.evaluation import compare as compare_on
from sift_rag.opening import open_local_model, open_model

HOME = Path(".demo")
CORPUS = HOME / "python-reference"
STORE = HOME / "store"
PROMPT = HOME / "prompt.txt"
QUESTION = "How do I define a function with optional arguments, and what happens when it is called?"
K = 6
MODEL = Path(__file__).parent.parent / "tests" / "data" / "stdlib-lm"
HELD_OUT_EVERY = 20  # topics that this model was not trained on
LENGTH = 1200  # characters of each text that it has to predict
ARMS = {"context": "in the context", "finetune": "learnt from", "both": "both"}

console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
progress = Console(stderr=True, highlight=False)


def main() -> None:
    write_corpus()

    heading("1. Ingest")
    report = ingest_paths([CORPUS], store=STORE, collection="python", progress=tell)
    console.print(
        f"{len(topics)} topics of Python's language reference in {CORPUS}: "
        f"{report.new} new, {report.updated} updated, {report.unchanged} unchanged; "
        f"{report.passages_total} passages in the collection ({report.seconds:.1f} s)"
    )

    heading("2. Ask")
    console.print(Text(QUESTION, style="bold"))
    sift = open_retriever(STORE, "python")
    with closing(sift.store):
        # what any vector search returns: the nearest, copies and all
        nearest = Retriever(sift.embedder, sift.store, selector=SelectorSettings("nearest"), keep_copies=True)
        by_sift, by_nearest = sift.retrieve(QUESTION, K), nearest.retrieve(QUESTION, K)

    heading("3. Nearest neighbour, and SIFT")
    compare(by_nearest, by_sift)

    heading("4. What each pick of SIFT added")
    explain(by_sift)

    heading("5. The answer")
    answer(by_sift)

    heading("6. In the context, or in the weights?")
    learn()


def learn() -> None:
    """What the selected passages bring to a small model that has not seen these texts: read, or learnt from."""
    held_out = sorted(topics)[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
    tasks = [
        Task(f"{name} from {start}", "topics", text)
        for name in held_out
        for start in (0, LENGTH)
        if (text := topics[name][start : start + LENGTH]).strip()
    ]
    comparison = Comparison(arms=("context", "finetune", "both"), selectors=("nearest", "sift"), ks=(5, 20))
    retriever = open_retriever(STORE, "python")
    with closing(retriever.store):
        model = open_local_model(str(MODEL))
        outcomes = list(
            compare_on(tasks, model=model, embedder=retriever.embedder, store=retriever.store, comparison=comparison)
        )
    summary = summarise(outcomes)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("passages are", "chosen by", "k", "% of the bits", "±", "seconds a text"):
        table.add_column(name, justify="left" if name.endswith(("are", "by")) else "right", no_wrap=True)
    table.add_row("not there", "", "", "100.0", "", f"{summary.base_seconds_per_task:.2f}", style="dim")
    for row in summary.rows:
        figures = (f"{row.percent_of_base:.1f}", f"{row.standard_error:.1f}", f"{row.seconds_per_task:.2f}")
        table.add_row(ARMS[row.arm], row.selector, str(row.k), *figures)
    console.print(
        f"{len(tasks)} texts from pages that were held out of the training of a model of two million parameters: the "
        "bits that it needs to predict them, without passages, with them before the text, or after a step of training "
        "on each. The texts themselves are left out of what it is given.\n"
    )
    console.print(table)
    console.print(f"\n{summary.verdict}")
    console.print("On your own documents and model: sift-rag compare --texts DIR --model NAME --report page.html")


def write_corpus() -> None:
    """One text file a topic; files that are as they should be are not touched."""
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name, text in topics.items():
        path = CORPUS / f"{name}.txt"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def tell(done: Progress) -> None:
    if done.passages_done and progress.is_terminal:
        progress.print(f"  embedded {done.passages_done} passages ...", end="\r")


def compare(by_nearest: Retrieval, by_sift: Retrieval) -> None:
    """Side by side. What nearest neighbour takes twice is found by SIFT's merging: it knows all copies of a passage."""
    group: dict[str, str] = {}
    for hit in by_sift.hits:
        group.update(dict.fromkeys((hit.passage.id, *(copy.id for copy in hit.copies)), hit.passage.id))
    first: dict[str, int] = {}
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("#", justify="right")
    table.add_column("nearest neighbour takes", overflow="fold")
    table.add_column("SIFT takes", overflow="fold")
    for near, joint in zip(by_nearest.hits, by_sift.hits, strict=True):
        key = group.get(near.passage.id, near.passage.id)
        earlier = first.setdefault(key, near.rank)
        cell = label(near.passage.headings, locate(near.passage))
        if earlier != near.rank:
            cell = Text.assemble(cell, (f"\nthe same text as #{earlier}", "red"))
        table.add_row(str(near.rank), cell, label(joint.passage.headings, locate(joint.passage)))
    console.print(table)
    repeated = K - len(first)
    console.print(
        f"\nNearest neighbour spends {repeated} of {K} places on text that it has already. SIFT's {K} passages tell "
        f"{by_sift.explained(by_sift.hits[-1].posterior_variance):.0%} of what its {by_sift.candidates} distinct "
        "candidates could tell together."
    )


def explain(retrieval: Retrieval) -> None:
    """The posterior variance, falling pick by pick."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("pick", "similarity", "posterior variance", "still untold"):
        table.add_column(name, justify="left" if name == "still untold" else "right", no_wrap=True)
    table.add_row("-", "", f"{retrieval.prior_variance:.5f}", bar(1.0))
    for hit in retrieval.hits:
        untold = 1.0 - retrieval.explained(hit.posterior_variance)
        table.add_row(str(hit.rank), f"{hit.similarity:.2f}", f"{hit.posterior_variance:.5f}", bar(untold))
    console.print(table)


def answer(retrieval: Retrieval) -> None:
    """From the model that the environment names, else the prompt and how to get an answer."""
    name, url = os.environ.get("SIFT_RAG_MODEL"), os.environ.get("SIFT_RAG_BASE_URL")
    model = open_model(name, base_url=url, api_key=os.environ.get("SIFT_RAG_API_KEY")) if name else None
    prompt = build_prompt([QUESTION], [hit.passage for hit in retrieval.hits], model=model)
    if model is None:
        text = render(prompt.messages)
        PROMPT.write_text(text, encoding="utf-8")
        console.print(Text(f"{text[:1400].rstrip()}\n[...]\n{text.splitlines()[-1]}", style="dim"))
        console.print(f"\nThat is the prompt; the whole of it ({len(text):,} characters) is in {PROMPT}.")
        console.print(
            "For an answer: SIFT_RAG_MODEL=NAME make demo (a name or a folder; SIFT_RAG_BASE_URL for an endpoint)."
        )
        return
    pieces = []
    for piece in stream_answer(model, prompt):
        pieces.append(piece)
        console.print(Text(piece), end="")
    console.print()
    for citation in find_citations("".join(pieces), prompt):
        console.print(f"\\[{citation.number}] {locate(citation.passage)}")


def label(headings: tuple[str, ...], where: str) -> Text:
    return Text.assemble(where.removeprefix("python-reference/"), ("  " + " > ".join(headings[-2:]), "dim"))


def bar(share: float, width: int = 30) -> str:
    return f"{'█' * round(share * width):<{width}} {share:.0%}"


def heading(text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")


if __name__ == "__main__":
    try:
        main()
    except SiftRagError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted. What went in so far stays in: run it again to go on.")
