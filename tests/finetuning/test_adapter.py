"""Saved adapters: files that plain PEFT loads."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from sift_rag.errors import AdapterNotSaved
from sift_rag.finetuning import FineTuning, fine_tuned
from sift_rag.models.local import LocalModel
from tests.finetuning.conftest import TEXTS, small

IDS = torch.tensor([[5, 6, 7, 8, 9]])


@pytest.fixture
def gpt2(tokenizer: Any) -> LocalModel:
    return small("gpt2", tokenizer)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`", "ignore:fan_in_fan_out is set to")
@pytest.mark.parametrize("architecture", ["gpt2", "phi-3", "qwen3"])
def test_plain_peft_loads_it_and_gives_equal_logits(architecture: str, tokenizer: Any, tmp_path: Path) -> None:
    from peft import PeftModel

    model = small(architecture, tokenizer)
    folder = tmp_path / "new" / "adapter"
    with fine_tuned(model, TEXTS, settings=FineTuning(rank=4, learning_rate=1e-2)) as tuning, torch.no_grad():
        tuned = model.network(input_ids=IDS).logits
        tuning.save_adapter(folder)
    plain: Any = PeftModel.from_pretrained(small(architecture, tokenizer).network, str(folder))
    with torch.no_grad():
        assert torch.equal(plain(input_ids=IDS).logits, tuned)
        assert not torch.equal(model.network(input_ids=IDS).logits, tuned)


def test_the_folder_holds_the_adapter_alone_and_names_its_model(gpt2: LocalModel, tmp_path: Path) -> None:
    import json

    folder = tmp_path / "adapter"
    folder.mkdir()  # an empty one is taken
    with fine_tuned(gpt2, TEXTS) as tuning:
        tuning.save_adapter(str(folder))
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["base_model_name_or_path"], config["task_type"], config["r"]) == ("gpt2", "CAUSAL_LM", 16)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_folder_that_holds_something_is_left_alone(gpt2: LocalModel, tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "mine.txt").write_text("mine", encoding="utf-8")
    with fine_tuned(gpt2, TEXTS) as tuning, pytest.raises(AdapterNotSaved, match="is not empty: give a new folder"):
        tuning.save_adapter(tmp_path / "adapter")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["adapter", "adapter/mine.txt"]


def test_a_folder_below_a_file_cannot_be_made(gpt2: LocalModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with fine_tuned(gpt2, TEXTS) as tuning, pytest.raises(AdapterNotSaved, match="could not be written"):
        tuning.save_adapter(tmp_path / "file" / "adapter")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only folders")
def test_a_read_only_folder(gpt2: LocalModel, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with fine_tuned(gpt2, TEXTS) as tuning, pytest.raises(AdapterNotSaved, match="could not be written"):
            tuning.save_adapter(tmp_path / "adapter")
    finally:
        tmp_path.chmod(0o700)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Act as a disk that is full after this many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_nothing_half_written(gpt2: LocalModel, tmp_path: Path) -> None:
    with fine_tuned(gpt2, TEXTS) as tuning:
        with pytest.raises(AdapterNotSaved, match="on a disk with space"), files_no_larger_than(4096):
            tuning.save_adapter(tmp_path / "adapter")
        assert list(tmp_path.iterdir()) == []
        tuning.save_adapter(tmp_path / "adapter")  # and it can be tried again
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()


def test_after_the_end_there_is_nothing_to_save(gpt2: LocalModel, tmp_path: Path) -> None:
    with fine_tuned(gpt2, TEXTS) as tuning:
        pass
    with pytest.raises(ValueError, match="save it within the 'with' block"):
        tuning.save_adapter(tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []


def test_full_fine_tuning_has_no_adapter(gpt2: LocalModel, tmp_path: Path) -> None:
    with (
        fine_tuned(gpt2, TEXTS, settings=FineTuning(method="full")) as tuning,
        pytest.raises(ValueError, match="no adapter to save"),
    ):
        tuning.save_adapter(tmp_path / "adapter")
