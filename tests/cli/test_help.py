"""Help pages: short enough to read, with examples that work."""

from __future__ import annotations

import re
import shlex

import pytest
import typer
from typer.core import TyperOption

from sift_rag_cli.app import app
from sift_rag_cli.removed_options import REPLACEMENTS, replacement_of
from tests.cli.conftest import Run

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def options_in(text: str) -> list[str]:
    return re.findall(r"^  (-[^,\s]+(?:, --\S+)?)", text.partition("\nExamples:")[0], re.MULTILINE)


@pytest.mark.parametrize(
    ("command", "most_used"),
    [
        ("search", ["-k", "--filter", "--explain", "-s, --store", "-c, --collection"]),
        ("ask", ["-k", "--filter", "-m, --model", "--base-url", "--explain", "-s, --store", "-c, --collection"]),
    ],
)
def test_the_help_of_search_and_ask_begins_with_the_few_options_used_most(
    run: Run, command: str, most_used: list[str]
) -> None:
    arguments, first, *others = run(command, "--help").stdout.partition("\nExamples:")[0].split(":\n  ")[1:]
    del arguments
    assert options_in("  " + first) == most_used
    assert len(others) >= 3


@pytest.mark.parametrize("command", COMMANDS)
def test_a_help_page_fits_80_columns_and_ends_in_examples(run: Run, command: str) -> None:
    shown = run(command, "--help", env={"COLUMNS": "80"}).stdout
    page, _, examples = shown.partition("\nExamples:\n")
    assert all(len(line) <= 80 for line in page.splitlines())
    assert examples.strip()
    for line in examples.strip().splitlines():
        assert f"sift-rag {command}" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_the_help_with_a_sentence(run: Run, command: str) -> None:
    shown = options_in(run(command, "--help").stdout)
    for parameter in COMMANDS[command].params:
        if isinstance(parameter, TyperOption):
            assert any(parameter.opts[0] in names for names in shown)
            assert (parameter.help or "").rstrip(" ]").endswith((".", f"{parameter.default}"))


@pytest.mark.parametrize("command", COMMANDS)
def test_no_short_form_stands_for_two_options(command: str) -> None:
    names = [name for parameter in COMMANDS[command].params for name in parameter.opts]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_are_understood(run: Run, command: str) -> None:
    for line in run(command, "--help").stdout.partition("\nExamples:\n")[2].strip().splitlines():
        words = shlex.split(line.partition(" > ")[0])
        arguments = words[words.index("sift-rag") + 2 :]
        COMMANDS[command].make_context(command, arguments)


@pytest.mark.parametrize("command", REPLACEMENTS)
def test_an_option_that_has_gone_says_what_to_write(run: Run, command: str) -> None:
    known = {name for parameter in COMMANDS[command].params for name in parameter.opts}
    for option, replacement in REPLACEMENTS[command].items():
        assert option not in known
        assert replacement.split()[0] in known
        written = f"{option} is now {replacement.replace('VALUE', '0.3')}"
        assert replacement_of(command, option, ["why?", option, "0.3"]) == written
        assert replacement_of(command, option, ["why?", f"{option}=0.3"]) == written
    result = run(command, "why?", option, "0.3")
    assert (result.exit_code, result.stdout) == (2, "")
    assert written in result.stderr


def test_a_misspelt_option_gets_a_suggestion(run: Run) -> None:
    result = run("search", "why?", "--fliter", "a=b")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--filter" in result.stderr


@pytest.mark.parametrize(
    ("option", "value", "close"), [("--selector", "sfit", "sift"), ("--mode", "fine-tune", "finetune")]
)
def test_a_misspelt_value_gets_a_suggestion(run: Run, option: str, value: str, close: str) -> None:
    result = run("ask", "why?", option, value)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Did you mean '{close}'?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        (["notes"], None),
        (["notes", "--ray"], ""),
        (["--ray", "-s", "http://localhost:6333", "notes"], ""),
        (["notes", "--ray", "local"], "local"),
        (["notes", "--ray=head:6379"], "head:6379"),
        (["--ray", "notes", "notes"], "notes"),
    ],
)
def test_the_address_of_a_cluster_may_be_left_out(arguments: list[str], address: str | None) -> None:
    assert COMMANDS["ingest"].make_context("ingest", arguments).params["ray"] == address


@pytest.mark.parametrize(("command", "missing"), [("ingest", "PATH"), ("compare", "--texts PATH")])
def test_a_command_without_its_arguments_says_which_is_missing(run: Run, command: str, missing: str) -> None:
    done = run(command)
    assert done.exit_code == 2
    assert missing in done.stderr
