"""The claims of the README, and of the pages that it leads to, hold."""

from __future__ import annotations

import re
import sys
from itertools import combinations
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from typer.testing import CliRunner

from scripts import make_pictures
from sift_rag import Retriever, SiftRagError, Texts, errors, select_sift
from sift_rag_cli.app import EXIT_CODES, app
from tests.doubles import HashingEmbedder

ROOT = Path(__file__).parent.parent
FOLDERS = ("docs", "benchmarks", "research", "plugins")
WORDS = ("red", "fox", "owl", "hen", "sea", "old", "new", "big")
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
PYTHON = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_help_block_is_what_the_command_prints() -> None:
    printed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80", "NO_COLOR": "1"}, prog_name="sift-rag").stdout
    block = re.search(r"<!-- help:.*?-->\n```\n(.*?)```", COMMANDS, re.DOTALL)
    assert block is not None
    assert block[1].strip() == printed.strip()


@pytest.mark.slow
def test_the_python_examples_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "handbook").mkdir()
    (tmp_path / "handbook" / "travel.md").write_text(
        "# Travel\n\nAnyone may book a flight. Hotels are paid up to 120.\n"
    )
    (tmp_path / "a-local-model").symlink_to(ROOT / "tests" / "data" / "stdlib-lm")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    blocks = re.findall(r"```python\n(.*?)```", PYTHON + README, re.DOTALL)
    assert len(blocks) == 6
    for code in blocks:
        exec(compile(code, "README.md", "exec"), {})


def test_the_first_choice_on_arrays_is_what_search_chooses() -> None:
    call = re.search(
        r"^chosen = (select_sift\(query, candidates, k=10, texts=texts, follow=1\.0\))  # what search selects$",
        PYTHON,
        re.MULTILINE,
    )
    assert call is not None
    embedder = HashingEmbedder()
    texts = [" ".join(words) for words in combinations(WORDS, 3)]
    retrieval = Retriever.from_texts(texts, embedder, candidate_limit=len(texts), keep_copies=True).retrieve(
        "red fox", 10
    )
    names = {
        "select_sift": select_sift,
        "query": embedder.embed_queries(["red fox"])[0],
        "candidates": embedder.embed_passages(texts),
        "texts": Texts(["red fox"], texts),
    }
    chosen = eval(call[1], names)
    assert [texts[i] for i in chosen.indices] == retrieval.texts
    assert list(chosen.posterior_variances) == pytest.approx([hit.posterior_variance for hit in retrieval], rel=1e-5)


def test_every_exit_code_stands_in_the_table() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", COMMANDS, re.MULTILINE)}
    assert told == {0, *EXIT_CODES.values()} - {141}


FIGURE = re.compile(r"(?<=match )\d\.\d+|\d+(?:\.\d+)?(?= %)")
"""Figures of a search, whose last digit depends on what computes the vectors: the fastest here is measured."""
VARYING = re.compile(f"{make_pictures.SECONDS.pattern}|{FIGURE.pattern}")


@pytest.mark.slow
def test_the_commands_print_what_the_readme_says() -> None:
    block = make_pictures.SESSION.search(README)
    assert block is not None
    ran = list(make_pictures.session(make_pictures.commands(block[2])))
    assert len(ran) == 3
    printed, told = make_pictures.transcript(ran), block[2]
    assert VARYING.sub("", printed) == VARYING.sub("", told), make_pictures.__doc__
    figures = [[float(one) for one in FIGURE.findall(text)] for text in (printed, told)]
    assert figures[0] == pytest.approx(figures[1], abs=1.0), "rounding of another runtime of the embedder is less"


def test_the_picture_is_drawn_from_the_recorded_retrieval() -> None:
    recorded = make_pictures.read_record()
    assert (make_pictures.ASSETS / "selection.svg").read_text(encoding="utf-8") == make_pictures.draw(recorded)


def test_the_recorded_repeats_are_repeats_and_nothing_is_twice_in_the_other_column() -> None:
    recorded = make_pictures.read_record()
    for card in recorded.nearest:
        assert card.repeats is None or card.text == recorded.nearest[card.repeats - 1].text
    assert sum(card.repeats is not None for card in recorded.nearest) == 3
    assert len({card.text for card in recorded.sift}) == len(recorded.sift)
    if recorded.python == f"{sys.version_info.major}.{sys.version_info.minor}":  # texts of another Python differ
        words = " ".join(" ".join(topics.values()).replace("**", "").split())
        assert all(card.text.strip() in words for card in (*recorded.nearest, *recorded.sift))


def test_pictures_are_light_and_load_nothing() -> None:
    for picture in (ROOT / "docs" / "assets").glob("*.svg"):
        text = picture.read_text(encoding="utf-8")
        assert len(text) < 150_000
        assert re.findall(r"(?:href|src|url\()=?[\"']?(?:https?:)?//", text) == []


def test_every_error_of_the_tree_is_drawn_at_its_top() -> None:
    drawn = set(re.findall(r"[─│ ]*([A-Z]\w+)", errors.__doc__ or ""))
    kinds = [SiftRagError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.__name__ for kind in kinds if kind.__module__ == errors.__name__} <= drawn


def test_every_file_that_the_documents_link_to_exists() -> None:
    pages = [
        ROOT / "README.md",
        *(page for folder in ("docs", "benchmarks", "research") for page in (ROOT / folder).rglob("*.md")),
    ]
    for page in pages:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
