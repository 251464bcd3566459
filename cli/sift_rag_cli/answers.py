"""How an answer is shown: as it comes, with its sources, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sift_rag_cli.output import count_of, printable, say, write
from sift_rag_cli.retrievals import heading_path, locate, place_json

if TYPE_CHECKING:
    from sift_rag.answering.prompt import Prompt


def write_stream(pieces: Iterable[str]) -> str:
    """Write an answer as it comes; the whole of it, as the model gave it."""
    taken: list[str] = []
    try:
        for piece in pieces:
            write(printable(piece), end="")
            taken.append(piece)
    finally:
        write()
    return "".join(taken)


def write_sources(prompt: Prompt, answer: str) -> None:
    """The passages that an answer cites; where it cites none, those that it was given."""
    from sift_rag.answering.answer import find_citations

    cited = find_citations(answer, prompt)
    write("\nSources" if cited else "\nThe answer cites no passage. It was given:")
    for number, passage in cited or enumerate(prompt.passages, prompt.first_number):
        write(f"[{number}] {locate(passage)}  {heading_path(passage)}".rstrip())


def citations_json(prompt: Prompt, answer: str) -> list[dict[str, object]]:
    """Where each cited passage stands."""
    from sift_rag.answering.answer import find_citations

    return [{"number": number, **place_json(passage)} for number, passage in find_citations(answer, prompt)]


def say_dropped(prompt: Prompt) -> None:
    """Tell when passages did not fit the model's context."""
    if prompt.dropped:
        say(f"{count_of(prompt.dropped, 'passage')} did not fit the model's context and went unused.")
