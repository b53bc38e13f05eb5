"""A process that hosts farmers, each with its own books, store and socket, and does what a pipe tells it.

The shards of one farmer are hard links to one real shard with one real tree: every agreement is another,
every file is opened and read by its own name, and ten thousand of them take the room of eighty.
"""

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, event

from node.agreement import countersign_agreement
from node.daemon import FarmerDaemon, Places, Rhythm
from node.db.farmer import list_books, save_book
from node.db.farmer_agreements import FarmerAgreement, save_agreement
from node.farmer.config import FarmerConfig, Offer
from node.identity import NodeKey
from node.merkle import build_tree
from node.messages import AgreementState
from node.shard_store import ShardStore
from payments.debt import grow_storage
from payments.types import Address, Amount, Timestamp
from settlement.client import Chain
from settlement.deployment import Deployment

QUIET: Final = Rhythm(follow=3600, collect=3600, sweep=3600, towers=3600, copy=3600, scan=3600)


@dataclass(frozen=True, slots=True)
class Spot:
    """A farmer as the renter finds it, and what each of its shards commits to."""

    url: str
    node: bytes
    data_root: bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used and done since it was last asked: seconds of CPU, commits."""

    cpu: float
    commits: int


class Meter:
    """Measures this process."""

    def __init__(self) -> None:
        self.commits = 0
        self._cpu = time.process_time()

    def watch(self, engine: object) -> None:
        """Count the commits of a database's writing engine."""
        event.listen(engine, "commit", self._count)

    def read(self) -> Usage:
        """Tell what was used, and begin anew."""
        now = time.process_time()
        usage = Usage(now - self._cpu, self.commits)
        self._cpu, self.commits = now, 0
        return usage

    def _count(self, _: Connection) -> None:
        self.commits += 1


def host(pipe: Pipe, folder: Path, record: Deployment, count: int, length: int) -> None:
    """Be such a process: tell the spots, then take agreements to store, or "usage", until "stop"."""
    logging.disable(logging.ERROR)  # the losses of the last round
    asyncio.run(_host(pipe, folder, record, count, length))


async def _host(pipe: Pipe, folder: Path, record: Deployment, count: int, length: int) -> None:
    async with AsyncExitStack() as stack:
        chain = await stack.enter_async_context(await Chain.connect(record.url, record))
        daemons = []
        for number in range(count):
            daemon = _make(folder / f"farmer-{number}", chain)
            daemons.append(await stack.enter_async_context(daemon))
        shards = [_one_shard(daemon.farmer.farm.store, length) for daemon in daemons]
        meter = Meter()
        for daemon in daemons:
            meter.watch(daemon.farmer.farm.database._writer_engine)  # noqa: SLF001 - nothing else counts them
        pipe.send(
            [
                Spot(daemon.url, daemon.farmer.farm.node, root)
                for daemon, root in zip(daemons, shards, strict=True)
            ]
        )
        while (told := await asyncio.to_thread(pipe.recv)) != "stop":
            if told == "usage":
                pipe.send(meter.read())
                continue
            number, agreements = told
            pipe.send(await _store(daemons[number], agreements))


def _make(folder: Path, chain: Chain) -> FarmerDaemon:
    folder.mkdir(parents=True)
    record = chain.deployment
    offer = replace(Offer(), min_challenge_period=record.challenge_period)
    config = FarmerConfig(Address(os.urandom(20)), (record.token,), offer=offer, capacity=10**12)
    places = Places(folder / "money.db", folder / "stats.db", folder / "shards")
    return FarmerDaemon(config, record, places, NodeKey(os.urandom(32)), chain=chain, rhythm=QUIET)


def _one_shard(store: ShardStore, length: int) -> bytes:
    """Keep one shard under a name that is no agreement's; its data root."""
    incoming = store.receive()
    data = os.urandom(length)
    incoming.write(data)
    tree = build_tree(data)
    incoming.keep(bytes(32), tree)
    return tree.root


async def _store(daemon: FarmerDaemon, agreements: Sequence[FarmerAgreement]) -> list[bytes]:
    """Write agreements down as stored and link their shards; the farmer's signatures."""
    farm = daemon.farmer.farm
    store, first = farm.store, farm.store.path(bytes(32))
    signed = []
    for one in agreements:
        signature = countersign_agreement(farm.domain, one.agreement, farm.key)
        signed.append(
            replace(
                one,
                farmer_signature=signature,
                state=AgreementState.STORED,
                since=Timestamp(one.agreement.start),
            )
        )
        path = store.path(one.id)
        store.make_parent(path)
        for ending in (".shard", ".tree"):
            os.link(first.with_suffix(ending), path.with_suffix(ending))

    def step(conn: Connection) -> None:
        rate = Amount(0)
        for one in signed:
            rate = save_agreement(conn, one).storage_rate
        for book in list_books(conn, signed[0].agreement.renter):
            grown = grow_storage(book.earnings, Amount(0), rate, farm.now())
            save_book(conn, replace(book, earnings=grown))

    await farm.database.write(step)
    return [one.farmer_signature or b"" for one in signed]
