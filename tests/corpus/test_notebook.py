"""Notebooks give their cells, each with the text that it has put out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.corpus.notebook import read_notebook
from sift_rag.errors import UnreadableDocument


def _text(*cells: dict[str, Any], **metadata: Any) -> str:
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    return "\n\n".join(section.text for section in read_notebook(json.dumps(notebook).encode()).sections)


def _code(source: str, *outputs: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "code", "source": source.splitlines(keepends=True), "outputs": outputs}


def _stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def test_outputs_of_text_belong_to_their_cell() -> None:
    table = {"output_type": "execute_result", "data": {"text/plain": ["   a\n", "0  1"], "text/html": "<table>"}}
    failure = {"output_type": "error", "ename": "KeyError", "evalue": "\x1b[31m'x'\x1b[0m", "traceback": ["\x1b[0;31m"]}

    assert _text(
        {"cell_type": "markdown", "source": "# Study"},
        _code("show(\n  a)", _stream("loss 0.25\n"), table),
        _code("d['x']", failure),
        kernelspec={"language": "julia"},
    ).split("\n\n") == [
        "# Study",
        "```julia\nshow(\n  a)\n```",
        "```text\nloss 0.25\n   a\n0  1\n```",
        "```julia\nd['x']\n```",
        "```text\nKeyError: 'x'\n```",
    ]


def test_an_image_is_in_no_text() -> None:
    plot = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure size 1x1>"}}
    cell = {
        "cell_type": "markdown",
        "source": "Before ![a plot](data:image/png;base64,iVBORw0KGgo=) after ![](attachment:b.png)"
        '<img src="data:image/png;base64,iVBORw0KGgo=">.',
        "attachments": {"b.png": {"image/png": "iVBORw0KGgo="}},
    }

    assert _text(cell, _code("plot()", plot)) == "Before a plot after .\n\n```python\nplot()\n```"


def test_a_long_output_is_cut_to_some_lines() -> None:
    text = _text(_code("run()", _stream("\n".join(f"step {number}" for number in range(1, 101)))))

    assert "step 20\n... (80 more lines)\n```" in text
    assert "step 21" not in text
    assert len(_text(_code("run()", _stream("x" * 100_000)))) < 1000


def test_of_a_progress_bar_its_last_state_is_read() -> None:
    assert "\n100%\n" in _text(_code("run()", _stream("\r 10%\r 50%\r100%\n")))


def test_a_cell_that_holds_a_fence_has_a_longer_one_and_a_magic_its_own_language() -> None:
    assert _text(_code("'''\n```\n'''")) == "````python\n'''\n```\n'''\n````"
    assert _text(_code("%%bash\nls")) == "```bash\n%%bash\nls\n```"


def test_a_notebook_of_the_third_format_is_read() -> None:
    old = {
        "nbformat": 3,
        "worksheets": [
            {
                "cells": [
                    {"cell_type": "heading", "level": 2, "source": "Old"},
                    {
                        "cell_type": "code",
                        "input": "1/0",
                        "outputs": [{"output_type": "pyerr", "ename": "E", "evalue": "v"}],
                    },
                ]
            }
        ],
    }
    [section] = read_notebook(json.dumps(old).encode()).sections

    assert section.text == "## Old\n\n```python\n1/0\n```\n\n```text\nE: v\n```"


anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["cells", "cell_type", "source", "outputs", "data", "text/plain", "text", "metadata", "level"]
            ),
            inner | st.sampled_from(["markdown", "code", "heading", "raw", "error"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.slow
@given(anything)
def test_any_json_is_read_or_unreadable(notebook: object) -> None:
    try:
        found = read_notebook(json.dumps(notebook).encode())
    except UnreadableDocument:
        return
    assert all(section.text.strip() for section in found.sections)


@pytest.mark.parametrize("data", [b"{", b"[]", b"{}", b"[" * 100_000, b'{"cells": 3}', b"\xff"])
def test_what_is_no_notebook_fails(data: bytes) -> None:
    with pytest.raises(UnreadableDocument, match="conversion failed"):
        read_notebook(data)
