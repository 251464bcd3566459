"""``sift-rag calibrate`` on the small library."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sift_rag import defaults
from tests.cli.conftest import Run
from tests.cli.endpoint import serving

ASKED = (
    ("Where does a broken laptop go?", "library/laptops.md"),
    ("How are flights booked?", "library/travel.md"),
    ("When are receipts due?", "library/travel.md"),
    ("When is a doctor's note needed?", "library/sick-leave.md"),
)
NAMES = ["words", "noise_variance", "follow", "max_variance", "min_gain"]


@pytest.fixture(autouse=True)
def few_combinations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "CALIBRATED_WORDS", (0.25, 0.5))
    monkeypatch.setattr(defaults, "CALIBRATED_NOISE_VARIANCES", (5.0,))
    monkeypatch.setattr(defaults, "CALIBRATED_FOLLOWS", (0.0, 1.0))


@pytest.fixture
def questions(elsewhere: Path) -> Path:
    path = elsewhere / "questions.jsonl"
    rows = ({"question": f"{text} ({n})", "relevant": [name]} for n in range(3) for text, name in ASKED)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    others = ("Which moons does Jupiter have?", ["Who won the cup in 1954?", "Who lost?"])
    lines = "".join(f"{json.dumps({'question': text})}\n" for text in others * 6)
    (elsewhere / "foreign.jsonl").write_text(lines, encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_pipe_gets_a_row_for_each_setting_and_what_to_do_is_talk(
    ask_store: Run, questions: Path, elsewhere: Path
) -> None:
    result = ask_store("calibrate", str(questions), "--foreign", "foreign.jsonl", "-k", "1,2")
    assert result.exit_code == 0, result.stderr
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == NAMES
    assert [row[1] for row in rows] == ["0.5", "5", "1", "–", "0.3"]
    verdict, variance, gain, how, *lines = result.stderr.splitlines()
    assert verdict.startswith("Keep words = 0.5, noise_variance = 5 and follow = 1: no other values find")
    assert variance.startswith("max_variance = ")
    assert gain.startswith("min_gain = ")
    assert how == "To apply the proposals, add this to sift-rag.toml:"
    assert {*tomllib.loads("\n".join(lines))} == {"search", "ask"}
    (elsewhere / "sift-rag.toml").write_text("\n".join(lines), encoding="utf-8")
    assert ask_store("search", "When are receipts due?").exit_code == 0
    refused = ask_store("search", "Which moons does Jupiter have?")
    assert (refused.exit_code, refused.stdout) == (3, "")
    again = ask_store("calibrate", str(questions), "--foreign", "foreign.jsonl", "-k", "1,2", "--json")
    value = json.loads(again.stdout)
    assert (value["changes"], value["toml"]) == ({}, "")  # what is applied is current
    assert [one["current"] for one in value["thresholds"]] == [one["proposed"] for one in value["thresholds"]]


def test_the_json_is_the_calibration_with_its_search(ask_store: Run, questions: Path) -> None:
    options = ("--json", "--limit", "3", "-k", "1", "--set", "words=0.6", "--set", "candidate_limit=9")
    result = ask_store("calibrate", str(questions), *options, "--set", "min_gain=0.2", "--steps", "3")
    assert result.exit_code == 0, result.stderr
    value = json.loads(result.stdout)
    assert (value["collection"], value["origin"], value["questions"], value["left"]) == ("documents", "judged", 3, 0)
    assert (value["k"], value["foreign"]) == ([1], 0)
    assert value["search"] == {"candidate_limit": 9, "settings": {"words": 0.6}}
    assert [one["name"] for one in (*value["proposals"], *value["thresholds"])] == NAMES
    assert value["proposals"][0] == {"name": "words", "current": 0.6, "proposed": 0.6, "brings": None}
    assert len(value["combinations"]) == 3 * 1 * 2
    assert value["thresholds"][1]["current"] == 0.2
    assert "a change needs at least 10 questions" in value["verdict"]


def test_without_questions_sentences_give_thresholds(ask_store: Run) -> None:
    result = ask_store("calibrate", "--generate", "50", "--json")
    assert result.exit_code == 0, result.stderr
    value = json.loads(result.stdout)
    assert (value["origin"], value["proposals"], value["combinations"]) == ("sentences", [], [])
    assert result.stderr.startswith(f"Generated only {value['questions']} questions of 50.\n")


def test_a_model_writes_the_questions(ask_store: Run) -> None:
    with serving("What is", " it?\n", "More") as endpoint:
        options = ("--generate", "2", "--base-url", endpoint.url, "-m", "stub", "--json")
        result = ask_store("calibrate", *options, env={"SIFT_RAG_API_KEY": "key"})
        chats = list(endpoint.chats)
    assert result.exit_code == 0, result.stderr
    value = json.loads(result.stdout)
    assert (value["origin"], value["questions"]) == ("model", 2)
    assert len(chats) == 2
    assert all(chat[-1]["content"].startswith("Passage:\n") for chat in chats)
    with serving("I cannot say.") as endpoint:
        options = ("--generate", "2", "--base-url", endpoint.url, "-m", "stub", "--json")
        result = ask_store("calibrate", *options, env={"SIFT_RAG_API_KEY": "key"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the model wrote none" in result.stderr


@pytest.mark.slow
def test_the_report_is_a_page_with_the_verdict_and_the_lines(ask_store: Run, questions: Path, elsewhere: Path) -> None:
    options = ("--foreign", "foreign.jsonl", "--json", "--report", "page.html", "-k", "1")
    result = ask_store("calibrate", str(questions), *options)
    assert result.exit_code == 0, result.stderr
    page = (elsewhere / "page.html").read_text(encoding="utf-8")
    value = json.loads(result.stdout)
    assert page.startswith("<!doctype html>")
    assert value["verdict"] in page
    assert value["toml"] in page


def test_an_interrupted_run_gives_what_there_is(
    ask_store: Run, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sift_rag.evaluation import trials

    stop_after = {"try_out": 11, "measure_foreign": 99}

    def interrupted(name: str) -> Any:
        whole = getattr(trials, name)

        def some(*arguments: Any, **keywords: Any) -> Iterator[Any]:
            for number, one in enumerate(whole(*arguments, **keywords)):
                if number == stop_after[name]:
                    raise KeyboardInterrupt
                yield one

        return some

    for name in stop_after:
        monkeypatch.setattr(trials, name, interrupted(name))
    arguments = ("calibrate", str(questions), "--foreign", "foreign.jsonl", "--json", "-k", "1")
    result = ask_store(*arguments)
    assert result.exit_code == 130
    value = json.loads(result.stdout)
    assert (value["questions"], value["left"], value["foreign"]) == (11, 1, 0)
    assert result.stderr.splitlines() == ["Interrupted after 11 of 12 questions.", "Interrupted."]
    stop_after |= {"try_out": 99, "measure_foreign": 0}
    value = json.loads(ask_store(*arguments).stdout)
    assert (value["questions"], value["left"], value["foreign"]) == (12, 0, 0)
    stop_after["try_out"] = 0
    nothing = ask_store(*arguments)
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (130, "", "Interrupted.\n")


@pytest.mark.slow
def test_the_table_fits_80_columns(ask_store: Run, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sift_rag_cli.output.is_terminal", lambda stream: True)
    options = ("--foreign", "foreign.jsonl", "-k", "1")
    result = ask_store("calibrate", str(questions), *options, env={"COLUMNS": "80", "NO_COLOR": "1"})
    assert result.exit_code == 0, result.stderr
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["setting", "current", "proposed", "improvement,", "95", "%"]
    assert len(rows) == 5
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("none.jsonl",), 2, "'none.jsonl' cannot be read as lines of JSON"),
        (("questions.jsonl", "--generate", "5"), 2, "Give QUESTIONS or --generate, not both."),
        (("--limit", "5"), 2, "--limit applies to QUESTIONS"),
        (("--generate", "0"), 2, "--generate"),
        (("questions.jsonl", "-k", "4,x"), 2, "-k is '4,x', but must be comma-separated whole numbers"),
        (("questions.jsonl", "-k", "0"), 2, "each at least 1"),
        (("questions.jsonl", "--foreign", "none.jsonl"), 2, "'none.jsonl' cannot be read as lines of JSON"),
        (("questions.jsonl", "--report", "no/page.html"), 2, "There is no folder 'no' to write page.html to."),
        (("questions.jsonl", "--set", "wrods=1"), 2, "did you mean 'words'?"),
        (("questions.jsonl", "--set", "words=2"), 2, "words must be"),
        (("questions.jsonl", "--set", "kernel=linear"), 2, "only rbf supports words"),
        (("questions.jsonl", "--collection", "none"), 5, "none"),
        (("--filter", "source=none/*"), 2, "No questions can be generated from the collection"),
    ],
)
def test_what_cannot_be_calibrated_is_said_in_one_line(
    ask_store: Run, questions: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = ask_store("calibrate", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_filter_that_matches_nothing_is_named_where_no_question_can_be_made(ask_store: Run) -> None:
    result = ask_store("calibrate", "--generate", "2", "--filter", "source=nowhere/*")
    assert result.exit_code == 2
    assert "no passage that the filter matches contains a sentence of prose" in result.stderr
