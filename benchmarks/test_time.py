"""Learning at test time on texts of several domains: what to select, context or weights, LoRA or all weights.

    python -m benchmarks.small_model --data FOLDER --output MODEL
    python -m benchmarks.test_time MODEL --data FOLDER --output RESULTS --runs main,lora,third,tenth,others,both,reuse
    python -m benchmarks.test_time MODEL --data FOLDER --output RESULTS --choose rates,surrogates

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, median
from uuid import NAMESPACE_URL, uuid5

import torch

from benchmarks.datasets import data_folder
from benchmarks.domains import CHOOSING, PROMPTS, REPORTING, Domain, open_domains
from benchmarks.embedding import add_data_options, embed_cached
from sift_rag.defaults import EMBEDDER
from sift_rag.evaluation import Comparison, Outcome, Task
from sift_rag.evaluation.comparison import Measurement, compare
from sift_rag.evaluation.journal import Journal, fingerprint
from sift_rag.evaluation.metrics import Interval, bootstrap, rank_correlation, standard_error
from sift_rag.finetuning import FineTuning
from sift_rag.models.local import LocalModel, load_local_model
from sift_rag.opening import open_embedder
from sift_rag.selection import SelectorSettings
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import CollectionInfo, Passage, Span

FULL = FineTuning(method="full")
STEPS = 50


@dataclass(frozen=True)
class Run:
    """One comparison, made on every domain."""

    comparison: Comparison
    prompts: int = PROMPTS
    memory: float = 1.0
    """Share of the memory that is there to select from."""


def _fine_tuned(selector: str, tuning: FineTuning, training: SelectorSettings | None = None) -> Comparison:
    return Comparison(
        arms=("finetune",),
        selectors=(selector,),  # type: ignore[arg-type]
        ks=(10, STEPS),
        tuning=tuning,
        training=training or SelectorSettings.for_fine_tuning(),
    )


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
    "surrogates": {
        "nearest": Run(_fine_tuned("nearest", FULL), prompts=6),
        **{
            f"linear, noise {noise:g}": Run(
                _fine_tuned("sift", FULL, SelectorSettings(kernel="linear", noise_variance=noise)), prompts=6
            )
            for noise in (0.1, 0.3, 1.0, 3.0)
        },
        **{
            f"rbf 0.5, noise {noise:g}, centring {share:g}": Run(
                _fine_tuned("sift", FULL, SelectorSettings(noise_variance=noise, centring=share)), prompts=6
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
        print(table_of_choices({name: results.read(name, names) for name in chosen}))
    if runs:
        found = {name: results.read(name, names) for name in RUNS}
        print("\n\n".join(tables(found)))
        if options.json:
            options.json.write_text(json.dumps(figures(found), indent=1) + "\n", encoding="utf-8")


class Results:
    """Outcomes by run and domain, in a folder; a journal each."""

    def __init__(self, *, output: Path, cache: Path, model: str) -> None:
        self._folder = output
        self._cache = cache
        self._model_folder = model

    def measure(self, name: str, run: Run, domain: Domain, prompts: int) -> None:
        """What is not there yet."""
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
            journal.add(outcome)
            last = outcome.measurements[-1]
            share = 100 * last.bits_per_byte / outcome.base.bits_per_byte
            print(f"{name}  {outcome.task.id}  {share:.1f} %  {last.seconds:.1f} s", flush=True)

    def read(self, name: str, domains: Sequence[str]) -> dict[str, list[Outcome]]:
        """By domain, those that there are, in the order of the prompts."""
        found = {domain: Journal(self._path(name, domain)).read() for domain in domains}
        return {domain: outcomes for domain, outcomes in found.items() if outcomes}

    def _path(self, name: str, domain: str) -> Path:
        """Of the run's settings, too: other settings are other results."""
        run = RUNS[name] if name in RUNS else next(group[name] for group in CHOICES.values() if name in group)
        settings = fingerprint((), run.comparison, model="", collection=f"{domain} {run.memory:g}", passages=0)
        slug = "".join(character if character.isalnum() else "-" for character in name)
        return self._folder / f"{slug}.{domain}.{settings}.jsonl"


def memory_store(name: str, memory: Sequence[str], cache: Path) -> MemoryStore:
    """A domain's memory, each passage a document of its own."""
    vectors = embed_cached(memory, "passage", cache)
    store = MemoryStore(CollectionInfo(name, EMBEDDER, vectors.shape[1], SCHEMA_VERSION))
    passages = [
        Passage(id=str(uuid5(NAMESPACE_URL, f"{name} {i}")), text=text, source=f"{name}/{i}", span=Span(0, len(text)))
        for i, text in enumerate(memory)
    ]
    store.upsert(passages, vectors)
    return store


@cache
def _model(folder: str) -> LocalModel:
    return load_local_model(folder)


def tasks_of(domain: Domain) -> list[Task]:
    return [Task(id=f"{domain.name} {i}", group=domain.name, text=text) for i, text in enumerate(domain.prompts)]


Percents = Mapping[str, float]
"""By prompt: bits per byte in per cent of the base's."""

Found = Mapping[str, Mapping[str, Sequence[Outcome]]]
"""Outcomes by run and domain."""


def measurements(
    outcomes: Mapping[str, Sequence[Outcome]], arm: str, selector: str, k: int
) -> dict[str, tuple[Outcome, Measurement]]:
    """By prompt, over all domains."""
    return {
        outcome.task.id: (outcome, one)
        for each in outcomes.values()
        for outcome in each
        for one in outcome.measurements
        if (one.arm, one.selector, one.k) == (arm, selector, k)
    }


def percents(outcomes: Mapping[str, Sequence[Outcome]], arm: str, selector: str, k: int = STEPS) -> dict[str, float]:
    found = measurements(outcomes, arm, selector, k)
    return {name: 100 * one.bits_per_byte / outcome.base.bits_per_byte for name, (outcome, one) in found.items()}


def difference(ours: Percents, theirs: Percents) -> Interval:
    """In points, over the prompts that both were measured on."""
    return bootstrap([ours[name] - theirs[name] for name in ours if name in theirs])


def by_domain(found: Mapping[str, Sequence[Outcome]]) -> Iterator[tuple[str, dict[str, Sequence[Outcome]]]]:
    """Each domain, and all together."""
    for name, outcomes in found.items():
        yield name, {name: outcomes}
    yield "all", dict(found)


def tables(found: Found) -> Iterator[str]:
    """Those for which there are outcomes, in Markdown."""
    main = found["main"]
    if not main:
        return
    ks = RUNS["main"].comparison.ks
    best = {
        selector: min(ks, key=lambda k: fmean(percents(main, "context", selector, k).values()))
        for selector in ("nearest", "sift")
    }
    yield table(
        [
            "domain",
            "prompts",
            "base, bits/byte",
            f"context, nearest, k = {best['nearest']}",
            f"context, SIFT, k = {best['sift']}",
            f"fine-tuned, nearest, {STEPS} steps",
            f"fine-tuned, SIFT, {STEPS} steps",
            "SIFT - nearest, fine-tuned",
            "fine-tuned - context, best of each",
        ],
        [_main_row(name, outcomes, best) for name, outcomes in by_domain(main)],
    )
    yield table(
        ["all domains, k =", *map(str, ks)],
        [
            [f"{arm}, {selector}", *(_mean(percents(main, arm, selector, k)) for k in ks)]
            for arm in ("context", "finetune")
            for selector in ("nearest", "sift")
        ]
        + [
            [
                "SIFT - nearest, fine-tuned",
                *(
                    _signed(difference(percents(main, "finetune", "sift", k), percents(main, "finetune", "nearest", k)))
                    for k in ks
                ),
            ]
        ],
    )
    full = percents(main, "finetune", "sift")
    for title, names in (
        ("LoRA", ("lora", "lora but the output")),
        ("a gradient for two repeats", ("reuse",)),
        ("memory", ("tenth", "third")),
    ):
        there = [name for name in names if found[name]]
        if there:
            yield table(
                [title, "prompts", *there, "main", *(f"{name} - main" for name in there)],
                [
                    _against_main(domain, outcomes, [found[name] for name in there], full)
                    for domain, outcomes in by_domain(found[there[0]])
                ],
            )
    if found["others"]:
        yield table(*_others(found))
    yield table(
        [
            "domain",
            "rank correlation of predicted and realised gain",
            "seconds a prompt, context",
            "fine-tuned",
            "tokens a prompt, context",
            "fine-tuned",
        ],
        [_cost_row(name, outcomes, best["sift"]) for name, outcomes in by_domain(main)],
    )


def _main_row(name: str, outcomes: Mapping[str, Sequence[Outcome]], best: Mapping[str, int]) -> list[str]:
    base = fmean(outcome.base.bits_per_byte for each in outcomes.values() for outcome in each)
    context = {selector: percents(outcomes, "context", selector, k) for selector, k in best.items()}
    tuned = {selector: percents(outcomes, "finetune", selector) for selector in best}
    lowest = min(context.values(), key=lambda each: fmean(each.values()))
    return [
        name,
        str(len(tuned["sift"])),
        f"{base:.2f}",
        *(_mean(context[selector]) for selector in ("nearest", "sift")),
        *(_mean(tuned[selector]) for selector in ("nearest", "sift")),
        _signed(difference(tuned["sift"], tuned["nearest"])),
        _signed(difference(tuned["sift"], lowest)),
    ]


def _against_main(
    domain: str,
    outcomes: Mapping[str, Sequence[Outcome]],
    runs: Sequence[Mapping[str, Sequence[Outcome]]],
    full: Percents,
) -> list[str]:
    theirs = [percents({name: run[name] for name in outcomes if name in run}, "finetune", "sift") for run in runs]
    same = {name: full[name] for name in theirs[0] if name in full}
    return [
        domain,
        str(len(same)),
        *(_mean(each) for each in theirs),
        _mean(same),
        *(_signed(difference(each, same)) for each in theirs),
    ]


def _others(found: Found) -> tuple[list[str], list[list[str]]]:
    """Every selector on the prompts that the run ``others`` has."""
    prompts = {outcome.task.id for each in found["others"].values() for outcome in each}
    rows = []
    for selector in ("sift", "nearest", "repeated-nearest", "uncertainty", "mmr", "hull"):
        run = found["main" if selector in {"sift", "nearest"} else "others"]
        row = [selector]
        for arm in ("context", "finetune"):
            of = percents(run, arm, selector)
            row.append(_mean({name: of[name] for name in of if name in prompts}))
        rows.append(row)
    if found["both"]:
        rows.append(["sift, both", "", _mean(percents(found["both"], "both", "sift"))])
    return [f"selector, {len(prompts)} prompts, k = {STEPS}", "context", "fine-tuned"], rows


def _cost_row(name: str, outcomes: Mapping[str, Sequence[Outcome]], k: int) -> list[str]:
    tuned = list(measurements(outcomes, "finetune", "sift", STEPS).values())
    context = list(measurements(outcomes, "context", "sift", k).values())
    correlation = rank_correlation(
        [one.predicted or 0.0 for _, one in tuned],
        [1 - one.bits_per_byte / outcome.base.bits_per_byte for outcome, one in tuned],
    )
    return [
        name,
        "" if correlation is None else f"{correlation:.2f}",
        *(f"{median(one.seconds for _, one in each):.2f}" for each in (context, tuned)),
        *(f"{fmean(one.tokens for _, one in each):.0f}" for each in (context, tuned)),
    ]


def table_of_choices(found: Found) -> str:
    """One row a setting, one column a domain; the differences are from the first row."""
    first = next(iter(found))
    domains = list(found[first])
    rows = []
    for name, outcomes in found.items():
        selector = "nearest" if name == "nearest" else "sift"
        all_of = percents(outcomes, "finetune", selector)
        reference = percents(found[first], "finetune", "nearest" if first == "nearest" else "sift")
        rows.append(
            [
                name,
                *(_mean(percents({d: outcomes.get(d, ())}, "finetune", selector)) for d in domains),
                _mean(percents(outcomes, "finetune", selector, 10)),
                _mean(all_of),
                _signed(difference(all_of, reference)) if all_of else "",
            ]
        )
    return table(["setting", *domains, "all, 10 steps", f"all, {STEPS} steps", f"- {first}"], rows)


def figures(found: Found) -> dict[str, object]:
    """Everything measured, by run, domain and prompt."""
    return {
        run: {
            domain: [
                {
                    "prompt": outcome.task.id,
                    "base_bits_per_byte": outcome.base.bits_per_byte,
                    "measurements": [
                        {
                            name: getattr(one, name)
                            for name in ("arm", "selector", "k", "bits_per_byte", "seconds", "tokens", "predicted")
                        }
                        for one in outcome.measurements
                    ],
                }
                for outcome in outcomes
            ]
            for domain, outcomes in domains.items()
        }
        for run, domains in found.items()
        if domains
    }


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _mean(values: Percents) -> str:
    """With its standard error."""
    if not values:
        return ""
    return f"{fmean(values.values()):.1f} ± {standard_error(list(values.values())):.1f}"


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.1f} [{interval.low:+.1f}, {interval.high:+.1f}]"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of the model")
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
