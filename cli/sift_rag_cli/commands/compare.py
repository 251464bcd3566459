"""``sift-rag compare``."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sift_rag.errors import ConfigurationError
from sift_rag_cli import options
from sift_rag_cli.comparisons import save_csv, summary_json, write_rows
from sift_rag_cli.output import console, count_of, is_terminal, one_line, say, write_json
from sift_rag_cli.stores import layout_of, qdrant_api_key
from sift_rag_cli.tuning import model_for, settings_for

if TYPE_CHECKING:
    from sift_rag.evaluation import Outcome, Task


def compare(
    texts: Annotated[
        Path | None,
        typer.Option(
            "--texts",
            metavar="PATH",
            help="Texts to predict: a folder of files, or JSON lines with 'text' and maybe 'group'.",
        ),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions", metavar="FILE", help="Questions to answer: JSON lines with 'question' and 'answer'."
        ),
    ] = None,
    model: options.Model = None,
    arms: Annotated[
        str, typer.Option("--arms", metavar="A,B", help="Of context, finetune and both.")
    ] = "context,finetune",
    selectors: Annotated[
        str,
        typer.Option(
            "--selectors", metavar="A,B", help="Of nearest, repeated-nearest, uncertainty, mmr, sift and hull."
        ),
    ] = "nearest,sift",
    k: Annotated[str, typer.Option("-k", metavar="N,N", help="Passages in the context, and steps of training.")] = (
        "5,20,50"
    ),
    candidates: Annotated[
        int, typer.Option("--candidates", metavar="N", min=1, help="Distinct nearest passages to select from.")
    ] = 200,
    preset: options.Preset = None,
    learning_rate: options.LearningRate = None,
    rank: options.Rank = None,
    full: options.Full = False,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Compare on so many, taken evenly.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an equal comparison was interrupted.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Write a page with plots and examples.")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the rows as CSV.")] = None,
    store: options.Store = None,
    collection: options.Collection = options.DEFAULT_COLLECTION,
    embedder: options.Embedder = None,
    vector_name: options.VectorName = None,
    text_key: options.TextKey = None,
    source_key: options.SourceKey = None,
    json: options.Json = False,
) -> None:
    """Find out whether context or fine-tuning works better.

    For each text, passages are selected from the collection, and the text is predicted with them in the model's
    context, with the model fine-tuned on them, and without. Measured are bits per byte: fewer are better.
    """
    from sift_rag.evaluation import Comparison, read_questions, read_texts, summarise
    from sift_rag.evaluation.comparison import compare as measure
    from sift_rag.evaluation.plots import require_matplotlib
    from sift_rag.opening import comparison_journal, open_local_model, open_retriever

    if (texts is None) == (questions is None):
        raise ConfigurationError("Name what to compare on: either --texts PATH or --questions FILE.")
    model = model_for(preset, model)
    if model is None:
        raise ConfigurationError(
            "A comparison needs a model in this process: --model NAME, --model FOLDER or --preset NAME."
        )
    for file in (report, csv):
        if file is not None and not file.parent.is_dir():
            raise ConfigurationError(f"There is no folder {str(file.parent)!r} to write {file.name} to.")
    tuning = settings_for(preset, learning_rate=learning_rate, rank=rank, full=full)
    wanted: Any = {"arms": _names(arms), "selectors": _names(selectors), "ks": _numbers(k)}
    comparison = Comparison(**wanted, candidate_limit=candidates, tuning=tuning)
    tasks = _spread(read_texts(texts) if texts is not None else read_questions(questions or Path()), limit)
    if report is not None:
        require_matplotlib()
    retriever = open_retriever(
        store,
        collection,
        embedder,
        api_key=qdrant_api_key(),
        layout=layout_of(vector_name, text_key, source_key),
    )
    with closing(retriever.store):
        journal = comparison_journal(tasks, comparison, model=model, store=retriever.store)
        outcomes = journal.read() if resume else []
        journal.start(outcomes)
        language_model = open_local_model(model)
        done = {outcome.task.id for outcome in outcomes}
        left = [task for task in tasks if task.id not in done]
        if outcomes:
            say(f"{count_of(len(outcomes), 'task')} measured before; {len(left)} left.")
        with _progress(len(tasks), len(outcomes)) as advance:
            for outcome in measure(
                left, model=language_model, embedder=retriever.embedder, store=retriever.store, comparison=comparison
            ):
                journal.add(outcome)
                outcomes.append(outcome)
                advance(outcome)
    summary = summarise(outcomes)
    if report is not None:
        from sift_rag.evaluation.report import render_report

        page = render_report(
            outcomes, summary, comparison, model=model, collection=collection, window=language_model.context_length
        )
        _write_page(report, page)
    if csv is not None:
        save_csv(summary, csv)
    if json:
        write_json(summary_json(summary, model=model, window=language_model.context_length))
        return
    write_rows(summary)
    if summary.left_out:
        say(f"{count_of(summary.left_out, 'candidate')} left out: the text itself, or a part of it.")
    say(one_line(summary.verdict))


def _names(value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))


def _numbers(value: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(number) for number in _names(value)}))
    except ValueError:
        raise ValueError(f"-k is {value!r}: whole numbers with commas between were expected, 5,20,50.") from None


def _spread(tasks: "Sequence[Task]", limit: int | None) -> "list[Task]":
    """At most so many, evenly over the list, so that every group has its share."""
    if limit is None or limit >= len(tasks):
        return list(tasks)
    return [tasks[index * len(tasks) // limit] for index in range(limit)]


def _write_page(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"The report cannot be written to {str(path)!r}: {error.strerror}.") from error


LONG_RUN = 20
"""Tasks from which on a run tells where it is."""


@contextmanager
def _progress(total: int, done: int) -> "Iterator[Any]":
    """A bar at a terminal, elsewhere a line each tenth of a long run. An interruption says how to go on."""
    from rich.progress import Progress

    measured = done
    with Progress(console=console(stderr=True), disable=not is_terminal(sys.stderr), transient=True) as bar:
        shown = bar.add_task("comparing", total=total, completed=done)

        def advance(outcome: "Outcome") -> None:
            nonlocal measured
            measured += 1
            bar.update(shown, advance=1, description=one_line(outcome.task.id)[:40])
            if (
                total >= LONG_RUN
                and not is_terminal(sys.stderr)
                and 10 * measured // total > 10 * (measured - 1) // total
            ):
                say(f"{measured} of {count_of(total, 'task')}")

        try:
            yield advance
        except KeyboardInterrupt:
            if measured:
                say(f"{measured} of {count_of(total, 'task')} are measured and kept: go on with --resume.")
            raise
