"""``sift-rag compare``."""

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sift_rag import defaults
from sift_rag.errors import ConfigurationError
from sift_rag_cli import options
from sift_rag_cli.api_keys import store_key
from sift_rag_cli.clusters import cluster_of
from sift_rag_cli.comparisons import Output, Run, measure, measure_on_cluster, write_comparison, write_shard
from sift_rag_cli.configuration import settings_for
from sift_rag_cli.embedding import embedder_of
from sift_rag_cli.fine_tuning import fine_tuning_of, model_of
from sift_rag_cli.help import command_line
from sift_rag_cli.inputs import names_in, read_shard, spread, whole_numbers_in
from sift_rag_cli.output import check_writable
from sift_rag_cli.searching import layout_of, loading_embedder, runtime_of
from sift_rag_cli.waiting import patience

if TYPE_CHECKING:
    from sift_rag.evaluation import Comparison, Task
    from sift_rag_cli.settings import Values

TASKS = "Texts or questions"
COMPARED = "Comparison"
PARTS = "Several processes"


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
    device: options.Device = None,
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
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            metavar="N",
            rich_help_panel=COMPARED,
            help="Also measure the context within N tokens, text included: as for a model that reads no more.",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="I/N",
            rich_help_panel=PARTS,
            help="Measure only the I-th of N parts of the tasks; needs --journal.",
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            "--journal",
            metavar="FOLDER",
            rich_help_panel=PARTS,
            help="Where to keep the measurements. Default: among your files.",
        ),
    ] = None,
    merge: Annotated[
        list[Path] | None,
        typer.Option(
            "--merge",
            metavar="PATH",
            rich_help_panel=PARTS,
            help="Measure nothing: show the result of the shards whose measurements are in this folder or file. "
            "Repeatable.",
        ),
    ] = None,
    ray: options.Ray = None,
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
    wait: options.Wait = None,
    embedder: options.Embedder = None,
    embedder_url: options.EmbedderUrl = None,
    assignments: options.Set = None,
) -> None:
    """Compare passages in the context with fine-tuning on them.

    For each text, passages are chosen from the collection. The text is then predicted with them in the model's context,
    with the model fine-tuned on them, and without them. The metric is bits per byte; lower is better.

    Examples:
        sift-rag compare --texts held-out/ -m gpt2
        sift-rag compare --questions faq.jsonl -m Qwen/Qwen3-0.6B -k 5 --report page.html
        sift-rag compare --texts held-out/ --set finetuning.preset=gpt2 --resume
        sift-rag compare --texts held-out/ -m gpt2 --journal runs/ --shard 1/8
        sift-rag compare --merge runs/ --report page.html
        sift-rag compare --texts held-out/ -m gpt2 -s http://qdrant:6333 --ray auto
    """
    from sift_rag.evaluation.plots import require_matplotlib

    output = Output(report=report, csv=csv, json=json)
    check_writable(report, csv)
    if merge:
        _refuse_with_merge(texts, questions, limit, shard, journal, ray, resume)
        if report is not None:
            require_matplotlib()
        from sift_rag.evaluation.journal import merge as merge_journals

        write_comparison(*merge_journals(merge), output)
        return
    part = read_shard(shard) if shard is not None else read_shard("1/1")
    if part.of > 1:
        _refuse_with_shard(journal, ray, report, csv)
    from sift_rag.models.options import ModelOptions

    values = settings_for(context, assignments)
    run = Run(
        tasks=_tasks(texts, questions, limit),
        comparison=_comparison(values, arms=arms, selectors=selectors, ks=k, window=window),
        model=_model(values, model),
        options=ModelOptions(device=device, **values["model"]),
        shard=part,
        folder=journal,
        resume=resume,
        command=command_line(context),
    )
    if report is not None:
        require_matplotlib()
    named = embedder_of(context, values, embedder, embedder_url)
    key, layout = store_key(context, store), layout_of(values)
    cluster = cluster_of(ray, values)
    if cluster is not None:
        from sift_rag.opening import open_index, open_retriever

        place = _absolute(store)
        with closing(open_index(place, collection, api_key=key, layout=layout, wait=patience(wait))) as index:
            opened = partial(
                open_retriever,
                place,
                collection,
                named,
                api_key=key,
                layout=layout,
                runtime=runtime_of(values),
                wait=wait,
            )
            outcomes, about, path = measure_on_cluster(run, index, opened, cluster)
    else:
        with loading_embedder(embedder):
            from sift_rag.opening import open_retriever

            retriever = open_retriever(
                store, collection, named, api_key=key, layout=layout, runtime=runtime_of(values), wait=patience(wait)
            )
        with closing(retriever.store):
            outcomes, about, path = measure(run, retriever)
    if part.of > 1:
        write_shard(part, outcomes, path, json=json)
    else:
        write_comparison(outcomes, about, output)


def _absolute(store: str | None) -> str:
    """Return the store by a name that other processes understand, too."""
    from sift_rag.stores.registry import default_store

    if store is not None and "://" in store:
        return store
    return str((default_store() if store is None else Path(store).expanduser()).absolute())


def _tasks(texts: Path | None, questions: Path | None, limit: int | None) -> "list[Task]":
    from sift_rag.evaluation import read_questions, read_texts

    if texts is not None and questions is None:
        return spread(read_texts(texts), limit)
    if questions is not None and texts is None:
        return spread(read_questions(questions), limit)
    raise ConfigurationError("Name the texts or questions to compare on: either --texts PATH or --questions FILE.")


def _comparison(values: "Values", *, arms: str, selectors: str, ks: str, window: int | None) -> "Comparison":
    from sift_rag.evaluation import Comparison

    return Comparison(
        arms=names_in(arms),
        selectors=names_in(selectors),
        ks=whole_numbers_in(ks),
        window=window,
        tuning=fine_tuning_of(values),
        **values["comparison"],
    )


def _model(values: "Values", model: str | None) -> str:
    found = model_of(values, model)
    if found is None:
        raise ConfigurationError(
            "A comparison needs a model on this machine: --model NAME, --model FOLDER or --set finetuning.preset=NAME."
        )
    return found


def _refuse_with_merge(
    texts: Path | None,
    questions: Path | None,
    limit: int | None,
    shard: str | None,
    journal: Path | None,
    ray: str | None,
    resume: bool,
) -> None:
    given = {
        "--texts": texts,
        "--questions": questions,
        "--limit": limit,
        "--shard": shard,
        "--journal": journal,
        "--ray": ray,
        "--resume": resume or None,
    }
    wrong = [name for name, value in given.items() if value is not None]
    if wrong:
        raise ConfigurationError(f"--merge measures nothing: leave out {', '.join(wrong)}.")


def _refuse_with_shard(journal: Path | None, ray: str | None, report: Path | None, csv: Path | None) -> None:
    if ray is not None:
        raise ConfigurationError("--ray divides the tasks among its workers: leave out --shard.")
    if journal is None:
        raise ConfigurationError("--shard needs --journal FOLDER: a folder where all shards keep their measurements.")
    if report is not None or csv is not None:
        raise ConfigurationError("A shard measures a part of the tasks: give --report and --csv with --merge instead.")
