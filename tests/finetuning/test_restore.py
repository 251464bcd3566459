"""After the block, the model is bit for bit what it was, however the block ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from sift_rag.errors import TrainingFailed
from sift_rag.finetuning import FineTuning, Tuner, TuningStep, fine_tuned
from sift_rag.models.local import LocalModel
from tests.finetuning.conftest import TEXTS, small
from tests.finetuning.states import state_of, weights_of

METHODS = [FineTuning(method="lora", rank=4), FineTuning(method="full")]


@pytest.fixture(params=METHODS, ids=lambda settings: settings.method)
def settings(request: pytest.FixtureRequest) -> FineTuning:
    return request.param  # type: ignore[no-any-return]


def logits(model: LocalModel) -> torch.Tensor:
    with torch.inference_mode():
        return model.network(input_ids=torch.tensor([[5, 6, 7, 8]])).logits  # type: ignore[no-any-return]


def test_after_an_ordinary_end(other_model: LocalModel, settings: FineTuning) -> None:
    before, answered = state_of(other_model.network), logits(other_model)
    with fine_tuned(other_model, TEXTS, settings=settings):
        assert not torch.equal(logits(other_model), answered)
    assert state_of(other_model.network) == before
    assert torch.equal(logits(other_model), answered)


def test_while_a_tuner_is_held(other_model: LocalModel, settings: FineTuning) -> None:
    before = state_of(other_model.network)
    tuner = Tuner(other_model, settings)
    assert state_of(other_model.network) == before
    with tuner.tuned(TEXTS):
        pass
    assert state_of(other_model.network) == before


def test_after_an_error_in_the_body(other_model: LocalModel, settings: FineTuning) -> None:
    before = state_of(other_model.network)
    with pytest.raises(ZeroDivisionError), fine_tuned(other_model, TEXTS, settings=settings):
        1 / 0  # noqa: B018
    assert state_of(other_model.network) == before


@pytest.mark.parametrize("number", [1, 2, 3])
def test_after_an_interrupt_between_steps(other_model: LocalModel, settings: FineTuning, number: int) -> None:
    before = state_of(other_model.network)

    def interrupt(step: TuningStep) -> None:
        if step.number == number:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), fine_tuned(other_model, TEXTS, settings=settings, on_step=interrupt):
        pytest.fail("the body ran")
    assert state_of(other_model.network) == before


@pytest.mark.parametrize("where", ["forward", "backward", "step"])
def test_after_an_interrupt_within_a_step(
    other_model: LocalModel, settings: FineTuning, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state_of(other_model.network)
    calls = 0

    def interrupted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise KeyboardInterrupt
            return original(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        owner, name = {
            "forward": (type(other_model.network), "forward"),
            "backward": (torch.Tensor, "backward"),
            "step": (torch.optim.Adam, "step"),
        }[where]
        patch.setattr(owner, name, interrupted(getattr(owner, name)))
        with pytest.raises(KeyboardInterrupt), fine_tuned(other_model, TEXTS, settings=settings):
            pytest.fail("the body ran")
    assert state_of(other_model.network) == before


@pytest.mark.parametrize("times", [1, 3])
def test_after_an_interrupt_while_restoring(
    other_model: LocalModel, settings: FineTuning, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """A key that is held down interrupts again and again."""
    before = state_of(other_model.network)
    setter = torch.nn.Module.__setattr__
    pending = [0]

    def interrupted(module: torch.nn.Module, name: str, value: Any) -> None:
        if pending[0] and name == "training":
            pending[0] -= 1
            raise KeyboardInterrupt
        setter(module, name, value)

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Module, "__setattr__", interrupted)
        with pytest.raises(KeyboardInterrupt), fine_tuned(other_model, TEXTS, settings=settings):
            pending[0] = times
        assert not pending[0]
    assert state_of(other_model.network) == before


@pytest.mark.parametrize("learning_rate", [1e30, 3e38])
def test_after_a_loss_that_is_no_number(other_model: LocalModel, settings: FineTuning, learning_rate: float) -> None:
    before = state_of(other_model.network)
    wild = FineTuning(method=settings.method, learning_rate=learning_rate)
    with pytest.raises(TrainingFailed, match="lower the learning rate"), fine_tuned(other_model, TEXTS, settings=wild):
        pytest.fail("the body ran")
    assert state_of(other_model.network) == before


def test_weights_that_are_no_numbers_after_the_last_step_are_found(
    other_model: LocalModel, settings: FineTuning
) -> None:
    before = state_of(other_model.network)
    wild = FineTuning(method=settings.method, learning_rate=math.nextafter(math.inf, 0))
    with (
        pytest.raises(TrainingFailed, match="not finite after step 1"),
        fine_tuned(other_model, TEXTS[:1], settings=wild),
    ):
        pytest.fail("the body ran")
    assert state_of(other_model.network) == before


def test_a_model_with_broken_weights_is_blamed_itself(other_model: LocalModel, settings: FineTuning) -> None:
    with torch.no_grad():
        next(other_model.network.parameters())[:] = math.nan
    before = weights_of(other_model.network)
    with pytest.raises(TrainingFailed, match="check its weights"), fine_tuned(other_model, TEXTS, settings=settings):
        pytest.fail("the body ran")
    assert weights_of(other_model.network) == before


def test_flags_and_gradients_of_a_model_in_use_come_back(tokenizer: Any, settings: FineTuning) -> None:
    model = small("gpt2", tokenizer)
    network: Any = model.network
    network.transformer.h[0].train()
    network.transformer.wte.weight.requires_grad = False
    network.transformer.wpe.weight.grad = gradient = torch.ones_like(network.transformer.wpe.weight)
    before = state_of(network)
    with fine_tuned(model, TEXTS, settings=settings):
        assert [module.training for module in network.transformer.h[0].children()] == [True] * 4
        assert not network.transformer.wte.weight.requires_grad
    after = state_of(network)
    assert after.pop("gradients")["transformer.wpe.weight"] is gradient
    before.pop("gradients")
    assert after == before


def test_buffers_that_change_or_are_replaced_come_back(tokenizer: Any, settings: FineTuning) -> None:
    model = small("qwen3", tokenizer)
    network: Any = model.network
    network.register_buffer("seen", torch.zeros(1))
    before = state_of(network)

    def count(step: TuningStep) -> None:
        network.seen += 1
        network.model.rotary_emb.register_buffer("inv_freq", torch.ones(3), persistent=False)

    with pytest.raises(RuntimeError), fine_tuned(model, TEXTS, settings=settings, on_step=count):
        pytest.fail("the body ran")  # the second step cannot use such a buffer
    assert state_of(network) == before


def test_checkpointing_leaves_nothing(other_model: LocalModel) -> None:
    before = state_of(other_model.network)
    with fine_tuned(other_model, TEXTS, settings=FineTuning(rank=4, checkpointing=True)):
        assert not any(getattr(module, "gradient_checkpointing", False) for module in other_model.network.modules())
    assert state_of(other_model.network) == before


def test_the_body_has_the_random_numbers_of_before(other_model: LocalModel, settings: FineTuning) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with fine_tuned(other_model, TEXTS, settings=settings):
        assert torch.equal(torch.rand(3), expected)


def test_it_works_where_the_caller_has_switched_gradients_off(other_model: LocalModel, settings: FineTuning) -> None:
    before = state_of(other_model.network)
    losses = []
    for off in (torch.no_grad, torch.inference_mode):
        with off(), fine_tuned(other_model, TEXTS, settings=settings) as tuning:
            losses.append(tuning.losses)
    assert losses[0] == losses[1]
    assert state_of(other_model.network) == before


def test_weights_that_change_between_prompts_are_not_reverted(tokenizer: Any) -> None:
    model = small("gpt2", tokenizer)
    tuner = Tuner(model, FineTuning(method="full"))
    with tuner.tuned(TEXTS):
        pass
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(0.01)
    before = weights_of(model.network)
    with tuner.tuned(TEXTS):
        pass
    assert weights_of(model.network) == before
