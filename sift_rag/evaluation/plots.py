"""The figures of a report, as SVG that stands in a page. The one module that talks to matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sift_rag.errors import MissingExtra
from sift_rag.evaluation.comparison import Outcome
from sift_rag.evaluation.summary import ALL, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARM_NAMES = {"context": "in the context", "finetune": "fine-tuned", "both": "both"}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito: told apart by everyone
MARKERS = ("o", "s", "^", "D", "v", "P")
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sift-rag",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "axes.axisbelow": True,
}


def require_matplotlib() -> None:
    """Raise ``MissingExtra`` if it is not installed: before the work, not after it."""
    if find_spec("matplotlib") is None:
        raise MissingExtra("matplotlib", "report")


def over_k(rows: Sequence[Row]) -> str:
    """Per cent of the base's bits over k, a line a selector, a panel an arm; bars are standard errors."""
    rows = [row for row in rows if row.group == ALL]
    arms = [arm for arm in ARM_NAMES if any(row.arm == arm for row in rows)]
    selectors = sorted({row.selector for row in rows})
    figure = _figure(4.6 * len(arms) + 0.6, 3.9)
    panels: Any = figure.subplots(1, len(arms), sharey=True, squeeze=False)[0]
    for panel, arm in zip(panels, arms, strict=True):
        for number, selector in enumerate(selectors):
            line = sorted((row for row in rows if (row.arm, row.selector) == (arm, selector)), key=lambda row: row.k)
            if line:
                panel.errorbar(
                    [row.k for row in line],
                    [row.percent_of_base for row in line],
                    [row.standard_error for row in line],
                    label=selector,
                    color=COLOURS[number % len(COLOURS)],
                    marker=MARKERS[number % len(MARKERS)],
                    capsize=2,
                )
        ks = sorted({row.k for row in rows})
        panel.set_xscale("log")
        panel.set_xticks(ks, [str(k) for k in ks], minor=False)
        panel.minorticks_off()
        panel.axhline(100, color="#888888", linewidth=1, linestyle=":")
        panel.set_title(ARM_NAMES[arm], loc="left", fontsize=12)
        panel.set_xlabel("k")
    panels[0].set_ylabel("% of the base's bits per byte")
    handles, labels = max((panel.get_legend_handles_labels() for panel in panels), key=lambda found: len(found[1]))
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False)
    return _svg(figure, "Bits per byte over k, by selector")


def by_group(best: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """The best row of each arm, group by group."""
    arms = [arm for arm in ARM_NAMES if any(row.arm == arm for _, rows in best for row in rows)]
    figure = _figure(9.2, 1.3 + 0.3 * (len(arms) + 1) * len(best))
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
                    color=COLOURS[number],
                    label=ARM_NAMES[arm] if place == 0 else None,
                    ecolor="#444444",
                    capsize=2,
                )
    axes.set_yticks(range(len(best)), [_short(group) for group, _ in best])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.axvline(100, color="#888888", linewidth=1, linestyle=":")
    axes.set_xlabel("% of the base's bits per byte (lower is better)")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return _svg(figure, "Context against fine-tuning, by group")


def predicted_and_realised(outcomes: Sequence[Outcome], arm: str, selector: str, k: int) -> str:
    """A point a task: the share of variance explained, and the share of bits saved."""
    figure = _figure(9.2, 4.2)
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
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            label=_short(group),
            alpha=0.8,
        )
    axes.axhline(0, color="#888888", linewidth=1, linestyle=":")
    axes.set_xlabel("predicted: % of the variance explained")
    axes.set_ylabel("realised: % of bits saved")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return _svg(figure, "Predicted against realised gain")


def gain_and_cost(rows: Sequence[Row]) -> str:
    """A point a row: what it costs, and what it saves."""
    rows = [row for row in rows if row.group == ALL]
    figure = _figure(9.2, 4.2)
    axes = figure.subplots()
    arms = [arm for arm in ARM_NAMES if any(row.arm == arm for row in rows)]
    selectors = sorted({row.selector for row in rows})
    for number, arm in enumerate(arms):
        for place, selector in enumerate(selectors):
            line = sorted((row for row in rows if (row.arm, row.selector) == (arm, selector)), key=lambda row: row.k)
            axes.plot(
                [row.seconds_per_task for row in line],
                [100 - row.percent_of_base for row in line],
                color=COLOURS[number],
                marker=MARKERS[place % len(MARKERS)],
                linewidth=0.8,
                label=f"{ARM_NAMES[arm]}, {selector}" if line else None,
            )
    axes.set_xscale("log")
    axes.axhline(0, color="#888888", linewidth=1, linestyle=":")
    axes.set_xlabel("seconds a task")
    axes.set_ylabel("% of bits saved")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return _svg(figure, "Gain against cost")


def _figure(width: float, height: float) -> Figure:
    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Figure, title: str) -> str:
    from html import escape

    from matplotlib import rc_context

    axes: list[Axes] = figure.get_axes()
    for one in axes:
        one.tick_params(length=3)
    file = io.StringIO()
    with rc_context(_STYLE):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Title": escape(title)})
    text = file.getvalue()
    return text[text.index("<svg") :]


def _short(name: str, length: int = 28) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"
