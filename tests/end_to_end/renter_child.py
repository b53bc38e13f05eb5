"""A renter as a process of its own: `renter_child FOLDER put SOURCE NAME`, or `... FOLDER audit ROUNDS`.

The folder is all there is of it: keys, the record of the chain, the database. `open_renter` opens the same
one inside a test once the process is dead.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from node.demo.offers import LIMITS
from node.identity import NodeKey
from node.master_key import MasterKey
from node.renter import TABLES, Keys, Renter
from node.transport import Patience
from payments.types import Seconds
from payments.vouchers import SigningKey
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import Deployment
from settlement.local_chain import dev_keys

K, N = 2, 3
SEGMENT = 64 * 1024
STORED = Seconds(30 * 86_400)
SLOW = Patience(connect=30, stall=60)
"""A machine that is busy with other tests is no reason to fail."""


@dataclass(frozen=True)
class OpenRenter:
    renter: Renter
    database: Database

    async def put(self, source: Path, name: str, *, k: int = K, n: int = N) -> None:
        await self.renter.files.put(source, name, k=k, n=n, segment_size=SEGMENT, seconds=STORED)


def make_renter(folder: Path, deployment: Deployment) -> None:
    folder.mkdir()
    deployment.save(folder / "chain.json")
    names = ("node", "signer", "master")
    (folder / "keys.json").write_text(json.dumps({name: os.urandom(32).hex() for name in names}))


@asynccontextmanager
async def open_renter(folder: Path, chain: Chain) -> AsyncIterator[OpenRenter]:
    secrets = {
        name: bytes.fromhex(key) for name, key in json.loads((folder / "keys.json").read_text()).items()
    }
    payer = dev_keys(1)[0]
    keys = Keys(
        node=NodeKey(secrets["node"]),
        signer=SigningKey(secrets["signer"]),
        master=MasterKey(secrets["master"]),
        payer=payer.address,
        payer_key=payer,
    )
    with closing(Database.at(folder / "money.db", TABLES)) as database:
        async with await Renter.open(
            database, chain, keys, locks=folder / "locks", patience=SLOW, limits=LIMITS
        ) as renter:
            yield OpenRenter(renter, database)


async def main(folder: Path, what: str, *arguments: str) -> None:
    deployment = Deployment.load(folder / "chain.json")
    async with (
        await Chain.connect(deployment.url, deployment) as chain,
        open_renter(folder, chain) as opened,
    ):
        if what == "put":
            source, name = arguments
            await opened.put(Path(source), name)
        else:
            await opened.renter.audits.audit(rounds=int(arguments[0]))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
