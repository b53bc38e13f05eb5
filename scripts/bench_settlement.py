#!/usr/bin/env python3
"""Measure settlement under load: vouchers accepted durably, one claim of many channels, a restart.

    scripts/bench_settlement [--quick] [--runs 5] [--channels 10000] [--renters 100000] [--json FILE]

Vouchers: the farmer's real path behind HTTP (signature recovered, books loaded, checked and written, commit
synced to disk), 500 in flight, over 1, 100 and 10,000 channels; beside it, in the same run and in turn, what
libsecp256k1 verifies and the bare sqlite3 module commits. Claim: channels funded on a fresh Anvil that caps a
transaction at 16,777,216 gas, followed by the farmer's watcher, then planned and sent by its own functions in
a process of its own. Restart: books of 100,000 channels and a million ledger entries (scripts/farm/crowd.py),
the daemon of `tithe farm run` started in a fresh process until it has taken a voucher. Medians over the runs.
"""

import argparse
import asyncio
import itertools
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from node.farmer.vouchers import VoucherQueue
from scripts.farm import claiming, restart
from scripts.farm.books import (
    IN_FLIGHT,
    VERIFY_LIMIT,
    Series,
    bare_commits,
    bare_verification,
    burst,
    open_channels,
    open_farm,
    sign_in_turn,
    take_all,
)

ROOT: Final = Path(__file__).resolve().parent.parent
CROWDS: Final = (1, 100, 10_000)
"""Channels over which vouchers come in."""
GOAL: Final = 8_000
RESTART_GOAL: Final = 5.0
MIB: Final = 1024 * 1024


async def accept(options: argparse.Namespace, folder: Path) -> list[Series]:
    """Accept vouchers over few and many channels, in turn with the limits."""
    verify, bare = (
        Series(VERIFY_LIMIT),
        {rows: Series(f"sqlite3 alone, {rows} a commit") for rows in (1, 100)},
    )
    work = bare_verification()
    commits = {rows: bare_commits(folder, rows, options.seconds) for rows in bare}
    crowds = [
        (count, Series(f"accepted durably, {count:,} channels", VERIFY_LIMIT, GOAL)) for count in CROWDS
    ]
    farm = await open_farm(folder)
    payers = {count: await open_channels(farm, count) for count, _ in crowds}
    queue, totals = VoucherQueue(farm), itertools.count(1)
    for _ in range(options.runs):
        verify.rates.append(burst(work, options.seconds))
        for rows, series in bare.items():
            series.rates.append(next(commits[rows]))
        for count, series in crowds:
            batch = sign_in_turn(payers[count], totals, options.vouchers)
            series.rates.append(await take_all(queue, batch, IN_FLIGHT))
    farm.database.close()
    await farm.chain.close()
    return [verify, *bare.values(), *(series for _, series in crowds)]


def report_rates(series: list[Series]) -> list[dict[str, Any]]:
    """Print the rates; as JSON."""
    limits = {one.name: one.median for one in series}
    print(f"{'vouchers':38} {'per second':>12} {'of the limit':>13} {'goal':>7}")
    rows: list[dict[str, Any]] = []
    for one in series:
        share = one.median / limits[one.limit] if one.limit else None
        shown = "" if share is None else f"{share:.0%}"
        print(f"{one.name:38} {one.median:12,.0f} {shown:>13} {f'{one.goal:,}' if one.goal else '':>7}")
        rows.append(
            {
                "name": one.name,
                "median": one.median,
                "runs": one.rates,
                "share_of_limit": share,
                "goal": one.goal,
            }
        )
    return rows


def report_claim(found: claiming.Claimed) -> dict[str, Any]:
    """Print what a claim of everything took; as JSON."""
    print(f"\nclaim of {found.channels:,} channels")
    print(f"  {found.transactions} transactions, at most {found.heaviest:,} gas each")
    counted = {"channels": found.channels, "transactions": found.transactions, "heaviest_gas": found.heaviest}
    return {**counted, **report_steps(found.steps)}


def report_restart(steps: list[restart.Steps], renters: int) -> dict[str, Any]:
    """Print the median of each step of the restarts; as JSON."""
    entries = renters * restart.ENTRIES
    print(f"\nrestart with {renters:,} channels and {entries:,} ledger entries")
    figures = report_steps(restart.median(steps))
    ready = sum(seconds for step, seconds in figures["seconds"].items() if step != "imported")
    print(f"  ready {ready:.2f} s after its imports, goal {RESTART_GOAL:.0f} s")
    return {
        "channels": renters,
        "entries": entries,
        "ready_seconds": ready,
        "goal_seconds": RESTART_GOAL,
        **figures,
    }


def report_steps(steps: restart.Steps) -> dict[str, Any]:
    """Print the seconds and the memory of a process; as JSON."""
    for step, seconds in steps.seconds.items():
        print(f"  {step:24} {seconds:8.2f} s")
    print(f"  {'memory at most':24} {steps.peak / MIB:8.0f} MiB, {steps.imports / MIB:.0f} of them imports")
    return {"seconds": steps.seconds, "peak_bytes": steps.peak, "imports_bytes": steps.imports}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench_settlement", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=5, help="how often rates and restarts are measured")
    parser.add_argument("--vouchers", type=int, default=20_000, help="vouchers accepted in each run")
    parser.add_argument("--seconds", type=float, default=0.4, help="length of the limits' measurements")
    parser.add_argument("--channels", type=int, default=10_000, help="channels claimed from")
    parser.add_argument("--renters", type=int, default=100_000, help="channels of the farmer that restarts")
    parser.add_argument("--quick", action="store_true", help="a hundredth of everything, one run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".venv", help="a folder on the disk to be measured"
    )
    options = parser.parse_args()
    if options.quick:
        options.runs, options.seconds, options.vouchers = 1, 0.05, options.vouchers // 100
        options.channels, options.renters = options.channels // 100, options.renters // 100
    return options


def say(what: str) -> None:
    """Tell how far it has come."""
    print(what, file=sys.stderr)


def main() -> None:
    """Measure, print, write."""
    options = parse()
    figures: dict[str, Any] = {
        "machine": {
            "python": platform.python_version(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "runs": options.runs,
    }
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as name:
        folder = Path(name)
        figures["vouchers_per_second"] = report_rates(asyncio.run(accept(options, folder)))
        say(f"funding {options.channels:,} channels")
        figures["claim"] = report_claim(claiming.measure(folder / "claim", options.channels))
        say(f"writing the books of {options.renters:,} renters")
        steps = restart.measure(folder / "restart", options.renters, options.runs)
        figures["restart"] = report_restart(steps, options.renters)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
