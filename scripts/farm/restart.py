"""Restarts of a farmer with full books, each in a process of its own, on an Anvil it follows."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from node.shard_store import ShardStore
from scripts.farm.books import TABLES
from scripts.farm.crowd import ENTRIES, write_crowd
from settlement.database import Database
from settlement.deployment import Deployment, deploy
from settlement.local_chain import ChainKind, LocalChain, dev_keys
from settlement.rpc import Rpc

__all__ = ["ENTRIES", "Steps", "measure", "median", "run_child"]


@dataclass(frozen=True)
class Steps:
    """Seconds of each step of a process; bytes it had after its imports, and at most."""

    seconds: dict[str, float]
    imports: int
    peak: int


def measure(folder: Path, renters: int, runs: int) -> list[Steps]:
    """Write the books, then start the farmer so often."""
    folder.mkdir()
    with LocalChain.start(ChainKind.ANVIL) as chain:
        deployment = asyncio.run(_deploy(chain.url))
        deployment.save(folder / "chain.json")
        database = Database.at(folder / "money.db", TABLES)
        write_crowd(database, ShardStore(folder / "shards" / deployment.folder), deployment, renters)
        database.close()
        return [run_child("start", folder)[0] for _ in range(runs)]


def median(found: list[Steps]) -> Steps:
    """The median of each figure."""
    seconds = {step: statistics.median(one.seconds[step] for one in found) for step in found[0].seconds}
    middle = [
        int(statistics.median(part)) for part in zip(*((one.imports, one.peak) for one in found), strict=True)
    ]
    return Steps(seconds, *middle)


def run_child(what: str, folder: Path) -> tuple[Steps, dict[str, int]]:
    """Run scripts/farm/child.py; its steps, and whatever else it counted."""
    command = [sys.executable, "-m", "scripts.farm.child", what, str(folder), repr(time.monotonic())]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    said = json.loads(done.stdout)
    return Steps(said["seconds"], said["imports_bytes"], said["peak_bytes"]), said["counted"]


async def _deploy(url: str) -> Deployment:
    async with await Rpc.open(url) as rpc:
        return await deploy(rpc, dev_keys(1)[0], "bench")
