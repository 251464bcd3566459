"""Nobody ever reads weights that were changed for another prompt."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sift_rag.errors import ModelInUse
from sift_rag.finetuning import FineTuning, Tuner, bits_per_byte, fine_tuned
from sift_rag.finetuning.restore import WeightStore
from sift_rag.models.local import LocalModel
from sift_rag.models.weight_lock import WeightLock
from sift_rag.protocols import Message
from tests.finetuning.conftest import TEXTS
from tests.finetuning.states import state_of

CHAT = (Message("user", "Read the records."),)


def answer(model: LocalModel, count: int = 12) -> str:
    return "".join(model.stream(CHAT, max_new_tokens=count))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_an_answer_within_comes_from_the_tuned_weights(model: LocalModel, method: Any) -> None:
    plain = answer(model)
    with fine_tuned(model, TEXTS[:1] * 20, settings=FineTuning(method=method)):
        tuned = answer(model)
    assert tuned != plain
    assert answer(model) == plain


def test_two_prompts_at_once_are_refused_and_the_first_goes_on(model: LocalModel) -> None:
    before = state_of(model.network)
    tuner, other = Tuner(model), Tuner(model)
    wrapped_again = Tuner(LocalModel("the same", model.network, model.tokenizer))
    with tuner.tuned(TEXTS):
        tuned = bits_per_byte(model, TEXTS[0])
        for second in (tuner, other, wrapped_again):
            with pytest.raises(ModelInUse, match="being fine-tuned for another prompt"), second.tuned(TEXTS):
                pytest.fail("the body ran")
        with pytest.raises(ModelInUse):
            Tuner(model)
        assert bits_per_byte(model, TEXTS[0]) == tuned
    assert state_of(model.network) == before
    with other.tuned(TEXTS):
        assert bits_per_byte(model, TEXTS[0]) == tuned


def test_another_thread_reads_no_tuned_weights(model: LocalModel) -> None:
    with ThreadPoolExecutor(1) as other:
        with fine_tuned(model, TEXTS):
            with pytest.raises(ModelInUse, match="ask again when that has ended"):
                other.submit(answer, model).result()
            with pytest.raises(ModelInUse):
                other.submit(bits_per_byte, model, TEXTS[0]).result()
        assert other.submit(answer, model).result() == answer(model)


def test_an_answer_in_progress_keeps_its_weights(model: LocalModel) -> None:
    whole = answer(model)
    stream = model.stream(CHAT, max_new_tokens=12)
    first = next(stream)
    tuner_before = Tuner  # allocating waits as well
    with pytest.raises(ModelInUse, match="still writing an answer"):
        tuner_before(model)
    assert first + "".join(stream) == whole
    with fine_tuned(model, TEXTS) as tuning:
        assert tuning.steps == 3


def test_an_answer_that_was_closed_is_not_in_progress(model: LocalModel) -> None:
    stream = model.stream(CHAT, max_new_tokens=500)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    with fine_tuned(model, TEXTS) as tuning:
        assert tuning.steps == 3


def test_an_answer_that_outlives_its_weights_is_ended_and_says_so(model: LocalModel) -> None:
    before = state_of(model.network)
    with fine_tuned(model, TEXTS):
        stream = model.stream(CHAT, max_new_tokens=500)
        next(stream)
    assert state_of(model.network) == before
    with pytest.raises(ModelInUse, match="not read to its end"):
        list(stream)
    with fine_tuned(model, TEXTS) as tuning:
        assert tuning.steps == 3


def test_the_weights_change_back_only_after_the_answers_within_have_ended(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing: list[bool] = []
    put_back = WeightStore.put_back

    def watched(store: WeightStore, network: Any) -> None:
        writing.append(any(thread.name == "sift-rag-generation" for thread in threading.enumerate()))
        put_back(store, network)

    monkeypatch.setattr(WeightStore, "put_back", watched)
    with fine_tuned(model, TEXTS, settings=FineTuning(method="full")):
        stream = model.stream(CHAT, max_new_tokens=1500)
        next(stream)
    assert writing == [False]


def test_a_failed_prompt_frees_the_model(model: LocalModel) -> None:
    with pytest.raises(ZeroDivisionError), fine_tuned(model, TEXTS):
        1 / 0  # noqa: B018
    with fine_tuned(model, TEXTS) as tuning:
        assert tuning.steps == 3


def test_an_interrupt_while_answers_are_ended_frees_the_model(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(lock: WeightLock) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), model.changing():
        patch.setattr(WeightLock, "_abort_answers", interrupted)
    with model.changing():
        pass
