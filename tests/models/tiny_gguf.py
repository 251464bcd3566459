"""GGUF files of a Llama of a few thousand weights, with a byte-level vocabulary."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, INNER, CONTEXT = 32, 2, 2, 64, 128
TEMPLATE = "{% for message in messages %}<s>{{ message['content'] }}</s>{% endfor %}"


def byte_alphabet() -> list[str]:
    """Return the 256 letters in which byte-level vocabularies spell bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain} | {byte: chr(256 + place) for place, byte in enumerate(others)}
    return [letters[byte] for byte in range(256)]


TOKENS = ["<s>", "</s>", *byte_alphabet(), "th", "the"]
MERGES = ["t h", "th e"]


def write_tiny_gguf(
    file: Path, *, architecture: str = "llama", tokenizer: bool = True, leave_out: str = "", **numbers: int
) -> Path:
    """Write a file with weights from seed 0.

    Args:
        file: where.
        architecture: as the header states it.
        tokenizer: write one.
        leave_out: name of a tensor to leave out.
        numbers: values in the header that are added, with ``__`` for ``.``, ``llama__block_count`` for example.
    """
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    if tokenizer:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(TOKENS)
        writer.add_token_types([3, 3, *[1] * (len(TOKENS) - 2)])
        writer.add_token_merges(MERGES)
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(1)
        writer.add_chat_template(TEMPLATE)
    for key, value in numbers.items():
        writer.kv_data[0].pop(key.replace("__", "."), None)
        writer.add_uint32(key.replace("__", "."), value)
    _add_tensors(writer, leave_out)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_tensors(writer: gguf.GGUFWriter, leave_out: str) -> None:
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (len(TOKENS), WIDTH), "output_norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        square = {f"blk.{layer}.attn_{name}.weight": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
        norms = {f"blk.{layer}.{name}_norm.weight": (WIDTH,) for name in ("attn", "ffn")}
        inner = {f"blk.{layer}.ffn_{name}.weight": (INNER, WIDTH) for name in ("gate", "up")}
        shapes |= square | norms | inner | {f"blk.{layer}.ffn_down.weight": (WIDTH, INNER)}
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        weights = (random.normal(size=shape) * 0.2).astype(np.float32)
        if name == leave_out:
            continue
        if len(shape) == 1:
            writer.add_tensor(name, weights + 1)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quantize(weights, kind), raw_dtype=kind)
