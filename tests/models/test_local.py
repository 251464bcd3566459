"""A local model: what it generates, and how it stops."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sift_rag.errors import ModelUnsuitable
from sift_rag.generators import Ending
from sift_rag.models.chat import plain_prompt
from sift_rag.models.generation import generate_tokens
from sift_rag.models.local import LocalModel, load_local_model
from sift_rag.models.options import ModelOptions
from sift_rag.protocols import Message

CHAT = (Message("system", "You know Python."), Message("user", "How does a class begin?"))


@pytest.fixture(scope="session")
def reference(language_model_path: Path) -> tuple[Any, Any]:
    """The same model as transformers loads it by itself."""
    model = AutoModelForCausalLM.from_pretrained(language_model_path, dtype=torch.float32, use_safetensors=True)
    return model.eval(), AutoTokenizer.from_pretrained(language_model_path)


def greedy(reference: tuple[Any, Any], prompt: str, count: int) -> str:
    """The oracle: one token after the other, each the likeliest after all text so far, nothing cached."""
    model, tokenizer = reference
    ids = tokenizer(prompt)["input_ids"]
    start = len(ids)
    with torch.inference_mode():
        for _ in range(count):
            token = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
            if token == tokenizer.eos_token_id:
                break
            ids.append(token)
    return str(tokenizer.decode(ids[start:], skip_special_tokens=True))


def test_the_pieces_are_the_likeliest_continuation(language_model: LocalModel, reference: tuple[Any, Any]) -> None:
    expected = greedy(reference, plain_prompt(CHAT), 24)
    assert "".join(language_model.stream(CHAT, max_new_tokens=24)) == expected != ""


def test_equal_chats_give_equal_answers_also_at_the_same_time(language_model: LocalModel) -> None:
    first = language_model.stream(CHAT, max_new_tokens=12)
    second = language_model.stream(CHAT, max_new_tokens=12)
    interleaved = [piece for pair in zip(first, second, strict=True) for piece in pair]
    assert interleaved[::2] == interleaved[1::2]
    assert interleaved


def test_the_answer_comes_in_pieces_while_it_is_made(language_model: LocalModel) -> None:
    assert len(list(language_model.stream(CHAT, max_new_tokens=12))) > 3


def test_the_count_is_that_of_the_prompt_that_is_sent(language_model: LocalModel, reference: tuple[Any, Any]) -> None:
    _, tokenizer = reference
    assert language_model.count_tokens(CHAT) == len(tokenizer(plain_prompt(CHAT))["input_ids"])


def test_the_context_length_is_that_of_the_configuration(language_model: LocalModel) -> None:
    assert language_model.context_length == 2048


@pytest.mark.slow
def test_an_answer_ends_where_the_context_ends(language_model: LocalModel, reference: tuple[Any, Any]) -> None:
    _, tokenizer = reference
    filler = Message("user", "x = 1\n" * 2000)
    while language_model.count_tokens([filler]) > language_model.context_length - 3:
        filler = filler._replace(content=filler.content[: -max(1, len(filler.content) // 50)])
    room = language_model.context_length - language_model.count_tokens([filler])
    answer = "".join(language_model.stream([filler], max_new_tokens=500))
    assert 0 < len(tokenizer(answer)["input_ids"]) <= room < 500


def test_a_prompt_that_fills_the_context_is_refused_before_anything_runs(language_model: LocalModel) -> None:
    with pytest.raises(ValueError, match="has room for 2048 with the answer: shorten"):
        language_model.stream([Message("user", "word " * 4000)], max_new_tokens=1)


@pytest.mark.parametrize("count", [0, -1])
def test_an_answer_of_no_tokens_is_refused(language_model: LocalModel, count: int) -> None:
    with pytest.raises(ValueError, match=f"max_new_tokens is {count}"):
        language_model.stream(CHAT, max_new_tokens=count)


def test_no_messages_are_refused(language_model: LocalModel) -> None:
    with pytest.raises(ValueError, match="no messages"):
        language_model.count_tokens([])


def generation_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sift-rag-generation"]


def test_closing_early_stops_the_model(language_model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    forward = language_model.network.forward

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal steps
        steps += 1
        return forward(*arguments, **named)

    monkeypatch.setattr(language_model.network, "forward", counted)
    stream = language_model.stream(CHAT, max_new_tokens=1500)
    next(stream)
    assert generation_threads()
    stream.close()  # type: ignore[attr-defined]
    assert not generation_threads()
    assert 0 < steps < 1000


def test_an_answer_that_is_dropped_leaves_no_thread(language_model: LocalModel) -> None:
    next(language_model.stream(CHAT, max_new_tokens=1500))
    assert not generation_threads()


def test_an_error_while_generating_reaches_the_reader_and_leaves_no_thread(
    language_model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **named: Any) -> Any:
        raise RuntimeError("a cable is loose")

    monkeypatch.setattr(language_model.network, "forward", broken)
    with pytest.raises(RuntimeError, match="a cable is loose"):
        list(language_model.stream(CHAT, max_new_tokens=5))
    assert not generation_threads()


def test_a_prompt_too_large_for_the_device_says_so(language_model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **named: Any) -> Any:
        raise torch.OutOfMemoryError("tried to allocate 20 GiB")

    monkeypatch.setattr(language_model.network, "forward", full)
    with pytest.raises(ModelUnsuitable, match="does not fit the memory of 'cpu'"):
        list(language_model.stream(CHAT, max_new_tokens=5))


def test_weights_that_are_no_numbers_are_told_instead_of_an_answer(folder: Path) -> None:
    model = load_local_model(str(folder))
    with torch.no_grad():
        next(model.network.parameters()).fill_(torch.nan)
    with pytest.raises(ModelUnsuitable, match="check its weights"):
        list(model.stream(CHAT, max_new_tokens=8))
    assert not generation_threads()


def test_generation_ends_at_a_stop_token_and_leaves_it_out(reference: tuple[Any, Any]) -> None:
    model, tokenizer = reference
    prompt = tokenizer("def __init__(")["input_ids"]
    unstopped = Ending(generate_tokens(model, prompt, [], 8), "stop")
    free = list(unstopped)
    assert (len(free), unstopped.value) == (8, "length")
    stopped = Ending(generate_tokens(model, prompt, [free[3]], 8), "length")
    assert (list(stopped), stopped.value) == (free[: free.index(free[3])], "stop")


def test_sampling_settings_of_the_model_neither_sample_nor_warn(folder: Path, language_model: LocalModel) -> None:
    (folder / "generation_config.json").write_text(
        json.dumps({"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 20, "max_length": 10}),
        encoding="utf-8",
    )
    model = load_local_model(str(folder), options=ModelOptions(device="cpu"))
    answers = {"".join(model.stream(CHAT, max_new_tokens=20)) for _ in range(3)}
    assert answers == {"".join(language_model.stream(CHAT, max_new_tokens=20))}


def test_both_the_models_and_the_tokenizers_end_of_text_end_an_answer(folder: Path) -> None:
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, 7]}), encoding="utf-8")
    assert load_local_model(str(folder), options=ModelOptions(device="cpu"))._stop_tokens == [0, 5, 7]
