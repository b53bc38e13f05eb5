#!/usr/bin/env python3
"""Measure storage: put and get of ours, beside Tahoe-LAFS in the same run, in networks well and ill.

    scripts/bench_storage [--quick] [--sizes 100kB,10MB,1GB] [--runs 250]
                          [--conditions plain,dead,slow,corrupt] [--no-peers] [--no-stages]
                          [--json FILE] [--chart FILE] [--page FILE] [--from FILE]

Ours: eighty farmers on this machine, each with keys, books, store and socket of its own; a few processes host
several of them each, one hosts a single one. A real Anvil, a funded channel to every farmer, a renter in a
process of its own; fsync, commitments, agreements and payment as in production. Files are new in every run
and compared when they come back. Conditions: 30 % of the farmers killed; 10 % behind sockets that answer two
seconds late; every leaf of the shards of 10 % overwritten on disk.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from scripts.storage import report, stages
from scripts.storage.measure import Bench, Journal
from scripts.storage.system import Condition, System
from scripts.storage.tahoe import Grid, Tahoe
from scripts.storage.tithebarn import Tithebarn

ROOT: Final = Path(__file__).resolve().parent.parent
SIZES, RUNS = ("100kB", "10MB", "1GB"), 250
QUICK_SIZES, QUICK_RUNS = ("100kB", "10MB", "100MB"), 2
UNITS: Final = {"kB": 10**3, "MB": 10**6, "GB": 10**9}
CONDITIONS: Final = {
    "plain": Condition.PLAIN,
    "dead": Condition.DEAD,
    "slow": Condition.SLOW,
    "corrupt": Condition.CORRUPT,
}
PEER_CODES: Final = ((3, 10), (29, 80))
STAGE_ROUNDS: Final = 15
LARGE: Final = 100 * 10**6
LARGE_PART: Final = 50
"""Files of at least LARGE bytes are put and read so many times less often."""
ILL_SIZE: Final = 10 * 10**6
"""What is put and read in networks that are ill: the size nearest to this one."""


def measure(options: argparse.Namespace, bench: Bench) -> None:
    """All sizes in a network that is well, one of them in others."""
    for condition in options.conditions:
        sizes = options.sizes
        if condition is not Condition.PLAIN:
            sizes = [min(sizes, key=lambda size: abs(size - ILL_SIZE))]
        for size in sizes:
            runs = options.runs if size < LARGE else max(1, options.runs // LARGE_PART)
            bench.measure(condition, size, runs)


def read_size(text: str) -> int:
    """Read a size such as 10MB."""
    return int(text[:-2]) * UNITS[text[-2:]]


def read_shape(text: str) -> tuple[int, int]:
    """Read k and n."""
    k, n = map(int, text.split(","))
    return k, n


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench_storage", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="less of everything, within five minutes")
    parser.add_argument(
        "--sizes", type=lambda text: [read_size(part) for part in text.split(",")], help="such as 100kB,10MB"
    )
    parser.add_argument("--runs", type=int, help="how often; large files a fiftieth of it")
    parser.add_argument(
        "--conditions",
        type=lambda text: [CONDITIONS[part] for part in text.split(",")],
        default=list(Condition),
        help="of plain, dead, slow, corrupt",
    )
    parser.add_argument("--farmers", type=int, default=80, help="farmers of ours")
    parser.add_argument(
        "--shape", type=read_shape, metavar="K,N", help="k and n of ours; by default what the renter chooses"
    )
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="measure ours only")
    parser.add_argument("--no-stages", dest="stages", action="store_false", help="measure no stages")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="also draw them (PNG)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="also write them into this page")
    parser.add_argument(
        "--from", dest="known", type=Path, metavar="FILE", help="measure nothing, take the figures of --json"
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".venv", help="a folder on the disk to be measured"
    )
    options = parser.parse_args()
    options.sizes = options.sizes or [read_size(one) for one in (QUICK_SIZES if options.quick else SIZES)]
    options.runs = options.runs or (QUICK_RUNS if options.quick else RUNS)
    return options


def say(what: str) -> None:
    """Tell how far it has come."""
    print(what, file=sys.stderr)


def take_figures(options: argparse.Namespace) -> list[report.Row]:
    """Build the systems, measure them and the stages."""
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    journal = Journal(say)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder)))
        ours = Tithebarn(stack, folder / "tithebarn", options.farmers, options.shape)
        systems: list[System] = [ours]
        print(f"{ours.name}: {ours.describe()}")
        if options.peers:
            grid = Grid.build(stack, folder / "tahoe")
            for k, n in PEER_CODES:
                peer = Tahoe(grid, k, n)
                print(f"{peer.name}: {peer.describe()}")
                systems.append(peer)
        files = folder / "files"
        files.mkdir()
        try:
            measure(options, Bench(systems, files, journal, say))
        except KeyboardInterrupt:
            say("stopped: these are the figures until now")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as name:
        found = stages.measure(Path(name), STAGE_ROUNDS) if options.stages else []
    return report.as_json(journal.series, found)


def main() -> None:
    """Measure, print, write."""
    options = parse()
    rows = json.loads(options.known.read_text()) if options.known else take_figures(options)
    print(report.table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    if options.page:
        report.write_page(options.page, rows)
    if options.chart:
        from scripts.storage.chart import draw  # noqa: PLC0415 - matplotlib is there only when a chart is wanted

        draw(rows, options.chart)


if __name__ == "__main__":
    main()
