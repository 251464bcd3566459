"""Print an answer as it comes, its sources, and what the model was fine-tuned on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sift_rag_cli.hits import heading_path, locate
from sift_rag_cli.output import (
    console,
    count_of,
    human_size,
    is_terminal,
    one_line,
    printable,
    say_wrapped,
    write,
    write_wrapped,
)
from sift_rag_cli.wrapping import wrapped

if TYPE_CHECKING:
    from sift_rag.answering.answer import Answer
    from sift_rag.answering.checking import CheckedSentence
    from sift_rag.answering.stream import AnswerStream
    from sift_rag.answering.tuning import TuningReport
    from sift_rag.finetuning import TuningStep
    from sift_rag.types import Passage

HOW_TO_GET_AN_ANSWER = (
    "To get an answer, name a language model: --model NAME|PATH, or --base-url URL --model NAME for an endpoint."
)
TRAINING_SOURCES_SHOWN = 5
_WIDEST = 80
"""Columns of a line about a sentence."""


def write_answer(stream: AnswerStream) -> Answer:
    """Write an answer as it comes, then its sources."""
    say_notices(stream)
    write_pieces(stream)
    answer = stream.answer
    say_later_notices(stream)
    if answer.mode != "finetune":
        write_check(answer)
        write_sources(answer)
    if answer.tuning is not None and answer.tuning.steps:
        write_training_sources(answer.tuning)
    return answer


def say_notices(stream: AnswerStream) -> None:
    """Report what happened before the first word: passages left out, fine-tuning and its cost."""
    for notice in stream.notices:
        say_wrapped(one_line(notice))
    if stream.tuning is not None and stream.tuning.steps:
        _end_steps()
        say_wrapped(tuning_summary(stream.tuning))


def say_later_notices(stream: AnswerStream) -> None:
    """Report what happened while the answer was written: that it was cut off, for example."""
    for notice in stream.answer.notices[len(stream.prepared.notices) :]:
        say_wrapped(one_line(notice))


def write_pieces(pieces: Iterable[str]) -> None:
    """Write an answer as it comes, at a terminal wrapped between words."""
    begun = False
    texts = map(printable, pieces)
    try:
        for text in wrapped(texts, console().width) if is_terminal(sys.stdout) else texts:
            write(text, end="")
            begun = True
    finally:
        if begun:
            write()


def write_sources(answer: Answer) -> None:
    """Write the passages that an answer cites, and those that the check adds; without any, those in the prompt."""
    added = answer.added_citations
    prompt = answer.prompt
    if answer.citations or added:
        write("\nSources")
        _write_passages(answer.citations)
        _write_passages(added, mark="  (added)")
    else:
        write()
        write_wrapped("The answer cites no passage. These were in the prompt:")
        _write_passages(enumerate(prompt.passages, prompt.first_number))


def write_check(answer: Answer) -> None:
    """Write which sentences the passages do not hold, and which citations were added; one line if all is well."""
    sentences = answer.sentences
    if not sentences:
        return
    width = min(console().width, _WIDEST) if is_terminal(sys.stdout) else _WIDEST
    write()
    write_wrapped(check_summary(sentences))
    for verdict, mark in (("unsupported", "?"), ("uncited", "+")):
        marked = Counter((_said(one), remark_on(one)) for one in sentences if one.verdict == verdict)
        for (text, remark), times in marked.items():
            _write_marked(mark, text, remark if times == 1 else f"{remark}  ({times} times)", width)


def check_summary(sentences: Sequence[CheckedSentence]) -> str:
    """Return one line on how many sentences the passages support."""
    total = len(sentences)
    count = Counter(sentence.verdict for sentence in sentences)
    added, unsupported = count["uncited"], count["unsupported"]
    if unsupported == total:
        return f"Checked: {_none_of(total)} supported by the passages."
    if unsupported:
        return f"Checked: {_some_of(total - unsupported, total, added)}; {unsupported} {_is(unsupported)} not."
    if not added:
        return f"Checked: {_all_of(total)} supported by the passages that {'it cites' if total == 1 else 'they cite'}."
    if added == total:
        return f"Checked: {_all_of(total)} supported; {'its' if total == 1 else 'their'} {_were_added(added, '')}."
    return f"Checked: {_all_of(total)} supported; {_were_added(added, f'{added} ')}."


def _all_of(total: int) -> str:
    if total == 1:
        return "the one sentence is"
    return "both sentences are" if total == 2 else f"all {total} sentences are"


def _none_of(total: int) -> str:
    if total == 1:
        return "the one sentence is not"
    return "neither sentence is" if total == 2 else f"none of the {total} sentences is"


def _some_of(held: int, total: int, added: int) -> str:
    some = f"{held} of {total} sentences {_is(held)} supported"
    if not added:
        return f"{some} by what {'it cites' if held == 1 else 'they cite'}"
    with_added = "with a citation added" if added == 1 else "with citations added"
    return f"{some}, {with_added if added == held else f'{added} {with_added}'}"


def _were_added(number: int, counted: str) -> str:
    return f"{counted}citation was added" if number == 1 else f"{counted}citations were added"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def remark_on(sentence: CheckedSentence) -> str:
    """Return what the check found about a sentence; nothing if the passages that it cites support it."""
    if sentence.verdict == "supported":
        return ""
    if sentence.verdict == "uncited":
        return f"added {_brackets(sentence.supporting)}"
    if not sentence.cited:
        return "in no passage"
    cited = _brackets(sentence.cited)
    return f"not in {cited} but in {_brackets(sentence.supporting)}" if sentence.supporting else f"not in {cited}"


def _brackets(numbers: Sequence[int]) -> str:
    return "".join(f"[{number}]" for number in numbers)


def _said(sentence: CheckedSentence) -> str:
    return one_line(" ".join(sentence.text.split()))


def _write_marked(mark: str, text: str, remark: str, width: int) -> None:
    """Write a sentence, shortened to what fits one line with its mark and remark."""
    from rich.cells import cell_len, set_cell_size

    room = max(width - len(mark) - len(remark) - 7, 20)
    if cell_len(text) > room:
        text = set_cell_size(text, room - 3).rstrip() + "..."
    write(f'{mark} "{text}"  {remark}')


def _write_passages(passages: Iterable[tuple[int, Passage]], mark: str = "") -> None:
    for number, passage in passages:
        write_wrapped(f"[{number}] {locate(passage)}  {heading_path(passage)}".rstrip() + mark, " " * 4)


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
