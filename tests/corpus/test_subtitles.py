"""Subtitles become paragraphs that begin with their time."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.corpus.subtitles import read_subtitles
from sift_rag.errors import UnreadableDocument


def _text(text: str, form: Literal["srt", "vtt"] = "srt") -> str:
    return "\n\n".join(section.text for section in read_subtitles(text, form).sections)


def _srt(cues: list[tuple[int, int, str]]) -> str:
    """Return cues given by the seconds of their beginning and end."""
    times = ((f"{t // 3600:02}:{t // 60 % 60:02}:{t % 60:02},000" for t in cue[:2]) for cue in cues)
    return "\n".join(
        f"{number}\n{' --> '.join(time)}\n{cue[2]}\n"
        for number, (time, cue) in enumerate(zip(times, cues, strict=True), 1)
    )


def test_cues_are_joined_and_begin_with_the_time_of_the_first() -> None:
    cues = [
        (723, 725, "<i>The pool</i> opens,\nas always,"),
        (725, 727, "{\\an8}at seven &amp; closes at nine."),
        (900, 901, "Bye."),
    ]

    assert _text(_srt(cues)) == "00:12:03 The pool opens, as always, at seven & closes at nine.\n\n00:15:00 Bye."


def test_webvtt_is_read_with_its_speakers_and_without_its_settings_and_notes() -> None:
    text = """WEBVTT - A talk

NOTE not to be read

STYLE
::cue { color: red }

intro
00:03.000 --> 00:05.000 align:start position:0%
<v Anna Berg>Good <c.loud>morning</c>.

01:00:00.000 --> 01:00:01.000
<v.quiet Ben>Hello.
"""
    assert _text(text, "vtt") == "00:00:03 Anna Berg: Good morning.\n\n01:00:00 Ben: Hello."


def test_lines_that_rolling_captions_repeat_are_read_once() -> None:
    cues = [(1, 2, "the pool"), (2, 3, "the pool\nopens at"), (3, 4, "opens at\nseven")]

    assert _text(_srt(cues)) == "00:00:01 the pool opens at seven"


@pytest.mark.slow
@given(st.lists(st.sampled_from(["Owls hunt at night.", "and then", "Mice do not"]), min_size=1, max_size=80))
def test_paragraphs_are_of_readable_length_and_hold_every_word(lines: list[str]) -> None:
    cues = [(number, number + 1, f"{line} w{number}") for number, line in enumerate(lines)]
    paragraphs = _text(_srt(cues)).split("\n\n")

    assert all(re.match(r"\d\d:\d\d:\d\d ", paragraph) for paragraph in paragraphs)
    assert max(map(len, paragraphs)) < 900
    words = " ".join(paragraph[9:] for paragraph in paragraphs)
    assert words == " ".join(text for _, _, text in cues)


@pytest.mark.parametrize("form", ["srt", "vtt"])
@pytest.mark.parametrize("text", ["no cue", "1\n00:00:99 --> x\nhi\n", "WEBVTT\n"])
def test_what_holds_no_cue_fails(text: str, form: Literal["srt", "vtt"]) -> None:
    with pytest.raises(UnreadableDocument, match="broken subtitles"):
        read_subtitles(text, form)
