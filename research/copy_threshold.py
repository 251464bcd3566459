"""Calibration of ``COPY_SIMILARITY`` (``sift_rag/near_duplicates.py``), the cosine from which passages say the same.

    python -m research.copy_threshold --data FOLDER

Pairs that say the same: a passage of a documentation page and its counterpart in the next version (same page, same
headings), nearly but not byte for byte the same. Pairs that do not: each passage's nearest other passage inside one
version (those alike to nine words in ten are shown apart: boilerplate, of which one may say either), the nearest
neighbours among HotpotQA's windows and paragraphs, and real passages in which one thing was changed (a number, a name,
a negation): those look most like copies and say something else.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common.datasets import data_folder, open_tasks
from benchmarks.common.embedding import add_data_options, embed_cached
from sift_rag.evaluation.metrics import SEED
from sift_rag.types import Passage

THRESHOLDS = (0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.995)
BANDS = (0.0, 0.6, 0.8, 0.9, 0.95, 0.98, 1.01)
"""Bounds of the bands in which the share of common words is reported."""

SAME = 0.9
"""Counterparts in two versions with at least this share of words in common are taken to say the same."""

SAMPLE = 3000
"""Number of HotpotQA's windows and paragraphs that are compared with their nearest neighbour."""

ALTERED = 300
"""Passages in which one thing is changed, a kind."""


class Pair(NamedTuple):
    first: str
    second: str
    """Texts as the embedder is given them."""
    cosine: float

    @property
    def words_in_common(self) -> float:
        """2 M / T, M words in matching blocks of T in both."""
        return _words_in_common(self.first, self.second)


Rule = Callable[[str, str], bool]

RULES: dict[str, Rule] = {
    "cosine alone": lambda _, __: True,
    "and 80 % of the words": lambda first, second: _bag_overlap(first, second) >= 0.8,
    "and the same numbers": lambda first, second: _numbers(first) == _numbers(second),
    "and the same numbers and negations": lambda first, second: (
        _numbers(first) == _numbers(second) and _negations(first) == _negations(second)
    ),
}
"""Conditions on two texts besides their cosine; each costs O(words)."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    folder = data_folder(options.data)
    versions = [read_version(path) for path in sorted((folder / "docs_haystack").glob("version-*"))]
    if len(versions) < 2:
        raise SystemExit(f"{folder / 'docs_haystack'} must hold two or more folders version-*, one a version.")
    counterparts = with_cosines(
        [pair for old, new in pairwise(versions) for pair in counterparts_of(old, new)], options
    )
    middle = versions[len(versions) // 2]
    sets = {"a page's next version": [pair for pair in counterparts if pair.words_in_common >= SAME]}
    inside = [passage for passages in middle.values() for passage in passages]
    neighbours = nearest_neighbours(
        [passage.embedding_text for passage in inside], options, bodies=[passage.text for passage in inside]
    )
    sets["neighbours, one version, other"] = [pair for pair in neighbours if pair.words_in_common < SAME]
    sets["neighbours, one version, alike"] = [pair for pair in neighbours if pair.words_in_common >= SAME]
    tasks = open_tasks(folder, "dev")
    for name in ("hotpotqa-windows", "hotpotqa-passages"):
        if name in tasks:
            sets[f"neighbours in {name}"] = nearest_neighbours(tasks[name].passages, options, sample=SAMPLE)
    if "hotpotqa-windows" in tasks:
        for kind, texts in altered(tasks["hotpotqa-windows"].passages).items():
            sets[f"another {kind}"] = with_cosines(texts, options)
    _show_bands(counterparts)
    figures = {rule: merged_shares(sets, holds) for rule, holds in RULES.items()}
    for rule, shares in figures.items():
        _show(rule, sets, shares)
    _show_examples("neighbours, one version, other", sets["neighbours, one version, other"], options.examples)
    if options.json:
        sizes = {name: len(pairs) for name, pairs in sets.items()}
        text = json.dumps({"thresholds": THRESHOLDS, "pairs": sizes, "merged": figures}, indent=1)
        options.json.write_text(text + "\n", encoding="utf-8")


def read_version(folder: Path) -> dict[str, list[Passage]]:
    """Read the passages of every page, by its path in this version; cut as an ingest cuts them."""
    from sift_rag.corpus.documents import read_document
    from sift_rag.corpus.passages import split_document
    from sift_rag.opening import open_embedder

    embedder = open_embedder()
    return {
        (source := path.relative_to(folder).as_posix()): list(
            split_document(
                read_document(path),
                source,
                tokenizer=embedder.tokenizer,
                max_tokens=embedder.max_tokens,
                revision="",
            )
        )
        for path in sorted(folder.rglob("*.md*"))
    }


def counterparts_of(old: dict[str, list[Passage]], new: dict[str, list[Passage]]) -> Iterator[tuple[str, str]]:
    """Each passage that changed, with the passage of the same page and headings that has most words in common.

    What is equal but for case and white space is left out: no cosine is needed to see that.
    """
    for source in sorted(old.keys() & new.keys()):
        kept = {_normalised(p.embedding_text) for p in old[source]} & {
            _normalised(p.embedding_text) for p in new[source]
        }
        changed = [passage for passage in new[source] if _normalised(passage.embedding_text) not in kept]
        for passage in old[source]:
            if _normalised(passage.embedding_text) in kept:
                continue
            same_place = [other for other in changed if other.headings == passage.headings]
            if same_place:
                closest = max(same_place, key=lambda other: _words_in_common(passage.text, other.text))
                yield passage.embedding_text, closest.embedding_text


def nearest_neighbours(
    texts: Sequence[str],
    options: argparse.Namespace,
    *,
    bodies: Sequence[str] | None = None,
    sample: int | None = None,
) -> list[Pair]:
    """Texts, all or a sample, each with the most similar other one whose body (by default: text) is not the same.

    Bodies are the same if they are but for case and white space: no cosine is needed to see that.
    """
    rows = embed_cached(texts, "passage", options.cache)
    normalised = [_normalised(body) for body in bodies or texts]
    generator = np.random.default_rng(SEED)
    chosen = np.arange(len(texts)) if sample is None else np.sort(generator.permutation(len(texts))[:sample])
    pairs: dict[tuple[int, int], Pair] = {}
    for block in np.array_split(chosen, max(1, len(chosen) // 500)):
        similarities = rows[block] @ rows.T
        for similarity, row in zip(similarities, block.tolist(), strict=True):
            for other in np.argsort(-similarity)[:50].tolist():
                if normalised[other] != normalised[row]:
                    ends = (min(row, other), max(row, other))
                    pairs[ends] = Pair(texts[row], texts[other], float(similarity[other]))
                    break
    return list(pairs.values())


def with_cosines(texts: Sequence[tuple[str, str]], options: argparse.Namespace) -> list[Pair]:
    """Embed both sides."""
    first = embed_cached([pair[0] for pair in texts], "passage", options.cache)
    second = embed_cached([pair[1] for pair in texts], "passage", options.cache)
    cosines = np.einsum("nd,nd->n", first, second)
    return [Pair(*pair, float(cosine)) for pair, cosine in zip(texts, cosines, strict=True)]


def altered(passages: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Real passages ("title, line break, text"), and the same with one thing changed."""
    generator = np.random.default_rng(SEED)
    titles = sorted({passage.partition("\n")[0] for passage in passages})
    found: dict[str, list[tuple[str, str]]] = {"number": [], "negation": [], "name": []}
    for place in generator.permutation(len(passages)).tolist():
        passage = passages[place]
        title, _, text = passage.partition("\n")
        other_name = titles[int(generator.integers(len(titles)))]
        changed = {
            "number": f"{title}\n" + re.sub(r"\d+", _another_number, text, count=1),
            "negation": f"{title}\n" + re.sub(r"\b(is|was|are|were|can|has been)\b", r"\1 not", text, count=1),
            "name": passage.replace(title, other_name) if title in text else passage,
        }
        for kind, other in changed.items():
            if other != passage and len(found[kind]) < ALTERED:
                found[kind].append((passage, other))
        if all(len(pairs) == ALTERED for pairs in found.values()):
            break
    return found


def merged_shares(sets: dict[str, list[Pair]], rule: Rule) -> dict[str, list[float]]:
    """Share of each set's pairs that would be taken for copies, at each threshold."""
    shares = {}
    for name, pairs in sets.items():
        close = np.array([pair.cosine if rule(pair.first, pair.second) else -1.0 for pair in pairs])
        shares[name] = [float((close >= threshold).mean()) for threshold in THRESHOLDS]
    return shares


def _another_number(match: re.Match[str]) -> str:
    """Change the last digit."""
    digits = match[0]
    return digits[:-1] + str((int(digits[-1]) + 1) % 10)


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())


def _words_in_common(first: str, second: str) -> float:
    return SequenceMatcher(None, first.split(), second.split(), autojunk=False).ratio()


def _numbers(text: str) -> Counter[str]:
    return Counter(re.findall(r"\d+", text))


def _negations(text: str) -> Counter[str]:
    return Counter(re.findall(r"\b(?:no|not|never|none|without|cannot)\b|n['\u2019]t\b", text.casefold()))


def _bag_overlap(first: str, second: str) -> float:
    """Words in common over words in either, repeats counted."""
    ours, theirs = Counter(re.findall(r"\w+", first.casefold())), Counter(re.findall(r"\w+", second.casefold()))
    return (ours & theirs).total() / max((ours | theirs).total(), 1)


def _show_bands(pairs: Sequence[Pair]) -> None:
    print("Counterparts in two versions, by the share of words in common: how many, and quantiles of their cosine")
    print("    words in common      n     5 %    25 %    50 %    75 %    95 %")
    for low, high in pairwise(BANDS):
        cosines = [pair.cosine for pair in pairs if low <= pair.words_in_common < high]
        if cosines:
            quantiles = "".join(f"{q:8.3f}" for q in np.quantile(cosines, [0.05, 0.25, 0.5, 0.75, 0.95]))
            print(f"    {low:.2f} to {min(high, 1):.2f} {len(cosines):10d}{quantiles}")


def _show(rule: str, sets: dict[str, list[Pair]], shares: dict[str, list[float]]) -> None:
    print(f"\nTaken for copies, per cent of the pairs ({rule})")
    print(f"    {'':32} {'n':>6}" + "".join(f"{threshold:>7g}" for threshold in THRESHOLDS))
    for name, row in shares.items():
        print(f"    {name:32} {len(sets[name]):6d}" + "".join(f"{100 * share:7.1f}" for share in row))
    same, neighbours = list(shares)[:2]
    true = np.array(shares[same]) * len(sets[same])
    false = np.array(shares[neighbours]) * len(sets[neighbours])
    precision = 100 * true / np.maximum(true + false, 1)
    print(f"    {'precision, first set to second':39}" + "".join(f"{value:7.1f}" for value in precision))


def _show_examples(name: str, pairs: Sequence[Pair], count: int) -> None:
    closest = sorted(pairs, key=lambda pair: -pair.cosine)[:count]
    for pair in closest:
        print(f"\n{name}, cosine {pair.cosine:.4f}, words in common {pair.words_in_common:.2f}")
        print(f"--- {pair.first}\n+++ {pair.second}")


def _options(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(
        prog="python -m research.copy_threshold",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(parser)
    parser.add_argument("--examples", type=int, default=0, help="print this many of the closest neighbours in full")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
