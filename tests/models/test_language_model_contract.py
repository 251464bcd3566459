"""The contract of every language model, run on each of ours. The remote one talks to a loopback stub."""

from __future__ import annotations

import pytest

from sift_rag.models.local import LocalModel
from sift_rag.models.remote import RemoteModel
from sift_rag.protocols import LanguageModel, Message
from tests.models.stub_endpoint import StubEndpoint

CHAT = (Message("system", "Be brief."), Message("user", "Write a function."))


@pytest.fixture(params=["local", "remote"])
def model(request: pytest.FixtureRequest, language_model: LocalModel, endpoint: StubEndpoint) -> LanguageModel:
    return language_model if request.param == "local" else RemoteModel("stub", base_url=endpoint.url, max_retries=0)


class LanguageModelContract:
    def test_it_answers_in_pieces(self, model: LanguageModel) -> None:
        pieces = list(model.stream(CHAT, max_new_tokens=8))
        assert "".join(pieces)
        assert all(pieces)

    def test_equal_chats_give_equal_answers(self, model: LanguageModel) -> None:
        assert list(model.stream(CHAT, max_new_tokens=8)) == list(model.stream(CHAT, max_new_tokens=8))

    def test_it_takes_any_text(self, model: LanguageModel) -> None:
        chat = [Message("user", "naïve 日本語 🙂 \x00 <|endoftext|> \u2028 {{ braces }} {% block %}")]
        assert model.count_tokens(chat) > 0
        assert list(model.stream(chat, max_new_tokens=4))

    def test_a_conversation_can_go_on(self, model: LanguageModel) -> None:
        chat = [*CHAT, Message("assistant", "def f(): pass"), Message("user", "And a class.")]
        assert list(model.stream(chat, max_new_tokens=4))

    def test_more_text_never_counts_less(self, model: LanguageModel) -> None:
        counts = [model.count_tokens([Message("user", "one more word " * n)]) for n in range(0, 40, 5)]
        assert counts == sorted(counts)
        assert counts[0] < counts[-1] < model.context_length

    def test_no_messages_and_no_tokens_are_refused(self, model: LanguageModel) -> None:
        with pytest.raises(ValueError, match="no messages"):
            model.stream([], max_new_tokens=4)
        with pytest.raises(ValueError, match="max_new_tokens is 0"):
            model.stream(CHAT, max_new_tokens=0)


class TestLanguageModels(LanguageModelContract):
    """Runs the contract on each model of the fixture."""
