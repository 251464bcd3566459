"""``ask`` and ``chat`` with language models: a small local one, and a stub of an endpoint."""

import json
import re
import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sift_rag.opening import open_store
from sift_rag_cli.commands import chat
from tests.cli.conftest import Run
from tests.cli.endpoint import serving

MODEL = Path(__file__).parent.parent / "data" / "stdlib-lm"
QUESTION = "Where do I bring a broken laptop?"
ANSWER = ("To the help", " desk in room 12 [1].", " \x1b[2JNot to the cellar [2, 9].")


def numbers_and_sources(text: str) -> dict[int, str]:
    """Return the numbers and sources of the list under an answer."""
    return {int(number): source for number, source in re.findall(r"^\[(\d+)\] (library/\S+?):\d+ ", text, re.MULTILINE)}


def test_ask_streams_an_answer_from_a_local_model_and_lists_its_sources(ask_store: Run) -> None:
    result = ask_store("ask", QUESTION, "-k", "3", "--model", str(MODEL), "--set", "max_new_tokens=16")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("The answer was cut off at 16 tokens")
    assert result.stderr.count("\n") == 1
    sources = numbers_and_sources(result.stdout)
    assert sources
    assert set(sources) <= {1, 2, 3}


def test_the_json_of_ask_is_that_of_search_and_the_answer(ask_store: Run) -> None:
    with serving(*ANSWER) as endpoint:
        result = ask_store("ask", QUESTION, "-k", "3", "--base-url", endpoint.url, "--model", "stub", "--json")
    answer = json.loads(result.stdout)
    assert set(json.loads(ask_store("search", QUESTION, "--json").stdout)) < set(answer)
    assert (answer["answer"], answer["model"]) == ("".join(ANSWER), "stub")
    assert answer["prompt_tokens"] > 50
    assert answer["citations"] == [
        {"number": hit["rank"], **{key: hit[key] for key in ("id", "source", "line", "page")}}
        for hit in answer["hits"][:2]
    ]
    (chat,) = endpoint.chats
    assert QUESTION in chat[-1]["content"]


def test_an_answer_cannot_steer_the_terminal_and_what_it_cites_is_listed(ask_store: Run) -> None:
    with serving(*ANSWER) as endpoint:
        result = ask_store("ask", QUESTION, "--base-url", endpoint.url, "--model", "stub")
    text, check, sources = result.stdout.split("\n\n")
    assert text == "To the help desk in room 12 [1]. \\x1b[2JNot to the cellar [2, 9]."
    assert check.splitlines()[0].startswith("Checked: ")
    assert "\x1b" not in check
    assert sources.startswith("Sources\n[1] ")
    assert set(numbers_and_sources(result.stdout)) == {1, 2}


def test_parts_written_by_the_model_are_shown_and_are_targets_beside_the_question(ask_store: Run) -> None:
    with serving("Who repairs laptops?\n", "Where is the help desk?\n") as endpoint:
        result = ask_store("ask", QUESTION, "--decompose", "--base-url", endpoint.url, "--model", "stub", "--json")
    assert result.stderr == "part: Who repairs laptops?\npart: Where is the help desk?\n"
    answer = json.loads(result.stdout)
    assert answer["questions"] == [QUESTION, "Who repairs laptops?", "Where is the help desk?"]


def test_the_shown_prompt_is_the_one_that_would_be_sent_and_nothing_is_asked(ask_store: Run) -> None:
    with serving(*ANSWER) as endpoint:
        options = ("--base-url", endpoint.url, "--model", "stub", "--system", "Answer like a pirate.")
        result = ask_store("ask", QUESTION, "--also", "Who pays?", "--show-prompt", *options)
    assert endpoint.chats == []
    assert "Answer like a pirate." in result.stdout
    assert QUESTION in result.stdout
    assert "Who pays?" in result.stdout
    assert result.stderr == ""


def test_a_chat_numbers_on_and_shows_no_passage_twice(ask_store: Run) -> None:
    with serving("No idea.") as endpoint:
        talk = f"{QUESTION}\n\nAnd who writes a doctor's note?\nexit\nnever asked\n"
        result = ask_store("chat", "-k", "2", "--base-url", endpoint.url, "--model", "stub", stdin=talk)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("No idea.") == 2
    sources = numbers_and_sources(result.stdout)
    assert list(sources) == [1, 2, 3, 4]
    assert len(set(sources.values())) == 4
    assert [message["role"] for message in endpoint.chats[1]] == ["system", "user", "assistant", "user"]


def test_a_chat_has_commands(ask_store: Run) -> None:
    with serving("No idea.") as endpoint:
        talk = f"/help\n/sources\n/known\n{QUESTION}\n/sources\n/known\n/source\n/model\n/clear\n/sources\n/exit\n"
        result = ask_store("chat", "-k", "2", "--base-url", endpoint.url, "--model", "stub", stdin=talk)
    assert result.exit_code == 0, result.stderr
    for name in ("/help", "/sources", "/known [SOURCE]", "/model [NAME]", "/clear", "exit, Ctrl-D"):
        assert name in result.stdout
    assert result.stderr.count("No passages yet") == 2  # before the first question, and after /clear
    assert "Nothing is known yet" in result.stderr
    assert "There is no command '/source'. Did you mean '/sources'?" in result.stderr
    assert "Model stub, context of 8,192 tokens." in result.stderr
    assert "(2 passages in this chat)" in result.stdout or result.stdout.count("(1 passage in this chat)") == 2
    assert len(endpoint.chats) == 1  # commands are not asked


def test_what_a_chat_is_told_to_know_is_not_shown(ask_store: Run) -> None:
    with serving("No idea.") as endpoint:
        plain = ask_store("chat", "-k", "1", "--base-url", endpoint.url, "--model", "stub", stdin=f"{QUESTION}\n")
        (source,) = numbers_and_sources(plain.stdout).values()
        talk = f"/known {source.partition(':')[0]}\n{QUESTION}\n"
        told = ask_store("chat", "-k", "1", "--base-url", endpoint.url, "--model", "stub", stdin=talk)
    assert told.exit_code == 0, told.stderr
    assert source not in numbers_and_sources(told.stdout).values()


def test_a_chat_changes_its_model_and_forgets_what_was_said(ask_store: Run) -> None:
    with serving("No idea.") as endpoint:
        talk = f"{QUESTION}\n/model other\n/clear\n{QUESTION}\n"
        result = ask_store("chat", "-k", "1", "--base-url", endpoint.url, "--model", "stub", stdin=talk)
    assert result.exit_code == 0, result.stderr
    assert endpoint.chats[0] == endpoint.chats[1]


def test_a_chat_holds_the_store_only_while_it_retrieves(ask_store: Run, store: Path) -> None:
    opened = []

    def open_it() -> None:
        with closing(open_store(store)) as passages:
            opened.append(passages.count())

    with serving("No idea.", on_request=open_it) as endpoint:
        result = ask_store("chat", "-k", "1", "--base-url", endpoint.url, "--model", "stub", stdin=f"{QUESTION}\n" * 2)
    assert result.exit_code == 0, result.stderr
    assert len(opened) == 2


def test_a_chat_goes_on_when_every_passage_has_been_shown(ask_store: Run) -> None:
    with serving("Yes.") as endpoint:
        talk = f"{QUESTION}\nAnything else?\n"
        result = ask_store("chat", "-k", "50", "--base-url", endpoint.url, "--model", "stub", stdin=talk)
    assert result.stdout.count("Yes.") == 2
    assert result.stderr == "Every passage has been shown already.\n"


def test_a_name_that_is_not_there_does_not_become_known(ask_store: Run) -> None:
    """Every further question would fail of it."""
    with serving("No idea.") as endpoint:
        command = ("chat", "-k", "1", "--base-url", endpoint.url, "--model", "stub")
        result = ask_store(*command, stdin="/known nothere.md\n")
    assert result.exit_code == 5
    assert "has no file 'nothere.md'" in result.stderr
    assert "Counts as known" not in result.stderr


def test_clear_forgets_what_the_chat_was_told_to_know_and_not_what_it_began_with(ask_store: Run, store: Path) -> None:
    with closing(open_store(store)) as passages:
        first, second = (document.source for document in list(passages.documents())[:2])
    with serving("No idea.") as endpoint:
        command = ("chat", "-k", "1", "--base-url", endpoint.url, "--model", "stub", "--known", first)
        result = ask_store(*command, stdin=f"/known {second}\n/known\n/clear\n/known\n")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [first, second, first]


def test_at_a_terminal_ctrl_c_and_errors_end_a_question_and_not_the_chat(
    ask_store: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, ends = chat.open_search, [KeyboardInterrupt(), OSError(5, "Input/output error"), None]

    def ended(*arguments: Any, **named: Any) -> Any:
        error = ends.pop(0)
        if error is not None:
            raise error
        return search(*arguments, **named)

    monkeypatch.setattr(chat, "open_search", ended)
    monkeypatch.setattr(chat, "is_terminal", lambda stream: stream is sys.stdin)
    with serving("No idea.") as endpoint:
        result = ask_store("chat", "--base-url", endpoint.url, "--model", "stub", stdin=f"{QUESTION}\n" * 3)
    assert result.exit_code == 0, result.stderr
    assert ends == []
    assert "Stopped." in result.stderr
    assert "Input/output error" in result.stderr
    assert result.stdout.count("No idea.") == 1


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ({}, None),
        ({"OPENAI_API_KEY": "second"}, "Bearer second"),
        ({"OPENAI_API_KEY": "second", "SIFT_RAG_API_KEY": "first"}, "Bearer first"),
    ],
)
def test_the_key_comes_from_the_environment(ask_store: Run, keys: dict[str, str], sent: str | None) -> None:
    with serving("Yes.") as endpoint:
        named = {"SIFT_RAG_BASE_URL": endpoint.url, "SIFT_RAG_MODEL": "stub"}
        result = ask_store("ask", QUESTION, env={**named, **keys})
    assert result.exit_code == 0, result.stderr
    (authorization,) = endpoint.authorizations
    if sent is None:
        assert "first" not in str(authorization)
    else:
        assert authorization == sent


def test_no_key_goes_to_an_endpoint_that_the_working_directory_chose(ask_store: Run, elsewhere: Path) -> None:
    with serving("Yes.") as endpoint:
        (elsewhere / "sift-rag.toml").write_text(f"base_url = '{endpoint.url}'\nmodel = 'stub'\n", encoding="utf-8")
        result = ask_store("ask", QUESTION, env={"OPENAI_API_KEY": "secret"})
        assert result.exit_code == 0, result.stderr
        assert "not sent" in result.stderr.replace("\n", " ")
        ask_store("ask", QUESTION, "--base-url", endpoint.url, env={"OPENAI_API_KEY": "secret"})
    first, second = endpoint.authorizations
    assert "secret" not in str(first)
    assert second == "Bearer secret"


def test_an_endpoint_that_refuses_the_key_is_exit_code_4(ask_store: Run) -> None:
    with serving(status=401) as endpoint:
        result = ask_store("ask", QUESTION, "--base-url", endpoint.url, "--model", "stub", "--json")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (4, "", 1)


def test_an_empty_answer_has_advice_only_where_that_helps(ask_store: Run) -> None:
    errors = {}
    for finish in ("length", "stop"):
        with serving("", finish=finish) as endpoint:
            result = ask_store("ask", QUESTION, "--base-url", endpoint.url, "--model", "stub")
        assert (result.exit_code, result.stdout) == (1, "")
        errors[finish] = result.stderr
    assert "Allow it more than 512 with --set max_new_tokens=NUMBER" in errors["length"]
    assert "max_new_tokens" not in errors["stop"]
    assert "ended before the first word" in errors["stop"]


def test_an_endpoint_where_nobody_listens_is_exit_code_4(ask_store: Run) -> None:
    with socket.socket() as taken:  # bound, not listening: a connection is refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        results = [ask_store("ask", QUESTION, "--base-url", url, "--model", "stub", *more) for more in ([], ["--json"])]
    for result in results:
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (4, "", 1)
        assert "Traceback" not in result.stderr
