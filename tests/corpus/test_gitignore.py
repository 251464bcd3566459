"""Patterns of a .gitignore select the same files as in git, which is the oracle."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from sift_rag.corpus.files import FoundFile, Unlistable, find_files
from sift_rag.corpus.gitignore import gitignore_rules, pattern_rules
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


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 60 + "b", "a" * 255),
        ("*[a-z]" * 60 + "[0-9]", "a" * 255),
        ("*?" * 60 + "b", "a" * 255),
        ("**/a/" * 60 + "b", "a/" * 2000 + "a"),
        ("/a/" + "**/a/" * 60 + "b", "a/" * 2000 + "a"),
        ("a/" + "**\\/a/" * 60 + "b", "a/" * 2000 + "a"),
        ("**/*a*a/" * 30 + "*b", ("a" * 200 + "/") * 20 + "a"),
        ("*/" * 60 + "b", "a/" * 2000 + "a"),
    ],
)
def test_no_pattern_takes_long_on_any_path(pattern: str, path: str) -> None:
    rules = gitignore_rules(pattern.encode())  # each of these took longer than the universe has existed, or nearly

    assert rules.decide(path, folder=False) is None
    assert rules.decide(f"{path[:-1]}b", folder=False) in {True, None}


def _plain(pattern: str) -> re.Pattern[str]:
    """Translate a pattern of stars, slashes and letters in the plainest way: everything may be tried again."""
    anchored = "/" in pattern
    expression = re.sub(r"(?:(?<=/)|^)\*\*/", "D", pattern.removeprefix("/"))
    expression = re.sub(r"(?:(?<=[/D])|^)\*\*$", "A", expression)
    expression = re.sub(r"\*+", "S", expression)
    for name, meaning in (("D", "(?:.*/)?"), ("A", ".*"), ("S", "[^/]*")):
        expression = expression.replace(name, meaning)
    return re.compile(f"(?s:{expression})" if anchored else f"(?s:(?:.*/)?{expression})")


@given(
    st.lists(st.sampled_from(["a", "b", "*", "/", "**/", "/**/", "/**"]), min_size=1, max_size=7).map("".join),
    st.lists(st.sampled_from(["a", "b", "aa", "ab"]), min_size=1, max_size=7).map("/".join),
)
def test_stars_that_never_go_back_match_what_all_trying_matches(pattern: str, path: str) -> None:
    pattern = re.sub("/+", "/", pattern).removesuffix("/")
    assume(pattern and "***" not in pattern and not re.search(r"[^/]\*\*|\*\*[^/]", pattern))

    assert (gitignore_rules(pattern.encode()).decide(path, folder=False) is True) == bool(
        _plain(pattern).fullmatch(path)
    )


@given(st.lists(st.sampled_from(["a", "!a", "/a", "a/", "!a/", "b/a", "!/b/a", "*", "!*a", "b", "b/*"]), max_size=6))
def test_the_last_pattern_decides_whether_it_is_looked_up_or_tried(lines: list[str]) -> None:
    rules = gitignore_rules("\n".join(lines).encode())
    for path, folder in itertools.product(["a", "b", "b/a", "a/b"], [True, False]):
        single = [(line, gitignore_rules(line.encode()).decide(path, folder=folder)) for line in lines]
        assert rules.decide(path, folder=folder) == next(
            (decision for _, decision in reversed(single) if decision is not None), None
        )


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"x\n" * (1 << 19) + b"y", "larger than 1 MB"), (b"*a\n" * 1001, "more than 1,000 patterns with a wildcard")],
)
def test_a_folder_whose_gitignore_is_too_large_is_left_out_and_the_rest_goes_on(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    for name in ("inner/secret.md", "other.md"):
        (tmp_path / "r" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "r" / name).write_text("text")
    (tmp_path / "r" / "inner" / ".gitignore").write_bytes(content)
    left_out = f"left out, because of a .gitignore that cannot be applied: {reason}"

    assert list(find_files(tmp_path / "r")) == [
        Unlistable("r/inner", left_out),
        FoundFile("r/other.md", tmp_path / "r" / "other.md"),
    ]
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_bytes(content)
    assert list(find_files(tmp_path / "r")) == [Unlistable("r", left_out)]


def test_a_gitignore_that_never_ends_is_not_read(tmp_path: Path) -> None:
    for name in ("pipe", "device", "folder"):
        (tmp_path / "r" / name).mkdir(parents=True)
        (tmp_path / "r" / name / "a.md").write_text("text")
    os.mkfifo(tmp_path / "r" / "pipe" / ".gitignore")
    (tmp_path / "r" / "device" / ".gitignore").symlink_to("/dev/zero")
    (tmp_path / "r" / "folder" / ".gitignore").mkdir()

    assert [found.source for found in find_files(tmp_path / "r")] == ["r/device/a.md", "r/folder/a.md", "r/pipe/a.md"]
