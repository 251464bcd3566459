"""Settings without an option: ``--set``, the environment, ``sift-rag.toml``, and the list of them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sift_rag import defaults
from sift_rag_cli.settings import COMMANDS, GROUPS, settings_of
from tests.cli.conftest import Run
from tests.cli.test_process import COMMAND, environment, terminal

QUESTION = "Where do I bring a broken laptop?"


def selector_of(run: Run, *arguments: str, **keywords: Any) -> dict[str, Any]:
    result = run("search", QUESTION, "--json", *arguments, **keywords)
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout)["selector"])


def test_a_setting_is_taken_from_set_then_the_environment_then_the_file(ask_store: Run, elsewhere: Path) -> None:
    assert selector_of(ask_store)["noise_variance"] == defaults.NOISE_VARIANCE
    (elsewhere / "sift-rag.toml").write_text("[search]\nnoise_variance = 1.0\n", encoding="utf-8")
    assert selector_of(ask_store)["noise_variance"] == 1
    environment = {"SIFT_RAG_NOISE_VARIANCE": "2"}
    assert selector_of(ask_store, env=environment)["noise_variance"] == 2
    assert selector_of(ask_store, "--set", "noise_variance=3", env=environment)["noise_variance"] == 3


def test_the_parameters_of_every_selector_can_be_set(ask_store: Run) -> None:
    assert selector_of(ask_store, "--selector", "mmr", "--set", "relevance=0.7")["relevance"] == 0.7
    assert selector_of(ask_store, "--set", "kernel=linear")["kernel"] == "linear"
    refused = ask_store("search", QUESTION, "--set", "relevance=0.7")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "the selector 'sift' has no such setting" in refused.stderr


def test_a_file_may_set_a_parameter_of_a_selector_that_is_not_chosen(ask_store: Run, elsewhere: Path) -> None:
    (elsewhere / "sift-rag.toml").write_text("[search]\nrelevance = 0.7\n", encoding="utf-8")
    assert "relevance" not in selector_of(ask_store)
    assert selector_of(ask_store, "--selector", "mmr")["relevance"] == 0.7


def test_weights_of_questions_are_a_list(ask_store: Run) -> None:
    hits = [
        json.loads(
            ask_store(
                "search", QUESTION, "Who pays for taxis?", "-k", "1", "--json", "--set", f"weights={weights}"
            ).stdout
        )["hits"][0]["source"]
        for weights in ("1,0", "0,1")
    ]
    assert hits[0] == "library/laptops.md"
    assert hits[1].endswith("travel.md")


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ("noise_varianse=1", "there is no such setting; did you mean 'noise_variance'?"),
        ("noise", "is not NAME=VALUE"),
        ("=1", "is not NAME=VALUE"),
        ("noise_variance=low", "must be a number, but is 'low'"),
        ("noise_variance=0", "noise_variance"),
        ("candidate_limit=2.5", "must be a whole number"),
        ("keep_copies=maybe", "must be true or false"),
        ("kernel=rfb", "must be one of rbf, linear"),
        ("k=3", "this setting has an option of its own; use -k"),
        ("token_budget=3", "this setting has an option of its own; use --token-budget"),
        ("finetuning.rank=3", "there is no such setting"),
    ],
)
def test_a_wrong_setting_is_wrong_usage_in_one_line(run: Run, assignment: str, complaint: str) -> None:
    result = run("search", QUESTION, "--set", assignment)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert complaint in result.stderr


def test_a_wrong_value_in_the_environment_names_the_variable(run: Run) -> None:
    result = run("search", QUESTION, env={"SIFT_RAG_CANDIDATE_LIMIT": "many"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert "SIFT_RAG_CANDIDATE_LIMIT must be a whole number, but is 'many'" in result.stderr


def test_the_list_has_every_setting_with_a_description_and_ends_in_what_was_asked_for(run: Run) -> None:
    listed = json.loads(run("settings", "--json").stdout)["settings"]
    assert {one["name"] for one in listed} == {name for command in COMMANDS for name in settings_of(command)}
    for one in listed:
        assert one["type"]
        assert one["description"].rstrip(")").endswith("."), one
    shown = run("settings", "noise").stdout
    assert "noise_variance  (a number; default: 5.0)" in shown
    assert "candidate_limit" not in shown
    assert "Only for --selector mmr." in " ".join(run("settings", "relevance").stdout.split())


def test_no_setting_has_two_meanings_in_one_command() -> None:
    for command, groups in COMMANDS.items():
        assert len(settings_of(command)) == sum(len(GROUPS[group].read()) for group in groups)


def test_the_list_is_not_wrapped_in_a_pipe(run: Run) -> None:
    shown = run("settings").stdout.splitlines()
    for one in json.loads(run("settings", "--json").stdout)["settings"]:
        assert any(line.startswith(f"      {one['description']}") for line in shown), one["name"]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [60, 80, 160])
def test_the_list_takes_the_width_of_a_terminal(elsewhere: Path, columns: int) -> None:
    with terminal() as (stdout, read_until):
        process = subprocess.Popen([*COMMAND, "settings"], stdout=stdout, env=environment(COLUMNS=str(columns)))
        os.close(stdout)
        longest = max(map(len, read_until("").splitlines()))
        assert process.wait() == 0
    assert columns - 20 < longest <= columns
