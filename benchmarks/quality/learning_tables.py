"""The tables of ``learning_at_test_time.py``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median

from benchmarks.common.learning import STEPS
from sift_rag.evaluation import Outcome
from sift_rag.evaluation.comparison import Measurement
from sift_rag.evaluation.metrics import Interval, bootstrap, rank_correlation, standard_error

Percents = Mapping[str, float]
"""Bits per byte in per cent of the base's, by prompt."""

Found = Mapping[str, Mapping[str, Sequence[Outcome]]]
"""Outcomes by run and domain."""


def measurements(
    outcomes: Mapping[str, Sequence[Outcome]], arm: str, selector: str, k: int
) -> dict[str, tuple[Outcome, Measurement]]:
    """Return the measurements by prompt, over all domains."""
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
    """Return the difference in points, over the prompts that both were measured on."""
    return bootstrap([ours[name] - theirs[name] for name in ours if name in theirs])


def by_domain(found: Mapping[str, Sequence[Outcome]]) -> Iterator[tuple[str, dict[str, Sequence[Outcome]]]]:
    """Yield each domain, and all together."""
    for name, outcomes in found.items():
        yield name, {name: outcomes}
    yield "all", dict(found)


def tables(found: Found, ks: Sequence[int]) -> Iterator[str]:
    """Yield the tables that have outcomes, in Markdown; ``ks`` are those of the main run."""
    main = found["main"]
    if not main:
        return
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


def tables_of_arms(found: Mapping[str, Sequence[Outcome]]) -> Iterator[str]:
    """Yield a table of every arm and number of passages with both selectors, and one of SIFT's arms by domain."""
    measured = [one for each in found.values() for outcome in each for one in outcome.measurements]
    arms, ks = dict.fromkeys(one.arm for one in measured), sorted({one.k for one in measured})
    rows = []
    for arm in arms:
        for k in ks:
            nearest, sift = (percents(found, arm, selector, k) for selector in ("nearest", "sift"))
            cells = [_mean(nearest), _mean(sift), _signed(difference(sift, nearest))] if sift else []
            rows.append([arm, str(k), str(len(sift)), *cells])
    yield table(["arm", "k", "texts", "nearest", "SIFT", "SIFT - nearest"], rows)
    for k in ks:
        yield table(
            [f"SIFT, k = {k}", "texts", *arms, "finetune - context", "both - the better", "rank correlation"],
            [_arms_row(name, outcomes, list(arms), k) for name, outcomes in by_domain(found)],
        )


def _arms_row(name: str, outcomes: Mapping[str, Sequence[Outcome]], arms: Sequence[str], k: int) -> list[str]:
    """Return a domain's row; the better of context and fine-tuning is the one with the lower mean."""
    sift = {arm: percents(outcomes, arm, "sift", k) for arm in arms}
    if not all(sift.values()):
        return [name, "0"]
    better = min((sift["context"], sift["finetune"]), key=lambda each: fmean(each.values()))
    correlation = _correlation(list(measurements(outcomes, "finetune", "sift", k).values()))
    return [
        name,
        str(len(sift["context"])),
        *(_mean(sift[arm]) for arm in arms),
        _signed(difference(sift["finetune"], sift["context"])),
        _signed(difference(sift["both"], better)),
        correlation,
    ]


def _correlation(measured: Sequence[tuple[Outcome, Measurement]]) -> str:
    """Return the rank correlation of predicted and realised gain; empty if there is none."""
    found = rank_correlation(
        [one.predicted or 0.0 for _, one in measured],
        [1 - one.bits_per_byte / outcome.base.bits_per_byte for outcome, one in measured],
    )
    return "" if found is None else f"{found:.2f}"


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
    """Tabulate every selector on the prompts of the run ``others``."""
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
    return [
        name,
        _correlation(tuned),
        *(f"{median(one.seconds for _, one in each):.2f}" for each in (context, tuned)),
        *(f"{fmean(one.tokens for _, one in each):.0f}" for each in (context, tuned)),
    ]


def table_of_choices(found: Found, ks: Sequence[int]) -> str:
    """Tabulate one row per setting, one column per domain; differences are from the first row.

    Domains and differences are told for the last of ``ks``, all domains together for the first and the last.
    """
    few, most = ks[0], ks[-1]
    first = next(iter(found))
    domains = list(found[first])
    rows = []
    for name, outcomes in found.items():
        selector = "nearest" if name == "nearest" else "sift"
        all_of = percents(outcomes, "finetune", selector, most)
        reference = percents(found[first], "finetune", "nearest" if first == "nearest" else "sift", most)
        rows.append(
            [
                name,
                *(_mean(percents({d: outcomes.get(d, ())}, "finetune", selector, most)) for d in domains),
                _mean(percents(outcomes, "finetune", selector, few)),
                _mean(all_of),
                _signed(difference(all_of, reference)) if all_of else "",
            ]
        )
    return table(["setting", *domains, f"all, {few} steps", f"all, {most} steps", f"- {first}"], rows)


def figures(found: Found) -> dict[str, object]:
    """Return everything measured, by run, domain and prompt."""
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
    """Format the mean with its standard error."""
    if not values:
        return ""
    return f"{fmean(values.values()):.1f} ± {standard_error(list(values.values())):.1f}"


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.1f} [{interval.low:+.1f}, {interval.high:+.1f}]"
