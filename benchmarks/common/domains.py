"""Texts of eight kinds, each as a memory to learn from and prompts to be scored on, for learning at test time.

    python -m benchmarks.common.domains --data FOLDER [--passages 1500] [--cache FOLDER]    sizes; embeds each text

| domain        | from                                                  | set aside for prompts                      |
|---------------|-------------------------------------------------------|--------------------------------------------|
| mathematics   | deepmind_math/{train,interpolate,extrapolate}.jsonl   | interpolate and extrapolate                |
| python        | sources of fsspec, jinja2 and joblib, as installed    | files                                      |
| documentation | docs_haystack/version-*/: the memory is every version | pages, in no version in the memory; the    |
|               | but the newest, so most of it is there several times  | prompts are the newest version's           |
| latex         | stacks_latex/*.tex                                    | sections                                   |
| wikipedia     | wikitext2/test.txt                                    | sections; others of the article may be in  |
|               |                                                       | the memory                                 |
| pptx          | sources of python-pptx, as installed                  | files                                      |
| cranfield     | cranfield/cran.all.1400.xml                           | abstracts                                  |
| hotpotqa      | hotpotqa/dev.jsonl: first paragraphs of articles      | paragraphs                                 |

Settings are chosen on the domains in ``CHOOSING`` (both kinds of prompts) and figures told of the ``prompts`` of those
in ``REPORTING``; the ``train_prompts`` of these are for looking at single examples. What is there already is left out:
a prompt that stands in a document of the memory, a passage that stands in a prompt; letter case and white space do not
count. ``benchmarks/common/small_model.py`` trains on none of these texts.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from benchmarks.common.datasets import data_folder, read_hotpotqa, read_trec_documents
from benchmarks.common.embedding import add_data_options, embed_cached
from sift_rag.corpus.formats import Syntax
from sift_rag.corpus.splitting import split
from sift_rag.tokens import without_limits

if TYPE_CHECKING:
    from tokenizers import Tokenizer

REPORTING = ("mathematics", "python", "documentation", "latex", "wikipedia")
CHOOSING = ("pptx", "cranfield", "hotpotqa")

PACKAGES = {"python": ("fsspec", "jinja2", "joblib"), "pptx": ("pptx",)}
"""Import names. The project's own dependencies need all of them, so they are there wherever it is."""

PASSAGES = 1500
TRAIN_PROMPTS = 25
PROMPTS = 50

CAPACITY = 150
"""Tokens of the embedder in a passage or prompt: some 600 bytes, so that a prompt and a few passages fit a window of
1,024 tokens of a vocabulary of 4,096."""

LEAST = 80
"""Characters of a passage that was cut from a document: a closing bracket or a lone heading teaches nothing."""

SET_ASIDE = 8
"""One document in so many is for prompts."""

SEED = 20261123


@dataclass(frozen=True, slots=True)
class Domain:
    name: str
    memory: tuple[str, ...]
    """The passages in random order, so that the first tenth is a memory a tenth as large."""
    train_prompts: tuple[str, ...]
    prompts: tuple[str, ...]


class Text(NamedTuple):
    name: str
    """The unit that is in the memory or set aside as a whole; versions of a page share it."""
    text: str
    syntax: Syntax | None
    """Decides where it is cut into passages; None for a text that is one passage."""


class Source(NamedTuple):
    """The documents of a domain, no name in both."""

    memory: list[Text]
    prompts: list[Text]


Cut: TypeAlias = Callable[[Text], Iterator[str]]
"""A document -> its passages."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.common.domains",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(parser)
    parser.add_argument("--passages", type=int, default=PASSAGES, help="at most, of each memory (default: %(default)s)")
    options = parser.parse_args()
    sizes = {}
    for domain in open_domains(data_folder(options.data), passages=options.passages).values():
        sizes[domain.name] = {
            "passages": len(domain.memory),
            "bytes_a_passage": _mean_bytes(domain.memory),
            "prompts": len(domain.prompts),
            "bytes_a_prompt": _mean_bytes(domain.prompts),
        }
        print(domain.name, *(f"{name} {value}" for name, value in sizes[domain.name].items()), sep="  ", flush=True)
        embed_cached(domain.memory, "passage", options.cache)
        embed_cached(domain.prompts, "query", options.cache)
        embed_cached(domain.train_prompts, "query", options.cache)
    if options.json:
        options.json.write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")


def open_domains(
    folder: Path,
    *,
    names: Sequence[str] = (*REPORTING, *CHOOSING),
    passages: int = PASSAGES,
    tokenizer: Tokenizer | None = None,
) -> dict[str, Domain]:
    """Open those of the domains named whose data are there, in that order.

    The prompts do not depend on ``passages``. A small folder gives fewer passages or prompts than asked for.

    Args:
        folder: holds one folder a collection; see the module's docstring.
        names: of ``REPORTING`` and ``CHOOSING``.
        passages: the most in each memory, of documents drawn at random.
        tokenizer: counts the tokens of passages; by default the default embedder's.
    """
    if tokenizer is None:
        from sift_rag.opening import open_embedder

        tokenizer = open_embedder().tokenizer
    counting = without_limits(tokenizer)
    return {
        name: _domain(name, source, lambda text: _cut(text, counting), passages)
        for name, source in open_sources(folder, names).items()
    }


def open_sources(folder: Path, names: Sequence[str] = (*REPORTING, *CHOOSING)) -> dict[str, Source]:
    """Open the documents of those of the domains named whose data are there.

    Raises:
        SystemExit: there is no domain of such a name.
    """
    readers: dict[str, Callable[[], Source]] = {
        "mathematics": lambda: _mathematics(folder / "deepmind_math"),
        "python": lambda: _set_aside(_package_files(PACKAGES["python"])),
        "documentation": lambda: _documentation(folder / "docs_haystack"),
        "latex": lambda: _set_aside(_latex_sections(folder / "stacks_latex")),
        "wikipedia": lambda: _set_aside(_wikipedia_sections(folder / "wikitext2" / "test.txt")),
        "pptx": lambda: _set_aside(_package_files(PACKAGES["pptx"])),
        "cranfield": lambda: _set_aside(_abstracts(folder / "cranfield" / "cran.all.1400.xml")),
        "hotpotqa": lambda: _set_aside(_first_paragraphs(folder / "hotpotqa" / "dev.jsonl")),
    }
    if unknown := [name for name in names if name not in readers]:
        raise SystemExit(f"There is no domain {unknown[0]!r}: there are {', '.join(readers)}.")
    sources = {name: readers[name]() for name in names}
    return {name: source for name, source in sources.items() if source.memory and source.prompts}


def _mathematics(folder: Path) -> Source:
    def read(part: str) -> list[Text]:
        path = folder / f"{part}.jsonl"
        if not path.is_file():
            return []
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return [
            Text(f"{part}/{number}", f"{record['question']}\n{record['answer']}", None)
            for number, record in enumerate(records)
        ]

    return Source(read("train"), read("interpolate") + read("extrapolate"))


def _documentation(folder: Path) -> Source:
    versions = sorted((path for path in folder.glob("version-*") if path.is_dir()), key=_version)
    pages = [
        [Text(page.relative_to(version).as_posix(), page.read_text(encoding="utf-8"), "markdown") for page in found]
        for version in versions
        for found in [sorted(version.rglob("*.md*"))]
    ]
    older = [page for version in pages[:-1] for page in version]
    newest = pages[-1] if pages else []
    return Source(_set_aside(older).memory, _set_aside(newest).prompts)


def _version(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def _package_files(packages: Iterable[str]) -> Iterator[Text]:
    """Yield sources without tests, named from the package on."""
    for package in packages:
        specification = find_spec(package)
        for root in specification.submodule_search_locations or () if specification else ():
            for path in sorted(Path(root).rglob("*.py")):
                name = path.relative_to(Path(root).parent)
                if not {"tests", "test"}.intersection(name.parts):
                    yield Text(name.as_posix(), path.read_text(encoding="utf-8"), "python")


def _latex_sections(folder: Path) -> Iterator[Text]:
    for chapter in sorted(folder.glob("*.tex")):
        sections = re.split(r"^(?=\\section\{)", chapter.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for number, section in enumerate(sections[1:]):  # what stands before the first is the same in every chapter
            yield Text(f"{chapter.name}/{number}", section, "latex")


def _wikipedia_sections(path: Path) -> Iterator[Text]:
    """Yield sections of the first and second level.

    WikiText marks a heading by as many ``=`` on both sides as its level.
    """
    if path.is_file():
        sections = re.split(r"^(?= = (?:= )?[^=])", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for number, section in enumerate(sections):
            yield Text(str(number), section, "plain")


def _abstracts(path: Path) -> Iterator[Text]:
    if path.is_file():
        for number, article in read_trec_documents(path).items():
            yield Text(number, f"{article.title}\n{article.text}", "plain")


def _first_paragraphs(path: Path) -> Iterator[Text]:
    if path.is_file():
        paragraphs = {p.title: p for question in read_hotpotqa(path) for p in question.paragraphs}
        for paragraph in paragraphs.values():
            yield Text(paragraph.title, f"{paragraph.title}\n{''.join(paragraph.sentences).strip()}", "plain")


def _set_aside(texts: Iterable[Text]) -> Source:
    """Set aside one name in ``SET_ASIDE`` for prompts; the choice does not depend on the other names."""
    source = Source([], [])
    for text in texts:
        (source.memory if _draw(text.name) % SET_ASIDE else source.prompts).append(text)
    return source


def _draw(name: str) -> int:
    """Draw a random number that depends on the name alone."""
    return int.from_bytes(blake2b(f"{SEED}\0{name}".encode(), digest_size=8).digest(), "big")


def _domain(name: str, source: Source, cut: Cut, passages: int) -> Domain:
    remembered = "\0".join(_plain(text.text) for text in source.memory)
    candidates = _shuffled(dict.fromkeys(p for text in _by_draw(source.prompts) for p in cut(text)))
    new = (prompt for prompt in candidates if _plain(prompt) not in remembered)
    prompts = tuple(islice(new, TRAIN_PROMPTS + PROMPTS))
    asked = "\0".join(map(_plain, prompts))
    kept = (p for text in _by_draw(source.memory) for p in cut(text) if _plain(p) not in asked)
    memory = _shuffled(islice(kept, passages))
    return Domain(name, tuple(memory), prompts[PROMPTS:], prompts[:PROMPTS])


def _by_draw(texts: Sequence[Text]) -> list[Text]:
    """Shuffle the texts; those of one name stay together, in their order."""
    return sorted(texts, key=lambda text: _draw(f"order\0{text.name}"))


def _shuffled(texts: Iterable[str]) -> list[str]:
    found = list(texts)
    random.Random(SEED).shuffle(found)
    return found


def _cut(text: Text, tokenizer: Tokenizer) -> Iterator[str]:
    if text.syntax is None:
        yield text.text
        return
    for start, end in split(text.text, text.syntax, tokenizer, capacity=CAPACITY, overlap=0):
        passage = text.text[start:end].strip()
        if len(passage) >= LEAST:
            yield passage


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _mean_bytes(texts: Sequence[str]) -> int:
    return round(sum(len(text.encode()) for text in texts) / max(1, len(texts)))


if __name__ == "__main__":
    main()
