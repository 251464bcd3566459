r"""Learning at test time on texts of several domains: selectors, context or weights, LoRA or all weights.

    python -m benchmarks.common.small_model --data FOLDER --output MODEL
    python -m benchmarks.quality.learning_at_test_time MODEL --data FOLDER --output RESULTS \\
        --runs main,lora,third,tenth,others,both,reuse
    python -m benchmarks.quality.learning_at_test_time MODEL --data FOLDER --output RESULTS --choose rates,surrogates

The prompt is a text, as in the paper's protocol (arXiv 2410.08020, section 4): passages are selected for it from the
domain's memory, and figures are the bits per byte that the model needs for the text, in per cent of what it needs as it
is. Intervals are 95 % bootstrap intervals over the prompts, paired where two methods are compared.

Settings are chosen (``--choose``) on the domains in ``domains.CHOOSING`` and figures told on those in
``domains.REPORTING``, which no setting has seen. Each outcome is on disk as soon as it is there: a run that was stopped
goes on, and ``--tables`` shows what is there without measuring more.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from benchmarks.common.datasets import data_folder
from benchmarks.common.domains import CHOOSING, PROMPTS, REPORTING, Domain, open_domains
from benchmarks.common.embedding import add_data_options
from benchmarks.common.learning import FULL, STEPS, memory_store, tasks_of
from benchmarks.quality.learning_tables import figures, table_of_choices, tables, tables_of_arms
from sift_rag.evaluation import Comparison, Outcome
from sift_rag.evaluation.comparison import compare
from sift_rag.evaluation.journal import Journal, fingerprint
from sift_rag.finetuning import FineTuning
from sift_rag.models.local import LocalModel, load_local_model
from sift_rag.opening import open_embedder
from sift_rag.selection import Features, GaussianProcess, Linear
from sift_rag.selection.sift import TRAINING_PROCESS


@dataclass(frozen=True)
class Run:
    """One comparison, made on every domain."""

    comparison: Comparison
    prompts: int = PROMPTS
    memory: float = 1.0
    """Share of the memory that is there to select from."""


def _fine_tuned(selector: str, tuning: FineTuning, training: GaussianProcess = TRAINING_PROCESS) -> Comparison:
    return Comparison(
        arms=("finetune",),
        selectors=(selector,),  # type: ignore[arg-type]
        ks=(10, STEPS),
        tuning=tuning,
        training=training,
    )


def _every_arm(*ks: int) -> Run:
    """Return a run for a model that reads several thousand tokens; 50 steps take longer than 5 and 20 together."""
    comparison = Comparison(
        arms=("context", "finetune", "both"), selectors=("nearest", "sift"), ks=ks, window=1024, tuning=FineTuning()
    )
    return Run(comparison, prompts=20)


ALL_BUT_THE_OUTPUT = FineTuning(target_modules="all-linear", learning_rate=5e-3)

RUNS: Mapping[str, Run] = {
    "main": Run(
        Comparison(
            arms=("context", "finetune"), selectors=("nearest", "sift"), ks=(1, 2, 5, 10, 20, STEPS), tuning=FULL
        )
    ),
    "lora": Run(_fine_tuned("sift", FineTuning()), prompts=25),
    "lora but the output": Run(_fine_tuned("sift", ALL_BUT_THE_OUTPUT), prompts=25),
    "third": Run(_fine_tuned("sift", FULL), prompts=25, memory=0.3),
    "tenth": Run(_fine_tuned("sift", FULL), prompts=25, memory=0.1),
    "others": Run(
        Comparison(
            arms=("context", "finetune"),
            selectors=("repeated-nearest", "uncertainty", "mmr", "hull"),
            ks=(STEPS,),
            tuning=FULL,
        ),
        prompts=10,
    ),
    "both": Run(Comparison(arms=("both",), selectors=("sift",), ks=(STEPS,), tuning=FULL), prompts=10),
    "reuse": Run(_fine_tuned("sift", FineTuning(method="full", refresh_every=2)), prompts=25),
    "real model": _every_arm(5, 20),
    "real model 50": _every_arm(50),
}

CHOICES: Mapping[str, Mapping[str, Run]] = {
    "rates": {
        name: Run(_fine_tuned("sift", tuning), prompts=6)
        for name, tuning in (
            *((f"full, {rate:g}", FineTuning(method="full", learning_rate=rate)) for rate in (5e-4, 1e-3, 2e-3)),
            *(
                (f"LoRA but the output, {rate:g}", FineTuning(target_modules="all-linear", learning_rate=rate))
                for rate in (2e-3, 5e-3, 1e-2)
            ),
            *(
                (
                    f"the same, rank 64, alpha {alpha}, {rate:g}",
                    FineTuning(target_modules="all-linear", rank=64, alpha=alpha, learning_rate=rate),
                )
                for alpha, rate in ((128, 1e-3), (128, 2e-3), (64, 3e-3))
            ),
            *((f"LoRA with the output, {rate:g}", FineTuning(learning_rate=rate)) for rate in (3e-3, 5e-3)),
        )
    },
    "steps": {
        name: Run(Comparison(arms=("finetune",), selectors=("sift",), ks=(5, 20), tuning=tuning), prompts=6)
        for name, tuning in (
            ("the rate by the number of steps", FineTuning()),
            *((f"LoRA, {rate:g}", FineTuning(learning_rate=rate)) for rate in (5e-4, 1e-3, 2e-3)),
            ("LoRA of rank 64, 1e-3", FineTuning(rank=64, alpha=128, learning_rate=1e-3)),
        )
    },
    "surrogates": {
        "nearest": Run(_fine_tuned("nearest", FULL), prompts=6),
        **{
            f"linear, noise {noise:g}": Run(_fine_tuned("sift", FULL, GaussianProcess(Linear(), noise)), prompts=6)
            for noise in (0.1, 0.3, 1.0, 3.0)
        },
        **{
            f"rbf 0.5, noise {noise:g}, centring {share:g}": Run(
                _fine_tuned("sift", FULL, GaussianProcess(noise_variance=noise, features=Features(share))), prompts=6
            )
            for noise, share in ((0.1, 0.0), (1.0, 0.0), (1.0, 0.5))
        },
    },
}


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    runs = {name: RUNS[name] for name in options.runs.split(",") if name}
    chosen = {name: run for group in options.choose.split(",") if group for name, run in CHOICES[group].items()}
    names = options.domains.split(",") if options.domains else CHOOSING if chosen else REPORTING
    results = Results(output=options.output, cache=options.cache, model=options.model)
    if not options.tables:
        domains = open_domains(data_folder(options.data), names=names)
        for name, run in {**runs, **chosen}.items():
            for domain in domains.values():
                results.measure(name, run, domain, options.prompts or run.prompts)
    if chosen:
        print(
            table_of_choices(
                {name: results.read(name, names) for name in chosen}, ks=next(iter(chosen.values())).comparison.ks
            )
        )
    if runs:
        found = {name: results.read(name, names) for name in RUNS}
        print("\n\n".join(tables(found, RUNS["main"].comparison.ks)))
        arms = {
            domain: [*found["real model"].get(domain, ()), *found["real model 50"].get(domain, ())]
            for domain in found["real model"]
        }
        print("\n\n".join(tables_of_arms(arms)) if arms else "")
        if options.json:
            options.json.write_text(json.dumps(figures(found), indent=1) + "\n", encoding="utf-8")


class Results:
    """Outcomes by run and domain, in a folder; a journal each."""

    def __init__(self, *, output: Path, cache: Path, model: str) -> None:
        self._folder = output
        self._cache = cache
        self._model_folder = model

    def measure(self, name: str, run: Run, domain: Domain, prompts: int) -> None:
        """Measure the prompts that have no outcome yet."""
        journal = Journal(self._path(name, domain.name))
        outcomes = journal.read()
        journal.start(outcomes)
        tasks = tasks_of(domain)[:prompts]
        done = {outcome.task.id for outcome in outcomes}
        memory = domain.memory[: round(run.memory * len(domain.memory))]
        left = [task for task in tasks if task.id not in done]
        if not left:
            return
        store = memory_store(domain.name, memory, self._cache)
        for outcome in compare(
            left, model=_model(self._model_folder), embedder=open_embedder(), store=store, comparison=run.comparison
        ):
            journal.add(replace(outcome, task=replace(outcome.task, text=""), examples={}))  # figures alone
            last = outcome.measurements[-1]
            share = 100 * last.bits_per_byte / outcome.base.bits_per_byte
            print(f"{name}  {outcome.task.id}  {share:.1f} %  {last.seconds:.1f} s", flush=True)

    def read(self, name: str, domains: Sequence[str]) -> dict[str, list[Outcome]]:
        """Read the outcomes that exist, by domain, in the order of the prompts."""
        found = {domain: Journal(self._path(name, domain)).read() for domain in domains}
        return {domain: outcomes for domain, outcomes in found.items() if outcomes}

    def _path(self, name: str, domain: str) -> Path:
        """Name the file after the run's settings too: other settings are other results."""
        run = RUNS[name] if name in RUNS else next(group[name] for group in CHOICES.values() if name in group)
        settings = fingerprint((), run.comparison, model="", collection=f"{domain} {run.memory:g}", passages=0)
        slug = "".join(character if character.isalnum() else "-" for character in name)
        return self._folder / f"{slug}.{domain}.{settings}.jsonl"


@cache
def _model(folder: str) -> LocalModel:
    return load_local_model(folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the model: a folder, a GGUF file or a name")
    parser.add_argument(
        "--output", type=Path, required=True, help="where the outcomes are kept; a folder for each model"
    )
    parser.add_argument("--runs", default="", metavar="A,B", help=f"of {', '.join(RUNS)}")
    parser.add_argument("--choose", default="", metavar="A,B", help=f"of {', '.join(CHOICES)}")
    parser.add_argument("--domains", default="", metavar="A,B")
    parser.add_argument("--prompts", type=int, help="of each domain, in place of the runs' own numbers")
    parser.add_argument("--tables", action="store_true", help="measure nothing")
    parser.add_argument("--threads", type=int, default=1)
    add_data_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
