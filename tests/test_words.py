"""Words of a text: identifiers in whole and in parts, numbers, stems, scripts without spaces, any text at all."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.words import UNSTEMMED, bag_of, identifiers_of, languages, surface_forms, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The dogs were running.", ["dog", "run"]),
        ("getUserName", ["getusername", "get", "user", "name"]),
        ("snake_case_name", ["snake_case_name", "snake", "case", "name"]),
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("(torch.nn.Linear),", ["torch.nn.linear", "torch", "nn", "linear"]),
        ("E4506", ["e4506", "4506"]),
        ("E-4506:", ["e-4506", "e", "4506"]),
        ("v2.31", ["v2.31", "v2", "31"]),
        ("well-known", ["well", "known"]),
        ("STRASSE Straße", ["strass", "strass"]),
        ("ﬁne", ["fine"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("人", ["人"]),
        ("Python3です", ["python3", "python", "です"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("of the and", []),
        ("?! --- ...", []),
        ("", []),
    ],
)
def test_words_are_stems_and_identifiers_stand_in_whole_and_in_parts(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_the_language_decides_stems_and_stop_words() -> None:
    assert words_of("Häuser und Hunde", "german") == ["haus", "und", "hund"]
    assert words_of("The dogs", UNSTEMMED) == ["the", "dogs"]
    assert {"english", "german", "french", UNSTEMMED} <= set(languages())
    with pytest.raises(ValueError, match=r"Unknown language 'germn'.*Did you mean 'german'\?"):
        words_of("x", "germn")


def test_a_bag_counts_words_whatever_their_form() -> None:
    bag = bag_of("Run, running runs! Walk.")
    assert sorted(bag.counts.tolist()) == [1, 3]
    assert bag.ids.tolist() == sorted(bag.ids.tolist())
    assert bag_of("running RUN walks run").ids.tolist() == bag.ids.tolist()
    assert not len(bag_of("the of and").ids)


def test_equal_words_have_equal_numbers_in_every_process() -> None:
    code = "from sift_rag.words import bag_of; print(bag_of('E4506 timeout').ids.tolist())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={})
    assert other.stdout.strip() == str(bag_of("timeout e4506").ids.tolist())


def test_a_surface_form_is_how_the_text_writes_the_word() -> None:
    text = "Why does parseJSON raise E4506 when Running?"
    written = surface_forms(text)
    assert {written[number] for number in bag_of("parsejson run e4506 json").ids.tolist()} >= {
        "parseJSON",
        "Running",
        "E4506",
    }


@given(st.text(max_size=200))
def test_any_text_has_words_that_its_bag_counts(text: str) -> None:
    bag = bag_of(text)
    assert int(bag.counts.sum()) == len(words_of(text))
    assert len(np.unique(bag.ids)) == len(bag.ids)
    assert set(surface_forms(text)) >= set(bag.ids.tolist())


@pytest.mark.parametrize("text", ["a" * 200_000, "x.y" * 50_000, "aB" * 50_000, "東" * 50_000, "- " * 50_000])
def test_a_degenerate_text_is_read_in_one_go(text: str) -> None:
    assert len(bag_of(text).ids) <= 100_001


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("What does E4506 mean?", 1),
        ("document_store or DocumentStore or torch.nn", 3),
        ("a well-known release of 2024, version 2.0", 0),
        ("What is the capital of France?", 0),
        ("東京タワー2", 0),
        ("", 0),
    ],
)
def test_identifiers_are_words_that_have_parts(text: str, count: int) -> None:
    assert len(identifiers_of(text)) == count
    assert set(identifiers_of(text).tolist()) <= set(bag_of(text).ids.tolist())
