import io
import json
import unicodedata
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.types import Passage, Span
from sift_rag_cli import output
from sift_rag_cli.hits import body_of
from sift_rag_cli.output import bar, human_size, one_line, printable, write_json

ANY_TEXT = st.text(st.characters(exclude_categories=()))
BIDI = {chr(code) for code in [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]}


def steers_a_terminal(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cs"} or character in BIDI


@given(ANY_TEXT)
def test_nothing_that_steers_a_terminal_is_left_in_printable_text(text: str) -> None:
    assert not [c for c in printable(text) if steers_a_terminal(c) and c not in "\n\t"]
    assert not [c for c in one_line(text) if steers_a_terminal(c)]


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cf"))))
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_an_escape_sequence_is_written_out() -> None:
    assert printable("\x1b[31mred\x1b[0m \x9b2J \u202egnp.exe") == r"\x1b[31mred\x1b[0m \x9b2J \u202egnp.exe"


def test_a_windows_line_end_is_a_line_end_and_a_lone_carriage_return_is_written_out() -> None:
    assert printable("one\r\ntwo\rthree") == "one\ntwo\\x0dthree"


def test_a_name_with_a_newline_stays_on_its_line() -> None:
    assert one_line("notes\n2 failed.md") == r"notes\n2 failed.md"


@given(ANY_TEXT)
def test_json_gives_back_the_text_and_shows_nothing_raw(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        patch.setattr("typer.echo", lambda value, **_: written.append(value))
        write_json({"text": text})
    (line,) = written
    assert json.loads(line) == {"text": text}
    assert not [c for c in line if steers_a_terminal(c) and c != "\n"]


def test_json_is_valid_on_a_stream_that_cannot_encode_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(data, encoding="latin-1", errors="backslashreplace"))
    write_json({"text": "\u00e9\u2603"})
    assert json.loads(data.getvalue().decode("latin-1")) == {"text": "\u00e9\u2603"}


def test_json_refuses_a_number_that_json_has_not() -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json({"variance": float("nan")})


@pytest.mark.parametrize(
    ("fraction", "drawn"), [(0, "····"), (0.5, "██··"), (1, "████"), (1.5, "████"), (0.125, "▌···")]
)
def test_a_bar_is_filled_to_its_fraction(fraction: float, drawn: str) -> None:
    assert bar(fraction, 4) == drawn


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (20_000, "20 kB"), (3_000_000, "3.0 MB")]
)
def test_a_size_is_shown_with_its_unit(size: int, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# Trips\n\n## Hotels\n\nHotels are paid.", "Hotels are paid."),
        ("# Hotels\n\nHotels are paid.\n\n# Hotels\n", "Hotels are paid.\n\n# Hotels"),
        ("# Elsewhere\n\nHotels are paid.", "# Elsewhere\n\nHotels are paid."),
        ("# Trips\n", "# Trips"),
        ("#hotels is a tag", "#hotels is a tag"),
    ],
)
def test_headings_that_stand_above_a_passage_are_not_shown_again_in_it(text: str, shown: str) -> None:
    passage = Passage("id", text, "trips.md", Span(0, len(text)), headings=("Trips", "Hotels"))
    assert body_of(passage) == shown


def test_a_wrapped_remark_breaks_no_word_and_no_path(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda _: True)
    monkeypatch.setattr(output, "console", lambda **_: SimpleNamespace(width=30))
    path = "a-folder-with-a-long-name/" * 3 + "model.gguf"
    remark = f"There is no file {path}, or it cannot be read by this user."
    output.say_wrapped(remark)
    lines = capsys.readouterr().err.splitlines()
    assert " ".join(lines) == remark
    assert all(len(line) <= 30 for line in lines if path not in line)
