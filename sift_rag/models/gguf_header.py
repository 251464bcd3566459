"""The header of a GGUF file, read within the bounds of the file.

The readers that load a model trust the counts and sizes in a header: with a wrong one they fill the memory or return
less than the file states. So every count is compared with what is left of the file first, and every tensor with its
end.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sift_rag.errors import ModelUnsuitable

MAGIC = b"GGUF"

_LFS_POINTER = b"version https://git-lfs"
_VERSIONS = (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LEAST_ENTRY = 13
"""Bytes of the shortest entry: the length of an empty key, a type, and one byte."""
_LEAST_TENSOR = 24
_MOST_DIMENSIONS = 4
_ALIGNMENT = 32


class GgufHeader(NamedTuple):
    """The description of a model in its file."""

    values: Mapping[str, object]
    """Metadata by key: numbers and strings. An array is represented by its length."""
    tensors: int
    elements: int
    """Number of weights in all tensors."""

    @property
    def architecture(self) -> str:
        """Name of the architecture; "" if the file states none."""
        return str(self.values.get("general.architecture", ""))

    @property
    def layers(self) -> int:
        """Number of layers; 0 if the file states none."""
        stated = self.values.get(f"{self.architecture}.block_count", 0)
        return stated if isinstance(stated, int) else 0

    @property
    def parts(self) -> int:
        """Number of files that the model is split into."""
        stated = self.values.get("split.count", 1)
        return stated if isinstance(stated, int) else 1


class _Damaged(Exception):
    """A header that contradicts itself or the size of the file; the message is the second half of a sentence."""

    def __init__(self, message: str, remedy: str = "Get the complete file.") -> None:
        super().__init__(message)
        self.remedy = remedy


def is_gguf(file: Path) -> bool:
    """Return True if a file begins like a GGUF file."""
    with file.open("rb") as opened:
        return opened.read(len(MAGIC)) == MAGIC


def read_header(file: Path, name: str) -> GgufHeader:
    """Return the header of a file.

    Args:
        file: the file.
        name: what errors call it.

    Raises:
        ModelUnsuitable: not a GGUF file, one of another version, or one that is cut off or damaged.
        OSError: the file cannot be read.
    """
    if not is_gguf(file):
        raise ModelUnsuitable(_foreign(file, name))
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            return _parse(_Cursor(content, len(MAGIC)))
        except _Damaged as error:
            raise ModelUnsuitable(f"{name!r} cannot be used: {error}. {error.remedy}") from error


def _foreign(file: Path, name: str) -> str:
    """Return the sentence about a file that is no GGUF file."""
    with file.open("rb") as opened:
        if opened.read(len(_LFS_POINTER)) == _LFS_POINTER:
            return f"{name!r} is a pointer of Git LFS in place of the model: fetch it with `git lfs pull`."
    return f"{name!r} is not a GGUF file: get the file again, or name the folder of a model."


class _Cursor:
    """A position in the bytes of a file; reading past their end is an error."""

    def __init__(self, content: mmap.mmap, position: int) -> None:
        self.content = content
        self.position = position

    @property
    def left(self) -> int:
        return len(self.content) - self.position

    def number(self, code: str) -> int:
        (value,) = self.numbers(code, 1)
        return value

    def numbers(self, code: str, count: int) -> tuple[int, ...]:
        start = self.skip(struct.calcsize(f"<{code}"), count)
        return struct.unpack_from(f"<{count}{code}", self.content, start)

    def text(self) -> str:
        length = self.number("Q")
        start = self.skip(1, length)
        try:
            return self.content[start : start + length].decode()
        except UnicodeDecodeError as error:
            raise _Damaged("its header holds text that is not UTF-8") from error

    def skip(self, size: int, count: int) -> int:
        """Move on by so many items of this size, and return where they begin."""
        start = self.position
        self.require(size, count)
        self.position += size * count
        return start

    def require(self, least: int, count: int) -> None:
        """Return if the rest of the file has room for so many items of at least this size."""
        if least * count > self.left:
            raise _Damaged(f"it is cut off within its header, after {len(self.content):,} bytes")


def _parse(cursor: _Cursor) -> GgufHeader:
    version = cursor.number("I")
    if version not in _VERSIONS:
        raise _Damaged(
            f"it states version {version} of the format: expected 2 or 3, little-endian",
            "Get the model as safetensors, or serve the file at an endpoint.",
        )
    tensors, entries = cursor.numbers("Q", 2)
    cursor.require(_LEAST_ENTRY, entries)
    values: dict[str, object] = {}
    for _ in range(entries):
        key = cursor.text()
        values[key] = _value(cursor, cursor.number("I"))
    cursor.require(_LEAST_TENSOR, tensors)
    sizes = [_tensor(cursor) for _ in range(tensors)]
    alignment = values.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise _Damaged(f"it states an alignment of {alignment}")
    begin = -(-cursor.position // alignment) * alignment
    end = max((begin + end for _, end in sizes), default=begin)
    if end > len(cursor.content):
        raise _Damaged(f"it is cut off after {len(cursor.content):,} of {end:,} bytes")
    return GgufHeader(values, tensors, sum(elements for elements, _ in sizes))


def _value(cursor: _Cursor, kind: int) -> object:
    """Return a value of the metadata, or the length of an array."""
    if kind in _SCALARS:
        return cursor.number(_SCALARS[kind])
    if kind == _STRING:
        return cursor.text()
    if kind != _ARRAY:
        raise _Damaged(f"its header holds a value of the unknown type {kind}")
    kind, count = cursor.number("I"), cursor.number("Q")
    if kind in _SCALARS:
        cursor.skip(struct.calcsize(_SCALARS[kind]), count)
    elif kind == _STRING:
        cursor.require(8, count)
        for _ in range(count):
            cursor.skip(1, cursor.number("Q"))
    else:
        raise _Damaged(f"its header holds an array of the type {kind}, which is not supported")
    return count


def _tensor(cursor: _Cursor) -> tuple[int, int]:
    """Return the number of a tensor's weights, and where its bytes end after the header."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    cursor.text()
    dimensions = cursor.number("I")
    if dimensions > _MOST_DIMENSIONS:
        raise _Damaged(f"its header holds a tensor of {dimensions} dimensions")
    elements = math.prod(cursor.numbers("Q", dimensions))
    kind, offset = cursor.number("I"), cursor.number("Q")
    try:
        of_block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    except (ValueError, KeyError) as error:
        raise _Damaged(f"its header holds a tensor of the unknown type {kind}") from error
    return elements, offset + elements // of_block * size
