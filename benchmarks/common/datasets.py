"""Readers of public question-answering collections, and the retrieval tasks made from them.

Nothing of the data is in this project. A folder given with ``--data`` or ``SIFT_RAG_BENCH_DATA`` holds one folder a
collection, in the formats in which they are published:

    hotpotqa/{train,dev}.jsonl      HotpotQA, distractor setting; one JSON array a file (``.json``) is read as well
    musique/*.json, *_corpus.json   MuSiQue, questions and corpus as HippoRAG distributes them
    strategyqa/{train,dev}.json     StrategyQA
    cranfield/                      TREC format: cran.all.1400.xml, cran.qry.xml, cranqrel.trec.txt
    pubmedqa/                       ori_pqal.json, test_ground_truth.json
    docs_haystack/version-*/        a documentation in Markdown; of several versions the last is read
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple
from xml.etree import ElementTree as ET

DATA_VARIABLE = "SIFT_RAG_BENCH_DATA"

Split = Literal["train", "dev"]

IDENTIFIERS = 200
SENTENCE = "What does {} do, and how do I use it?"
_IDENTIFIER = re.compile(r"\b(?:[A-Za-z]+_[A-Za-z_]+[A-Za-z]|[a-z]+[A-Z][A-Za-z]+|[A-Z][a-z]+[A-Z][A-Za-z]+)\b")


class Paragraph(NamedTuple):
    title: str
    sentences: tuple[str, ...]


class Sentence(NamedTuple):
    """The name of a sentence of HotpotQA: the title of its paragraph and its index there, from 0."""

    title: str
    place: int


@dataclass(frozen=True, slots=True)
class HotpotQuestion:
    question: str
    answer: str
    paragraphs: tuple[Paragraph, ...]
    evidence: frozenset[Sentence]


class Hop(NamedTuple):
    """A step of a MuSiQue question. ``question`` may refer to the answer of an earlier step as ``#1``, ``#2``, ..."""

    question: str
    answer: str


class Article(NamedTuple):
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class MusiqueQuestion:
    question: str
    hops: tuple[Hop, ...]
    evidence: frozenset[Article]

    @property
    def sub_questions(self) -> tuple[str, ...]:
        """The hops' questions, each reference replaced by the earlier hop's answer."""
        return tuple(
            re.sub(r"#(\d+)", lambda reference: self.hops[int(reference[1]) - 1].answer, hop.question)
            for hop in self.hops
        )


@dataclass(frozen=True, slots=True)
class StrategyQuestion:
    question: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrecCollection:
    documents: Mapping[str, Article]
    """The articles by document number."""
    topics: Mapping[str, str]
    """The questions, by the number that ``relevant`` uses."""
    relevant: Mapping[str, frozenset[str]]
    """Document numbers by topic; topics without a relevant document are left out."""


@dataclass(frozen=True, slots=True)
class RetrievalTask:
    """Passages, questions, and which pieces of evidence each passage holds and each question needs."""

    name: str
    passages: tuple[str, ...]
    """The texts that are embedded."""
    holds: tuple[frozenset[int], ...]
    """The pieces of evidence in each passage. Passages that overlap share some."""
    questions: tuple[tuple[str, ...], ...]
    """One text, or several targets that are answered together."""
    needs: tuple[frozenset[int], ...]
    """The pieces of evidence that each question needs; never empty."""


def data_folder(given: Path | None) -> Path:
    """Return the folder of the collections.

    Raises:
        SystemExit: neither the option nor the variable names an existing folder.
    """
    named = given or (Path(os.environ[DATA_VARIABLE]) if DATA_VARIABLE in os.environ else None)
    if named is None or not named.is_dir():
        raise SystemExit(
            f"The data folder {'is not named' if named is None else f'{str(named)!r} does not exist'}: give --data "
            f"FOLDER or set {DATA_VARIABLE}. Which files it must hold is said in benchmarks/README.md."
        )
    return named


def read_hotpotqa(path: Path) -> list[HotpotQuestion]:
    """Read HotpotQA in its distractor setting, as published (pairs) or as a data-set hub serves it (columns).

    Evidence that names a sentence which does not exist is left out; a few of the published records have some.
    """
    return [_hotpot_question(record) for record in _records(path)]


def read_musique(questions: Path, corpus: Path) -> tuple[list[MusiqueQuestion], list[Article]]:
    """Read MuSiQue questions with their gold paragraphs, and the corpus to search."""
    articles = [Article(record["title"], record["text"]) for record in _records(corpus)]
    return [
        MusiqueQuestion(
            question=record["question"],
            hops=tuple(Hop(step["question"], step["answer"]) for step in record["question_decomposition"]),
            evidence=frozenset(
                Article(paragraph["title"], paragraph["paragraph_text"])
                for paragraph in record["paragraphs"]
                if paragraph["is_supporting"]
            ),
        )
        for record in _records(questions)
    ], articles


def read_strategyqa(path: Path) -> list[StrategyQuestion]:
    return [StrategyQuestion(record["question"], tuple(record["facts"])) for record in _records(path)]


def read_trec(documents: Path, topics: Path, judgements: Path) -> TrecCollection:
    """Read a collection in TREC format.

    Cranfield's judgements count topics by their place in the file, not by the number written there; judgements of
    numbers beyond those written would be lost otherwise, so places are used wherever the two disagree.
    """
    numbered = [(_child(topic, "num"), _child(topic, "title")) for topic in _elements(topics, "top")]
    relevant: dict[str, set[str]] = {}
    judged: set[str] = set()
    for line in judgements.read_text(encoding="utf-8").split("\n"):
        if not line.strip():
            continue
        topic, _, document, relevance = line.split()
        judged.add(topic)
        if int(relevance) > 0:
            relevant.setdefault(topic, set()).add(document)
    if not judged <= {number for number, _ in numbered}:
        numbered = [(str(place), title) for place, (_, title) in enumerate(numbered, start=1)]
    return TrecCollection(
        documents=read_trec_documents(documents),
        topics=dict(numbered),
        relevant={topic: frozenset(found) for topic, found in relevant.items()},
    )


def read_trec_documents(path: Path) -> dict[str, Article]:
    """Return the articles by document number, in the order of the file."""
    return {
        _child(document, "docno"): Article(_child(document, "title"), _child(document, "text"))
        for document in _elements(path, "doc")
    }


def hotpot_task(
    questions: Sequence[HotpotQuestion],
    corpus: Sequence[HotpotQuestion],
    *,
    unit: Literal["windows", "passages"],
    titles: bool = True,
    name: str = "",
) -> RetrievalTask:
    """Find the evidence sentences among all paragraphs of ``corpus``.

    Args:
        questions: what is asked.
        corpus: whose paragraphs are searched, each title once.
        unit: ``windows`` of two sentences that overlap by one, or whole paragraphs as ``passages``.
        titles: whether a passage carries the title of its paragraph.
        name: of the task.
    """
    paragraphs = {paragraph.title: paragraph for question in corpus for paragraph in question.paragraphs}
    numbers: dict[Sentence, int] = {}
    passages: list[str] = []
    holds: list[frozenset[int]] = []
    for paragraph in paragraphs.values():
        for first, last in _stretches(paragraph.sentences, unit):
            text = "".join(paragraph.sentences[first:last]).strip()
            passages.append(f"{paragraph.title}\n{text}" if titles else text)
            sentences = [Sentence(paragraph.title, index) for index in range(first, last)]
            holds.append(frozenset(numbers.setdefault(sentence, len(numbers)) for sentence in sentences))
    asked = [
        (question.question, frozenset(numbers[sentence] for sentence in question.evidence if sentence in numbers))
        for question in questions
    ]
    return _task(name, passages, holds, [((question,), needs) for question, needs in asked])


def musique_task(
    questions: Sequence[MusiqueQuestion],
    corpus: Sequence[Article],
    *,
    targets: Literal["question", "sub_questions"],
    name: str = "",
) -> RetrievalTask:
    """Find the gold paragraphs, asking the question as it is or its sub-questions together."""
    numbers = {article: number for number, article in enumerate(corpus)}
    return _task(
        name,
        [f"{article.title}\n{article.text}" for article in corpus],
        [frozenset({numbers[article]}) for article in corpus],
        [
            (
                (question.question,) if targets == "question" else question.sub_questions,
                frozenset(numbers[article] for article in question.evidence),
            )
            for question in questions
        ],
    )


def strategy_task(
    questions: Sequence[StrategyQuestion], corpus: Sequence[StrategyQuestion], *, name: str = ""
) -> RetrievalTask:
    """Find a question's facts among those of all questions of ``corpus``."""
    numbers = {fact: number for number, fact in enumerate(dict.fromkeys(f for q in corpus for f in q.facts))}
    return _task(
        name,
        list(numbers),
        [frozenset({number}) for number in numbers.values()],
        [((question.question,), frozenset(numbers[fact] for fact in question.facts)) for question in questions],
    )


def trec_task(collection: TrecCollection, *, name: str = "") -> RetrievalTask:
    """Find the relevant documents of each topic."""
    numbers = {document: number for number, document in enumerate(collection.documents)}
    return _task(
        name,
        [f"{article.title}\n{article.text}" for article in collection.documents.values()],
        [frozenset({number}) for number in numbers.values()],
        [
            ((topic,), frozenset(numbers[document] for document in collection.relevant.get(number, ())))
            for number, topic in collection.topics.items()
        ],
    )


def pubmed_task(folder: Path, split: Split, *, name: str = "") -> RetrievalTask:
    """Find the sections of a question's own abstract among those of all; ``dev`` is the published test part."""
    records = json.loads((folder / "ori_pqal.json").read_text(encoding="utf-8"))
    test = set(json.loads((folder / "test_ground_truth.json").read_text(encoding="utf-8")))
    sections = [(key, text) for key, record in records.items() for text in record["CONTEXTS"]]
    own: dict[str, set[int]] = {}
    for number, (key, _) in enumerate(sections):
        own.setdefault(key, set()).add(number)
    return _task(
        name,
        [text for _, text in sections],
        [frozenset({number}) for number in range(len(sections))],
        [
            ((record["QUESTION"],), frozenset(own.get(key, ())))
            for key, record in records.items()
            if (key in test) == (split == "dev")
        ],
    )


def identifier_task(
    passages: Sequence[str], count: int = IDENTIFIERS, *, sentence: str = "{}", name: str = ""
) -> RetrievalTask:
    """Find a passage that holds an identifier of one to three passages, evenly drawn; any of them is the evidence.

    Args:
        passages: of a technical documentation.
        count: number of identifiers.
        sentence: what is asked, with ``{}`` for the identifier.
        name: of the task.
    """
    where: dict[str, set[int]] = {}
    for number, text in enumerate(passages):
        for identifier in set(_IDENTIFIER.findall(text)):
            where.setdefault(identifier, set()).add(number)
    rare = sorted(identifier for identifier, places in where.items() if len(places) <= 3)
    chosen = [rare[place * len(rare) // count] for place in range(min(count, len(rare)))]
    holds = [set[int]() for _ in passages]
    for piece, identifier in enumerate(chosen):
        for place in where[identifier]:
            holds[place].add(piece)
    return _task(
        name,
        list(passages),
        [frozenset(pieces) for pieces in holds],
        [((sentence.format(identifier),), frozenset({piece})) for piece, identifier in enumerate(chosen)],
    )


def read_markdown(folder: Path) -> list[str]:
    """Return the passages, with title and headings, that an ingest cuts from the Markdown files of a folder."""
    from sift_rag.corpus.documents import read_document
    from sift_rag.corpus.passages import split_document
    from sift_rag.opening import open_embedder

    embedder = open_embedder()
    texts: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".md", ".mdx"}):
        document = read_document(path)
        passages = split_document(
            document,
            path.relative_to(folder).as_posix(),
            tokenizer=embedder.tokenizer,
            max_tokens=embedder.max_tokens,
            revision="",
        )
        texts += [passage.embedding_text for passage in passages]
    return texts


def open_tasks(folder: Path, split: Split) -> dict[str, RetrievalTask]:
    """Open every task whose data are there, by name. Passages are those of train and dev; questions of ``split``.

    MuSiQue and Cranfield come as one small set without a split: all of it counts as ``dev``, nothing is tuned on it.
    """
    tasks: list[RetrievalTask] = []
    hotpot = {part: _first(folder / "hotpotqa", f"{part}.jsonl", f"{part}.json") for part in ("train", "dev")}
    if hotpot["train"] and hotpot["dev"]:
        read = {part: read_hotpotqa(path) for part, path in hotpot.items() if path}
        corpus = [*read["train"], *read["dev"]]
        tasks += [
            hotpot_task(read[split], corpus, unit="windows", name="hotpotqa-windows"),
            hotpot_task(read[split], corpus, unit="passages", name="hotpotqa-passages"),
            hotpot_task(read[split], corpus, unit="windows", titles=False, name="hotpotqa-windows-untitled"),
            hotpot_task(read[split], corpus, unit="passages", titles=False, name="hotpotqa-passages-untitled"),
        ]
    strategy = {part: _first(folder / "strategyqa", f"{part}.json") for part in ("train", "dev")}
    if strategy["train"] and strategy["dev"]:
        facts = {part: read_strategyqa(path) for part, path in strategy.items() if path}
        tasks.append(strategy_task(facts[split], [*facts["train"], *facts["dev"]], name="strategyqa"))
    if (folder / "pubmedqa" / "ori_pqal.json").is_file():
        tasks.append(pubmed_task(folder / "pubmedqa", split, name="pubmedqa"))
    if split == "dev":
        tasks += _tasks_without_split(folder)
    if not tasks:
        raise SystemExit(f"No collection was found in {folder}: benchmarks/README.md says which files it must hold.")
    return {task.name: task for task in tasks}


def evidence_found(chosen: Sequence[int], holds: Sequence[frozenset[int]], needs: frozenset[int]) -> list[float]:
    """Return the share of ``needs`` held by the first 1, 2, ... of the ``chosen`` passages. Evidence counts once."""
    found: set[int] = set()
    shares = []
    for passage in chosen:
        found |= holds[passage] & needs
        shares.append(len(found) / len(needs))
    return shares


def _tasks_without_split(folder: Path) -> Iterator[RetrievalTask]:
    corpus = next(iter(sorted((folder / "musique").glob("*_corpus.json"))), None)
    if corpus and (asked := corpus.with_name(corpus.name.replace("_corpus", ""))).is_file():
        questions, articles = read_musique(asked, corpus)
        yield musique_task(questions, articles, targets="question", name="musique")
        yield musique_task(questions, articles, targets="sub_questions", name="musique-sub-questions")
    files = [folder / "cranfield" / name for name in ("cran.all.1400.xml", "cran.qry.xml", "cranqrel.trec.txt")]
    if all(path.is_file() for path in files):
        yield trec_task(read_trec(*files), name="cranfield")
    if versions := sorted((folder / "docs_haystack").glob("version-*")):
        passages = read_markdown(versions[-1])
        yield identifier_task(passages, name="identifiers")
        yield identifier_task(passages, sentence=SENTENCE, name="identifiers-in-sentences")


def _task(
    name: str,
    passages: list[str],
    holds: list[frozenset[int]],
    asked: list[tuple[tuple[str, ...], frozenset[int]]],
) -> RetrievalTask:
    answerable = [(targets, needs) for targets, needs in asked if needs]
    return RetrievalTask(
        name=name,
        passages=tuple(passages),
        holds=tuple(holds),
        questions=tuple(targets for targets, _ in answerable),
        needs=tuple(needs for _, needs in answerable),
    )


def _stretches(sentences: Sequence[str], unit: Literal["windows", "passages"]) -> list[tuple[int, int]]:
    """Return the first sentence, and one past the last, of each passage that a paragraph becomes."""
    if unit == "passages" or len(sentences) <= 2:
        return [(0, len(sentences))]
    return [(first, second + 1) for first, second in pairwise(range(len(sentences)))]


def _hotpot_question(record: Mapping[str, Any]) -> HotpotQuestion:
    context, facts = record["context"], record["supporting_facts"]
    if isinstance(context, Mapping):
        context = zip(context["title"], context["sentences"], strict=True)
        facts = zip(facts["title"], facts["sent_id"], strict=True)
    paragraphs = tuple(Paragraph(title, tuple(sentences)) for title, sentences in context)
    lengths = {paragraph.title: len(paragraph.sentences) for paragraph in paragraphs}
    return HotpotQuestion(
        question=record["question"],
        answer=record["answer"],
        paragraphs=paragraphs,
        evidence=frozenset(Sentence(title, index) for title, index in facts if index < lengths.get(title, 0)),
    )


def _records(path: Path) -> list[dict[str, Any]]:
    """Read a JSON array, or JSON lines."""
    text = path.read_text(encoding="utf-8")
    if text.lstrip().startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.split("\n") if line.strip()]  # JSON may hold U+2028, a line break to str


def _elements(path: Path, tag: str) -> list[ET.Element]:
    """TREC files are often a sequence of elements without a root, or with another one."""
    blocks = re.findall(rf"<{tag}>.*?</{tag}>", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.IGNORECASE)
    return [ET.fromstring(block) for block in blocks]


def _child(element: ET.Element, tag: str) -> str:
    return " ".join((element.findtext(tag) or "").split())


def _first(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)
