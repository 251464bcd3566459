"""``sift-rag compare`` with the small local model."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

MODEL = Path(__file__).parent.parent / "data" / "stdlib-lm"
QUICK = ("--model", str(MODEL), "-k", "1,2")
TIMES = {
    "seconds_per_prompt",
    "base_seconds_per_prompt",
    "reading_seconds_per_1000_tokens",
    "training_seconds_per_1000_tokens",
    "verdict",  # it tells times, and with equal figures the faster one is recommended
    "recommended",
    "alternative",
    "margin",
    "margin_low",
    "margin_high",
    "beyond_chance",
    "date",
    "command",
}


@pytest.fixture
def texts(elsewhere: Path) -> Path:
    path = elsewhere / "texts.jsonl"
    rows = [
        {"text": "Receipts of a flight are handed in within thirty days.", "group": "travel"},
        {"text": "A laptop that is broken goes to the help desk.", "group": "machines"},
        {"text": "Taxis are paid only with a reason.", "group": "travel"},
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def questions(elsewhere: Path) -> Path:
    path = elsewhere / "questions.jsonl"
    path.write_text('{"question": "Where does a broken laptop go?", "answer": "room 12"}\n', encoding="utf-8")
    return path


@pytest.fixture
def journals(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(elsewhere / "state"))
    return elsewhere / "state" / "sift-rag" / "comparisons"


@pytest.fixture(autouse=True)
def own_state(journals: Path) -> Iterator[None]:
    """Keep the journals of these tests out of the user's folder."""
    return iter([None])


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.slow
def test_the_json_has_the_model_a_row_for_each_setting_and_the_verdict(ask_store: Run, texts: Path) -> None:
    arms = ("--arms", "context,finetune,both", "--selectors", "nearest,repeated-nearest,sift")
    result = ask_store("compare", "--texts", str(texts), *QUICK, *arms, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    value = json.loads(result.stdout)
    assert (value["model"], value["protocol"], value["prompts"]) == (str(MODEL), "texts", 3)
    assert value["base_bits_per_byte"] > 0
    assert value["context_window"] > 0
    assert value["limited_window"] is None
    assert value["embedder"]
    assert value["device"].startswith(("cpu, ", "cuda", "mps"))
    assert value["command"].startswith("sift-rag compare --texts ")
    assert value["margin_low"] <= value["margin"] <= value["margin_high"]
    assert value["verdict"].endswith("Only 3 tasks: use more for a firmer result.")
    rows = value["rows"]
    assert [row["prompts"] for row in rows if row["arm"] == "finetune" and row["k"] == 2] == [3] * 3 + [2] * 3 + [1] * 3
    alone = [row for row in rows if row["arm"] == "base"]
    assert [(row["group"], row["percent_of_base"]) for row in alone] == [
        ("all", 100.0),
        ("travel", 100.0),
        ("machines", 100.0),
    ]
    assert alone[0]["seconds_per_prompt"] == value["base_seconds_per_prompt"]
    rows = [row for row in rows if row["arm"] != "base"]
    assert {row["group"] for row in rows} == {"all", "travel", "machines"}
    assert len(rows) == 3 * 2 * (2 + 3 + 2)
    for row in rows:
        assert {"arm", "selector", "k", "percent_of_base", "standard_error", "seconds_per_prompt"} < set(row)
        assert row["difference_low"] <= row["percent_of_base"] - 100 <= row["difference_high"]
        assert row["tokens_per_prompt"] > 0
        assert (row["passages_in_context"] > 0) is (row["arm"] != "finetune")
        assert (row["training_seconds_per_1000_tokens"] is not None) is (row["arm"] != "context")
        assert (row["f1"], row["exact_match"], row["answer_in_passages"]) == (None, None, None)
    assert {(one["arm"], one["k"]) for one in value["predictions"]} == {("context", 2), ("finetune", 2), ("both", 2)}


@pytest.mark.slow
def test_a_pipe_gets_the_rows_and_the_verdict_is_talk(ask_store: Run, texts: Path) -> None:
    result = ask_store("compare", "--texts", str(texts), *QUICK, "--selectors", "sift")
    assert result.exit_code == 0, result.stderr
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert len(rows) == 3 * (2 * 2 + 1)
    assert [row[0] for row in rows] == ["all"] * 5 + ["travel"] * 5 + ["machines"] * 5
    shares = [float(row[4]) for row in rows[:5]]
    assert shares == sorted(shares)
    assert [row[1:5] for row in rows if row[1] == "model alone"] == [["model alone", "", "", "100.0"]] * 3
    said = result.stderr.splitlines()
    assert said[0].startswith("% of base: ")
    assert said[1].startswith("seconds, tokens: ")
    assert said[-1].endswith("Only 3 tasks: use more for a firmer result.")


@pytest.mark.slow
def test_the_csv_holds_the_rows_of_the_json(ask_store: Run, texts: Path, elsewhere: Path) -> None:
    table = elsewhere / "rows.csv"
    result = ask_store("compare", "--texts", str(texts), *QUICK, "--json", "--csv", str(table))
    rows = json.loads(result.stdout)["rows"]
    with table.open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert written == [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]


@pytest.mark.slow
def test_the_report_is_a_page_with_the_verdict(ask_store: Run, texts: Path, elsewhere: Path) -> None:
    page = elsewhere / "page.html"
    result = ask_store("compare", "--texts", str(texts), *QUICK, "--selectors", "sift", "--json", "--report", str(page))
    assert result.exit_code == 0, result.stderr
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert json.loads(result.stdout)["verdict"] in text
    assert "library/" in text


@pytest.mark.slow
def test_questions_are_answered_and_the_answers_judged(ask_store: Run, questions: Path) -> None:
    options = ("--model", str(MODEL), "-k", "2", "--selectors", "sift", "--json")
    result = ask_store("compare", "--questions", str(questions), *options)
    assert result.exit_code == 0, result.stderr
    value = json.loads(result.stdout)
    assert (value["protocol"], value["prompts"]) == ("questions", 1)
    assert value["base_exact_match"] == 0.0
    assert value["base_f1"] is not None
    assert [(row["arm"], row["answer_in_passages"]) for row in value["rows"]] == [
        ("base", 0.0),
        ("context", 1.0),
        ("finetune", 1.0),
    ]


@pytest.mark.slow
def test_a_folder_of_texts_and_a_limit_that_takes_them_evenly(ask_store: Run, elsewhere: Path) -> None:
    for number in range(6):
        (elsewhere / "texts" / f"g{number // 2}").mkdir(parents=True, exist_ok=True)
        (elsewhere / "texts" / f"g{number // 2}" / f"{number}.md").write_text(f"Text {number}.", encoding="utf-8")
    options = ("--model", str(MODEL), "-k", "1", "--arms", "context", "--selectors", "nearest", "--json")
    result = ask_store("compare", "--texts", "texts", *options, "--limit", "3")
    assert result.exit_code == 0, result.stderr
    value = json.loads(result.stdout)
    assert value["prompts"] == 3
    assert {row["group"] for row in value["rows"]} == {"all", "g0", "g1", "g2"}
    assert json.loads(ask_store("compare", "--texts", "texts", *options, "--limit", "9").stdout)["prompts"] == 6


def test_what_stands_in_the_collection_itself_is_left_out_and_counted(
    ask_store: Run, library: Path, elsewhere: Path
) -> None:
    options = ("--model", str(MODEL), "-k", "1", "--arms", "context", "--selectors", "nearest")
    result = ask_store("compare", "--texts", str(library / "laptops.md"), *options)
    assert result.exit_code == 0, result.stderr
    assert "1 candidate left out: the text itself or a part of it." in result.stderr


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_and_gives_the_same(ask_store: Run, texts: Path, journals: Path) -> None:
    command = ("compare", "--texts", str(texts), *QUICK, "--json")
    whole = ask_store(*command)
    (journal,) = journals.iterdir()
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 3  # a header, and an outcome each
    journal.write_bytes(lines[0] + lines[1] + lines[2][:100])  # killed while the second was written
    rest = ask_store(*command, "--resume")
    assert rest.stderr == "1 task already measured; 2 left.\n"
    assert without_times(json.loads(rest.stdout)) == without_times(json.loads(whole.stdout))
    assert journal.read_bytes().splitlines(keepends=True)[1] == lines[1]
    again = ask_store(*command, "--resume")
    assert again.stderr == "3 tasks already measured; 0 left.\n"
    assert json.loads(again.stdout) == json.loads(rest.stdout)  # the times too: nothing was measured
    afresh = ask_store(*command)
    assert afresh.stderr == ""
    assert without_times(json.loads(afresh.stdout)) == without_times(json.loads(whole.stdout))


@pytest.mark.slow
def test_merged_shards_give_what_one_process_gives(ask_store: Run, texts: Path, elsewhere: Path) -> None:
    command = ("compare", "--texts", str(texts), *QUICK, "--window", "96")
    whole = json.loads(ask_store(*command, "--json").stdout)
    assert {row["arm"] for row in whole["rows"]} == {"base", "context", "window", "finetune"}
    runs = elsewhere / "runs"
    for number in (1, 2):
        result = ask_store(*command, "--journal", str(runs), "--shard", f"{number}/2")
        assert (result.exit_code, result.stdout) == (0, "")
        said = result.stderr.splitlines()
        assert said[0].startswith(f"Shard {number} of 2: {3 - number} task")
        assert said[1] == f"When all shards are done: sift-rag compare --merge {runs}"
    table, page = elsewhere / "rows.csv", elsewhere / "page.html"
    merged = ask_store("compare", "--merge", str(runs), "--json", "--csv", str(table), "--report", str(page))
    assert (merged.exit_code, merged.stderr) == (0, "")
    assert without_times(json.loads(merged.stdout)) == without_times(whole)
    assert len(table.read_text(encoding="utf-8").splitlines()) == 1 + len(whole["rows"])
    assert "96 tokens, with the text" in page.read_text(encoding="utf-8")
    again = ask_store(*command, "--journal", str(runs), "--shard", "2/2", "--resume", "--json")
    assert again.stderr == "1 task already measured; 0 left.\n"
    assert {key: value for key, value in json.loads(again.stdout).items() if key != "journal"} == {
        "shard": 2,
        "shards": 2,
        "prompts": 1,
    }
    (first,) = runs.glob("*.1-of-2.jsonl")
    first.unlink()
    gone = ask_store("compare", "--merge", str(runs))
    assert (gone.exit_code, gone.stdout) == (2, "")
    assert "shard 1 of 2 missing. Run those shards again, with --resume if they were interrupted." in gone.stderr


@pytest.mark.slow
def test_a_limit_that_the_model_does_not_reach_is_refused(ask_store: Run, texts: Path, journals: Path) -> None:
    result = ask_store("compare", "--texts", str(texts), *QUICK, "--window", "2048")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "window is 2,048 tokens, but" in result.stderr
    assert not journals.exists()


@pytest.mark.slow
def test_the_device_can_be_chosen(ask_store: Run, texts: Path) -> None:
    command = ("compare", "--texts", str(texts), "--model", str(MODEL), "--arms", "context", "-k", "1", "--json")
    result = ask_store(*command, "--device", "cpu")
    assert json.loads(result.stdout)["device"].startswith("cpu, ")
    for name in ("nonsense", "cuda:99"):
        refused = ask_store(*command, "--device", name)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert f"The device {name!r} cannot be used here: " in refused.stderr


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nonsense", "no such kind. Expected a name such as cpu, "),
        ("meta", "no such kind. Expected"),
        ("cuda:x", "no such kind"),
    ],
)
def test_a_name_of_no_device_is_refused_in_words_of_ours(ask_store: Run, texts: Path, name: str, reason: str) -> None:
    refused = ask_store("compare", "--texts", str(texts), "--model", str(MODEL), "--device", name)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"The device {name!r} cannot be used here: {reason}" in refused.stderr


def test_a_journal_that_cannot_be_kept_is_told_before_the_work(ask_store: Run, texts: Path) -> None:
    refused = ask_store("compare", "--texts", str(texts), "--model", "./no-model", "--journal", str(texts))
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"Error: The measurements cannot be kept in '{texts}': ")


@pytest.mark.slow
def test_another_comparison_is_not_resumed(ask_store: Run, texts: Path, journals: Path) -> None:
    command = ("compare", "--texts", str(texts), "--model", str(MODEL), "--arms", "context", "--json", "--resume")
    assert ask_store(*command, "-k", "1").exit_code == 0
    result = ask_store(*command, "-k", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(list(journals.iterdir())) == 2


@pytest.mark.slow
def test_a_collection_that_changed_is_not_resumed(run: Run, texts: Path, elsewhere: Path) -> None:
    note = elsewhere / "notes" / "note.md"
    note.parent.mkdir()
    arms = ("--arms", "context", "-k", "1", "--json", "--resume")
    for content in ("Receipts go to the office.", "Receipts go to the cellar."):
        note.write_text(content, encoding="utf-8")
        assert run("ingest", "notes", "--store", "store").exit_code == 0
        result = run("compare", "--texts", str(texts), "--model", str(MODEL), *arms, "--store", "store")
        assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.slow
def test_a_damaged_journal_says_how_to_go_on(ask_store: Run, texts: Path, journals: Path) -> None:
    command = ("compare", "--texts", str(texts), "--model", str(MODEL), "--arms", "context", "-k", "1")
    ask_store(*command)
    (journal,) = journals.iterdir()
    journal.write_bytes(b"{}\n")
    result = ask_store(*command, "--resume")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is damaged" in result.stderr
    assert "without --resume" in result.stderr
    assert ask_store(*command).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--model", "m"), 2, "either --texts PATH or --questions FILE"),
        (("--texts", "texts.jsonl", "--questions", "texts.jsonl", "--model", "m"), 2, "either --texts PATH or"),
        (("--texts", "texts.jsonl"), 2, "needs a model on this machine: --model NAME"),
        (("--texts", "nowhere", "--model", "m"), 2, "There is no 'nowhere'"),
        (("--questions", "texts.jsonl", "--model", "m"), 2, "texts.jsonl:1 has no 'answer'"),
        (
            ("--texts", "texts.jsonl", "--model", "m", "--arms", "context,base"),
            2,
            "arms is base: expected some of context",
        ),
        (("--texts", "texts.jsonl", "--model", "m", "--arms", ","), 2, "arms is empty"),
        (
            ("--texts", "texts.jsonl", "--model", "m", "--selectors", "sift,dpp"),
            2,
            "selectors is dpp: expected some of nearest",
        ),
        (
            ("--texts", "texts.jsonl", "--model", "m", "-k", "5,x"),
            2,
            "-k is '5,x', but must be comma-separated whole numbers",
        ),
        (("--texts", "texts.jsonl", "--model", "m", "-k", "0,5"), 2, "each at least 1"),
        (("--texts", "texts.jsonl", "--model", "m", "-k", ""), 2, "at least one number"),
        (("--texts", "texts.jsonl", "--model", "m", "--set", "finetuning.learning_rate=-1"), 2, "learning_rate"),
        (("--texts", "texts.jsonl", "--model", "m", "--limit", "0"), 2, "--limit"),
        (
            ("--texts", "texts.jsonl", "--model", "m", "--report", "no/r.html"),
            2,
            "There is no folder 'no' to write r.h",
        ),
        (("--texts", "texts.jsonl", "--model", "m", "--csv", "no/r.csv"), 2, "There is no folder 'no' to write r.csv"),
        (("--texts", "texts.jsonl", "--model", "m", "--base-url", "u"), 2, "No such option: --base-url"),
        (("--texts", "texts.jsonl", "--model", "m", "--window", "1"), 2, "window is 1: expected at least 2 tokens"),
        (("--texts", "texts.jsonl", "--model", "m", "--shard", "1/2"), 2, "--shard needs --journal FOLDER"),
        (("--texts", "texts.jsonl", "--model", "m", "--shard", "x", "--journal", "j"), 2, "--shard is 'x'"),
        (("--texts", "texts.jsonl", "--model", "m", "--shard", "3/2", "--journal", "j"), 2, "no shard 3 of 2"),
        (
            ("--texts", "texts.jsonl", "--model", "m", "--shard", "1/2", "--journal", "j", "--csv", "r.csv"),
            2,
            "give --report and --csv with --merge instead",
        ),
        (
            ("--merge", "j", "--texts", "texts.jsonl", "--resume"),
            2,
            "--merge measures nothing: leave out --texts, --re",
        ),
        (("--merge", "nowhere"), 2, "There is no 'nowhere': expected a journal, or a folder of them."),
        (("--texts", "texts.jsonl", "--model", "m", "--collection", "none"), 5, "none"),
        (("--texts", "texts.jsonl", "--model", "./no-model"), 4, "no-model"),
        (
            ("--texts", "texts.jsonl", "--model", "m", "--arms", "context", "--selectors", "repeated-nearest"),
            2,
            "repeated-nearest is only for fine-tuning",
        ),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(
    ask_store: Run, texts: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = ask_store("compare", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_extra_is_named_before_the_work(
    ask_store: Run, texts: Path, journals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sift_rag.evaluation.plots.find_spec", lambda name: None)
    result = ask_store("compare", "--texts", str(texts), *QUICK, "--report", "page.html")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "pip install 'sift-rag[report]'" in result.stderr
    assert not journals.exists()


@pytest.mark.parametrize("option", ["--csv", "--report"])
def test_a_file_that_cannot_be_written_is_said_before_the_work(
    ask_store: Run, texts: Path, journals: Path, elsewhere: Path, option: str
) -> None:
    (elsewhere / "folder").mkdir()
    result = ask_store("compare", "--texts", str(texts), *QUICK, option, "folder")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'folder' is a folder: name a file to write." in result.stderr
    assert not journals.exists()
