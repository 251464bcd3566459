"""Weights of 8 and 4 bits: smaller, able to learn by LoRA, the same afterwards; refused where they cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import sift_rag.models.quantization as quantization
from sift_rag import ModelOptions
from sift_rag.errors import MissingExtra, ModelUnsuitable
from sift_rag.finetuning import FineTuning, Tuner, score_text
from sift_rag.models.local import LocalModel, load_local_model
from sift_rag.protocols import Message

MODEL = str(Path(__file__).parents[1] / "data" / "stdlib-lm")
TEXT = "def read_records(path):\n    return [line.strip() for line in open(path)]\n"


@pytest.fixture(scope="module", params=[8, 4])
def model(request: pytest.FixtureRequest) -> LocalModel:
    pytest.importorskip("bitsandbytes", reason="the extra 'quantized' is not installed")
    return load_local_model(MODEL, options=ModelOptions(device="cpu", bits=request.param))


def everything(model: LocalModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


def test_its_linear_layers_take_so_few_bits(model: LocalModel) -> None:
    layer: Any = model.network.get_submodule("model.layers.0.mlp.up_proj")
    bits = 8 if layer.weight.dtype == torch.int8 else 4
    assert layer.weight.numel() * layer.weight.element_size() * 8 == 192 * 512 * bits


def test_it_predicts_nearly_as_well(model: LocalModel) -> None:
    whole = score_text(load_local_model(MODEL, options=ModelOptions(device="cpu")), TEXT)
    assert score_text(model, TEXT).bits == pytest.approx(whole.bits, rel=0.1)


def test_it_answers(model: LocalModel) -> None:
    assert "".join(model.stream([Message("user", "def read(")], max_new_tokens=5))


def test_it_learns_by_lora_and_is_the_same_afterwards(model: LocalModel) -> None:
    before, score = everything(model), score_text(model, TEXT)
    with Tuner(model, FineTuning(learning_rate=2e-3)).tuned([TEXT] * 5):
        assert score_text(model, TEXT).bits < 0.95 * score.bits
    after = everything(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert score_text(model, TEXT) == score


def test_all_weights_of_it_cannot_be_fine_tuned(model: LocalModel) -> None:
    with pytest.raises(ModelUnsuitable, match=r"quantised.*method 'lora'"):
        Tuner(model, FineTuning(method="full"))


def test_a_device_that_cannot_compute_with_them_is_refused() -> None:
    with pytest.raises(ModelUnsuitable, match=r"with 4 bits on 'mps'.*without bits, or on another device"):
        load_local_model(MODEL, options=ModelOptions(device="mps", bits=4))


def test_the_package_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str, extra: str) -> None:
        raise MissingExtra(package, extra)

    monkeypatch.setattr(quantization, "require", missing)
    with pytest.raises(MissingExtra, match=r"bitsandbytes.*quantized"):
        load_local_model(MODEL, options=ModelOptions(device="cpu", bits=8))


@pytest.mark.parametrize("bits", [0, 1, 3, 16, -4])
def test_other_bits_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"bits is {bits}: expected 8 or 4"):
        ModelOptions(bits=bits)
