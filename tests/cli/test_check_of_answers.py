"""The check of an answer's sentences, as ``ask`` shows it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from rich.cells import cell_len

from sift_rag.answering.checking import CheckedSentence, Verdict
from sift_rag_cli import answers
from sift_rag_cli.answers import check_summary
from tests.cli.conftest import Run
from tests.cli.endpoint import serving

if TYPE_CHECKING:
    from sift_rag.answering.answer import Answer

QUESTION = "Where do I bring a broken laptop?"


def sentence(verdict: Verdict) -> CheckedSentence:
    return CheckedSentence("So.", 0, 3, verdict, (), (), 0.5)


@pytest.mark.parametrize(
    ("supported", "uncited", "unsupported", "line"),
    [
        (1, 0, 0, "the one sentence is supported by the passages that it cites."),
        (2, 0, 0, "both sentences are supported by the passages that they cite."),
        (4, 0, 0, "all 4 sentences are supported by the passages that they cite."),
        (0, 1, 0, "the one sentence is supported; its citation was added."),
        (0, 3, 0, "all 3 sentences are supported; their citations were added."),
        (0, 0, 1, "the one sentence is not supported by the passages."),
        (0, 0, 5, "none of the 5 sentences is supported by the passages."),
        (3, 0, 1, "3 of 4 sentences are supported by what they cite; 1 is not."),
        (1, 0, 2, "1 of 3 sentences is supported by what it cites; 2 are not."),
        (2, 1, 0, "all 3 sentences are supported; 1 citation was added."),
        (1, 2, 0, "all 3 sentences are supported; 2 citations were added."),
        (0, 1, 1, "1 of 2 sentences is supported, with a citation added; 1 is not."),
        (1, 1, 1, "2 of 3 sentences are supported, 1 with a citation added; 1 is not."),
        (2, 3, 2, "5 of 7 sentences are supported, 3 with citations added; 2 are not."),
    ],
)
def test_one_line_sums_up_the_check(supported: int, uncited: int, unsupported: int, line: str) -> None:
    sentences = [
        *[sentence("supported")] * supported,
        *[sentence("uncited")] * uncited,
        *[sentence("unsupported")] * unsupported,
    ]
    assert check_summary(sentences) == f"Checked: {line}"


def test_unsupported_sentences_and_added_citations_are_marked_and_nothing_else(ask_store: Run) -> None:
    with serving("Copper costs 9 dollars [1].") as endpoint:
        options = ("--base-url", endpoint.url, "--model", "stub")
        found = json.loads(ask_store("ask", QUESTION, *options, "--json").stdout)
        result = ask_store("ask", QUESTION, *options)
        off = ask_store("ask", QUESTION, *options, "--set", "check=false")
    (checked,) = found["sentences"]
    assert (checked["verdict"], checked["cited"], checked["supporting"]) == ("unsupported", [1], [])
    assert '? "Copper costs 9 dollars [1]."  not in [1]\n' in result.stdout
    assert "Checked" not in off.stdout
    text = next(line.strip() for line in found["hits"][0]["text"].splitlines() if line.strip().endswith("."))
    with serving(text) as endpoint:
        result = ask_store("ask", QUESTION, "--base-url", endpoint.url, "--model", "stub")
    assert "not in" not in result.stdout
    assert "  (added)\n" in result.stdout
    assert "The answer cites no passage" not in result.stdout


def test_a_sentence_that_an_answer_repeats_is_marked_once(ask_store: Run) -> None:
    items = [f"{number}. Copper is sold for 9 dollars in the canteen [1].\n" for number in range(1, 30)]
    with serving(*items) as endpoint:
        result = ask_store("ask", QUESTION, "--base-url", endpoint.url, "--model", "stub")
    (marked,) = [line for line in result.stdout.splitlines() if line.startswith("? ")]
    assert marked.endswith('canteen [1]."  not in [1]  (4 times)')
    assert "began to repeat itself" in result.stderr


def test_a_long_sentence_is_shortened_to_one_line(ask_store: Run) -> None:
    with serving(f"Copper {' '.join(f'of grade {n} and' for n in range(40))} more costs 9 dollars [1].") as endpoint:
        result = ask_store("ask", QUESTION, "--base-url", endpoint.url, "--model", "stub")
    (marked,) = [line for line in result.stdout.splitlines() if line.startswith("? ")]
    assert len(marked) <= 80
    assert marked.endswith('..."  not in [1]')


def test_a_sentence_in_wide_characters_is_shortened_to_the_columns_of_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = CheckedSentence("打印机在三楼请使用员工卡登录后打印文件" * 4, 0, 76, "unsupported", (), (), 0.1)
    monkeypatch.setattr(answers, "check_summary", lambda _: "")
    answers.write_check(cast("Answer", SimpleNamespace(sentences=(long,))))
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.endswith('..."  in no passage')
    assert cell_len(line) <= 80
