"""The promises of ``import sift_rag``."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import sift_rag

LIBRARY = Path(sift_rag.__file__).parent
INTERNAL = {
    "Column",  # a kernel's columns, which the recurrence asks for
    "View",  # the part of a process read off a pool, which ``exact`` hands on
}
"""Types of methods that only the library's own parts call."""


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(sift_rag, name) is not None for name in sift_rag.__all__)
    assert sorted(sift_rag._HOME) == [name for name in sift_rag.__all__ if name != "__version__"]
    assert not hasattr(sift_rag, "no_such_name")
    assert set(sift_rag.__all__) <= set(dir(sift_rag))


def test_whatever_a_public_signature_takes_or_returns_can_be_imported_from_the_root() -> None:
    defined = set(_types_of_the_library())
    missing = {
        f"{mentioned} (of {name})"
        for name in sift_rag._HOME
        for annotation in _annotations(name)
        for mentioned in re.findall(r"\b[A-Z]\w+", annotation)
        if mentioned in defined - set(sift_rag.__all__) - INTERNAL
    }
    assert missing == set()


def _types_of_the_library() -> Iterator[str]:
    for path in LIBRARY.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
                yield ast.unparse(node.target)


def _annotations(name: str) -> Iterator[str]:
    """Yield the annotations of a public function, or of a public class's fields and methods, as written."""
    module = import_module(f"sift_rag.{sift_rag._HOME[name]}")
    home = getattr(getattr(module, name), "__module__", module.__name__)
    path = Path(str(import_module(home if home.startswith("sift_rag") else module.__name__).__file__))
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            yield from _signature(node)
        if isinstance(node, ast.ClassDef) and node.name == name:
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and (part.name == "__init__" or not part.name.startswith("_")):
                    yield from _signature(part)
                if isinstance(part, ast.AnnAssign) and not ast.unparse(part.target).startswith("_"):
                    yield ast.unparse(part.annotation)


def _signature(function: ast.FunctionDef) -> Iterator[str]:
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.annotation is not None:
            yield ast.unparse(argument.annotation)
    if function.returns is not None:
        yield ast.unparse(function.returns)


def _loaded(code: str, candidates: list[str]) -> str:
    code = f"import sys; {code}; print([m for m in {candidates} if m in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_and_what_opens_things_loads_no_heavy_library() -> None:
    heavy = ["torch", "transformers", "sentence_transformers", "qdrant_edge", "qdrant_client", "markitdown", "openai"]
    assert _loaded("import sift_rag, sift_rag.opening, sift_rag.ingestion", heavy) == "[]"


def test_the_selection_alone_needs_numpy_only() -> None:
    others = ["torch", "tokenizers", "platformdirs", "typer", "rich", "yaml", "pydantic"]
    assert _loaded("from sift_rag import select_sift", others) == "[]"


def test_the_defaults_import_nothing() -> None:
    body = ast.parse((LIBRARY / "defaults.py").read_text()).body
    assert not [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
