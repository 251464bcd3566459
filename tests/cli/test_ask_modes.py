"""``ask --mode finetune`` and ``--mode both`` with the small local model."""

import json
import math
import re
from pathlib import Path

import pytest

from sift_rag import defaults
from sift_rag.finetuning import PRESETS
from sift_rag.models.local import load_local_model
from sift_rag.models.options import ModelOptions
from sift_rag_cli.commands.ask import about_adapter
from sift_rag_cli.fine_tuning import model_of
from tests.cli.conftest import Run
from tests.cli.endpoint import serving

MODEL = Path(__file__).parent.parent / "data" / "stdlib-lm"
QUESTION = "Where do I bring a broken laptop?"
QUICK = ("--model", str(MODEL), "--set", "max_new_tokens=8", "--steps", "3")
PRESET = ("--set", "finetuning.preset=gpt2")
FIGURES = (
    r"Fine-tuned: (\d+) steps? on (\d+) passages?, ([\d,]+) tokens, [\d.]+ s, [\d.]+ [kMG]?B; loss [\d.]+ to [\d.]+; "
    r"predicted gain \d+% of the variance"
)


def test_finetune_answers_without_citations_and_names_what_was_learnt_from(ask_store: Run) -> None:
    result = ask_store("ask", QUESTION, *QUICK, "--mode", "finetune")
    assert result.exit_code == 0, result.stderr
    line, cut_off = result.stderr.splitlines()
    assert cut_off.startswith("The answer was cut off at 8 tokens")
    figures = re.fullmatch(FIGURES, line)
    assert figures is not None, line
    assert figures[1] == "3"
    answer, learnt = result.stdout.split("\nFine-tuned on\n")
    assert answer.strip()
    assert "Sources" not in answer
    steps = [int(number) for number in re.findall(r"^(\d+) steps?  library/\S+:\d+", learnt, re.MULTILINE)]
    assert sum(steps) == 3
    assert len(steps) == int(figures[2])
    assert steps == sorted(steps, reverse=True)


def test_both_cites_the_passages_of_the_prompt_and_names_what_was_learnt_from(ask_store: Run) -> None:
    result = ask_store("ask", QUESTION, *QUICK, "--mode", "both", "-k", "2")
    assert result.exit_code == 0, result.stderr
    assert re.fullmatch(FIGURES, result.stderr.splitlines()[0])
    assert result.stdout.index("\n[1] library/") < result.stdout.index("\nFine-tuned on\n")
    assert "step" in result.stdout.rpartition("\nFine-tuned on\n")[2]


@pytest.mark.slow
def test_the_json_says_what_was_learnt_and_what_it_cost(ask_store: Run) -> None:
    values = {}
    for mode in ("context", "finetune", "both"):
        result = ask_store(
            "ask", QUESTION, *QUICK, "--set", "finetuning.learning_rate=0.01", "-k", "2", "--mode", mode, "--json"
        )
        assert result.exit_code == 0, result.stderr
        values[mode] = json.loads(result.stdout)
        assert values[mode]["mode"] == mode
    assert values["context"]["tuning"] is None
    tuning = values["finetune"]["tuning"]
    assert tuning["steps"] == len(tuning["losses"]) == len(tuning["passages"]) == 3
    assert 0 < tuning["predicted_gain"] < 1
    assert (tuning["learning_rate"], tuning["out_of_time"], tuning["stopped"]) == (0.01, False, "k")
    assert min(tuning["tokens"], tuning["seconds"], tuning["peak_bytes"]) > 0
    assert values["finetune"]["citations"] == []
    assert values["finetune"]["prompt_tokens"] < values["context"]["prompt_tokens"]
    assert values["both"]["prompt_tokens"] == values["context"]["prompt_tokens"]
    assert values["both"]["tuning"]["losses"] == tuning["losses"]
    assert values["both"]["answer"] != values["context"]["answer"]  # the weights are others


@pytest.mark.slow
def test_more_steps_learn_more_of_the_same_beginning(ask_store: Run) -> None:
    at_one_rate = ("--mode", "finetune", "--set", "finetuning.learning_rate=3e-3")
    few, many = (
        json.loads(ask_store("ask", QUESTION, *QUICK, *at_one_rate, "--steps", steps, "--json").stdout)["tuning"]
        for steps in ("3", "6")
    )
    assert many["steps"] == 6
    assert many["losses"][:3] == few["losses"]
    assert many["predicted_gain"] > few["predicted_gain"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")  # which tells that it is not to be merged
def test_a_saved_adapter_is_loaded_by_plain_peft_and_changes_the_model(ask_store: Run, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel

    folder = tmp_path / "adapter"
    result = ask_store(
        "ask", QUESTION, *QUICK, "--set", "finetuning.rank=4", "--mode", "finetune", "--save-adapter", str(folder)
    )
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[-1] == f"Saved the adapter to {folder}."
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["base_model_name_or_path"]) == (4, str(MODEL))
    model = load_local_model(str(MODEL), options=ModelOptions(device="cpu"))
    ids = torch.tensor([model.tokenizer(QUESTION)["input_ids"]])
    with torch.no_grad():
        before = model.network(input_ids=ids).logits
        tuned = PeftModel.from_pretrained(model.network, str(folder))(input_ids=ids).logits
    assert not torch.equal(before, tuned)
    again = ask_store("ask", QUESTION, *QUICK, "--mode", "finetune", "--save-adapter", str(folder))
    assert (again.exit_code, "is not empty" in again.stderr) == (2, True)


def test_the_name_of_an_adapter_at_its_server_is_told(tmp_path: Path) -> None:
    assert about_adapter(tmp_path / "travel", None) == f"Saved the adapter to {tmp_path / 'travel'}."
    told = about_adapter(tmp_path / "travel", "http://localhost:8000/v1")
    assert told.endswith("and loaded it into http://localhost:8000/v1 as the model 'travel'.")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["finetune", "both"])
def test_passages_that_explain_too_little_are_not_learnt(ask_store: Run, tmp_path: Path, mode: str) -> None:
    options = ("--mode", mode, "--set", "min_gain=1", "--save-adapter", str(tmp_path / "adapter"))
    result = ask_store("ask", QUESTION, *QUICK, *options)
    assert result.exit_code == 0, result.stderr
    assert re.fullmatch(
        r"Not fine-tuned: the 3 chosen passages would explain [\d.]+% of the variance, and at least 100.0% is "
        r"required\.",
        result.stderr.splitlines()[0],
    )
    assert result.stdout.strip()
    assert "Fine-tuned on" not in result.stdout
    assert not (tmp_path / "adapter").exists()
    missing = f"No adapter was saved to {str(tmp_path / 'adapter')!r}: the model was not fine-tuned."
    assert result.stderr.splitlines()[1] == missing
    as_json = ask_store("ask", QUESTION, *QUICK, *options, "--json")
    assert missing in as_json.stderr.splitlines()
    value = json.loads(as_json.stdout)
    assert missing in value["notices"]
    assert value["tuning"]["steps"] == 0
    assert value["tuning"]["losses"] == []
    if mode == "both":
        context = json.loads(ask_store("ask", QUESTION, *QUICK, "--json").stdout)
        assert value["answer"] == context["answer"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    ["alpha=1", "stop_variance=0.9"],
)
def test_the_rules_that_end_a_selection_shorten_the_training(ask_store: Run, rule: str) -> None:
    options = ("--mode", "finetune", "--steps", "12", "--set", "min_gain=0", "--json")
    usual = json.loads(ask_store("ask", QUESTION, *QUICK, *options).stdout)["tuning"]
    result = ask_store("ask", QUESTION, *QUICK, *options, "--set", rule)
    assert result.exit_code == 0, result.stderr
    tuning = json.loads(result.stdout)["tuning"]
    assert usual["steps"] == 12
    assert 0 < tuning["steps"] < 12
    assert tuning["stopped"] not in {"k", usual["stopped"]}
    assert tuning["losses"] == usual["losses"][: tuning["steps"]]


def test_a_time_budget_ends_it_after_the_step_that_exceeds_it(ask_store: Run) -> None:
    result = ask_store("ask", QUESTION, *QUICK, "--mode", "finetune", "--set", "finetuning.seconds=1e-9")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("Fine-tuned: 1 step on 1 passage, ")
    assert result.stderr.splitlines()[0].endswith("; stopped at the time limit")


def test_the_prompt_alone_can_be_shown_and_nothing_is_learnt(ask_store: Run) -> None:
    result = ask_store("ask", QUESTION, *QUICK, "--mode", "finetune", "--show-prompt")
    assert (result.exit_code, result.stderr) == (0, "")
    assert QUESTION in result.stdout
    assert "[1]" not in result.stdout
    assert "help desk" not in result.stdout


@pytest.mark.parametrize("mode", ["finetune", "both"])
def test_fine_tuning_needs_a_model_that_runs_here(ask_store: Run, mode: str) -> None:
    with serving("Yes.") as endpoint:
        for options in ((), ("--base-url", endpoint.url, "--model", "stub")):
            result = ask_store("ask", QUESTION, "--mode", mode, *options)
            assert (result.exit_code, result.stdout) == (2, "")
            assert "--model" in result.stderr
        assert endpoint.chats == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--save-adapter", "x"), "--mode finetune"),
        (("--mode", "finetune", "--set", "finetuning.method=full", "--save-adapter", "x"), "Leave out --save-adapter"),
        (("--mode", "finetune", "--set", "finetuning.preset=gpt2", "--save-adapter", "x"), "Leave out --save-adapter"),
        (("--mode", "magic"), "--mode"),
        (("--mode", "finetune", "--set", "finetuning.preset=gpt5"), "finetuning.preset must be one of gpt2"),
        (("--mode", "finetune", "--steps", "0"), "--steps"),
        (("--mode", "finetune", "--set", "finetuning.learning_rate=0"), "learning_rate"),
        (("--mode", "finetune", "--set", "finetuning.seconds=-1"), "seconds"),
    ],
)
def test_options_that_do_not_go_together_are_refused(ask_store: Run, options: tuple[str, ...], message: str) -> None:
    result = ask_store("ask", QUESTION, "--model", str(MODEL), *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.slow
def test_a_preset_sets_what_the_other_options_do_not(ask_store: Run) -> None:
    rates = [
        json.loads(ask_store("ask", QUESTION, *QUICK, "--mode", "finetune", *options, "--json").stdout)["tuning"][
            "learning_rate"
        ]
        for options in (PRESET, (*PRESET, "--set", "finetuning.learning_rate=0.001"))
    ]
    assert rates == [5e-5, 1e-3]


def test_every_preset_can_be_named() -> None:
    assert set(defaults.PRESETS) == set(PRESETS)


def test_a_preset_names_its_model() -> None:
    values = {"finetuning": {"preset": "gpt2"}}
    assert model_of(values, None) == "openai-community/gpt2"
    assert model_of(values, "a-folder") == "a-folder"


def test_all_weights_can_be_trained(ask_store: Run) -> None:
    result = ask_store("ask", QUESTION, *QUICK, "--mode", "finetune", "--set", "finetuning.method=full", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["tuning"]["learning_rate"] == pytest.approx(
        5e-4 * math.sqrt(50 / 5)  # that of full fine-tuning of a small model, for few steps
    )
