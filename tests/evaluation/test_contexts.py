"""The context before a task, token by token."""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import accumulate
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from sift_rag.errors import ModelUnsuitable
from sift_rag.evaluation import Task
from sift_rag.evaluation.contexts import ANSWER_TOKENS, SEPARATOR, ContextBuilder
from sift_rag.finetuning import score_text
from sift_rag.models.local import LocalModel
from tests.evaluation.conftest import LANGUAGE_MODEL, PASSAGES, TEXT, tiny_model
from tests.examples import examples

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"


def encoded(model: LocalModel, text: str) -> list[int]:
    return list(model.tokenizer(text, add_special_tokens=False)["input_ids"])


def with_template(model: LocalModel) -> LocalModel:
    tokenizer: Any = deepcopy(model.tokenizer)
    tokenizer.chat_template = TEMPLATE
    return LocalModel(model.name, model.network, tokenizer)


def nats_of(model: LocalModel, before: list[int], token: int) -> float:
    """Return the cost of each token in nats, with one run per token."""
    with torch.no_grad():
        logits = model.network(input_ids=torch.tensor([before])).logits[0, -1].double()
    return float(torch.logsumexp(logits, 0) - logits[token])


def test_the_first_chosen_stands_nearest_to_the_text(model: LocalModel) -> None:
    context = ContextBuilder(model, Task("t", "g", TEXT)).build(["First.", "Second.", "Third."])
    pieces = ["Third.", SEPARATOR, "Second.", SEPARATOR, "First.", SEPARATOR]
    assert list(context.tokens) == [0, *(token for piece in pieces for token in encoded(model, piece))]
    assert context.passages == 3


def test_without_passages_only_the_begin_token_stands_before_a_text(model: LocalModel) -> None:
    context = ContextBuilder(model, Task("t", "g", TEXT)).build([])
    assert (context.tokens, context.passages) == ((0,), 0)


@pytest.mark.parametrize("window", [64, 96, 128, 192, 256])
def test_as_many_passages_are_taken_as_fit_and_no_more(tokenizer: Any, window: int) -> None:
    model = tiny_model(tokenizer, window=window)
    passages = list(PASSAGES.values())
    context = ContextBuilder(model, Task("t", "g", TEXT)).build(passages)
    room = window - min(len(encoded(model, TEXT)), window // 2)
    separator = len(encoded(model, SEPARATOR))
    sizes = list(accumulate((len(encoded(model, text)) + separator for text in passages), initial=1))  # begin token
    assert context.passages == max(count for count, size in enumerate(sizes) if size <= room)
    assert len(context.tokens) == sizes[context.passages] <= room
    assert score_text(model, TEXT, context=context.tokens).windows == 1 or len(encoded(model, TEXT)) > window // 2


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None)
@given(st.integers(2, 255), st.integers(1, 12), st.lists(st.integers(0, 30), max_size=8), st.booleans())
def test_a_limited_context_never_exceeds_its_window(window: int, length: int, passages: list[int], asked: bool) -> None:
    model = tiny_model(AutoTokenizer.from_pretrained(LANGUAGE_MODEL))
    task = Task("t", "g", "owls hunt " * length, "Who hunts?" if asked else None)
    texts = [f"Passage {number}. {'mice ' * number}" for number in passages]
    limited, own = ContextBuilder(model, task, window), ContextBuilder(model, task)
    context, alone = limited.build(texts), own.build([])
    size = len(encoded(model, limited.scored_text))
    assert len(context.tokens) + size <= window or context == alone
    assert context.passages <= own.build(texts).passages
    if context.passages < len(texts) and context.passages < own.build(texts).passages:
        one_more = own.build(texts[: context.passages + 1])
        kept = max(size, ANSWER_TOKENS) if asked else size
        assert len(one_more.tokens) + kept > window  # no room was wasted


def test_after_one_that_does_not_fit_no_later_one_is_taken(tokenizer: Any) -> None:
    model = tiny_model(tokenizer, window=64)
    context = ContextBuilder(model, Task("t", "g", "Owls.")).build(["One.", "owls and mice " * 40, "Two."])
    assert context.passages == 1


def test_a_text_longer_than_the_window_leaves_half_of_it_to_passages(tokenizer: Any) -> None:
    model = tiny_model(tokenizer, window=64)
    builder = ContextBuilder(model, Task("t", "g", TEXT * 10))
    assert builder.limit == 32
    context = builder.build(["Owls hunt."] * 20)
    assert 20 <= len(context.tokens) <= 32
    assert score_text(model, TEXT * 10, context=context.tokens).windows > 1


def test_a_score_after_tokens_is_that_of_a_loop_over_them(model: LocalModel) -> None:
    context = ContextBuilder(model, Task("t", "g", TEXT)).build(list(PASSAGES.values())[:2])
    tokens = encoded(model, TEXT)
    nats = sum(nats_of(model, [*context.tokens, *tokens[:i]], token) for i, token in enumerate(tokens))
    score = score_text(model, TEXT, context=context.tokens)
    assert score.bits == pytest.approx(nats / math.log(2), rel=1e-5)
    assert score.tokens == len(tokens)


@pytest.mark.slow
def test_a_chat_quotes_passages_in_the_order_chosen_and_drops_the_last(tokenizer: Any) -> None:
    model = with_template(tiny_model(tokenizer))
    passages = [*PASSAGES.values(), *("Owls." for _ in range(40))]
    limit, sizes = 256 - ANSWER_TOKENS, set()
    for length in range(24):  # somewhere the last token that fits is taken, and elsewhere one is too many
        builder = ContextBuilder(model, Task("q", "g", "owls", f"Who hunts at night{' a' * length}"))
        context = builder.build(passages)
        assert 1 < context.passages < len(passages)
        assert list(context.tokens) == model.encode(builder.messages(passages[: context.passages]))
        one_more = len(model.encode(builder.messages(passages[: context.passages + 1])))
        assert len(context.tokens) <= limit < one_more
        sizes |= {len(context.tokens), one_more}
    assert {limit, limit + 1} <= sizes
    user = builder.messages(passages[: context.passages])[1].content
    assert user.index("[1] Owls hunt") < user.index("[2] The ears") < user.index("Question: Who hunts")


def test_the_answer_follows_a_plain_chat_after_a_space_and_a_template_at_once(model: LocalModel) -> None:
    task = Task("q", "g", "owls", "Who hunts?")
    assert ContextBuilder(model, task).scored_text == " owls"
    assert ContextBuilder(with_template(model), task).scored_text == "owls"
    assert ContextBuilder(model, Task("t", "g", "owls")).scored_text == "owls"


def test_a_question_that_fills_the_window_is_named(tokenizer: Any) -> None:
    model = tiny_model(tokenizer, window=64)
    builder = ContextBuilder(model, Task("q7", "g", "owls", "who " * 60))
    with pytest.raises(ModelUnsuitable, match=r"question of 'q7' has \d+ tokens, and 'tiny' has room for 32"):
        builder.build(["One."])
