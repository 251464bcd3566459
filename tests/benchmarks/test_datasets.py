from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.common.datasets import (
    Article,
    Hop,
    HotpotQuestion,
    MusiqueQuestion,
    Paragraph,
    Sentence,
    StrategyQuestion,
    data_folder,
    evidence_found,
    hotpot_task,
    musique_task,
    open_tasks,
    read_hotpotqa,
    read_musique,
    read_strategyqa,
    read_trec,
    strategy_task,
    trec_task,
)

TOWER = Paragraph("Tower", ("It stands in Ulm.", " It is high.", " It was finished in 1890."))
RIVER = Paragraph("River", ("It flows through Ulm.",))
ASKED = HotpotQuestion(
    question="Which river flows past the tower?",
    answer="Danube",
    paragraphs=(TOWER, RIVER),
    evidence=frozenset({Sentence("Tower", 0), Sentence("River", 0)}),
)


def as_columns() -> dict[str, object]:
    return {
        "question": ASKED.question,
        "answer": ASKED.answer,
        "supporting_facts": {"title": ["Tower", "River", "River"], "sent_id": [0, 0, 7]},
        "context": {"title": ["Tower", "River"], "sentences": [list(TOWER.sentences), list(RIVER.sentences)]},
    }


def as_pairs() -> dict[str, object]:
    return {
        "question": ASKED.question,
        "answer": ASKED.answer,
        "supporting_facts": [["Tower", 0], ["River", 0], ["Tower", 3]],
        "context": [["Tower", list(TOWER.sentences)], ["River", list(RIVER.sentences)]],
    }


def test_hotpotqa_is_read_the_same_from_columns_in_lines_and_from_pairs_in_an_array(tmp_path: Path) -> None:
    lines, array = tmp_path / "lines.jsonl", tmp_path / "array.json"
    lines.write_text("\n".join([json.dumps(as_columns())] * 2) + "\n", encoding="utf-8")
    array.write_text(json.dumps([as_pairs()] * 2), encoding="utf-8")
    assert read_hotpotqa(lines) == read_hotpotqa(array) == [ASKED, ASKED]


def test_a_line_separator_inside_a_json_line_does_not_end_the_line(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    record = {"question": "One\u2028two?", "facts": ["a"]}
    path.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_strategyqa(path) == [StrategyQuestion("One\u2028two?", ("a",))]


def test_windows_are_two_sentences_that_overlap_by_one_and_hold_the_evidence_of_both() -> None:
    task = hotpot_task([ASKED], [ASKED], unit="windows", titles=False)
    assert task.passages == (
        "It stands in Ulm. It is high.",
        "It is high. It was finished in 1890.",
        "It flows through Ulm.",
    )
    assert [len(holds) for holds in task.holds] == [2, 2, 1]
    assert len(task.holds[0] & task.holds[1]) == 1
    assert [len(task.needs[0] & holds) for holds in task.holds] == [1, 0, 1]


def test_whole_passages_carry_their_title_and_a_paragraph_asked_about_twice_stands_once_in_the_corpus() -> None:
    task = hotpot_task([ASKED], [ASKED, ASKED], unit="passages")
    assert task.passages == (
        "Tower\nIt stands in Ulm. It is high. It was finished in 1890.",
        "River\nIt flows through Ulm.",
    )
    assert [len(task.needs[0] & holds) for holds in task.holds] == [1, 1]


def test_a_sub_question_names_the_answer_of_the_hop_that_it_refers_to(tmp_path: Path) -> None:
    gold = {"title": "River", "paragraph_text": "It flows through Ulm.", "is_supporting": True}
    other = {"title": "Tower", "paragraph_text": "It is high.", "is_supporting": False}
    questions, corpus = tmp_path / "musique.json", tmp_path / "musique_corpus.json"
    steps = [{"question": "Where is it?", "answer": "Ulm"}, {"question": "What flows through #1?", "answer": "Danube"}]
    record = {"question": "What flows past it?", "question_decomposition": steps, "paragraphs": [other, gold]}
    questions.write_text(json.dumps([record]), encoding="utf-8")
    articles = [{"title": p["title"], "text": p["paragraph_text"]} for p in (other, gold)]
    corpus.write_text(json.dumps(articles), encoding="utf-8")

    read, found = read_musique(questions, corpus)

    river = Article("River", "It flows through Ulm.")
    hops = (Hop("Where is it?", "Ulm"), Hop("What flows through #1?", "Danube"))
    assert read == [MusiqueQuestion("What flows past it?", hops, frozenset({river}))]
    assert found == [Article("Tower", "It is high."), river]
    assert musique_task(read, found, targets="sub_questions").questions == (
        ("Where is it?", "What flows through Ulm?"),
    )
    assert musique_task(read, found, targets="question").needs == (frozenset({1}),)


def test_a_fact_that_two_questions_share_is_one_passage() -> None:
    questions = [StrategyQuestion("A?", ("x", "y")), StrategyQuestion("B?", ("y", "z"))]
    task = strategy_task(questions, questions)
    assert task.passages == ("x", "y", "z")
    assert task.needs == (frozenset({0, 1}), frozenset({1, 2}))


def write_trec(folder: Path, judgements: str) -> tuple[Path, Path, Path]:
    paths = (folder / "documents.xml", folder / "topics.xml", folder / "judgements.txt")
    paths[0].write_text(
        "<doc>\n<docno>1</docno>\n<title>flow\npast a wing</title>\n<text>of a &amp; b</text>\n</doc>\n"
        "<doc><docno>2</docno><title>heat</title><text/></doc>\n",
        encoding="utf-8",
    )
    paths[1].write_text(
        "<xml><top><num> 3</num>\n<title>\nwings\n</title></top><top><num> 5</num><title>heat</title></top></xml>",
        encoding="utf-8",
    )
    paths[2].write_text(judgements, encoding="utf-8")
    return paths


def test_trec_documents_are_read_without_a_root_element_and_only_relevant_ones_are_needed(tmp_path: Path) -> None:
    collection = read_trec(*write_trec(tmp_path, "3 0 1 1\n3 0 2 0\n\n5 0 2 1\n"))
    assert collection.documents == {"1": Article("flow past a wing", "of a & b"), "2": Article("heat", "")}
    assert collection.topics == {"3": "wings", "5": "heat"}
    task = trec_task(collection)
    assert task.questions == (("wings",), ("heat",))
    assert task.needs == (frozenset({0}), frozenset({1}))


def test_judgements_that_count_topics_by_their_place_are_understood(tmp_path: Path) -> None:
    collection = read_trec(*write_trec(tmp_path, "1 0 1 1\n2 0 2 0\n"))
    assert collection.topics == {"1": "wings", "2": "heat"}
    assert trec_task(collection).questions == (("wings",),)  # the other topic has no relevant document


def test_evidence_counts_once_and_what_is_not_needed_does_not_count() -> None:
    holds = [frozenset({0, 9}), frozenset({0, 1}), frozenset({7}), frozenset({2, 3})]
    assert evidence_found([0, 1, 2, 3], holds, frozenset({0, 1, 2, 3})) == [0.25, 0.5, 0.5, 1.0]


def test_tasks_are_opened_from_the_collections_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "strategyqa").mkdir()
    for split in ("train", "dev"):
        text = json.dumps([{"question": f"{split}?", "facts": [f"known in {split}"]}])
        (tmp_path / "strategyqa" / f"{split}.json").write_text(text, encoding="utf-8")
    tasks = open_tasks(tmp_path, "dev")
    assert list(tasks) == ["strategyqa"]
    assert tasks["strategyqa"].questions == (("dev?",),)
    assert tasks["strategyqa"].passages == ("known in train", "known in dev")


def test_an_empty_data_folder_is_said_to_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="No collection was found"):
        open_tasks(tmp_path, "train")


def test_the_data_folder_comes_from_the_option_then_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIFT_RAG_BENCH_DATA", str(tmp_path))
    (tmp_path / "given").mkdir()
    assert data_folder(None) == tmp_path
    assert data_folder(tmp_path / "given") == tmp_path / "given"
    with pytest.raises(SystemExit, match="does not exist"):
        data_folder(tmp_path / "missing")
    monkeypatch.delenv("SIFT_RAG_BENCH_DATA")
    with pytest.raises(SystemExit, match="is not named"):
        data_folder(None)
