"""``--filter`` of search, ask and chat."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import Result

from tests.cli.conftest import Run, ingest_elsewhere

QUESTION = "What about the travel office?"


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of files whose metadata come from front matter, JSON lines and CSV; tests only read it."""
    home = tmp_path_factory.mktemp("labelled")
    folder = home / "handbook"
    (folder / "old").mkdir(parents=True)
    (folder / "travel.md").write_text("---\ntags: [travel, money]\nyear: 2024\n---\nThe travel office books flights.\n")
    (folder / "old" / "travel.md").write_text("---\ntags: [travel]\nyear: 2019\n---\nThe travel office is closed.\n")
    rows = [{"text": f"The travel office has room {n}.", "tags": "room", "draft": n == 1} for n in (1, 2)]
    (folder / "rooms.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "people.csv").write_text("text,team\nAda runs the travel office.,travel\nBob runs the cellar.,cellar\n")
    ingest_elsewhere(folder, home / "store", home)
    return home / "store"


@pytest.fixture
def labelled(run: Run, handbook: Path) -> Run:
    """``run`` on that store."""
    return lambda *arguments, **keywords: run(*arguments, "--store", str(handbook), **keywords)


def _found(result: Result) -> set[str]:
    assert result.exit_code == 0, result.stderr
    return {hit["text"] for hit in json.loads(result.stdout)["hits"]}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["source=handbook/old/*"], {"The travel office is closed.\n"}),
        (["source=*.csv", "team=cellar"], {"team: cellar\nBob runs the cellar."}),
        (["tags=money"], {"The travel office books flights.\n"}),
        (["tags=travel", "year=2019", "year=2018"], {"The travel office is closed.\n"}),
        (["year>=2020"], {"The travel office books flights.\n"}),
        (["year>=2000", "year<2024"], {"The travel office is closed.\n"}),
        (["source=*.md", "tags!=money"], {"The travel office is closed.\n"}),
        (["tags~=mon*"], {"The travel office books flights.\n"}),
        (["source!=*.csv", "source!=*.jsonl", "year!=2024"], {"The travel office is closed.\n"}),
        (["draft=true"], {"tags: room\ndraft: true\nThe travel office has room 1."}),
        (["tags=room", "draft=false"], {"tags: room\ndraft: false\nThe travel office has room 2."}),
        (
            ["team=travel", "team=cellar"],
            {"team: travel\nAda runs the travel office.", "team: cellar\nBob runs the cellar."},
        ),
    ],
    ids=lambda texts: " ".join(sorted(texts)),
)
def test_only_what_the_filters_let_through_is_found(labelled: Run, filters: list[str], expected: set[str]) -> None:
    options = [word for one in filters for word in ("--filter", one)]
    for more in ([], ["--exact"], ["--set", "keep_copies=true"]):
        found = _found(labelled("search", QUESTION, "--json", *options, *more))
        assert {text.strip() for text in found} == {text.strip() for text in expected}


def test_the_json_says_which_filter_it_was(labelled: Run) -> None:
    options = ("--filter", "source=handbook/*", "--filter", "tags=a=b", "--filter", "tags=travel")
    for command in (("search", QUESTION), ("ask", QUESTION)):
        answer = json.loads(labelled(*command, "--json", *options).stdout)
        assert answer["where"] == {"sources": ["handbook/*"], "metadata": {"tags": ["a=b", "travel"]}}
        assert {hit["source"] for hit in answer["hits"]} == {"handbook/travel.md", "handbook/old/travel.md"}
    assert json.loads(labelled("search", QUESTION, "--json").stdout)["where"] is None


@pytest.mark.parametrize("wrong", ["", "tag", "=x", "source=", "source"])
def test_what_is_no_filter_ends_with_2_and_says_what_was_expected(run: Run, wrong: str) -> None:
    for command in ("search", "ask"):
        result = run(command, QUESTION, "--filter", wrong)
        assert result.exit_code == 2
        assert "not of the form KEY=VALUE" in result.stderr


def test_a_filter_that_leaves_nothing_ends_with_3_and_says_how_many_documents_match(
    labelled: Run,
) -> None:
    for options, said in (
        (("--filter", "source=travel.md"), "none of 4 documents matches travel.md; sources are such as 'handbook/"),
        (
            ("--filter", "source=*.md", "--filter", "tags=none"),
            "no passage of 2 documents that match *.md has tags=none",
        ),
        (("--filter", "year>2024"), "no passage of 4 documents has year>2024"),
        (("--filter", "source!=*"), "none of 4 documents matches the filter on sources; sources are such as"),
    ):
        result = labelled("search", QUESTION, *options)
        assert (result.exit_code, result.stdout) == (3, "")
        assert said in result.stderr
