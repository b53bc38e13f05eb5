"""The figures: percentiles, rates and memory of every series, as a table and as the list for machines."""

import math
from collections.abc import Sequence
from typing import Any, Final

from scripts.storage.measure import Series

MIB: Final = 1024 * 1024
MEGABYTE: Final = 1_000_000


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least `part` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def as_json(series: Sequence[Series]) -> list[dict[str, Any]]:
    """One object for each series with a run that succeeded."""
    return [_figures(one) for one in series if one.seconds]


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
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Print what was measured, system beside system."""
    lines = [
        (
            f"{'condition':18}{'bytes':>14}  {'':4}{'system':18}{'k of n':>9}{'runs':>6}"
            f"{'p50 s':>9}{'p95 s':>9}{'p99 s':>9}{'MB/s':>8}{'cpu s':>8}{'stores':>8}{'MiB':>6}{'store':>6}"
        )
    ]
    order = list(dict.fromkeys((row["condition"], row["bytes"], row["operation"]) for row in rows))
    for row in sorted(rows, key=lambda row: order.index((row["condition"], row["bytes"], row["operation"]))):
        failed = f"  {row['failed']} failed" if row["failed"] else ""
        lines.append(
            f"{row['condition']:18}{row['bytes']:14,}  {row['operation']:4}{row['system']:18}"
            f"{row['k']:>3} of {row['n']:<3}{row['runs']:5}{row['p50_s']:9.3f}{row['p95_s']:9.3f}"
            f"{row['p99_s']:9.3f}{row['mb_per_s']:8.1f}{row['cpu_s']:8.2f}{row['cpu_storing_s']:8.2f}"
            f"{row['peak_rss_mb']:6.0f}{row['peak_rss_storing_mb']:6.0f}{failed}"
        )
    return "\n".join(lines)
