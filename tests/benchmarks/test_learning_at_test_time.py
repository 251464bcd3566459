from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.common.domains import Domain
from benchmarks.quality.learning_at_test_time import RUNS, Results
from benchmarks.quality.learning_tables import difference, percents, table_of_choices, tables
from sift_rag.evaluation import Outcome, Task
from sift_rag.evaluation.comparison import Measurement

KS = RUNS["main"].comparison.ks


def outcome(domain: str, number: int, base: float, **bits: float) -> Outcome:
    """Bits per byte for ``arm_selector``, the same for every k."""
    measurements = [
        Measurement(*name.split("_"), k, value, 1.0, 10, 0, predicted=0.1 * number)  # type: ignore[arg-type]
        for name, value in bits.items()
        for k in KS
    ]
    alone = Measurement("base", "", 0, base, 1.0, 0, 0)
    return Outcome(Task(f"{domain} {number}", domain, "a text"), alone, tuple(measurements), 0, {})


def main_outcomes() -> dict[str, list[Outcome]]:
    """Fine-tuning halves the bits in one domain and takes a quarter off in the other; SIFT takes more."""
    return {
        "owls": [
            outcome("owls", n, 2.0, context_nearest=1.9, context_sift=1.8, finetune_nearest=1.2, finetune_sift=1.0)
            for n in range(4)
        ],
        "bees": [
            outcome("bees", n, 4.0, context_nearest=4.0, context_sift=4.0, finetune_nearest=3.4, finetune_sift=3.0)
            for n in range(4)
        ],
    }


def found(**runs: dict[str, list[Outcome]]) -> dict[str, dict[str, list[Outcome]]]:
    return {name: runs.get(name, {}) for name in RUNS}


def rows(table: str) -> dict[str, list[str]]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {line[0]: line[1:] for line in lines}


def test_percents_are_of_each_prompts_own_base() -> None:
    of = percents(main_outcomes(), "finetune", "sift")
    assert of["owls 0"] == pytest.approx(50)
    assert of["bees 3"] == pytest.approx(75)


def test_a_difference_is_taken_over_the_prompts_that_both_have() -> None:
    assert difference({"a": 50.0, "b": 60.0}, {"b": 65.0, "c": 0.0}).mean == pytest.approx(-5)


def test_the_first_table_sets_sift_against_nearest_and_fine_tuning_against_the_better_context() -> None:
    made = rows(next(iter(tables(found(main=main_outcomes()), KS))))
    assert made["owls"][:2] == ["4", "2.00"]
    assert made["owls"][4:] == ["60.0 ± 0.0", "50.0 ± 0.0", "-10.0 [-10.0, -10.0]", "-40.0 [-40.0, -40.0]"]
    assert made["bees"][-1] == "-25.0 [-25.0, -25.0]"
    assert made["all"][0] == "8"
    assert made["all"][-2].startswith("-10.0")


def test_a_side_run_is_compared_on_its_own_prompts_only() -> None:
    lora = {"owls": [outcome("owls", n, 2.0, finetune_sift=1.1) for n in range(2)]}
    made = [rows(table) for table in tables(found(main=main_outcomes(), lora=lora), KS) if table.startswith("| LoRA")]
    assert made[0]["owls"] == ["2", "55.0 ± 0.0", "50.0 ± 0.0", "+5.0 [+5.0, +5.0]"]


def test_settings_are_compared_with_the_first() -> None:
    def run(bits: float) -> dict[str, list[Outcome]]:
        return {"pptx": [outcome("pptx", n, 2.0, finetune_sift=bits) for n in range(3)]}

    made = rows(table_of_choices({"first": run(1.0), "second": run(1.2)}, KS))
    assert made["second"][-1] == "+10.0 [+10.0, +10.0]"


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    texts = [f"The tower number {n} stands in a town by a river and is of old stone.\n" for n in range(9)]
    domain = Domain("towers", tuple(texts[:6]), (), tuple(texts[6:]))
    folder = Path(__file__).parents[1] / "data" / "stdlib-lm"
    results = Results(output=tmp_path / "results", cache=tmp_path / "cache", model=str(folder))
    results.measure("lora", RUNS["lora"], domain, 1)
    before = results.read("lora", ["towers"])["towers"]
    results.measure("lora", RUNS["lora"], domain, 2)
    after = results.read("lora", ["towers"])["towers"]
    assert after[:1] == before
    assert [one.task.id for one in after] == ["towers 0", "towers 1"]
    assert percents({"towers": after}, "finetune", "sift")["towers 0"] < 100
