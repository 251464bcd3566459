"""Messages that are refused, and those that the SDK accepts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("mcp", reason="needs the package mcp: pip install 'sift-rag[mcp]'")

from mcp_types import jsonrpc_message_adapter

from sift_rag_mcp.messages import refusal

WORDS = ("jsonrpc", "id", "method", "params", "result", "error")
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
messages = st.dictionaries(st.sampled_from(WORDS), anything | st.sampled_from(["2.0", "ping", {}, 1]))


def refused(message: Any) -> tuple[Any, int, str]:
    answer = refusal(json.dumps(message))
    assert answer is not None
    return answer.id, answer.error.code, answer.error.message


@pytest.mark.parametrize("content", ["", "{", "garbage", "[" * 100_000, b"\xff", '{"id": "\\ud800"}'])
def test_what_is_not_json_is_a_parse_error_without_an_id(content: str | bytes) -> None:
    answer = refusal(content)
    assert answer is not None
    assert (answer.id, answer.error.code) == (None, -32700)


@pytest.mark.parametrize(
    ("message", "message_id", "code", "words"),
    [
        ([], None, -32600, "one JSON object"),
        ("ping", None, -32600, "one JSON object"),
        ({"jsonrpc": "2.0"}, None, -32600, "'method' is missing"),
        ({"jsonrpc": "2.0", "id": 3}, 3, -32600, "'method' is missing"),
        ({"jsonrpc": "1.0", "id": "a", "method": "ping"}, "a", -32600, "'jsonrpc' must be '2.0'"),
        ({"jsonrpc": "2.0", "id": 44, "method": 12}, 44, -32600, "'method' must be a string"),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, None, -32600, "'id' must be"),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, None, -32600, "'id' must be"),
        ({"jsonrpc": "2.0", "id": 45, "method": "tools/call", "params": "x"}, 45, -32602, "'params' must be"),
        ({"jsonrpc": "2.0", "id": 1, "result": 5}, None, -32600, "neither"),
    ],
)
def test_what_breaks_the_protocol_is_told_in_plain_words_with_the_id_of_a_request(
    message: Any, message_id: Any, code: int, words: str
) -> None:
    answer = refused(message)
    assert answer[:2] == (message_id, code)
    assert words in answer[2]


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": "a", "method": "nobody/knows", "params": {}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "?"}},
    ],
)
def test_requests_notifications_and_replies_pass(message: Any) -> None:
    assert refusal(json.dumps(message)) is None


@given(messages | anything)
def test_whatever_passes_is_a_message_to_the_sdk(message: Any) -> None:
    content = json.dumps(message)
    if refusal(content) is None:
        jsonrpc_message_adapter.validate_json(content, by_name=False)
    else:
        assert refused(message)[1] in {-32600, -32602}
        assert "pydantic" not in refused(message)[2]
