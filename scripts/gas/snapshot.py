"""The committed gas of our operations, and how far a measurement may be from it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from scripts.gas import tithebarn
from scripts.gas.bench import fresh_bench
from scripts.gas.meter import prepare

FILE: Final = Path(__file__).resolve().parents[2] / "tests" / "contracts" / "gas.json"
SIZES: Final = (1, 100)
TOLERANCE: Final = 0.02

Gas = dict[str, int]
"""Gas for each row, by operation and size: `sweep 100`."""


async def measure() -> Gas:
    """Measure ours on a fresh Anvil."""
    async with fresh_bench() as bench:
        figures = await tithebarn.measure(await prepare(bench, SIZES[-1]), SIZES)
    return {f"{one.operation} {one.n}": round(one.gas) for one in figures}


def load() -> Gas:
    """Read the committed figures."""
    found: Gas = json.loads(FILE.read_text(encoding="utf-8"))
    return found


async def write() -> None:
    """Replace the committed figures."""
    FILE.write_text(json.dumps(await measure(), indent=1) + "\n", encoding="utf-8")


def drift(committed: Mapping[str, int], measured: Mapping[str, int]) -> list[str]:
    """Name what moved by more than the tolerance, up or down, or is on one side only."""
    return [
        f"{name}: {committed.get(name, 0):,} committed, {measured.get(name, 0):,} measured"
        for name in sorted({*committed, *measured})
        if abs(measured.get(name, 0) - committed.get(name, 0)) > TOLERANCE * committed.get(name, 0)
    ]
