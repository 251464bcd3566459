"""A comparison: its measurements, and its rows and verdict as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sift_rag.errors import ConfigurationError
from sift_rag_cli.output import count_of, is_terminal, one_line, say, write, write_json, write_page, write_table
from sift_rag_cli.progress import counted_progress, loading

if TYPE_CHECKING:
    from sift_rag.clusters import RayCluster
    from sift_rag.corpus.shards import Shard
    from sift_rag.evaluation import Comparison, Outcome, Row, Summary, Task
    from sift_rag.evaluation.outcomes import About
    from sift_rag.models.options import ModelOptions
    from sift_rag.protocols import PassageIndex
    from sift_rag.retrieval.retriever import Retriever

ALONE = "model alone"
"""Name of the base in a table."""

_COLUMNS = ("group", "arm", "selector", "k", "% of base", "±", "95 %", "seconds", "tokens")
_ANSWER_COLUMNS = ("exact", "F1", "found")


@dataclass(frozen=True, kw_only=True)
class Run:
    """The tasks that a run of the command measures, and the place of the measurements."""

    tasks: Sequence[Task]
    """All tasks of the comparison, of which the shard measures its share."""
    comparison: Comparison
    model: str
    options: ModelOptions
    shard: Shard
    folder: Path | None
    """Folder of the journal; None for one among the user's files."""
    resume: bool
    command: str
    """The command line."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """The destinations of the result, besides the terminal."""

    report: Path | None
    csv: Path | None
    json: bool


def measure(run: Run, retriever: Retriever) -> tuple[list[Outcome], About, Path]:
    """Measure the shard's tasks, or those that an earlier run left; return outcomes, facts and the journal's path."""

    def measure_here(left: _Left) -> About:
        return _measure(run, retriever, left)

    return _measured(run, retriever.store, measure_here)


def measure_on_cluster(
    run: Run, store: PassageIndex, open_retriever: Callable[[], Retriever], cluster: RayCluster
) -> tuple[list[Outcome], About, Path]:
    """Measure as ``measure`` does, on the workers of a cluster; the outcomes come in the order of the tasks.

    Args:
        run: what is measured.
        store: the collection, as this process sees it.
        open_retriever: opens it with its embedder, on a worker.
        cluster: where the work is done.
    """

    def measure_there(left: _Left) -> About:
        return _measure_on_cluster(run, open_retriever, cluster, left)

    outcomes, about, path = _measured(run, store, measure_there)
    places = {task.id: place for place, task in enumerate(run.tasks)}
    return sorted(outcomes, key=lambda outcome: places[outcome.task.id]), about, path


class _Left(NamedTuple):
    """The part of a run that is left to do."""

    tasks: Sequence[Task]
    outcomes: list[Outcome]
    """Outcomes that an earlier run left; those of this one are added."""
    path: Path
    """The journal's path."""
    fingerprint: str


def _measured(run: Run, store: PassageIndex, do: Callable[[_Left], About]) -> tuple[list[Outcome], About, Path]:
    """Return outcomes, facts and the journal's path, after ``do`` has measured what an earlier run left."""
    from sift_rag.evaluation.journal import Journal, fingerprint, journal_folder, journal_name, revisions_of

    name = fingerprint(
        run.tasks,
        run.comparison,
        model=run.model if run.options.bits is None else f"{run.model}, {run.options.bits} bits",
        collection=store.info.name,
        passages=store.count(),
        revisions=revisions_of(store.documents()),
    )
    path = (run.folder or journal_folder()) / journal_name(name, run.shard)
    earlier = Journal(path)
    outcomes, header = (earlier.read(), earlier.header()) if run.resume else ([], None)
    done = {outcome.task.id for outcome in outcomes}
    own = run.shard.take(run.tasks)
    left = [task for task in own if task.id not in done]
    if outcomes:
        say(f"{count_of(len(outcomes), 'task')} already measured; {len(left)} left.")
    if header is not None and not left:
        return outcomes, header.about, path
    earlier.require_place()
    return outcomes, do(_Left(left, outcomes, path, name)), path


def _measure(run: Run, retriever: Retriever, left: _Left) -> About:
    from sift_rag.evaluation import compare
    from sift_rag.evaluation.about import about_run
    from sift_rag.evaluation.comparison import require_smaller
    from sift_rag.evaluation.journal import Header, Journal
    from sift_rag.opening import open_local_model

    with loading(run.model) as show_stage:
        model = open_local_model(run.model, options=run.options, on_stage=show_stage)
    require_smaller(run.comparison.window, model)
    about = about_run(
        run.comparison, model, retriever.store, version=version("sift-rag"), date=_now(), command=run.command
    )
    outcomes = left.outcomes
    journal = Journal(left.path, Header(left.fingerprint, tuple(task.id for task in run.tasks), run.shard, about))
    journal.start(outcomes)
    total = len(outcomes) + len(left.tasks)
    with _resumable(outcomes, total), counted_progress("comparing", "task", total, len(outcomes)) as advance:
        for outcome in compare(
            left.tasks, model=model, embedder=retriever.embedder, store=retriever.store, comparison=run.comparison
        ):
            journal.add(outcome)
            outcomes.append(outcome)
            advance(outcome.task.id)
    return about


def _measure_on_cluster(run: Run, open_retriever: Callable[[], Retriever], cluster: RayCluster, left: _Left) -> About:
    from sift_rag.distributed.comparison import Compared, compare_on_cluster
    from sift_rag.evaluation.journal import Header, Journal
    from sift_rag.opening import open_local_model

    open_model = partial(open_local_model, run.model, options=run.options)
    compared = Compared(run.comparison, open_retriever, open_model, version("sift-rag"), _now(), run.command)
    outcomes, tasks = left.outcomes, tuple(task.id for task in run.tasks)
    journal: Journal | None = None
    devices: dict[str, About] = {}
    total = len(outcomes) + len(left.tasks)
    with (
        _resumable(outcomes, total),
        counted_progress("starting the workers", "task", total, len(outcomes)) as advance,
        closing(compare_on_cluster(left.tasks, compared, cluster)) as measured,
    ):
        for outcome, about in measured:
            devices.setdefault(about.device, about)
            if journal is None:
                journal = Journal(left.path, Header(left.fingerprint, tasks, run.shard, about))
                journal.start(outcomes)
            journal.add(outcome)
            outcomes.append(outcome)
            advance(outcome.task.id)
    return replace(next(iter(devices.values())), device=", ".join(devices))


def _now() -> str:
    return datetime.now().astimezone().isoformat(" ", "minutes")


@contextmanager
def _resumable(outcomes: Sequence[Outcome], total: int) -> Iterator[None]:
    """On interruption, say how to continue."""
    try:
        yield
    except KeyboardInterrupt:
        if outcomes:
            of_all = f"{len(outcomes)} of {count_of(total, 'task')}"
            say(f"{of_all} are measured and kept: add --resume to continue.")
        raise


def write_shard(shard: Shard, outcomes: Sequence[Outcome], journal: Path, *, json: bool) -> None:
    """Say where the measurements of a shard are, and what to do with them."""
    if json:
        write_json({"shard": shard.number, "shards": shard.of, "prompts": len(outcomes), "journal": str(journal)})
        return
    say(one_line(f"Shard {shard.number} of {shard.of}: {count_of(len(outcomes), 'task')} measured, kept in {journal}."))
    say(one_line(f"When all shards are done: sift-rag compare --merge {shlex.quote(str(journal.parent))}"))


def write_comparison(outcomes: Sequence[Outcome], about: About, output: Output) -> None:
    """Write the result: page, CSV, and JSON or a table with a legend and the verdict."""
    from sift_rag.evaluation import summarise

    summary = summarise(outcomes, window=about.window)
    if output.report is not None:
        from sift_rag.evaluation.report import render_report

        write_page(output.report, render_report(outcomes, summary, about))
    if output.csv is not None:
        save_csv(summary, output.csv)
    if output.json:
        write_json(summary_json(summary, about))
        return
    write_rows(summary)
    for line in legend(summary):
        say(line)
    if summary.left_out:
        say(f"{count_of(summary.left_out, 'candidate')} left out: the text itself or a part of it.")
    say(one_line(summary.verdict))


def write_rows(summary: Summary) -> None:
    """Write a line for each row, the model alone among them, best first within a group.

    At a terminal each group has a table below its name: a column for it would not fit 80 characters.
    """
    answers = summary.protocol == "questions"
    header = _COLUMNS + (_ANSWER_COLUMNS if answers else ())
    tables: dict[str, list[list[str]]] = {row.group: [] for row in summary.rows}
    for row in sorted(summary.all_rows, key=lambda row: row.percent_of_base):
        tables[row.group].append(_cells(row, answers=answers))
    if not is_terminal(sys.stdout):
        write_table(header, [cells for rows in tables.values() for cells in rows])
        return
    for group, rows in tables.items():
        if len(tables) > 1:
            write(f"\n{one_line(group)}")
        write_table(header[1:], [cells[1:] for cells in rows], numeric=header[3:])


def legend(summary: Summary) -> list[str]:
    """Return the lines that explain the columns of the table."""
    what = "answer" if summary.protocol == "questions" else "text"
    share = f"% of base: bits per byte of each {what} in per cent of what the model needs alone, mean"
    lines = [
        f"{share} ± standard error (lower is better); 95 %: interval of the difference from 100.",
        f"seconds, tokens: per task, to read the context, to fine-tune, and to predict the {what}.",
    ]
    if summary.window is not None:
        lines.append(f"window: as many of the passages of 'context' as fit {summary.window:,} tokens with the {what}.")
    return lines


def summary_json(summary: Summary, about: About) -> dict[str, object]:
    """Return the object that ``--json`` prints."""
    decision = summary.decision
    return {
        "model": about.model,
        "context_window": about.context_length,
        "limited_window": about.window,
        "device": about.device,
        "embedder": about.embedder,
        "collection": about.collection,
        "version": about.version,
        "date": about.date,
        "command": about.command,
        "protocol": summary.protocol,
        "prompts": summary.tasks,
        "base_bits_per_byte": summary.base_bits_per_byte,
        "base_exact_match": summary.base_exact_match,
        "base_f1": summary.base_f1,
        "base_seconds_per_prompt": summary.base_seconds_per_task,
        "rows": [row_json(row) for row in summary.all_rows],
        "predictions": [
            {"arm": one.arm, "selector": one.selector, "k": one.k, "rank_correlation": one.rank_correlation}
            for one in summary.predictions
        ],
        "left_out": summary.left_out,
        "recommended": _setting_json(decision.recommended),
        "alternative": _setting_json(decision.alternative),
        "margin": decision.margin.mean,
        "margin_low": decision.margin.low,
        "margin_high": decision.margin.high,
        "beyond_chance": decision.beyond_chance,
        "verdict": summary.verdict,
    }


def _setting_json(row: Row) -> dict[str, object]:
    return {"arm": row.arm, "selector": row.selector, "k": row.k}


def row_json(row: Row) -> dict[str, object]:
    """Return a row's fields by name."""
    return {
        "group": row.group,
        **_setting_json(row),
        "prompts": row.tasks,
        "percent_of_base": row.percent_of_base,
        "standard_error": row.standard_error,
        "difference_low": row.difference.low,
        "difference_high": row.difference.high,
        "seconds_per_prompt": row.seconds_per_task,
        "tokens_per_prompt": row.tokens_per_task,
        "passages_in_context": row.passages_per_task,
        "reading_seconds_per_1000_tokens": row.reading_per_1000,
        "training_seconds_per_1000_tokens": row.training_per_1000,
        "exact_match": row.exact_match,
        "f1": row.f1,
        "answer_in_passages": row.in_passages,
    }


def save_csv(summary: Summary, path: Path) -> None:
    """Write the rows as CSV, under their names.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    rows = [row_json(row) for row in summary.all_rows]
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise ConfigurationError(f"The table cannot be written to {str(path)!r}: {error.strerror}.") from error


def _cells(row: Row, *, answers: bool) -> list[str]:
    cells = [
        row.group,
        ALONE if row.arm == "base" else row.arm,
        row.selector,
        str(row.k) if row.k else "",
        f"{row.percent_of_base:.1f}",
        f"{row.standard_error:.1f}" if row.tasks > 1 else "",
        f"{row.difference.low:+.1f} {row.difference.high:+.1f}" if row.k and row.tasks > 1 else "",
        f"{row.seconds_per_task:.2f}",
        f"{row.tokens_per_task:,.0f}",
    ]
    if answers and row.exact_match is not None and row.f1 is not None and row.in_passages is not None:
        cells += [f"{row.exact_match:.0%}", f"{row.f1:.2f}", f"{row.in_passages:.0%}" if row.k else ""]
    return cells
