"""Which folders and names are accepted as models, the reasons for refusals, and that nothing waits for the hub."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from transformers import BertConfig, BertForMaskedLM, Gemma3Config, GPT2Config, LlamaConfig, MambaConfig

from sift_rag.errors import ModelUnavailable, ModelUnsuitable
from sift_rag.models.local import load_local_model
from sift_rag.models.options import ModelOptions
from sift_rag.models.weights import CONTEXT_LENGTH_IF_UNKNOWN, context_length, require_causal
from sift_rag.protocols import Message

CHAT = (Message("user", "How does a class begin?"),)


def test_pickled_weights_are_refused_and_not_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(ModelUnsuitable, match=r"pickled \(pytorch_model.bin\).*safetensors"):
        load_local_model(str(folder))


def test_a_folder_without_weights_says_what_is_missing(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelUnsuitable, match=r"expected \*.safetensors"):
        load_local_model(str(folder))


def test_a_folder_without_tokenizer_says_what_is_missing(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelUnsuitable, match=r"The tokenizer of .* cannot be loaded"):
        load_local_model(str(folder))


def test_damaged_weights_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelUnsuitable, match=r"The weights of .* cannot be loaded"):
        load_local_model(str(folder))


def test_weights_that_lack_a_layer_are_refused_in_place_of_filled_with_noise(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(
        json.dumps(config | {"num_hidden_layers": config["num_hidden_layers"] + 1}), encoding="utf-8"
    )
    with pytest.raises(ModelUnsuitable, match="lack 9 of the tensors"):
        load_local_model(str(folder))


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelUnsuitable, match=r"config.json of .* cannot be loaded"):
        load_local_model(str(tmp_path))
    with pytest.raises(ModelUnsuitable, match="Name the folder of a model, or a GGUF file"):
        load_local_model(str(tmp_path))


def test_a_model_with_code_of_its_own_is_refused_and_the_code_not_run(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModelForCausalLM": "mine.M"}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "mine.py").write_text(f"open({str(folder / 'ran')!r}, 'w').close()", encoding="utf-8")
    with pytest.raises(ModelUnsuitable):
        load_local_model(str(folder))
    assert not (folder / "ran").exists()


def test_an_encoder_is_refused_although_it_could_be_loaded(folder: Path) -> None:
    encoder = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, vocab_size=64
    )
    BertForMaskedLM(encoder).save_pretrained(folder)
    with pytest.raises(ModelUnsuitable, match="not a causal language model but BertForMaskedLM"):
        load_local_model(str(folder))


def test_a_configuration_that_names_no_class_is_judged_by_its_kind() -> None:
    require_causal(LlamaConfig(), "llama")
    require_causal(LlamaConfig(architectures=["LlamaForCausalLM"]), "llama")
    with pytest.raises(ModelUnsuitable):
        require_causal(LlamaConfig(architectures=["LlamaModel"]), "llama")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LlamaConfig(max_position_embeddings=4096), 4096),
        (GPT2Config(n_positions=512), 512),
        (Gemma3Config(text_config={"max_position_embeddings": 777}), 777),
        (MambaConfig(), CONTEXT_LENGTH_IF_UNKNOWN),
    ],
    ids=["stated", "another name", "of the text part", "absent"],
)
def test_the_context_length_is_found_or_assumed(config: Any, expected: int) -> None:
    assert context_length(config) == expected


@dataclass
class NoNetwork:
    """An empty cache, and a network on which every connection is an error."""

    cache: Path
    attempts: list[object] = field(default_factory=list)

    def refuse(self, *arguments: object, **named: object) -> None:
        self.attempts.append(arguments)
        raise OSError("there is no network")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> NoNetwork:
    network = NoNetwork(tmp_path / "hub")
    monkeypatch.setattr(socket, "create_connection", network.refuse)
    monkeypatch.setattr(socket, "getaddrinfo", network.refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(network.cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return network


@pytest.mark.parametrize("name", ["nobody/nothing", "nothing", "./not/here", "~/nowhere", "a//b//c", "a b"])
def test_an_unknown_name_is_one_line_that_says_what_to_do(
    no_network: NoNetwork, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        load_local_model(name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_the_hub_is_asked_for_a_name_once_and_for_a_path_never(no_network: NoNetwork) -> None:
    with pytest.raises(ModelUnavailable, match="hub cannot be reached"):
        load_local_model("nobody/nothing")
    assert 0 < len(no_network.attempts) <= 2
    no_network.attempts.clear()
    with pytest.raises(ModelUnavailable, match="no model folder"):
        load_local_model("./nobody")
    assert no_network.attempts == []


def cached(folder: Path, hub: Path, name: str) -> Path:
    entry = hub / f"models--{name.replace('/', '--')}"
    (entry / "refs").mkdir(parents=True)
    (entry / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    return Path(shutil.copytree(folder, entry / "snapshots" / ("0" * 40)))


def test_a_cached_model_is_loaded_without_asking_the_hub(
    no_network: NoNetwork, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cached(folder, no_network.cache, "some/model")
    model = load_local_model("some/model", options=ModelOptions(device="cpu"))
    assert no_network.attempts == []
    assert model.name == "some/model"
    assert "".join(model.stream(CHAT, max_new_tokens=3))
    assert capfd.readouterr() == ("", "")


def test_a_model_whose_download_broke_off_is_not_loaded(no_network: NoNetwork, folder: Path) -> None:
    snapshot = cached(folder, no_network.cache, "some/model")
    (snapshot / "model.safetensors").unlink()
    with pytest.raises((ModelUnavailable, ModelUnsuitable), match="some/model"):
        load_local_model("some/model", options=ModelOptions(device="cpu"))


def test_a_configuration_of_wrong_types_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": "wide"}), encoding="utf-8")
    with pytest.raises(ModelUnsuitable, match=r"config.json of .* cannot be loaded"):
        load_local_model(str(folder))
