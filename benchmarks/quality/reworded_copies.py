"""Evidence found end to end where every paragraph stands three times in the corpus, lightly reworded.

    python -m benchmarks.quality.reworded_copies --data FOLDER [--questions 150] [--json FILE]

The corpus: the paragraphs of HotpotQA's first dev questions, each as it is, *reworded* (a word in many replaced by a
synonym) and *edited* (other typography, a line more). The whole way is taken, ``Retriever.retrieve``: nearest,
MMR and DPP with candidates as a plain vector search gives them (``keep_copies``), and with copies counted once. A place
is spent on a copy if an earlier hit is another version of the same paragraph.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from benchmarks.common.datasets import HotpotQuestion, Paragraph, data_folder, read_hotpotqa
from benchmarks.common.embedding import add_data_options, embed_cached
from benchmarks.common.intervals import paired_difference
from sift_rag import Dpp, Mmr, Nearest, Retriever, Selector, Sift
from sift_rag.near_duplicates import merge_copies
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import Candidate, CollectionInfo, Passage, Span

KS = (2, 4, 6, 10)

METHODS: tuple[tuple[str, Selector, bool], ...] = (
    ("nearest", Nearest(), True),
    ("MMR", Mmr(), True),
    ("DPP", Dpp(), True),
    ("SIFT", Sift(), True),
    ("nearest, copies counted once", Nearest(), False),
    ("MMR, copies counted once", Mmr(), False),
    ("DPP, copies counted once", Dpp(), False),
    ("sift-rag", Sift(), False),
)
"""The name in the table, the selector, and True if copies are kept."""

SYNONYMS = {
    "film": "movie",
    "located": "situated",
    "began": "started",
    "also": "in addition",
    "many": "numerous",
    "several": "various",
    "received": "was given",
    "largest": "biggest",
    "approximately": "about",
    "built": "constructed",
    "often": "frequently",
    "main": "principal",
    "based": "headquartered",
    "near": "close to",
    "best known": "most famous",
    "released": "brought out",
}
"""The words that version "reworded" replaces."""

VERSIONS = ("as it is", "reworded", "edited")


class Found(NamedTuple):
    """The figures of one method, each ``(questions, len(KS))``."""

    evidence: np.ndarray
    """Share."""
    distinct: np.ndarray
    """Paragraphs that differ."""


def main(arguments: Sequence[str] | None = None) -> None:
    from sift_rag.opening import open_embedder

    options = _options(arguments)
    path = next((data_folder(options.data) / "hotpotqa").glob("dev.json*"))
    questions = read_hotpotqa(path)[: options.questions]
    paragraphs = {paragraph.title: paragraph for question in questions for paragraph in question.paragraphs}
    passages = [passage for paragraph in paragraphs.values() for passage in versions_of(paragraph)]
    rows = embed_cached([passage.embedding_text for passage in passages], "passage", options.cache)
    embedder = open_embedder()
    store = MemoryStore(CollectionInfo("versions", embedder.name, embedder.dimension, 1))
    store.upsert(passages, rows)
    found = {}
    for name, selector, keep in METHODS:
        retriever = Retriever(embedder, store, selector=selector, keep_copies=keep)
        found[name] = find(retriever, questions)
    merged = merged_pairs(passages, rows)
    print(f"{len(questions)} questions, {len(paragraphs):,} paragraphs, {len(passages):,} passages")
    print(
        "versions taken for copies of the first: " + ", ".join(f"{name} {share:.0%}" for name, share in merged.items())
    )
    records = [_record(name, found[name], found["nearest"]) for name in found]
    for record in records:
        record |= {"questions": len(questions), "passages": len(passages), "merged": merged}
    _show(records)
    if options.json:
        options.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def versions_of(paragraph: Paragraph) -> list[Passage]:
    """Write the paragraph in each of ``VERSIONS``, told apart by their source ``VERSION/TITLE``."""
    text = "".join(paragraph.sentences).strip()
    texts = (text, reworded(text), edited(text, paragraph.title))
    return [
        Passage(
            id=str(uuid5(NAMESPACE_URL, f"{version}/{paragraph.title}")),
            text=written,
            source=f"{version}/{paragraph.title}",
            span=Span(0, len(written)),
            title=paragraph.title,
        )
        for version, written in zip(VERSIONS, texts, strict=True)
    ]


def reworded(text: str) -> str:
    """Replace every other word of ``SYNONYMS`` in the text, beginning with the first."""
    place = -1

    def replace(match: re.Match[str]) -> str:
        nonlocal place
        place += 1
        return SYNONYMS[match[0]] if place % 2 == 0 else match[0]

    return re.sub(r"\b(" + "|".join(SYNONYMS) + r")\b", replace, text)


def edited(text: str, title: str) -> str:
    """Set typographic quotes and dashes, and add a reference at the end."""
    return text.replace(' "', " \u201c").replace('"', "\u201d").replace(" - ", " \u2013 ") + f"\nSee also: {title}."


def find(retriever: Retriever, questions: Sequence[HotpotQuestion]) -> Found:
    """Measure the evidence in the hits, and how many of the hits differ."""
    evidence, distinct = [], []
    for question in questions:
        hits = retriever.retrieve(question.question, max(KS)).hits
        titles = [hit.passage.title for hit in hits]
        evidence.append(
            [sum(sentence.title in titles[:k] for sentence in question.evidence) / len(question.evidence) for k in KS]
        )
        distinct.append([len(set(titles[:k])) for k in KS])
    return Found(np.array(evidence), np.array(distinct, dtype=np.float64))


def merged_pairs(passages: Sequence[Passage], rows: np.ndarray) -> dict[str, float]:
    """Return, for each version but the first, the share that ``merge_copies`` takes for a copy of the first."""
    merged = dict.fromkeys(VERSIONS[1:], 0)
    for start in range(0, len(passages), len(VERSIONS)):
        first = Candidate(passages[start], 1.0, rows[start])
        for place, version in enumerate(VERSIONS[1:], start=start + 1):
            merged[version] += len(merge_copies([first, Candidate(passages[place], 0.9, rows[place])])) == 1
    return {version: count * len(VERSIONS) / len(passages) for version, count in merged.items()}


def _record(name: str, ours: Found, theirs: Found) -> dict[str, Any]:
    return {
        "method": name,
        "at": {
            f"k={k}": {
                "found": 100 * float(ours.evidence[:, place].mean()),
                **paired_difference(ours.evidence[:, place], theirs.evidence[:, place])._asdict(),
                "times": float(ours.evidence[:, place].mean() / theirs.evidence[:, place].mean()),
                "distinct": float(ours.distinct[:, place].mean()),
            }
            for place, k in enumerate(KS)
        },
    }


def _show(records: Sequence[dict[str, Any]]) -> None:
    print("\nevidence found, per cent (times nearest's); distinct paragraphs among k\n")
    print("| | " + " | ".join(f"k = {k}" for k in KS) + " |\n|---|" + "---|" * len(KS))
    for record in records:
        cells = [
            f"{at['found']:.1f} ({at['times']:.2f}x, {at['mean']:+.1f} [{at['low']:+.1f}, {at['high']:+.1f}]); "
            f"{at['distinct']:.2f}"
            for at in record["at"].values()
        ]
        print(f"| {record['method']} | " + " | ".join(cells) + " |")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.reworded_copies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(parser)
    parser.add_argument("--questions", type=int, default=150, help="how many of the dev questions (default: 150)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
