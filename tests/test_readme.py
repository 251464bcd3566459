"""The claims of the README hold."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sift_rag import Retriever, SiftRagError, Texts, errors, select_sift
from sift_rag_cli.app import EXIT_CODES, app
from tests.doubles import HashingEmbedder

ROOT = Path(__file__).parent.parent
FOLDERS = ("docs", "benchmarks", "research", "plugins")
WORDS = ("red", "fox", "owl", "hen", "sea", "old", "new", "big")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_help_block_is_what_the_command_prints() -> None:
    printed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80", "NO_COLOR": "1"}, prog_name="sift-rag").stdout
    block = re.search(r"<!-- help:.*?-->\n```\n(.*?)```", README, re.DOTALL)
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
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 5
    for code in blocks:
        exec(compile(code, "README.md", "exec"), {})


def test_the_first_choice_on_arrays_in_the_readme_is_what_search_chooses() -> None:
    call = re.search(
        r"^chosen = (select_sift\(query, candidates, k=10, texts=texts, follow=1\.0\))  # what search selects$",
        README,
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
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert told == {0, *EXIT_CODES.values()} - {141}


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
