"""Reading a file as text, and the reasons given when that fails."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from sift_rag.corpus.documents import FileState, SourceDocument, read_document, stat_file
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.sections import SECTION_BREAK, Section
from sift_rag.errors import SkippedDocument, UnreadableDocument


def _read(folder: Path, name: str, content: str | bytes, **options: Any) -> SourceDocument:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_document(path, IngestOptions(**options))


def _text(document: SourceDocument) -> str:
    return SECTION_BREAK.join(section.text for section in document.sections)


def test_a_text_file_is_one_section(tmp_path: Path) -> None:
    document = _read(tmp_path, "notes.txt", "One.\nTwo.\n")

    assert list(document.sections) == [Section("One.\nTwo.\n", start=0, line=1)]
    assert document.title == "notes"
    assert document.syntax == "plain"


def test_the_hash_is_of_the_bytes_and_the_state_that_of_the_file(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.txt", "\ufeffText\r\n")

    assert document.content_hash == hashlib.blake2b("\ufeffText\r\n".encode(), digest_size=32).hexdigest()
    assert document.state == stat_file(tmp_path / "a.txt") == FileState(9, *_times(tmp_path / "a.txt"))


def _times(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_ctime_ns


@pytest.mark.parametrize(
    ("encoding", "mark"), [("utf-8", ""), ("utf-8-sig", ""), ("utf-16", ""), ("utf-32", ""), ("utf-16-be", "\ufeff")]
)
def test_unicode_encodings_give_the_same_text(tmp_path: Path, encoding: str, mark: str) -> None:
    document = _read(tmp_path, "a.txt", (mark + "Grüße 😀\r\nzwei\rdrei\n").encode(encoding))

    assert _text(document) == "Grüße 😀\nzwei\ndrei\n"


def test_control_characters_in_a_text_are_kept(tmp_path: Path) -> None:
    assert _text(_read(tmp_path, "a.log", "\x1b[31mred\x1b[0m \x07")) == "\x1b[31mred\x1b[0m \x07"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"", "empty"),
        ("a.md", b" \n\t\n", "empty"),
        ("a.md", b"---\ntitle: Only front matter\n---\n", "empty"),
        ("a.jsonl", b"{}\n", "empty"),
        ("a.dat", b"text\0text", "binary"),
        ("a.txt", b"\x89PNG\r\n\x1a\n\0\0", "binary"),
        ("a.bin", hashlib.shake_256(b"seed").digest(3000).replace(b"\0", b"\1"), "binary"),
        ("a.png", b"whatever", "unsupported format (.png)"),
        ("a.MP3", b"whatever", "unsupported format (.mp3)"),
        ("a.txt", b"x" * 2_000_001, "larger than 1.91 MB: 1.91 MB"),
    ],
)
def test_what_is_not_ours_is_skipped_with_a_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    with pytest.raises(SkippedDocument) as raised:
        _read(tmp_path, name, content, max_bytes=2_000_000)

    assert str(raised.value) == reason


def test_broken_text_fails_with_the_position(tmp_path: Path) -> None:
    content = b"\xff\xfe" + b"\0\xdc" * 20  # halves of characters only
    with pytest.raises(UnreadableDocument) as raised:
        _read(tmp_path, "a.txt", content)

    assert str(raised.value) == "invalid UTF-16 at byte 2 (0x00) and many more"
    assert not isinstance(raised.value, SkippedDocument)


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for a writer for ever
    with pytest.raises(SkippedDocument, match="a named pipe, not a file"):
        read_document(tmp_path / "pipe")
    with pytest.raises(SkippedDocument, match="a folder, not a file"):
        read_document(tmp_path)
    with pytest.raises(SkippedDocument, match="a device, not a file"):
        read_document(Path(os.devnull))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "socket"))
        with pytest.raises(SkippedDocument, match="a socket, not a file"):
            read_document(tmp_path / "socket")


@pytest.mark.parametrize("target", ["nowhere", "link.md"])
def test_a_link_that_leads_nowhere_fails(tmp_path: Path, target: str) -> None:
    (tmp_path / "link.md").symlink_to(target)
    for read in (read_document, stat_file):
        with pytest.raises(UnreadableDocument, match=r"a link leads nowhere|symbolic links"):
            read(tmp_path / "link.md")


@pytest.mark.skipif(os.geteuid() == 0, reason="to root every file is readable")
def test_a_file_without_permission_fails(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "a.txt").chmod(0)

    with pytest.raises(UnreadableDocument, match="permission denied"):
        read_document(tmp_path / "a.txt")


class _Writer:
    """Writes to a file just after the reader has looked at its state, for the first ``times`` times."""

    def __init__(self, path: Path, times: int) -> None:
        self.path, self.times, self.fstat = path, times, os.fstat

    def __call__(self, descriptor: int) -> os.stat_result:
        state = self.fstat(descriptor)
        if self.times and os.path.samestat(state, self.path.stat()):
            self.times -= 1
            with self.path.open("a") as file:
                file.write("more\n")
        return state


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("text\n")
    monkeypatch.setattr(os, "fstat", _Writer(tmp_path / "a.txt", times=1))

    document = read_document(tmp_path / "a.txt")

    assert _text(document) == "text\nmore\n"
    assert document.state.size == len("text\nmore\n")


def test_a_file_that_keeps_changing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("text\n")
    monkeypatch.setattr(os, "fstat", _Writer(tmp_path / "a.txt", times=100))

    with pytest.raises(UnreadableDocument, match="changed while it was being read"):
        read_document(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [
        ("a.md", "---\ntitle: 'From the front: matter'\nid: 1\n---\n# Heading\n", "From the front: matter"),
        ("a.md", "---\nid: 1\n---\nText\n\n# A *bold* `code` [link](to) title\n", "A bold code link title"),
        ("a.md", "Setext\n======\n", "Setext"),
        ("a.md", "```\n# no heading\n```\n## Second level\n", "a"),
        ("a.rst", "=====\nTitle\n=====\n\nSection\n-------\n", "Title"),
        ("a.tex", "% \\title{no}\n\\title[Short]{On {\\LaTeX} titles}\n\\section{One}\n", "On {\\LaTeX} titles"),
        ("a b.py", "class A: pass\n", "a b"),
        ("a.md", f"# {'long ' * 100}\n", ("long " * 100)[:199] + "…"),
    ],
)
def test_the_title_is_stated_or_a_heading_or_the_name(tmp_path: Path, name: str, content: str, title: str) -> None:
    assert _read(tmp_path, name, content).title == title


def test_front_matter_is_metadata_and_no_text_and_lines_go_on_after_it(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.md", "---\ntitle: T\ntags: [a]\n---\n\nText\n")

    assert list(document.sections) == [Section("\nText\n", line=5, metadata={"title": "T", "tags": ["a"]})]


@pytest.mark.parametrize("content", ["---\n\nA rule, then text.\n\n---\n", "---\ntitle: never closed\n"])
def test_a_rule_is_not_taken_for_front_matter(tmp_path: Path, content: str) -> None:
    assert _text(_read(tmp_path, "a.md", content)) == content


def test_json_lines_give_a_part_a_row(tmp_path: Path) -> None:
    rows = [
        {"id": 7, "title": "On  rows", "Text": "One.\r\nTwo."},
        {"text": ""},
        {"body": "Three.", "nested": {"a": [1, None]}},
    ]
    document = _read(tmp_path, "a.jsonl", "\n".join(json.dumps(row) for row in rows))

    assert list(document.sections) == [
        Section(
            "One.\nTwo.",
            line=1,
            keeps_lines=False,
            headings=("On rows",),
            metadata={"id": 7, "title": "On  rows"},
            lead="id: 7",
        ),
        Section(
            "Three.", start=11, line=3, keeps_lines=False, metadata={"nested": {"a": [1, None]}}, lead="nested.a: 1"
        ),
    ]
    assert list(document.sections) == list(document.sections)


def test_the_text_field_can_be_named(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.jsonl", '{"text": "no", "answer": "yes"}\n{"text": "no"}\n', text_field="answer")

    assert [(section.text, section.metadata) for section in document.sections] == [("yes", {"text": "no"})]


def test_a_text_field_that_no_row_has_fails_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDocument, match="no row has the field 'answer': they have id, text"):
        _read(tmp_path, "a.jsonl", '{"id": 1, "text": "a"}\n', text_field="answer")


def test_a_row_without_a_known_text_field_is_written_out(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.csv", "name;price\nNut;3\nBolt;\n")

    assert [section.text for section in document.sections] == ["name: Nut\nprice: 3", "name: Bolt"]


def test_csv_rows_know_their_line_also_after_a_field_of_several_lines(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.csv", '\ufeffid,text\r\n1,"one\r\n""two"""\r\n\r\n2,three,spare\r\n')

    assert list(document.sections) == [
        Section('one\n"two"', line=2, keeps_lines=False, metadata={"id": "1"}, lead="id: 1"),
        Section(
            "three",
            start=11,
            line=5,
            keeps_lines=False,
            metadata={"id": "2", "column 3": "spare"},
            lead="id: 2\ncolumn 3: spare",
        ),
    ]


def test_tab_separated_values_may_hold_a_field_of_any_length(tmp_path: Path) -> None:
    document = _read(tmp_path, "a.tsv", f"text\tid\n{'x' * 200_000}\t1\n")

    assert len(_text(document)) == 200_000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": ', "line 2 is not JSON: Expecting value at column 10"),
        ("[1]", "line 2 is a list: expected a JSON object"),
        ('{"text": ' + "[" * 100_000, "line 2 cannot be read as JSON: "),
        ('{"text": ' + "1" * 5000 + "}", "line 2 cannot be read as JSON: "),
    ],
)
def test_a_broken_row_fails_with_its_line_when_it_is_reached(tmp_path: Path, line: str, reason: str) -> None:
    document = _read(tmp_path, "a.jsonl", '{"text": "fine"}\n' + line)

    with pytest.raises(UnreadableDocument) as raised:
        list(document.sections)
    assert str(raised.value).startswith(reason)


def test_metadata_holds_only_what_a_store_can_hold(tmp_path: Path) -> None:
    row = r'{"text": "half \ud800", "a": NaN, "b": 1e999, "c": 123456789012345678901, "d": ["\udc00"], "e": true}'
    document = _read(tmp_path, "a.jsonl", row)

    [section] = document.sections
    assert section.text == "half \ufffd"
    assert section.metadata == {"a": None, "b": None, "c": "123456789012345678901", "d": ["\ufffd"], "e": True}
