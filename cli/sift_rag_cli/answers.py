"""Print an answer as it comes, its sources, and what the model was fine-tuned on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sift_rag_cli.hits import heading_path, locate
from sift_rag_cli.output import console, count_of, human_size, is_terminal, one_line, printable, say, write

if TYPE_CHECKING:
    from sift_rag.answering.answer import Answer
    from sift_rag.answering.stream import AnswerStream
    from sift_rag.answering.tuning import TuningReport
    from sift_rag.finetuning import TuningStep

HOW_TO_GET_AN_ANSWER = (
    "To get an answer, name a language model: --model NAME|PATH, or --base-url URL --model NAME for an endpoint."
)
TRAINING_SOURCES_SHOWN = 5


def write_answer(stream: AnswerStream) -> Answer:
    """Write an answer as it comes, then its sources."""
    say_notices(stream)
    write_pieces(stream)
    answer = stream.answer
    if answer.mode != "finetune":
        write_sources(answer)
    if answer.tuning is not None and answer.tuning.steps:
        write_training_sources(answer.tuning)
    return answer


def say_notices(stream: AnswerStream) -> None:
    """Report what happened before the first word: passages left out, fine-tuning and its cost."""
    for notice in stream.notices:
        say(one_line(notice))
    if stream.tuning is not None and stream.tuning.steps:
        _end_steps()
        say(tuning_summary(stream.tuning))


def write_pieces(pieces: Iterable[str]) -> None:
    """Write an answer as it comes."""
    begun = False
    try:
        for piece in pieces:
            write(printable(piece), end="")
            begun = True
    finally:
        if begun:
            write()


def write_sources(answer: Answer) -> None:
    """Write the passages that an answer cites; if it cites none, those that were in the prompt."""
    write("\nSources" if answer.citations else "\nThe answer cites no passage. These were in the prompt:")
    prompt = answer.prompt
    for number, passage in answer.citations or enumerate(prompt.passages, prompt.first_number):
        write(f"[{number}] {locate(passage)}  {heading_path(passage)}".rstrip())


def write_training_sources(report: TuningReport) -> None:
    """Write the passages that the model was fine-tuned on, most steps first."""
    passages = {passage.id: passage for passage in report.passages}
    times = Counter(passage.id for passage in report.passages[: report.steps])
    write("\nFine-tuned on")
    for identifier, steps in times.most_common(TRAINING_SOURCES_SHOWN):
        passage = passages[identifier]
        write(f"{count_of(steps, 'step')}  {locate(passage)}  {heading_path(passage)}".rstrip())
    if len(times) > TRAINING_SOURCES_SHOWN:
        write(f"... and {count_of(len(times) - TRAINING_SOURCES_SHOWN, 'more passage')}")


def tuning_summary(report: TuningReport) -> str:
    """Return one line on what fine-tuning did and what it cost."""
    distinct = len({passage.id for passage in report.passages[: report.steps]})
    line = (
        f"Fine-tuned: {count_of(report.steps, 'step')} on {count_of(distinct, 'passage')}, {report.tokens:,} tokens, "
        f"{report.seconds:.1f} s, {human_size(report.peak_bytes)}; loss {report.losses[0]:.2f} to "
        f"{report.losses[-1]:.2f}; predicted gain {report.predicted_gain:.0%} of the variance"
    )
    return f"{line}; stopped at the time limit" if report.out_of_time else line


def show_step(step: TuningStep) -> None:
    """Show a fine-tuning step at a terminal."""
    if is_terminal(sys.stderr):
        console(stderr=True).print(f"  step {step.number} of {step.total}, loss {step.loss:.2f}   ", end="\r")


def _end_steps() -> None:
    if is_terminal(sys.stderr):
        console(stderr=True).print(" " * 40, end="\r")
