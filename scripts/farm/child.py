"""What is measured in a process of its own: a farmer's start, and a claim from all its channels.

    python -m scripts.farm.child start|claim FOLDER SPAWNED

FOLDER holds chain.json, money.db and shards; SPAWNED is the monotonic clock when this process was started.
Prints one line of JSON: seconds of each step, the memory this process had with its imports and had at most.
"""

import asyncio
import json
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from node.daemon import FarmerDaemon, Places
from node.farmer.claimable import consider, find_candidates
from node.farmer.config import FarmerConfig
from node.farmer.gas_prices import GasPrices
from payments.types import Amount, Timestamp
from payments.vouchers import Voucher, channel_id, sign_voucher
from scripts.farm.books import NODE_KEY, PAYEE, SIGNER, TABLES
from scripts.farm.crowd import RENTER, first_terms
from settlement.claims import plan_claims, send_claims
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import Deployment
from settlement.local_chain import dev_keys
from settlement.outbox import Outbox


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


async def start(folder: Path, watch: Watch) -> dict[str, int]:
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
    return {}


async def claim(folder: Path, watch: Watch) -> dict[str, int]:
    """Find, decide, plan and send, as the farmer's collector does when asked for everything."""
    deployment = Deployment.load(folder / "chain.json")
    config, key = FarmerConfig(payee=PAYEE, tokens=(deployment.token,)), dev_keys(3)[2]
    with closing(Database.at(folder / "money.db", TABLES)) as database:
        async with await Chain.connect(deployment.url, deployment) as chain:
            now, price = Timestamp(int(time.time())), await GasPrices(chain).now()
            watch.note("opened")
            found = database.read(lambda conn: find_candidates(conn, now))
            considered = consider(config, found, gas_wei=price, now=now)
            claims = [one.claim for one in considered if one.claim is not None]
            watch.note("decided")
            plan = await plan_claims(chain, claims, key.address)
            watch.note("planned")
            outcomes = await send_claims(chain, Outbox(database, chain), plan, key)
            watch.note("sent and mined")
            receipts = [await chain.rpc.receipt(one) for one in {out.transaction for out in outcomes} if one]
            if any(outcome.claimed is None for outcome in outcomes) or len(outcomes) != len(found):
                raise RuntimeError("a claim failed")
    used = [receipt.gas_used for receipt in receipts if receipt]
    return {"transactions": len(used), "heaviest": max(used)}


def main() -> None:
    """Do what is asked, print the figures."""
    what, folder, spawned = sys.argv[1:]
    watch = Watch(float(spawned))
    watch.note("imported")
    before = memory("VmRSS")
    counted = asyncio.run({"start": start, "claim": claim}[what](Path(folder), watch))
    figures = {"seconds": watch.seconds, "imports_bytes": before, "peak_bytes": memory("VmHWM")}
    print(json.dumps({**figures, "counted": counted}))


if __name__ == "__main__":
    main()
