"""Time that words and following add to one selection of 5, without a store.

python -m benchmarks.speed.words_in_kernel [--json FILE]

Candidates are spans of 100 or 200 words of Python's language reference, with synthetic vectors. They are tokenised once
and cached, as in a long-running process; the last rows tokenise 100 new candidates.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter

from benchmarks.common.turns import Row, compare, run_parts, unit_rows
from sift_rag import Features, GaussianProcess, Pool, Selector, Sift, Texts
from sift_rag.words import bag_of

RUNS = 30
QUESTION = "How do I define a function with optional arguments?"


def selection() -> Iterator[Row]:
    """Compare a selection with words, and with words and following, to one by embeddings alone."""
    alone = Sift(GaussianProcess(features=Features(words=0)), follow=0)
    for size in (100, 200):
        texts, rows = stretches(200)[:size], unit_rows(size + 1, 384, 1)
        pool = Pool(rows[:1], rows[1:], texts=Texts([QUESTION], texts))
        before = milliseconds(partial(chosen, alone, pool))
        for what, selector in (("words", Sift(follow=0)), ("words and following", Sift())):
            ours = milliseconds(partial(chosen, selector, pool))
            ours()
            yield compare(
                f"n = {size}, 200 words each, {what}", ours, "embeddings alone", before, runs=RUNS, unit="ms", goal=""
            )


def reading() -> Iterator[Row]:
    """Compare tokenising 100 new candidates to a selection by embeddings alone."""
    alone = Sift(GaussianProcess(features=Features(words=0)), follow=0)
    rows = unit_rows(101, 384, 1)
    for length in (100, 200):
        texts = stretches(length)[:100]
        pool = Pool(rows[:1], rows[1:], texts=Texts([QUESTION], texts))

        def read(texts: list[str] = texts) -> None:
            bag_of.cache_clear()
            for text in texts:
                bag_of(text)

        yield compare(
            f"words of 100 new texts of {length} words",
            milliseconds(read),
            "selection by embeddings, n = 100",
            milliseconds(partial(chosen, alone, pool)),
            runs=RUNS,
            unit="ms",
            goal="",
        )


def chosen(selector: Selector, pool: Pool) -> object:
    return selector.select(pool, 5)


def milliseconds(work: Callable[[], object]) -> Callable[[], float]:
    def once() -> float:
        begun = perf_counter()
        work()
        return 1e3 * (perf_counter() - begun)

    return once


def stretches(length: int) -> list[str]:
    """Return spans of the language reference of the given length in words."""
    from pydoc_data.topics import topics

    words = " ".join(topics[name] for name in sorted(topics)).split()
    return [" ".join(words[start : start + length]) for start in range(0, len(words) - length, length)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    run_parts({"selection": lambda _: selection(), "reading": lambda _: reading()}, parser)


if __name__ == "__main__":
    main()
