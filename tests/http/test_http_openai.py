"""``/v1/chat/completions``, ``/v1/embeddings`` and ``/v1/models``, through OpenAI's own SDK."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
import openai
import pytest
from openai import OpenAI

from sift_rag import ingest_paths
from sift_rag.errors import ModelUnavailable, ModelUnsuitable
from sift_rag.protocols import Message
from tests.doubles import HashingEmbedder
from tests.http.models import ScriptedModel, tiny_model
from tests.http.serving import Served, serving

QUESTION = "What does the red fox eat?"


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel("Mice ", "[1].")


@pytest.fixture
def chatting(store: Path, model: ScriptedModel) -> Iterator[Served]:
    with serving(store=store, idle_seconds=0, language_model=model) as running:
        yield running


def client_of(served: Served) -> OpenAI:
    client = OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)
    finalize(served, client.close)
    return client


def ask(served: Served, *messages: tuple[str, str], model: str = "sift/documents", **more: Any) -> Any:
    said: Any = [{"role": role, "content": text} for role, text in messages or (("user", QUESTION),)]
    return client_of(served).chat.completions.create(model=model, messages=said, **more)


def test_an_answer_with_its_sources(chatting: Served) -> None:
    reply = ask(chatting)
    [choice] = reply.choices
    assert choice.message.content == "Mice [1].\n\nSources:\n- [1] library/animals/fox.md:3"
    assert choice.finish_reason == "stop"
    assert (reply.object, reply.model) == ("chat.completion", "sift/documents")
    [annotation] = choice.message.annotations
    cited = annotation.url_citation
    assert choice.message.content[cited.start_index : cited.end_index] == "[1]"
    assert cited.title == "library/animals/fox.md:3"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.usage.completion_tokens == 2


def test_every_number_in_brackets_is_annotated(chatting: Served, model: ScriptedModel) -> None:
    model.pieces = ("Mice [1, 2] and berries", "\uff3b1\uff3d, not `a[2]` [9].")
    message = ask(chatting).choices[0].message
    cited = [one.url_citation for one in message.annotations]
    marks = [message.content[one.start_index : one.end_index] for one in cited]
    assert marks == ["[1, 2]", "[1, 2]", "\uff3b1\uff3d"]
    assert len({one.url for one in cited}) == 2


def test_a_stream_has_the_reasoning_before_the_answer(chatting: Served, model: ScriptedModel) -> None:
    model.pieces = ("<think>Passage [2]?</think>", "Mice [1].")
    deltas = [chunk.choices[0].delta for chunk in ask(chatting, stream=True)]
    assert ask(chatting).choices[0].message.reasoning_content == "Passage [2]?"
    assert [getattr(delta, "reasoning_content", None) for delta in deltas[:3]] == [None, "Passage [2]?", None]
    assert deltas[2].content == "Mice [1]."
    assert "Passage" not in "".join(delta.content or "" for delta in deltas)


def test_a_stream_says_the_same(chatting: Served) -> None:
    whole = ask(chatting)
    chunks = list(ask(chatting, stream=True, stream_options={"include_usage": True}))
    *parts, last = chunks
    assert "".join(part.choices[0].delta.content or "" for part in parts) == whole.choices[0].message.content
    assert parts[0].choices[0].delta.role == "assistant"
    assert [part.choices[0].finish_reason for part in parts if part.choices[0].finish_reason] == ["stop"]
    assert last.choices == []
    assert last.usage == whole.usage
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_ends_as_openai_ends_it(chatting: Served) -> None:
    body = {"model": "sift", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    lines = [line for line in chatting.client.post("/v1/chat/completions", json=body).text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    assert not any("usage" in json.loads(line[6:]) for line in lines[:-1])


def test_the_conversation_is_remembered_without_its_old_sources(chatting: Served, model: ScriptedModel) -> None:
    first = ask(chatting).choices[0].message.content
    ask(chatting, ("user", QUESTION), ("assistant", first), ("user", "And when does it hunt?"))
    *_, question, answer, last = model.chats[-1]
    assert (question.role, question.content) == ("user", QUESTION)
    assert (answer.role, answer.content) == ("assistant", "Mice.")
    assert "And when does it hunt?" in last.content
    assert "[1]" in last.content


def test_instructions_reach_the_model(chatting: Served, model: ScriptedModel) -> None:
    ask(chatting, ("system", "Be brief."), ("developer", "In verse."), ("user", QUESTION))
    assert model.chats[-1][0].content.startswith("Be brief.\n\nIn verse.")


def test_text_may_come_in_parts(chatting: Served, model: ScriptedModel) -> None:
    parts: Any = [{"type": "text", "text": "What does the"}, {"type": "text", "text": "red fox eat?"}]
    client_of(chatting).chat.completions.create(model="sift", messages=[{"role": "user", "content": parts}])
    assert "What does the\nred fox eat?" in model.chats[-1][-1].content


def test_every_option_of_a_search_goes_through_sift(chatting: Served, model: ScriptedModel) -> None:
    ask(chatting, extra_body={"sift": {"k": 1, "where": {"metadata": {"kind": "tree"}}}})
    assert "acorns" in model.chats[-1][-1].content
    assert "mice" not in model.chats[-1][-1].content


def test_a_mode_that_the_model_does_not_have_is_refused(chatting: Served) -> None:
    with pytest.raises(openai.APIStatusError) as error:
        ask(chatting, extra_body={"sift": {"mode": "finetune"}})
    assert error.value.status_code == 501
    assert "cannot be fine-tuned" in error.value.body["message"]  # type: ignore[index,call-overload]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["finetune", "both"])
def test_a_chat_may_fine_tune_the_model(store: Path, mode: str) -> None:
    tuned = {"sift": {"mode": mode, "steps": 1, "min_gain": 0.0}}
    with serving(store=store, language_model=tiny_model()) as served:
        assert ask(served, extra_body=tuned, max_tokens=4).choices[0].finish_reason == "length"


def test_what_chat_libraries_send_besides_has_no_effect(chatting: Served) -> None:
    reply = ask(chatting, temperature=0.2, top_p=0.9, user="me", seed=1, n=1, stop=["x"], presence_penalty=0.0)
    assert reply.choices[0].message.content.startswith("Mice [1].")


def test_every_name_in_the_list_can_be_chatted_with(chatting: Served) -> None:
    names = [model.id for model in client_of(chatting).models.list()]
    assert "sift/documents" in names
    assert len(names) >= 3
    for name in names:
        assert ask(chatting, model=name).model == name
        assert client_of(chatting).models.retrieve(name).id == name


def test_collections_are_models(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "a.md").write_text("# Bees\n\nBees dance.\n", encoding="utf-8")
    for name in ("one", "two"):
        ingest_paths([folder], store=tmp_path / "s", collection=name, embedder=HashingEmbedder())
    with serving(
        store=tmp_path / "s", collection="one", idle_seconds=0, language_model=ScriptedModel("Dance [1].")
    ) as served:
        names = {model.id for model in client_of(served).models.list()}
        assert {"sift/one", "sift/two"} <= names
        assert ask(served, ("user", "What do bees do?"), model="sift/two").choices[0].message.annotations


def test_without_a_language_model_there_is_nothing_to_chat_with(served: Served) -> None:
    assert not any(model.id.startswith("sift/") for model in client_of(served).models.list())
    with pytest.raises(openai.APIStatusError) as error:
        ask(served)
    assert error.value.status_code == 501
    assert "no language model" in error.value.body["message"]  # type: ignore[index,call-overload]


@pytest.mark.parametrize("name", ["gpt-4o", "sift/nothing", "sift/../x", "sift/"])
def test_a_model_that_is_not_there(chatting: Served, name: str) -> None:
    with pytest.raises(openai.NotFoundError):
        ask(chatting, model=name)
    assert chatting.client.get(f"/v1/models/{name}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"messages": [{"role": "user", "content": " "}]},
        {"messages": [{"role": "assistant", "content": "Mice."}]},
        {"messages": [{"role": "system", "content": "Be brief."}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        {"messages": [{"role": "user", "content": QUESTION}], "sift": {"kk": 3}},
        {"messages": [{"role": "user", "content": QUESTION}], "sift": {"query": "x"}},
        {"messages": [{"role": "user", "content": QUESTION}], "sift": {"k": 0}},
        {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 0},
        {"messages": [{"role": "user", "content": QUESTION}], "n": 3},
    ],
)
def test_a_bad_chat_is_refused_in_openais_shape(chatting: Served, body: dict[str, Any]) -> None:
    reply = chatting.client.post("/v1/chat/completions", json=body)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["message"]
    assert error == {"message": error["message"], "type": "invalid_request_error", "param": None, "code": None}


@pytest.mark.parametrize(
    ("method", "path", "key", "status", "kind"),
    [
        ("POST", "/v1/chat/completions", "wrong", 401, "authentication_error"),
        ("POST", "/v1/embeddings", "wrong", 401, "authentication_error"),
        ("GET", "/v1/models/nosuch", "right", 404, "invalid_request_error"),
        ("POST", "/v1/chat/completions", "right", 501, "server_error"),
    ],
)
def test_every_refusal_on_openais_routes_has_its_shape(
    method: str, path: str, key: str, status: int, kind: str
) -> None:
    with serving(api_key="right") as served:
        headers = {"authorization": f"Bearer {key}"}
        body = {"messages": [{"role": "user", "content": QUESTION}]}
        reply = served.client.request(method, path, json=body, headers=headers)
    assert (reply.status_code, reply.json()["error"]["type"]) == (status, kind)
    assert reply.json()["error"]["code"] is None


def test_an_unknown_model_is_told_how_to_ask_for_a_collection(chatting: Served) -> None:
    body = {"model": "gpt-4", "messages": [{"role": "user", "content": QUESTION}]}
    reply = chatting.client.post("/v1/chat/completions", json=body)
    assert reply.status_code == 404
    assert "'sift/COLLECTION'" in reply.json()["error"]["message"]


def test_usage_leaves_out_what_a_chat_takes_beside_its_words(store: Path) -> None:
    class WithTemplate(ScriptedModel):
        def count_tokens(self, messages: Sequence[Message]) -> int:
            return 31 + super().count_tokens(messages)

    with serving(store=store, idle_seconds=0, language_model=WithTemplate("Mice ", "[1].")) as served:
        assert ask(served).usage.completion_tokens == 2


def test_usage_is_counted_for_a_model_whose_chats_the_user_begins(store: Path) -> None:
    """Many templates refuse any other chat."""

    class Alternating(ScriptedModel):
        def count_tokens(self, messages: Sequence[Message]) -> int:
            if next(message.role for message in messages if message.role != "system") != "user":
                raise ModelUnsuitable("The chat template refuses this chat.")
            return super().count_tokens(messages)

    with serving(store=store, idle_seconds=0, language_model=Alternating("Mice ", "[1].")) as served:
        assert ask(served).usage.completion_tokens == 2


def test_a_model_that_fails_ends_a_stream_with_an_error(store: Path) -> None:
    model = ScriptedModel("Mice", error=ModelUnavailable("It is gone."))
    with (
        serving(store=store, idle_seconds=0, language_model=model) as served,
        pytest.raises(openai.APIError, match="model"),
    ):
        list(ask(served, stream=True))


# Embeddings


def test_embeddings_are_those_of_the_embedder(served: Served) -> None:
    texts = ["The red fox eats mice.", "An oak drops acorns."]
    reply = client_of(served).embeddings.create(model="sift", input=texts)  # the SDK asks for base64
    rows = np.array([entry.embedding for entry in reply.data])
    np.testing.assert_allclose(rows, served.embedder.embed_passages(texts), atol=1e-6)
    assert [entry.index for entry in reply.data] == [0, 1]
    assert reply.usage.prompt_tokens > 0


def test_both_encodings_hold_the_same_numbers(served: Served) -> None:
    def row(form: str) -> Any:
        body = {"input": "fox", "model": "", "encoding_format": form}
        return served.client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]

    decoded = np.frombuffer(base64.b64decode(row("base64")), dtype="<f4")
    np.testing.assert_array_equal(decoded, np.array(row("float"), dtype=np.float32))


def test_questions_and_documents_may_differ(served: Served) -> None:
    client = client_of(served)
    question = client.embeddings.create(model="sift", input="fox", extra_body={"input_type": "query"})
    np.testing.assert_allclose(question.data[0].embedding, served.embedder.embed_queries(["fox"])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"input": []}, 400),
        ({"input": [1, 2, 3]}, 400),
        ({"input": ""}, 400),
        ({"input": "x", "model": "text-embedding-3-small"}, 404),
        ({"input": "x", "dimensions": 3}, 400),
        ({"input": "x", "encoding_format": "int8"}, 400),
        ({"input": ["x"] * 1001}, 413),
    ],
)
def test_what_cannot_be_embedded_is_refused(served: Served, body: dict[str, Any], status: int) -> None:
    reply = served.client.post("/v1/embeddings", json=body)
    assert reply.status_code == status
    assert reply.json()["error"]["message"]
