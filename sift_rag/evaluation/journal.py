"""The outcomes of a comparison on disk, one per line, so that a killed run can continue where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sift_rag.errors import ConfigurationError, Remedy
from sift_rag.evaluation.outcomes import AnswerScore, Comparison, Example, Measurement, Outcome
from sift_rag.evaluation.tasks import Task
from sift_rag.extras import require
from sift_rag.protocols import PassageIndex
from sift_rag.types import Document

VERSION = 2


def comparison_journal(tasks: Sequence[Task], comparison: Comparison, *, model: str, store: PassageIndex) -> Journal:
    """Return the journal of a comparison, in the user's state folder: the same file for an equal comparison."""
    require("platformdirs", "cli")
    from platformdirs import user_state_path

    name = fingerprint(
        tasks,
        comparison,
        model=model,
        collection=store.info.name,
        passages=store.count(),
        revisions=revisions_of(store.documents()),
    )
    return Journal(user_state_path("sift-rag", appauthor=False) / "comparisons" / f"{name}.jsonl")


def fingerprint(
    tasks: Sequence[Task], comparison: Comparison, *, model: str, collection: str, passages: int, revisions: str = ""
) -> str:
    """Return a hash of everything that outcomes depend on: another model, collection, setting or task gives another.

    Args:
        tasks: in order.
        comparison: arms, selectors and settings.
        model: name or folder. Nothing checks that the weights there are the same.
        collection: name of the collection.
        passages: number of passages in the collection.
        revisions: result of ``revisions_of`` for the collection.
    """
    facts = [VERSION, model, collection, passages, revisions, repr(comparison), [asdict(task) for task in tasks]]
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()


def revisions_of(documents: Iterable[Document]) -> str:
    """Return a hash of the contents of a collection, from the records of its documents."""
    digest = hashlib.blake2b(digest_size=8)
    for document in documents:
        digest.update(f"{document.source}\0{document.revision}\n".encode())
    return digest.hexdigest()


class Journal:
    """One file of outcomes. A line that was cut off while being written does not count."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Outcome]:
        """Return the outcomes in order; none if there is no file."""
        if not self.path.exists():
            return []
        outcomes = []
        for line in self.path.read_bytes().split(b"\n")[:-1]:
            try:
                outcomes.append(_outcome(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise ConfigurationError(
                    f"The journal {str(self.path)!r} is damaged: {error}.", remedy=Remedy("journal-damaged")
                ) from error
        return outcomes

    def start(self, outcomes: Sequence[Outcome] = ()) -> None:
        """Start the file anew, with the outcomes kept from an earlier run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(b"".join(_line(outcome) for outcome in outcomes))
        fresh.replace(self.path)

    def add(self, outcome: Outcome) -> None:
        """Append one outcome; it is on disk when this returns."""
        with self.path.open("ab") as file:
            file.write(_line(outcome))


def _line(outcome: Outcome) -> bytes:
    return json.dumps(asdict(outcome)).encode() + b"\n"


def _outcome(value: dict[str, Any]) -> Outcome:
    return Outcome(
        task=Task(**value["task"]),
        base=_measurement(value["base"]),
        measurements=tuple(_measurement(one) for one in value["measurements"]),
        left_out=value["left_out"],
        examples={name: tuple(Example(**one) for one in ones) for name, ones in value["examples"].items()},
    )


def _measurement(value: dict[str, Any]) -> Measurement:
    answered = value["answered"]
    return Measurement(**{**value, "answered": None if answered is None else AnswerScore(**answered)})
