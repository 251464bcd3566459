"""The table of a comparison at a terminal."""

from __future__ import annotations

import pytest

from sift_rag.evaluation import Task, summarise
from sift_rag_cli import comparisons, output
from tests.evaluation.conftest import measured, outcome

LONG = "optimisation of kernels"


@pytest.mark.parametrize("groups", [("talk", LONG), (LONG, LONG)])
def test_each_group_has_a_table_below_its_name_and_no_cell_is_broken_at_80_columns(
    groups: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (comparisons, output):
        monkeypatch.setattr(module, "is_terminal", lambda _: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    outcomes = [
        outcome(
            f"t{number}",
            1.0,
            measured("finetune", "repeated-nearest", 20, 0.5 + number / 4, seconds=4321.5, tokens=12345),
            task=Task(f"t{number}", group, "Some text."),
        )
        for number, group in enumerate(groups)
    ]
    comparisons.write_rows(summarise(outcomes))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    distinct = list(dict.fromkeys(("all", *groups)))
    assert [line for line in lines if line in distinct] == (distinct if len(distinct) > 2 else [])
    tables = len(distinct) if len(distinct) > 2 else 1
    assert sum(line.startswith("model alone ") for line in lines) == tables
    assert sum(line.startswith("finetune     repeated-nearest  20 ") for line in lines) == tables
    assert len([line for line in lines if line and line not in distinct]) == 3 * tables
