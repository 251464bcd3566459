from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from benchmarks.common.small_corpus import Corpus, Document
from benchmarks.common.small_model import (
    CONTEXT,
    END_OF_TEXT_ID,
    PEAK,
    SHORT,
    TOKENS_PER_STEP,
    VOCABULARY,
    Training,
    batch,
    bits_per_byte,
    learning_rate,
    new_model,
    new_training,
    parameters,
    prepare,
    read_material,
    read_state,
    save,
    train,
    write_material,
    write_state,
)

STEPS = 10
"""The number of steps; the last two are at a falling rate."""


def tiny_model(vocabulary: int = 16) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            pad_token_id=None,
        )
    )


def corpus() -> Corpus:
    documents = [
        Document(f"{n}", "prose", f"Tower {n} is {n} metres high; {n + 1} is Ulm's, {chr(0x4E00 + n)} steps.\n")
        for n in range(300)
    ]
    return Corpus(documents[1:], [documents[0], Document("code", "code", "x = 1\n")], 0)


def stream() -> torch.Tensor:
    drawn = torch.Generator().manual_seed(1)
    return torch.randint(1, 8, (20 * TOKENS_PER_STEP,), generator=drawn)  # half of the vocabulary: that can be learnt


def run(training: Training, output: Path, steps: int = STEPS, minutes: float = math.inf) -> None:
    for _ in train(training, stream(), steps=steps, minutes=minutes, seed=3, output=output, every=math.inf):
        pass


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(values, other[name]) for name, values in first.state_dict().items())


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "training").mkdir()
    return tmp_path


def test_the_model_has_five_to_ten_million_parameters() -> None:
    assert 5e6 <= parameters(new_model(0)) <= 10e6


def test_a_training_that_was_ended_goes_on_to_the_same_weights(output: Path) -> None:
    whole, resumed = new_training(tiny_model()), new_training(tiny_model())
    run(whole, output)
    read_state(resumed, output / "training" / "state.pt", seed=3)
    assert resumed.step == 8
    assert not same(whole.model, resumed.model)
    run(resumed, output)
    assert resumed.step == whole.step == STEPS
    assert same(whole.model, resumed.model)


@pytest.mark.slow
def test_a_finished_training_goes_on_from_where_its_rate_began_to_fall(output: Path) -> None:
    longer, first = new_training(tiny_model()), new_training(tiny_model())
    run(longer, output, steps=2 * STEPS)
    run(first, output, steps=STEPS)
    continued = new_training(tiny_model())
    read_state(continued, output / "training" / "state.pt", seed=3)
    run(continued, output, steps=2 * STEPS)
    assert same(longer.model, continued.model)


def test_a_state_of_another_seed_is_refused(output: Path) -> None:
    training = new_training(tiny_model())
    write_state(training, output / "state.pt", seed=3)
    with pytest.raises(SystemExit, match="--seed 3, not 4"):
        read_state(training, output / "state.pt", seed=4)


def test_training_ends_when_its_minutes_are_over(output: Path) -> None:
    training = new_training(tiny_model())
    run(training, output, steps=10**9, minutes=1 / 600)
    assert 0 < training.step < 10**5


@pytest.mark.slow
def test_training_learns(output: Path) -> None:
    training = new_training(tiny_model())
    rows = batch(stream(), 0, SHORT, seed=3)

    def loss() -> float:
        logits = training.model(input_ids=rows[:, :-1]).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).item()

    before = loss()
    run(training, output, steps=30)
    assert loss() < before


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    assert learning_rate(0, 0.0) < learning_rate(50, 0.1) < PEAK
    assert learning_rate(1000, 0.3) == learning_rate(2000, 0.79) == PEAK
    assert learning_rate(3000, 0.9) == pytest.approx(PEAK / 2)
    assert learning_rate(3000, 1.0) == 0


@pytest.mark.parametrize("length", [SHORT, CONTEXT])
def test_a_round_reads_the_stream_once_and_a_later_one_in_another_order(length: int) -> None:
    numbers = torch.arange(8 * TOKENS_PER_STEP + 1)

    def starts(round_: int, seed: int = 0) -> list[int]:
        rows = [batch(numbers, step, length, seed) for step in range(7 * round_, 7 * round_ + 7)]
        assert all(row.shape == (TOKENS_PER_STEP // length, length + 1) for row in rows)
        return torch.cat(rows)[:, 0].tolist()

    first = starts(0)
    assert sorted(first) == list(range(min(first), min(first) + 7 * TOKENS_PER_STEP, length))
    assert starts(0) == first
    assert len({tuple(starts(1)), tuple(first), tuple(starts(0, seed=1))}) == 3


def test_one_sequence_in_eight_repeats_itself() -> None:
    numbers = torch.arange(8 * TOKENS_PER_STEP + 1)
    rows = torch.cat([batch(numbers, step, SHORT, seed=0) for step in range(200)])
    repeats = (rows.diff() != 1).sum(dim=1)
    assert set(repeats.tolist()) <= {0, 1, 2, 3}
    assert (repeats > 0).float().mean().item() == pytest.approx(1 / 8, abs=0.05)


def test_the_material_is_read_back_as_it_was_written_and_keeps_every_document(tmp_path: Path) -> None:
    material = prepare(corpus(), seed=0)
    write_material(material, tmp_path / "training", tmp_path)
    back = read_material(tmp_path / "training", tmp_path)
    assert torch.equal(back.stream, material.stream)
    assert back.held_out == {"prose": [corpus().held_out[0].text], "code": ["x = 1\n"]}
    assert (back.stream == END_OF_TEXT_ID).sum() == len(corpus().train)
    texts = back.tokenizer.decode(back.stream.tolist(), skip_special_tokens=True)
    assert sorted(texts.splitlines()) == sorted(document.text.strip() for document in corpus().train)


def test_transformers_loads_the_folder_by_itself_and_any_text_comes_back(tmp_path: Path) -> None:
    model = tiny_model(VOCABULARY)
    write_material(prepare(corpus(), seed=0), tmp_path / "training", tmp_path)
    save(model, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    text = " Tower\t7\n  塔 \x00 é  .\n"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    assert tokenizer.eos_token_id == END_OF_TEXT_ID
    assert tokenizer.model_max_length == CONTEXT
    assert same(model, AutoModelForCausalLM.from_pretrained(tmp_path))


def test_bits_per_byte_of_a_model_without_a_preference_are_those_of_the_vocabulary() -> None:
    model = tiny_model(VOCABULARY)
    torch.nn.init.zeros_(model.lm_head.weight)
    tokenizer = prepare(corpus(), seed=0).tokenizer
    documents = ["Tower " * 1500, "塔"]  # the first is longer than the context
    tokens = sum(len(tokenizer.encode(document).ids) for document in documents)
    size = sum(len(document.encode()) for document in documents)
    assert bits_per_byte(model, tokenizer, documents) == pytest.approx(tokens * math.log2(VOCABULARY) / size, rel=1e-5)
