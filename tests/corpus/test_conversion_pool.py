"""Conversions in child processes: what they return, and what becomes of those that go wrong."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from sift_rag.corpus import conversion_pool
from sift_rag.corpus.conversion_pool import ConversionPool
from sift_rag.corpus.documents import SourceDocument, read_document
from sift_rag.corpus.options import IngestOptions
from sift_rag.errors import MissingExtra, Remedy, SkippedDocument, UnreadableDocument
from tests.corpus import paths

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pool() -> Iterator[ConversionPool]:
    opened = ConversionPool(IngestOptions(file_timeout=60), workers=2)
    yield opened
    opened.close()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "owls.html").write_text("<title>Owls</title><h1>Owls</h1><p>Owls hunt at night.</p>")
    return tmp_path / "owls.html"


def reason(future: Future[SourceDocument]) -> str:
    with pytest.raises(UnreadableDocument) as raised:
        future.result(timeout=100)
    assert not isinstance(raised.value, SkippedDocument)
    return str(raised.value)


def test_a_file_is_read_as_in_this_process(pool: ConversionPool, page: Path) -> None:
    here = read_document(page)

    assert pool.read(page).result() == replace(here, sections=list(here.sections))


def test_errors_come_back_as_what_they_are(pool: ConversionPool, page: Path) -> None:
    (page.parent / "empty.html").write_text("")
    (page.parent / "broken.docx").write_bytes(b"no archive")

    with pytest.raises(SkippedDocument, match=r"^empty$"):
        pool.read(page.parent / "empty.html").result()
    assert reason(pool.read(page.parent / "broken.docx")).startswith("broken archive")
    with pytest.raises(MissingExtra, match=r"pip install 'sift-rag\[office\]'") as raised:
        pool.read(paths.Lacking(page)).result()
    assert (raised.value.package, raised.value.extra) == ("reader", "office")
    assert reason(pool.read(paths.Broken(page))) == "conversion failed: ZeroDivisionError: a defect"


def test_an_error_keeps_its_remedy_on_the_way() -> None:
    error = pickle.loads(pickle.dumps(UnreadableDocument("why", remedy=Remedy("what", to="do"))))

    assert (str(error), error.remedy.key, error.remedy.values) == ("why", "what", {"to": "do"})


def test_a_child_that_dies_costs_its_file_and_is_replaced(pool: ConversionPool, page: Path) -> None:
    futures = [pool.read(path) for path in (paths.Crashing(page), page, paths.Crashing(page), page, page)]

    assert reason(futures[0]) == reason(futures[2]) == "the conversion crashed"
    assert {futures[number].result().title for number in (1, 3, 4)} == {"Owls"}


def test_the_memory_of_the_parent_is_not_taken_for_that_of_a_child(
    pool: ConversionPool, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion_pool, "MEMORY_LIMIT", 2)  # any process uses more
    assert reason(pool.read(paths.Crashing(page))) == "the conversion crashed"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to this limit")
def test_a_conversion_that_needs_too_much_memory_fails(pool: ConversionPool, page: Path) -> None:
    assert reason(pool.read(paths.Greedy(page))) == "needs more than 2.0 GB of memory"
    assert pool.read(page).result().title == "Owls"


def test_a_conversion_that_takes_too_long_fails(page: Path) -> None:
    pool = ConversionPool(IngestOptions(file_timeout=0.5), workers=1)
    try:
        assert reason(pool.read(paths.Slow(page))) == "took longer than 0.5 s"
    finally:
        pool.close()


def test_a_conversion_may_take_the_time_that_it_asks_for(page: Path) -> None:
    pool = ConversionPool(IngestOptions(file_timeout=3), workers=1)
    try:
        assert pool.read(paths.SlowButAsking(page)).result().title == "Owls"
        assert reason(pool.read(paths.AskingTooLittle(page))) == "took longer than 3.25 s"
        assert pool.read(page).result().title == "Owls"
    finally:
        pool.close()


def test_what_a_library_prints_does_not_get_among_the_answers(
    pool: ConversionPool, page: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert pool.read(paths.Chatty(page)).result().title == "Owls"
    assert capfd.readouterr() == ("", "")


def test_children_are_started_when_needed_and_used_again(page: Path) -> None:
    pool = ConversionPool(IngestOptions(), workers=1)
    pool.close()
    pool = ConversionPool(IngestOptions(), workers=1)
    for _ in range(5):
        pool.read(paths.Telling(page)).result()
    pool.close()
    [identity] = {int(line) for line in (page.parent / "owls.html.pid").read_text().split()}
    assert identity != os.getpid()
    assert not is_running(identity)


def test_closing_ends_what_is_under_way(page: Path) -> None:
    long = paths.Telling(page.rename(page.with_name("long.html")))
    pool = ConversionPool(IngestOptions(), workers=1)
    futures = [pool.read(long), pool.read(long)]
    identity = written_identity(page.parent / "long.html.pid")
    pool.close()
    pool.close()
    assert futures[0].exception() is not None
    assert futures[1].cancelled()
    assert not is_running(identity)


def test_ctrl_c_is_the_parents_business(pool: ConversionPool, page: Path) -> None:
    pool.read(paths.Telling(page)).result()
    identity = written_identity(page.parent / "owls.html.pid")
    os.kill(identity, signal.SIGINT)
    pool.read(paths.Telling(page)).result()
    other = pool.read(paths.Telling(page)).result()
    assert other.title == "Owls"
    assert is_running(identity)


@pytest.mark.parametrize("name", ["long.html", "owls.html"])
def test_no_child_outlives_a_parent_that_is_killed(page: Path, name: str) -> None:
    page.rename(page.with_name(name))
    program = (
        "import sys, time\nfrom sift_rag.corpus.conversion_pool import ConversionPool\n"
        "from sift_rag.corpus.options import IngestOptions\nfrom tests.corpus.paths import Telling\n"
        "future = ConversionPool(IngestOptions(), workers=1).read(Telling(sys.argv[1]))\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(page.parent / name)], cwd=ROOT)
    identity = written_identity(page.parent / f"{name}.pid")
    assert is_running(identity)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while is_running(identity) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(identity)


def test_a_script_without_a_main_guard_does_not_run_again(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom sift_rag.corpus.conversion_pool import ConversionPool\n"
        "from sift_rag.corpus.options import IngestOptions\nprint('running')\n"
        "pool = ConversionPool(IngestOptions())\nprint(pool.read(Path(sys.argv[1])).result().title)\npool.close()\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, script, page], capture_output=True, text=True, check=True, env=environment, timeout=100
    )
    assert done.stdout.split() == ["running", "Owls"]


def test_modules_in_the_current_folder_are_not_imported(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("signal", "pickle", "ctypes", "resource", "sift_rag"):
        (page.parent / f"{module}.py").write_text(f"open({str(page.parent / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(page.parent)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in {"", "."}])
    pool = ConversionPool(IngestOptions(), workers=1)
    assert pool.read(page).result().title == "Owls"
    pool.close()
    assert not (page.parent / "ran").exists()


def written_identity(path: Path) -> int:
    """Return the process id that a file holds, once it does."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().endswith("\n"):
            return int(path.read_text().split()[0])
        time.sleep(0.02)
    raise AssertionError(f"{path} was not written")


def is_running(identity: int) -> bool:
    """Return True if a process exists that is no zombie."""
    try:
        state = Path(f"/proc/{identity}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
        try:
            os.kill(identity, 0)
        except ProcessLookupError:
            return False
        return True
    return state != "Z"
