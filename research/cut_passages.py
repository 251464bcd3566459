"""Passages that nobody would quote, among those that an ingest cuts from a folder of Markdown.

    python -m research.cut_passages FOLDER

Counts passages that are a fence and nothing else, and those of fewer than five words, which it prints.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from sift_rag.corpus.documents import read_document
from sift_rag.corpus.passages import split_document
from sift_rag.opening import open_embedder

BARE_FENCE = re.compile(r"\s*(?:```|~~~)\S*\s*(?:```|~~~)?\s*")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    embedder = open_embedder()
    texts = [
        passage.text
        for path in sorted(parser.parse_args().folder.rglob("*.md*"))
        for passage in split_document(
            read_document(path),
            path.name,
            tokenizer=embedder.tokenizer,
            max_tokens=embedder.max_tokens,
            revision="",
        )
    ]
    short = [text for text in texts if len(text.split()) < 5]
    bare = sum(BARE_FENCE.fullmatch(text) is not None for text in texts)
    print(f"{len(texts):,} passages, {bare} bare fences, {len(short)} of fewer than five words")
    for text in short:
        print(repr(text))


if __name__ == "__main__":
    main()
