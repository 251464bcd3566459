"""Decoding: what the bytes of a text file say, and that nothing is replaced or guessed without a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.corpus.decoding import decode, decode_html
from sift_rag.corpus.documents import read_document
from sift_rag.corpus.options import IngestOptions
from sift_rag.errors import SkippedDocument, UnreadableDocument

GERMAN = "Das Büro ist über Ostern geschlossen – „Schöne Feiertage“ wünscht die Geschäftsführung, 3 € je Gruß.\n"
FRENCH = "Le musée est fermé à partir de février; les élèves y sont déjà allés à vélo.\n"
CZECH = "Schůze začíná ve tři hodiny odpoledne, přineste prosím všechny potřebné doklady.\n"
RUSSIAN = "Собрание начинается в три часа дня, принесите, пожалуйста, все нужные документы.\n"
GREEK = "Η συνεδρίαση αρχίζει στις τρεις το απόγευμα, φέρτε όλα τα έγγραφα.\n"
JAPANESE = "会議は午後三時に始まりますので、必要な書類をすべてお持ちください。\n"
CHINESE = "会议将于下午三点开始,请携带所有需要的文件,谢谢大家的配合。\n"
KOREAN = "회의는 오후 세 시에 시작하니 필요한 서류를 모두 가져오시기 바랍니다.\n"
GUESS = ": name the encoding if this is wrong"


@given(st.text().filter(lambda text: "\0" not in text and not text.startswith("\ufeff")))
def test_utf8_text_is_decoded_to_itself_but_for_line_ends_without_a_notice(text: str) -> None:
    decoded = decode(text.encode())

    assert (decoded.text, decoded.notice) == (text.replace("\r\n", "\n").replace("\r", "\n"), "")


@given(st.binary(), st.sampled_from([None, "cp1252", "shift_jis", "utf-16", "iso-2022-jp"]))
def test_bytes_that_are_not_utf8_are_decoded_with_a_notice_or_refused(data: bytes, encoding: str | None) -> None:
    try:
        decoded = decode(data, encoding)
    except UnreadableDocument:
        return
    decoded.text.encode()
    if encoding is None and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        assert decoded.notice or data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n") == decoded.text


@pytest.mark.parametrize("length", [1, 30])
@pytest.mark.parametrize(
    ("text", "encoding", "told"),
    [
        (GERMAN, "cp1252", "cp1252"),
        (FRENCH, "latin-1", "cp1252"),
        (CZECH, "cp1250", "cp1250"),
        (RUSSIAN, "koi8-r", "koi8-r"),
        (RUSSIAN, "cp1251", "cp1251"),
        (GREEK, "cp1253", "cp1253"),
        (JAPANESE, "shift_jis", "shift_jis"),
        (JAPANESE, "euc_jp", "euc_jp"),
        (CHINESE, "gbk", "gb18030"),
        (KOREAN, "cp949", "cp949"),
        (f"int main() {{ return 0; }} // {RUSSIAN}", "cp1251", "cp1251"),
        ("A long English text. " * 50 + "One café in it.\n", "cp1252", "cp1252"),
        ("Plain words, ünmarked.\n", "utf-16-le", "utf-16-le"),
        ("Plain words, ünmarked.\n", "utf-16-be", "utf-16-be"),
    ],
)
def test_an_encoding_is_recognised_and_told(text: str, encoding: str, told: str, length: int) -> None:
    decoded = decode((text * length).encode(encoding))

    assert decoded.text == text * length
    assert decoded.notice == f"read as {told}, by a guess{GUESS}"


@pytest.mark.parametrize(
    ("data", "text", "notice"),
    [
        ("Zürich ".encode() + b"\xff, Basel", "Zürich \ufffd, Basel", "1 byte is not UTF-8 (byte 8): shown as U+FFFD"),
        (b"good \xff bad", "good \ufffd bad", "1 byte is not UTF-8 (byte 5): shown as U+FFFD"),
        (
            "é".encode() * 2000 + b"\xff a \xff",
            "é" * 2000 + "\ufffd a \ufffd",
            "2 bytes are not UTF-8 (the first is byte 4,000): shown as U+FFFD",
        ),
        (b"\xef\xbb\xbfgood \xff", "good \ufffd", "1 byte is not UTF-8 (byte 8): shown as U+FFFD"),
        ("ab".encode("utf-16") + b"c", "ab\ufffd", "1 byte is not UTF-16 (byte 6): shown as U+FFFD"),
    ],
)
def test_a_few_bad_bytes_cost_no_file(data: bytes, text: str, notice: str) -> None:
    decoded = decode(data)

    assert (decoded.text, decoded.notice) == (text, notice)


def test_a_named_encoding_is_used_for_what_is_not_utf8() -> None:
    assert decode(RUSSIAN.encode("cp866"), "cp866").text == RUSSIAN
    assert decode(RUSSIAN.encode("cp866"), "cp866").notice == ""
    assert decode(JAPANESE.encode("iso-2022-jp"), "iso-2022-jp").text == JAPANESE
    assert decode(JAPANESE.encode("utf-16-le"), "utf-16-le").text == JAPANESE
    assert decode(b"plain", "utf-16").text == "plain"
    assert decode(GERMAN.encode(), "cp1252").text == GERMAN
    assert decode(GERMAN.encode(), "cp1252").notice == "read as UTF-8, which it is, not as cp1252"
    assert decode(GERMAN.encode("utf-16"), "cp1252").text == GERMAN  # its byte order mark says so
    assert decode(b"\x81 only one is wrong", "cp1252").notice == "1 byte is not CP1252 (byte 0): shown as U+FFFD"


def test_a_named_encoding_that_does_not_fit_fails() -> None:
    with pytest.raises(UnreadableDocument, match=r"invalid EUC_JP at byte 2 \(0x89\) and many more"):
        decode(b"a " + JAPANESE.encode("shift_jis"), "euc_jp")


@pytest.mark.parametrize("encoding", [None, "cp1252"])
def test_what_is_no_text_is_binary_whatever_is_named(encoding: str | None) -> None:
    for data in (b"\x89PNG\r\n\x1a\n\0\0", bytes(range(1, 256)) * 40):
        with pytest.raises(SkippedDocument, match="binary"):
            decode(data, encoding)


@pytest.mark.parametrize("name", ["nope", "base64", "rot13", "undefined", ""])
def test_an_unknown_encoding_is_refused_before_any_file(name: str) -> None:
    with pytest.raises(ValueError, match="is not an encoding"):
        IngestOptions(encoding=name)


def test_html_may_declare_its_encoding_and_is_recognised_without() -> None:
    page = '<meta charset="{}"><p>Café à Orléans</p>'
    assert decode_html(page.format("iso-8859-1").encode("latin-1")).notice == ""
    assert "Café à" in decode_html(page.format("iso-8859-1").encode("latin-1")).text
    assert "Café à" in decode_html(page.format("utf-16").encode()).text
    undeclared = decode_html("<p>Café à Orléans</p>".encode("latin-1"))
    assert (undeclared.text, undeclared.notice) == ("<p>Café à Orléans</p>", f"read as cp1252, by a guess{GUESS}")


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.jsonl", "a.html", "a.py"])
def test_the_notice_reaches_the_document_in_every_format_of_text(tmp_path: Path, name: str) -> None:
    text = '{"text": "Café à Orléans"}' if name == "a.jsonl" else "text\nCafé à Orléans\n"
    (tmp_path / name).write_bytes(text.encode("cp1252"))

    document = read_document(tmp_path / name)

    assert document.notices == (f"read as cp1252, by a guess{GUESS}",)
    assert "Café à Orléans" in "".join(section.text for section in document.sections)
