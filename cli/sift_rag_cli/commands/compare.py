"""``sift-rag compare``."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sift_rag import defaults
from sift_rag.errors import ConfigurationError
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.comparisons import save_csv, summary_json, write_rows
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.fine_tuning import fine_tuning_of, model_of
from sift_rag_cli.inputs import names_in, spread, whole_numbers_in
from sift_rag_cli.output import check_writable, count_of, one_line, say, write_json, write_page
from sift_rag_cli.progress import counted_progress, loading
from sift_rag_cli.searching import layout_of, loading_embedder

if TYPE_CHECKING:
    from sift_rag.evaluation import Outcome

TASKS = "Texts or questions"
COMPARED = "Comparison"


def compare(
    context: typer.Context,
    texts: Annotated[
        Path | None,
        typer.Option(
            "--texts",
            metavar="PATH",
            rich_help_panel=TASKS,
            help="Texts to predict: a folder of files, or JSON lines with 'text' and optionally 'group'.",
        ),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            rich_help_panel=TASKS,
            help="Questions to answer: JSON lines with 'question' and 'answer'.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", metavar="N", min=1, rich_help_panel=TASKS, help="Use only N of them, spread evenly over all."
        ),
    ] = None,
    model: options.LocalModel = None,
    arms: Annotated[
        str,
        typer.Option(
            "--arms", metavar="A,B", rich_help_panel=COMPARED, help="Ways to use passages: context, finetune, both."
        ),
    ] = ",".join(defaults.COMPARED_ARMS),
    selectors: Annotated[
        str,
        typer.Option(
            "--selectors",
            metavar="A,B",
            rich_help_panel=COMPARED,
            help="Ways to select them: nearest, repeated-nearest, uncertainty, mmr, sift, hull.",
        ),
    ] = ",".join(defaults.COMPARED_SELECTORS),
    k: Annotated[
        str,
        typer.Option(
            "-k",
            metavar="N,N",
            rich_help_panel=COMPARED,
            help="Numbers of passages in the context, and numbers of fine-tuning steps.",
        ),
    ] = ",".join(map(str, defaults.COMPARED_KS)),
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the same comparison where it was interrupted.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            rich_help_panel=options.OUTPUT,
            help="Write an HTML page with plots and examples.",
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", rich_help_panel=options.OUTPUT, help="Write the rows as CSV."),
    ] = None,
    json: options.Json = False,
    store: options.Store = None,
    collection: options.Collection = defaults.COLLECTION,
    embedder: options.Embedder = None,
    assignments: options.Set = None,
) -> None:
    """Compare passages in the context with fine-tuning on them.

    For each text, passages are chosen from the collection. The text is then predicted with them in the model's context,
    with the model fine-tuned on them, and without them. The metric is bits per byte; lower is better.

    Examples:
        sift-rag compare --texts held-out/ -m gpt2
        sift-rag compare --questions faq.jsonl -m Qwen/Qwen3-0.6B -k 5 --report page.html
        sift-rag compare --texts held-out/ --set finetuning.preset=gpt2 --resume
    """
    from sift_rag.evaluation import Comparison, read_questions, read_texts, summarise
    from sift_rag.evaluation.comparison import compare as measure
    from sift_rag.evaluation.journal import comparison_journal
    from sift_rag.evaluation.plots import require_matplotlib

    if (texts is None) == (questions is None):
        raise ConfigurationError("Name the texts or questions to compare on: either --texts PATH or --questions FILE.")
    values = settings_for(context, assignments)
    model = model_of(values, model)
    if model is None:
        raise ConfigurationError(
            "A comparison needs a model on this machine: --model NAME, --model FOLDER or --set finetuning.preset=NAME."
        )
    check_writable(report, csv)
    wanted: Any = {"arms": names_in(arms), "selectors": names_in(selectors), "ks": whole_numbers_in(k)}
    comparison = Comparison(**wanted, **values["comparison"], tuning=fine_tuning_of(values))
    tasks = spread(read_texts(texts) if texts is not None else read_questions(questions or Path()), limit)
    if report is not None:
        require_matplotlib()
    key, layout = store_key(context, store), layout_of(values)
    with loading_embedder(embedder):
        from sift_rag.opening import open_local_model, open_retriever

        retriever = open_retriever(store, collection, embedder, api_key=key, layout=layout)
    with closing(retriever.store):
        journal = comparison_journal(tasks, comparison, model=model, store=retriever.store)
        outcomes = journal.read() if resume else []
        journal.start(outcomes)
        with loading(model) as show_stage:
            language_model = open_local_model(model, on_stage=show_stage)
        done = {outcome.task.id for outcome in outcomes}
        left = [task for task in tasks if task.id not in done]
        if outcomes:
            say(f"{count_of(len(outcomes), 'task')} already measured; {len(left)} left.")
        with (
            _resumable(outcomes, len(tasks)),
            counted_progress("comparing", "task", len(tasks), len(outcomes)) as advance,
        ):
            for outcome in measure(
                left, model=language_model, embedder=retriever.embedder, store=retriever.store, comparison=comparison
            ):
                journal.add(outcome)
                outcomes.append(outcome)
                advance(outcome.task.id)
    summary = summarise(outcomes)
    if report is not None:
        from sift_rag.evaluation.report import render_report

        page = render_report(
            outcomes, summary, comparison, model=model, collection=collection, window=language_model.context_length
        )
        write_page(report, page)
    if csv is not None:
        save_csv(summary, csv)
    if json:
        write_json(summary_json(summary, model=model, window=language_model.context_length))
        return
    write_rows(summary)
    if summary.left_out:
        say(f"{count_of(summary.left_out, 'candidate')} left out: the text itself or a part of it.")
    say(one_line(summary.verdict))


@contextmanager
def _resumable(outcomes: "Sequence[Outcome]", total: int) -> "Iterator[None]":
    """On interruption, say how to continue."""
    try:
        yield
    except KeyboardInterrupt:
        if outcomes:
            of_all = f"{len(outcomes)} of {count_of(total, 'task')}"
            say(f"{of_all} are measured and kept: add --resume to continue.")
        raise
