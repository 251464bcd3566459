"""The plots of a report, as inline SVG. The only module that imports matplotlib."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib.util import find_spec
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any, Literal, ParamSpec

from sift_rag.errors import MissingExtra
from sift_rag.evaluation.calibration import Combination
from sift_rag.evaluation.found import FoundRow
from sift_rag.evaluation.outcomes import Outcome
from sift_rag.evaluation.rows import ALL, Row
from sift_rag.evaluation.trials import Uncertainty, Values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARM_NAMES = {"context": "in the context", "window": "limited context", "finetune": "fine-tuned", "both": "both"}
# In a page, a colour is a variable of its style sheet, which has a light and a dark value for each. These are the light
# ones, nearly those of Okabe and Ito: told apart by everyone.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#c98500", "#56b4e9")
ARM_COLOURS = dict(zip(("context", "finetune", "both", "window"), COLOURS, strict=False))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
LINES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (1, 1)))
_INK, _LINE, _SOFT = "#1b1f24", "#d9dee3", "#5b6570"
_VARIABLES = {
    _INK: "var(--ink)",
    _LINE: "var(--line)",
    _SOFT: "var(--soft)",
    **{colour: f"var(--c{number})" for number, colour in enumerate(COLOURS, start=1)},
}
_WIDE = 400
"""Width of a figure, in points, from which its text would be too small on a phone: there it scrolls instead."""
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sift-rag",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.parse_math": False,  # a group may be called "$"
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _LINE,
    "text.color": _INK,
    "axes.prop_cycle": f"cycler('color', ['{_INK}'])",
    "axes.labelcolor": _INK,
    "axes.edgecolor": _SOFT,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.labelcolor": _INK,
    "axes.axisbelow": True,
}


def require_matplotlib() -> None:
    """Raise ``MissingExtra`` if matplotlib is not installed: before the work, not after it."""
    if find_spec("matplotlib") is None:
        raise MissingExtra("matplotlib", "report")


P = ParamSpec("P")


def _styled(draw: Callable[P, Figure]) -> Callable[P, str]:
    """Decorate a function to return its figure as SVG in the report's style."""

    @wraps(draw)
    def drawn(*arguments: P.args, **keywords: P.kwargs) -> str:
        require_matplotlib()
        from matplotlib import rc_context

        file = io.StringIO()
        with rc_context(_STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # text stays text, and browsers have fonts
            draw(*arguments, **keywords).savefig(file, format="svg", transparent=True, metadata=_NO_METADATA)
        return _for_page(file.getvalue())

    return drawn


def _for_page(svg: str) -> str:
    """Return the element for a page, with the colours of its style sheet."""
    svg = svg[svg.index("<svg") :]
    width = re.search(r'width="([\d.]+)pt"', svg)
    kind = ' class="wide"' if width is not None and float(width[1]) > _WIDE else ""
    recoloured = re.sub(r"<[^>]+>", lambda tag: re.sub(r"#[0-9a-f]{6}\b", _variable, tag[0]), svg)
    return recoloured.replace("<svg", f'<svg role="img"{kind}', 1)


def _variable(colour: re.Match[str]) -> str:
    return _VARIABLES.get(colour[0], colour[0])


@_styled
def over_k(rows: Sequence[Row], arm: str) -> Figure:
    """Plot per cent of the base's bits over k, one line per selector, with standard errors, all arms on one scale."""
    everything = [row for row in rows if row.group == ALL]
    figure = _figure()
    axes = figure.subplots()
    for number, selector in enumerate(_selectors(everything)):
        line = sorted((row for row in everything if (row.arm, row.selector) == (arm, selector)), key=lambda row: row.k)
        if line:
            axes.errorbar(
                [row.k for row in line],
                [row.percent_of_base for row in line],
                [row.standard_error for row in line],
                label=selector,
                color=ARM_COLOURS[arm],
                capsize=2,
                **_of_selector(number),
            )
    ks = sorted({row.k for row in everything})
    axes.set_xscale("log")
    axes.set_xticks(ks, [str(k) for k in ks], minor=False)
    axes.minorticks_off()
    axes.set_ylim(
        min(row.percent_of_base - row.standard_error for row in everything) - 1.5,
        max(100.0, *(row.percent_of_base + row.standard_error for row in everything)) + 1.5,
    )
    axes.axhline(100, color=_SOFT, linewidth=1, linestyle=":")
    axes.set_title(ARM_NAMES[arm], loc="left", fontsize=12)
    axes.set_xlabel("k")
    axes.set_ylabel("% of the base's bits per byte")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


@_styled
def by_group(best: Sequence[tuple[str, Sequence[Row]]]) -> Figure:
    """Plot the best row of each arm, group by group."""
    arms = [arm for arm in ARM_NAMES if any(row.arm == arm for _, rows in best for row in rows)]
    figure = _figure(height=1.2 + 0.18 * (len(arms) + 1) * len(best))
    axes = figure.subplots()
    height = 0.8 / max(1, len(arms))
    for place, (_, rows) in enumerate(best):
        for number, arm in enumerate(arms):
            for row in (row for row in rows if row.arm == arm):
                axes.barh(
                    place + (number - (len(arms) - 1) / 2) * height,
                    row.percent_of_base,
                    0.9 * height,
                    xerr=row.standard_error,
                    color=ARM_COLOURS[arm],
                    label=ARM_NAMES[arm] if place == 0 else None,
                    ecolor=_INK,
                    capsize=2,
                )
    axes.set_yticks(range(len(best)), [_short(group, 18) for group, _ in best])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.axvline(100, color=_SOFT, linewidth=1, linestyle=":")
    axes.set_xlabel("% of the base's bits per byte")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


@_styled
def per_task(percents: Sequence[float], arm: str) -> Figure:
    """Plot each task's per cent of the base's bits, the most helped first."""
    from matplotlib.ticker import MaxNLocator

    figure = _figure()
    axes = figure.subplots()
    places, colour = range(1, len(percents) + 1), ARM_COLOURS[arm]
    axes.vlines(places, 100, sorted(percents), color=colour, linewidth=1, alpha=0.6)
    axes.plot(places, sorted(percents), color=colour, marker="o", markersize=4, linestyle="none")
    axes.axhline(100, color=_SOFT, linewidth=1, linestyle=":")
    axes.set_xlim(0, len(percents) + 1)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("tasks, most helped first")
    axes.set_ylabel("% of the base's bits per byte")
    return figure


@_styled
def predicted_and_realised(outcomes: Sequence[Outcome], arm: str, selector: str, k: int) -> Figure:
    """Plot the share of variance explained against the share of bits saved, one point per task."""
    figure = _figure()
    axes = figure.subplots()
    for number, group in enumerate(dict.fromkeys(outcome.task.group for outcome in outcomes)):
        points = [
            (100 * (one.predicted or 0.0), 100 * (1 - one.bits_per_byte / outcome.base.bits_per_byte))
            for outcome in outcomes
            if outcome.task.group == group
            for one in outcome.measurements
            if (one.arm, one.selector, one.k) == (arm, selector, k)
        ]
        axes.scatter(
            [x for x, _ in points],
            [y for _, y in points],
            s=26,
            color=ARM_COLOURS[arm],
            marker=MARKERS[number % len(MARKERS)],
            label=_short(group, 20),
            alpha=0.7,
        )
    axes.axhline(0, color=_SOFT, linewidth=1, linestyle=":")
    axes.set_xlabel("predicted: % of the variance explained")
    axes.set_ylabel("realised: % of bits saved")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


@_styled
def gain_and_cost(rows: Sequence[Row], unit: Literal["seconds", "tokens"]) -> Figure:
    """Plot gain against cost per task, one line per arm and selector, one point per k."""
    rows = [row for row in rows if row.group == ALL and _cost(row, unit) > 0]
    figure = _figure(height=4.0)
    axes = figure.subplots()
    arms = [arm for arm in ARM_NAMES if any(row.arm == arm for row in rows)]
    selectors = _selectors(rows)
    for arm in arms:
        for number, selector in enumerate(selectors):
            line = sorted((row for row in rows if (row.arm, row.selector) == (arm, selector)), key=lambda row: row.k)
            costs, gains = [_cost(row, unit) for row in line], [100 - row.percent_of_base for row in line]
            axes.plot(costs, gains, color=ARM_COLOURS[arm], linewidth=1, **_of_selector(number))
    _log_axis(axes, [_cost(row, unit) for row in rows])
    axes.axhline(0, color=_SOFT, linewidth=1, linestyle=":")
    axes.set_xlabel(f"{unit} per task")
    axes.set_ylabel("% of bits saved")
    handles = [
        *(axes.plot([], [], color=ARM_COLOURS[arm], linewidth=4, label=ARM_NAMES[arm])[0] for arm in arms),
        *(axes.plot([], [], color=_SOFT, label=name, **_of_selector(n))[0] for n, name in enumerate(selectors)),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _cost(row: Row, unit: Literal["seconds", "tokens"]) -> float:
    return row.seconds_per_task if unit == "seconds" else row.tokens_per_task


def _log_axis(axes: Axes, values: Sequence[float]) -> None:
    """Make the horizontal axis logarithmic, with labels at 1, 2 and 5 times powers of ten around the values."""
    axes.set_xscale("log")
    if not values:
        return
    low, high = min(values), max(values)
    steps = [
        mantissa * 10.0**power
        for power in range(floor(log10(low)) - 1, ceil(log10(high)) + 1)
        for mantissa in (1, 2, 5)
    ]
    first = max((step for step in steps if step <= low), default=low)
    last = min((step for step in steps if step >= high and step > first), default=10 * high)
    ticks = [step for step in steps if first <= step <= last]
    if len(ticks) > _MOST_TICKS:
        ticks = [step for step in ticks if f"{step:e}".startswith("1.")]
    axes.set_xlim(0.95 * first, 1.05 * last)
    axes.set_xticks(ticks, [f"{tick:,.0f}" if tick >= 1 else f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


_MOST_TICKS = 7


def _selectors(rows: Sequence[Row]) -> list[str]:
    return sorted({row.selector for row in rows})


def _of_selector(number: int) -> dict[str, Any]:
    """Return the marker and line of a selector, the same in every plot of a page."""
    return {"marker": MARKERS[number % len(MARKERS)], "linestyle": LINES[number % len(LINES)], "markersize": 5}


@_styled
def found_over_k(rows: Sequence[FoundRow]) -> Figure:
    """Plot recall over k, one line per search, and its difference from the baseline with intervals."""
    figure = _figure(9.2, 3.8)
    recall, difference = figure.subplots(1, 2)
    names, ks = list(dict.fromkeys(row.selector for row in rows)), sorted({row.k for row in rows})
    for number, name in enumerate(names):
        line = sorted((row for row in rows if row.selector == name), key=lambda row: row.k)
        style: dict[str, Any] = {
            "color": COLOURS[number % len(COLOURS)],
            "marker": MARKERS[number % len(MARKERS)],
            "linestyle": "-" if number < len(COLOURS) else "--",
        }
        recall.plot([row.k for row in line], [100 * row.recall.mean for row in line], label=name, **style)
        gaps = [row.recall.difference for row in line if row.recall.difference is not None]
        if gaps:
            difference.errorbar(
                [ks.index(row.k) + 0.6 * ((number + 0.5) / len(names) - 0.5) for row in line],
                [100 * gap.mean for gap in gaps],
                [[100 * (gap.mean - gap.low) for gap in gaps], [100 * (gap.high - gap.mean) for gap in gaps]],
                capsize=2,
                **(style | {"linestyle": "none"}),
            )
    recall.set_xticks(ks, [str(k) for k in ks])
    recall.set_ylim(0, 103)
    recall.set_title("recall, %", loc="left", fontsize=12)
    difference.set_xticks(range(len(ks)), [str(k) for k in ks])
    difference.set_xlim(-0.5, len(ks) - 0.5)
    difference.axhline(0, color=_SOFT, linewidth=1, linestyle=":")
    difference.set_title("difference from nearest, points", loc="left", fontsize=12)
    for axes in (recall, difference):
        axes.set_xlabel("k")
    figure.legend(loc="outside lower center", ncols=6, frameon=False)
    return figure


@_styled
def one_setting_at_a_time(lines: Mapping[str, Sequence[Combination]], current: Values) -> Figure:
    """Plot the difference in recall of each value of a setting from the current one, all others unchanged."""
    figure = _figure(9.2, 3.2)
    panels = figure.subplots(1, len(lines), sharey=True)
    for axes, (name, line) in zip(panels, lines.items(), strict=True):
        own, gaps = [getattr(one.values, name) for one in line], [one.difference for one in line]
        axes.errorbar(
            range(len(line)),
            [100 * gap.mean for gap in gaps],
            [[100 * (gap.mean - gap.low) for gap in gaps], [100 * (gap.high - gap.mean) for gap in gaps]],
            color=COLOURS[0],
            marker=MARKERS[0],
            capsize=2,
        )
        axes.plot([own.index(getattr(current, name))], [0], color=COLOURS[1], marker=MARKERS[1], linestyle="none")
        axes.set_xticks(range(len(line)), [f"{value:g}" for value in own])
        axes.axhline(0, color=_SOFT, linewidth=1, linestyle=":")
        axes.set_title(name, loc="left", fontsize=12)
    panels[0].set_ylabel("points")
    figure.legend(
        handles=[panels[0].plot([], [], color=COLOURS[1], marker=MARKERS[1], linestyle="none", label="current")[0]],
        loc="outside lower center",
        frameon=False,
    )
    return figure


@_styled
def remaining(
    answerable: Sequence[Uncertainty],
    foreign: Sequence[Uncertainty],
    max_variance: float | None,
    min_gain: float | None,
) -> Figure:
    """Plot the distributions of variance and predicted gain for both kinds of questions, with the thresholds."""
    figure = _figure(9.2, 3.6)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, title, limit in zip(panels, ("variance", "gain"), (max_variance, min_gain), strict=True):
        for number, (kind, questions) in enumerate((("answerable", answerable), ("foreign", foreign))):
            if questions:
                values = [getattr(one, title) for one in questions]
                axes.ecdf(values, color=COLOURS[number], label=kind if title == "variance" else None)
        if limit is not None:
            axes.axvline(limit, color=_SOFT, linewidth=1, linestyle="--")
        axes.locator_params(axis="x", nbins=5)
        axes.set_title(_TITLES[title], loc="left", fontsize=12)
        axes.set_ylim(0, 1)
    if answerable:
        panels[0].set_xlim(left=sorted(one.variance for one in answerable)[len(answerable) // 10])
    panels[0].set_ylabel("share of questions")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


_TITLES = {"variance": "irreducible variance", "gain": "predicted gain"}


def _figure(width: float = 4.8, height: float = 3.6) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _short(name: str, length: int = 28) -> str:
    name = f" {name}" if name.startswith("_") else name  # matplotlib hides such labels
    return name if len(name) <= length else f"{name[: length - 1]}…"
