"""The commands on a real store with the real embedder: what they print where, and how they end."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sift_rag import defaults
from tests.cli.conftest import Run
from tests.cli.documents import LAPTOPS, write_library

LAPTOP_QUESTION = "Where do I bring a broken laptop?"
NOTHING = dict.fromkeys(("new", "updated", "unchanged", "removed", "skipped", "failed"), 0)
TRAVEL_QUESTION = "How do I book a flight and who pays for my meals?"


def test_a_second_ingest_finds_everything_unchanged_and_says_so_in_json(ask_store: Run, library: Path) -> None:
    result = ask_store("ingest", str(library), "--json", "--dry-run")
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert report["files"] == {"new": 0, "updated": 0, "unchanged": 5, "removed": 0, "skipped": 2, "failed": 1}
    assert report["passages"]["added"] == 0
    assert {problem["source"] for problem in report["problems"]} == {
        "library/empty.md",
        "library/broken.txt",
        "library/picture.png",
    }
    assert set(report) == {
        "collection",
        "files",
        "passages",
        "problems",
        "notices",
        "pages_without_text",
        "seconds",
    }


def test_nothing_that_could_go_in_is_exit_code_1(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("ingest", str(tmp_path / "empty"), str(tmp_path / "missing"), "--store", str(tmp_path / "store"))
    assert result.exit_code == 1
    assert "no such file or folder" in result.stderr
    assert "0 passages added, 0 deleted, so there is no collection 'documents' (" in result.stderr
    assert result.stderr.splitlines()[-1] == "0 new, 0 updated, 0 unchanged, 0 removed, 0 skipped, 2 failed"


def test_paths_can_come_from_stdin_and_a_long_list_of_problems_is_cut(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(25):
        (folder / f"{number:02}.md").touch()
    result = run("ingest", "-", "--store", str(tmp_path / "store"), stdin=f"{folder}\n\n")
    assert result.exit_code == 1
    assert "... and 5 more; --json lists all" in result.stderr
    assert result.stderr.count(": empty") == 20


def test_search_prints_hits_on_stdout_and_remarks_on_stderr(ask_store: Run) -> None:
    result = ask_store("search", LAPTOP_QUESTION, "-k", "2")
    assert result.exit_code == 0
    first, *_ = result.stdout.splitlines()
    assert first.startswith("1  library/laptops.md:")
    assert "  match 0." in first
    assert re.search(r"  adds [\d.]+ %$", first)
    assert "A broken laptop is handed to the help desk" in result.stdout
    assert result.stderr.startswith("These 2 cover ")


def test_nothing_in_a_document_or_its_name_steers_the_terminal_or_is_read_as_markup(ask_store: Run) -> None:
    for arguments in (("search", "laptop note cellar", "--explain"), ("list",), ("search", "cellar", "--json")):
        result = ask_store(*arguments)
        assert not set(result.output) & {"\x1b", "\x9b", "\u202e", "\r"}
    result = ask_store("search", "laptop note cellar")
    assert r"A [red]red[/red] note about \x1b[31mlaptop\x1b[0m repair \u202egnp.exe\x9b2J" in result.stdout
    assert r"library/notes\x1b[2J.md" in result.stdout


def test_the_json_of_search_has_its_shape_and_gives_the_text_back(ask_store: Run) -> None:
    result = ask_store("search", LAPTOP_QUESTION, TRAVEL_QUESTION, "-k", "2", "--json", "--explain")
    answer = json.loads(result.stdout)
    assert set(answer) == {
        "questions", "hits", "prior_variance", "irreducible_variance", "candidates", "targets", "stopped", "exact",
        "exact_search", "timings_ms", "passed_over", "collection", "selector", "where",
    }  # fmt: skip
    assert answer["questions"] == [LAPTOP_QUESTION, TRAVEL_QUESTION]
    assert (answer["collection"], answer["where"], answer["exact"]) == ("documents", None, None)
    assert (
        answer["selector"].items() >= {"name": "sift", "kernel": "rbf", "noise_variance": 5.0, "centring": 0.5}.items()
    )
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2]
    assert set(answer["hits"][0]) == {
        "rank", "id", "source", "line", "page", "title", "headings", "text", "similarity", "posterior_variance",
        "gain", "relevance", "redundancy", "shared_words", "brought_by", "also_in", "before", "after", "metadata",
        "reranker_score",
    }  # fmt: skip
    for hit, (before, after) in zip(answer["hits"], pairwise(_variances(answer)), strict=True):
        assert hit["gain"] == pytest.approx(before - after, rel=1e-3)
        assert hit["redundancy"] == pytest.approx(hit["relevance"] - hit["gain"])
    assert answer["stopped"] == "k"
    assert answer["targets"] == 2
    assert answer["irreducible_variance"] < answer["hits"][-1]["posterior_variance"]
    assert set(answer["timings_ms"]) == {"embed", "search", "select"}
    assert _variances(answer) == sorted(_variances(answer), reverse=True)
    laptops = next(hit for hit in answer["hits"] if hit["source"] == "library/laptops.md")
    assert laptops["text"] in LAPTOPS
    passed = answer["passed_over"][0]
    assert passed["redundant_with"] in {None, 1, 2}
    assert passed["gain"] <= passed["relevance"]


def _variances(answer: dict[str, Any]) -> list[float]:
    return [answer["prior_variance"], *(hit["posterior_variance"] for hit in answer["hits"])]


class TestRulesThatEndAChoice:
    def chosen(self, ask_store: Run, *flags: str) -> dict[str, Any]:
        result = ask_store("search", TRAVEL_QUESTION, "-k", "4", "--json", *flags)
        assert result.exit_code == 0, result.stderr
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    def test_each_keeps_a_prefix_and_says_so(self, ask_store: Run) -> None:
        whole = self.chosen(ask_store)
        second = whole["hits"][1]["posterior_variance"]
        for rule, value in (("stop_variance", second), ("stop_explained", 0.01), ("alpha", 0.6)):
            got = self.chosen(ask_store, "--set", f"{rule}={value}")
            assert got["stopped"] == rule.removeprefix("stop_")
            assert len(got["hits"]) < 4
            assert got["hits"] == whole["hits"][: len(got["hits"])]

    def test_a_budget_of_tokens_is_kept(self, ask_store: Run) -> None:
        assert self.chosen(ask_store, "--token-budget", "1")["hits"] == []
        few, many = (self.chosen(ask_store, "--token-budget", n) for n in ("40", "10000"))
        assert (few["stopped"], many["stopped"]) == ("tokens", "k")
        assert len(few["hits"]) < len(many["hits"])

    def test_the_summary_names_the_rule(self, ask_store: Run) -> None:
        result = ask_store("search", TRAVEL_QUESTION, "--token-budget", "1")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "0 passages of 5; no more fit into --token-budget" in result.stderr

    def test_the_summary_of_one_passage_is_in_the_singular(self, ask_store: Run) -> None:
        assert "This one covers " in ask_store("search", TRAVEL_QUESTION, "-k", "1").stderr
        assert "These 2 cover " in ask_store("search", TRAVEL_QUESTION, "-k", "2").stderr

    def test_a_question_without_a_passage_is_not_put_to_a_model(self, ask_store: Run) -> None:
        result = ask_store("ask", TRAVEL_QUESTION, "--token-budget", "1")
        assert (result.exit_code, result.stdout) == (3, "")
        assert "Error: No passage was chosen" in result.stderr


def test_an_exact_choice_is_from_the_whole_collection_and_says_that_it_is_proven(ask_store: Run) -> None:
    answer = json.loads(ask_store("search", TRAVEL_QUESTION, "-k", "2", "--set", "candidate_limit=2", "--json").stdout)
    assert answer["exact"] is None
    result = ask_store("search", TRAVEL_QUESTION, "-k", "2", "--set", "candidate_limit=2", "--exact")
    assert re.fullmatch(
        r"These 2 cover \d+ % of what [234] candidates contain; "
        r"proven to be the best selection by embeddings from the whole collection\.",
        result.stderr.strip(),
    )
    refused = ask_store("search", TRAVEL_QUESTION, "--exact", "--selector", "mmr")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "'sift'" in refused.stderr


@pytest.mark.slow
def test_a_question_that_the_corpus_cannot_answer_ends_with_code_3(ask_store: Run) -> None:
    def left(question: str) -> float:
        answer = json.loads(ask_store("search", question, "--json").stdout)
        return float(answer["irreducible_variance"])

    between = (left(TRAVEL_QUESTION) + left("Which moons does Jupiter have?")) / 2
    for command in ("search", "ask"):
        assert ask_store(command, TRAVEL_QUESTION, "--set", f"max_variance={between}").exit_code == 0
        refused = ask_store(command, "Which moons does Jupiter have?", "--set", f"max_variance={between}")
        assert (refused.exit_code, refused.stdout) == (3, "")
        assert "does not know the answer: all 5 candidates together would leave a variance of" in refused.stderr
    # per question: asking twice is as hard as asking once
    assert ask_store("search", TRAVEL_QUESTION, TRAVEL_QUESTION, "--set", f"max_variance={between}").exit_code == 0


def test_a_copy_is_named_beside_the_hit_and_takes_no_place_of_its_own(ask_store: Run) -> None:
    hits = json.loads(ask_store("search", TRAVEL_QUESTION, "-k", "5", "--json").stdout)["hits"]
    travel = [hit for hit in hits if hit["source"].endswith("travel.md")]
    assert all([copy["source"].endswith("travel.md") for copy in hit["also_in"]] == [True] for hit in travel)
    assert len({hit["text"] for hit in hits}) == len(hits)
    assert "also in library/" in ask_store("search", TRAVEL_QUESTION).stdout


def test_explain_says_what_each_pick_took_and_why_others_were_left(ask_store: Run) -> None:
    result = ask_store("search", TRAVEL_QUESTION, "-k", "2", "--explain")
    lines = result.stdout.splitlines()
    picks = [line for line in lines if "\tstill open " in line]
    open_after = [float(line.rpartition("still open ")[2].split("\t")[0].rstrip("%")) for line in picks]
    assert 100 > open_after[0] > open_after[1] >= 0
    assert [pick.split("\t")[0] for pick in picks] == ["1", "2"]
    left = [line for line in lines if line.startswith("-\t")]
    assert left
    explained = json.loads(ask_store("search", TRAVEL_QUESTION, "-k", "2", "--explain", "--json").stdout)
    assert [line.rpartition("\t")[2] for line in left] == [passed["reason"] for passed in explained["passed_over"]]


def test_what_is_known_does_not_come_back(ask_store: Run, library: Path, tmp_path: Path) -> None:
    def first(*known_options: str) -> dict[str, object]:
        result = ask_store("search", LAPTOP_QUESTION, "-k", "1", "--json", *known_options)
        assert result.exit_code == 0, result.stderr
        (hit,) = json.loads(result.stdout)["hits"]
        return dict(hit)

    usual = first()
    assert usual["source"] == "library/laptops.md"
    assert first("--known", str(usual["id"]))["source"] != "library/laptops.md"
    assert first("--known", "library/laptops.md")["source"] != "library/laptops.md"
    known = tmp_path / "known.md"
    known.write_text(LAPTOPS, encoding="utf-8")
    with_file = ask_store("search", LAPTOP_QUESTION, "-k", "1", "--json", "--known", str(known))
    assert json.loads(with_file.stdout)["prior_variance"] < 1


def test_a_question_can_come_from_stdin(ask_store: Run) -> None:
    result = ask_store("search", "-", "-k", "1", "--json", stdin=f"{LAPTOP_QUESTION}\n")
    assert json.loads(result.stdout)["questions"] == [LAPTOP_QUESTION]


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("search", ""), 2, "The question is empty"),
        (("search", "   "), 2, "The question is empty"),
        (("search", "-", "-"), 2, "write it once"),
        (("search", "why?", "-k", "0"), 2, "-k"),
        (("search", "why?", "--set", "lengthscale=-1"), 2, "lengthscale"),
        (("search", "why?", "--set", "noise_variance=0"), 2, "noise_variance"),
        (("search", "why? " * 50_000), 2, "too long"),
        (("search", "why?", "--known", "nothing-like-it.md"), 5, "nothing-like-it.md"),
        (("search", "why?", "--collection", "other"), 5, "other"),
        (("search", "why?", "--embedder", "other/model"), 6, "other/model"),
        (("search", "why?", "--store", "ftp://localhost:1"), 2, "expected a folder or one of"),
        (("search", "why?", "--store", "http://localhost:1"), 4, "no answer from Qdrant"),
        (("ask", "why?", "--decompose"), 2, "--decompose"),
        (("ask", "why?", "--model", "/no/such/model"), 4, "/no/such/model"),
        (("ask", "why?", "--model", "nobody/such-model"), 4, "nobody/such-model"),
        (("chat",), 2, "--model"),
        (("show", "nothing-like-it.md"), 5, "nothing-like-it.md"),
        (("delete", "nothing-like-it.md"), 5, "nothing-like-it.md"),
        (("delete", "", "--prefix"), 2, "SOURCE is empty"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_an_exit_code(
    run: Run, store: Path, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    result = run(*arguments, env={"SIFT_RAG_STORE": str(store)})
    assert (result.exit_code, result.stdout) == (code, "")
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("Usage: ") or result.stderr.count("\n") == 1


def test_a_collection_with_no_passage_is_no_evidence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("A note.")
    run("ingest", str(tmp_path / "note.md"), "--store", str(tmp_path / "store"))
    run("delete", f"{tmp_path.name}/note.md", "--store", str(tmp_path / "store"))
    result = run("search", "why?", "--store", str(tmp_path / "store"))
    assert result.exit_code == 3
    assert "is empty" in result.stderr


def test_files_without_text_make_no_collection(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.md").touch()
    run("ingest", str(tmp_path / "empty.md"), "--store", str(tmp_path / "store"))
    result = run("search", "why?", "--store", str(tmp_path / "store"))
    assert result.exit_code == 5
    assert "no collection 'documents'" in result.stderr


def test_debug_shows_the_traceback_before_the_line(run: Run) -> None:
    result = run("--debug", "list")
    assert result.exit_code == 5
    assert result.stderr.startswith("Traceback")
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_ask_without_a_model_prints_the_prompt_and_how_to_get_an_answer(ask_store: Run) -> None:
    result = ask_store("ask", LAPTOP_QUESTION, "-k", "2")
    assert result.exit_code == 0
    assert LAPTOP_QUESTION in result.stdout
    assert "A broken laptop is handed to the help desk" in result.stdout
    assert "[1]" in result.stdout
    assert result.stderr.count("\n") == 1
    assert "--model" in result.stderr
    answer = json.loads(ask_store("ask", LAPTOP_QUESTION, "-k", "2", "--json").stdout)
    assert answer["answer"] is answer["model"] is None
    assert LAPTOP_QUESTION in answer["prompt"]
    assert len(answer["hits"]) == 2


def test_list_gives_one_line_a_file_in_a_pipe_and_filters_by_prefix(ask_store: Run) -> None:
    lines = ask_store("list").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == [
        "library/archive/travel.md",
        "library/broken.txt",
        "library/laptops.md",
        r"library/notes\x1b[2J.md",
        "library/sick-leave.md",
        "library/travel.md",
    ]
    (document,) = json.loads(ask_store("list", "library/broken", "--json").stdout)["documents"]
    assert (document["state"], document["passages"]) == ("failed", 0)
    assert "UTF-16" in document["reason"]


def test_status_counts_what_is_in_and_names_what_failed_and_why(ask_store: Run, store: Path) -> None:
    report = json.loads(ask_store("status", "--json").stdout)
    assert report["files"] == {"ingested": 5, "failed": 1, "interrupted": 0}
    assert report["passages"] >= 5
    assert (report["embedder"], report["dimension"], report["store"]) == (defaults.EMBEDDER, 384, str(store))
    assert [problem["source"] for problem in report["failed"]] == ["library/broken.txt"]
    assert "failed      library/broken.txt: " in ask_store("status").stdout


def test_show_gives_the_passages_of_a_file_in_reading_order(ask_store: Run) -> None:
    shown = json.loads(ask_store("show", "library/travel.md", "--json").stdout)
    lines = [passage["line"] for passage in shown["passages"]]
    assert lines == sorted(lines)
    assert shown["title"] == "Travel"
    text = ask_store("show", "library/travel.md").stdout
    assert shown["passages"][0]["id"] in text
    assert "Receipts are handed in" in text


def test_collections_are_listed_with_their_embedder(ask_store: Run) -> None:
    assert ask_store("collections").stdout == f"documents\t{defaults.EMBEDDER}\t384\n"
    (collection,) = json.loads(ask_store("collections", "--json").stdout)["collections"]
    assert collection["name"] == "documents"


def test_doctor_finds_a_sound_collection_sound(ask_store: Run) -> None:
    result = ask_store("doctor", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (
        0,
        {"collection": "documents", "sound": True, "findings": []},
    )


@pytest.mark.slow
def test_what_changed_is_updated_what_is_gone_is_pruned_and_a_reindex_keeps_the_rest(run: Run, tmp_path: Path) -> None:
    library, store = write_library(tmp_path), str(tmp_path / "store")

    def files(*flags: str) -> dict[str, int]:
        result = run("ingest", str(library), "--exclude", "notes*", "--store", store, "--json", *flags)
        assert result.exit_code == 0, result.stderr
        return dict(json.loads(result.stdout)["files"])

    assert files("--dry-run") == files() == {**NOTHING, "new": 4, "skipped": 2, "failed": 1}
    (library / "laptops.md").write_text("# Laptops\n\nThey are repaired in room 14 now.\n", encoding="utf-8")
    (library / "travel.md").unlink()
    assert files("--prune") == {**NOTHING, "updated": 1, "unchanged": 2, "removed": 1, "skipped": 2, "failed": 1}
    files("--reindex")
    (hit,) = json.loads(run("search", LAPTOP_QUESTION, "-k", "1", "--json", "--store", store).stdout)["hits"]
    assert "room 14" in hit["text"]


def test_delete_takes_exactly_what_is_named_optimize_keeps_the_rest_and_drop_takes_all(
    run: Run, tmp_path: Path
) -> None:
    library, store = write_library(tmp_path), str(tmp_path / "store")
    assert run("ingest", str(library), "--store", store).exit_code == 0
    assert run("delete", "library/tra", "--store", store).exit_code == 5
    deleted = json.loads(run("delete", "library/travel.md", "--store", store, "--json").stdout)
    assert deleted["deleted"] == ["library/travel.md"]
    deleted = json.loads(run("delete", "library/a", "--prefix", "--store", store, "--json").stdout)
    assert deleted["deleted"] == ["library/archive/travel.md"]
    assert run("optimize", "--store", store).exit_code == 0
    hits = json.loads(run("search", TRAVEL_QUESTION, "--store", store, "--json").stdout)["hits"]
    assert {hit["source"] for hit in hits} & {"library/laptops.md", "library/sick-leave.md"}
    assert not [hit for hit in hits if "travel" in hit["source"]]
    assert run("doctor", "--store", store).exit_code == 0
    dropped = run("collections", "--drop", "documents", "--json", "--store", store)
    assert json.loads(dropped.stdout) == {"dropped": "documents"}
    assert run("collections", "--store", store).stdout == ""
    assert run("collections", "--drop", "documents", "--store", store).exit_code == 5
