"""The outcomes of a comparison on disk, one per line, so that a killed run can continue where it stopped.

The first line says which comparison they belong to, and which shard of it they are: shards that were measured apart can
be merged, without the model and the collection.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from sift_rag.corpus.shards import Shard
from sift_rag.errors import ConfigurationError, Remedy
from sift_rag.evaluation.outcomes import About, AnswerScore, Comparison, Example, Measurement, Outcome
from sift_rag.evaluation.tasks import Task
from sift_rag.extras import require
from sift_rag.types import Document

VERSION = 3
SUFFIX = ".jsonl"


@dataclass(frozen=True, slots=True)
class Header:
    """The comparison that a journal belongs to, and its share of the tasks."""

    fingerprint: str
    """Result of ``fingerprint`` for all tasks."""
    tasks: tuple[str, ...]
    """Ids of all tasks, in order."""
    shard: Shard
    """Shard whose outcomes the journal holds."""
    about: About
    """Facts for the report."""

    @property
    def own(self) -> list[str]:
        """Ids of the shard's tasks, in order."""
        return self.shard.take(self.tasks)


def journal_folder() -> Path:
    """Return the folder of journals among the user's files."""
    require("platformdirs", "cli")
    from platformdirs import user_state_path

    return user_state_path("sift-rag", appauthor=False) / "comparisons"


def journal_name(fingerprint: str, shard: Shard) -> str:
    """Return the file name of a journal: the same for an equal comparison and shard."""
    part = "" if shard.of == 1 else f".{shard.number}-of-{shard.of}"
    return f"{fingerprint}{part}{SUFFIX}"


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

    def __init__(self, path: Path, header: Header | None = None) -> None:
        """Name the file.

        Args:
            path: the file; it need not exist.
            header: first line of the file when it is started; None for a journal of outcomes only.
        """
        self.path = path
        self._header = header

    def header(self) -> Header | None:
        """Return the header in the file; None if there is none.

        Raises:
            ConfigurationError: the file cannot be read, or its header is damaged.
        """
        lines = self._lines()[:1]
        return self._header_in(lines[0]) if lines else None

    def read(self) -> list[Outcome]:
        """Return the outcomes in order; none if there is no file.

        Raises:
            ConfigurationError: the file cannot be read, or a line is damaged.
        """
        lines = self._lines()
        begun = bool(lines) and self._header_in(lines[0]) is not None
        with self._undamaged():
            return [_outcome(json.loads(line)) for line in lines[begun:]]

    def require_place(self) -> None:
        """Try to write in the folder of the file, and leave nothing there.

        Raises:
            ConfigurationError: the folder cannot be made, or nothing can be written there.
        """
        folder = self.path.parent
        with self._writing():
            made = [one for one in (folder, *folder.parents) if not one.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=folder).close()
        with suppress(OSError):  # another run has come to use it
            for one in made:
                one.rmdir()

    def start(self, outcomes: Sequence[Outcome] = ()) -> None:
        """Start the file anew, with the outcomes kept from an earlier run.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        head = b"" if self._header is None else json.dumps({"header": asdict(self._header)}).encode() + b"\n"
        with self._writing():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.path.with_suffix(".new")
            fresh.write_bytes(head + b"".join(_line(outcome) for outcome in outcomes))
            fresh.replace(self.path)

    def add(self, outcome: Outcome) -> None:
        """Append one outcome; it is on disk when this returns.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        with self._writing(), self.path.open("ab") as file:
            file.write(_line(outcome))

    def _header_in(self, line: bytes) -> Header | None:
        """Return the header that a first line holds; None if it is something else."""
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict) or "header" not in value:
            return None
        with self._undamaged():
            return _header(value["header"])

    @contextmanager
    def _undamaged(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigurationError(
                f"The journal {str(self.path)!r} is damaged: {error}.", remedy=Remedy("journal-damaged")
            ) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigurationError(
                f"The measurements cannot be kept in {str(self.path.parent)!r}: {reason}."
            ) from error

    def _lines(self) -> list[bytes]:
        try:
            return self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigurationError(f"The journal {str(self.path)!r} cannot be read: {error.strerror}.") from error


def merge(paths: Sequence[Path]) -> tuple[list[Outcome], About]:
    """Return the outcomes of all shards of one comparison, in the order of the tasks, and the facts about it.

    Args:
        paths: journals, or folders of them.

    Raises:
        ConfigurationError: there is no journal; one is damaged or has no header; they belong to different comparisons
            or divisions into shards; two hold the same shard; a shard is missing or incomplete.
    """
    journals = [Journal(path) for path in _files(paths)]
    found = [(journal.path, _required(journal), journal.read()) for journal in journals]
    headers = [header for _, header, _ in found]
    if len({header.fingerprint for header in headers}) > 1:
        first, other = _two_different(found)
        raise ConfigurationError(
            f"{str(first)!r} and {str(other)!r} belong to different comparisons: merge journals of equal tasks, model, "
            "collection and settings only."
        )
    divisions = sorted({header.shard.of for header in headers})
    if len(divisions) > 1:
        counts = " and ".join(map(str, divisions))
        raise ConfigurationError(f"The journals are of divisions into {counts} shards: expected those of one division.")
    _require_complete(found)
    outcomes = {outcome.task.id: outcome for _, _, ones in found for outcome in ones}
    return [outcomes[name] for name in headers[0].tasks], _merged(headers)


def _files(paths: Sequence[Path]) -> list[Path]:
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise ConfigurationError(f"There is no {str(path)!r}: expected a journal, or a folder of them.")
        for file in sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]:
            found.setdefault(file.resolve(), file)
    if not found:
        raise ConfigurationError(f"{' and '.join(repr(str(path)) for path in paths)} holds no journal (*{SUFFIX}).")
    return list(found.values())


def _required(journal: Journal) -> Header:
    header = journal.header()
    if header is None:
        raise ConfigurationError(
            f"{str(journal.path)!r} does not say which comparison it belongs to: it is no journal."
        )
    return header


def _two_different(found: Sequence[tuple[Path, Header, list[Outcome]]]) -> tuple[Path, Path]:
    path, header, _ = found[0]
    return path, next(other for other, one, _ in found if one.fingerprint != header.fingerprint)


def _require_complete(found: Sequence[tuple[Path, Header, list[Outcome]]]) -> None:
    by_shard: dict[int, tuple[Path, Header, list[Outcome]]] = {}
    for one in found:
        path, header, _ = one
        twice = by_shard.setdefault(header.shard.number, one)
        if twice is not one:
            raise ConfigurationError(f"{str(twice[0])!r} and {str(path)!r} both hold shard {header.shard.number}.")
    of = found[0][1].shard.of
    gone = [str(number) for number in range(1, of + 1) if number not in by_shard]
    short = []
    for number, (_, header, outcomes) in sorted(by_shard.items()):
        missing = len(set(header.own) - {outcome.task.id for outcome in outcomes})
        if missing:
            short.append(f"shard {number} lacks {missing} of {len(header.own)} tasks")
    if gone or short:
        absent = [f"shard{'s' if len(gone) > 1 else ''} {', '.join(gone)} of {of} missing"] if gone else []
        raise ConfigurationError(
            f"The comparison is incomplete: {'; '.join([*absent, *short])}.", remedy=Remedy("shards-incomplete")
        )


def _merged(headers: Sequence[Header]) -> About:
    """Return the first shard's facts, with the devices and commands of all of them and the last date."""
    abouts = [header.about for header in sorted(headers, key=lambda header: header.shard.number)]
    devices = ", ".join(dict.fromkeys(about.device for about in abouts))
    commands = "; ".join(dict.fromkeys(about.command for about in abouts))
    return replace(abouts[0], device=devices, command=commands, date=max(about.date for about in abouts))


def _header(value: dict[str, Any]) -> Header:
    return Header(value["fingerprint"], tuple(value["tasks"]), Shard(**value["shard"]), About(**value["about"]))


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
