"""Judged questions, read from JSON lines and from folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sift_rag.errors import ConfigurationError
from sift_rag.evaluation import JudgedQuestion, Relevant, read_judged_questions


def lines(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def folder(path: Path, *judgements: str, name: str = "test.tsv") -> Path:
    lines(path / "queries.jsonl", {"_id": "1", "text": "Who hunts?"}, {"_id": "2", "text": "Who dances?"})
    (path / "qrels").mkdir(exist_ok=True)
    (path / "qrels" / name).write_text("\n".join(["query-id\tcorpus-id\tscore", *judgements, ""]), encoding="utf-8")
    return path


def test_a_line_names_what_is_relevant_or_an_answer(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "q.jsonl",
        {"question": "Who hunts?", "relevant": ["owls.md", "owls.md", "bees.md"]},
        {"question": ["Who hunts?", "When?"], "answer": "at night", "id": 7, "note": "an unknown key"},
        {"question": "Who?", "relevant": "owls.md", "answer": "an owl", "group": "birds"},
    )
    assert read_judged_questions(path) == [
        JudgedQuestion("q.jsonl:1", ("Who hunts?",), (Relevant("owls.md"), Relevant("bees.md"))),
        JudgedQuestion("7", ("Who hunts?", "When?"), (Relevant("at night", is_text=True),)),
        JudgedQuestion("q.jsonl:3", ("Who?",), (Relevant("owls.md"),)),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "Who?", "relevent": ["a"]}, "q.jsonl:2 has the unknown key 'relevent': did you mean 'relevant'"),
        ({"questions": "Who?", "answer": "a"}, "q.jsonl:2 has the unknown key 'questions': did you mean 'question'"),
        ({"question": "Who?", "answer": "a", "relevants": []}, "did you mean 'relevant'"),
        ({"question": "Who?"}, "q.jsonl:2 has neither 'relevant' nor 'answer'"),
        ({"answer": "a"}, "q.jsonl:2 has no 'question'"),
        ({"question": " ", "answer": "a"}, "q.jsonl:2 has ' ' as 'question'"),
        ({"question": [], "answer": "a"}, r"q.jsonl:2 has \[\] as 'question'"),
        ({"question": ["Who?", 5], "answer": "a"}, "as 'question': expected a non-blank text, or a list"),
        ({"question": "Who?", "relevant": []}, r"q.jsonl:2 has \[\] as 'relevant'"),
        ({"question": "Who?", "relevant": [""]}, "as 'relevant'"),
        ({"question": "Who?", "answer": ["a"]}, "as 'answer': expected a non-blank text"),
        (
            {"question": "Who?", "answer": "a", "id": ["x"]},
            r"q.jsonl:2 has \['x'\] as 'id': expected a text or a number",
        ),
        (["Who?"], "q.jsonl:2 is a list: expected a JSON object"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_judged_questions(lines(tmp_path / "q.jsonl", {"question": "Who?", "answer": "a"}, row))


def test_nothing_a_missing_file_and_an_id_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="contains no question"):
        read_judged_questions(lines(tmp_path / "q.jsonl"))
    with pytest.raises(ConfigurationError, match="cannot be read as lines of JSON"):
        read_judged_questions(tmp_path / "none.jsonl")
    row = {"question": "Who?", "answer": "a", "id": "x"}
    with pytest.raises(ConfigurationError, match="has the id 'x' twice"):
        read_judged_questions(lines(tmp_path / "q.jsonl", row, row))
    with pytest.raises(ConfigurationError, match="has the id '0' twice"):
        read_judged_questions(lines(tmp_path / "q.jsonl", *[{"question": "Who?", "answer": "a", "id": 0}] * 2))


def test_a_folder_of_beir_has_grades_and_queries_without_a_relevant_document_are_left_out(tmp_path: Path) -> None:
    path = folder(tmp_path / "beir", "1\towls.md\t2", "1\tmice.md\t1\r", "1\tbees.md\t0", "2\towls.md\t0")
    assert read_judged_questions(path) == [
        JudgedQuestion("1", ("Who hunts?",), (Relevant("owls.md", 2), Relevant("mice.md", 1)))
    ]
    folder(path, "2\tbees.md\t1", name="train.tsv")
    assert [question.id for question in read_judged_questions(path)] == ["1", "2"]


@pytest.mark.parametrize(
    ("judgement", "message"),
    [
        ("1\t \t1", "test.tsv:3 is not a judgement"),
        ("1\towls.md", "test.tsv:3 is not a judgement"),
        ("1 owls.md 1", "test.tsv:3 is not a judgement"),
        ("1\towls.md\tvery", "test.tsv:3 is not a judgement"),
        ("3\towls.md\t1", "test.tsv:3 refers to query '3', which is not in queries.jsonl"),
    ],
)
def test_a_judgement_that_cannot_be_used_is_named(tmp_path: Path, judgement: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_judged_questions(folder(tmp_path / "beir", "1\towls.md\t1", judgement))


def test_a_folder_that_is_not_one_of_beir_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"expected queries.jsonl and qrels/\*.tsv"):
        read_judged_questions(tmp_path)
    path = folder(tmp_path / "beir", "1\towls.md\t1")
    lines(path / "queries.jsonl", {"_id": "1", "text": "Who hunts?"}, {"id": "2", "text": "Who?"})
    with pytest.raises(ConfigurationError, match=r"queries\.jsonl:2 is not a query"):
        read_judged_questions(path)
