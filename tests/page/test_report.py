"""The page of a comparison, in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sift_rag.evaluation import summarise
from sift_rag.evaluation.outcomes import Example
from sift_rag.evaluation.report import render_report
from sift_rag.evaluation.tasks import Task
from tests.evaluation.conftest import measured, outcome
from tests.evaluation.test_report import facts
from tests.page.conftest import watched_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

LONG = "a_name_without_a_place_to_break_it" * 12


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (420, "dark")])
def test_long_names_do_not_widen_the_page(browser: Browser, tmp_path: Path, width: int, scheme: str) -> None:
    measurements = [measured(arm, "sift", k, 0.5) for arm in ("context", "finetune") for k in (1, 5)]
    examples = {name: (Example(LONG, LONG, 2),) for name in ("nearest", "sift")}
    outcomes = [
        outcome(f"{LONG}{number}", 1.0, *measurements, task=Task(f"{LONG}{number}", LONG, LONG), examples=examples)
        for number in range(2)
    ]
    report = tmp_path / "report.html"
    report.write_text(render_report(outcomes, summarise(outcomes), facts(LONG)), encoding="utf-8")
    with watched_page(browser, width=width, scheme=scheme) as page:
        page.goto(report.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
