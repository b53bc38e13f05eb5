#!/usr/bin/env python3
"""Measure gas: ours and peers on one fresh Anvil, real transactions at several sizes, against the goals.

    scripts/bench_gas [--no-peers] [--sizes 1,10,100] [--json FILE] [--chart FILE] [--no-chart] [--snapshot]

Conditions, the same for everybody: default hardfork, 16,777,216 gas and 128 KiB a transaction (what is
larger is split, and the table says into how many), one OpenZeppelin ERC-20, the contract and every receiver
hold it already, allowances are infinite, all-in (the 21,000 included), amounts of one token of 18 decimals,
claims are later ones. Peers whose compiled contracts are on PyPI or npm are fetched into .venv/peers by
name, version and hash and measured; figures of others are cited (scripts/gas/cited.py). docs/gas.md says
more.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from scripts.gas import (
    cited,
    hopr,
    machinomy,
    microraiden,
    nitro,
    raiden,
    report,
    snapshot,
    tithebarn,
    vector,
)
from scripts.gas.bench import Bench, fresh_bench
from scripts.gas.goals import GOALS
from scripts.gas.meter import Figure, Ground, prepare
from scripts.gas.packages import Package, PeerMissing
from scripts.gas.schedule import take_apart

Measure = Callable[[Ground, Sequence[int]], Awaitable[list[Figure]]]
PEERS: Final[list[tuple[Package, Measure]]] = [
    (module.PACKAGE, module.measure) for module in (microraiden, machinomy, nitro, vector, raiden, hopr)
]


async def measure(options: argparse.Namespace) -> tuple[list[Figure], report.Parts]:
    """Measure ours and then the peers, on one chain; ours also taken apart."""
    async with fresh_bench() as bench:
        say(f"preparing {await bench.rpc.client()} for {options.sizes[-1]} payers and payees")
        ground = await prepare(bench, options.sizes[-1])
        started = time.monotonic()
        ours = await tithebarn.run(ground, options.sizes)
        say(f"tithebarn measured in {time.monotonic() - started:.0f} s")
        parts = await explain(bench, ours)
        figures = list(ours.meter.figures)
        for package, peer in PEERS if options.peers else []:
            started = time.monotonic()
            figures += await peer(ground, options.sizes)
            say(f"{package} measured in {time.monotonic() - started:.0f} s")
    return [*figures, *cited.FIGURES], parts


async def explain(bench: Bench, ours: tithebarn.Tithebarn) -> report.Parts:
    """Take ours apart where a goal is set."""
    wanted = {(goal.operation, goal.n) for goal in GOALS}
    found = {name: receipts for name, receipts in ours.receipts.items() if name in wanted}
    return {name: [await take_apart(bench, one) for one in receipts] for name, receipts in found.items()}


def say(what: str) -> None:
    """Tell how far it has come."""
    print(what, file=sys.stderr)


def sizes(text: str) -> list[int]:
    """Read the numbers of rows to measure."""
    found = sorted({int(part) for part in text.split(",")})
    if not found or found[0] < 1:
        raise ValueError(text)
    return found


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench_gas", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--no-peers", dest="peers", action="store_false", help="measure ours only; needs no network"
    )
    parser.add_argument("--sizes", type=sizes, default=[1, 10, 100, 600], help="rows, separated by commas")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument(
        "--chart", type=Path, metavar="FILE", default=Path("bench_gas.png"), help="where the chart goes"
    )
    parser.add_argument("--no-chart", dest="chart", action="store_const", const=None, help="draw none")
    parser.add_argument(
        "--snapshot",
        action="store_true",
        help=f"write our figures to {snapshot.FILE.name}, which the tests hold us to",
    )
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    options = parse()
    try:
        for package, _ in PEERS if options.peers else []:
            package.fetch()
    except PeerMissing as err:
        raise SystemExit(f"bench_gas: {err}") from None
    figures, parts = asyncio.run(measure(options))
    tables = (
        report.goal_table(figures, parts),
        report.floor_table(parts),
        report.size_table(figures),
        report.notes(figures),
    )
    print("\n\n".join(tables))
    if options.json:
        options.json.write_text(json.dumps(report.as_json(figures), indent=1) + "\n")
    if options.snapshot:
        asyncio.run(snapshot.write())
    if options.chart and not any(goal.n in options.sizes for goal in GOALS):
        say("there is no goal at these sizes, so there is no chart")
    elif options.chart:
        from scripts.gas.chart import draw  # noqa: PLC0415 - matplotlib is there only when a chart is wanted

        draw(figures, options.chart)
        say(f"the chart is {options.chart}")


if __name__ == "__main__":
    main()
