"""The tables of docs/durability.md: nines by code, threshold and churn, the model beside churn played out.

scripts/durability [--runs N] [--chart FILE]
"""

import argparse
import math
import sys
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path
from random import Random
from statistics import mean, stdev
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from node.durability import YEAR, Risk, loss_within, mean_time_to_loss, nines
from node.renter.health import repair_threshold
from tests.durability.simulation import Setting, audited, life, memoryless

DAY: Final = 86_400.0
DELAY: Final = 9 * DAY
"""A day until the audit, a week of grace, a day for the repair."""
LIFETIMES: Final = (30, 60, 90, 180, 365, 730)
CODES: Final = ((1, 3), (1, 20), (2, 6), (4, 12), (10, 30), (20, 55), (29, 80), (29, 100), (40, 80))
THRESHOLDS: Final = (35, 40, 45, 52, 60, 70, 80)
DELAYS: Final = (2, 4, 9, 14, 30)
WORLDS: Final = (
    (1, 3, 2, 0.2),
    (3, 10, 6, 0.2),
    (4, 12, 8, 0.2),
    (5, 20, 10, 0.5),
    (29, 80, 52, 0.35),
    (29, 80, 52, 0.3),
)
"""k, n, threshold, and the delay as a share of a lifetime: some fifty times the churn of the tables."""


def main() -> None:
    """Print the tables; draw the chart where one is wished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="lives played out in each world")
    parser.add_argument(
        "--chart", type=Path, metavar="FILE", help="draw the nines, by lifetime and threshold"
    )
    options = parser.parse_args()
    print("Nines in a year, by code and mean lifetime of a farmer in days:\n")
    table(["k of n", "repaired below", *map(str, LIFETIMES)], by_code())
    print("\nNines of 29 of 80, by threshold:\n")
    table(["threshold", *map(str, LIFETIMES)], by_threshold())
    print("\nNines of 29 of 80 below 52, by days until a lost shard is made good:\n")
    table(["days", *map(str, LIFETIMES)], by_delay())
    print(f"\nMean life in mean lifetimes of a farmer, {options.runs} lives each:\n")
    with Pool(2) as pool:
        played = pool.starmap(play, [(*world, options.runs) for world in WORLDS])
    table(["k of n, threshold", "delay", "model", "played, same delays", "played, audits and grace"], played)
    if options.chart:
        draw(options.chart)


def table(head: list[str], rows: Iterator[list[str]] | list[list[str]]) -> None:
    """Print a table as Markdown has it."""
    for row in (head, ["---"] + ["---:"] * (len(head) - 1), *rows):
        print("|", " | ".join(row), "|")


def by_code() -> Iterator[list[str]]:
    """One row a code, repaired as `tithe rent run` does."""
    for k, n in CODES:
        threshold = repair_threshold(k, n)
        yield [f"{k} of {n}", str(threshold), *(told(k, n, threshold, days) for days in LIFETIMES)]


def by_threshold() -> Iterator[list[str]]:
    """One row a threshold."""
    for threshold in THRESHOLDS:
        yield [str(threshold), *(told(29, 80, threshold, days) for days in LIFETIMES)]


def by_delay() -> Iterator[list[str]]:
    """One row a delay."""
    for delay in DELAYS:
        yield [str(delay), *(told(29, 80, 52, days, delay * DAY) for days in LIFETIMES)]


def told(k: int, n: int, threshold: int, days: int, delay: float = DELAY) -> str:
    """Compute the nines of a year."""
    return f"{nines(loss_within(Risk(k, n, threshold, days * DAY, delay), YEAR)):.1f}"


def play(k: int, n: int, threshold: int, share: float, runs: int) -> list[str]:
    """Hold the model against lives played out, in which a farmer's mean lifetime is 1."""
    model = mean_time_to_loss(Risk(k, n, threshold, 1.0, share))
    ways = ((memoryless(share), 0.0), (audited(share / 9, share * 7.5 / 9), share / 9))
    row = [f"{k} of {n}, {threshold}", f"{share:g}", f"{model:.2f}"]
    for notice, work in ways:
        dice = Random(1)  # noqa: S311 - the same lives in every run
        seen = [life(Setting(k, n, threshold, 1.0, notice, work), dice) for _ in range(runs)]
        row.append(f"{mean(seen):.2f} ± {2 * stdev(seen) / math.sqrt(runs):.2f}")
    return row


def draw(path: Path) -> None:
    """Draw the nines of a year over the lifetime, a line a code and a line a threshold."""
    import matplotlib as mpl  # noqa: PLC0415 - there only when a chart is wanted
    import matplotlib.pyplot as plt  # noqa: PLC0415

    mpl.use("Agg")
    figure, (codes, thresholds) = plt.subplots(1, 2, figsize=(13, 5), layout="constrained", sharey=True)
    days = [30 * 1.12**step for step in range(30)]
    lines = [(f"{k} of {n}", (k, n, repair_threshold(k, n)), codes) for k, n in CODES]
    lines += [(f"below {one}", (29, 80, one), thresholds) for one in THRESHOLDS]
    for name, code, axis in lines:
        risks = [Risk(*code, lifetime=one * DAY, delay=DELAY) for one in days]
        ours = code == (29, 80, 52)
        axis.plot(
            days,
            [nines(loss_within(risk, YEAR)) for risk in risks],
            label=f"{name} (the default)" if ours else name,
            linewidth=2.6 if ours else 1.2,
            color="#c2571a" if ours else None,
        )
    for axis, title in ((codes, "by code"), (thresholds, "29 of 80, by threshold of repair")):
        axis.set_xscale("log")
        axis.set_ylim(0, 30)
        axis.set_xticks([30, 60, 90, 180, 365, 730], ["30", "60", "90", "180", "365", "730"])
        axis.minorticks_off()
        axis.set_xlabel("mean lifetime of a farmer, days")
        axis.set_title(title, loc="left", fontsize=11)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    codes.set_ylabel("nines in a year, a segment")
    figure.suptitle("Durability where farmers leave independently and a lost shard is made good after 9 days")
    figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})
    plt.close(figure)


if __name__ == "__main__":
    main()
