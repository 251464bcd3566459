"""The share of k hits that repeat an earlier hit, on a corpus full of copies.

    sift-rag ingest DOCS --store STORE          # for the table: three versions of one documentation
    python -m benchmarks.quality.redundancy --store STORE [--collection NAME] [-k 8] [--questions 100] [--json FILE]

Asked are the titles of documents, evenly spaced among all: "What should I know about TITLE?". A place goes to a copy if
an earlier hit has the same text (but for case and white space), or a cosine of 0.98 and more with it. Nearest neighbour
is the plain vector search, as ``--selector nearest --keep-copies``; so are MMR and DPP.
"""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path
from statistics import mean

import numpy as np

from sift_rag import Dpp, Mmr, Nearest, Retrieval, Retriever, Selector, Sift, open_retriever

SAME = 0.98


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--collection", default="documents")
    parser.add_argument("-k", type=int, default=8)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    base = open_retriever(options.store, options.collection)
    with closing(base.store) as store:
        titles = sorted({document.title for document in store.documents()})
        step = max(1, len(titles) // options.questions)
        questions = [f"What should I know about {title}?" for title in titles[::step][: options.questions]]
        rows = {}
        methods: tuple[tuple[Selector, bool], ...] = ((Nearest(), True), (Mmr(), True), (Dpp(), True), (Sift(), False))
        for selector, keep in methods:
            retriever = Retriever(base.embedder, store, selector=selector, keep_copies=keep)
            retrievals = [retriever.retrieve(question, options.k) for question in questions]
            repeated = [places_on_copies(retriever, retrieval) for retrieval in retrievals]
            rows[selector.name] = {
                "places_on_copies": mean(repeated),
                "distinct": mean(len(r.hits) - spent for r, spent in zip(retrievals, repeated, strict=True)),
                "questions_with_a_copy": sum(spent > 0 for spent in repeated) / len(repeated),
            }
    print(f"{len(questions)} questions, {store.info.name}, k = {options.k}")
    print("| | places spent on copies | distinct texts | questions with a copy |\n|---|---|---|---|")
    for name, row in rows.items():
        print(
            f"| {name} | {row['places_on_copies']:.2f} of {options.k} | {row['distinct']:.2f} | "
            f"{row['questions_with_a_copy']:.0%} |"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


def places_on_copies(retriever: Retriever, retrieval: Retrieval) -> int:
    ids = [hit.passage.id for hit in retrieval.hits]
    rows = np.stack([candidate.embedding for candidate in retriever.store.fetch(ids)])
    texts = [" ".join(hit.passage.text.casefold().split()) for hit in retrieval.hits]
    same = rows @ rows.T >= SAME
    return sum(any(texts[j] == texts[i] or same[i, j] for j in range(i)) for i in range(1, len(ids)))


if __name__ == "__main__":
    main()
