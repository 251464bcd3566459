"""The page: complete, self-contained, and with every text escaped."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from sift_rag.errors import MissingExtra
from sift_rag.evaluation import Outcome, Task, summarise
from sift_rag.evaluation.outcomes import About, Arm, Example
from sift_rag.evaluation.plots import require_matplotlib
from sift_rag.evaluation.report import render_report
from tests.evaluation.conftest import answered, measured, outcome

ARMS: tuple[Arm, ...] = ("context", "window", "finetune", "both")
EVIL = "<script>alert('x & y')</script>"
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Elements in the order met, and whether each is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open in ([], ["html", "body"])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag == "html" and self._open[-1] == "body":
            self._open.pop()
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def two_groups(
    *groups: str, text: str = "twenty bytes of text", question: str | None = None, count: int = 6
) -> list[Outcome]:
    found = []
    for number in range(count):
        rows = [
            measured(arm, selector, k, 1.5 - 0.1 * number - 0.01 * k, seconds=k / 10, predicted=0.1 * number)
            for arm in ARMS
            for selector in ("nearest", "sift")
            for k in (1, 5)
        ]
        if question is not None:
            rows = [measured(row.arm, row.selector, row.k, 1.0, answered=answered("owl", f1=0.25)) for row in rows]
        found.append(
            outcome(
                f"{text}{number}",
                2.0,
                *rows,
                task=Task(f"{text}{number}", groups[number % len(groups)], text, question),
                examples={"sift": (Example(text, text, 3), Example("bees.md", "Bees dance.", 1))},
                answered=None if question is None else answered("bee", f1=0.125),
            )
        )
    return found


def facts(name: str = "stdlib-lm", **fields: Any) -> About:
    return About(
        **{
            "model": name,
            "context_length": 1024,
            "device": name,
            "embedder": name,
            "collection": name,
            "passages": 12,
            "fine_tuning": name,
            "window": None,
            "version": name,
            "date": name,
            "command": name,
            **fields,
        }
    )


def page(outcomes: Sequence[Outcome], *, name: str = "stdlib-lm", **fields: Any) -> str:
    about = facts(name, **fields)
    return render_report(outcomes, summarise(outcomes, window=about.window), about)


@pytest.mark.slow
def test_nothing_of_the_page_is_elsewhere() -> None:
    text = page(two_groups("law", "code"))
    for tag, attributes in Page(text).elements:
        assert tag not in {"script", "link", "img", "image", "iframe", "object", "embed", "base", "video", "audio"}
        assert not {"src", "srcset", "data", "action", "poster"} & set(attributes)
        assert all(not name.startswith("on") for name in attributes)
        for name, value in attributes.items():
            if name.endswith("href"):
                assert (value or "").startswith("#")
            assert "://" not in (value or "") or name.startswith("xmlns"), (tag, name)
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    assert not re.search(r"https?://(?!www\.w3\.org/(2000/svg|1999/xlink)\")", text)


def test_one_task_has_no_interval_and_no_error() -> None:
    one, two = (Page(page(two_groups("law", count=count))).words for count in (1, 2))
    assert not [word for word in one if re.fullmatch(r"[+-][\d.]+ to [+-][\d.]+", word)]
    assert [word for word in two if re.fullmatch(r"[+-][\d.]+ to [+-][\d.]+", word)]


@pytest.mark.slow
def test_every_section_is_there() -> None:
    outcomes = two_groups("law", "code", count=10)
    text = page(outcomes)
    titles = re.findall(r"<h[12]>(.*?)</h[12]>", text)
    assert titles == [
        "Context or fine-tuning",
        "Over k",
        "Each text",
        "By group",
        "Predicted against realised gain",
        "Gain against cost",
        "What was selected",
        "All figures",
    ]
    assert text.count("<svg") == 4 + 1 + 1 + 1 + 2  # an arm each over k; seconds and tokens
    assert (
        text.count('<tr class="best') == 1 + 4 * 3
    )  # the recommended one; an arm each, of all tasks and of two groups
    assert text.count("</td></tr>") == 5 + 10 + (16 + 1) * 3  # the best ones; the tasks; all, with the model alone
    words = "".join(Page(text).words)
    assert summarise(outcomes).verdict in words
    assert "stdlib-lm, reads 1,024 tokens" in words
    assert "finetune, sift" not in words
    assert "Fine-tuned (sift, k = 5): rank correlation 1.00." in words
    assert "bees.md" in words
    assert ", 3 times" in words
    assert "By group" not in page(two_groups("law"))


def test_the_verdict_and_the_table_come_first() -> None:
    outcomes = two_groups("law")
    text = page(outcomes, window=512)
    body = text.partition("<body>")[2]
    assert re.match(r"<h1>[^<]*</h1><p class=verdict>[^<]*</p><div class=scroll><table>", body)
    first = body[: body.index("</table>")]
    arms = re.findall(r'<tr class="(?:best )?arm (\w+)">', first)
    shares = [float(share) for share in re.findall(r"<td>([\d.]+)</td><td>[^<]*</td><td>[\d.]+</td></tr>", first)]
    assert sorted(arms) == sorted(["base", *ARMS])
    assert shares == sorted(shares)
    assert dict(zip(arms, shares, strict=True))["base"] == 100.0
    assert summarise(outcomes, window=512).verdict in body[: body.index("<table>")]


@pytest.mark.slow
def test_the_facts_say_how_the_figures_came_about() -> None:
    told = {
        "device": "cuda (H), bfloat16",
        "embedder": "an-embedder",
        "date": "2026-01-02",
        "version": "9.9",
        "command": "x compare",
        "fine_tuning": "all weights, rate 0.5",
    }
    listed = re.findall(r"<dd>(.*?)</dd>", page(two_groups("law"), window=512, **told))
    assert {*told.values(), "512 tokens, with the text"} < set(listed)
    assert "<dt>limited context</dt>" not in page(two_groups("law"))
    assert "<dt>fine-tuning</dt>" not in page(two_groups("law"), fine_tuning="")


@pytest.mark.slow
def test_below_ten_tasks_there_is_no_correlation_and_the_page_says_why() -> None:
    assert "no rank correlation for fewer than 10 tasks" in page(two_groups("law", count=9))
    assert "(sift, k = 5): rank correlation 1.00." in page(two_groups("law", count=10))


def test_nothing_may_be_loaded_or_run() -> None:
    text = page(two_groups(EVIL, text=EVIL))
    (policy,) = [
        attributes["content"]
        for tag, attributes in Page(text).elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert text.index("Content-Security-Policy") < text.index("<style")


@pytest.mark.slow
def test_an_arm_has_one_colour_in_every_plot_and_each_colour_is_one_of_the_style_sheet() -> None:
    text = page(two_groups("law", "code"))
    drawn = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    over_k = [set(re.findall(r"var\(--c\d\)", one)) for one in drawn[: len(ARMS)]]
    assert all(len(colours) == 1 for colours in over_k)
    assert len(set().union(*over_k)) == len(ARMS)
    for one in drawn:
        assert not re.findall(r"(?:fill|stroke): #[0-9a-f]+", one)  # nothing that a dark scheme would not change
    assert set(re.findall(r"var\((--[\w]+)\)", text)) <= set(re.findall(r"(--[\w]+):", text))
    light, dark = re.findall(r":root \{(.*?)\}", text, flags=re.DOTALL)
    assert set(re.findall(r"--\w+", light)) == set(re.findall(r"--\w+", dark))


def test_questions_have_columns_of_their_own() -> None:
    text = page(two_groups("law", question="Who hunts?"))
    assert "<th>exact</th><th>F1</th><th>in passages</th>" in text
    assert "F1 0.12, exact match 0%" in text
    assert "<p>Who hunts?</p>" in text
    assert "F1" not in page(two_groups("law"))


def test_no_text_name_or_group_is_taken_for_markup() -> None:
    text = page(two_groups(EVIL, "code & <b>", text=EVIL, question=EVIL), name=EVIL)
    assert "<script" not in text
    assert "<b>" not in text
    assert "alert('x & y')" not in text
    words = "".join(Page(text).words)
    assert words.count(EVIL) >= 3 * 4  # of the examples: name, group, question, text; and more
    assert f"Context or fine-tuning: {EVIL}" in words


@pytest.mark.slow
@pytest.mark.parametrize("group", ["_private", "$", "$\\frac$ b$", "数学", "a" * 200, "x\ny", "{x:g}"])
def test_any_name_of_a_group_can_be_shown(group: str) -> None:
    words = "".join(Page(page(two_groups(group, "_b"))).words)
    assert words.count(group[:20]) >= 3  # in the plots as in the table
    assert f"{group}: 3 tasks" in words


@pytest.mark.slow
def test_long_texts_are_cut_in_the_examples() -> None:
    long = "owl " * 5000
    named = {"sift": (Example("owls.md", long, 3),)}
    outcomes = [replace(one, task=replace(one.task, id="t", text=long), examples=named) for one in two_groups("law")]
    assert page(outcomes).count("owl") <= 2 * 3 * 120 + 3  # text, passage and source of three examples
    assert "owl …" in page(outcomes)


@pytest.mark.slow
def test_equal_outcomes_give_the_same_page() -> None:
    assert page(two_groups("law", "code")) == page(two_groups("law", "code"))


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec

    def without(name: str, *arguments: Any) -> Any:
        return None if name == "matplotlib" else there(name, *arguments)

    require_matplotlib()
    monkeypatch.setattr("sift_rag.evaluation.plots.find_spec", without)
    with pytest.raises(MissingExtra, match=r"pip install 'sift-rag\[report\]'"):
        page(two_groups("law"))
