"""``sift-rag evaluate`` on the small library."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

ROWS = (
    {"question": "Where does a broken laptop go?", "relevant": ["library/laptops.md"]},
    {"question": ["How are flights booked?", "When are receipts due?"], "relevant": ["sick-leave"], "id": "trip"},
    {"question": "When is a doctor's note needed?", "answer": "third day"},
    {"question": "Who feeds the cat?", "relevant": ["library/cats.md"], "id": "cat"},
)


@pytest.fixture
def questions(elsewhere: Path) -> Path:
    path = elsewhere / "questions.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS), encoding="utf-8")
    return path


def test_a_pipe_gets_the_rows_and_what_to_look_at_is_talk(ask_store: Run, questions: Path) -> None:
    result = ask_store("evaluate", str(questions), "-k", "2,1", "--selectors", "sift,mmr")
    assert result.exit_code == 0, result.stderr
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert sorted(row[:2] for row in rows) == sorted([name, k] for name in ("sift", "mmr", "nearest") for k in "12")
    assert [row[1] for row in rows] == ["1"] * 3 + ["2"] * 3
    assert all((row[3] == "") is (row[0] == "nearest") for row in rows)
    missing, nothing, verdict = result.stderr.splitlines()
    assert missing == "1 relevant source or text not in the collection, counted as not found: 'library/cats.md' (cat)."
    assert nothing.startswith("sift finds nothing for ")
    assert "'Who feeds the cat?'" in nothing
    assert verdict.startswith("Too few questions to show a difference: ")
    assert verdict.endswith("4 questions.")


def test_the_json_is_the_evaluation_with_its_searches(ask_store: Run, questions: Path) -> None:
    options = ("--json", "-k", "1", "--set", "relevance=0.7", "--set", "words=0.25", "--set", "candidate_limit=9")
    result = ask_store("evaluate", str(questions), "--selectors", "sift,nearest,mmr", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    value = json.loads(result.stdout)
    assert (value["collection"], value["questions"], value["left"]) == ("documents", 4, 0)
    assert value["searches"]["mmr"]["settings"] == {"relevance": 0.7, "words": 0.25}
    assert value["searches"]["sift"] == {"candidate_limit": 9, "settings": {"words": 0.25}}
    assert [row["selector"] for row in value["rows"]] == ["sift", "nearest", "mmr"]
    nearest = value["rows"][1]
    assert nearest["recall"]["mean"] == 0.5  # the laptop and the note
    assert [one["name"] for one in value["unmatched"]] == ["library/cats.md"]
    assert "trip" in [failure["id"] for failure in value["failures"]]


def test_a_folder_of_beir_and_a_limit(ask_store: Run, elsewhere: Path) -> None:
    (elsewhere / "beir" / "qrels").mkdir(parents=True)
    queries = [json.dumps({"_id": str(n), "text": f"Where does broken laptop {n} go?"}) for n in range(6)]
    (elsewhere / "beir" / "queries.jsonl").write_text("\n".join(queries), encoding="utf-8")
    judged = "".join(f"{n}\tlaptops\t1\n" for n in range(6))
    (elsewhere / "beir" / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", encoding="utf-8")
    result = ask_store("evaluate", "beir", "--selectors", "nearest", "-k", "1", "--limit", "3")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "nearest\t1\t100.0\t\t100.0\t100.0\n"
    assert result.stderr == "nearest finds 100.0 % at k = 1, 3 questions.\n"


def test_a_filter_leaves_out_what_it_does_not_match(ask_store: Run, questions: Path) -> None:
    options = ("--selectors", "nearest", "-k", "1", "--limit", "1", "--json", "--filter", "source=library/travel.md")
    value = json.loads(ask_store("evaluate", str(questions), *options).stdout)
    assert value["rows"][0]["recall"]["mean"] == 0.0
    assert value["failures"][0]["hits"][0]["source"] == "library/travel.md"


def test_the_report_is_a_page_with_the_verdict_and_the_settings(
    ask_store: Run, questions: Path, elsewhere: Path
) -> None:
    options = ("--json", "--report", "page.html", "--selectors", "sift", "--set", "words=0.25")
    result = ask_store("evaluate", str(questions), *options)
    assert result.exit_code == 0, result.stderr
    page = (elsewhere / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert json.loads(result.stdout)["verdict"] in page
    assert "words = 0.25" in page
    assert "library/cats.md" in page


def test_an_interrupted_run_gives_what_there_is(
    ask_store: Run, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sift_rag.evaluation import found

    whole, stop_after = found.judge_searches, 2

    def interrupted(*arguments: Any, **keywords: Any) -> Iterator[Any]:
        for number, one in enumerate(whole(*arguments, **keywords)):
            if number == stop_after:
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr(found, "judge_searches", interrupted)
    result = ask_store("evaluate", str(questions), "--json", "-k", "1")
    assert result.exit_code == 130
    value = json.loads(result.stdout)
    assert (value["questions"], value["left"], value["unmatched"]) == (2, 2, [])
    assert result.stderr.splitlines() == ["Interrupted after 2 of 4 questions.", "Interrupted."]
    stop_after = 0
    nothing = ask_store("evaluate", str(questions), "--json", "-k", "1")
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (130, "", "Interrupted.\n")


def test_the_table_fits_80_columns(ask_store: Run, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sift_rag_cli.output.is_terminal", lambda stream: True)
    options = ("--selectors", "facility-location,sift", "-k", "1,100")
    result = ask_store("evaluate", str(questions), *options, env={"COLUMNS": "80", "NO_COLOR": "1"})
    assert result.exit_code == 0, result.stderr
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["selector", "k", "recall", "vs", "nearest,", "95", "%", "nDCG@10", "MRR"]
    assert len(rows) == 6
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_a_file_of_settings_gives_k_and_settings_of_a_search(ask_store: Run, questions: Path, elsewhere: Path) -> None:
    table = '[search]\nk = 2\nselector = "mmr"\nwords = 0.125\nseed = 3\n'
    (elsewhere / "sift-rag.toml").write_text(table, encoding="utf-8")
    value = json.loads(ask_store("evaluate", str(questions), "--json", "--selectors", "sift").stdout)
    assert {row["k"] for row in value["rows"]} == {2}
    assert value["searches"]["sift"] == {"settings": {"words": 0.125}}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("none.jsonl",), 2, "'none.jsonl' cannot be read as lines of JSON"),
        (("questions.jsonl", "--selectors", "sift,hybird"), 2, "Did you mean 'hybrid'?"),
        (("questions.jsonl", "--selectors", ","), 2, "--selectors is empty"),
        (("questions.jsonl", "-k", "4,x"), 2, "-k is '4,x', but must be comma-separated whole numbers"),
        (("questions.jsonl", "-k", "0"), 2, "each at least 1"),
        (("questions.jsonl", "-k", ""), 2, "at least one number"),
        (("questions.jsonl", "--limit", "0"), 2, "--limit"),
        (("questions.jsonl", "--report", "no/page.html"), 2, "There is no folder 'no' to write page.html to."),
        (("questions.jsonl", "--set", "wrods=1"), 2, "did you mean 'words'?"),
        (("questions.jsonl", "--set", "words=2"), 2, "words must be"),
        (
            ("questions.jsonl", "--selectors", "sift,dpp", "--set", "relevance=0.5"),
            2,
            "--set relevance: the selector 'sift' or 'dpp' has no such setting",
        ),
        (("questions.jsonl", "--collection", "none"), 5, "none"),
        ((), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_one_line(
    ask_store: Run, questions: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = ask_store("evaluate", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_misspelt_key_is_named_with_its_line(ask_store: Run, elsewhere: Path) -> None:
    (elsewhere / "q.jsonl").write_text('{"question": "Who?", "relevent": ["x"]}\n', encoding="utf-8")
    result = ask_store("evaluate", "q.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: q.jsonl:1 has the unknown key 'relevent': did you mean 'relevant'?\n"
