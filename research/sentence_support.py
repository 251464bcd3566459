"""Calibration of the check of an answer's sentences (``sift_rag/answering/checking.py``): weights, precision, recall.

    python -m research.sentence_support --data FOLDER [--count 200] [--json FILE]

Each case is one sentence, the passages that it cites, and if these hold it. Held: evidence sentences of HotpotQA in
their own paragraph, word for word or shortened; its questions with the right answer, which people wrote from two
paragraphs, in these; the sentences of PubMedQA's conclusions in the other sections of their abstract. Not held: the
same sentences in the other paragraph or abstract that is nearest by words (BM25); evidence sentences with one number or
name replaced by another of the corpus, with a number replaced by another of the same paragraph, or negated; the
questions with another question's answer.

Weights are fitted on HotpotQA's train questions, each kind with the same total weight, and reported on dev and on
PubMedQA's test part. Conclusions go beyond what their abstract says: fitted on them too, the rule gets lenient. The
questions that were asked are not given to the check.

MuSiQue is the test: no rule, weight or threshold was chosen on it or after a look at it. Its evidence are the sentences
of the gold paragraphs that hold the answer of their hop.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from benchmarks.common.datasets import (
    Article,
    HotpotQuestion,
    MusiqueQuestion,
    Paragraph,
    Sentence,
    Split,
    data_folder,
    read_hotpotqa,
    read_musique,
)
from benchmarks.common.embedding import add_data_options, embed_cached
from sift_rag.answering import checking
from sift_rag.answering.checking import FEATURES, THRESHOLD, Evidence
from sift_rag.answering.sentences import split_sentences
from sift_rag.evaluation.metrics import SEED
from sift_rag.selection.lexical import bm25
from sift_rag.types import Embedding, Passage, Span
from sift_rag.words import bag_of

HELD = ("verbatim", "shortened", "question and answer", "conclusion")
UNFITTED = "conclusion"
PENALTY = 0.5
"""Penalty on the squared weights, for every 100 cases."""
_NEGATABLE = re.compile(r"\b(is|was|are|were|can|has been)\b(?! not)")
_NUMBER = re.compile(r"\b\d+(?:,\d{3})*\b")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+(?: [A-Z][a-z]+)*")


class Case(NamedTuple):
    kind: str
    text: str
    """One sentence."""
    passages: tuple[Passage, ...]
    """The passages that it cites."""

    @property
    def held(self) -> bool:
        return self.kind in HELD


class KnownRows:
    """An embedder that reads its vectors from a table."""

    name, max_tokens = "table", 256

    def __init__(self, rows: dict[str, np.ndarray]) -> None:
        self.rows = rows
        self.dimension = len(next(iter(rows.values())))

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        return np.stack([self.rows[text] for text in texts])


class _Recording(list[str]):
    """An embedder that writes down what it is asked for."""

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        self.extend(texts)
        return np.ones((len(texts), 2), dtype=np.float32)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    folder = data_folder(options.data)
    cases = {split: cases_of(folder, split, options) for split in ("train", "dev")}
    measured = {split: features_of(some, options.cache) for split, some in cases.items()}
    weights, bias = fitted(measured["train"], cases["train"])
    print("WEIGHTS = (" + ", ".join(f"{weight:.2f}" for weight in weights) + f")\nBIAS = {bias:.2f}\n")
    rules = {"fitted now": (weights, bias), "in the code": (np.array(checking.WEIGHTS), checking.BIAS)}
    cosine = np.eye(len(FEATURES))[0]
    rules["cosine alone"] = fitted(measured["train"] * cosine, cases["train"])
    words = np.eye(len(FEATURES))[:3].sum(axis=0)
    rules["cosine and words"] = fitted(measured["train"] * words, cases["train"])
    scores = {name: _logistic(measured["dev"] @ rule[0] + rule[1]) for name, rule in rules.items()}
    figures = show(cases["dev"], scores)
    tested = musique_cases(folder / "musique", options)
    if tested:
        print("\nMuSiQue\n")
        found = features_of(tested, options.cache)
        by_rule = {name: _logistic(found @ rule[0] + rule[1]) for name, rule in rules.items() if name != "fitted now"}
        figures |= {f"{name}, MuSiQue": row for name, row in show(tested, by_rule).items()}
    show_thresholds(cases["dev"], scores["in the code"])
    show_examples(cases["dev"], scores["in the code"], measured["dev"], options.examples)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def cases_of(folder: Path, split: Split, options: argparse.Namespace) -> list[Case]:
    """Return up to ``count`` cases of each kind."""
    generator = np.random.default_rng(SEED)
    questions = read_hotpotqa(folder / "hotpotqa" / f"{split}.jsonl")
    cases = [*_hotpot_cases(questions, generator), *_pubmed_cases(folder / "pubmedqa", split)]
    return _some_of_each_kind(cases, generator, options.count)


def musique_cases(folder: Path, options: argparse.Namespace) -> list[Case]:
    """Return up to ``count`` cases of each kind from MuSiQue's questions of two hops; none if it is not there."""
    files = sorted(folder.glob("*_corpus.json"))
    if not files:
        return []
    questions, corpus = read_musique(files[0].with_name(files[0].name.replace("_corpus", "")), files[0])
    generator = np.random.default_rng(SEED)
    bags = [bag_of(f"{article.title}\n{article.text}") for article in corpus]
    scores = bm25([bag_of(question.question) for question in questions], bags)
    asked = [
        _as_hotpot(question, [corpus[place] for place in np.argsort(-score, kind="stable")[:12].tolist()])
        for question, score in zip(questions, scores, strict=True)
        if len(question.evidence) == len(question.hops) == 2
    ]
    return _some_of_each_kind(list(_hotpot_cases(asked, generator)), generator, options.count)


def _as_hotpot(question: MusiqueQuestion, near: Sequence[Article]) -> HotpotQuestion:
    """Return a question with its gold paragraphs, those that are nearest to it, and the sentences with an answer."""
    gold = sorted(question.evidence)
    others = [article for article in near if article.title not in {one.title for one in gold}]
    paragraphs = tuple(
        Paragraph(article.title, tuple(f"{one.text} " for one in split_sentences(article.text)))
        for article in (*gold, *others)
    )
    answers = [hop.answer for hop in question.hops]
    evidence = frozenset(
        Sentence(paragraph.title, place)
        for paragraph in paragraphs[: len(gold)]
        for place, sentence in enumerate(paragraph.sentences)
        if any(answer in sentence for answer in answers)
    )
    return HotpotQuestion(question.question, answers[-1], paragraphs, evidence)


def _some_of_each_kind(cases: Sequence[Case], generator: np.random.Generator, count: int) -> list[Case]:
    kept: list[Case] = []
    for kind in dict.fromkeys(case.kind for case in cases):
        of_kind = [case for case in cases if case.kind == kind]
        places = sorted(generator.permutation(len(of_kind))[:count].tolist())
        kept += [of_kind[place] for place in places]
    return kept


def features_of(cases: Sequence[Case], cache: Path) -> np.ndarray:
    """Return ``(cases, features)``: each sentence against the passages of its case together."""
    asked = _Recording()
    for case in cases:
        Evidence.of(case.text, dict(enumerate(case.passages)), asked)  # type: ignore[arg-type]
    texts = sorted(set(asked))
    rows = dict(zip(texts, embed_cached(texts, "passage", cache), strict=True))
    found = []
    for case in cases:
        evidence = Evidence.of(case.text, dict(enumerate(case.passages)), KnownRows(rows))  # type: ignore[arg-type]
        found.append(best_features(evidence, len(case.passages)))
    return np.array(found)


def best_features(evidence: Evidence, passages: int) -> np.ndarray:
    """Return the features with the best score: of one passage, or of all together."""
    groups = [[number] for number in range(passages)]
    if passages > 1:
        groups.append(list(range(passages)))
    return max((evidence.features(0, group) for group in groups), key=checking.score_of)


def fitted(features: np.ndarray, cases: Sequence[Case]) -> tuple[np.ndarray, float]:
    """Fit a logistic regression in which held and not held, and the kinds of each, weigh the same."""
    places = [place for place, case in enumerate(cases) if not case.kind.startswith(UNFITTED)]
    features, cases = features[places], [cases[place] for place in places]
    from sklearn.linear_model import LogisticRegression

    kinds = [case.kind for case in cases]
    shares = [
        1
        / kinds.count(kind)
        / (sum(one in HELD for one in set(kinds)) if kind in HELD else sum(one not in HELD for one in set(kinds)))
        for kind in kinds
    ]
    weights = np.array(shares) / np.mean(shares)
    model = LogisticRegression(C=1 / PENALTY, max_iter=1000)
    model.fit(features, [case.held for case in cases], sample_weight=weights)
    return model.coef_[0], float(model.intercept_[0])


def show(cases: Sequence[Case], scores: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Print how many cases of each kind count as supported, then precision and recall of both verdicts."""
    kinds = np.array([case.kind for case in cases])
    held = np.array([case.held for case in cases])
    figures: dict[str, dict[str, float]] = {name: {} for name in scores}
    print("| counted as supported, per cent | cases | " + " | ".join(scores) + " |\n|---|---|" + "---|" * len(scores))
    for kind in dict.fromkeys(kinds.tolist()):
        for name, score in scores.items():
            figures[name][kind] = float((score[kinds == kind] >= THRESHOLD).mean())
        cells = [f"{100 * figures[name][kind]:.0f}" for name in scores]
        print(f"| {'' if kind in HELD else 'not held: '}{kind} | {(kinds == kind).sum()} | " + " | ".join(cells) + " |")
    print("\n| | " + " | ".join(scores) + " |\n|---|" + "---|" * len(scores))
    for verdict, wanted in (("supported", held), ("unsupported", ~held)):
        cells = []
        for name, score in scores.items():
            said = (score >= THRESHOLD) if verdict == "supported" else (score < THRESHOLD)
            figures[name][f"precision of {verdict}"] = float(wanted[said].mean())
            figures[name][f"recall of {verdict}"] = float(said[wanted].mean())
            cells.append(f"{100 * wanted[said].mean():.0f}, {100 * said[wanted].mean():.0f}")
        print(f"| {verdict}: precision, recall | " + " | ".join(cells) + " |")
    return figures


def show_thresholds(cases: Sequence[Case], score: np.ndarray) -> None:
    held = np.array([case.held for case in cases])
    print("\nthreshold: precision and recall of supported, of unsupported")
    for threshold in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        said = score >= threshold
        print(
            f"{threshold}: {held[said].mean():.2f} {said[held].mean():.2f}, "
            f"{(~held)[~said].mean():.2f} {(~said)[~held].mean():.2f}"
        )


def show_examples(cases: Sequence[Case], score: np.ndarray, features: np.ndarray, count: int) -> None:
    for kind in dict.fromkeys(case.kind for case in cases):
        wrong = [place for place, case in enumerate(cases) if case.kind == kind and (score[place] >= 0.5) != case.held]
        for place in wrong[:count]:
            print(f"\n{kind}: {score[place]:.2f} {np.round(features[place], 2).tolist()}\n  {cases[place].text}")
            for passage in cases[place].passages:
                print(f"  > {passage.title}: {passage.text[:600]}")


# The cases


def _hotpot_cases(questions: Sequence[HotpotQuestion], generator: np.random.Generator) -> Iterator[Case]:
    paragraphs = {paragraph.title: paragraph for question in questions for paragraph in question.paragraphs}
    sentences = [one for paragraph in paragraphs.values() for one in paragraph.sentences]
    numbers = sorted({number for one in sentences for number in _NUMBER.findall(one)})
    names = sorted({name for one in sentences for name in _NAME.findall(one)})
    answers = [question.answer for question in questions if question.answer.casefold() not in {"yes", "no"}]
    for question in questions:
        others = [paragraph for paragraph in question.paragraphs if paragraph.title not in question_titles(question)]
        if len(others) < 2:
            continue
        gold = sorted(question_titles(question))
        for name in sorted(question.evidence):
            own = paragraphs[name.title]
            if name.place >= len(own.sentences):
                continue
            sentence = " ".join(own.sentences[name.place].split())
            if len(split_sentences(sentence)) != 1 or not sentence.endswith("."):
                continue
            near = _passage(nearest(sentence, others)[0])
            yield from _about(sentence, _passage(own), near, generator, numbers, names)
        if question.answer.casefold() not in {"yes", "no"} and len(gold) == 2:
            asked = question.question.rstrip("? ")
            cited = tuple(_passage(paragraphs[title]) for title in gold)
            said = f"{asked}: {question.answer}."
            yield Case("question and answer", said, cited)
            pair = tuple(map(_passage, nearest(said, others)[:2]))
            yield Case("question and answer, nearest others", said, pair)
            other = str(generator.choice(answers))
            if not any(other in passage.text for passage in cited):
                yield Case("question and wrong answer", f"{asked}: {other}.", cited)


def question_titles(question: HotpotQuestion) -> set[str]:
    return {sentence.title for sentence in question.evidence}


def nearest(sentence: str, paragraphs: Sequence[Paragraph]) -> list[Paragraph]:
    """Return the paragraphs, those first that share most words with the sentence."""
    scores = bm25([bag_of(sentence)], [bag_of(_text(paragraph)) for paragraph in paragraphs])[0]
    return [paragraphs[place] for place in np.argsort(-scores, kind="stable").tolist()]


def _about(
    sentence: str,
    own: Passage,
    nearest: Passage,
    generator: np.random.Generator,
    numbers: Sequence[str],
    names: Sequence[str],
) -> Iterator[Case]:
    yield Case("verbatim", sentence, (own,))
    if sentence not in nearest.text:
        yield Case("nearest other paragraph", sentence, (nearest,))
    if (short := _shortened(sentence)) is not None:
        yield Case("shortened", short, (own,))
        if sentence not in nearest.text:
            yield Case("shortened, nearest other paragraph", short, (nearest,))
    inside = _NUMBER.findall(own.text)
    for kind, pattern, others in (("number", _NUMBER, numbers), ("name", _NAME, names)):
        found = list(pattern.finditer(sentence))
        if not found:
            continue
        match = found[int(generator.integers(len(found)))]
        other = str(generator.choice(others))
        if other not in own.text:
            yield Case(f"another {kind}", sentence[: match.start()] + other + sentence[match.end() :], (own,))
        here = [one for one in inside if one not in sentence]
        if kind == "number" and here:
            other = str(generator.choice(here))
            changed = sentence[: match.start()] + other + sentence[match.end() :]
            yield Case("another number of the paragraph", changed, (own,))
    if _NEGATABLE.search(sentence):
        yield Case("negated", _NEGATABLE.sub(r"\1 not", sentence, count=1), (own,))


def _shortened(sentence: str) -> str | None:
    """Return a sentence without its parentheses and what follows its last comma; None if neither is there."""
    plain = re.sub(r" ?\([^()]*\)", "", sentence)
    clauses = plain.rstrip(".").rsplit(", ", 1)
    short = f"{clauses[0]}." if len(clauses) == 2 and len(clauses[0].split()) >= 6 else plain
    return short if short != sentence and len(short.split()) >= 6 and len(split_sentences(short)) == 1 else None


def _pubmed_cases(folder: Path, split: Split) -> Iterator[Case]:
    records = json.loads((folder / "ori_pqal.json").read_text(encoding="utf-8"))
    test = set(json.loads((folder / "test_ground_truth.json").read_text(encoding="utf-8")))
    keys = [key for key in records if (key in test) == (split == "dev")]
    abstracts = [bag_of(" ".join(records[key]["CONTEXTS"])) for key in keys]
    scores = bm25([bag_of(records[key]["LONG_ANSWER"]) for key in keys], abstracts)
    for place, key in enumerate(keys):
        order = np.argsort(-scores[place], kind="stable").tolist()
        other = keys[next(near for near in order if near != place)]
        for sentence in split_sentences(records[key]["LONG_ANSWER"]):
            if len(sentence.text.split()) >= 6 and "?" not in sentence.text:
                yield Case("conclusion", sentence.text, _sections(records[key]["CONTEXTS"]))
                yield Case("conclusion, nearest other abstract", sentence.text, _sections(records[other]["CONTEXTS"]))


def _sections(texts: Sequence[str]) -> tuple[Passage, ...]:
    return tuple(_made(text, "") for text in texts)


def _passage(paragraph: Paragraph) -> Passage:
    return _made("".join(paragraph.sentences), paragraph.title)


def _made(text: str, title: str) -> Passage:
    return Passage(str(uuid5(NAMESPACE_URL, f"{title}#{text}")), text, title or "abstract", Span(0, len(text)), title)


def _text(paragraph: Paragraph) -> str:
    return f"{paragraph.title}\n{''.join(paragraph.sentences)}"


def _logistic(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m research.sentence_support",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_options(parser)
    parser.add_argument("--count", type=int, default=200, help="cases of each kind and split")
    parser.add_argument("--examples", type=int, default=0, help="print this many wrong verdicts of each kind")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
