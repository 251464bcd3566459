"""A watch: what changes in a folder is in the collection soon after, and nothing ends it but its user."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from queue import Queue
from threading import Event, Thread
from time import time

import pytest

from sift_rag import IngestOptions, IngestReport, NothingToIngest, Outcome, StoreInUse, open_store, watch_paths
from sift_rag.corpus import changes
from sift_rag.corpus.changes import EVERYTHING, MANY, Changes
from tests.doubles import HashingEmbedder

LONG = 60.0
"""Seconds after which a test gives up."""
LONG_AGO = 1_600_000_000


class Watch:
    """A watch in a thread, and what it reports."""

    def __init__(self, *paths: Path, store: Path, options: IngestOptions | None = None, polling: bool | None = None):
        self.embedder = HashingEmbedder()
        self.store = store
        self._reports: Queue[IngestReport | BaseException] = Queue()
        self._stop = Event()
        reports = watch_paths(
            list(paths),
            store=store,
            embedder=self.embedder,
            options=options or IngestOptions(prune=True),
            stop=self._stop,
            force_polling=polling,
        )
        self._thread = Thread(target=self._run, args=(reports,), daemon=True)
        self._thread.start()

    def next(self) -> IngestReport:
        report = self._reports.get(timeout=LONG)
        if isinstance(report, BaseException):
            raise report
        return report

    def until(self, *expected: Outcome) -> list[IngestReport]:
        """Return reports up to the one with which all that is expected has happened."""
        reports: list[IngestReport] = []
        missing = set(expected)
        while missing:
            reports.append(self.next())
            missing -= set(reports[-1].outcomes)
        return reports

    def sources(self) -> list[str]:
        with closing(open_store(self.store)) as opened:
            return [document.source for document in opened.documents()]

    def close(self) -> None:
        self._stop.set()
        self._thread.join(LONG)
        assert not self._thread.is_alive()

    def _run(self, reports: Iterator[IngestReport]) -> None:
        try:
            for report in reports:
                self._reports.put(report)
        except BaseException as error:  # noqa: BLE001 - raised in the test's thread
            self._reports.put(error)


Begin = Callable[..., Watch]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "taxi.md").write_text("Taxis are paid with a reason.")
    (folder / "bus.md").write_text("Buses are free.")
    for file in folder.iterdir():
        os.utime(file, (LONG_AGO, LONG_AGO))  # polling compares whole seconds
    return folder


@pytest.fixture
def begin(notes: Path, tmp_path: Path) -> Iterator[Begin]:
    watches: list[Watch] = []

    def start(*paths: Path, **settings: object) -> Watch:
        watches.append(Watch(*(paths or (notes,)), store=tmp_path / "store", **settings))  # type: ignore[arg-type]
        return watches[-1]

    yield start
    for watch in watches:
        watch.close()


@pytest.mark.slow
@pytest.mark.parametrize("polling", [None, True], ids=["notified", "polling"])
def test_what_is_written_renamed_and_deleted_is_followed(begin: Begin, notes: Path, polling: bool | None) -> None:
    watch = begin(polling=polling)
    assert watch.next().new == 2
    (notes / "bus.md").write_text("Buses cost two euros, \n\nand are late.")
    later = time() + 5
    os.utime(notes / "bus.md", (later, later))  # polling compares whole seconds
    watch.until(Outcome("notes/bus.md", "updated", 1))
    (notes / "train").mkdir()
    (notes / "train" / "fast.md").write_text("# Trains\n\nFast trains need a seat.")
    watch.until(Outcome("notes/train/fast.md", "new", 1))
    before = len(watch.embedder.embedded)
    (notes / "train" / "fast.md").rename(notes / "quick.md")
    watch.until(Outcome("notes/quick.md", "moved", 1, "notes/train/fast.md"))
    assert len(watch.embedder.embedded) == before, "a renamed file with a title keeps its vectors"
    (notes / "taxi.md").unlink()
    watch.until(Outcome("notes/taxi.md", "removed", 1))
    assert watch.sources() == ["notes/bus.md", "notes/quick.md"]


@pytest.mark.slow
def test_without_prune_a_deleted_file_stays(begin: Begin, notes: Path) -> None:
    watch = begin(options=IngestOptions())
    watch.next()
    (notes / "taxi.md").unlink()
    (notes / "bus.md").write_text("Buses cost two euros.")
    watch.until(Outcome("notes/bus.md", "updated", 1))
    assert watch.sources() == ["notes/bus.md", "notes/taxi.md"]


@pytest.mark.slow
def test_ignored_hidden_and_excluded_files_are_left_alone(begin: Begin, notes: Path) -> None:
    (notes / ".gitignore").write_text("build/\n")
    watch = begin(options=IngestOptions(exclude=["*.log"]))
    watch.next()
    for name in ("build/x.md", ".git/index.md", ".cache/y.md", "a.log"):
        (notes / name).parent.mkdir(exist_ok=True)
        (notes / name).write_text("Not for the collection.")
    (notes / "last.md").write_text("The last one.")
    reports = watch.until(Outcome("notes/last.md", "new", 1))
    assert [outcome.source for report in reports for outcome in report.outcomes] == ["notes/last.md"]


@pytest.mark.slow
def test_a_gitignore_that_lets_a_file_in_brings_it_in(begin: Begin, notes: Path) -> None:
    (notes / ".gitignore").write_text("draft.md\n")
    (notes / "draft.md").write_text("A draft.")
    watch = begin()
    assert watch.next().new == 2
    (notes / ".gitignore").write_text("# nothing\n")
    watch.until(Outcome("notes/draft.md", "new", 1))


@pytest.mark.slow
def test_a_file_that_is_watched_alone_may_be_replaced_as_editors_do(begin: Begin, notes: Path) -> None:
    watch = begin(notes / "bus.md")
    watch.next()
    for text in ("Buses cost two euros.", "Buses cost three euros."):
        (notes / "saved").write_text(text)
        (notes / "saved").replace(notes / "bus.md")
        watch.until(Outcome("notes/bus.md", "updated", 1))
    assert watch.sources() == ["notes/bus.md"]


@pytest.mark.slow
def test_a_burst_of_changes_is_one_look_at_the_folder(
    begin: Begin, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MANY", 20)
    watch = begin()
    watch.next()
    for number in range(40):
        (notes / f"{number}.md").write_text(f"Note {number}")
    reports = watch.until(*(Outcome(f"notes/{number}.md", "new", 1) for number in range(40)))
    assert sum(report.new for report in reports) == 40
    assert len(reports) < 10
    for number in range(40):
        (notes / f"{number}.md").unlink()
    watch.until(*(Outcome(f"notes/{number}.md", "removed", 1) for number in range(40)))
    assert watch.sources() == ["notes/bus.md", "notes/taxi.md"]


@pytest.mark.slow
def test_a_search_in_between_does_not_end_the_watch(
    begin: Begin, notes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = begin()
    watch.next()
    told = Event()
    handler = logging.Handler()
    handler.emit = lambda _: told.set()  # type: ignore[method-assign]
    logging.getLogger("sift_rag").addHandler(handler)
    try:
        with closing(open_store(tmp_path / "store")):  # it is free while nothing changes
            (notes / "bus.md").write_text("Buses cost two euros.")
            assert told.wait(LONG)
    finally:
        logging.getLogger("sift_rag").removeHandler(handler)
    watch.until(Outcome("notes/bus.md", "updated", 1))
    assert sum("Changes wait" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.slow
def test_a_folder_that_goes_and_comes_back_is_watched_again(begin: Begin, notes: Path) -> None:
    watch = begin()
    watch.next()
    notes.rename(notes.parent / "away")
    assert watch.next().problems[0].reason == "no such file or folder"
    (notes.parent / "away" / "new.md").write_text("Written while it was away.")
    (notes.parent / "away").rename(notes)
    watch.until(Outcome("notes/new.md", "new", 1))
    (notes / "bus.md").write_text("Buses cost two euros.")
    watch.until(Outcome("notes/bus.md", "updated", 1))
    assert watch.sources() == ["notes/bus.md", "notes/new.md", "notes/taxi.md"]


@pytest.mark.slow
def test_a_store_within_the_folder_does_not_feed_the_watch(notes: Path) -> None:
    watch = Watch(notes, store=notes / "store", options=IngestOptions(exclude=["store/"]))
    watch.next()
    (notes / "bus.md").write_text("Buses cost two euros.")
    watch.until(Outcome("notes/bus.md", "updated", 1))
    (notes / "end.md").write_text("The end.")
    assert len(watch.until(Outcome("notes/end.md", "new", 1))) == 1
    watch.close()


@pytest.mark.slow
def test_a_file_that_cannot_be_read_is_told_and_the_others_go_in(begin: Begin, notes: Path) -> None:
    watch = begin()
    watch.next()
    (notes / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    report = watch.next()
    assert [problem.source for problem in report.problems] == ["notes/broken.pdf"]
    (notes / "good.md").write_text("A good one.")
    (later,) = watch.until(Outcome("notes/good.md", "new", 1))
    assert later.problems == (), "what has not changed is not tried again"


def test_a_path_that_does_not_exist_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(NothingToIngest, match="to watch"):
        watch_paths(tmp_path / "none", store=tmp_path / "store", embedder=HashingEmbedder())


@pytest.mark.slow
def test_a_store_in_use_at_the_start_is_an_error(notes: Path, tmp_path: Path) -> None:
    next(watch_paths(notes, store=tmp_path / "store", embedder=HashingEmbedder()))
    with closing(open_store(tmp_path / "store")), pytest.raises(StoreInUse):
        next(watch_paths(notes, store=tmp_path / "store", embedder=HashingEmbedder()))


def test_changes_hold_files_and_what_is_under_trees() -> None:
    some = Changes(frozenset({"/a/b.md"})) | Changes(trees=frozenset({"/c"}))
    assert all(map(some.hold, ("/a/b.md", "/c", "/c/d", "/c/d/e.md")))
    assert not any(map(some.hold, ("/a", "/a/b.md/x", "/cd", "/", "")))


def test_many_changes_are_everything() -> None:
    many = Changes(frozenset(f"/{number}" for number in range(MANY)))
    assert (Changes() | many) == many
    assert (many | Changes(frozenset({"/one more"}))) == EVERYTHING
    assert (EVERYTHING | Changes()).hold(os.sep)
    assert not Changes()


def test_changes_reach_into_the_folders_that_hold_them() -> None:
    some = Changes(frozenset({"/a/b/c.md"}), frozenset({"/d"}))
    assert all(map(some.reach_into, ("/a", "/a/b", "/d", "/d/e")))
    assert not any(map(some.reach_into, ("/a/bb", "/a/b/x", "/e", "/dd")))
