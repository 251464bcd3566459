"""The small language model that the tests run on: its files are standard, and it has learnt something."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[1] / "data" / "stdlib-lm"
CONTEXT = 2048

# Both written for this test: the model has read neither.
PROSE = """\
The "match" statement compares the value of its subject expression with each pattern in turn.  When a pattern
succeeds, the names in that pattern are bound and the corresponding block is executed; if no pattern succeeds and
there is no wildcard, the statement has no effect.  A guard is evaluated only after the pattern itself succeeded.  If
the guard raises an exception, the exception propagates to the caller and no further case is tried.  Note that a class
may define the special method "__eq__()", in which case the comparison of a literal pattern calls that method and
returns its result.
"""
CODE = '''\
def read_records(path, encoding=None, *, strict=False):
    """Return a list of the records found in the file.

    Raise ValueError if a line is malformed and strict is true.
    """
    records = []
    with open(path, encoding=encoding) as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            key, separator, value = line.partition("=")
            if not separator:
                if strict:
                    raise ValueError("line %d has no separator" % number)
                continue
            records.append((key.strip(), value.strip()))
    return records
'''


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: so small a model gains nothing from more, and loses much on shared processors."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> Any:  # transformers' own annotations of generate() fit none of its classes
    loaded = AutoModelForCausalLM.from_pretrained(
        FOLDER, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
    )
    assert isinstance(loaded, LlamaForCausalLM)
    return loaded


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer()


def load_tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(FOLDER, local_files_only=True, trust_remote_code=False)


def losses(model: Any, tokenizer: Any, text: str) -> torch.Tensor:
    """Bits of each token of the text as a document of its own."""
    ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(text)["input_ids"]]])
    with torch.inference_mode():
        logits = model(input_ids=ids[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits[0], ids[0, 1:], reduction="none") / math.log(2)


def bits_per_byte(model: Any, tokenizer: Any, text: str) -> float:
    return losses(model, tokenizer, text).sum().item() / len(text.encode())


def byte_entropy(text: str) -> float:
    """Bits per byte of the best code that knows the text's own byte frequencies and no order: a generous baseline."""
    counts = Counter(text.encode())
    return -sum(n / counts.total() * math.log2(n / counts.total()) for n in counts.values())


def test_the_folder_is_a_complete_safetensors_model_of_at_most_six_megabytes() -> None:
    files = {path.name: path.stat().st_size for path in FOLDER.iterdir() if path.is_file()}
    expected = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert expected <= files.keys()
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]
    assert sum(files.values()) <= 6_000_000


def test_model_and_tokenizer_agree_on_vocabulary_context_and_end_of_text(model: Any, tokenizer: Any) -> None:
    assert len(tokenizer) == model.config.vocab_size == model.get_input_embeddings().weight.shape[0]
    assert tokenizer.model_max_length == model.config.max_position_embeddings == CONTEXT
    assert tokenizer.convert_ids_to_tokens(model.config.eos_token_id) == "<|endoftext|>"
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == tokenizer.pad_token_id == model.config.eos_token_id
    assert model.generation_config.eos_token_id == model.config.eos_token_id


def test_the_files_name_no_class_or_code_outside_transformers() -> None:
    for name in ("config.json", "tokenizer_config.json"):
        settings = json.loads((FOLDER / name).read_text(encoding="utf-8"))
        assert "auto_map" not in settings
        assert "_name_or_path" not in settings


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t \r\n", "\x00", "naïve — 日本語 🙂", " a  b .", "x <|endoftext|> y", PROSE, CODE]
)
def test_the_tokenizer_gives_back_this_text(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


TOKENIZER = load_tokenizer()


@given(st.text())
def test_the_tokenizer_gives_back_any_text(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER(text)["input_ids"]) == text


def test_the_tokenizer_is_shorter_than_bytes_on_what_it_was_made_for(tokenizer: Any) -> None:
    for text in (PROSE, CODE):
        assert len(tokenizer(text)["input_ids"]) < len(text.encode()) / 2


@pytest.mark.parametrize(("text", "bound"), [(PROSE, 1.8), (CODE, 1.3)], ids=["prose", "code"])
def test_unseen_text_costs_far_fewer_bits_than_its_byte_entropy(
    model: Any, tokenizer: Any, text: str, bound: float
) -> None:
    bits = bits_per_byte(model, tokenizer, text)
    assert bits < bound
    assert bits < 0.5 * byte_entropy(text)


@pytest.mark.parametrize("text", [PROSE, CODE], ids=["prose", "code"])
@pytest.mark.parametrize("seed", range(3))
def test_the_same_words_in_another_order_cost_more(model: Any, tokenizer: Any, text: str, seed: int) -> None:
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])
    random.Random(seed).shuffle(tokens)
    shuffled = tokenizer.convert_tokens_to_string(tokens)
    assert bits_per_byte(model, tokenizer, shuffled) > 1.5 * bits_per_byte(model, tokenizer, text)


def test_the_same_bytes_in_another_order_cost_more(model: Any, tokenizer: Any) -> None:
    characters = list(CODE)
    random.Random(0).shuffle(characters)
    assert bits_per_byte(model, tokenizer, "".join(characters)) > 4 * bits_per_byte(
        model, tokenizer, CODE
    )  # untrained: 2.6


def test_text_at_the_end_of_a_full_context_is_read_about_as_well_as_text_alone(model: Any, tokenizer: Any) -> None:
    target = tokenizer(PROSE)["input_ids"]
    filler = tokenizer(CODE * 20)["input_ids"]
    nats_per_token = []
    for before in (0, CONTEXT - len(target)):
        ids = torch.tensor([[tokenizer.bos_token_id, *filler[:before], tokenizer.eos_token_id, *target]])[
            :, -CONTEXT - 1 :
        ]
        with torch.inference_mode():
            logits = model(input_ids=ids[:, :-1]).logits
        assert logits.isfinite().all()
        nats = torch.nn.functional.cross_entropy(logits[0], ids[0, 1:], reduction="none")
        nats_per_token.append(nats[-len(target) :].mean().item())
    assert ids.shape[1] == CONTEXT + 1
    assert nats_per_token[1] < 1.15 * nats_per_token[0]


def test_greedy_generation_is_the_same_each_time_and_stays_within_its_limit(model: Any, tokenizer: Any) -> None:
    prompt = tokenizer("def __init__(self, ", return_tensors="pt")
    first, second = (model.generate(**prompt, max_new_tokens=24, do_sample=False) for _ in range(2))
    assert first.equal(second)
    new = first.shape[1] - prompt["input_ids"].shape[1]
    assert 1 <= new <= 24


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("    def __init__(", "self"),
        ("        raise NotImplemented", "Error"),
        ('if __name__ == "__', "main"),
    ],
)
def test_it_knows_how_python_goes_on(model: Any, tokenizer: Any, prompt: str, answer: str) -> None:
    output = model.generate(**tokenizer(prompt, return_tensors="pt"), max_new_tokens=4, do_sample=False)
    assert tokenizer.decode(output[0]).startswith(prompt + answer)
