"""Test the whole path from a question to an answer, in every mode."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread
from typing import Any, get_args

import numpy as np
import pytest

from sift_rag import defaults
from sift_rag.answering.assistant import ALL_SHOWN, Assistant
from sift_rag.answering.conversation import Conversation
from sift_rag.answering.prompt import build_prompt
from sift_rag.answering.settings import AnswerSettings, Mode
from sift_rag.errors import (
    ConfigurationError,
    ModelInUse,
    ModelUnavailable,
    ModelUnsuitable,
    NoEvidence,
    TrainingFailed,
)
from sift_rag.filters import Filter
from sift_rag.finetuning import FineTuning
from sift_rag.models.adapter_server import push_adapter
from sift_rag.models.local import LocalModel
from sift_rag.models.remote import RemoteModel
from sift_rag.opening import open_assistant
from sift_rag.retrieval.options import SearchOptions
from sift_rag.retrieval.queries import Query
from sift_rag.retrieval.retriever import Retriever
from sift_rag.selection import Sift, Stopping
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import Candidate, Embedding
from tests.answering.conftest import StubAdapterServer
from tests.doubles import HashingEmbedder
from tests.finetuning.states import state_of, weights_of
from tests.models.stub_endpoint import StubEndpoint
from tests.retrieval.test_candidates import filled

PASSAGES = {
    "owls.md": "Owls hunt at night and sleep by day.",
    "ears.md": "The ears of owls sit at unequal heights, which tells them where a mouse is.",
    "bees.md": "Bees dance to tell where flowers are.",
    "mice.md": "A mouse hears the owls too late, for feathers of owls are soft.",
    "moon.md": "By the light of the moon few mice leave their holes.",
    "rain.md": "Owls hunt badly in rain: wet feathers make a noise.",
}
QUESTION = "How do owls hunt mice at night?"
QUICK = AnswerSettings(max_new_tokens=6, steps=3, min_gain=0.0, finetuning=FineTuning(rank=4, learning_rate=1e-2))
TUNING_MODES: tuple[Mode, ...] = ("finetune", "both")
ALL_MODES: tuple[Mode, ...] = ("context", *TUNING_MODES)


class CountingStore(MemoryStore):
    """A store that counts the targets searched for, and records the filters."""

    searched = 0

    def search(
        self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None
    ) -> list[list[Candidate]]:
        self.searched += offset == 0
        return super().search(targets, limit, offset=offset, where=where)


@pytest.fixture
def embedder() -> HashingEmbedder:
    return HashingEmbedder()


@pytest.fixture
def store(embedder: HashingEmbedder) -> CountingStore:
    plain = filled(PASSAGES, embedder)
    counting = CountingStore(plain.info)
    for source in PASSAGES:
        (candidate,) = plain.passages(source)
        counting.upsert([candidate.passage], candidate.embedding[None])
    return counting


@pytest.fixture
def retriever(embedder: HashingEmbedder, store: CountingStore) -> Retriever:
    return Retriever(embedder, store)


@pytest.fixture
def assistant(retriever: Retriever, language_model: LocalModel) -> Assistant:
    return Assistant(retriever, language_model, QUICK)


@pytest.fixture
def talker(retriever: Retriever, told: RemoteModel) -> Assistant:
    """An assistant whose model says what the endpoint is told to."""
    return Assistant(retriever, told)


@pytest.fixture
def unchanged_weights(language_model: LocalModel) -> Any:
    """Fail the test if the model is not bit for bit what it was."""
    before = state_of(language_model.network)
    yield
    assert state_of(language_model.network) == before
    with language_model.changing():  # nobody holds it
        pass


def test_an_answer_cites_the_passages_of_its_prompt(talker: Assistant, endpoint: StubEndpoint) -> None:
    endpoint.pieces = ["  By", " night [2]", ", and [1]."]
    answer = talker.ask(Query(QUESTION, k=2))
    assert answer.text == "By night [2], and [1]."
    assert [number for number, _ in answer.citations] == [2, 1]
    assert [one.passage.id for one in answer.citations] == [hit.passage.id for hit in answer.retrieval.hits[::-1]]
    assert (answer.mode, answer.model, answer.tuning, answer.notices) == ("context", "told", None, ())
    (request,) = endpoint.requests
    assert [message["content"] for message in request.body["messages"]] == [m.content for m in answer.prompt.messages]
    assert request.body["max_tokens"] == defaults.MAX_NEW_TOKENS


def test_plain_text_is_asked_with_the_assistant_s_options(retriever: Retriever, told: RemoteModel) -> None:
    assistant = Assistant(retriever, told, options=SearchOptions(k=1, where=Filter(sources=("bees.md",))))
    answer = assistant.ask(QUESTION)
    assert [hit.passage.source for hit in answer.retrieval.hits] == ["bees.md"]
    assert len(assistant.ask(Query(QUESTION, k=3)).retrieval.hits) == 3


def test_several_questions_are_answered_together(talker: Assistant) -> None:
    questions = (QUESTION, "Where are flowers?")
    answer = talker.ask(questions)
    assert answer.retrieval.questions == questions
    assert all(question in answer.prompt.messages[-1].content for question in questions)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ALL_MODES)
def test_a_stream_is_the_answer_in_pieces(assistant: Assistant, mode: Mode) -> None:
    whole = assistant.ask(QUESTION, mode)
    with assistant.stream(QUESTION, mode) as stream:
        pieces = list(stream)
    assert len(pieces) > 1
    assert "".join(pieces) == stream.text == whole.text
    assert without_times(stream.answer.to_dict()) == without_times(whole.to_dict())
    assert stream.answer.conversation == whole.conversation


def without_times(value: dict[str, Any]) -> dict[str, Any]:
    tuning = value["tuning"] and {**value["tuning"], "seconds": 0, "peak_bytes": 0}
    return {**value, "timings_ms": None, "tuning": tuning}


def test_a_stream_tells_everything_but_the_answer_before_the_first_piece(assistant: Assistant) -> None:
    stream = assistant.stream(QUESTION, "both")
    assert stream.training is not None
    assert (len(stream.training.hits), stream.tuning, stream.text) == (3, None, "")
    assert [hit.passage for hit in stream.retrieval.hits] == list(stream.prompt.passages)
    with stream:
        assert stream.tuning is not None
        assert stream.tuning.steps == 3
        with pytest.raises(ValueError, match="not complete"):
            _ = stream.answer
    with pytest.raises(ValueError, match="not complete"):
        _ = stream.answer
    assert list(stream) == []


@pytest.mark.parametrize("mode", TUNING_MODES)
def test_the_weights_are_others_while_the_answer_is_written_and_the_same_at_its_end(
    assistant: Assistant, language_model: LocalModel, mode: Mode, unchanged_weights: None
) -> None:
    before = weights_of(language_model.network)
    full = Assistant(
        assistant.retriever,
        language_model,
        replace(QUICK, finetuning=FineTuning(method="full", learning_rate=1e-3)),
    )
    stream = full.stream(QUESTION, mode)
    assert weights_of(language_model.network) == before
    first = next(stream)
    assert first
    assert weights_of(language_model.network) != before
    rest = list(stream)  # without a ``with`` block: the end restores them
    assert weights_of(language_model.network) == before
    assert stream.answer.text == "".join([first, *rest])


def close(stream: Any) -> None:
    stream.close()
    stream.close()


def leave(stream: Any) -> None:
    with stream:
        next(stream)


def drop(stream: Any) -> None:
    del stream


def interrupt(stream: Any) -> None:
    with suppress(KeyboardInterrupt), stream:
        next(stream)
        raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("end", [close, leave, drop, interrupt])
@pytest.mark.parametrize("begun", [True, False])
def test_the_weights_are_the_same_after_an_answer_that_is_left(
    assistant: Assistant, end: Callable[[Any], None], begun: bool, unchanged_weights: None
) -> None:
    stream = assistant.stream(QUESTION, "both")
    if begun:
        next(stream)
    end(stream)
    del stream
    assert assistant.ask(QUESTION, "both").text


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_weights_are_the_same_after_an_error_while_learning(
    assistant: Assistant, error: type[BaseException], unchanged_weights: None
) -> None:
    def fail(step: Any) -> None:
        if step.number == 2:
            raise error

    with pytest.raises(error):
        assistant.ask(QUESTION, "finetune", on_step=fail)


def test_the_weights_are_the_same_after_a_training_that_fails(
    retriever: Retriever, language_model: LocalModel, unchanged_weights: None
) -> None:
    wild = replace(QUICK, finetuning=FineTuning(method="full", learning_rate=1e30))
    with pytest.raises(TrainingFailed):
        Assistant(retriever, language_model, wild).ask(QUESTION, "finetune")


def test_each_step_is_told_and_reported(assistant: Assistant) -> None:
    steps: list[Any] = []
    answer = assistant.ask(QUESTION, "finetune", on_step=steps.append)
    tuning = answer.tuning
    assert tuning is not None
    assert tuning.reason is None
    assert [step.loss for step in steps] == pytest.approx(tuning.losses)
    assert (tuning.steps, len(tuning.passages), tuning.stopped, tuning.out_of_time) == (3, 3, "k", False)
    assert (tuning.learning_rate, tuning.tokens) == (1e-2, steps[-1].tokens)
    assert tuning.predicted_gain == answer.retrieval.predicted_gain > 0
    assert min(tuning.seconds, tuning.peak_bytes) > 0


def test_the_gain_of_a_fine_tuning_that_ran_out_of_time_is_that_of_its_steps(
    retriever: Retriever, language_model: LocalModel
) -> None:
    hasty = replace(QUICK, finetuning=FineTuning(rank=4, seconds=1e-9))
    answer = Assistant(retriever, language_model, hasty).ask(QUESTION, "finetune")
    tuning, training = answer.tuning, answer.retrieval
    assert tuning is not None
    assert (tuning.steps, tuning.out_of_time, len(tuning.passages)) == (1, True, 3)
    explained = 1 - training.hits[0].posterior_variance / training.prior_variance
    assert tuning.predicted_gain == pytest.approx(explained)
    assert tuning.predicted_gain < training.predicted_gain


@pytest.mark.slow
def test_equal_questions_have_equal_answers_whatever_was_asked_between(assistant: Assistant) -> None:
    first = assistant.ask(QUESTION, "both")
    assistant.ask("Where are flowers?", "finetune")
    again = assistant.ask(QUESTION, "both")
    assert (again.text, again.tuning and again.tuning.losses) == (first.text, first.tuning and first.tuning.losses)


def test_the_model_learns_from_what_the_selector_for_fine_tuning_chooses(
    assistant: Assistant, embedder: HashingEmbedder, store: MemoryStore
) -> None:
    training = Retriever(
        embedder, store, selector=Sift.for_fine_tuning(), candidate_limit=defaults.TRAINING_CANDIDATES
    ).retrieve(QUESTION, QUICK.steps)
    answer = assistant.ask(Query(QUESTION, k=1), "both")
    assert answer.tuning is not None
    assert list(answer.tuning.passages) == [hit.passage for hit in training.hits]
    assert len(answer.retrieval.hits) == 1


def test_fine_tuning_alone_puts_no_passage_into_the_prompt_and_retrieves_once(
    assistant: Assistant, store: CountingStore
) -> None:
    prepared = assistant.prepare(QUESTION, "finetune")
    assert store.searched == 1
    assert prepared.retrieval is prepared.training
    assert (prepared.prompt.passages, prepared.prompt.dropped) == ((), 0)
    assert "Owls" not in prepared.prompt.messages[-1].content
    assert assistant.prepare(QUESTION, "both").prompt == assistant.prepare(QUESTION).prompt


def test_fine_tuning_alone_still_asks_whether_the_collection_can_tell(assistant: Assistant) -> None:
    with pytest.raises(NoEvidence):
        assistant.prepare(Query(QUESTION, max_variance=0.0), "finetune")
    assert assistant.prepare(Query(QUESTION, max_variance=10.0), "finetune").training is not None


def test_training_passages_follow_the_filter_and_the_rules_but_not_what_is_for_the_prompt(
    assistant: Assistant,
) -> None:
    def sources(query: Query) -> list[str]:
        training = assistant.prepare(query, "both").training
        assert training is not None
        return [hit.passage.source for hit in training.hits]

    usual = sources(Query(QUESTION, k=1))
    assert len(usual) == 3
    assert sources(Query(QUESTION, k=1, known=(usual[0],), known_texts=("Owls are birds.",))) == usual
    assert sources(Query(QUESTION, k=1, stopping=Stopping(tokens=12, fill=True))) == usual
    assert sources(Query(QUESTION, k=1, stopping=Stopping(alpha=1.0))) == usual[:1]
    assert set(sources(Query(QUESTION, k=1, where=Filter(sources=("bees.md",))))) == {"bees.md"}


@pytest.mark.parametrize("mode", TUNING_MODES)
def test_a_model_does_not_learn_from_what_explains_too_little(
    retriever: Retriever, language_model: LocalModel, tmp_path: Path, mode: Mode
) -> None:
    folder = tmp_path / "adapter"
    assistant = Assistant(retriever, language_model, replace(QUICK, min_gain=1.0, save_adapter=folder))
    answer = assistant.ask(QUESTION, mode)
    assert answer.tuning is not None
    assert (answer.tuning.steps, answer.tuning.losses, answer.tuning.learning_rate) == (0, (), None)
    assert answer.tuning.reason is not None
    assert answer.tuning.reason.startswith("Not fine-tuned: the 3 chosen passages would explain ")
    assert answer.notices[:2] == (
        answer.tuning.reason,
        f"No adapter was saved to {str(folder)!r}: the model was not fine-tuned.",
    )
    assert not folder.exists()
    if mode == "both":
        assert answer.text == Assistant(retriever, language_model, QUICK).ask(QUESTION).text


def test_an_adapter_that_is_not_made_is_not_loaded_into_a_server(
    retriever: Retriever, language_model: LocalModel, adapter_server: StubAdapterServer, tmp_path: Path
) -> None:
    settings = replace(QUICK, min_gain=1.0, save_adapter=tmp_path / "adapter", push_adapter=adapter_server.url)
    notices = Assistant(retriever, language_model, settings).ask(QUESTION, "finetune").notices
    assert f"and none loaded into {adapter_server.url}: the model was not fine-tuned." in notices[1]
    assert adapter_server.requests == []


def test_the_gate_is_open_to_exactly_what_it_asks_for(retriever: Retriever, language_model: LocalModel) -> None:
    training = Assistant(retriever, language_model, QUICK).prepare(QUESTION, "finetune").training
    assert training is not None
    gain = training.predicted_gain
    for least, learns in ((gain, True), (float(np.nextafter(gain, 1)), False)):
        prepared = Assistant(retriever, language_model, replace(QUICK, min_gain=least)).prepare(QUESTION, "finetune")
        assert (prepared.tuning is None) is learns


def test_an_adapter_is_saved_where_it_is_asked_for(
    retriever: Retriever, language_model: LocalModel, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    assistant = Assistant(retriever, language_model, replace(QUICK, save_adapter=folder))
    assistant.ask(QUESTION, "finetune")
    assert (folder / "adapter_model.safetensors").is_file()
    with pytest.raises(ConfigurationError, match="is not empty"):
        assistant.ask(QUESTION, "finetune")


def test_a_saved_adapter_is_loaded_into_a_server(
    retriever: Retriever, language_model: LocalModel, adapter_server: StubAdapterServer, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    settings = replace(QUICK, save_adapter=folder, push_adapter=adapter_server.url)
    assert Assistant(retriever, language_model, settings).ask(QUESTION, "finetune").text
    assert adapter_server.requests == [
        ("/v1/load_lora_adapter", {"lora_name": "adapter", "lora_path": str(folder), "load_inplace": True})
    ]


def test_a_server_that_does_not_load_an_adapter_is_told_and_the_weights_are_restored(
    retriever: Retriever,
    language_model: LocalModel,
    adapter_server: StubAdapterServer,
    tmp_path: Path,
    unchanged_weights: None,
) -> None:
    adapter_server.status = 400
    settings = replace(QUICK, save_adapter=tmp_path / "adapter", push_adapter=adapter_server.url)
    with pytest.raises(ModelUnavailable, match=r"saved in .* does not load it \(400: no such path\)"):
        Assistant(retriever, language_model, settings).ask(QUESTION, "finetune")
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
    unreachable = replace(settings, save_adapter=tmp_path / "other", push_adapter="http://127.0.0.1:9/v1")
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        Assistant(retriever, language_model, unreachable).ask(QUESTION, "finetune")


@pytest.mark.parametrize(
    ("status", "kind", "reply", "words"),
    [
        (401, "application/json", b'{"error": "Unauthorized"}', r"wants an API key \(401\), and none is sent"),
        (
            404,
            "application/json",
            b'{"detail": "Not Found"}',
            r"\(404: Not Found\).*VLLM_ALLOW_RUNTIME_LORA_UPDATING=True",
        ),
        (400, "application/json", b'{"error": {"message": "no such\\npath"}}', r"\(400: no such path\)"),
        (400, "application/json", b'{"object": "error", "message": "rank 64"}', r"\(400: rank 64\)"),
        (500, "application/json", b"[1, {", r"\(500: \[1, \{\)"),
        (502, "text/html", b"<html>Bad gateway</html>", r"\(502: a page of HTML\)"),
        (200, "text/html; charset=utf-8", b"<html>Sign in</html>", r"sent a page of HTML"),
    ],
)
def test_a_server_s_refusal_is_told_in_its_words(
    adapter_server: StubAdapterServer, tmp_path: Path, status: int, kind: str, reply: bytes, words: str
) -> None:
    adapter_server.status, adapter_server.kind, adapter_server.reply = status, kind, reply
    with pytest.raises(ModelUnavailable, match=words) as caught:
        push_adapter(tmp_path / "adapter", adapter_server.url)
    assert str(caught.value).startswith(f"The adapter is saved in {str(tmp_path / 'adapter')!r}, but the server")
    assert "<html>" not in str(caught.value)


def test_a_server_that_keeps_silent_may_have_loaded_the_adapter(
    adapter_server: StubAdapterServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sift_rag.models.adapter_server.READ_SECONDS", 0.05)
    adapter_server.answers.clear()
    try:
        with pytest.raises(ModelUnavailable, match=r"did not answer within 0\.05 s: check there"):
            push_adapter(tmp_path / "adapter", adapter_server.url)
    finally:
        adapter_server.answers.set()


def test_an_adapter_is_loaded_in_place_of_an_earlier_one_of_its_name(
    retriever: Retriever, language_model: LocalModel, adapter_server: StubAdapterServer, tmp_path: Path
) -> None:
    for day in ("monday", "tuesday"):
        settings = replace(QUICK, save_adapter=tmp_path / day / "travel", push_adapter=adapter_server.url)
        Assistant(retriever, language_model, settings).ask(QUESTION, "finetune")
    asked = [
        (body["lora_name"], body["load_inplace"], Path(body["lora_path"]).is_dir())
        for _, body in adapter_server.requests
    ]
    assert asked == [("travel", True, True)] * 2


def test_what_is_no_address_of_a_server_is_refused_before_anything_is_learnt(
    retriever: Retriever, language_model: LocalModel, tmp_path: Path
) -> None:
    settings = replace(QUICK, save_adapter=tmp_path / "adapter", push_adapter="localhost:8000")
    with pytest.raises(ValueError, match="push_adapter is 'localhost:8000'"):
        Assistant(retriever, language_model, settings).ask(QUESTION, "finetune")
    assert not (tmp_path / "adapter").exists()


def test_an_adapter_needs_a_folder_to_be_loaded_from() -> None:
    with pytest.raises(ConfigurationError, match="name the folder"):
        AnswerSettings(push_adapter="http://localhost:8000/v1")


@pytest.mark.slow
def test_threads_share_an_assistant_and_only_fine_tuning_has_the_model_to_itself(
    assistant: Assistant, unchanged_weights: None
) -> None:
    alone = assistant.ask(QUESTION).text
    together = Barrier(2)
    texts: list[str] = []
    refused: list[Exception] = []

    def ask(mode: Mode) -> None:
        together.wait()
        try:
            texts.append(assistant.ask(QUESTION, mode).text)
        except ModelInUse as error:
            refused.append(error)

    run(ask, ("context", "context"))
    assert (texts, refused) == ([alone, alone], [])
    together = Barrier(1)
    with assistant.stream(QUESTION, "both") as stream:
        next(stream)
        run(ask, ("context", "both"))
        assert (texts[2:], len(refused)) == ([], 2)
        assert list(stream)
    assert assistant.ask(QUESTION).text == alone


def run(function: Callable[[Mode], None], modes: tuple[Mode, ...]) -> None:
    threads = [Thread(target=function, args=(mode,)) for mode in modes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_conversation_shows_what_is_new_and_numbers_on(talker: Assistant, endpoint: StubEndpoint) -> None:
    endpoint.pieces = ["So [1][3]."]
    first = talker.ask(Query(QUESTION, k=2))
    second = talker.ask(Query("And where is a mouse?", k=2), conversation=first.conversation)
    shown = [hit.passage.id for answer in (first, second) for hit in answer.retrieval.hits]
    assert len(set(shown)) == 4
    assert list(second.conversation.shown) == [1, 2, 3, 4]
    assert second.conversation.known == tuple(shown)
    assert [one.number for one in first.citations] == [1]
    assert [one.passage.id for one in second.citations] == [shown[0], shown[2]]
    assert [message["role"] for message in endpoint.requests[1].body["messages"]] == [
        "system",
        "user",
        "assistant",
        "user",
    ]
    assert len(first.conversation.turns) == 1


def test_a_follow_up_question_is_asked_alone_and_searched_for_with_the_one_before(
    talker: Assistant, endpoint: StubEndpoint
) -> None:
    first = talker.ask(Query(QUESTION, k=1))
    second = talker.ask(Query("And then?", k=1), conversation=first.conversation)
    assert second.retrieval.questions == ("And then?", QUESTION)
    prepared = talker.prepare(Query("And then?", k=1), conversation=first.conversation)
    assert prepared.parts == ()  # nothing was split
    assert QUESTION not in endpoint.requests[1].body["messages"][-1]["content"]
    again = talker.ask(Query(QUESTION, k=1), conversation=first.conversation)
    assert again.retrieval.questions == (QUESTION,)


@pytest.mark.parametrize("mode", ALL_MODES)
def test_a_conversation_goes_on_when_everything_has_been_shown(assistant: Assistant, mode: Mode) -> None:
    first = assistant.ask(Query(QUESTION, k=50))
    second = assistant.ask("Anything else?", mode, conversation=first.conversation)
    assert second.text
    assert (ALL_SHOWN in second.notices) == (mode != "finetune")
    assert second.prompt.passages == ()
    json.dumps(second.to_dict(), allow_nan=False)
    assert len(second.conversation.turns) == 2


def test_a_conversation_does_not_hide_that_nothing_could_be_found(talker: Assistant) -> None:
    first = talker.ask(QUESTION)
    nothing = Query(QUESTION, where=Filter(sources=("none.md",)))
    for conversation in (None, first.conversation, Conversation()):
        with pytest.raises(NoEvidence):
            talker.ask(nothing, conversation=conversation)


def test_a_selection_that_ends_before_the_first_passage_is_no_evidence(talker: Assistant) -> None:
    nothing = Query(QUESTION, stopping=Stopping(tokens=1, fill=True))
    with pytest.raises(NoEvidence, match="No passage was chosen from 6 candidates: none fits the token budget"):
        talker.ask(nothing)
    first = talker.ask(Query(QUESTION, k=1))
    assert talker.ask(nothing, conversation=first.conversation).prompt.passages == ()


def test_a_long_conversation_is_trimmed_to_what_the_model_reads(
    assistant: Assistant, language_model: LocalModel
) -> None:
    conversation = Conversation()
    for number in range(30):
        prompt = build_prompt([f"Number {number}? " + "And so on. " * 10], [], model=None)
        conversation = conversation.with_turn(prompt, "Yes.")
    prepared = assistant.prepare(QUESTION, conversation=conversation)
    assert prepared.conversation == conversation.trimmed(language_model)
    assert 0 < len(prepared.conversation.turns) < 30
    assert prepared.prompt.messages[1:-1] == prepared.conversation.history
    assert prepared.prompt.dropped == 0


def test_the_parts_of_a_question_are_searched_for_and_the_question_is_asked(
    talker: Assistant, endpoint: StubEndpoint
) -> None:
    endpoint.pieces = ["Where do owls hunt?\n", "Where are mice?\n"]
    prepared = talker.prepare(QUESTION, decompose=True)
    assert prepared.asked == (QUESTION,)
    assert prepared.retrieval.questions == (QUESTION, "Where do owls hunt?", "Where are mice?")
    assert prepared.parts == ("Where do owls hunt?", "Where are mice?")
    assert prepared.prompt.messages[-1].content.endswith(f"Question: {QUESTION}")
    with pytest.raises(ValueError, match="Weights"):
        talker.prepare(Query((QUESTION, "Why?"), weights=(1.0, 2.0)), decompose=True)


def test_passages_that_do_not_fit_are_told(embedder: HashingEmbedder, language_model: LocalModel) -> None:
    long = filled({f"{n}.md": f"Owls number {n}. " + "They hunt. " * 200 for n in range(8)}, embedder)
    prepared = Assistant(Retriever(embedder, long), language_model).prepare(Query(QUESTION, k=8))
    assert 0 < prepared.prompt.dropped < 8
    (notice,) = prepared.notices
    assert re.fullmatch(
        rf"{prepared.prompt.dropped} passages? did not fit the model's context and went unused.", notice
    )


def test_without_a_model_there_is_a_prompt(retriever: Retriever) -> None:
    assistant = Assistant(retriever, None)
    prepared = assistant.prepare(QUESTION)
    value = prepared.to_dict()
    assert QUESTION in str(value["prompt"])
    assert (value["answer"], value["model"], value["prompt_tokens"], value["citations"]) == (None, None, None, [])
    with pytest.raises(ConfigurationError, match="no language model") as error:
        assistant.ask(QUESTION)
    assert error.value.remedy is not None
    assert error.value.remedy.key == "model-required"


@pytest.mark.parametrize("mode", TUNING_MODES)
@pytest.mark.parametrize("prepare", [True, False])
def test_fine_tuning_needs_a_model_in_this_process(
    retriever: Retriever, told: RemoteModel, endpoint: StubEndpoint, mode: Mode, prepare: bool
) -> None:
    for model in (told, None) if prepare else (told,):
        assistant = Assistant(retriever, model)
        with pytest.raises(ConfigurationError, match=f"'{mode}' needs a model that runs in this process") as error:
            (assistant.prepare if prepare else assistant.ask)(QUESTION, mode)
        assert error.value.remedy is not None
        assert (error.value.remedy.key, error.value.remedy.values) == ("local-model-required", {"mode": mode})
    assert endpoint.requests == []


def test_what_cannot_be_asked_is_refused_before_anything_is_searched(
    retriever: Retriever, store: CountingStore, language_model: LocalModel, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    saving = replace(QUICK, save_adapter=tmp_path)
    for settings, mode, options, message in (
        (QUICK, "magic", {}, "'magic': expected one of context, finetune, both"),
        (saving, "context", {}, "Only fine-tuning has an adapter"),
        (saving, "both", {}, "is not empty"),
    ):
        with pytest.raises((ConfigurationError, ValueError), match=message):
            Assistant(retriever, language_model, settings).prepare(QUESTION, mode, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="needs a language model"):
        Assistant(retriever, None).prepare(QUESTION, decompose=True)
    assert store.searched == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, but is 0"),
        ({"steps": 0}, "steps must be at least 1, but is 0"),
        ({"min_gain": float("nan")}, "min_gain must be a number"),
        ({"save_adapter": Path("x"), "finetuning": FineTuning(method="full")}, "has no adapter to save"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, ConfigurationError), match=message):
        AnswerSettings(**wrong)


def test_an_empty_answer_is_an_error(talker: Assistant, endpoint: StubEndpoint) -> None:
    endpoint.pieces = ["\n"]
    with pytest.raises(ModelUnsuitable, match="empty answer"):
        talker.ask(QUESTION)


@pytest.mark.parametrize(
    ("finish", "reasoning", "words"),
    [
        ("content_filter", (), "filter removed it"),
        ("length", ("Let me see.",), "used its 512 tokens to think"),
        ("length", (), "may have used its 512 tokens to think"),
        ("stop", ("Let me see.",), "only thought"),
        ("stop", (), "ended before the first word"),
        ("tool_calls", (), "called a tool"),
    ],
)
def test_an_empty_answer_has_its_reason(
    talker: Assistant, endpoint: StubEndpoint, finish: str, reasoning: tuple[str, ...], words: str
) -> None:
    endpoint.pieces, endpoint.finish, endpoint.reasoning = [], finish, reasoning
    with pytest.raises(ModelUnsuitable, match=words) as caught:
        talker.ask(QUESTION)
    assert (caught.value.remedy is not None) is (finish == "length")  # only there do more tokens help


def test_reasoning_that_only_ends_is_not_cited(talker: Assistant, endpoint: StubEndpoint) -> None:
    endpoint.pieces = ["Passage [2]?\n</think>", "\n\nIt hunts at night [1]."]
    answer = talker.ask(QUESTION)
    assert (answer.text, answer.reasoning) == ("It hunts at night [1].", "Passage [2]?")
    assert [citation.number for citation in answer.citations] == [1]
    assert any("reasoning" in notice for notice in answer.notices)
    assert answer.conversation.turns[-1].answer.content == answer.text


@pytest.mark.parametrize(
    ("finish", "words"), [("length", "cut off at 512 tokens"), ("content_filter", "cut off by the filter")]
)
def test_an_answer_that_was_cut_off_says_so(talker: Assistant, endpoint: StubEndpoint, finish: str, words: str) -> None:
    endpoint.finish = finish
    with talker.stream(QUESTION) as stream:
        assert stream.notices == ()
        "".join(stream)
    assert stream.answer.finish_reason == finish
    assert [words in notice for notice in stream.notices] == [True]
    assert stream.answer.to_dict()["notices"] == list(stream.notices)


def test_an_answer_that_goes_round_in_circles_is_stopped(talker: Assistant, endpoint: StubEndpoint) -> None:
    endpoint.pieces = ["The rule is the one that the second passage gives in full. "] * 50
    answer = talker.ask(QUESTION)
    assert answer.text.strip() == endpoint.pieces[0].strip()
    assert (answer.finish_reason, len(answer.notices)) == ("repetition", 1)


def test_nothing_is_cited_from_reasoning_and_it_is_not_remembered(talker: Assistant, endpoint: StubEndpoint) -> None:
    endpoint.reasoning, endpoint.pieces = ("Perhaps [1].",), ["So [2]."]
    answer = talker.ask(Query(QUESTION, k=2))
    assert (answer.text, answer.reasoning) == ("So [2].", "Perhaps [1].")
    assert [citation.number for citation in answer.citations] == [2]
    assert "Perhaps" not in str(answer.conversation.history)


@pytest.mark.parametrize("mode", ALL_MODES)
def test_the_json_of_an_answer_has_one_shape(assistant: Assistant, mode: Mode) -> None:
    answer = assistant.ask(Query(QUESTION, k=2), mode)
    value: dict[str, Any] = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
    own = {
        "mode", "answer", "finish_reason", "reasoning", "model", "prompt_tokens", "citations", "sentences",
        "tuning", "notices",
    }  # fmt: skip
    assert set(value) == set(answer.retrieval.to_dict()) | own
    assert set(answer.to_dict(explain=True)) - set(value) == {"passed_over"}
    assert (value["mode"], value["answer"], value["model"]) == (mode, answer.text, answer.model)
    assert value["prompt_tokens"] == answer.prompt.tokens
    if mode == "context":
        assert value["tuning"] is None
        return
    assert set(value["tuning"]) == {
        "predicted_gain", "stopped", "passages", "steps", "losses", "tokens", "seconds", "peak_bytes",
        "learning_rate", "out_of_time", "reason",
    }  # fmt: skip
    assert [set(passage) for passage in value["tuning"]["passages"]] == [{"id", "source", "line", "page"}] * 3


def test_the_json_of_a_citation_says_where_it_stands(talker: Assistant, endpoint: StubEndpoint) -> None:
    endpoint.pieces = ["So [1]."]
    answer = talker.ask(Query(QUESTION, k=1))
    (hit,) = answer.retrieval.hits
    assert answer.to_dict()["citations"] == [
        {"number": 1, "id": hit.passage.id, "source": hit.passage.source, "line": None, "page": None}
    ]


def test_the_sentences_of_an_answer_are_checked_at_its_end(talker: Assistant, endpoint: StubEndpoint) -> None:
    endpoint.pieces = ["Owls hunt at night and sleep by day. ", "Copper costs 9 dollars [1]."]
    with talker.stream(Query(QUESTION, k=6)) as stream:
        assert "".join(stream) == "".join(endpoint.pieces)
    answer = stream.answer
    assert answer.sentences is not None
    assert [(sentence.verdict, sentence.cited) for sentence in answer.sentences] == [
        ("uncited", ()),
        ("unsupported", (1,)),
    ]
    (added,) = answer.sentences[0].supporting
    assert answer.prompt.numbered[added].source == "owls.md"
    assert [number for number, _ in answer.added_citations] == [number for number in (added,) if number != 1]
    assert answer.to_dict()["sentences"] == [sentence.to_dict() for sentence in answer.sentences]


def test_the_check_can_be_switched_off(retriever: Retriever, told: RemoteModel, endpoint: StubEndpoint) -> None:
    endpoint.pieces = ["Owls hunt at night [1]."]
    answer = Assistant(retriever, told, AnswerSettings(check=False)).ask(Query(QUESTION, k=2))
    assert (answer.sentences, answer.to_dict()["sentences"], answer.added_citations) == (None, None, ())


def test_a_model_without_passages_in_its_prompt_is_not_checked(assistant: Assistant) -> None:
    assert assistant.ask(Query(QUESTION, k=2), "finetune").sentences is None
    assert assistant.ask(Query(QUESTION, k=2), "both").sentences is not None


def test_an_embedder_that_fails_leaves_the_answer_unchecked_and_a_notice_says_so(
    retriever: Retriever, told: RemoteModel, endpoint: StubEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.pieces = ["Owls hunt at night [1]."]

    def fails(texts: object) -> Embedding:
        raise RuntimeError("out of memory")

    with Assistant(retriever, told).stream(Query(QUESTION, k=2)) as stream:
        monkeypatch.setattr(retriever.embedder, "embed_passages", fails)
        text = "".join(stream)
    assert (stream.answer.text, stream.answer.sentences) == (text, None)
    assert stream.answer.notices == ("The sentences of the answer could not be checked: out of memory",)


def test_every_mode_has_one_name() -> None:
    assert get_args(Mode) == defaults.MODES


def test_an_assistant_is_opened_with_its_parts(
    store: CountingStore, embedder: HashingEmbedder, language_model: LocalModel
) -> None:
    options = SearchOptions(k=1, selector="nearest", candidate_limit=3, keep_copies=True)
    with open_assistant(store, embedder=embedder, model=language_model, options=options, settings=QUICK) as assistant:
        assert assistant.model is language_model
        assert (assistant.retriever.selector.name, assistant.retriever.candidate_limit) == ("nearest", 3)
        assert len(assistant.ask(QUESTION, "both").retrieval.hits) == 1
    assert open_assistant(store, embedder=embedder).model is None
    with pytest.raises(ConfigurationError, match="needs the name of a model"):
        open_assistant(store, embedder=embedder, base_url="http://127.0.0.1:1/v1")


def test_a_misspelt_mode_gets_a_suggestion(retriever: Retriever) -> None:
    with pytest.raises(ValueError, match="Did you mean 'finetune'"):
        Assistant(retriever, None).prepare("why?", "finetun")  # type: ignore[arg-type]
