"""Patterns of a .gitignore select the same files as in git, which is the oracle."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sift_rag.corpus.files import FoundFile, find_files
from sift_rag.corpus.gitignore import pattern_rules
from sift_rag.errors import ConfigurationError
from tests.examples import examples

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed, and it is the oracle here")

FOLDERS = ("", "a/", "b/", "a/b/", "a/c/", "b/a/", "a/b/c/")
NAMES = ("a", "b.md", "c.txt", "a b.md", "#d", "!e", "x[1].md", "é.md")


def _git(*arguments: str, cwd: Path) -> bytes:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    ran = subprocess.run(["git", *arguments], cwd=cwd, env=environment, capture_output=True, check=True)
    return ran.stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ignore") / "repository"
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in FOLDERS:
        for name in NAMES:
            if not (root / folder / name).exists():
                (root / folder / name).write_text("text")
    _git("init", "-q", cwd=root)
    return root


def _git_would_take(root: Path) -> set[str]:
    listed = _git("ls-files", "--others", "--exclude-standard", "-z", cwd=root)
    names = {os.fsdecode(name) for name in listed.split(b"\0") if name}
    return {f"{root.name}/{name}" for name in names if not Path(name).name.startswith(".")}


def _found(root: Path) -> set[str]:
    return {found.source for found in find_files(root) if isinstance(found, FoundFile)}


segment = st.sampled_from(
    [
        "a",
        "b",
        "c",
        "*",
        "**",
        "*.md",
        "?",
        "b.md",
        "c.txt",
        "[ab]",
        "[!a]",
        "[^a]*",
        "a*",
        "\\#d",
        "\\!e",
        "#d",
        "x\\[1\\].md",
        "a b.md",
        "é.md",
        "[[:alpha:]]",
        "x[1",
        "b.m\\d",
        "a**",
        "***",
        "[",
        "]",
        "[]-a]*",
        "[!]a]",
        "[a-",
        "[c-a]",
        "[\\]b]*",
        "[[:foo:]]",
        "[[:digit:]x]*",
        "[[:punct:]]*",
        "[[:a]*",
        "\\",
        "b\\",
        "*[!.]*",
        "*b*.*d*",
        "?.md",
        "\\?",
        "",
    ]
)
pattern = st.builds(
    lambda negated, anchored, segments, folder, tail: negated + anchored + "/".join(segments) + folder + tail,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(segment, min_size=1, max_size=3),
    st.sampled_from(["", "", "/"]),
    st.sampled_from(["", "", "", " ", "\\ ", "\r"]),
)
gitignore = st.lists(pattern, max_size=5).map(lambda lines: "\n".join(lines) + "\n")


@pytest.mark.slow
@needs_git
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(top=gitignore, inner=gitignore)
@example(top="\n", inner="a\nx[1/[^a]*\n")
def test_any_gitignore_leaves_the_files_that_git_leaves(repository: Path, top: str, inner: str) -> None:
    (repository / ".gitignore").write_text(top, newline="")
    (repository / "a" / ".gitignore").write_text(inner, newline="")

    assert _found(repository) == _git_would_take(repository)


@needs_git
@pytest.mark.parametrize(
    "lines",
    [
        ["*", "!*/", "!*.md"],
        ["/*", "!/a"],
        ["a/**", "!a/b/"],
        ["**/b"],
        ["a/**/c.txt"],
        ["*.md", "!/b.md"],
        ["# comment", "", "b.md  "],
        ["a/", "!a/b.md"],
    ],
)
def test_the_usual_idioms_leave_the_files_that_git_leaves(repository: Path, lines: list[str]) -> None:
    (repository / ".gitignore").write_text("\n".join(lines))
    (repository / "a" / ".gitignore").unlink(missing_ok=True)

    assert _found(repository) == _git_would_take(repository)


@needs_git
def test_a_folder_inside_a_repository_obeys_the_rules_above_it(repository: Path) -> None:
    (repository / ".gitignore").write_text("/a/b/*.md\nc.txt\n!/a/b/c/c.txt\n")
    (repository / "a" / ".gitignore").write_text("/b/a\n")

    found = {found.source for found in find_files(repository / "a" / "b") if isinstance(found, FoundFile)}

    assert found == {name.removeprefix("repository/a/") for name in _git_would_take(repository) if "/a/b/" in name}


def test_a_folder_outside_any_repository_knows_no_rules_above_it(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / ".gitignore").write_text("*")
    (tmp_path / "notes" / "a.md").write_text("text")

    assert _found(tmp_path / "notes") == {"notes/a.md"}


def test_a_file_is_covered_by_the_pattern_of_its_nearest_folder() -> None:
    rules = pattern_rules(["docs/", "!docs/old/", "docs/old/keep.md"])

    assert rules.covers("docs/guide/a.md")
    assert not rules.covers("docs/old/a.md")
    assert rules.covers("docs/old/keep.md")
    assert not rules.covers("src/a.md")


@pytest.mark.parametrize("pattern", ["", "!", "/", "#x", "   "])
def test_a_pattern_that_means_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a file pattern"):
        pattern_rules([pattern])
