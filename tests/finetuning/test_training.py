"""Training steps, compared with hand-written loops; and settings that must not matter."""

from __future__ import annotations

import gc
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file

from sift_rag.finetuning import PRESETS, FineTuning, Tuner, TuningStep, bits_per_byte, fine_tuned
from sift_rag.finetuning.settings import SMALL_MODEL_PARAMETERS, learning_rate_for
from sift_rag.models.local import LocalModel
from tests.finetuning.conftest import TEXTS, small
from tests.finetuning.states import weights_of

FULL = FineTuning(method="full", learning_rate=1e-3)
LORA = FineTuning(rank=4, learning_rate=1e-2)
ALL_LINEAR_AND_OUTPUT = {
    "gpt2": ["c_attn", "c_fc", "c_proj", "lm_head"],
    "phi-3": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head"],
    "qwen3": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"],
}


def ids(model: LocalModel, text: str) -> torch.Tensor:
    return torch.tensor([model.tokenizer(text, add_special_tokens=False)["input_ids"]])


def adam_by_hand(
    parameters: Sequence[torch.Tensor], gradients: Sequence[Sequence[torch.Tensor]], rate: float
) -> list[torch.Tensor]:
    """The parameters after these gradients, as in the algorithm's paper, in float64."""
    moved = []
    for parameter, seen in zip(parameters, zip(*gradients, strict=True), strict=True):
        value, first, second = parameter.detach().double(), torch.zeros(()).double(), torch.zeros(()).double()
        for t, gradient in enumerate(seen, 1):
            first = 0.9 * first + 0.1 * gradient.double()
            second = 0.999 * second + 0.001 * gradient.double() ** 2
            value = value - rate * (first / (1 - 0.9**t)) / ((second / (1 - 0.999**t)).sqrt() + 1e-8)
        moved.append(value)
    return moved


def test_a_full_step_is_adams(other_model: LocalModel) -> None:
    network = other_model.network
    tokens = ids(other_model, TEXTS[0])
    network(input_ids=tokens, labels=tokens).loss.backward()
    parameters = list(network.parameters())
    gradients = [[p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]]
    expected = adam_by_hand(parameters, gradients, 1e-3)
    network.zero_grad()
    with fine_tuned(other_model, TEXTS[:1], settings=FULL):
        for parameter, value in zip(network.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.double(), value, rtol=1e-5, atol=1e-6)


def test_full_steps_are_those_of_a_bare_loop(exact_model: LocalModel) -> None:
    model = exact_model
    network: Any = model.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-8)
    losses = []
    for text in TEXTS:
        tokens = ids(model, text)
        loss = network(input_ids=tokens, labels=tokens).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    expected = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(before)
    with fine_tuned(model, TEXTS, settings=FULL) as tuning:
        assert tuning.losses == pytest.approx(losses, rel=1e-4)
        for name, tensor in network.state_dict().items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`", "ignore:fan_in_fan_out is set to")
@pytest.mark.parametrize("target_modules", [None, "all-linear"])
@pytest.mark.parametrize("architecture", ["gpt2", "phi-3", "qwen3"])
def test_lora_steps_are_those_of_a_plain_peft_loop(
    architecture: str, target_modules: str | None, tokenizer: Any, tmp_path: Path
) -> None:
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

    plain: Any = get_peft_model(
        small(architecture, tokenizer).network,
        LoraConfig(
            r=4,
            lora_alpha=32,
            target_modules=target_modules or ALL_LINEAR_AND_OUTPUT[architecture],
            fan_in_fan_out=architecture == "gpt2",
            task_type="CAUSAL_LM",
        ),
    ).eval()
    generator = torch.Generator().manual_seed(0)
    for name, parameter in plain.named_parameters():
        if "lora_A" in name:
            torch.nn.init.kaiming_uniform_(parameter.data, a=math.sqrt(5), generator=generator)
    optimiser = torch.optim.Adam([p for p in plain.parameters() if p.requires_grad], lr=1e-2, eps=1e-8)
    model = small(architecture, tokenizer)
    for text in TEXTS:
        optimiser.zero_grad()
        tokens = ids(model, text)
        plain(input_ids=tokens, labels=tokens).loss.backward()
        optimiser.step()
    with fine_tuned(model, TEXTS, settings=replace(LORA, target_modules=target_modules)) as tuning:
        tuning.save_adapter(tmp_path / "adapter")
    ours = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    theirs = get_peft_model_state_dict(plain, save_embedding_layers=False)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("settings", [FULL, LORA], ids=["full", "lora"])
def test_equal_passages_give_equal_weights_whatever_came_before(
    other_model: LocalModel, settings: FineTuning, tmp_path: Path
) -> None:
    seen = []
    tuner = Tuner(other_model, settings)
    for passages in (TEXTS[1:], TEXTS[:1] * 3, TEXTS[1:]):
        with tuner.tuned(passages) as tuning:
            seen.append((tuning.losses, weights_of(other_model.network)))
    with fine_tuned(other_model, TEXTS[1:], settings=settings) as tuning:
        seen.append((tuning.losses, weights_of(other_model.network)))
    assert seen[0] == seen[2] == seen[3] != seen[1]


def test_dropout_depends_on_the_seed_alone(tokenizer: Any) -> None:
    model = small("qwen3", tokenizer)

    def losses(seed: int) -> tuple[float, ...]:
        with fine_tuned(model, TEXTS * 2, settings=FineTuning(learning_rate=1e-2, dropout=0.5, seed=seed)) as tuning:
            return tuning.losses

    first = losses(0)
    torch.rand(5)
    assert losses(0) == first != losses(1)
    without = FineTuning(learning_rate=1e-2)
    with fine_tuned(model, TEXTS * 2, settings=without) as tuning:
        assert tuning.losses != first


def test_the_models_own_dropout_is_off(tokenizer: Any) -> None:
    trained = small("gpt2", tokenizer, resid_pdrop=0.5)
    trained.network.train()
    with fine_tuned(trained, TEXTS, settings=FULL) as tuning:
        losses = tuning.losses
    assert trained.network.training
    with fine_tuned(small("gpt2", tokenizer, resid_pdrop=0.0), TEXTS, settings=FULL) as tuning:
        assert tuning.losses == losses


def test_a_repeated_passage_is_a_step_each_time(other_model: LocalModel) -> None:
    seen: list[TuningStep] = []
    with fine_tuned(other_model, [TEXTS[0], TEXTS[0], TEXTS[1]], settings=LORA, on_step=seen.append) as tuning:
        assert tuning.steps == len(tuning.losses) == 3
        assert tuning.losses[1] < tuning.losses[0]
    sizes = [ids(other_model, text).numel() - 1 for text in TEXTS]
    assert tuning.tokens == 2 * sizes[0] + sizes[1]
    assert [(step.number, step.total, step.tokens) for step in seen] == [
        (1, 3, sizes[0]),
        (2, 3, 2 * sizes[0]),
        (3, 3, tuning.tokens),
    ]
    assert tuple(step.loss for step in seen) == tuning.losses
    assert [step.seconds for step in seen] == sorted(step.seconds for step in seen)


@pytest.mark.parametrize("settings", [FineTuning(), FineTuning(method="full")], ids=["lora", "full"])
def test_the_default_settings_learn_on_a_trained_model(model: LocalModel, settings: FineTuning) -> None:
    before = bits_per_byte(model, TEXTS[0])
    with fine_tuned(model, TEXTS[:1] * 10, settings=settings) as tuning:
        assert tuning.losses[-1] < 0.7 * tuning.losses[0]
        assert bits_per_byte(model, TEXTS[0]) < 0.7 * before
    assert bits_per_byte(model, TEXTS[0]) == before


@pytest.mark.slow
def test_one_pass_scores_every_number_of_passages(model: LocalModel) -> None:
    swept: list[float] = []
    with fine_tuned(model, TEXTS, on_step=lambda _: swept.append(bits_per_byte(model, TEXTS[0]))):
        pass
    for k in (1, 2, 3):
        with fine_tuned(model, TEXTS[:k]):
            assert bits_per_byte(model, TEXTS[0]) == swept[k - 1]


def test_the_loss_of_a_long_passage_is_the_mean_over_all_its_tokens(tokenizer: Any) -> None:
    model = small("gpt2", tokenizer)  # reads 64 tokens
    text = "".join(TEXTS) * 3
    tokens = ids(model, text)
    total, count = 0.0, 0
    with torch.no_grad():
        for start in range(0, tokens.shape[1] - 1, 63):
            window = tokens[:, start : start + 64]
            total += float(model.network(input_ids=window, labels=window).loss) * (window.shape[1] - 1)
            count += window.shape[1] - 1
    with fine_tuned(model, [text], settings=FULL) as tuning:
        assert tuning.tokens == count == tokens.shape[1] - 1
        assert tuning.losses[0] == pytest.approx(total / count, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"micro_batch": 2}, {"micro_batch": 50}, {"checkpointing": True}])
def test_what_saves_memory_does_not_change_what_is_learnt(other_model: LocalModel, changed: dict[str, Any]) -> None:
    text = "".join(TEXTS) * 3

    def learnt(settings: FineTuning) -> torch.Tensor:
        with fine_tuned(other_model, [text, TEXTS[0]], settings=settings), torch.inference_mode():
            return other_model.network(input_ids=ids(other_model, TEXTS[1])).logits  # type: ignore[no-any-return]

    plain = FineTuning(rank=4, learning_rate=1e-3, window=32)
    economical = FineTuning(rank=4, learning_rate=1e-3, window=32, **changed)
    torch.testing.assert_close(learnt(economical), learnt(plain), rtol=1e-4, atol=1e-4)


def test_a_gradient_is_reused_for_as_many_steps_as_asked(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small("qwen3", tokenizer)
    parameters = list(model.network.parameters())
    passages = [*TEXTS[:1] * 3, TEXTS[1], TEXTS[0]]  # a gradient for the first, third, fourth and fifth

    reference: Any = small("qwen3", tokenizer).network
    trained = list(reference.parameters())
    seen: list[list[torch.Tensor]] = []
    for number, text in enumerate(passages):
        if number != 1:
            tokens = ids(model, text)
            reference.zero_grad()
            reference(input_ids=tokens, labels=tokens).loss.backward()
        seen.append([p.grad.clone() for p in trained])
        moved = adam_by_hand(parameters, seen, 1e-3)
        with torch.no_grad():
            for parameter, value in zip(trained, moved, strict=True):
                parameter.copy_(value)

    settings = FineTuning(method="full", learning_rate=1e-3, refresh_every=2)
    with fine_tuned(model, passages, settings=settings) as tuning:
        assert tuning.steps == 5
        assert tuning.losses[1] == tuning.losses[0] != tuning.losses[2]
        assert tuning.tokens == sum(ids(model, passages[i]).numel() - 1 for i in (0, 2, 3, 4))
        for parameter, value in zip(parameters, trained, strict=True):
            torch.testing.assert_close(parameter, value, rtol=1e-3, atol=2e-5)


def test_small_steps_add_up_in_a_model_of_few_bits(tokenizer: Any) -> None:
    model = small("gpt2", tokenizer)
    model.network.to(torch.bfloat16)
    weight = model.network.get_parameter("transformer.h.0.mlp.c_fc.weight")
    large = weight.detach().abs() > 0.03  # neighbours in bfloat16 are 1.2e-4 apart: a step of 2e-5 is rounded away
    before = weight.detach().clone()
    with fine_tuned(model, TEXTS[:1] * 20, settings=FineTuning(method="full", learning_rate=2e-5)):
        assert weight.dtype == torch.bfloat16
        assert bool((weight[large] != before[large]).float().mean() > 0.5)
    assert torch.equal(weight, before)


def test_an_adapter_of_a_model_of_few_bits_is_kept_in_float32(tokenizer: Any, tmp_path: Path) -> None:
    model = small("qwen3", tokenizer)
    model.network.to(torch.bfloat16)
    with fine_tuned(model, TEXTS, settings=LORA) as tuning:
        tuning.save_adapter(tmp_path / "adapter")
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_the_time_budget_ends_it_after_the_step_that_exceeds_it(other_model: LocalModel) -> None:
    with fine_tuned(other_model, TEXTS * 10, settings=FineTuning(seconds=1e-9)) as tuning:
        assert (tuning.steps, tuning.stopped) == (1, True)
    with fine_tuned(other_model, TEXTS, settings=FineTuning(seconds=3600.0)) as tuning:
        assert (tuning.steps, tuning.stopped) == (3, False)


@pytest.mark.slow
def test_many_prompts_leave_nothing_behind(tokenizer: Any) -> None:
    model = small("qwen3", tokenizer)

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    for settings in (LORA, FULL):
        tuner = Tuner(model, settings)
        with tuner.tuned(TEXTS):
            pass
        once = tensors()
        for _ in range(5):
            with tuner.tuned(TEXTS):
                pass
        assert tensors() == once


@pytest.mark.parametrize(
    ("architecture", "preset"), [("gpt2", "gpt2"), ("gpt2", "gpt2-large"), ("phi-3", "phi-3"), ("qwen3", "qwen3-0.6b")]
)
def test_each_preset_learns_on_its_architecture(architecture: str, preset: str, tokenizer: Any) -> None:
    model = small(architecture, tokenizer)
    with fine_tuned(model, TEXTS[:1] * 10, settings=PRESETS[preset].settings) as tuning:
        assert tuning.losses[-1] < tuning.losses[0]


def test_only_the_layers_that_are_named_are_trained(tokenizer: Any, tmp_path: Path) -> None:
    settings = FineTuning(rank=2, target_modules=("q_proj", "v_proj"))
    with fine_tuned(small("qwen3", tokenizer), TEXTS, settings=settings) as tuning:
        tuning.save_adapter(tmp_path / "adapter")
    names = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert {name.split(".")[-3] for name in names} == {"q_proj", "v_proj"}


def test_only_of_a_small_model_the_output_is_adapted_too(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def adapted(folder: Path) -> set[str]:
        with fine_tuned(small("qwen3", tokenizer), TEXTS) as tuning:
            tuning.save_adapter(folder)
        return {name.split(".")[-3] for name in load_file(folder / "adapter_model.safetensors")}

    of_a_small_one = adapted(tmp_path / "small")
    monkeypatch.setattr("sift_rag.finetuning.settings.SMALL_MODEL_PARAMETERS", 1000)
    assert of_a_small_one == adapted(tmp_path / "large") | {"lm_head"} == set(ALL_LINEAR_AND_OUTPUT["qwen3"])


def test_figures_of_the_cost_are_told(other_model: LocalModel) -> None:
    with fine_tuned(other_model, TEXTS, settings=LORA) as tuning:
        assert tuning.seconds > 0
        assert tuning.peak_bytes > sum(p.numel() * 4 for p in other_model.network.parameters())
        assert tuning.learning_rate == 1e-2
        assert tuning.measures == ()


def test_the_default_learning_rate_is_by_method_size_and_steps() -> None:
    small_size, large_size = SMALL_MODEL_PARAMETERS, SMALL_MODEL_PARAMETERS + 1
    full, lora = FineTuning(method="full"), FineTuning()
    assert learning_rate_for(full, large_size, 50) == 5e-5  # the paper's, for its number of steps
    assert learning_rate_for(full, small_size, 50) > learning_rate_for(full, large_size, 50)
    assert learning_rate_for(lora, large_size, 50) > learning_rate_for(full, large_size, 50)
    assert learning_rate_for(lora, small_size, 50) > learning_rate_for(full, small_size, 50)
    for settings in (full, lora):
        rates = [learning_rate_for(settings, large_size, steps) for steps in (1, 5, 10, 20, 50, 200)]
        assert rates == sorted(rates, reverse=True)
        assert rates[0] == rates[1] == pytest.approx(2 * rates[3])
    assert learning_rate_for(FineTuning(learning_rate=0.1), small_size, 5) == 0.1


@pytest.mark.parametrize("method", ["lora", "full"])
def test_fewer_passages_are_learnt_at_a_larger_rate(other_model: LocalModel, method: Literal["lora", "full"]) -> None:
    tuner = Tuner(other_model, FineTuning(method=method))
    with tuner.tuned(TEXTS[:1] * 5) as few:
        pass
    with tuner.tuned(TEXTS[:1] * 20) as many:
        pass
    assert few.learning_rate == pytest.approx(2 * many.learning_rate)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_time_budget_that_is_never_reached_changes_nothing(
    other_model: LocalModel, method: Literal["lora", "full"]
) -> None:
    losses = []
    for seconds in (None, math.inf, 1e6):
        with fine_tuned(other_model, TEXTS * 2, settings=FineTuning(method=method, seconds=seconds)) as tuning:
            losses.append((tuning.losses, tuning.learning_rate))
    assert losses[0] == losses[1] == losses[2]


def test_the_rate_follows_the_number_of_steps_that_a_time_budget_allows(
    other_model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = itertools.count()
    monkeypatch.setattr("sift_rag.finetuning.training.perf_counter", lambda: float(next(now)))
    with fine_tuned(other_model, TEXTS[:1] * 40, settings=FineTuning(seconds=9.5)) as tuning:
        pass
    assert tuning.stopped
    assert tuning.learning_rate == learning_rate_for(FineTuning(), SMALL_MODEL_PARAMETERS, tuning.steps)
