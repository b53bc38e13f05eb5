"""The figures: percentiles, rates and memory of every series, as a table and as the list for machines."""

import math
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from scripts.storage.child import peak_memory
from scripts.storage.measure import Series
from scripts.storage.stages import MEGABYTE, K, N, Stage
from scripts.storage.tithebarn import Tithebarn

MIB: Final = 1024 * 1024
OURS: Final = Tithebarn.name
BEGIN: Final = "<!-- figures, written by scripts/bench_storage -->"
END: Final = "<!-- end of figures -->"


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least `part` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


Row = dict[str, Any]
STAGE: Final = "stage"
"""The condition of stages: their limits are systems beside ours."""


def as_json(series: Sequence[Series], stages: Sequence[Stage]) -> list[Row]:
    """One object for each series with a run that succeeded, two for each stage."""
    return [_figures(one) for one in series if one.seconds] + [
        row for stage in stages for row in _stage(stage)
    ]


def _stage(stage: Stage) -> Iterator[Row]:
    """Ours, then the limit's."""
    for system, seconds in ((OURS, stage.ours), (stage.limit, stage.most)):
        p50, p95, p99 = (percentile(seconds, part) for part in (0.5, 0.95, 0.99))
        yield {
            "system": system,
            "operation": stage.name,
            "bytes": stage.size,
            "k": K,
            "n": N,
            "condition": STAGE,
            "runs": len(seconds),
            "p50_s": round(p50, 5),
            "p95_s": round(p95, 5),
            "p99_s": round(p99, 5),
            "mb_per_s": round(stage.size / p50 / MEGABYTE, 1),
            "peak_rss_mb": round(peak_memory(os.getpid()) / MIB, 1),
        }


def _figures(one: Series) -> dict[str, Any]:
    """mb_per_s: of the median run, a megabyte has 10**6 bytes; cpu: seconds a run, the mean."""
    p50, p95, p99 = (percentile(one.seconds, part) for part in (0.5, 0.95, 0.99))
    client, storing = (sum(part) / len(one.cpu) for part in zip(*one.cpu, strict=True))
    peak, peak_storing = (max(part) for part in zip(*one.peaks, strict=True))
    return {
        "system": one.system,
        "operation": one.operation,
        "bytes": one.size,
        "k": one.k,
        "n": one.n,
        "condition": one.condition.value,
        "runs": len(one.seconds),
        "failed": len(one.failures),
        "p50_s": round(p50, 4),
        "p95_s": round(p95, 4),
        "p99_s": round(p99, 4),
        "mb_per_s": round(one.size / p50 / MEGABYTE, 2),
        "peak_rss_mb": round(peak / MIB, 1),
        "peak_rss_storing_mb": round(peak_storing / MIB, 1),
        "cpu_s": round(client, 3),
        "cpu_storing_s": round(storing, 3),
        "load": round(one.load, 1),
    }


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Puts and gets: systems beside each other, in the order in which they were measured."""
    found = [row for row in rows if row["condition"] != STAGE]
    order = list(dict.fromkeys(map(_place, found)))
    return sorted(found, key=lambda row: order.index(_place(row)))


def stage_pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Each stage of ours, and its limit."""
    found = [row for row in rows if row["condition"] == STAGE]
    return list(zip(found[::2], found[1::2], strict=True))


def mask_share(rows: Sequence[Row]) -> float:
    """The mask's part of what a core spends on a put's bytes: cipher, code, mask and data roots."""
    rate = {ours["operation"]: ours["mb_per_s"] for ours, _ in stage_pairs(rows)}
    spread = N / K
    mask = spread / rate["mask"]
    rest = spread / rate["data root"] + 1 / rate["encrypt"] + 1 / rate[f"encode {K} of {N}"]
    return float(mask / (mask + rest))


def table(rows: Sequence[Row]) -> str:
    """Lay out for a terminal what was measured."""
    head = f"{'condition':18}{'bytes':>14}  {'':4}{'system':16}{'k of n':>9}{'runs':>6}"
    head += "".join(f"{name:>9}" for name in ("p50 s", "p95 s", "p99 s"))
    lines = [head + f"{'MB/s':>8}{'cpu s':>8}{'stores':>8}{'MiB':>6}{'store':>6}"]
    for row in ordered(rows):
        failed = f"  {row['failed']} failed" if row["failed"] else ""
        lines.append(
            f"{row['condition']:18}{row['bytes']:14,}  {row['operation']:4}{row['system']:16}"
            f"{row['k']:>3} of {row['n']:<3}{row['runs']:5}{row['p50_s']:9.3f}{row['p95_s']:9.3f}"
            f"{row['p99_s']:9.3f}{row['mb_per_s']:8.1f}{row['cpu_s']:8.2f}{row['cpu_storing_s']:8.2f}"
            f"{row['peak_rss_mb']:6.0f}{row['peak_rss_storing_mb']:6.0f}{failed}"
        )
    if pairs := stage_pairs(rows):
        lines.append(f"\n{'stage, on one core':24}{'MB/s':>9}  {'limit':18}{'MB/s':>9}{'reached':>9}")
        lines += [
            f"{ours['operation']:24}{ours['mb_per_s']:9,.0f}  {most['system']:18}{most['mb_per_s']:9,.0f}"
            f"{ours['mb_per_s'] / most['mb_per_s']:9.0%}"
            for ours, most in pairs
        ]
        lines.append(f"the mask takes {mask_share(rows):.0%} of a put's work: cipher, code, mask, data roots")
    return "\n".join(lines)


def markdown(rows: Sequence[Row]) -> str:
    """Lay out for a page what was measured."""
    machine = f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores"
    loads = [row["load"] for row in rows if "load" in row]
    known = f"; load averages before the series {min(loads)} to {max(loads)}" if loads else ""
    names = ("condition", "bytes", "", "system", "k of n", "runs", "p50 s", "p95 s", "p99 s", "MB/s")
    lines = [
        f"{machine}{known}.",
        "",
        f"| {' | '.join(names)} | CPU s client / storing | MiB client / storing |",
        "|---|--:|---|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row['condition']} | {row['bytes']:,} | {row['operation']} | {row['system']} "
        f"| {row['k']} of {row['n']} | {row['runs']}{_failed(row)} | {row['p50_s']:.3f} | {row['p95_s']:.3f} "
        f"| {row['p99_s']:.3f} | {row['mb_per_s']:.1f} | {row['cpu_s']:.2f} / {row['cpu_storing_s']:.2f} "
        f"| {row['peak_rss_mb']:.0f} / {row['peak_rss_storing_mb']:.0f} |"
        for row in ordered(rows)
    ]
    if pairs := stage_pairs(rows):
        lines += ["", "| stage, on one core | MB/s | limit | MB/s | reached |", "|---|--:|---|--:|--:|"]
        lines += [
            f"| {ours['operation']} | {ours['mb_per_s']:,.0f} | {most['system']} | {most['mb_per_s']:,.0f} "
            f"| {ours['mb_per_s'] / most['mb_per_s']:.0%} |"
            for ours, most in pairs
        ]
        lines += [
            "",
            f"The mask takes {mask_share(rows):.0%} of a put's work in cipher, code, mask and roots.",
        ]
    return "\n".join(lines)


def write_page(page: Path, rows: Sequence[Row]) -> None:
    """Replace the figures in a page, which stand between two marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{markdown(rows)}\n\n{END}{after}")


def _place(row: Row) -> tuple[str, int, str]:
    return row["condition"], row["bytes"], row["operation"]


def _failed(row: Row) -> str:
    return f" and {row['failed']} failed" if row["failed"] else ""
