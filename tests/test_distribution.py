"""The installed distribution: packages, extras, one version."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import sift_rag

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
FOR_CONTRIBUTORS = {"bench", "dev", "docs", "recipes"}
APART = {"openvino", "ray"}  # hundreds of megabytes that few need: docs/install.md says "not in `all`"
PACKAGES = {
    "sift_rag",
    "cli/sift_rag_cli",
    "plugins/sift_rag_mcp",
    "plugins/sift_rag_llm",
    "plugins/sift_rag_server",
    "plugins/sift_rag_langchain",
    "plugins/sift_rag_llama_index",
    "plugins/sift_rag_haystack",
}


def names(extra: str) -> set[str]:
    """Return an extra with all extras that it brings."""
    inner = [
        name
        for line in EXTRAS[extra]
        if (found := re.fullmatch(r"sift-rag\[(.*)\]", line))
        for name in found[1].split(",")
    ]
    return {extra}.union(*(names(name) for name in inner))


def test_the_wheel_holds_seven_typed_packages_and_nothing_else() -> None:
    packages = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert packages == PACKAGES
    assert all((ROOT / package / "py.typed").exists() for package in packages)


def test_the_wheel_holds_every_file_of_the_servers_page() -> None:
    static = ROOT / "plugins/sift_rag_server/page/static"
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *map(str, static.rglob("*"))],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (static / "index.html").exists()
    assert ignored.stdout == ""  # the wheel leaves out what git ignores, and nothing else of a package


def test_the_version_is_written_once_and_cited() -> None:
    assert "version" not in PROJECT["project"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "sift_rag/__init__.py"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == sift_rag.__version__


def test_all_brings_every_extra_for_users() -> None:
    assert names("all") - {"all"} == set(EXTRAS) - FOR_CONTRIBUTORS - APART - {"all"}
    assert names("dev") >= APART  # tested all the same


def test_the_table_of_extras_has_every_extra_for_users() -> None:
    table = (ROOT / "docs" / "install.md").read_text().partition("| extra |")[2].partition("\n\n")[0]
    told = {name for row in table.splitlines()[2:] for name in re.findall(r"`([\w-]+)`", row.split("|")[1])}
    assert told == set(EXTRAS) - FOR_CONTRIBUTORS - {"all"}


def test_every_error_for_a_missing_package_names_an_extra_that_exists() -> None:
    named = {
        (path.name, argument.value)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) in {"MissingExtra", "require"}
        for argument in node.args[1:2]
        if isinstance(argument, ast.Constant)
    }
    assert named
    assert {(file, extra) for file, extra in named if extra not in EXTRAS} == set()


@pytest.mark.slow
def test_a_selection_on_arrays_needs_numpy_alone() -> None:
    code = """
import importlib.util, sys

class OnlyNumpy:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in {"numpy", "sift_rag"}:
            raise ModuleNotFoundError(f"{name} is not installed", name=name)

import numpy
sys.meta_path.insert(0, OnlyNumpy())
from sift_rag import GaussianProcess, Mmr, Pool, Stopping, posterior_variance, select_sift

rows = numpy.eye(6)
print(select_sift(rows[2], rows, 2, stopping=Stopping(explained=0.99)).indices[0])
print(Mmr(relevance=0.7).select(Pool(rows[3:4], rows), 2).selection.indices[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.stdout.split(), done.stderr) == (["2", "3"], "")
