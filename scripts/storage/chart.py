"""The charts: how long files take, system beside system, in networks well and ill; stages beside limits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import matplotlib.pyplot as plt

from scripts.storage.report import OURS, Row, ordered, stage_pairs

COLOURS: Final = ("#c2571a", "#5b7c99", "#a9bccb")
LIMIT: Final = "#333333"
COLUMNS: Final = 3


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write one PNG: a panel for each operation and size, with its conditions; one for the stages."""
    mpl.use("Agg")
    found = ordered(rows)
    panels = sorted(
        {(row["bytes"], row["operation"]) for row in found}, key=lambda one: (one[0], one[1] == "get")
    )
    stages = stage_pairs(rows)
    height = -(-(len(panels) + bool(stages)) // COLUMNS)
    figure, axes = plt.subplots(
        height, COLUMNS, figsize=(16, 4.2 * height), layout="constrained", squeeze=False
    )
    systems = list(dict.fromkeys(row["system"] for row in found))
    for axis, (size, operation) in zip(axes.flat, panels, strict=False):
        chosen = [row for row in found if (row["bytes"], row["operation"]) == (size, operation)]
        _times(axis, f"{operation} {_named(size)}, seconds", chosen, systems)
    if stages:
        _stages(axes.flat[len(panels)], stages)
    for axis in axes.flat[len(panels) + bool(stages) :]:
        axis.axis("off")
    names = ", ".join(systems)
    figure.suptitle(f"{names}: bars end at the median, lines at the 99th percentile", fontsize=13)
    figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})
    plt.close(figure)


def _times(axis: Any, title: str, rows: Sequence[Row], systems: Sequence[str]) -> None:  # noqa: ANN401 - matplotlib is untyped here
    """A group of bars for each condition, a bar for each system."""
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    thick = 0.8 / len(systems)
    for row in rows:
        place = conditions.index(row["condition"]) + thick * systems.index(row["system"])
        colour = COLOURS[systems.index(row["system"]) % len(COLOURS)]
        axis.barh(place, row["p50_s"], height=thick * 0.9, color=colour)
        axis.plot([row["p50_s"], row["p99_s"]], [place] * 2, color=LIMIT, linewidth=1)
        label = f" {row['system']} {row['k']}/{row['n']}: {row['p50_s']:.2f}" if row["system"] == OURS else ""
        label = label or f" {row['system']}: {row['p50_s']:.2f}"
        axis.text(row["p99_s"], place, label, fontsize=7, va="center")
    axis.set_yticks([place + 0.4 - thick / 2 for place in range(len(conditions))], conditions, fontsize=8)
    axis.set_ylim(len(conditions) - 0.1, -0.5)
    axis.set_xlim(0, max(row["p99_s"] for row in rows) * 1.5)
    _finish(axis, title)


def _stages(axis: Any, stages: Sequence[tuple[Row, Row]]) -> None:  # noqa: ANN401 - as above
    """What part of its limit each stage reaches."""
    shares = [ours["mb_per_s"] / most["mb_per_s"] for ours, most in stages]
    shown = [(share, pair) for share, pair in zip(shares, stages, strict=True) if share <= 2]  # noqa: PLR2004 - zfec is no limit
    bars = axis.barh(range(len(shown)), [share for share, _ in shown], color=COLOURS[0], height=0.7)
    axis.bar_label(bars, [f"{ours['mb_per_s']:,.0f} MB/s" for _, (ours, _) in shown], padding=3, fontsize=7)
    names = [f"{ours['operation']}\n({most['system']})" for _, (ours, most) in shown]
    axis.set_yticks(range(len(shown)), names, fontsize=7)
    axis.set_ylim(len(shown) - 0.4, -0.6)
    axis.axvline(1, color=LIMIT, linewidth=1, linestyle="--", zorder=0)
    axis.set_xlim(0, 1.3)
    axis.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    _finish(axis, "stages, part of their limit reached on one core")


def _finish(axis: Any, title: str) -> None:  # noqa: ANN401 - as above
    axis.set_title(title, fontsize=10, loc="left")
    axis.tick_params(axis="x", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _named(size: int) -> str:
    for unit, most in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= most:
            return f"{size / most:g} {unit}"
    return f"{size} bytes"
