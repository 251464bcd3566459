"""Finding files: which ones, under which names, in which order."""

from __future__ import annotations

import inspect
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from sift_rag.corpus.files import FoundFile, Unlistable, find_files
from sift_rag.errors import NothingToIngest


def _write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("text")
    return root


def _sources(root: Path, **options: Any) -> list[str]:
    return [found.source for found in find_files(root, **options)]


def test_a_source_is_the_folders_name_and_the_path_in_it(tmp_path: Path) -> None:
    _write(tmp_path / "handbook", "travel/rail.md", "index.md")

    assert list(find_files(tmp_path / "handbook")) == [
        FoundFile("handbook/index.md", tmp_path / "handbook" / "index.md"),
        FoundFile("handbook/travel/rail.md", tmp_path / "handbook" / "travel" / "rail.md"),
    ]


def test_a_file_given_directly_is_named_after_its_folder(tmp_path: Path) -> None:
    _write(tmp_path / "handbook", "travel.md")

    assert _sources(tmp_path / "handbook" / "travel.md") == ["handbook/travel.md"]


def test_a_relative_path_with_dots_gives_the_same_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "handbook", "a.md", "sub/b.md")
    monkeypatch.chdir(tmp_path / "handbook" / "sub")

    assert _sources(Path("..")) == ["handbook/a.md", "handbook/sub/b.md"]
    assert _sources(Path()) == ["sub/b.md"]
    assert _sources(Path("b.md")) == ["sub/b.md"]


def test_sources_come_in_the_order_of_strings(tmp_path: Path) -> None:
    root = _write(tmp_path / "r", "a/b.md", "a-b.md", "a.md", "B.md", "a0/c.md", "é.md")

    assert _sources(root) == sorted(_sources(root))
    assert len(_sources(root)) == 6


def test_a_missing_root_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(NothingToIngest, match="There is no file or folder 'docs'"):
        find_files(Path("docs"))


def test_hidden_files_are_passed_over_unless_a_pattern_names_them(tmp_path: Path) -> None:
    root = _write(tmp_path / "r", "a.md", ".notes.md", ".github/guide.md", ".cache/b.md", ".git/config.md")

    assert _sources(root) == ["r/a.md"]
    assert _sources(root, include=["*.md", ".github/**"]) == ["r/.github/guide.md", "r/a.md"]


def test_folders_of_tools_are_never_entered(tmp_path: Path) -> None:
    names = [".git/a.md", "node_modules/a.md", "__pycache__/a.md", ".venv/a.md", "env/lib/a.md", "kept/a.md"]
    root = _write(tmp_path / "r", *names, "env/pyvenv.cfg")

    assert _sources(root) == ["r/kept/a.md"]


def test_include_and_exclude_are_patterns_relative_to_the_root(tmp_path: Path) -> None:
    root = _write(tmp_path / "r", "a.md", "a.txt", "docs/b.md", "docs/b.txt", "docs/old/c.md", "src/docs/d.md")

    assert _sources(root, include=["*.md"]) == ["r/a.md", "r/docs/b.md", "r/docs/old/c.md", "r/src/docs/d.md"]
    assert _sources(root, include=["/docs/"]) == ["r/docs/b.md", "r/docs/b.txt", "r/docs/old/c.md"]
    assert _sources(root, include=["*.md"], exclude=["docs/"]) == ["r/a.md"]
    assert _sources(root, exclude=["*.md", "!/a.md"]) == ["r/a.md", "r/a.txt", "r/docs/b.txt"]


def test_a_file_given_directly_is_found_whatever_the_patterns_say(tmp_path: Path) -> None:
    root = _write(tmp_path / "r", ".secret.md")
    (root / ".gitignore").write_text("*")

    assert _sources(root / ".secret.md", exclude=["*.md"]) == ["r/.secret.md"]


def test_a_loop_of_links_is_walked_once(tmp_path: Path) -> None:
    root = _write(tmp_path / "r", "a/b/c.md")
    (root / "a" / "b" / "up").symlink_to(root, target_is_directory=True)
    (root / "a" / "here").symlink_to(root / "a", target_is_directory=True)

    assert _sources(root) == ["r/a/b/c.md"]


def test_a_link_out_of_the_root_is_followed_once(tmp_path: Path) -> None:
    outside = _write(tmp_path / "outside", "o.md", "sub/p.md")
    root = _write(tmp_path / "r", "a.md")
    (outside / "sub" / "back").symlink_to(outside, target_is_directory=True)
    (root / "first").symlink_to(outside, target_is_directory=True)
    (root / "second").symlink_to(outside, target_is_directory=True)
    (root / "file.md").symlink_to(outside / "o.md")

    assert _sources(root, follow_links=True) == ["r/a.md", "r/file.md", "r/first/o.md", "r/first/sub/p.md"]


def test_a_link_out_of_the_root_is_told_and_not_followed_unless_asked(tmp_path: Path) -> None:
    outside = _write(tmp_path / "outside", "o.md")
    root = _write(tmp_path / "r", "a.md")
    (root / "folder").symlink_to(outside, target_is_directory=True)
    (root / "file.md").symlink_to(outside / "o.md")
    (root / "chain.md").symlink_to(root / "file.md")
    (root / "nowhere.md").symlink_to("../gone.md")

    assert [type(item).__name__ + " " + item.source for item in find_files(root)] == [
        "FoundFile r/a.md",
        "LinkOut r/chain.md",
        "LinkOut r/file.md",
        "LinkOut r/folder",
        "LinkOut r/nowhere.md",
    ]


def test_a_link_to_what_the_root_holds_is_passed_over_but_not_one_into_a_hidden_folder(tmp_path: Path) -> None:
    root = _write(tmp_path / "r", "a.md", "..2024/mounted.md")
    (root / "alias.md").symlink_to("a.md")
    (root / "..data").symlink_to("..2024", target_is_directory=True)
    (root / "mounted.md").symlink_to("..data/mounted.md")

    assert _sources(root) == ["r/a.md", "r/mounted.md"]


def test_a_root_that_is_a_link_keeps_the_name_of_the_link(tmp_path: Path) -> None:
    _write(tmp_path / "release-7", "a.md")
    (tmp_path / "current").symlink_to("release-7", target_is_directory=True)

    assert _sources(tmp_path / "current") == ["current/a.md"]


def test_links_that_lead_nowhere_are_found_so_that_reading_them_can_say_so(tmp_path: Path) -> None:
    root = _write(tmp_path / "r", "a.md")
    (root / "circle.md").symlink_to("circle.md")
    (root / "gone.md").symlink_to(tmp_path / "nowhere.md")

    assert _sources(root, follow_links=True) == ["r/a.md", "r/gone.md"]


def test_a_pipe_and_a_socket_are_found_and_do_not_block(tmp_path: Path) -> None:
    root = _write(tmp_path / "r", "a.md")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(root / "socket"))

        assert _sources(root) == ["r/a.md", "r/pipe", "r/socket"]


@pytest.mark.skipif(sys.platform == "darwin", reason="the file system refuses names that are not UTF-8")
def test_any_file_name_becomes_valid_unicode(tmp_path: Path) -> None:
    root = _write(tmp_path / "r", "two\nlines.md", os.fsdecode(b"caf\xe9.md"))

    assert _sources(root) == ["r/caf\\xe9.md", "r/two\nlines.md"]
    assert all(found.path.read_text() == "text" for found in find_files(root) if isinstance(found, FoundFile))


def test_a_folder_that_cannot_be_listed_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    root = _write(tmp_path / "r", "a/x.md", "b/x.md", "c/x.md")
    found = find_files(root)
    first = next(found)
    (root / "b" / "x.md").unlink()
    (root / "b").rmdir()

    assert [first, *found] == [
        FoundFile("r/a/x.md", root / "a" / "x.md"),
        Unlistable("r/b", "cannot be listed: No such file or directory"),
        FoundFile("r/c/x.md", root / "c" / "x.md"),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="to root every folder is readable")
def test_a_folder_without_permission_is_reported(tmp_path: Path) -> None:
    root = _write(tmp_path / "r", "closed/x.md")
    (root / "closed").chmod(0)
    try:
        assert list(find_files(root)) == [Unlistable("r/closed", "cannot be listed: Permission denied")]
    finally:
        (root / "closed").chmod(0o700)


def test_a_tree_deeper_than_the_interpreters_stack_is_walked(tmp_path: Path) -> None:
    depth = 300
    root = _write(tmp_path / "r", "d/" * depth + "x")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + depth // 2)
    try:
        assert _sources(root) == ["r/" + "d/" * depth + "x"]
    finally:
        sys.setrecursionlimit(limit)


def test_files_that_are_not_text_are_found_too(tmp_path: Path) -> None:
    root = _write(tmp_path / "r", "a.png", "b.zip", "c")

    assert _sources(root) == ["r/a.png", "r/b.zip", "r/c"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot make such a tree this way")
def test_a_folder_beyond_the_longest_path_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    root = _write(tmp_path / "r", "z.md")
    here = os.open(root, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=here)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)

    [deep, *rest] = find_files(root)
    assert isinstance(deep, Unlistable)
    assert deep.reason == "cannot be listed: File name too long"
    assert rest == [FoundFile("r/z.md", root / "z.md")]
