"""The chart: one panel for each operation, a bar for each system, ours first, a line at the goal."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt

from scripts.gas.goals import GOALS, Goal
from scripts.gas.meter import Figure, Method
from scripts.gas.tithebarn import SYSTEM

COLUMNS: Final = 3
NAME_LETTERS: Final = 24
OURS, MEASURED, CITED = "#c2571a", "#5b7c99", "#c9d3dc"
GOAL_LINE: Final = "#333333"


def draw(figures: Sequence[Figure], path: Path) -> None:
    """Write the chart as a PNG; at least one goal's size was measured."""
    mpl.use("Agg")
    measured = [goal for goal in GOALS if goal.ours(figures) is not None]
    goals = [goal for goal in measured if goal.rivals(figures)]
    alone = [goal for goal in measured if not goal.rivals(figures)]
    rows = -(-(len(goals) + bool(alone)) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(16, 2.9 * rows), layout="constrained", squeeze=False)
    for axis, goal in zip(axes.flat, goals, strict=False):
        _panel(axis, goal, figures)
    if alone:
        _unrivalled(axes.flat[len(goals)], alone, figures)
    for axis in axes.flat[len(goals) + bool(alone) :]:
        axis.axis("off")
    figure.suptitle(
        "Gas for each row: Tithebarn (orange), peers measured (blue) and cited (grey); the line is the goal",
        fontsize=13,
    )
    figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})
    plt.close(figure)


def _panel(axis: Any, goal: Goal, figures: Sequence[Figure]) -> None:  # noqa: ANN401 - matplotlib is untyped here
    """Ours above its rivals."""
    rivals = goal.rivals(figures)
    gas = [goal.ours(figures) or 0, *(one.gas for one in rivals)]
    names = [SYSTEM, *(one.system + (" (alone)" if one.n != goal.n else "") for one in rivals)]
    colours = [OURS, *(CITED if one.method is Method.CITED else MEASURED for one in rivals)]
    _bars(axis, names, gas, colours)
    axis.axvline(goal.gas, color=GOAL_LINE, linewidth=1, linestyle="--", zorder=0)
    axis.set_xlim(0, max(*gas, goal.gas) * 1.22)
    axis.set_title(goal.title, fontsize=10, loc="left")


def _unrivalled(axis: Any, goals: Sequence[Goal], figures: Sequence[Figure]) -> None:  # noqa: ANN401 - as above
    """What no peer has, each with its goal."""
    gas = [goal.ours(figures) or 0 for goal in goals]
    _bars(axis, [fill(goal.title, NAME_LETTERS) for goal in goals], gas, [OURS] * len(goals))
    for place, goal in enumerate(goals):
        axis.plot(
            [goal.gas] * 2,
            [place - 0.45, place + 0.45],
            color=GOAL_LINE,
            linewidth=1,
            linestyle="--",
            zorder=0,
        )
    axis.set_xlim(0, max([*gas, *(goal.gas for goal in goals)]) * 1.22)
    axis.set_title("without a peer to compare with", fontsize=10, loc="left")


def _bars(axis: Any, names: Sequence[str], gas: Sequence[float], colours: Sequence[str]) -> None:  # noqa: ANN401
    """Bars with their figures, the first on top."""
    bars = axis.barh(range(len(gas)), gas, color=colours, height=0.7)
    for label in axis.bar_label(bars, [f"{value:,.0f}" for value in gas], padding=3, fontsize=8):
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})
    axis.set_yticks(range(len(gas)), names, fontsize=8)
    axis.set_ylim(max(len(gas), 4) - 0.4, -0.6)
    axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
    axis.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value / 1000:,.0f}k"))
    axis.tick_params(axis="x", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
