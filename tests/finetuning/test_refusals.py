"""A model that cannot be fine-tuned as asked is refused before anything changes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from sift_rag.errors import ConfigurationError, ModelUnsuitable, NothingToLearn, TrainingFailed
from sift_rag.finetuning import FineTuning, Tuner, fine_tuned
from sift_rag.models.local import LocalModel
from sift_rag.opening import open_model, open_tuner
from tests.finetuning.conftest import TEXTS, small
from tests.finetuning.states import state_of


@pytest.fixture
def gpt2(tokenizer: Any) -> LocalModel:
    return small("gpt2", tokenizer)


def test_a_model_at_an_endpoint() -> None:
    remote = open_model("somewhere else", base_url="http://localhost:1/v1")
    with pytest.raises(ConfigurationError, match="at an endpoint, which does not give its weights"):
        open_tuner(remote)


def test_a_tuner_of_an_open_model(gpt2: LocalModel) -> None:
    with open_tuner(gpt2, FineTuning(rank=2)).tuned(TEXTS) as tuning:
        assert tuning.steps == 3


@pytest.mark.parametrize("passages", [[], [""], ["a", "b"]])
def test_nothing_to_learn_from(gpt2: LocalModel, passages: list[str]) -> None:
    with (
        pytest.raises(NothingToLearn, match=f"{len(passages)} passages, none of two tokens"),
        fine_tuned(gpt2, passages),
    ):
        pytest.fail("the body ran")


def test_passages_of_one_token_are_counted_beside_others(gpt2: LocalModel) -> None:
    with fine_tuned(gpt2, ["a", TEXTS[0], ""]) as tuning:
        assert (tuning.steps, tuning.skipped) == (1, 2)


def test_a_model_that_is_not_causal(tokenizer: Any) -> None:
    config = T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, vocab_size=2048, decoder_start_token_id=0)
    translator: Any = T5ForConditionalGeneration(config)
    with pytest.raises(ModelUnsuitable, match="T5ForConditionalGeneration, which does not predict the next token"):
        Tuner(LocalModel("t5", translator, tokenizer))


def test_a_model_whose_weights_are_not_in_memory(gpt2: LocalModel) -> None:
    gpt2.network.to("meta")
    with pytest.raises(ModelUnsuitable, match="no weights in memory"):
        Tuner(gpt2)


def test_a_quantised_model_takes_lora_and_refuses_full(gpt2: LocalModel) -> None:
    setattr(gpt2.network, "is_quantized", True)  # noqa: B010 - as transformers marks it
    with pytest.raises(ModelUnsuitable, match=r"quantised.*'lora'"):
        Tuner(gpt2, FineTuning(method="full"))
    with fine_tuned(gpt2, TEXTS) as tuning:
        assert tuning.steps == 3


def test_weights_that_are_no_floating_point_numbers_are_quantised(gpt2: LocalModel) -> None:
    weight = torch.nn.Parameter(torch.zeros(2, dtype=torch.int8), requires_grad=False)
    gpt2.network.register_parameter("packed", weight)
    with pytest.raises(ModelUnsuitable, match="quantised"):
        Tuner(gpt2, FineTuning(method="full"))


def test_a_model_that_carries_an_adapter(gpt2: LocalModel) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    inject_adapter_in_model(LoraConfig(target_modules=["c_attn"], fan_in_fan_out=True), gpt2.network)
    with pytest.raises(ModelUnsuitable, match="carries an adapter already"):
        Tuner(gpt2)


def test_layers_that_it_does_not_have(gpt2: LocalModel) -> None:
    before = state_of(gpt2.network)
    with pytest.raises(ValueError, match=r"target_modules is \('q_proj',\), and 'gpt2' has no such layers"):
        Tuner(gpt2, FineTuning(target_modules=("q_proj",)))
    assert state_of(gpt2.network) == before


def test_layers_that_lora_cannot_be_added_to(gpt2: LocalModel) -> None:
    before = state_of(gpt2.network)
    with pytest.raises(ModelUnsuitable, match="LoRA cannot be added to the layers of 'gpt2'"):
        Tuner(gpt2, FineTuning(target_modules=("ln_1",)))
    assert state_of(gpt2.network) == before


def test_an_end_token_that_the_tokenizer_has_not(gpt2: LocalModel, tokenizer: Any) -> None:
    from copy import deepcopy

    endless = deepcopy(tokenizer)
    endless.eos_token = None
    model = LocalModel("endless", gpt2.network, endless)
    with (
        pytest.raises(ModelUnsuitable, match="no end token"),
        fine_tuned(model, TEXTS, settings=FineTuning(end_token=True)),
    ):
        pytest.fail("the body ran")
    with fine_tuned(model, TEXTS) as tuning:
        assert tuning.steps == 3


class Scarce:
    """A forward pass that finds too little memory, but for what ``fits`` lets through."""

    def __init__(self, model: LocalModel, monkeypatch: pytest.MonkeyPatch, *, rows: int, checkpointed: bool) -> None:
        forward = model.network.forward

        def scarce(*arguments: Any, input_ids: torch.Tensor, **named: Any) -> Any:
            economical = any(getattr(module, "gradient_checkpointing", False) for module in model.network.modules())
            if len(input_ids) > rows or (checkpointed and not economical):
                raise torch.OutOfMemoryError("tried to allocate 20 GiB")
            return forward(*arguments, input_ids=input_ids, **named)

        monkeypatch.setattr(model.network, "forward", scarce)


LONG = "".join(TEXTS) * 3
ECONOMY = FineTuning(rank=4, window=16, micro_batch=4)


@pytest.mark.slow
def test_too_little_memory_is_met_with_checkpointing_and_smaller_batches(
    gpt2: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state_of(gpt2.network)
    with fine_tuned(gpt2, [LONG] * 2, settings=ECONOMY) as tuning:
        expected = tuning.losses
    assert state_of(gpt2.network) == before
    Scarce(gpt2, monkeypatch, rows=1, checkpointed=True)
    before = state_of(gpt2.network)
    with fine_tuned(gpt2, [LONG] * 2, settings=ECONOMY) as tuning:
        assert tuning.measures == ("checkpointing", "micro-batches of 2", "micro-batches of 1")
        assert tuning.losses == pytest.approx(expected, rel=1e-4)
    assert state_of(gpt2.network) == before


@pytest.mark.slow
def test_what_a_failed_attempt_had_begun_is_forgotten(gpt2: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = FineTuning(method="full", window=16, learning_rate=1e-2)
    with fine_tuned(gpt2, [LONG] * 3, settings=settings) as tuning:
        expected = tuning.losses
    forward, calls = gpt2.network.forward, 0

    def third_fails(**named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:  # the gradients of two windows are there by now
            raise torch.OutOfMemoryError("tried to allocate 20 GiB")
        return forward(**named)

    monkeypatch.setattr(gpt2.network, "forward", third_fails)
    with fine_tuned(gpt2, [LONG] * 3, settings=settings) as tuning:
        assert tuning.measures == ("checkpointing",)
        assert tuning.losses == pytest.approx(expected, rel=1e-5)


def test_too_little_memory_for_anything(gpt2: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    Scarce(gpt2, monkeypatch, rows=0, checkpointed=True)
    before = state_of(gpt2.network)
    with (
        pytest.raises(TrainingFailed, match=r"does not fit the memory.*smaller window"),
        fine_tuned(gpt2, [LONG], settings=ECONOMY),
    ):
        pytest.fail("the body ran")
    assert state_of(gpt2.network) == before


def test_another_error_of_the_model_is_not_taken_for_too_little_memory(
    gpt2: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**named: Any) -> Any:
        raise RuntimeError("a cable is loose")

    monkeypatch.setattr(gpt2.network, "forward", broken)
    before = state_of(gpt2.network)
    with pytest.raises(RuntimeError, match="a cable is loose"), fine_tuned(gpt2, TEXTS):
        pytest.fail("the body ran")
    assert state_of(gpt2.network) == before


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"method": "prefix"}, "method is 'prefix'"),
        ({"rank": 0}, "rank is 0"),
        ({"alpha": 0}, "alpha is 0"),
        ({"micro_batch": 0}, "micro_batch is 0"),
        ({"refresh_every": 0}, "refresh_every is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"window": 1}, "window is 1"),
        ({"seconds": 0.0}, "seconds is 0.0"),
        ({"target_modules": ()}, "target_modules is empty"),
    ],
)
def test_a_setting_out_of_range(argument: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FineTuning(**argument)


def test_importing_the_package_loads_no_heavy_library() -> None:
    heavy = ["torch", "transformers", "peft"]
    code = f"import sys, sift_rag.finetuning; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
