"""Print an evaluation of searches as a table with remarks, or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sift_rag_cli.output import count_of, one_line, say, write_table

if TYPE_CHECKING:
    from sift_rag.evaluation import Evaluation
    from sift_rag.evaluation.judge import Unmatched
    from sift_rag.retrieval.options import SearchOptions

SHOWN = 3
"""Maximum number of questions, and of unmatched items, to list."""

_COLUMNS = ("selector", "k", "recall", "vs nearest, 95 %", "nDCG@10", "MRR")


def write_found(evaluation: Evaluation) -> None:
    """Write one line per search and k, in per cent and points, by descending recall within each k."""
    from sift_rag.evaluation.found_report import difference_in_words

    rows = sorted(evaluation.rows, key=lambda row: (row.k, -row.recall.mean))
    cells = [
        [
            row.selector,
            str(row.k),
            f"{100 * row.recall.mean:.1f}",
            difference_in_words(row.recall),
            f"{100 * row.ndcg.mean:.1f}",
            f"{100 * row.reciprocal_rank.mean:.1f}",
        ]
        for row in rows
    ]
    write_table(_COLUMNS, cells, numeric=_COLUMNS[1:])


def write_failures(evaluation: Evaluation) -> None:
    """Report unmatched items, and questions for which the best search finds nothing."""
    say_unmatched(evaluation.unmatched)
    if evaluation.failures:
        count = count_of(len(evaluation.failures), "question")
        names = [f"{one.question.questions[0][:60]!r}" for one in evaluation.failures[:SHOWN]]
        say(one_line(f"{evaluation.best} finds nothing for {count}: {_listed(names, evaluation.failures)}."))


def say_unmatched(unmatched: Sequence[Unmatched]) -> None:
    """Say what is relevant and not in the collection, if anything is."""
    if unmatched:
        count = count_of(len(unmatched), "relevant source or text", "relevant sources or texts")
        names = [f"{one.name[:60]!r} ({one.question})" for one in unmatched[:SHOWN]]
        say(one_line(f"{count} not in the collection, counted as not found: {_listed(names, unmatched)}."))


def _listed(names: Sequence[str], everything: Sequence[object]) -> str:
    return ", ".join(names) + (", ..." if len(everything) > len(names) else "")


def evaluation_json(
    evaluation: Evaluation, *, collection: str, searches: Mapping[str, SearchOptions]
) -> dict[str, object]:
    """Return the object that ``--json`` prints."""
    return {
        "collection": collection,
        "searches": {name: options.to_dict() for name, options in searches.items()},
        **evaluation.to_dict(),
    }
