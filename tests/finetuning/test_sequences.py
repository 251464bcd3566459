"""Passages become windows that cover every token."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AddedToken, AutoTokenizer, PreTrainedTokenizerFast

from sift_rag.errors import ModelUnsuitable
from sift_rag.finetuning.sequences import training_sequences
from tests.finetuning.conftest import LANGUAGE_MODEL

LETTERS = "abcdefghij"


def letters(*, begin: bool = False, end: bool = False) -> Any:
    """A token for every letter; begin and end tokens as asked, the begin token put before every text."""
    words = {word: i for i, word in enumerate([*LETTERS, "<s>", "</s>"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", words["<s>"])]
        )
    named = {**({"bos_token": "<s>"} if begin else {}), **({"eos_token": "</s>"} if end else {})}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def windows(tokenizer: Any, *texts: str, window: int = 100, end_token: bool = False) -> list[list[str]]:
    made = training_sequences(tokenizer, texts, window=window, end_token=end_token, name="letters")
    return [["".join(tokenizer.convert_ids_to_tokens(list(ids))) for ids in passage] for passage in made.passages]


def test_a_short_passage_is_one_window_without_an_end() -> None:
    assert windows(letters(end=True), "abc") == [["abc"]]


def test_a_long_passage_is_split_and_each_window_reads_the_last_token_of_the_one_before() -> None:
    assert windows(letters(), "abcdefghij", window=4) == [["abcd", "defg", "ghij"]]
    assert windows(letters(), "abcdefgh", window=4) == [["abcd", "defg", "gh"]]


@given(st.text(alphabet=LETTERS, min_size=2, max_size=60), st.integers(2, 20))
def test_every_token_after_the_first_is_predicted_exactly_once(text: str, window: int) -> None:
    ((*passage,),) = windows(letters(), text, window=window)
    assert text[0] + "".join(part[1:] for part in passage) == text
    assert all(2 <= len(part) <= window for part in passage)
    assert all(len(part) == window for part in passage[:-1])


def test_a_begin_token_that_the_tokenizer_puts_there_stands_before_the_passage_once() -> None:
    assert windows(letters(begin=True), "abcd", window=3) == [["<s>ab", "bcd"]]


def test_an_end_token_is_put_there_when_asked_for() -> None:
    assert windows(letters(end=True), "abc", end_token=True) == [["abc</s>"]]


def test_a_tokenizer_without_an_end_token_is_refused_one_and_else_used() -> None:
    assert windows(letters(), "abc") == [["abc"]]
    with pytest.raises(ModelUnsuitable, match="'letters' has no end token: leave end_token False"):
        windows(letters(), "abc", end_token=True)


def test_order_and_repeats_are_kept() -> None:
    assert windows(letters(), "ab", "cd", "ab", "ab") == [["ab"], ["cd"], ["ab"], ["ab"]]


@pytest.mark.parametrize("tokenizer", [letters(), letters(begin=True, end=True)], ids=["bare", "begin and end"])
def test_passages_with_nothing_to_predict_are_skipped_and_counted(tokenizer: Any) -> None:
    made = training_sequences(tokenizer, ["", "a", "bc", "a"], window=9, end_token=False, name="letters")
    assert len(made.passages) == 1
    assert made.skipped == 3


def test_no_passages_are_no_sequences() -> None:
    assert training_sequences(letters(), [], window=9, end_token=False, name="letters").passages == ()


def test_a_control_token_that_a_document_names_is_text(tokenizer: Any) -> None:
    ((window,),) = training_sequences(
        tokenizer, ["a <|endoftext|> b"], window=99, end_token=False, name="stdlib-lm"
    ).passages
    assert tokenizer.eos_token_id not in window
    assert tokenizer.decode(list(window)) == "a <|endoftext|> b"


def test_a_token_that_only_the_chat_template_writes_is_text_in_a_document() -> None:
    """Some models' marks of turns are added tokens that no flag calls special."""
    tokenizer = AutoTokenizer.from_pretrained(LANGUAGE_MODEL)
    tokenizer.add_tokens([AddedToken("<|User|>", special=False, normalized=False), AddedToken("plain")])
    tokenizer.chat_template = "{% for message in messages %}<|User|>{{ message['content'] }}{% endfor %}"
    ((window,),) = training_sequences(
        tokenizer, ["a <|User|> b plain c"], window=99, end_token=False, name="stdlib-lm"
    ).passages
    assert tokenizer.convert_tokens_to_ids("<|User|>") not in window
    assert tokenizer.convert_tokens_to_ids("plain") in window
    assert tokenizer.decode(list(window)) == "a <|User|> b plain c"


def test_one_string_is_not_a_list_of_passages() -> None:
    with pytest.raises(TypeError, match="give a list"):
        training_sequences(letters(), "abc", window=9, end_token=False, name="letters")
