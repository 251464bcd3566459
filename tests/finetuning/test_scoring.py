"""Bits per byte, compared with computations by hand and by brute force."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.errors import ModelUnsuitable
from sift_rag.finetuning import TextScore, bits_per_byte, score_text
from sift_rag.finetuning.scoring import _windows
from sift_rag.models.local import LocalModel
from tests.finetuning.conftest import TEXTS, small

TEXT = "class Naïve:\n    '''Return “quotes” and 🙂.'''\n"


def nats_of(model: LocalModel, before: list[int], token: int) -> float:
    """Return the cost of each token in nats, by the softmax written out in float64, with one run per token."""
    with torch.no_grad():
        logits = model.network(input_ids=torch.tensor([before])).logits[0, -1].double()
    return float(torch.logsumexp(logits, 0) - logits[token])


def encoded(model: LocalModel, text: str) -> list[int]:
    return list(model.tokenizer(text, add_special_tokens=False)["input_ids"])


def without_start(model: LocalModel) -> LocalModel:
    tokenizer: Any = deepcopy(model.tokenizer)
    tokenizer.bos_token = tokenizer.eos_token = None
    return LocalModel(model.name, model.network, tokenizer)


def test_it_is_the_cost_of_each_token_after_all_before_it(exact_model: LocalModel) -> None:
    tokens = encoded(exact_model, TEXT)
    nats = sum(nats_of(exact_model, [0, *tokens[:i]], token) for i, token in enumerate(tokens))
    expected = nats / math.log(2) / len(TEXT.encode())
    assert bits_per_byte(exact_model, TEXT) == pytest.approx(expected, rel=1e-5)


def test_a_context_is_read_and_not_counted(exact_model: LocalModel) -> None:
    tokens, before = encoded(exact_model, TEXT), encoded(exact_model, TEXTS[1])
    nats = sum(nats_of(exact_model, [0, *before, *tokens[:i]], token) for i, token in enumerate(tokens))
    score = score_text(exact_model, TEXT, context=TEXTS[1])
    assert score.bits == pytest.approx(nats / math.log(2), rel=1e-5)
    assert (score.bytes, score.tokens, score.windows) == (len(TEXT.encode()), len(tokens), 1)


@pytest.mark.slow
def test_a_long_text_is_read_in_windows_with_the_context_before_each(tokenizer: Any) -> None:
    model = small("gpt2", tokenizer)  # reads 64 tokens
    text, context = "".join(TEXTS) * 3, TEXTS[2][:20]
    tokens, prefix = encoded(model, text), [0, *encoded(model, context)]
    room, stride = 65 - len(prefix), 10
    nats = 0.0
    for i, token in enumerate(tokens):
        last = room if i < room else min(room + stride * math.ceil((i + 1 - room) / stride), len(tokens))
        nats += nats_of(model, [*prefix, *tokens[max(0, last - room) : i]], token)
    score = score_text(model, text, context=context, stride=stride)
    assert score.bits == pytest.approx(nats / math.log(2), rel=1e-5)
    assert score.windows == 1 + math.ceil((len(tokens) - room) / stride)


@given(st.integers(1, 80), st.integers(1, 30), st.data())
def test_every_token_is_counted_in_exactly_one_window(count: int, room: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, room))
    tokens = list(range(count))
    seen = [list(window[-counted:]) for window, counted in _windows(tokens, room, stride)]
    assert [token for part in seen for token in part] == tokens
    assert all(len(window) <= room for window, _ in _windows(tokens, room, stride))


def test_a_text_that_just_fits_is_read_once(tokenizer: Any) -> None:
    model = small("gpt2", tokenizer)
    letters = "a\n" * 32
    assert len(encoded(model, letters)) == 64
    assert score_text(model, letters).windows == 1
    assert score_text(model, letters + "a").windows == 2


def test_without_begin_and_end_token_the_first_costs_what_it_does_without_a_model(exact_model: LocalModel) -> None:
    bare = without_start(exact_model)
    tokens = encoded(exact_model, TEXT)
    nats = math.log(2048) + sum(nats_of(exact_model, tokens[: i + 1], token) for i, token in enumerate(tokens[1:]))
    assert score_text(bare, TEXT).bits == pytest.approx(nats / math.log(2), rel=1e-5)
    assert score_text(bare, "a").bits == pytest.approx(11.0)


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 63, 64, 65, 66, 200])
def test_a_model_that_knows_nothing_pays_the_same_for_every_token(tokenizer: Any, length: int) -> None:
    model = small("gpt2", tokenizer)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.zero_()
    text = "ab" * length
    count = len(encoded(model, text))
    for scored in (model, without_start(model)):
        for stride in (None, 1, 40, 64):
            assert score_text(scored, text, stride=stride).bits == pytest.approx(11 * count)  # 2,048 tokens


def test_it_fits_the_perplexities_of_the_evaluation_harness(model: LocalModel) -> None:
    """Word perplexity is exp(-loglikelihood / words), byte perplexity the same per byte, bits per byte its log2."""
    score = score_text(model, TEXT)
    loglikelihood = -score.bits * math.log(2)
    byte_perplexity = math.exp(-loglikelihood / len(TEXT.encode()))
    word_perplexity = math.exp(-loglikelihood / len(TEXT.split()))
    assert score.bits_per_byte == pytest.approx(math.log2(byte_perplexity))
    assert score.bits_per_byte == pytest.approx(math.log2(word_perplexity) * len(TEXT.split()) / len(TEXT.encode()))
    assert TextScore(bits=24.0, bytes=6, tokens=3, windows=1).bits_per_byte == 4.0


def test_a_control_token_in_the_text_is_text(model: LocalModel) -> None:
    text = "a <|endoftext|> b"
    tokens = list(model.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
    assert score_text(model, text).tokens == len(tokens) > 5


def test_a_model_left_in_training_mode_is_scored_without_dropout_and_left_so(tokenizer: Any) -> None:
    model = small("gpt2", tokenizer)
    expected = bits_per_byte(model, TEXT)
    model.network.train()
    assert bits_per_byte(model, TEXT) == expected
    assert all(module.training for module in model.network.modules())


def test_an_empty_text_has_no_score(model: LocalModel) -> None:
    with pytest.raises(ValueError, match="text is empty"):
        score_text(model, "")


def test_a_context_that_leaves_too_little_room(tokenizer: Any) -> None:
    model = small("gpt2", tokenizer)
    long = "a\n" * 20
    assert score_text(model, "short", context=long).windows == 1
    with pytest.raises(ValueError, match=r"The context has 40 tokens and leaves 24 of 64 .* shorten it by 8 at least"):
        score_text(model, long, context=long)
    assert score_text(model, long, context=long[: 2 * 16]).windows == 2


@pytest.mark.parametrize("stride", [0, 65])
def test_a_stride_out_of_range(tokenizer: Any, stride: int) -> None:
    with pytest.raises(ValueError, match=f"stride is {stride}: from 1 to 64"):
        score_text(small("gpt2", tokenizer), TEXT, stride=stride)


def test_broken_weights_give_no_score(tokenizer: Any) -> None:
    model = small("gpt2", tokenizer)
    with torch.no_grad():
        next(model.network.parameters())[:] = math.nan
    with pytest.raises(ModelUnsuitable, match="check its weights"):
        score_text(model, TEXT)
