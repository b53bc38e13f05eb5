"""The renter as a process of its own: its files are put and read by the same Python API that the CLI calls.

python -m scripts.storage.renter CHAIN FOLDER
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from node.identity import NodeKey
from node.master_key import MasterKey
from node.renter import TABLES, Keys, Renter
from payments.types import Amount
from scripts.storage.child import serve
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import Deployment
from settlement.local_chain import dev_keys
from settlement.wallet import new_key


class Desk:
    """What the renter does when asked. Times are those of the call alone."""

    def __init__(self, renter: Renter, folder: Path) -> None:
        self._renter = renter
        self._folder = folder

    async def meet(self, urls: Sequence[str], deposit: int) -> Mapping[str, Any]:
        """Get to know farmers, and fund a channel to each."""
        for url in urls:
            await self._renter.peers.add(url)
        funding = self._renter.funding
        await funding.fund(await funding.plan(amount=Amount(deposit)))
        return {}

    async def put(self, source: str, name: str, k: int | None, n: int | None) -> Mapping[str, Any]:
        """Store a file."""
        start = time.perf_counter()
        report = await self._renter.files.put(Path(source), name, k=k, n=n)
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "k": report.file.k, "n": report.file.n, "faults": len(report.faults)}

    async def get(self, name: str, out: str) -> Mapping[str, Any]:
        """Read it back into a file."""
        start = time.perf_counter()
        report = await self._renter.files.get(name, Path(out))
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "k": report.file.k, "n": report.file.n, "faults": len(report.faults)}

    async def remove(self, name: str) -> Mapping[str, Any]:
        """Remove it, have its shards deleted."""
        report = await self._renter.files.rm(name)
        return {"pending": len(report.pending)}


async def main(chain_file: Path, folder: Path) -> None:
    """Serve until the input ends."""
    deployment = Deployment.load(chain_file)
    payer = dev_keys(1)[0]
    master, node = MasterKey(os.urandom(32)), NodeKey(os.urandom(32))
    keys = Keys(node=node, signer=new_key(), master=master, payer=payer.address, payer_key=payer)
    async with await Chain.connect(deployment.url, deployment) as chain:
        with closing(Database.at(folder / "money.db", TABLES)) as database:
            async with await Renter.open(database, chain, keys, locks=folder / "locks") as renter:
                desk = Desk(renter, folder)
                await serve({"meet": desk.meet, "put": desk.put, "get": desk.get, "remove": desk.remove})


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
