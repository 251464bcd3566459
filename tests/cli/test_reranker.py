"""``--reranker`` and ``--reranker-url``: on the command line, in the environment, in ``sift-rag.toml``."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sift_rag.relevance import endpoint
from tests.cli.conftest import Run
from tests.relevance.stub_reranker import StubReranker, stub_reranker
from tests.relevance.tiny import train_cross_encoder

QUESTION = "How do I book a flight?"
SECRET = "a-key-that-nobody-may-see"


@pytest.fixture
def reranker(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubReranker]:
    """An endpoint that scores texts about laptops as relevant."""
    monkeypatch.setattr(endpoint, "sleep", lambda seconds: None)
    with stub_reranker() as stub:
        stub.score = lambda text: 0.9 if "broken laptop" in text else 0.1
        yield stub


def test_the_reranker_decides_and_its_score_is_shown(ask_store: Run, reranker: StubReranker) -> None:
    plain = json.loads(ask_store("search", QUESTION, "--json").stdout)
    assert plain["hits"][0]["source"].endswith("travel.md")
    assert {hit["reranker_score"] for hit in plain["hits"]} == {None}
    arguments = ("search", QUESTION, "--reranker-url", reranker.url, "--reranker", "tiny")
    found = json.loads(ask_store(*arguments, "--json").stdout)
    assert found["hits"][0]["source"] == "library/laptops.md"
    assert [hit["reranker_score"] for hit in found["hits"]] == [0.9] + [0.1] * (len(found["hits"]) - 1)
    assert {(body["model"], body["query"]) for body in reranker.bodies} == {("tiny", QUESTION)}
    assert "  reranker 0.90  adds " in ask_store(*arguments).stdout.splitlines()[0]


def test_the_prompt_of_ask_has_the_reranker_s_passages(ask_store: Run, reranker: StubReranker) -> None:
    result = ask_store("ask", QUESTION, "-k", "1", "--reranker-url", reranker.url)
    assert result.exit_code == 0
    assert "A broken laptop is handed to the help desk" in result.stdout
    assert "travel office" not in result.stdout


def test_evaluate_scores_each_pair_once_for_all_selectors(
    ask_store: Run, reranker: StubReranker, elsewhere: Path
) -> None:
    lines = [
        {"question": QUESTION, "relevant": ["library/laptops.md"]},
        {"question": "Whom do I call when I am sick?", "relevant": ["library/laptops.md"]},
    ]
    questions = elsewhere / "questions.jsonl"
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ("evaluate", str(questions), "--selectors", "sift,mmr", "-k", "1", "--json")
    found = json.loads(ask_store(*arguments, "--reranker-url", reranker.url).stdout)
    assert {row["recall"]["mean"] for row in found["rows"]} == {1.0}
    pairs = [(body["query"], text) for body in reranker.bodies for text in body["documents"]]
    assert len(pairs) == len(set(pairs))


def test_the_key_comes_from_its_own_variable(ask_store: Run, reranker: StubReranker) -> None:
    keys = {"SIFT_RAG_API_KEY": "another", "OPENAI_API_KEY": "another"}
    named = {"SIFT_RAG_RERANKER_URL": reranker.url}
    ask_store("search", QUESTION, env={**keys, **named})
    ask_store("search", QUESTION, env={**keys, **named, "SIFT_RAG_RERANKER_KEY": SECRET})
    assert reranker.keys == [None, f"Bearer {SECRET}"]


def test_no_key_goes_to_a_reranker_that_the_working_directory_chose(
    ask_store: Run, elsewhere: Path, reranker: StubReranker
) -> None:
    (elsewhere / "sift-rag.toml").write_text(f"reranker_url = '{reranker.url}'\nreranker = 'tiny'\n")
    result = ask_store("search", QUESTION, env={"SIFT_RAG_RERANKER_KEY": SECRET})
    assert result.exit_code == 0
    assert reranker.keys == [None]
    assert "so your API key is not sent to it" in result.stderr
    assert "--reranker-url or SIFT_RAG_RERANKER_URL" in result.stderr
    assert SECRET not in result.output


@pytest.mark.parametrize(
    ("statuses", "score", "code", "complaint"),
    [
        ([401], 0.5, 4, "Set the reranker's API key in SIFT_RAG_RERANKER_KEY."),
        ([503] * 3, 0.5, 4, "failed (503: as told)"),
        ([], 12.5, 1, "gave a score of 12.5: expected scores in [0, 1]"),
    ],
)
def test_a_reranker_that_fails_is_told_in_one_line(
    ask_store: Run, reranker: StubReranker, statuses: list[int], score: float, code: int, complaint: str
) -> None:
    reranker.statuses, reranker.score = statuses, lambda text: score
    result = ask_store("search", QUESTION, "--reranker-url", reranker.url)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
    assert complaint in result.stderr


def test_what_cannot_be_asked_is_a_usage_error(ask_store: Run, reranker: StubReranker) -> None:
    for arguments, complaint in (
        (("--reranker-url", "localhost:8000"), "expected one like http://localhost:8000/v1"),
        (("--reranker-url", reranker.url, "--exact"), "leave out one of the two"),
        (("--reranker-url", reranker.url, "--selector", "hull"), "cannot use relevance scores"),
    ):
        result = ask_store("search", QUESTION, *arguments)
        assert result.exit_code == 2
        assert complaint in result.stderr
    assert ask_store("search", QUESTION, "--reranker", "./nowhere").exit_code == 4


@pytest.mark.slow
def test_a_cross_encoder_is_named_by_its_folder(ask_store: Run, tmp_path: Path) -> None:
    folder = train_cross_encoder(tmp_path / "cross-encoder", "laptops", steps=1)
    result = ask_store("search", QUESTION, "--reranker", str(folder), "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert all(0 <= hit["reranker_score"] <= 1 for hit in json.loads(result.stdout)["hits"])
