"""The general text and Python that ``small_model.py`` trains on: some 25 MB, none of an evaluated domain.

| kind  | from                                                                                                    |
|-------|---------------------------------------------------------------------------------------------------------|
| prose | in the data folder: wikitext2/valid.txt, hotpotqa/train.jsonl, musique/*_corpus.json,                   |
|       | strategyqa/*.json, pubmedqa/ori_pqal.json; Python's language reference; the READMEs and licences of     |
|       | installed distributions; docstrings of installed packages                                               |
| code  | the sources of the standard library, without tests                                                      |

The packages, the WikiText and the HotpotQA of ``domains.py`` are others than these. Beyond that, a paragraph is left
out if it shares 13 words in a row with any text of those domains.
"""

from __future__ import annotations

import ast
import json
import re
import sysconfig
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from email import message_from_string
from hashlib import blake2b
from importlib.metadata import distributions, packages_distributions
from importlib.util import find_spec
from pathlib import Path
from pydoc_data.topics import topics
from typing import Literal, NamedTuple, TypeAlias

from benchmarks.common.datasets import read_hotpotqa, read_strategyqa
from benchmarks.common.domains import PACKAGES, open_sources

Kind: TypeAlias = Literal["prose", "code"]

DOCSTRINGS = ("numpy", "scipy", "sklearn", "torch", "transformers", "hypothesis", "pydantic", "networkx", "rich")
"""Import names. Those of the project's own dependencies that document themselves at length."""

DOCSTRING_BYTES = 900_000
"""The most that is taken of one package, lest it drown the others."""

SHARED_WORDS = 13
"""The length of a run that counts as overlap, as in Brown et al., 2020, appendix C."""

HELD_OUT = 100
"""One document in so many."""

# Not text to learn from: tests, character tables, the topics again, foreign code, and what names the build machine.
EXCLUDED_FOLDERS = {"test", "tests", "idle_test", "encodings", "pydoc_data", "site-packages", "dist-packages"}
EXCLUDED_PREFIXES = ("_sysconfigdata", "config-")


class Document(NamedTuple):
    name: str
    kind: Kind
    text: str


class Corpus(NamedTuple):
    """Documents of both kinds, each text once, ordered by name."""

    train: list[Document]
    held_out: list[Document]
    left_out: int
    """Bytes of paragraphs that share words with an evaluated domain."""


def open_corpus(folder: Path) -> Corpus:
    """Read all collections that are there. Takes half a minute of processor time and 0.3 GB."""
    evaluated = word_runs(
        text.text for source in open_sources(folder).values() for text in (*source.memory, *source.prompts)
    )
    train: list[Document] = []
    held_out: list[Document] = []
    left_out = 0
    seen: set[str] = set()
    for document in sorted({*_prose(folder), *_library_sources()}):
        kept = without_overlap(document.text, evaluated)
        left_out += len(document.text.encode()) - len(kept.encode())
        if not kept.strip() or kept in seen:
            continue
        seen.add(kept)
        draw = int.from_bytes(blake2b(document.name.encode(), digest_size=8).digest(), "big")
        (train if draw % HELD_OUT else held_out).append(document._replace(text=kept))
    return Corpus(train, held_out, left_out)


def without_overlap(text: str, evaluated: AbstractSet[int]) -> str:
    """Keep the paragraphs, parted by empty lines, that share no run of words with the evaluated texts."""
    paragraphs = re.split(r"(?<=\n\n)", text)
    return "".join(paragraph for paragraph in paragraphs if evaluated.isdisjoint(word_runs([paragraph])))


def word_runs(texts: Iterable[str]) -> set[int]:
    """Hash every ``SHARED_WORDS`` words in a row; the hashes hold within one process."""
    runs: set[int] = set()
    for text in texts:
        words = re.findall(r"\w+", text.casefold())
        shifted = [words[start:] for start in range(SHARED_WORDS)]
        runs.update(map(hash, zip(*shifted, strict=False)))
    return runs


def _prose(folder: Path) -> Iterator[Document]:
    yield from (Document(f"topics/{name}", "prose", text) for name, text in topics.items())
    yield from _collections(folder)
    yield from _distribution_texts()
    for package in DOCSTRINGS:
        size = 0
        for document in _reference_pages(package):
            if size > DOCSTRING_BYTES:
                break
            size += len(document.text)
            yield document


def _collections(folder: Path) -> Iterator[Document]:
    path = folder / "wikitext2" / "valid.txt"
    if path.is_file():
        articles = re.split(r"^(?= = [^=])", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        yield from (Document(f"wikitext2/{number}", "prose", article) for number, article in enumerate(articles))
    path = folder / "hotpotqa" / "train.jsonl"
    if path.is_file():
        for question in read_hotpotqa(path):
            for title, sentences in question.paragraphs:
                yield Document(f"hotpotqa/{title}", "prose", f"{title}\n{''.join(sentences).strip()}")
    for path in folder.glob("musique/*_corpus.json"):
        for number, record in enumerate(json.loads(path.read_text(encoding="utf-8"))):
            yield Document(f"musique/{number}", "prose", f"{record['title']}\n{record['text']}")
    for path in folder.glob("strategyqa/*.json"):
        for number, asked in enumerate(read_strategyqa(path)):
            yield Document(f"strategyqa/{path.stem}/{number}", "prose", "\n".join((asked.question, *asked.facts)))
    path = folder / "pubmedqa" / "ori_pqal.json"
    if path.is_file():
        for name, record in json.loads(path.read_text(encoding="utf-8")).items():
            text = "\n".join((record["QUESTION"], *record["CONTEXTS"], record["LONG_ANSWER"]))
            yield Document(f"pubmedqa/{name}", "prose", text)


def _distribution_texts() -> Iterator[Document]:
    """READMEs and licences, but for the distributions that are evaluated."""
    of_package = packages_distributions()
    evaluated = {name for packages in PACKAGES.values() for package in packages for name in of_package.get(package, ())}
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name in evaluated:
            continue
        readme = message_from_string(distribution.read_text("METADATA") or "").get_payload()
        yield Document(f"readme/{name}", "prose", str(readme))
        for file in distribution.files or ():
            if re.match(r"licen[sc]e|copying|notice", file.name, flags=re.IGNORECASE) and file.suffix != ".py":
                yield Document(f"licence/{name}/{file}", "prose", _text(Path(str(file.locate()))))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _library_sources() -> Iterator[Document]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in _sources(root):
        yield Document(f"stdlib/{path.relative_to(root).as_posix()}", "code", _source(path))


def _reference_pages(package: str) -> Iterator[Document]:
    """Yield the docstrings of each module that has some, in the order of the files' names."""
    specification = find_spec(package)
    for root in specification.submodule_search_locations or () if specification else ():
        for path in _sources(Path(root)):
            name = ".".join(path.relative_to(Path(root).parent).with_suffix("").parts).removesuffix(".__init__")
            if page := reference_page(name, _source(path)):
                yield Document(f"reference/{name}", "prose", page)


def reference_page(module: str, source: str) -> str:
    """Return the docstrings under their signatures, in source order; empty if there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in old sources
        tree = ast.parse(source)
    return "\n\n".join(_entries(tree, module))


def _entries(node: ast.AST, title: str, signature: str = "") -> Iterator[str]:
    """Yield the docstrings of a module, class or function, and of the definitions directly in it."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
        text := ast.get_docstring(node)
    ):
        yield f"{title}{signature}\n\n{text}"
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _entries(child, f"{title}.{child.name}")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _entries(child, f"{title}.{child.name}", f"({ast.unparse(child.args)})")


def _sources(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if not EXCLUDED_FOLDERS.intersection(parts) and not any(part.startswith(EXCLUDED_PREFIXES) for part in parts):
            yield path


def _source(path: Path) -> str:
    with tokenize.open(path) as file:  # honours the coding line
        return file.read()
