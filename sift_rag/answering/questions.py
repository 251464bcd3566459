"""Split a question with several sides into simpler ones, with the help of the language model."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sift_rag.defaults import MAX_NEW_TOKENS
from sift_rag.errors import ModelUnsuitable
from sift_rag.protocols import LanguageModel, Message

INSTRUCTIONS = """\
Break the question into the {limit} or fewer simpler questions that must be answered to answer it. Each must be \
understandable by itself. Write one a line, each ending in a question mark, and nothing else. If the question is \
simple already, repeat it.

Example
Question: Is the 2023 model cheaper to run than the 2021 one, and is it safer?
What does the 2023 model cost to run?
What does the 2021 model cost to run?
How safe is the 2023 model?
How safe is the 2021 model?"""

ABOUT_A_PASSAGE = """\
Write one question that the passage answers, as somebody would ask who has not seen it: understandable by itself, and \
in other words than the passage where that is possible. Write the question on one line, ending in a question mark, and \
nothing else. If the passage answers no question, write: none"""

TOKENS_PER_PART = 64
LONGEST_PART = 300
"""Length in characters above which a line counts as prose, not as a question."""

_BOLD = re.compile(r"\*\*(.+?)\*\*")
_MARKER = re.compile(
    r"(?:[-*\u2022\u2013\u2014>#]+|\(?\d{1,2}[.):]|\(?[a-z][.)]|(?:sub-?)?(?:question|q)\s*\d*\s*[:.)])(?:\s+|\Z)",
    re.IGNORECASE,
)
_OPENING = "\"'*_`\u201c\u201e\u00ab"
_CLOSING = "\"'*_`\u201d\u201c\u00bb"
_QUESTION_MARKS = ("?", "\uff1f", "\u061f")  # Latin, full width, Arabic


def decompose(question: str, model: LanguageModel, *, limit: int = 4) -> tuple[str, ...]:
    """Return the question, then at most ``limit`` simpler ones that it consists of: targets of one selection.

    The original stays the first target, so that whatever the parts miss or distort is still searched for. It is alone
    if the model finds fewer than two parts. The model is stopped as soon as it has written enough.

    Raises:
        ModelUnavailable: the endpoint does not answer.
        ModelUnsuitable: the question does not fit the model's context.
        ValueError: a blank question, or ``limit`` below 1.
    """
    question = question.strip()
    if not question:
        raise ValueError("The question is blank: expected a question with text.")
    if limit < 1:
        raise ValueError(f"limit must be at least 1, but is {limit}.")
    messages = (
        Message("system", INSTRUCTIONS.format(limit=limit)),
        Message("user", f"Question: {question}"),
    )
    max_new_tokens = TOKENS_PER_PART * (limit + 1)
    tokens = model.count_tokens(messages)
    if tokens + max_new_tokens > model.context_length:
        raise ModelUnsuitable(
            f"Splitting this question takes {tokens + max_new_tokens} tokens, and {model.name!r} has room for "
            f"{model.context_length}: shorten the question, or ask its parts yourself."
        )
    parts: dict[str, str] = {}
    for line in _lines(model.stream(messages, max_new_tokens=max_new_tokens)):
        part = _part(line)
        if part is not None and _same(part) != _same(question):
            parts.setdefault(_same(part), part)
        if len(parts) == limit:
            break
    return (question, *parts.values()) if len(parts) > 1 else (question,)


def question_about(passage: str, model: LanguageModel, *, max_new_tokens: int = MAX_NEW_TOKENS) -> str | None:
    """Let the model write a question that the passage answers; return None if it writes none.

    Generation stops after the first question.

    Raises:
        ModelUnavailable: the endpoint does not answer.
        ModelUnsuitable: the passage does not fit the model's context.
    """
    messages = (Message("system", ABOUT_A_PASSAGE), Message("user", f"Passage:\n{passage}"))
    tokens = model.count_tokens(messages)
    if tokens + max_new_tokens > model.context_length:
        raise ModelUnsuitable(
            f"Writing a question about a passage takes {tokens + max_new_tokens} tokens, and {model.name!r} has room "
            f"for {model.context_length}."
        )
    for line in _lines(model.stream(messages, max_new_tokens=max_new_tokens)):
        if (question := _part(line)) is not None:
            return question
    return None


def _part(line: str) -> str | None:
    """Return the question in a line, without list marks and quotes; None if the line is not a question."""
    text = _BOLD.sub(r"\1", line).strip()
    while marker := _MARKER.match(text):
        text = text[marker.end() :]
    while len(text) > 1 and text[0] in _OPENING and text[-1] in _CLOSING:
        text = text[1:-1].strip()
    is_question = text.endswith(_QUESTION_MARKS) and any(map(str.isalnum, text)) and len(text) <= LONGEST_PART
    return text if is_question else None


def _same(question: str) -> str:
    """Return a key that is equal for questions that differ only in case, blanks and punctuation."""
    return " ".join(re.findall(r"\w+", question.casefold()))


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    """Yield lines as they become complete. Stopping early drops ``pieces``, which stops the model."""
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        yield from lines
    yield rest
