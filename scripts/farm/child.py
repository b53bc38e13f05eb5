"""What is measured in a process of its own: a farmer's start, and a claim from all its channels.

    python -m scripts.farm.child start|claim FOLDER SPAWNED

FOLDER holds chain.json, money.db and shards; SPAWNED is the monotonic clock when this process was started.
Prints one line of JSON: seconds of each step, the memory this process had with its imports and had at most.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from node.daemon import FarmerDaemon, Places
from node.farmer.config import FarmerConfig
from payments.types import Amount
from payments.vouchers import Voucher, channel_id, sign_voucher
from scripts.farm.books import NODE_KEY, PAYEE, SIGNER
from scripts.farm.crowd import RENTER, first_terms
from settlement.deployment import Deployment


@dataclass
class Watch:
    """Seconds of steps that follow each other, and what memory they took."""

    started: float
    seconds: dict[str, float] = field(default_factory=dict)

    def note(self, step: str) -> None:
        """End a step: it took the time since the last one ended."""
        self.seconds[step] = time.monotonic() - self.started - sum(self.seconds.values())


def memory(entry: str) -> int:
    """Bytes this process has (VmRSS) or had at most (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(entry + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(entry)


async def start(folder: Path, watch: Watch) -> None:
    """Start the farmer as `tithe farm run` does, and take a voucher."""
    deployment = Deployment.load(folder / "chain.json")
    places = Places(folder / "money.db", folder / "stats.db", folder / "shards")
    config = FarmerConfig(payee=PAYEE, tokens=(deployment.token,))
    async with FarmerDaemon(config, deployment, places, NODE_KEY) as daemon:
        watch.note("started")
        channel = channel_id(deployment.domain, first_terms(deployment))
        total = int(time.time())
        voucher = sign_voucher(deployment.domain, Voucher(channel, Amount(total)), SIGNER)
        view = await daemon.farmer.take_voucher(RENTER, voucher)
        if view.paid is None or view.paid.core().total != total:
            raise RuntimeError("the voucher was not taken")
        watch.note("voucher taken")


def main() -> None:
    """Do what is asked, print the figures."""
    what, folder, spawned = sys.argv[1:]
    watch = Watch(float(spawned))
    watch.note("imported")
    before = memory("VmRSS")
    asyncio.run({"start": start}[what](Path(folder), watch))
    print(json.dumps({"seconds": watch.seconds, "imports_bytes": before, "peak_bytes": memory("VmHWM")}))


if __name__ == "__main__":
    main()
