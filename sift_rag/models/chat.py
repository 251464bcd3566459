"""Encode a chat as the tokens that a local model reads: by its own template, or as plain text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from sift_rag.errors import ModelUnsuitable, first_line
from sift_rag.protocols import REASONING_BEGINS, REASONING_ENDS, FinishReason, Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PLAIN_NAMES = {"user": "User:", "assistant": "Assistant:"}

PLAIN_STOPS = tuple(f"\n{name}" for name in _PLAIN_NAMES.values())
"""Texts that end an answer: a model without a template would go on to write both sides of the chat."""

_REASONING = (REASONING_BEGINS, REASONING_ENDS)
_MARKS_OF_TEMPLATES = re.compile(r"<\|[^|<>\s]+\|>|<</?\w+>>|</?\w+>|\[/?[A-Z_]{3,}\]")
"""Marks of turns in the source of a chat template that may be plain text to the tokenizer."""
_MOST_BREAKS = 4
"""Number of times that a text is broken: a blank may end one control token and leave another."""
_LAST_TOKENS = 8
"""Number of tokens at the end of a prompt that hold the mark of reasoning, if the template ends with it."""


def encode_chat(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, name: str) -> list[int]:
    """Return the token ids of the chat, up to where the assistant's answer begins.

    Control tokens within a message (a document that says ``<|im_end|>``) become text, so no message can end its own
    turn or open another.

    Args:
        tokenizer: the model's.
        messages: at least one.
        name: the model's, for errors.

    Raises:
        ModelUnsuitable: the template refuses this chat, or a message cannot be kept from controlling the model.
        ValueError: no messages.
    """
    if not messages:
        raise ValueError("There are no messages: give the model at least one.")
    control = _control_of(tokenizer)
    harmless = [Message(role, _harmless(tokenizer, content, control, name)) for role, content in messages]
    if not template_of(tokenizer):
        return list(tokenizer(plain_prompt(harmless))["input_ids"])
    try:
        try:
            return _apply_template(tokenizer, harmless)
        except Exception:  # noqa: BLE001 - a template is a program: it can raise anything
            return _apply_template(tokenizer, without_system_role(harmless))
    except Exception as error:
        raise ModelUnsuitable(
            f"The chat template of {name!r} refuses this chat ({first_line(error)}): choose another model."
        ) from error


def template_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the template for chats; of several by name, that for ordinary ones; "" if there is none."""
    template = tokenizer.chat_template
    return (template.get("default") if isinstance(template, dict) else template) or ""


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


def opens_reasoning(tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int]) -> bool:
    """Return True if the prompt ends by opening the model's reasoning, so that the answer begins within it."""
    end = cast("str", tokenizer.decode(list(prompt[-_LAST_TOKENS:]), skip_special_tokens=False))
    return end.rstrip().endswith(REASONING_BEGINS)


def after_opening(
    pieces: Generator[str, None, FinishReason | None],
) -> Generator[str, None, FinishReason | None]:
    """Yield the mark of reasoning that the prompt has opened, then the pieces; return what they do."""
    yield REASONING_BEGINS
    return (yield from pieces)


def _apply_template(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    encoded = tokenizer.apply_chat_template(
        [message._asdict() for message in messages],
        chat_template=template_of(tokenizer),
        add_generation_prompt=True,
        return_dict=True,
        enable_thinking=False,  # for templates that know it: thinking would use up the tokens of the answer
    )
    return list(cast("dict[str, list[int]]", encoded)["input_ids"])


class _Control(NamedTuple):
    """Texts that mean control to a chat's reader, and the tokens among them."""

    marks: Sequence[str]
    """Longest first."""
    ids: frozenset[int]


def _harmless(tokenizer: PreTrainedTokenizerBase, text: str, control: _Control, name: str) -> str:
    """Return the text with every mark of control broken by a blank.

    A tokenizer may normalise before it looks for its control tokens, and so read one where the text has none, but wide
    or capital letters, or a mark with invisible characters within: then the text is broken where it reads one. A
    tokenizer that cannot tell where it does gets the text normalised.

    Raises:
        ModelUnsuitable: the tokenizer reads a control token nevertheless.
    """
    broken = _broken(text, control.marks)
    for _ in range(_MOST_BREAKS):
        if not control.ids.intersection(cast("list[int]", tokenizer(broken, add_special_tokens=False)["input_ids"])):
            return broken
        broken = (
            _broken_where_read(tokenizer, broken, control)
            if tokenizer.is_fast
            else _broken(unicodedata.normalize("NFKC", broken), control.marks)
        )
    raise ModelUnsuitable(
        f"A passage or question holds text that the tokenizer of {name!r} reads as a control token: leave it out, or "
        "choose another model."
    )


def _broken(text: str, marks: Sequence[str]) -> str:
    for mark in marks:
        text = text.replace(mark, f"{mark[:1]} {mark[1:]}")
    return text


def _broken_where_read(tokenizer: PreTrainedTokenizerBase, text: str, control: _Control) -> str:
    """Return the text with a blank in the middle of what the tokenizer reads as a control token."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    places = cast("list[tuple[int, int]]", encoded["offset_mapping"])
    for token, (start, end) in reversed(list(zip(cast("list[int]", encoded["input_ids"]), places, strict=True))):
        if token in control.ids:
            stripped = text[start:end].strip()  # such a token may take in the blanks beside it
            middle = text.index(stripped, start) + len(stripped) // 2
            text = f"{text[:middle]} {text[middle:]}"
    return text


def _control_of(tokenizer: PreTrainedTokenizerBase) -> _Control:
    """Return what means control to the reader of a chat.

    They are the special tokens, whether named or only added, the added tokens that the chat template writes, and the
    marks that it writes as plain text, such as ``[INST]``. The token of unknown characters is a mark, and none of the
    ids: a text can hold such characters.
    """
    template = template_of(tokenizer)
    added = tokenizer.added_tokens_decoder
    tokens = {token.content: number for number, token in added.items() if token.special or token.content in template}
    tokens |= dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))
    marks = {mark for mark in (*tokens, *_MARKS_OF_TEMPLATES.findall(template), *_REASONING) if mark.strip()}
    ids = set(tokens.values())
    if tokenizer.unk_token_id not in {tokenizer.bos_token_id, tokenizer.eos_token_id}:
        ids.discard(cast("int", tokenizer.unk_token_id))
    return _Control(sorted(marks, key=lambda mark: (-len(mark), mark)), frozenset(ids))
