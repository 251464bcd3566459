"""Encode a chat as the tokens that a local model reads: by its own template, or as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from sift_rag.errors import ModelUnsuitable
from sift_rag.protocols import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PLAIN_NAMES = {"user": "User:", "assistant": "Assistant:"}

PLAIN_STOPS = tuple(f"\n{name}" for name in _PLAIN_NAMES.values())
"""Texts that end an answer: a model without a template would go on to write both sides of the chat."""


def encode_chat(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, name: str) -> list[int]:
    """Return the token ids of the chat, up to where the assistant's answer begins.

    Control tokens within a message (a document that says ``<|im_end|>``) become text, so no message can end its own
    turn.

    Args:
        tokenizer: the model's.
        messages: at least one.
        name: the model's, for errors.

    Raises:
        ModelUnsuitable: the template refuses this chat.
        ValueError: no messages.
    """
    if not messages:
        raise ValueError("There are no messages: give the model at least one.")
    harmless = [Message(role, _without_control_tokens(tokenizer, content)) for role, content in messages]
    if not tokenizer.chat_template:
        return list(tokenizer(plain_prompt(harmless))["input_ids"])
    from jinja2 import TemplateError

    try:
        try:
            return _apply_template(tokenizer, harmless)
        except TemplateError:
            return _apply_template(tokenizer, without_system_role(harmless))
    except TemplateError as error:
        raise ModelUnsuitable(
            f"The chat template of {name!r} refuses this chat ({error}): choose another model."
        ) from error


def plain_prompt(messages: Sequence[Message]) -> str:
    """Return the chat as text for models without a template: turns under speakers' names, instructions under none."""
    turns = [f"{_PLAIN_NAMES.get(role, '')} {content}".strip() for role, content in messages]
    return "\n\n".join([*turns, _PLAIN_NAMES["assistant"]])


def without_system_role(messages: Sequence[Message]) -> list[Message]:
    """Move instructions to the top of the first turn, for templates that know only user and assistant."""
    instructions = [message.content for message in messages if message.role == "system"]
    turns = [message for message in messages if message.role != "system"] or [Message("user", "")]
    first = "\n\n".join(part for part in (*instructions, turns[0].content) if part)
    return [Message(turns[0].role, first), *turns[1:]]


def _apply_template(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    encoded = tokenizer.apply_chat_template(
        [message._asdict() for message in messages],
        add_generation_prompt=True,
        return_dict=True,
        enable_thinking=False,  # for templates that know it: thinking would use up the tokens of the answer
    )
    return list(cast("dict[str, list[int]]", encoded)["input_ids"])


def _without_control_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    for token in sorted(tokenizer.all_special_tokens, key=len, reverse=True):
        text = text.replace(token, f"{token[:1]} {token[1:]}")
    return text
