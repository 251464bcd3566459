"""Print the design measures of a checkout: how far an idea spreads over its files, and how much there is to read.

    python scripts/measure_design.py [--repo DIR] [--before DIR] [--python EXECUTABLE] [--json FILE] [--files]

The script needs the standard library only and reads the sources. Two measures run the package of that checkout in a
process of its own (posteriors per choice, options in ``--help``); without the package's dependencies they read "not
measured". Give ``--python`` the interpreter of an environment that has them. ``--before`` measures another checkout
beside it: ``docs/log.md``, "Redesign: before and after".

A spread is the number of source files, tests left out, that name an existing feature of a kind. It is an upper bound of
what the next feature of that kind touches: a file may name one without knowing its meaning. ``--files`` lists them.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

PRODUCT = ("sift_rag", "cli", "plugins")
ELLIPTIC = re.compile(
    r"\W*(What|Whatever|Whether|Which|Where|Who|Whose|Whom|When|How|Why|Of|From|That|Those|As|By|For|With|In|On|To|At|"
    r"Under|After|Before|Between|Beyond|Without|Within|Because|If|Not|Than)\b"
)
"""Openings of a fragment: the first word of a line that completes a sentence begun by the name above it."""
MANY_PARAMETERS = 10
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Spread:
    """A kind of addition, and an existing feature of that kind, by the pattern that finds it."""

    kind: str
    example: str
    pattern: str
    goal: str
    where: tuple[str, ...] = PRODUCT
    outside: str = ""
    """Files whose path matches are not counted: the feature's own."""


SPREADS = (
    Spread("a search option", "the filter", r"\bFilter\b|--filter\b", "4"),
    Spread("a search option", "rules that stop", r"\bStopping\b|\bstop_explained\b", "4"),
    Spread("a search option", "keep_copies", r"\bkeep[_-]copies\b", "4"),
    Spread("a search option", "max_variance", r"\bmax[_-]variance\b", "4"),
    Spread("a search option", "token_budget", r"\btoken[_-]budget\b", "4"),
    Spread("a selector", "facility location", r"(?i)facility[_-]?location", "2"),
    Spread("a selector", "hull", r"(?i)\b(select_)?hull\b", "2"),
    Spread("a parameter of a selector", "quality_scale of dpp", r"\bquality_scale\b", "1"),
    Spread(
        "a store",
        "the Qdrant server's package, named outside of it",
        r"sift_rag\.stores\.(server|qdrant)\b",
        "1",
        outside=r"stores/(server|qdrant)/",
    ),
    Spread(
        "a store",
        "the embedded store's modules, named outside of them",
        r"sift_rag\.stores\.(embedded|edge|engine|folders|folder_place|locking|manifest|records|examination)\b",
        "1",
        outside=r"stores/(embedded/|(edge|engine|folders|folder_place|locking|manifest|records|examination)\.py)",
    ),
    Spread("a rerank dialect", "tei", r"(?i)\btei\b|\bTei\w+", "1", where=("plugins/sift_rag_server",)),
    Spread("a rerank dialect", "jina", r"(?i)\bjina", "1", where=("plugins/sift_rag_server",)),
)


@dataclass(frozen=True)
class Measure:
    """One line of the table."""

    name: str
    value: str
    goal: str = ""
    files: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """A file with its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", type=Path, default=Path(__file__).resolve().parent.parent, metavar="DIR")
    parser.add_argument("--before", type=Path, metavar="DIR", help="a checkout to measure beside it")
    parser.add_argument("--python", default=sys.executable, metavar="EXECUTABLE", help="what runs the package")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the measures there")
    parser.add_argument("--files", action="store_true", help="list the files behind each number")
    options = parser.parse_args()
    measures = list(measure(options.repo.resolve(), options.python))
    before = (
        {one.name: one.value for one in measure(options.before.resolve(), options.python)} if options.before else {}
    )
    print("| measure |" + " before |" * bool(before) + " value | goal |\n|---|" + "---|" * bool(before) + "---|---|")
    for one in measures:
        cells = [one.name, *([before.get(one.name, "")] if before else []), one.value, one.goal]
        print(f"| {' | '.join(cells)} |")
    if options.files:
        for one in measures:
            if one.files:
                print(f"\n{one.name}:\n" + "\n".join(f"  {path}" for path in one.files))
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in measures], indent=1) + "\n", encoding="utf-8")


def measure(repo: Path, python: str) -> Iterator[Measure]:
    """Yield every measure of the checkout."""
    product = list(read_sources(repo, PRODUCT))
    yield from spreads(product)
    yield files_that_mention("lengthscale", product, goal="<= 6")
    yield signatures_with_any([one for one in product if one.path.startswith("sift_rag/selection/")])
    yield functions_with_many_parameters(product)
    yield from sizes(product, list(read_sources(repo, ("tests",))))
    yield from docstrings(product)
    yield from options_in_help(repo, python)
    yield from posteriors(repo, python)


def read_sources(repo: Path, folders: Iterable[str]) -> Iterator[Source]:
    """Yield the Python files of the folders."""
    for folder in folders:
        for path in sorted((repo / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            yield Source(path.relative_to(repo).as_posix(), text, ast.parse(text))


def spreads(product: list[Source]) -> Iterator[Measure]:
    """Count the files that name each example."""
    for spread in SPREADS:
        pattern = re.compile(spread.pattern)
        files = [
            one.path
            for one in product
            if one.path.startswith(spread.where)
            and pattern.search(one.text)
            and not (spread.outside and re.search(spread.outside, one.path))
        ]
        yield Measure(f"files that name {spread.kind}: {spread.example}", str(len(files)), spread.goal, files)


def files_that_mention(word: str, product: list[Source], *, goal: str) -> Measure:
    files = [one.path for one in product if word in one.text]
    return Measure(f"files that mention `{word}`", str(len(files)), goal, files)


def signatures_with_any(selection: list[Source]) -> Measure:
    found = [(one.path, function) for one in selection for function in functions(one.tree)]
    files = [f"{path}:{function.lineno} {function.name}" for path, function in found if names_any(function)]
    return Measure("signatures with `Any` in sift_rag/selection", f"{len(files)} of {len(found)}", "<= 10", files)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    """Return the named parameters and the two variadic ones, without self and cls."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [
        *(one for one in named if one.arg not in {"self", "cls"}),
        *(one for one in (arguments.vararg, arguments.kwarg) if one),
    ]


def names_any(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    annotations = [one.annotation for one in parameters(function)] + [function.returns]
    return any(
        isinstance(node, ast.Name) and node.id == "Any"
        for annotation in annotations
        if annotation is not None
        for node in ast.walk(annotation)
    )


def functions_with_many_parameters(product: list[Source]) -> Measure:
    files = [
        f"{one.path}:{function.lineno} {function.name} ({len(parameters(function))})"
        for one in product
        for function in functions(one.tree)
        if len(parameters(function)) >= MANY_PARAMETERS
    ]
    return Measure(f"functions with {MANY_PARAMETERS} parameters or more", str(len(files)), "", files)


def sizes(product: list[Source], tests: list[Source]) -> Iterator[Measure]:
    """Count lines that are not blank, and those of them that are code: neither comment nor docstring."""
    for name, sources, goal in (("product", product, "10 % fewer"), ("tests", tests, "")):
        lines = sum(sum(bool(line.strip()) for line in one.text.splitlines()) for one in sources)
        code = sum(lines_of_code(one) for one in sources)
        yield Measure(f"lines of {name}, not blank (code alone)", f"{lines:,} ({code:,})", goal)
        yield Measure(f"files of {name}", str(len(sources)))


def lines_of_code(source: Source) -> int:
    documented = {
        number
        for text in (string for _, string in documentation(source.tree))
        for number in range(text.lineno, (text.end_lineno or text.lineno) + 1)
    }
    lines = enumerate(source.text.splitlines(), start=1)
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") and n not in documented for n, line in lines)


def documentation(tree: ast.Module) -> Iterator[tuple[bool, ast.Constant]]:
    """Yield each docstring; True with those of a module, class or function, False with those of an attribute."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        owns = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for place, statement in enumerate(body):
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                text = statement.value
                if isinstance(text.value, str) and (owns or place):
                    yield owns and place == 0, text


def docstrings(product: list[Source]) -> Iterator[Measure]:
    """Count docstrings whose first word opens a fragment, and those that only refer to another."""
    for attribute in (False, True):
        texts = [
            (f"{one.path}:{text.lineno}", str(text.value).strip())
            for one in product
            for owner, text in documentation(one.tree)
            if owner is not attribute
        ]
        name = "attribute docstrings" if attribute else "docstrings"
        elliptic = [f"{where} {text.splitlines()[0]}" for where, text in texts if ELLIPTIC.match(text)]
        yield Measure(f"{name} with an elliptic opening", share(len(elliptic), len(texts)), "<= 2 %", elliptic)
        referring = [f"{where} {text.splitlines()[0]}" for where, text in texts if text.startswith("See ")]
        yield Measure(f'{name} that begin with "See"', share(len(referring), len(texts)), "", referring)


def share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / max(whole, 1):.1%})"


def options_in_help(repo: Path, python: str) -> Iterator[Measure]:
    """Count the options that the checkout's own command prints."""
    for command, goal in (("search", "<= 14 and a reranker's 2"), ("ask", "<= 22 and a reranker's 2")):

        def count(command: str = command) -> str:
            text = run(repo, python, "from sift_rag_cli.app import main; main()", command, "--help")
            return str(len(re.findall(r"^[ │|*]*(?:-\w,? +)?--[a-z][\w-]*", text, flags=re.MULTILINE)))

        yield Measure(f"options in `sift-rag {command} --help`, `--help` counted", attempt(count), goal)


GUARD = """
import sys, sift_rag
from pathlib import Path
if not Path(sift_rag.__file__).is_relative_to({repo!r}):
    sys.exit(f"the package that Python finds is another one: {{sift_rag.__file__}}")
"""
"""Ends a process that imports an installed copy instead of the checkout."""

POSTERIORS = """
import importlib, inspect, json, pkgutil
import numpy as np
import sift_rag.selection as selection

counts = {"built": 0, "observed": 0}

def counted(cls, name, key):
    original = cls.__dict__[name]
    def call(self, *arguments, **named):
        counts[key] += 1
        return original(self, *arguments, **named)
    setattr(cls, name, call)

for module in pkgutil.walk_packages(selection.__path__, "sift_rag.selection."):
    for cls in vars(importlib.import_module(module.name)).values():
        mine = inspect.isclass(cls) and cls.__module__ == module.name and not getattr(cls, "_is_protocol", False)
        if mine and {"__init__", "observe", "gains"} <= set(vars(cls)):
            counted(cls, "__init__", "built")
            counted(cls, "observe", "observed")

rows = np.random.default_rng(0).normal(size=(101, 16))
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
found = {}
for name in ("sift", "nearest", "mmr", "dpp", "facility-location", "hull", "uncertainty", "random"):
    if hasattr(selection, "SelectorSettings"):
        selector = selection.SelectorSettings(name)
    else:
        from sift_rag.selection import selector_from
        selector = selector_from(name, {})
    counts.update(built=0, observed=0)
    pool = getattr(selection, "Pool", None)
    selector.select(*((rows[:1], rows[1:]) if pool is None else (pool(rows[:1], rows[1:]),)), 5)
    found[name] = dict(counts)
print(json.dumps(found))
"""
"""Counts the posteriors that one choice of 5 among 100 builds, and how often it conditions one on a point."""


def posteriors(repo: Path, python: str) -> Iterator[Measure]:
    """Run one choice of each selector with every posterior class of the package instrumented."""
    name = "posteriors built (observations) for one choice, k = 5"
    printed = attempt(lambda: run(repo, python, POSTERIORS))
    if printed.startswith(NOT_MEASURED):
        yield Measure(name, printed)
        return
    for selector, each in json.loads(printed).items():
        yield Measure(f"{name}: {selector}", f"{each['built']} ({each['observed']})", "1 to measure it")


def attempt(call: Callable[[], str]) -> str:
    """Return the figure, or the last line of the error that prevented it."""
    try:
        return call()
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip() or "no message").splitlines()[-1]
        return f"{NOT_MEASURED}: {reason}"


def run(repo: Path, python: str, code: str, *arguments: str) -> str:
    """Run code on the checkout's packages, in a process of its own; return what it prints."""
    path = os.pathsep.join(str(repo / folder) for folder in (".", "cli", "plugins"))
    environment = {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "100", "HF_HUB_OFFLINE": "1"}
    command = [python, "-c", GUARD.format(repo=str(repo)) + code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=repo).stdout


if __name__ == "__main__":
    main()
