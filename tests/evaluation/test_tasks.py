"""The tasks of a comparison, read from folders and from JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sift_rag.errors import ConfigurationError, UnreadableDocument
from sift_rag.evaluation import Task, read_questions, read_texts


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_each_file_of_a_folder_is_a_text_in_the_group_of_its_folder_or_suffix(tmp_path: Path) -> None:
    for name in ("b.md", "a.py", "plain", "law/x.md", "law/deep/y.md"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"text of {name}\n", encoding="utf-8")
    assert [(task.id, task.group) for task in read_texts(tmp_path)] == [
        ("a.py", ".py"),
        ("b.md", ".md"),
        ("law/deep/y.md", "law"),
        ("law/x.md", "law"),
        ("plain", "texts"),
    ]
    assert read_texts(tmp_path)[0] == Task("a.py", ".py", "text of a.py\n")


def test_a_folder_may_be_named_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "texts" / "law").mkdir(parents=True)
    (tmp_path / "texts" / "law" / "x.md").write_text("Owls hunt.", encoding="utf-8")
    expected = read_texts(tmp_path / "texts")
    monkeypatch.chdir(tmp_path)
    assert read_texts(Path("texts")) == read_texts(Path("texts/law/..")) == expected
    monkeypatch.chdir(tmp_path / "texts")
    assert read_texts(Path()) == expected


def test_files_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("Owls hunt.", encoding="utf-8")
    (tmp_path / "empty.md").write_text("", encoding="utf-8")
    (tmp_path / "blank.md").write_text(" \n\n", encoding="utf-8")
    (tmp_path / "broken.txt").write_bytes(b"\xff\xfe" + b"\0\xdc" * 20)  # half characters only
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert [task.id for task in read_texts(tmp_path)] == ["good.md"]


def test_one_file_is_one_text_and_must_be_readable(tmp_path: Path) -> None:
    (tmp_path / "owls.md").write_text("Owls hunt.", encoding="utf-8")
    (tmp_path / "broken.txt").write_bytes(b"\xff\xfe" + b"\0\xdc" * 20)  # half characters only
    assert read_texts(tmp_path / "owls.md") == [Task("owls.md", ".md", "Owls hunt.")]
    with pytest.raises(UnreadableDocument, match="invalid UTF-16"):
        read_texts(tmp_path / "broken.txt")


def test_a_folder_without_texts_and_a_missing_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds nothing to compare on"):
        read_texts(tmp_path)
    with pytest.raises(ConfigurationError, match=r"There is no .*nowhere"):
        read_texts(tmp_path / "nowhere")


def test_a_line_is_a_text_with_its_own_group_and_id_or_those_of_its_file(tmp_path: Path) -> None:
    path = lines(tmp_path / "law.jsonl", {"text": "One."}, {"text": "Two.", "group": "civil", "id": 7})
    assert read_texts(path) == [Task("law.jsonl:1", "law", "One."), Task("7", "civil", "Two.")]


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_mean_nothing(tmp_path: Path) -> None:
    path = tmp_path / "law.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "One."}\r\n\r\n   \n{"text": "Two."}')
    assert [(task.id, task.text) for task in read_texts(path)] == [("law.jsonl:1", "One."), ("law.jsonl:4", "Two.")]


def test_separators_of_lines_within_a_text_and_half_characters_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "law.jsonl"
    path.write_text('{"text": "One\u2028two\x85three.\\ud800"}\n', encoding="utf-8")
    (task,) = read_texts(path)
    assert task.text == "One\u2028two\x85three.\ufffd"
    assert task.text.encode()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"texts": "One."}', "t.jsonl:2 has no 'text': expected a text that is not blank"),
        ('{"text": 5}', "t.jsonl:2 has 5 as 'text'"),
        ('{"text": null}', "t.jsonl:2 has no 'text'"),
        ('{"text": " \\n"}', "t.jsonl:2 has no 'text'"),
        ('["One."]', "t.jsonl:2 is a list: expected a JSON object"),
        ('{"text": "One."', "t.jsonl:2 is not JSON"),
    ],
)
def test_a_line_that_is_no_text_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(f'{{"text": "Zero."}}\n{line}\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        read_texts(path)


def test_two_tasks_of_one_id_are_refused(tmp_path: Path) -> None:
    path = lines(tmp_path / "t.jsonl", {"text": "One.", "id": "a"}, {"text": "Two.", "id": "a"})
    with pytest.raises(ConfigurationError, match="has the id 'a' twice"):
        read_texts(path)


def test_equal_texts_are_tasks_of_their_own(tmp_path: Path) -> None:
    assert len(read_texts(lines(tmp_path / "t.jsonl", {"text": "One."}, {"text": "One."}))) == 2


def test_a_question_has_a_reference_answer(tmp_path: Path) -> None:
    path = lines(tmp_path / "q.jsonl", {"question": "Who hunts?", "answer": "owls"})
    assert read_questions(path) == [Task("q.jsonl:1", "questions", "owls", "Who hunts?")]
    for missing, row in (("answer", {"question": "Who?"}), ("question", {"answer": "owls"})):
        with pytest.raises(ConfigurationError, match=f"q.jsonl:1 has no {missing!r}"):
            read_questions(lines(path, row))


def test_questions_that_cannot_be_read_are_a_setting_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_bytes(b'{"question": "caf\xe9"}')
    for path in (tmp_path / "q.jsonl", tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read as lines of JSON"):
            read_questions(path)
    with pytest.raises(ConfigurationError, match="holds nothing"):
        read_questions(lines(tmp_path / "q.jsonl"))
